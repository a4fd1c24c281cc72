"""What a laboratory has measured, and what follows from it for every prediction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self

import numpy as np
from scipy.stats import truncnorm

from inverse_design.correction import Correction, Point
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction

Bound = Literal["", "<", ">"]

NOISE: Final = 0.2
"""Standard deviation of one measurement, in scales of the property: 10 degC for a glass transition, between laboratories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One cell of a laboratory's table as understood: a value, a bound, or a remark.

    value: in the property's own unit, None for a remark; bound: "<" where the value was below what could be measured;
    std: standard deviation where one was given; cell: the text; where: file, line and column.
    """

    canonical: str
    psmiles: str
    property: str
    value: float | None
    bound: Bound = ""
    std: float | None = None
    cell: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All readings of one property of one polymer: mean, standard deviation and number of values, bounds, and remarks."""

    value: float | None
    std: float
    count: int
    low: float
    high: float
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, readings: Sequence[Reading], scale: float) -> Self:
        """Summarise the readings of one property; its replicates count as one measurement with their mean."""
        exact = [reading for reading in readings if reading.value is not None and not reading.bound]
        values = [reading.value for reading in exact if reading.value is not None]
        # Replicates share the errors of their laboratory: they never beat the noise between laboratories.
        stds = [NOISE * scale, *(reading.std for reading in exact if reading.std is not None)]
        if len(values) > 1:
            stds.append(float(np.std(values, ddof=1)) / math.sqrt(len(values)))
        bounds = [(reading.bound, reading.value) for reading in readings if reading.value is not None]
        return cls(
            value=float(np.mean(values)) if values else None,
            std=max(stds),
            count=len(values),
            low=max((value for bound, value in bounds if bound == ">"), default=-math.inf),
            high=min((value for bound, value in bounds if bound == "<"), default=math.inf),
            remarks=tuple(reading.cell for reading in readings if reading.value is None),
        )

    def combined(self, predicted: Prediction | None) -> Prediction | None:
        """Return what is known of the polymer now: the measured value; or the prediction, cut off at the bounds."""
        if self.value is not None:
            return Prediction(mean=self.value, std=self.std, in_domain=True)
        if predicted is None or (self.low == -math.inf and self.high == math.inf) or self.low >= self.high:
            return predicted
        a, b = ((bound - predicted.mean) / predicted.std for bound in (self.low, self.high))
        if min(abs(a), abs(b)) > 8 and (a > 0 or b < 0):  # so far off that the prediction tells nothing
            bound = self.low if a > 0 else self.high
            return Prediction(mean=bound, std=self.std, in_domain=True)
        mean, variance = truncnorm.stats(a, b, loc=predicted.mean, scale=predicted.std, moments="mv")
        return Prediction(mean=float(mean), std=max(math.sqrt(float(variance)), 1e-6 * self.std), in_domain=predicted.in_domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """Everything measured, by canonical repeat unit and property, and the corrections that follow from it."""

    measured: Mapping[str, Mapping[str, Measured]] = field(default_factory=dict)
    corrections: Mapping[str, Correction] = field(default_factory=dict)

    @classmethod
    def of(cls, readings: Iterable[Reading], predicted: Mapping[str, Mapping[str, Prediction]]) -> Self:
        """Fit corrections; predicted: canonical repeat unit -> property -> what surrogates say, for those that have an answer.

        Bounds and remarks correct nothing: only values do.
        """
        found: dict[str, dict[str, list[Reading]]] = defaultdict(lambda: defaultdict(list))
        for reading in readings:
            found[reading.canonical][reading.property].append(reading)
        measured = {
            canonical: {
                name: Measured.of(own, PROPERTIES[name].scale if name in PROPERTIES else 1.0) for name, own in mine.items()
            }
            for canonical, mine in found.items()
        }
        points: dict[str, list[Point]] = defaultdict(list)
        for canonical, mine in measured.items():
            for name, one in mine.items():
                answer = predicted.get(canonical, {}).get(name)
                if one.value is not None and answer is not None:
                    points[name].append(Point(canonical=canonical, predicted=answer, value=one.value, std=one.std))
        corrections = {name: Correction.fit(own, PROPERTIES[name].scale) for name, own in sorted(points.items())}
        return cls(measured=measured, corrections=corrections)

    def answer(self, name: str, canonical: str, predicted: Prediction | None) -> Prediction | None:
        """Return what is known of one property of a repeat unit, given what surrogates predict."""
        correction = self.corrections.get(name)
        if predicted is not None and correction is not None:
            predicted = correction(predicted, canonical)
        one = self.measured.get(canonical, {}).get(name)
        return predicted if one is None else one.combined(predicted)
