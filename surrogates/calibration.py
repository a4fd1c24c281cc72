"""Error bars that mean what they say: residuals on repeat units never trained on, by predicted range and domain.

Mondrian split conformal (Vovk et al. 2005): an 80 % interval is as wide as the 80 % quantile of the residuals of the
calibration set in the same third of the predicted range. Spread over spellings of one molecule is no error bar.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inverse_design.protocols import Prediction

Z80 = 1.2815515655446004
"""Half-width of an 80 % interval of a normal distribution, in standard deviations."""

_ENOUGH = 25  # residuals that a third needs for a quantile of its own
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Errors of one property in thirds of the predicted range.

    edges: the two borders between thirds; bias: to subtract, per third; std: per third, such that mean +- Z80 std holds
    80 % of the truths; outside: factor on std out of domain; similarity: lowest Tanimoto similarity to a repeat unit of
    the training set that counts as in domain.
    """

    edges: tuple[float, float]
    bias: tuple[float, float, float]
    std: tuple[float, float, float]
    outside: float = 1.0
    similarity: float = 0.0

    @classmethod
    def constant(cls, half_width: float) -> Self:
        """Return the calibration of a model of which only the half-width of its 80 % interval is known."""
        std = half_width / Z80
        return cls(edges=(0.0, 0.0), bias=(0.0, 0.0, 0.0), std=(std, std, std))

    @classmethod
    def fit(cls, predicted: _Floats, true: _Floats, similarity: _Floats) -> Self:
        """Measure the errors of predictions (n,) on repeat units (n,) never trained on; all in the property's unit."""
        low, high = (float(edge) for edge in np.quantile(predicted, [1 / 3, 2 / 3]))
        third = np.digitize(predicted, [low, high])
        residuals = true - predicted
        # A mean of few residuals is mostly noise: shrink it towards zero by its own standard error.
        bias = np.array([_shrunk(residuals[third == i]) for i in range(3)])
        left = np.abs(residuals - bias[third])
        pooled = quantile80(left)
        widths = [quantile80(left[third == i]) if np.sum(third == i) >= _ENOUGH else pooled for i in range(3)]
        relative = left / np.array(widths)[third]
        limit, outside = _domain(relative, similarity)
        return cls(
            edges=(low, high),
            bias=_triple(-bias),
            std=_triple(np.array(widths) / Z80),
            outside=outside,
            similarity=limit,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read one entry of `calibration.json`; raises KeyError, TypeError or ValueError where it is not one."""
        edges, bias, std = ([float(x) for x in values[name]] for name in ("edges", "bias", "std"))
        (low, high), outside, similarity = edges, float(values["outside"]), float(values["similarity"])
        return cls(edges=(low, high), bias=_triple(bias), std=_triple(std), outside=outside, similarity=similarity)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def predict(self, mean: float, similarity: float) -> Prediction:
        """Return the calibrated answer for a raw prediction."""
        third = int(np.digitize(mean, self.edges))
        inside = similarity >= self.similarity
        return Prediction(mean=mean - self.bias[third], std=self.std[third] * (1.0 if inside else self.outside), in_domain=inside)


def quantile80(errors: _Floats) -> float:
    """Return the conformal 80 % quantile of absolute errors: the ceil(0.8 (n + 1))-th smallest."""
    rank = min(len(errors), math.ceil(0.8 * (len(errors) + 1)))
    return float(np.sort(errors)[rank - 1])


def _shrunk(residuals: _Floats) -> float:
    if len(residuals) < _ENOUGH:
        return 0.0
    mean, error = float(residuals.mean()), float(residuals.std() / math.sqrt(len(residuals)))
    return mean * mean**2 / (mean**2 + error**2)


def _domain(relative: _Floats, similarity: _Floats) -> tuple[float, float]:
    """Return the similarity below which errors are largest against the rest, and by how much the 80 % quantile grows."""
    best = (0.0, 1.0)
    for limit in np.arange(0.2, 0.65, 0.05):
        far = similarity < limit
        if far.sum() >= 20 and (~far).sum() >= 20:
            ratio = quantile80(relative[far]) / quantile80(relative[~far])
            if ratio > best[1]:
                best = (float(round(limit, 2)), ratio)
    return best


def _triple(values: Sequence[float] | _Floats) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
