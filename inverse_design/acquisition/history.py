"""What the acquisition learns from: every sample so far as arrays, whatever became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from inverse_design.acquisition.features import Array, IntVectors

Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All samples so far, as arrays over samples in address order.

    requested, realised: (n, 15), realised is -1 for an invalid sample; round: (n,); accepted: (n,) new, past every gate, answered
    for every target; in_domain: (n,) accepted, and every target answered by a model that knows such units;
    mean, std, domain, each: property -> (n,) combined answer, NaN where there is none, whether it is in domain, and the log
    probability of the target; log_feasibility: (n,) joint, -inf where not scored.
    """

    requested: IntVectors
    realised: IntVectors
    round: Rows
    accepted: Flags
    in_domain: Flags
    mean: Mapping[str, Array]
    std: Mapping[str, Array]
    domain: Mapping[str, Flags]
    each: Mapping[str, Array]
    log_feasibility: Array

    @classmethod
    def of(cls, blocks: Sequence[Self], names: Sequence[str]) -> Self:
        """Join histories of consecutive rounds; `names` are the properties, needed where there are no blocks."""

        def joined(arrays: list[NDArray[np.generic]], empty: NDArray[np.generic]) -> NDArray[np.generic]:
            return np.concatenate([empty, *arrays])

        vectors, floats, flags, rows = (
            np.zeros((0, 15), np.int32),
            np.zeros(0),
            np.zeros(0, dtype=bool),
            np.zeros(0, np.int64),
        )
        empties: dict[str, NDArray[np.generic]] = {
            "requested": vectors,
            "realised": vectors,
            "round": rows,
            "accepted": flags,
            "in_domain": flags,
        }
        plain = {name: joined([getattr(block, name) for block in blocks], empty) for name, empty in empties.items()}
        tables = {
            table: {name: joined([getattr(block, table)[name] for block in blocks], empty) for name in names}
            for table, empty in {"mean": floats, "std": floats, "domain": flags, "each": floats}.items()
        }
        joint = joined([block.log_feasibility for block in blocks], floats)
        return cls(**plain, **tables, log_feasibility=joint)  # type: ignore[arg-type]

    @property
    def scored(self) -> Rows:
        """Indices of the samples with a prediction for every target."""
        return np.flatnonzero(np.isfinite(self.log_feasibility))
