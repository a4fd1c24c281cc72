"""The worth of a prompt: the chance that a sample of it is new, valid, wanted, known to the models, and passes every target.

log u(z) = log yield(z) + log E_channel[ P(in domain | x) prod_k P(low_k <= Y_k(x) + noise <= high_k) P(better | x) ], x the descriptors
that come out of z. Yield, domain and properties are learnt from all samples so far; nothing is kept between rounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from inverse_design import seeds
from inverse_design.acquisition.features import Array, IntVectors, closeness
from inverse_design.acquisition.history import History, Rows
from inverse_design.acquisition.objectives import Objectives
from inverse_design.acquisition.strategies import ENOUGH, NEAR, Problem
from inverse_design.acquisition.surrogate import MAX_ROWS, PropertyModel, UnfitError, choose_rows
from inverse_design.protocols import Row
from inverse_design.target import log_interval, needed, violation

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORGET = 0.8
"""Weight of what a neighbourhood gave one round ago."""
AGE = 20
"""Rounds after which what a neighbourhood gave is forgotten altogether (0.8^20 = 0.01)."""
ECHOES = 6
"""Residuals (realised - requested) a prompt's yield is averaged over."""
RECENT = 4000
"""Latest valid samples that residuals are taken from."""
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
        chosen = _rows(problem, history, history.scored, weights)
        known = np.flatnonzero(history.in_domain)
        # What counts is to pass in domain, and there the same descriptors mean other values than among strangers.
        apart = problem.steps.domain and ENOUGH <= len(known) < len(history.scored)
        rows = _rows(problem, history, known, weights) if apart else chosen
        vectors = history.realised if problem.steps.realised else history.requested
        data = {
            target.property: (_inputs(problem, vectors[rows]), history.mean[target.property][rows]) for target in problem.targets
        }
        if problem.steps.domain and 0 < history.in_domain[chosen].sum() < len(chosen):
            data["in domain"] = (_inputs(problem, vectors[chosen]), history.in_domain[chosen].astype(np.float64))
        model, fallback = None, None
        for fit in (True, False):
            try:
                model = PropertyModel(data, fit=fit)
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
            facts={"fallback": fallback, "rows": len(rows), "property_weights": weights},
        )

    def of(self, pool: IntVectors, x: Array) -> Array:
        """Return the log-utility of prompts (n, 15), scaled x (n, 14); shape (n,)."""
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
        """Log chance that a molecule of these descriptors is in domain, passes every target, and betters the objectives."""
        model = self.model
        assert model is not None
        inputs = _inputs(self.problem, vectors)
        total: Array = np.zeros(len(vectors))
        better: dict[str, tuple[Array, Array]] = {}
        for name in model.models:
            mean, std = model.marginals(name, inputs)
            if name == "in domain":
                total += np.log(np.clip(mean, 0.01, 1.0))
            else:
                total += np.maximum(log_interval(mean, std, *self.windows[name]), WORST)
                better[name] = mean, std
        return total if self.objectives is None else total + self.objectives.log_better(better)

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
            spread = float(np.nanstd(history.mean[name])) or 1.0
            miss += weights[name] * np.maximum(np.maximum(low - drawn, drawn - high), 0.0) / spread
            draws[name] = drawn
        if self.objectives is not None:
            gain += self.objectives.gain(draws)
        score = np.where(miss > 0, -1e3 * miss - 1e3, gain)
        taken: list[int] = []
        for row in score:
            row[taken] = -np.inf
            taken.append(int(np.argmax(row)))
        return [int(among[index]) for index in taken]


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


def _rows(problem: Problem, history: History, among: Rows, weights: dict[str, float]) -> Rows:
    """Of the samples `among` those to learn from: the least violating, and others spread over the rest."""
    misses: Array = np.where(history.in_domain[among], 0.0, 1.0) if problem.steps.domain else np.zeros(len(among))
    for target in problem.targets:
        missed = violation(target, history.mean[target.property][among])
        misses = misses + weights[target.property] * missed / np.median(history.std[target.property][among])
    return among[choose_rows(problem.scale(history.realised[among]), misses, MAX_ROWS)]


def _inputs(problem: Problem, vectors: IntVectors) -> Array:
    """What the models see of (n, 15) descriptors: scaled features, and the distance to the reference; (n, 15)."""
    far = problem.realism.distance(vectors) / problem.realism.limit
    return np.concatenate([problem.scale(vectors), far[:, None]], axis=1)


def local_yield(problem: Problem, history: History, x: Array, round_index: int) -> Array:
    """Return the chance that a sample near each prompt is valid, of the wanted structure, and new; shape (n,).

    A discounted count of accepted against generated samples in the neighbourhood, shrunk to the overall rate: it
    falls where a neighbourhood has been mined out, and where the generator or the structure filter refuses.
    """
    recent = np.flatnonzero(history.round >= round_index - AGE)
    prompts, group = np.unique(history.requested[recent], axis=0, return_inverse=True)
    age = FORGET ** (round_index - 1 - history.round[recent])
    generated = np.bincount(group.reshape(-1), age, len(prompts))
    accepted = np.bincount(group.reshape(-1), age * history.accepted[recent], len(prompts))
    overall = float(accepted.sum() + 1) / float(generated.sum() + 2)
    near = closeness(x, problem.scale(prompts), NEAR)
    return np.asarray((2 * overall + near @ accepted) / (2 + near @ generated), dtype=np.float64)


def _windows(problem: Problem, history: History) -> dict[str, tuple[float, float]]:
    each = problem.confidence ** (1 / len(problem.targets))
    return {
        target.property: needed(target, float(np.nanmedian(history.std[target.property])), each) for target in problem.targets
    }


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
