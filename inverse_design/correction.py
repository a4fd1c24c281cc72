"""What a laboratory's measurements say about a surrogate's predictions: a Gaussian process on the residuals.

residual = measured - predicted ~ GP(0, s^2 (offset^2 + slope^2 z z' + local^2 T)) + noise, with s the surrogate's own error, z
the standardised prediction and T the Tanimoto kernel of Morgan fingerprints (Ralaivola et al., Neural Networks 18:1093, 2005).
Without the local term this is Bayesian linear regression: an affine correction, shrunk towards none. No correction, an affine
one and a local one are averaged with weights from their leave-one-out errors, which a Gaussian process has in closed form
(Rasmussen & Williams 2006, section 5.4.2; weights: Yao et al., Bayesian Analysis 13:917, 2018), and from prior odds in favour
of none: where a surrogate knows polymers of a kind, what is left of its errors has no structure that could be learnt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from inverse_design.novelty import BITS, Packed, fingerprint
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.protocols import Prediction

FEWEST: Final = 3
"""Measured polymers from which predictions are corrected."""
DOUBT: Final = 2.0
"""Logarithm of the prior odds of no correction. With 2, polymers of kinds that the surrogates know come out at most 1.4 % worse,
and those of kinds they do not know keep nine tenths of what they gain with 0 (tests/benchmarks/lab.md)."""
_TRUST: Final = 10.0  # measurements that the surrogate's own error bars count for

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Standard deviations of the terms, in errors of the surrogate; noise: what is left of its error beside them."""

    name: str
    offset: float = 0.0
    slope: float = 0.0
    local: float = 0.0
    noise: float = 1.0


NONE: Final = Form(name="none")
AFFINE: Final = Form(name="affine", offset=0.35, slope=0.2)
LOCAL: Final = Form(name="local", offset=0.35, slope=0.2, local=1.5, noise=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A measured polymer: its canonical repeat unit, what was predicted, and what was measured, with its standard deviation."""

    canonical: str
    predicted: Prediction
    value: float
    std: float


class Residuals:
    """Residuals of one property at measured polymers, and what terms of one form make of them elsewhere."""

    def __init__(self, form: Form, points: Sequence[Point], scale: float) -> None:
        self.form, self.points = form, tuple(points)
        mean, std = (np.array([getattr(point.predicted, name) for point in points]) for name in ("mean", "std"))
        self._size = float(np.sqrt(np.mean(std**2)))
        # Predictions beyond the measured ones are not extrapolated to: the slope ends with the data.
        self._centre, self._width = float(mean.mean()), max(float(mean.std()), scale)
        self._ends = (float(mean.min()), float(mean.max()))
        self._z = self._standard(mean)
        self._bits = packed([point.canonical for point in points]) if form.local else None
        noise = form.noise**2 * std**2 + np.array([point.std**2 for point in points])
        self._residuals = np.array([point.value for point in points]) - mean
        self._inverse = np.linalg.inv(self._kernel(self._z, self._bits) + np.diag(noise))
        self._weights = self._inverse @ self._residuals

    def left_out(self) -> tuple[_Floats, _Floats]:
        """Return, per measured polymer, the error of what the others predict for it, and its standard deviation; both (n,)."""
        diagonal = np.diag(self._inverse)
        return self._weights / diagonal, 1 / np.sqrt(diagonal)

    def at(self, predicted: Prediction, canonical: str) -> tuple[float, float]:
        """Return mean and variance of the true value of a repeat unit in canonical form, given its prediction."""
        own = self.form.noise**2 * predicted.std**2
        shift = 0.0
        if self.form is not NONE:
            z = self._standard(np.array([predicted.mean]))
            bits = packed([canonical]) if self.form.local else None
            cross = self._kernel(z, bits)[0]
            itself = self._size**2 * (self.form.offset**2 + self.form.slope**2 * float(z[0]) ** 2 + self.form.local**2)
            shift = float(cross @ self._weights)
            own += max(itself - float(cross @ self._inverse @ cross), 0.0)
        return predicted.mean + shift, own

    def _standard(self, mean: _Floats) -> _Floats:
        return np.asarray((np.clip(mean, *self._ends) - self._centre) / self._width)

    def _kernel(self, z: _Floats, bits: Packed | None) -> _Floats:
        """Covariance of the residuals of (m,) predictions with those of the measured polymers, shape (m, n)."""
        form = self.form
        kernel = form.offset**2 + form.slope**2 * np.outer(z, self._z)
        if bits is not None and self._bits is not None:
            kernel = kernel + form.local**2 * tanimoto(bits, self._bits)
        return np.asarray(self._size**2 * kernel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """How to correct predictions of one property: the average of several forms.

    shares: name of the form -> its weight; before, after: leave-one-out RMSE without and with correction, in the property's unit;
    widen: factor on error bars, such that they fit the errors made when each measured polymer is left out.
    """

    points: tuple[Point, ...] = ()
    members: tuple[Residuals, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    before: float = 0.0
    after: float = 0.0
    widen: float = 1.0

    @property
    def measured(self) -> int:
        """How many measured polymers there are."""
        return len(self.points)

    @classmethod
    def fit(cls, points: Sequence[Point], scale: float) -> Self:
        """Weigh the forms by their leave-one-out errors; `scale` is a width of the property that a chemist calls large.

        With fewer than three measured polymers nothing is corrected, nor where the average would be further off than no correction.
        The result does not depend on the order of the points.
        """
        points = sorted(points, key=lambda point: point.canonical)
        if len(points) < FEWEST:
            return cls(points=tuple(points))
        members = [Residuals(form, points, scale) for form in (NONE, AFFINE, LOCAL)]
        errors, stds = (np.stack(column) for column in zip(*(one.left_out() for one in members), strict=True))
        rmse = np.sqrt(np.mean(errors**2, axis=1))
        # The likelihood of n left-out points is rmse ** -n; its root, since errors of few points are themselves uncertain.
        odds = (np.maximum(rmse, 1e-9 * scale) / max(float(rmse.max()), 1e-9 * scale)) ** (-len(points) / 2)
        odds[0] *= math.exp(DOUBT)
        weights = odds / odds.sum()
        mean = weights @ errors
        if np.sqrt(np.mean(mean**2)) > rmse[0]:
            members, weights, errors, stds, mean = members[:1], np.ones(1), errors[:1], stds[:1], errors[0]
        variance = weights @ (stds**2 + (errors - mean) ** 2)
        widen = math.sqrt((float(np.sum(mean**2 / variance)) + _TRUST) / (len(points) + _TRUST))
        shares = {one.form.name: float(weight) for one, weight in zip(members, weights, strict=True)}
        after = float(np.sqrt(np.mean(mean**2)))
        return cls(
            points=tuple(points),
            members=tuple(members),
            shares=shares,
            before=float(rmse[0]),
            after=after,
            widen=widen,
        )

    def __call__(self, predicted: Prediction, canonical: str) -> Prediction:
        """Return the corrected prediction of a repeat unit in canonical form."""
        if not self.members:
            return predicted
        means, variances = np.array([member.at(predicted, canonical) for member in self.members]).T
        weights = np.array(list(self.shares.values()))
        mean = float(weights @ means)
        variance = float(weights @ (variances + (means - mean) ** 2))
        return Prediction(mean=mean, std=self.widen * math.sqrt(variance), in_domain=predicted.in_domain)


def packed(canonical: Sequence[str]) -> Packed:
    """Return the fingerprints of canonical repeat units, packed, shape (n, 128)."""
    return np.frombuffer(b"".join(map(_bits, canonical)), np.uint8).reshape(len(canonical), BITS // 8)


@lru_cache(maxsize=1 << 16)
def _bits(canonical: str) -> bytes:
    unit = parse(canonical)
    assert isinstance(unit, RepeatUnit), canonical
    return fingerprint(unit.mol)


def tanimoto(a: Packed, b: Packed) -> _Floats:
    """Return Tanimoto similarities of packed fingerprints (m, 128) and (n, 128), shape (m, n)."""
    shared = np.bitwise_count(a[:, None] & b[None]).sum(axis=-1, dtype=np.int64)
    counts = [np.bitwise_count(one).sum(axis=-1, dtype=np.int64) for one in (a, b)]
    return np.asarray(shared / (counts[0][:, None] + counts[1][None] - shared), dtype=np.float64)
