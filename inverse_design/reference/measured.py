"""What is known of each property over real polymers: quantiles of the measured values, and how properties go together.

Built by `python -m inverse_design.reference.build DATA OUT` into properties.json; no value of any one polymer is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import norm, spearmanr

from inverse_design.errors import ModelError
from inverse_design.target import Vector

TABLE: Final = Path(__file__).parent / "properties.json"
LEVELS: Final = 101
"""Quantiles kept of a property: 0 to 100 %."""
DRAWS: Final = 200_000

Window = tuple[str, float, float]
"""A property and its least and greatest value, infinite where open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Quantiles (101,) of each property over real polymers, and rank correlations of pairs: (a, b) -> (polymers, rho)."""

    counts: Mapping[str, int]
    quantiles: Mapping[str, Vector]
    pairs: Mapping[tuple[str, str], tuple[int, float]]

    @classmethod
    def load(cls, path: Path = TABLE) -> Measured:
        """Read the table; ModelError where it is missing or damaged."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                counts={name: int(row["polymers"]) for name, row in stored["properties"].items()},
                quantiles={name: np.array(row["quantiles"], dtype=np.float64) for name, row in stored["properties"].items()},
                pairs={
                    (row["of"][0], row["of"][1]): (int(row["polymers"]), float(row["rank_correlation"]))
                    for row in stored["pairs"]
                },
            )
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ModelError(f"{path}: not a table of properties ({error!r}); reinstall, or build it anew") from error

    def share(self, window: Window) -> float:
        """Return the share of real polymers within a window, linear between quantiles."""
        low, high = self._levels(window)
        return high - low

    def _levels(self, window: Window) -> tuple[float, float]:
        name, *bounds = window
        values = self.quantiles[name]
        low, high = np.interp(bounds, values, np.linspace(0.0, 1.0, len(values)))
        return float(low), float(high)

    def correlation(self, a: str, b: str) -> tuple[int, float]:
        """Return (polymers with both, rank correlation); (0, 0) where too few have both."""
        return self.pairs.get((a, b)) or self.pairs.get((b, a)) or (0, 0.0)

    def joint(self, windows: Sequence[Window]) -> float:
        """Return the share of real polymers within all windows at once, by a Gaussian copula (Nelsen 2006) of the rank correlations.

        Monte Carlo with a fixed seed: shares under 1 in 100,000 come out as 0.
        """
        size = len(windows)
        matrix = np.eye(size)
        for i, (name, _, _) in enumerate(windows):
            for j in range(i):
                matrix[i, j] = matrix[j, i] = 2 * np.sin(np.pi / 6 * self.correlation(name, windows[j][0])[1])
        values, vectors = np.linalg.eigh(matrix)  # pairwise correlations need not fit each other
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = np.random.default_rng(0).standard_normal((DRAWS, size)) @ root.T
        normal /= np.sqrt((root**2).sum(axis=1))
        inside = np.ones(DRAWS, dtype=bool)
        for column, window in zip(normal.T, windows, strict=True):
            low, high = norm.ppf(self._levels(window))
            inside &= (column >= low) & (column <= high)
        return float(inside.mean())


def table(values: Mapping[str, Mapping[str, float]]) -> str:
    """Return the JSON table of property -> polymer -> value; properties and pairs of fewer than 20 polymers are left out."""
    kept = {name: own for name, own in values.items() if len(own) >= 20}
    properties = {
        name: {
            "polymers": len(own),
            "quantiles": [float(f"{value:.5g}") for value in np.quantile(list(own.values()), np.linspace(0, 1, LEVELS))],
        }
        for name, own in sorted(kept.items())
    }
    pairs = []
    names = sorted(kept)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            both = sorted(kept[a].keys() & kept[b].keys())
            if len(both) >= 20:
                rho = float(spearmanr(*([kept[name][polymer] for polymer in both] for name in (a, b))).statistic)
                pairs.append({"of": [a, b], "polymers": len(both), "rank_correlation": round(rho, 3)})
    return json.dumps({"properties": properties, "pairs": pairs}, separators=(",", ":")) + "\n"
