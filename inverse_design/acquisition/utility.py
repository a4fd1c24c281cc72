"""The worth of a prompt: the chance that a sample of it is new, valid, wanted, known to the models, and passes every target.

log u(z) = log yield(z) + log E_channel[ P(in domain | x) prod_k P(low_k <= Y_k(x) + noise <= high_k) P(better | x) ], x the descriptors
that come out of z. Yield, domain and properties are learnt from all samples so far; nothing is kept between rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from inverse_design import seeds
from inverse_design.acquisition.features import Array, IntVectors, closeness
from inverse_design.acquisition.history import Flags, History, Rows
from inverse_design.acquisition.objectives import Objectives
from inverse_design.acquisition.strategies import ENOUGH, NEAR, Problem
from inverse_design.acquisition.surrogate import MAX_ROWS, PropertyModel, UnfitError, choose_rows
from inverse_design.protocols import Row
from inverse_design.target import log_interval, needed, violation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inverse_design.acquisition.surrogate import Process

FORGET = 0.8
"""Weight of what a neighbourhood gave one round ago."""
TRUST = 8.0
"""Samples in the neighbourhood of a prompt that say as much of its yield as the model does."""
OWN = 0.67
"""Share of the rows to learn from that a campaign's own samples may fill, where known polymers can be learnt from, too."""
AGE = 20
"""Rounds after which what a neighbourhood gave is forgotten altogether (0.8^20 = 0.01)."""
ECHOES = 4
"""Residuals (realised - requested) a prompt's yield is averaged over."""
RECENT = 4000
"""Latest valid samples that residuals are taken from."""
PRUNED = 200
"""Prompts of the pool whose gain in volume is asked for: the best by utility."""
MANY = 100_000
"""Samples at most whose features are looked at to choose those to learn from: those of a million would take a gigabyte."""
DRAWN = 800
"""Prompts of the pool that joint posterior draws are made over: the best by utility."""
WORST = -60.0
"""Least log probability of one target: beyond it, prompts are equally hopeless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utility:
    """What one round knows. `model` is None where no Gaussian process could be had; `facts` say what was done."""

    problem: Problem
    history: History
    round_index: int
    model: PropertyModel | None
    windows: dict[str, tuple[float, float]]
    objectives: Objectives | None
    facts: Row

    @classmethod
    def learn(cls, problem: Problem, history: History, round_index: int) -> Self:
        """Fit the models; where a fit fails, take BoTorch's default hyper-parameters, and where these fail too, none."""
        weights = property_weights(problem, history, round_index)
        chosen = _rows(problem, history, history.scored, weights, MAX_ROWS)
        inside = np.flatnonzero(history.in_domain)
        # What counts is to pass in domain, and there the same descriptors mean other values than among strangers.
        apart = problem.steps.domain and ENOUGH <= len(inside) < len(history.scored)
        share = MAX_ROWS if problem.known is None else round(OWN * MAX_ROWS)
        rows = _rows(problem, history, inside if apart else history.scored, weights, share)
        parts = [(history, rows)]
        if problem.known is not None:
            parts.append((problem.known, _known_rows(problem, weights, MAX_ROWS - len(rows))))
        x = np.concatenate([_inputs(problem, _vectors(problem, past)[rows]) for past, rows in parts])
        data = {
            target.property: (x, np.concatenate([past.mean[target.property][rows] for past, rows in parts]))
            for target in problem.targets
        }
        if problem.steps.domain and 0 < history.in_domain[chosen].sum() < len(chosen):
            known_to = history.in_domain[chosen].astype(np.float64)
            data["in domain"] = (_inputs(problem, _vectors(problem, history)[chosen]), known_to)
        model, fallback = None, None
        for fit in (True, False):
            try:
                once = {} if problem.steps.refit else _fitted(problem) if fit else problem.fitted
                model = PropertyModel(data, fit=fit, fitted=once)
                break
            except UnfitError as error:
                fallback = f"{type(error).__name__}: {'default hyper-parameters' if fit else 'neighbours of the prompts'}"
        return cls(
            problem=problem,
            history=history,
            round_index=round_index,
            model=model,
            windows=_windows(problem, history),
            objectives=Objectives.of(problem, history, round_index),
            facts={"fallback": fallback, "own_rows": len(rows), "known_rows": len(x) - len(rows), "property_weights": weights},
        )

    def of(self, pool: IntVectors, x: Array) -> Array:
        """Return the log-utility of prompts (n, 15), scaled x (n, 14); shape (n,)."""
        problem, history = self.problem, self.history
        found = self._log_model(pool, x)
        if problem.steps.evidence:
            generated, passed = nearby(problem, history, x, self.round_index, passing(problem, history))
            found = np.log((TRUST * np.exp(found) + passed) / (TRUST + generated))
        return found if self.model is None or self.objectives is None else found + self._log_better(pool, found)

    def _log_better(self, pool: IntVectors, log_utility: Array) -> Array:
        """Return the log of how much each prompt is expected to better the objectives; those not asked gain as little as the least; (n,)."""
        model, objectives = self.model, self.objectives
        assert model is not None
        assert objectives is not None
        if not objectives.by_volume:
            inputs = _inputs(self.problem, pool)
            return objectives.log_better({name: model.marginals(name, inputs) for name in objectives.terms})
        from inverse_design.acquisition.hypervolume import BASELINE, log_gain

        among = np.argsort(-log_utility, kind="stable")[:PRUNED]
        best = _inputs(self.problem, _vectors(self.problem, self.history)[objectives.front[:BASELINE]])
        worst = {name: (sign, sign * low) for name, (sign, low, _, _) in objectives.terms.items()}
        seed = seeds.seed(self.problem.seed, self.round_index, 5)
        asked = log_gain(model, _inputs(self.problem, pool[among]), best, worst, seed)
        gain: Array = np.full(len(pool), asked.min())
        gain[among] = asked
        return gain

    def _log_model(self, pool: IntVectors, x: Array) -> Array:
        problem, history = self.problem, self.history
        log_yield = np.log(local_yield(problem, history, x, self.round_index)) if problem.steps.yields else np.zeros(len(pool))
        if self.model is None:
            return np.asarray(log_yield + _neighbour_feasibility(problem, history, x), dtype=np.float64)
        echoes = _echoes(problem, history, pool, x) if problem.steps.channel else [pool]
        total = self._log_promise(np.concatenate(echoes)).reshape(len(echoes), len(pool))
        return np.asarray(log_yield + np.logaddexp.reduce(total, axis=0) - np.log(len(echoes)), dtype=np.float64)

    @property
    def promise(self) -> Callable[[IntVectors], Array] | None:
        """Return what tells promising prompts (n, 15) from others at little cost, if there is a model; larger is better."""
        return None if self.model is None else self._log_promise

    def _log_promise(self, vectors: IntVectors) -> Array:
        """Log chance that a molecule of these descriptors is in domain and passes every target."""
        model = self.model
        assert model is not None
        inputs = _inputs(self.problem, vectors)
        total: Array = np.zeros(len(vectors))
        for name in model.models:
            mean, std = model.marginals(name, inputs)
            if name == "in domain":
                total += np.log(np.clip(mean, 0.01, 1.0))
            else:
                total += np.maximum(log_interval(mean, std, *self.windows[name]), WORST)
        return total

    def thompson(self, pool: IntVectors, x: Array, log_utility: Array, count: int) -> list[int]:
        """Return `count` prompts, each the best under its own joint posterior draw; the feasible with the best yield first."""
        if self.model is None or not count:
            return []
        problem, history = self.problem, self.history
        among = np.argsort(-log_utility, kind="stable")[:DRAWN]
        inputs = _inputs(problem, pool[among])
        weights: dict[str, float] = self.facts["property_weights"]
        miss: Array = np.zeros((count, len(among)))
        gain: Array = np.tile(np.log(local_yield(problem, history, x[among], self.round_index)), (count, 1))
        draws: dict[str, Array] = {}
        for order, name in enumerate(self.model.models):
            try:
                drawn = self.model.joint_draws(name, inputs, count, seeds.seed(problem.seed, self.round_index, 2, order))
            except UnfitError as error:
                self.facts["fallback"] = f"{type(error).__name__}: no joint draws of {name}"
                return []
            if name == "in domain":
                gain += np.log(np.clip(drawn, 0.01, 1.0))
                continue
            low, high = self.windows[name]
            miss += weights[name] * np.maximum(np.maximum(low - drawn, drawn - high), 0.0) / self.model.spread(name)
            draws[name] = drawn
        if self.objectives is not None:
            gain += self.objectives.gain(draws)
        score = np.where(miss > 0, -1e3 * miss - 1e3, gain)
        taken: list[int] = []
        for row in score:
            row[taken] = -np.inf
            taken.append(int(np.argmax(row)))
        return [int(among[index]) for index in taken]


def _fitted(problem: Problem) -> Mapping[str, Process]:
    """Return processes fitted to known polymers: the same in every round, so they are fitted once a process."""
    if problem.known is not None and not problem.fitted:
        known, even = problem.known, dict.fromkeys((target.property for target in problem.targets), 1.0)
        rows = _known_rows(problem, even, MAX_ROWS)
        x = _inputs(problem, known.realised[rows])
        problem.fitted.update(PropertyModel({name: (x, known.mean[name][rows]) for name in even}).models)
    return problem.fitted


def _known_rows(problem: Problem, weights: dict[str, float], count: int) -> Rows:
    """Of the known polymers at most `count` to learn from; among equals by chance, the same in every round."""
    assert problem.known is not None
    return _rows(problem, problem.known, seeds.generator(problem.seed, 4).permutation(problem.known.scored), weights, count)


def property_weights(problem: Problem, history: History, round_index: int, rounds: int = 5) -> dict[str, float]:
    """Return the weight of each target in ordering what misses: the rarer it was met of late, the heavier; mean 1.

    Dynamic weights as in SyntheMol-RL (Swanson et al. 2025). They order violations only: what passes is not theirs to say.
    """
    recent = np.flatnonzero((history.round >= round_index - rounds) & np.isfinite(history.log_feasibility))
    rates = {
        target.property: float(np.mean(violation(target, history.mean[target.property][recent]) <= 0)) if len(recent) else 0.0
        for target in problem.targets
    }
    raw = {name: 1.05 - rate for name, rate in rates.items()}
    return {name: value * len(raw) / sum(raw.values()) for name, value in raw.items()}


def passing(problem: Problem, history: History) -> Flags:
    """Return which samples count: new, in domain, and meeting every target with the confidence asked for; (n,)."""
    return np.asarray(history.in_domain & history.accepted & (history.log_feasibility >= np.log(problem.confidence)))


def _vectors(problem: Problem, history: History) -> IntVectors:
    return history.realised if problem.steps.realised else history.requested


def _rows(problem: Problem, history: History, among: Rows, weights: dict[str, float], count: int) -> Rows:
    """Of the samples `among` at most `count` to learn from: the least violating, and others spread over the rest."""
    if not len(among):
        return among
    misses: Array = np.where(history.in_domain[among], 0.0, 1.0) if problem.steps.domain else np.zeros(len(among))
    for target in problem.targets:
        missed = violation(target, history.mean[target.property][among])
        misses = misses + weights[target.property] * missed / np.median(history.std[target.property][among])
    if len(among) > MANY:
        order = np.argsort(misses, kind="stable")
        near, far = order[: MANY // 2], order[MANY // 2 :]
        kept = np.sort(np.concatenate([near, far[:: -(-len(far) // (MANY // 2))]]))
        among, misses = among[kept], misses[kept]
    return among[choose_rows(problem.scale(history.realised[among]), misses, count)]


def _inputs(problem: Problem, vectors: IntVectors) -> Array:
    """What the models see of (n, 15) descriptors: scaled features, and the distance to the reference; (n, 15)."""
    far = problem.realism.distance(vectors) / problem.realism.limit
    return np.concatenate([problem.scale(vectors), far[:, None]], axis=1)


def local_yield(problem: Problem, history: History, x: Array, round_index: int) -> Array:
    """Return the chance that a sample near each prompt is valid, of the wanted structure, and new; shape (n,).

    A discounted count of accepted against generated samples in the neighbourhood, shrunk to the overall rate: it
    falls where a neighbourhood has been mined out, and where the generator or the structure filter refuses.
    """
    age = FORGET ** (round_index - 1 - history.round)
    overall = float((age * history.accepted).sum() + 1) / float(age.sum() + 2)
    generated, accepted = nearby(problem, history, x, round_index, history.accepted)
    return np.asarray((2 * overall + accepted) / (2 + generated), dtype=np.float64)


def nearby(problem: Problem, history: History, x: Array, round_index: int, which: Flags) -> tuple[Array, Array]:
    """Return how many samples were generated around each prompt, and how many of them were one of `which`; (n,) each.

    Counts fade with distance and with age, `FORGET` a round.
    """
    recent = np.flatnonzero(history.round >= round_index - AGE)
    prompts, group = np.unique(history.requested[recent], axis=0, return_inverse=True)
    age = FORGET ** (round_index - 1 - history.round[recent])
    generated = np.bincount(group.reshape(-1), age, len(prompts))
    counted = np.bincount(group.reshape(-1), age * which[recent], len(prompts))
    near = closeness(x, problem.scale(prompts), NEAR)
    return near @ generated, near @ counted


def _windows(problem: Problem, history: History) -> dict[str, tuple[float, float]]:
    each = problem.confidence ** (1 / len(problem.targets))
    past = next(one for one in (history, problem.known) if one is not None and len(one.scored))
    return {target.property: needed(target, float(np.nanmedian(past.std[target.property])), each) for target in problem.targets}


def _echoes(problem: Problem, history: History, pool: IntVectors, x: Array) -> list[IntVectors]:
    """What may come out of each prompt: it plus residuals of samples of nearby prompts, `ECHOES` times (n, 15)."""
    valid = np.flatnonzero(history.realised[:, 0] >= 0)[-RECENT:]
    if len(valid) <= ECHOES:
        return [pool]
    near = closeness(x, problem.scale(history.requested[valid]), 2 * NEAR) + 1e-9
    # The largest of log-weights with Gumbel noise are a draw without replacement (Yellott 1977).
    keys = seeds.generator(problem.seed, len(history.round), 1).gumbel(size=near.shape)
    picks: NDArray[np.int64] = np.argpartition(-(np.log(near) + keys), ECHOES, axis=1)[:, :ECHOES]
    residual = history.realised[valid] - history.requested[valid]
    return [np.maximum(pool + residual[picks[:, k]], 0) for k in range(ECHOES)]


def _neighbour_feasibility(problem: Problem, history: History, x: Array) -> Array:
    """Without a model: the log-feasibility of the scored candidates around each prompt, kernel-weighted."""
    rows = history.scored[-RECENT:]
    near = closeness(x, problem.scale(history.realised[rows]), NEAR) + 1e-12
    passing = np.exp(np.maximum(history.log_feasibility[rows], -30.0)) * history.in_domain[rows]
    return np.asarray(np.log((near @ passing + 1e-6) / (near.sum(1) + 1e-3)), dtype=np.float64)
