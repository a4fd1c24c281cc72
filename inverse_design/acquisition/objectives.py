"""Maximise and minimise: two or three objectives by the volume they add (see `hypervolume`); one, or more than three, by a
randomly weighted Chebyshev distance to the best values seen, a new weighting every round.

ParEGO (Knowles, IEEE Trans. Evol. Comput. 10:50, 2006). With the distance max_k w_k (1 - g_k) of gains g in [0, 1],
"better than the best so far" means g_k > 1 - d* / w_k for every k, so its probability is a product of normal tails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import log_ndtr

from inverse_design import seeds
from inverse_design.acquisition.features import Array
from inverse_design.acquisition.history import History, Rows
from inverse_design.ranking import pareto_fronts

if TYPE_CHECKING:
    from inverse_design.acquisition.strategies import Problem

ENOUGH_PASSING = 8
"""Candidates that pass before their objectives count: feasibility comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """Per property to better: sign (1 maximise, -1 minimise), value of no gain, span up to full gain, weight; and the best distance."""

    terms: Mapping[str, tuple[float, float, float, float]]
    best: float
    front: Rows
    """Indices of the candidates that pass, best Pareto fronts first."""

    @property
    def by_volume(self) -> bool:
        """Whether there are two or three of them."""
        return 2 <= len(self.terms) <= 3

    @classmethod
    def of(cls, problem: Problem, history: History, round_index: int) -> Self | None:
        """Return this round's objectives; None where nothing is to be bettered, or too few pass as yet."""
        wanted = [target for target in problem.targets if target.direction is not None]
        passing = np.flatnonzero(history.in_domain & (history.log_feasibility >= np.log(problem.confidence)))
        if not wanted or len(passing) < ENOUGH_PASSING:
            return None
        shares = seeds.generator(problem.seed, round_index, 3).dirichlet(np.ones(len(wanted)))
        shares = shares * [target.weight for target in wanted]
        terms, distance = {}, np.zeros(len(passing))
        for target, share in zip(wanted, np.maximum(shares / shares.sum(), 1e-3), strict=True):
            sign = 1.0 if target.direction == "maximize" else -1.0
            values = sign * history.mean[target.property][passing]
            low = float(values.min())
            span = float(values.max()) - low or float(np.median(history.std[target.property][passing]))
            terms[target.property] = (sign, low, span, float(share))
            distance = np.maximum(distance, share * (1 - (values - low) / span))
        columns = [sign * history.mean[name][passing] for name, (sign, *_) in terms.items()]
        fronts = pareto_fronts(np.stack(columns, axis=1))
        return cls(terms=terms, best=float(distance.min()), front=passing[np.argsort(fronts, kind="stable")])

    def log_better(self, answers: Mapping[str, tuple[Array, Array]]) -> Array:
        """Return the log probability of a smaller distance than the best so far; answers: property -> mean and std, (n,)."""
        total = 0.0
        for name, (sign, low, span, weight) in self.terms.items():
            mean, std = answers[name]
            needed = low + span * (1 - self.best / weight)
            total = total + log_ndtr((sign * mean - needed) / std)
        return np.asarray(total, dtype=np.float64)

    def gain(self, draws: Mapping[str, Array]) -> Array:
        """Return minus the distance of each draw, arrays of one shape."""
        each = [weight * (1 - (sign * draws[name] - low) / span) for name, (sign, low, span, weight) in self.terms.items()]
        return np.asarray(-np.max(each, axis=0), dtype=np.float64)
