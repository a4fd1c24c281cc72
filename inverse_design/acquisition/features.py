"""Descriptor vectors as the model of acquisition sees them: the 12 free dimensions and two ratios."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inverse_design.descriptor_names import COLUMN, NAMES

Array = NDArray[np.float64]
IntVectors = NDArray[np.integer[Any]]
"""Descriptors; those of samples have 32 bits, as there may be a million."""

FREE: Final = tuple(i for i, name in enumerate(NAMES) if name not in ("NumAliphaticRings", "NumAromaticRings", "RingCount"))
"""Columns of the descriptors that the three sums over rings do not fix."""


def features(vectors: IntVectors) -> Array:
    """Return (n, 14) features of (n, 15) descriptor vectors: the free descriptors, MolWt / heavy, rotatable / heavy."""
    x = np.asarray(vectors, dtype=np.float64)
    heavy = np.maximum(x[:, COLUMN["HeavyAtomCount"]], 1.0)
    ratios = np.stack([x[:, COLUMN["MolWt"]] / heavy, x[:, COLUMN["NumRotatableBonds"]] / heavy], axis=1)
    return np.concatenate([x[:, FREE], ratios], axis=1)


class Scale:
    """Fixed scaling of features by the reference prior, so that a resumed campaign sees the same numbers."""

    def __init__(self, prior: IntVectors) -> None:
        f = features(prior)
        self.low: Array = np.quantile(f, 0.005, axis=0)
        self.high: Array = np.maximum(np.quantile(f, 0.995, axis=0), self.low + 1.0)

    def __call__(self, vectors: IntVectors) -> Array:
        """Return features with the bulk of the prior within [0, 1]; shape (n, 14)."""
        return np.asarray((features(vectors) - self.low) / (self.high - self.low), dtype=np.float64)


def closeness(a: Array, b: Array, width: float) -> Array:
    """Return exp(-|a - b|^2 / 2 width^2) for scaled features (n, 14) and (m, 14); shape (n, m)."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.asarray(np.exp(-np.maximum(squares, 0.0) / (2 * width**2)), dtype=np.float64)
