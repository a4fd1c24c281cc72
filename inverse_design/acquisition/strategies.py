"""How a round decides what to ask for: feasible yield, Thompson, elite and random, over one pool of realistic prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from inverse_design import seeds
from inverse_design.acquisition.features import Array, IntVectors, Scale, closeness
from inverse_design.acquisition.pool import Bounds, Realism, build, moves
from inverse_design.acquisition.weights import effective_size, repelled, tempered
from inverse_design.protocols import Row
from inverse_design.target import Target, log_interval, violation

NEAR = 0.15
"""Width, in scaled features, within which prompts count as the same neighbourhood."""
FORGET = 0.8
"""Weight of what a neighbourhood gave one round ago."""
ECHOES = 6
"""Residuals (realised - requested) a prompt's yield is averaged over."""
ENOUGH = 24
"""Scored candidates before a model is fitted; fewer are explored at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All samples so far, as arrays over samples in address order.

    requested, realised: (n, 15), realised is -1 for an invalid sample; round: (n,); accepted: (n,) new, past every gate, in domain;
    mean, std: property -> (n,), NaN where not scored; log_feasibility: (n,) joint, -inf where not scored.
    """

    requested: IntVectors
    realised: IntVectors
    round: np.ndarray[tuple[int], np.dtype[np.int64]]
    accepted: np.ndarray[tuple[int], np.dtype[np.bool_]]
    mean: Mapping[str, Array]
    std: Mapping[str, Array]
    log_feasibility: Array

    @property
    def scored(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Indices of the samples with a prediction for every target."""
        return np.flatnonzero(np.isfinite(self.log_feasibility))


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What does not change during a campaign: targets, prior and bounds of prompts, and how much is drawn a round."""

    targets: Sequence[Target]
    prior: IntVectors
    bounds: Bounds
    confidence: float
    pool: int
    prompts: int
    seed: int
    scale: Scale
    realism: Realism


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The prompts of a round, each as often as it is drawn, and the facts behind them."""

    prompts: IntVectors
    facts: Row = field(default_factory=dict)


def decide(strategy: str, problem: Problem, history: History, round_index: int) -> Decision:
    """Return the prompts of round `round_index` by the named strategy; a function of its arguments alone."""
    rng = seeds.generator(problem.seed, round_index, 0)
    if strategy == "random" or len(history.scored) < ENOUGH:
        return _random(problem, rng, strategy)
    if strategy == "elite":
        return _elite(problem, history, rng)
    return _modelled(strategy, problem, history, round_index, rng)


def _random(problem: Problem, rng: np.random.Generator, strategy: str) -> Decision:
    rows = rng.choice(len(problem.prior), size=problem.prompts, replace=len(problem.prior) < problem.prompts)
    return Decision(prompts=problem.prior[rows], facts={"strategy": strategy, "step": "prior"})


def elites(history: History, count: int = 60) -> IntVectors:
    """Return the realised vectors of the best scored candidates, best first; (at most count, 15)."""
    rows = history.scored
    order = rows[np.argsort(-history.log_feasibility[rows], kind="stable")]
    return history.realised[order[:count]]


def _elite(problem: Problem, history: History, rng: np.random.Generator) -> Decision:
    best = elites(history, problem.prompts // 2)
    moved = moves(best, 6 * problem.prompts, rng)
    moved = moved[problem.bounds.allow(moved) & problem.realism.real(moved)][: problem.prompts]
    rest = problem.prior[rng.integers(len(problem.prior), size=problem.prompts - len(moved))]
    return Decision(prompts=np.concatenate([moved, rest]), facts={"strategy": "elite", "step": "moves", "moves": len(moved)})


def _modelled(strategy: str, problem: Problem, history: History, round_index: int, rng: np.random.Generator) -> Decision:
    from inverse_design.acquisition.surrogate import MAX_ROWS, FitError, PropertyModel, choose_rows

    pool, origin = build(
        problem.prior, elites(history), np.zeros((0, 15), np.int64), problem.pool, problem.bounds, problem.realism, rng
    )
    x = problem.scale(pool)
    facts: Row = {"strategy": strategy, "step": "model", "pool": origin, "fallback": None}
    log_yield = np.log(local_yield(problem, history, x, round_index))
    scored = history.scored
    misses = sum(
        (violation(target, history.mean[target.property][scored]) / np.nanmedian(history.std[target.property][scored]))
        for target in problem.targets
    )
    rows = scored[choose_rows(problem.scale(history.realised[scored]), np.asarray(misses, dtype=np.float64), MAX_ROWS)]
    try:
        model = PropertyModel(
            problem.scale(history.realised[rows]), {t.property: history.mean[t.property][rows] for t in problem.targets}
        )
    except FitError as error:
        facts |= {"step": "yield only", "fallback": type(error).__name__}
        log_utility = log_yield + _neighbour_feasibility(problem, history, x)
        thompson: list[int] = []
    else:
        log_utility = log_yield + _feasibility(problem, history, model, pool)
        share = 1.0 if strategy == "thompson" else 0.5
        thompson = _thompson(problem, history, model, x, log_yield, round(share * problem.prompts), round_index)
    weights, temperature = tempered(log_utility, problem.prompts / 2)
    near = closeness(x, x, NEAR)
    drawn = repelled(weights, near, problem.prompts - len(thompson), rng)
    counts = Counter(drawn + thompson)
    chosen = sorted(counts, key=lambda index: (-weights[index], index))
    facts |= {
        "temperature": temperature,
        "effective_size": effective_size(weights),
        "rows": len(rows),
        "prompts": [
            {
                "prompt": ",".join(map(str, pool[i])),
                "weight": float(weights[i]),
                "draws": counts[i],
                "thompson": thompson.count(i),
            }
            for i in chosen
        ],
    }
    return Decision(prompts=pool[[i for i in chosen for _ in range(counts[i])]], facts=facts)


def local_yield(problem: Problem, history: History, x: Array, round_index: int) -> Array:
    """Return the chance that a sample near each prompt is valid, of the wanted structure, and new; shape (n,).

    A discounted count of accepted against generated samples in the neighbourhood, shrunk to the overall rate: it
    falls where a neighbourhood has been mined out, and where the generator or the structure filter refuses.
    """
    age = FORGET ** (round_index - 1 - history.round)
    overall = float((age * history.accepted).sum() + 1) / float(age.sum() + 2)
    near = closeness(x, problem.scale(history.requested), NEAR)
    accepted, generated = near @ (age * history.accepted), near @ age
    return np.asarray((2 * overall + accepted) / (2 + generated), dtype=np.float64)


def needed(target: Target, std: float, confidence: float) -> tuple[float, float]:
    """Return the bounds a predicted mean must lie in for the target to hold with `confidence`, given its error."""
    margin = NormalDist().inv_cdf(confidence) * std
    low, high = target.low + margin, target.high - margin
    if low > high:
        # Narrower than the predictor resolves: aim at the middle.
        middle, half = (target.low + target.high) / 2, 0.1 * (target.high - target.low)
        return middle - half, middle + half
    return low, high


def _windows(problem: Problem, history: History) -> dict[str, tuple[float, float]]:
    each = problem.confidence ** (1 / len(problem.targets))
    return {
        target.property: needed(target, float(np.nanmedian(history.std[target.property])), each) for target in problem.targets
    }


def _feasibility(problem: Problem, history: History, model: object, pool: IntVectors) -> Array:
    """Log chance that what comes out of each prompt passes every target, averaged over the generator's residuals."""
    from inverse_design.acquisition.surrogate import PropertyModel

    assert isinstance(model, PropertyModel)
    valid = np.flatnonzero(history.realised[:, 0] >= 0)
    x = problem.scale(pool)
    near = closeness(x, problem.scale(history.requested[valid]), 2 * NEAR) + 1e-9
    keys = seeds.generator(problem.seed, len(history.round), 1).gumbel(size=near.shape)
    picks = np.argpartition(-(np.log(near) + keys), ECHOES, axis=1)[:, :ECHOES] if len(valid) > ECHOES else None
    residual = history.realised[valid] - history.requested[valid]
    echoes = [pool] if picks is None else [np.maximum(pool + residual[picks[:, k]], 0) for k in range(ECHOES)]
    windows = _windows(problem, history)
    total: Array = np.zeros((len(echoes), len(pool)))
    for name, (low, high) in windows.items():
        mean, std = model.marginals(name, problem.scale(np.concatenate(echoes)))
        total += np.maximum(log_interval(mean, std, low, high), -60.0).reshape(len(echoes), len(pool))
    return np.asarray(np.logaddexp.reduce(total, axis=0) - np.log(len(echoes)), dtype=np.float64)


def _thompson(
    problem: Problem, history: History, model: object, x: Array, log_yield: Array, count: int, round_index: int
) -> list[int]:
    """Return `count` prompts, each the best under its own joint posterior draw; the feasible with the best yield first."""
    from inverse_design.acquisition.surrogate import PropertyModel

    assert isinstance(model, PropertyModel)
    windows = _windows(problem, history)
    miss: Array = np.zeros((count, len(x)))
    for order, (name, (low, high)) in enumerate(windows.items()):
        draws = model.joint_draws(name, x, count, seeds.seed(problem.seed, round_index, 2, order))
        spread = float(np.nanstd(history.mean[name])) or 1.0
        miss += np.maximum(np.maximum(low - draws, draws - high), 0.0) / spread
    score = np.where(miss > 0, -1e3 * miss - 1e3, log_yield[None, :])
    taken: list[int] = []
    for row in score:
        row[taken] = -np.inf
        taken.append(int(np.argmax(row)))
    return taken


def _neighbour_feasibility(problem: Problem, history: History, x: Array) -> Array:
    """Without a model: the log-feasibility of the scored candidates around each prompt, kernel-weighted."""
    rows = history.scored
    near = closeness(x, problem.scale(history.realised[rows]), NEAR) + 1e-12
    passing = np.exp(np.maximum(history.log_feasibility[rows], -30.0))
    return np.asarray(np.log((near @ passing + 1e-6) / (near.sum(1) + 1e-3)), dtype=np.float64)
