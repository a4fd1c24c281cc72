"""What a property must be, what surrogates say it is, and how likely the two agree."""

from __future__ import annotations

from builtins import property as computed  # `Target` has a member of that name
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction, Row
from inverse_design.units import Unit

Vector = NDArray[np.float64]
Flags = NDArray[np.bool_]
Answers = tuple[Vector, Vector, Flags]
"""Means, standard deviations and whether in domain, each of shape (n,)."""

CORRELATED = 0.3
"""Correlation of the errors of two surrogates: of 0, .3, .5, .7 and .85 the one that combined them best on the calibration part
(`tests/benchmarks/combination.py`)."""


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
    @computed
    def shown(self) -> Unit: ...


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
    return _one(_many(answers))


def combine_many(mean: Vector, std: Vector, in_domain: Flags) -> Answers:
    """Combine the answers of s surrogates: calibrated precision, widened where they disagree.

    Arrays (n, s), NaN where one has no answer; returns arrays (n,), NaN where nobody answers; in domain where any surrogate
    is. An answer out of domain counts for no more than the least precise in domain. Weights are those of least variance for errors correlated by `CORRELATED` (Bates and
    Granger, Oper. Res. Q. 20:451, 1969); one that would weigh in negatively is not heard. To the variance of the best
    single surrogate comes the weighted scatter of the means: errors of models trained on the same data are not
    independent, and agreement of two is no proof.
    """
    if not mean.shape[1]:
        return np.full(len(mean), np.nan), np.full(len(mean), np.nan), np.zeros(len(mean), dtype=bool)
    answered = ~np.isnan(mean)
    inside: Flags = np.any(answered & in_domain, axis=1)
    precision = np.where(answered, 1 / np.where(answered, std, 1.0), 0.0)
    least = np.where(answered & in_domain, precision, np.inf).min(axis=1)
    precision = np.where(in_domain, precision, np.minimum(precision, least[:, None]))
    none: Flags = ~np.any(precision, axis=1)
    while True:
        # The inverse of an equicorrelated matrix in closed form; the least precise answer is the first to weigh negatively.
        count = np.maximum((precision > 0).sum(axis=1), 1)
        shared = CORRELATED * precision.sum(axis=1) / (1 + (count - 1) * CORRELATED)
        last = np.where(precision > 0, precision, np.inf).argmin(axis=1)
        rows = np.flatnonzero((precision[np.arange(len(mean)), last] <= shared) & (count > 1))
        if not len(rows):
            break
        precision[rows, last[rows]] = 0.0
    weights = precision * (precision - shared[:, None])
    weights /= np.where(none, 1.0, weights.sum(axis=1))[:, None]
    means = np.where(precision > 0, mean, 0.0)
    middle = (weights * means).sum(axis=1)
    scatter = (weights * (means - middle[:, None]) ** 2).sum(axis=1)
    best = precision.max(axis=1)
    nan = np.where(none, np.nan, 0.0)
    return middle + nan, np.sqrt(np.where(none, 1.0, best) ** -2.0 + scatter) + nan, inside


def combined(answers: Sequence[Row], name: str) -> Prediction | None:
    """Combine the stored answers of surrogates to one property, {property, mean, std, in_domain}; None where there is none."""
    said: dict[str, list[Prediction]] = {}
    for row in answers:
        if row["mean"] is not None:
            answer = Prediction(mean=row["mean"], std=row["std"], in_domain=row["in_domain"])
            said.setdefault(row["property"], []).append(answer)
    return consensus(name, said)


def consensus(name: str, answers: Mapping[str, Sequence[Prediction]]) -> Prediction | None:
    """Return what all surrogates together say of a property of one repeat unit; None where one of its terms has no answer.

    answers: property -> what each surrogate says of it.
    """
    return _one(consensus_many(name, {term: _many(answers.get(term, ())) for term in PROPERTIES[name].asked}))


def consensus_many(name: str, heard: Mapping[str, Answers]) -> Answers:
    """Return the answers to a property from those to what models are asked for it (`Property.asked`), arrays (n,).

    Errors of a derived property are propagated to first order, with the correlation that the table of properties gives for its terms.
    """
    item = PROPERTIES[name]
    if not item.terms:
        return heard[name]
    weights = np.array(list(item.terms.values()))[:, None]
    means, stds = (np.stack([heard[term][part] for term in item.terms]) for part in (0, 1))
    inside: Flags = np.all([heard[term][2] for term in item.terms], axis=0)
    spreads = weights * stds
    variance = (1 - item.correlation) * (spreads**2).sum(axis=0) + item.correlation * spreads.sum(axis=0) ** 2
    return item.constant + (weights * means).sum(axis=0), np.sqrt(variance), inside


def _many(answers: Sequence[Prediction]) -> Answers:
    columns = ([answer.mean for answer in answers], [answer.std for answer in answers], [answer.in_domain for answer in answers])
    mean, std, inside = (np.array([column], dtype=kind) for column, kind in zip(columns, (float, float, bool), strict=True))
    return combine_many(mean, std, inside)


def _one(answers: Answers) -> Prediction | None:
    mean, std, inside = (array[0] for array in answers)
    return None if np.isnan(mean) else Prediction(mean=float(mean), std=float(std), in_domain=bool(inside))


def joint_log_feasibility(targets: Sequence[Target], predictions: Mapping[str, Prediction]) -> float:
    """Return the log probability that every target holds, properties taken as independent given the structure."""
    each = [(target, predictions[target.property]) for target in targets]
    return sum(float(log_feasibility(target, np.array([answer.mean]), np.array([answer.std]))[0]) for target, answer in each)
