"""What a property must be, what surrogates say it is, and how likely the two agree."""

from __future__ import annotations

import math
from builtins import property as computed  # `Target` has a member of that name
from collections.abc import Mapping, Sequence
from typing import Protocol

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


def log_feasibility(target: Target, mean: Vector, std: Vector) -> Vector:
    """Return log P(low <= Y <= high) for Y ~ N(mean, std), shape (n,)."""
    return log_interval(mean, std, target.low, target.high)


def violation(target: Target, mean: Vector) -> Vector:
    """Return by how much `mean` misses the bounds, in the property's own unit; 0 within them."""
    return np.maximum(np.maximum(target.low - mean, mean - target.high), 0.0)


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
    """Combine the surrogates that answer one property: calibrated precision, widened where they disagree.

    Surrogates in their domain weigh in alone when there are any. The variance is the larger of the pooled one and
    the weighted scatter of the means (the Birge ratio of metrology: Birge, Phys. Rev. 40:207, 1932), never less than the best single
    surrogate's, since errors of models trained on the same data are not independent.
    """
    heard = [answer for answer in answers if answer.in_domain] or list(answers)
    if not heard:
        return None
    means = np.array([answer.mean for answer in heard])
    variances = np.array([answer.std**2 for answer in heard])
    weights = (1 / variances) / np.sum(1 / variances)
    mean = float(weights @ means)
    scatter = float(weights @ (means - mean) ** 2)
    variance = float(variances.min()) + scatter
    return Prediction(mean=mean, std=math.sqrt(variance), in_domain=any(answer.in_domain for answer in answers))


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
    total = 0.0
    for target in targets:
        answer = predictions[target.property]
        total += float(log_feasibility(target, np.array([answer.mean]), np.array([answer.std]))[0])
    return total
