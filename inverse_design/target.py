"""What a property must be, what surrogates say it is, and how likely the two agree."""

from __future__ import annotations

import math
from builtins import property as computed  # `Target` has a member of that name
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction, Row

Vector = NDArray[np.float64]

CORRELATED = 0.5
"""Correlation of the errors of two surrogates: of 0, .3, .5, .7 and .85 the one that combined them best on the calibration part."""


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

    Surrogates in their domain weigh in alone when there are any. Weights are those of least variance for errors correlated
    by `CORRELATED` (Bates and Granger, Oper. Res. Q. 20:451, 1969); one that would weigh in negatively is not heard. To
    the variance of the best single surrogate comes the weighted scatter of the means: errors of models trained on the
    same data are not independent, and agreement of two is no proof.
    """
    heard = [answer for answer in answers if answer.in_domain] or list(answers)
    if not heard:
        return None
    heard.sort(key=lambda answer: answer.std)
    while True:
        stds = np.array([answer.std for answer in heard])
        correlation = CORRELATED + (1 - CORRELATED) * np.eye(len(heard))
        weights = np.linalg.solve(correlation, 1 / stds) / stds
        if weights[-1] > 0:
            break
        heard.pop()
    weights /= weights.sum()
    means = np.array([answer.mean for answer in heard])
    mean = float(weights @ means)
    variance = float(stds[0] ** 2 + weights @ (means - mean) ** 2)
    return Prediction(mean=mean, std=math.sqrt(variance), in_domain=any(answer.in_domain for answer in answers))


def combined(answers: Sequence[Row], name: str) -> Prediction | None:
    """Combine the stored answers of surrogates to one property, {property, mean, std, in_domain}; None where there is none."""
    said: dict[str, list[Prediction]] = {}
    for row in answers:
        if row["mean"] is not None:
            answer = Prediction(mean=row["mean"], std=row["std"], in_domain=row["in_domain"])
            said.setdefault(row["property"], []).append(answer)
    return consensus(name, said)


def consensus(name: str, answers: Mapping[str, Sequence[Prediction]]) -> Prediction | None:
    """Return what all surrogates together say of a property, derived ones included; None where one of its terms has no answer.

    answers: property -> what each surrogate says of it. Errors of a derived property are propagated to first order, with
    the correlation that the table of properties gives for its terms.
    """
    item = PROPERTIES[name]
    if not item.terms:
        return combine(answers.get(name, ()))
    heard = [part for term in item.terms if (part := combine(answers.get(term, ()))) is not None]
    if len(heard) < len(item.terms):
        return None
    weights = np.array(list(item.terms.values()))
    spreads = weights * [part.std for part in heard]
    variance = (1 - item.correlation) * float(spreads @ spreads) + item.correlation * float(spreads.sum()) ** 2
    return Prediction(
        mean=item.constant + float(weights @ [part.mean for part in heard]),
        std=math.sqrt(variance),
        in_domain=all(part.in_domain for part in heard),
    )


def joint_log_feasibility(targets: Sequence[Target], predictions: Mapping[str, Prediction]) -> float:
    """Return the log probability that every target holds, properties taken as independent given the structure."""
    total = 0.0
    for target in targets:
        answer = predictions[target.property]
        total += float(log_feasibility(target, np.array([answer.mean]), np.array([answer.std]))[0])
    return total
