"""Error bars that mean what they say: residuals on repeat units never trained on, by predicted range and domain.

Mondrian split conformal (Vovk et al. 2005): an 80 % interval is as wide as the 80 % quantile of the residuals of
calibration units in the same third of the predicted range, in or out of domain. Before that, what the model misses on
average at low and high values is given back. Spread over spellings of one molecule is no error bar.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inverse_design.protocols import Prediction

Z80 = 1.2815515655446004
"""Half-width of an 80 % interval of a normal distribution, in standard deviations."""

_ENOUGH = 25  # residuals that a group needs for a quantile of its own
_TAILS = (0.05, 0.5, 0.95)  # quantiles of the predictions at which the bias is told
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Errors of one property.

    knots, bias: predicted values, and what to add there, straight lines between; edges: borders between thirds of the
    predictions so corrected; inside, outside: per third, standard deviations such that mean +- Z80 std holds 80 % of the
    truths, in and out of domain, in the property's unit or, for a model with error bars of its own, in these;
    growth: errors go as exp(growth * (1 - similarity to the nearest repeat unit of the training set)), which the standard deviations
    come on top of; similarity: the lowest that counts as in domain; n: residuals behind it.
    """

    knots: tuple[float, ...]
    bias: tuple[float, ...]
    edges: tuple[float, ...]
    inside: tuple[float, ...]
    outside: tuple[float, ...]
    similarity: float = 0.0
    growth: float = 0.0
    n: int = 0

    @classmethod
    def constant(cls, half_width: float) -> Self:
        """Return the calibration of a model of which only the half-width of its 80 % interval is known."""
        same = (half_width / Z80,) * 3
        return cls(knots=(0.0,), bias=(0.0,), edges=(0.0, 0.0), inside=same, outside=same)

    @classmethod
    def fit(cls, predicted: _Floats, true: _Floats, similarity: _Floats, spread: _Floats | None = None) -> Self:
        """Measure the errors of predictions (n,) on repeat units (n,) never trained on; all in the property's unit.

        spread: the model's own standard deviations, where it has any.
        """
        spread = np.ones(len(true)) if spread is None else spread
        knots, bias = tail_bias(predicted, true - predicted)
        corrected = predicted + np.interp(predicted, knots, bias)
        edges = np.quantile(corrected, [1 / 3, 2 / 3])
        third = np.digitize(corrected, edges)
        left = np.abs(true - corrected) / spread
        growth = _growth(left, similarity)
        left = left / np.exp(growth * (1 - similarity))
        # Where errors grow is out of domain, whether or not the model's own error bars grow with them.
        limit = _domain(np.abs(true - corrected), similarity)
        far = similarity < limit
        ratio = quantile80(left[far]) / quantile80(left[~far]) if far.any() else 1.0
        pooled = quantile80(np.where(far, left / max(ratio, 1.0), left))
        inside, outside = [], []
        for i in range(3):
            near, away = left[(third == i) & ~far], left[(third == i) & far]
            inside.append(quantile80(near) if len(near) >= _ENOUGH else pooled)
            # Out of domain an error bar may be wider than in domain, never narrower.
            outside.append(max(inside[-1], quantile80(away) if len(away) >= _ENOUGH else inside[-1] * ratio))
        return cls(
            knots=_floats(knots),
            bias=_floats(bias),
            edges=_floats(edges),
            inside=_floats(np.array(inside) / Z80),
            outside=_floats(np.array(outside) / Z80),
            similarity=limit,
            growth=growth,
            n=len(true),
        )

    def relative(self, predicted: _Floats, true: _Floats, similarity: _Floats, spread: _Floats | None = None) -> _Floats:
        """Return the absolute errors (n,) of predictions, each in its own standard deviations; spread: as in `fit`."""
        spread = np.ones(len(true)) if spread is None else spread
        bars = [self.predict(*map(float, one)) for one in zip(predicted, similarity, spread, strict=True)]
        return np.array([abs(bar.mean - value) / bar.std for bar, value in zip(bars, true, strict=True)])

    def scaled(self, relative: _Floats) -> Self:
        """Return the same shape of errors, brought to the size of others, `relative` (n,) to it, which it was not made of."""
        factor = quantile80(relative) / Z80
        inside, outside = (tuple(factor * width for width in widths) for widths in (self.inside, self.outside))
        return replace(self, inside=inside, outside=outside)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read one entry of `calibration.json`; raises KeyError, TypeError or ValueError where it is not one."""
        parts = {name: tuple(float(x) for x in values[name]) for name in ("knots", "bias", "edges", "inside", "outside")}
        if [len(part) for part in parts.values()] != [max(1, len(parts["bias"])), len(parts["knots"]), 2, 3, 3]:
            raise ValueError("lists of the wrong length")
        growth = float(values.get("growth", 0.0))
        return cls(**parts, similarity=float(values["similarity"]), growth=growth, n=int(values["n"]))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def predict(self, mean: float, similarity: float, spread: float = 1.0) -> Prediction:
        """Return the calibrated answer for a raw prediction."""
        corrected = mean + float(np.interp(mean, self.knots, self.bias))
        known = similarity >= self.similarity
        widths = self.inside if known else self.outside
        std = spread * math.exp(self.growth * (1 - similarity)) * widths[int(np.digitize(corrected, self.edges))]
        return Prediction(mean=corrected, std=std, in_domain=known)


def quantile80(errors: _Floats) -> float:
    """Return the conformal 80 % quantile of absolute errors: the ceil(0.8 (n + 1))-th smallest."""
    rank = min(len(errors), math.ceil(0.8 * (len(errors) + 1)))
    return float(np.sort(errors)[rank - 1])


def tail_bias(predicted: _Floats, residuals: _Floats) -> tuple[_Floats, _Floats]:
    """Return predicted values and the mean residual there, straight lines between, as far as residuals (n,) support it.

    Ridge regression on hat functions; the penalty that predicts each residual best from the others decides, an infinite
    one, which is no correction, included.
    """
    knots = np.unique(np.quantile(predicted, _TAILS))
    hats = np.stack([np.interp(predicted, knots, one) for one in np.eye(len(knots))], axis=1)
    best, bias = float(np.sum(residuals**2)), np.zeros(len(knots))
    for penalty in np.geomspace(1, len(residuals), 8):
        solved = np.linalg.solve(hats.T @ hats + penalty * np.eye(len(knots)), hats.T)
        leverage = np.sum(hats * solved.T, axis=1)
        left_out = float(np.sum(((residuals - hats @ (solved @ residuals)) / (1 - leverage)) ** 2))
        if left_out < best:
            best, bias = left_out, solved @ residuals
    return knots, bias


def _growth(errors: _Floats, similarity: _Floats) -> float:
    """Return how fast absolute errors (n,) grow with the distance to the training set: the likeliest rate for Laplace
    errors, a priori of the order of 1."""
    rates = np.arange(0, 4.25, 0.25)
    far = 1 - similarity
    fits = [-rate * far.sum() - len(far) * np.log(np.mean(errors * np.exp(-rate * far))) - rate**2 / 2 for rate in rates]
    return float(rates[int(np.argmax(fits))])


def _domain(errors: _Floats, similarity: _Floats) -> float:
    """Return the similarity below which 80 % quantiles of errors differ most from the rest's, 0 where none is clearly larger."""
    limit, largest = 0.0, 1.2
    few = max(20, 0.05 * len(errors))
    for one in np.arange(0.2, 0.65, 0.05):
        far = similarity < one
        if far.sum() >= few and (~far).sum() >= few:
            ratio = quantile80(errors[far]) / quantile80(errors[~far])
            if ratio > largest:
                limit, largest = float(round(one, 2)), ratio
    return limit


def _floats(values: _Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
