"""What a property must be, what surrogates say it is, and how likely the two agree."""

from __future__ import annotations

from builtins import property as computed  # `Target` has a member of that name
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from inverse_design.protocols import Prediction, Row

Vector = NDArray[np.float64]


class Target(Protocol):
    """One property and its bounds in the property's own unit, infinite where open (`spec.Target` is one)."""

    @computed
    def property(self) -> str: ...
    @computed
    def low(self) -> float: ...
    @computed
    def high(self) -> float: ...
    @computed
    def direction(self) -> Literal["maximize", "minimize"] | None: ...
    @computed
    def weight(self) -> float: ...


def log_feasibility(target: Target, mean: Vector, std: Vector) -> Vector:
    """Return log P(low <= Y <= high) for Y ~ N(mean, std), shape (n,)."""
    return log_interval(mean, std, target.low, target.high)


def violation(target: Target, mean: Vector) -> Vector:
    """Return by how much `mean` misses the bounds, in the property's own unit; 0 within them."""
    return np.maximum(np.maximum(target.low - mean, mean - target.high), 0.0)


def needed(target: Target, std: float, confidence: float) -> tuple[float, float]:
    """Return the bounds a predicted mean must lie in for the target to hold with `confidence`, given its error."""
    margin = NormalDist().inv_cdf(confidence) * std
    low, high = target.low + margin, target.high - margin
    if low > high:
        # Narrower than the predictor resolves: aim at the middle.
        middle, half = (target.low + target.high) / 2, 0.1 * (target.high - target.low)
        return middle - half, middle + half
    return low, high


def log_interval(mean: Vector, std: Vector, low: float, high: float) -> Vector:
    """Return log(Phi((high - mean) / std) - Phi((low - mean) / std)) without cancellation in either tail."""
    upper, lower = (high - mean) / std, (low - mean) / std
    # Phi(b) - Phi(a) = Phi(-a) - Phi(-b): work in the tail where both are small.
    flip = lower + upper > 0
    a, b = np.where(flip, -upper, lower), np.where(flip, -lower, upper)
    log_b, log_a = log_ndtr(b), log_ndtr(a)
    with np.errstate(divide="ignore"):
        return np.asarray(log_b + np.log1p(-np.exp(np.minimum(log_a - log_b, -1e-16))), dtype=np.float64)


def combine(answers: Sequence[Prediction]) -> Prediction | None:
    """Combine the surrogates that answer one property of one repeat unit (see `combine_many`); None where there are none."""
    if not answers:
        return None
    columns = ([answer.mean for answer in answers], [answer.std for answer in answers], [answer.in_domain for answer in answers])
    mean, std, in_domain = combine_many(*(np.array([column]) for column in columns))
    return Prediction(mean=float(mean[0]), std=float(std[0]), in_domain=bool(in_domain[0]))


def combine_many(mean: Vector, std: Vector, in_domain: NDArray[np.bool_]) -> tuple[Vector, Vector, NDArray[np.bool_]]:
    """Combine the answers of s surrogates, all arrays (n, s), NaN where one has none: calibrated precision, widened where
    they disagree; arrays (n,), NaN where nobody answers.

    Surrogates in their domain weigh in alone when there are any. The variance is the larger of the pooled one and
    the weighted scatter of the means (the Birge ratio of metrology: Birge, Phys. Rev. 40:207, 1932), never less than the best single
    surrogate's, since errors of models trained on the same data are not independent.
    """
    if not mean.shape[1]:
        return np.full(len(mean), np.nan), np.full(len(mean), np.nan), np.zeros(len(mean), dtype=bool)
    answered = ~np.isnan(mean)
    known = answered & in_domain
    inside: NDArray[np.bool_] = np.any(known, axis=1)
    heard = np.where(inside[:, None], known, answered)
    none: NDArray[np.bool_] = ~np.any(heard, axis=1)
    variances = np.where(heard, std, 1.0) ** 2
    weights = np.where(heard, 1 / variances, 0.0)
    weights /= np.where(none, 1.0, weights.sum(axis=1))[:, None]
    means = np.where(heard, mean, 0.0)
    middle = (weights * means).sum(axis=1)
    scatter = (weights * (means - middle[:, None]) ** 2).sum(axis=1)
    least = np.where(heard, variances, np.inf).min(axis=1)
    nan = np.where(none, np.nan, 0.0)
    return middle + nan, np.sqrt(np.where(none, 0.0, least) + scatter) + nan, inside


def combined(answers: Sequence[Row], name: str) -> Prediction | None:
    """Combine the stored answers of surrogates to one property, {property, mean, std, in_domain}; None where there is none."""
    return combine(
        [
            Prediction(mean=row["mean"], std=row["std"], in_domain=row["in_domain"])
            for row in answers
            if row["property"] == name and row["mean"] is not None
        ]
    )


def joint_log_feasibility(targets: Sequence[Target], predictions: Mapping[str, Prediction]) -> float:
    """Return the log probability that every target holds, properties taken as independent given the structure."""
    each = [(target, predictions[target.property]) for target in targets]
    return sum(float(log_feasibility(target, np.array([answer.mean]), np.array([answer.std]))[0]) for target, answer in each)
