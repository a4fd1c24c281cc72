"""What a laboratory's measurements say about a surrogate's predictions: a Gaussian process on the residuals.

residual = measured - predicted ~ GP(0, s^2 (offset^2 + slope^2 z z' + local^2 T)) + noise, with s the surrogate's own error, z
the standardised prediction and T the Tanimoto kernel of Morgan fingerprints (Ralaivola et al., Neural Networks 18:1093, 2005).
Without the local term this is Bayesian linear regression: an affine correction, shrunk towards none. Which terms are used is
decided by leave-one-out errors, which a Gaussian process has in closed form (Rasmussen & Williams 2006, section 5.4.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inverse_design.novelty import BITS, Packed, fingerprint
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.protocols import Prediction

LOCAL_FROM: Final = 15
"""Measured polymers from which structure may tell where predictions are off."""
FEWEST: Final = 3
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


class Correction:
    """How to correct predictions of one property, given measured polymers.

    form: the terms in use; before, after: leave-one-out RMSE without and with them, in the property's unit; widen: factor on error
    bars, such that they fit the errors made when each measured polymer is left out.
    """

    def __init__(self, form: Form, points: Sequence[Point], scale: float) -> None:
        self.form, self.points = form, tuple(points)
        self.before = self.after = 0.0
        self.widen = 1.0
        mean, std = (np.array([getattr(point.predicted, name) for point in points]) for name in ("mean", "std"))
        self._size = float(np.sqrt(np.mean(std**2))) if len(points) else 0.0
        # Predictions beyond the measured ones are not extrapolated to: the slope ends with the data.
        self._centre, self._width = (float(mean.mean()), max(float(mean.std()), scale)) if len(points) else (0.0, scale)
        self._ends = (float(mean.min()), float(mean.max())) if len(points) else (0.0, 0.0)
        self._z = self._standard(mean)
        self._bits = packed([point.canonical for point in points]) if form.local else None
        noise = form.noise**2 * std**2 + np.array([point.std**2 for point in points])
        self._residuals = np.array([point.value for point in points]) - mean
        self._inverse = np.linalg.inv(self._kernel(self._z, self._bits) + np.diag(noise)) if len(points) else np.empty((0, 0))
        self._weights = self._inverse @ self._residuals

    @classmethod
    def fit(cls, points: Sequence[Point], scale: float) -> Correction:
        """Choose the form with the least leave-one-out error; `scale` is a width of the property that a chemist calls large.

        With fewer than three measured polymers nothing is corrected. The result does not depend on the order of the points.
        """
        points = sorted(points, key=lambda point: point.canonical)
        none = cls(NONE, points, scale)
        if len(points) < FEWEST:
            return none
        found = [none, cls(AFFINE, points, scale), *([cls(LOCAL, points, scale)] if len(points) >= LOCAL_FROM else [])]
        best = min(found, key=lambda one: one.rmse())  # the simplest among equals
        best.before, best.after = none.rmse(), best.rmse()
        error, std = best.left_out()
        best.widen = math.sqrt((float(np.sum((error / std) ** 2)) + _TRUST) / (len(points) + _TRUST))
        return best

    def left_out(self) -> tuple[_Floats, _Floats]:
        """Return, per measured polymer, the error of what the others predict for it, and its standard deviation; both (n,)."""
        diagonal = np.diag(self._inverse)
        return self._weights / diagonal, 1 / np.sqrt(diagonal)

    def rmse(self) -> float:
        """Return the leave-one-out root mean square error."""
        return float(np.sqrt(np.mean(self.left_out()[0] ** 2)))

    def __call__(self, predicted: Prediction, canonical: str) -> Prediction:
        """Return the corrected prediction of a repeat unit in canonical form."""
        own = self.form.noise**2 * predicted.std**2
        shift = 0.0
        if self.form is not NONE:
            z = self._standard(np.array([predicted.mean]))
            bits = packed([canonical]) if self.form.local else None
            cross = self._kernel(z, bits)[0]
            itself = self._size**2 * (self.form.offset**2 + self.form.slope**2 * float(z[0]) ** 2 + self.form.local**2)
            shift = float(cross @ self._weights)
            own += max(itself - float(cross @ self._inverse @ cross), 0.0)
        return Prediction(mean=predicted.mean + shift, std=self.widen * math.sqrt(own), in_domain=predicted.in_domain)

    def _standard(self, mean: _Floats) -> _Floats:
        return np.asarray((np.clip(mean, *self._ends) - self._centre) / self._width)

    def _kernel(self, z: _Floats, bits: Packed | None) -> _Floats:
        """Covariance of the residuals of (m,) predictions with those of the measured polymers, shape (m, n)."""
        form = self.form
        kernel = form.offset**2 + form.slope**2 * np.outer(z, self._z)
        if bits is not None and self._bits is not None:
            kernel = kernel + form.local**2 * tanimoto(bits, self._bits)
        return np.asarray(self._size**2 * kernel)


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
