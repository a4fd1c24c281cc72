"""Polymers every chemist knows, by name: the one a candidate is most like is drawn beside it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from inverse_design.novelty import BITS, Reference, fingerprint
from inverse_design.polymer import RepeatUnit, parse

TABLE: Final = Path(__file__).parent / "textbook.csv"
"""polymer, psmiles and monomers (those of one way to make it joined by ".", ways by "|")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Familiar:
    """A well-known polymer and its Tanimoto similarity to the one asked about."""

    name: str
    psmiles: str
    similarity: float


@cache
def textbook() -> tuple[dict[str, str], ...]:
    """Return the rows of the table."""
    with TABLE.open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


@cache
def _reference() -> tuple[Reference, dict[str, str]]:
    names = {
        row["psmiles"]: row["polymer"] for row in reversed(textbook())
    }  # of two frames of one polymer the first has the name
    return Reference.of(list(names), where=TABLE.name), names


@lru_cache(maxsize=1 << 16)
def familiar(canonical: str) -> Familiar:
    """Return the well-known polymer most like a canonical repeat unit; ValueError for a text that is none."""
    unit = parse(canonical)
    if not isinstance(unit, RepeatUnit):
        raise ValueError(f"{canonical!r} is not a repeat unit: {unit}")
    reference, names = _reference()
    (similarity,), (index,) = reference.nearest(np.frombuffer(fingerprint(unit.mol), np.uint8).reshape(1, BITS // 8))
    psmiles = reference.name(int(index))
    return Familiar(name=names[psmiles], psmiles=psmiles, similarity=float(similarity))
