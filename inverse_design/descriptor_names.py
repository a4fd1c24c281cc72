"""The names of the 15 descriptors and the identities every molecule obeys; light enough to load before a spec is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NAMES: Final = (
    "MolWt",
    "HeavyAtomCount",
    "NHOHCount",
    "NOCount",
    "NumAliphaticCarbocycles",
    "NumAliphaticHeterocycles",
    "NumAliphaticRings",
    "NumAromaticCarbocycles",
    "NumAromaticHeterocycles",
    "NumAromaticRings",
    "NumHAcceptors",
    "NumHDonors",
    "NumHeteroatoms",
    "NumRotatableBonds",
    "RingCount",
)
COLUMN: Final = {name: index for index, name in enumerate(NAMES)}


@dataclass(frozen=True, slots=True)
class Identity:
    """In words, and as `sum(factor * descriptor) >= constant`."""

    words: str
    factors: Mapping[str, int]
    constant: int = 0


def _sum(total: str, first: str, second: str) -> tuple[Identity, Identity]:
    words = f"{total} = {first} + {second}"
    return Identity(words, {total: 1, first: -1, second: -1}), Identity(words, {total: -1, first: 1, second: 1})


IDENTITIES: Final = (
    *_sum("NumAliphaticRings", "NumAliphaticCarbocycles", "NumAliphaticHeterocycles"),
    *_sum("NumAromaticRings", "NumAromaticCarbocycles", "NumAromaticHeterocycles"),
    *_sum("RingCount", "NumAliphaticRings", "NumAromaticRings"),
    Identity("HeavyAtomCount >= 1", {"HeavyAtomCount": 1}, 1),
    Identity("MolWt >= 12 HeavyAtomCount", {"MolWt": 1, "HeavyAtomCount": -12}),
    Identity("HeavyAtomCount >= RingCount", {"HeavyAtomCount": 1, "RingCount": -1}),
    Identity("HeavyAtomCount >= NOCount", {"HeavyAtomCount": 1, "NOCount": -1}),
    Identity("NumHeteroatoms >= NOCount + 2 (both attachment points count)", {"NumHeteroatoms": 1, "NOCount": -1}, 2),
    Identity("NumHeteroatoms <= HeavyAtomCount + 2", {"HeavyAtomCount": 1, "NumHeteroatoms": -1}, -2),
    Identity("NumHAcceptors <= NumHeteroatoms - 2", {"NumHeteroatoms": 1, "NumHAcceptors": -1}, 2),
    Identity("NumHDonors <= NumHeteroatoms - 2", {"NumHeteroatoms": 1, "NumHDonors": -1}, 2),
    Identity("NHOHCount <= 3 NOCount", {"NOCount": 3, "NHOHCount": -1}),
    Identity("NumRotatableBonds <= HeavyAtomCount + 1", {"HeavyAtomCount": 1, "NumRotatableBonds": -1}, -1),
)
"""What a repeat unit with two `*` obeys, thiols and ammonium included (checked on 12,000); `descriptors.project` is stricter."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """A least or greatest value, the bounds of the user it follows from, and the identities that lead there."""

    value: float
    given: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


def contradiction(bounds: Mapping[str, tuple[float, float]]) -> str | None:
    """Return why no molecule has descriptors within `bounds` (name -> lowest, highest), or None if some could.

    Bounds are carried through `IDENTITIES` until nothing changes (bounds consistency); names not given are free.
    """
    low = {name: _Bound(0.0) for name in NAMES}
    high = {name: _Bound(math.inf) for name in NAMES}
    for name, (least, most) in bounds.items():
        if least > low[name].value:
            low[name] = _Bound(least, (f"{name} min {least:g}",))
        if most < math.inf:
            high[name] = _Bound(most, (f"{name} max {most:g}",))
        if least > most:
            return f"{name} min {least:g} is above its max {most:g}"
    for _ in range(len(IDENTITIES) * len(NAMES)):
        changed = False
        for identity in IDENTITIES:
            for name, factor in identity.factors.items():
                # factor * name >= constant - what the other terms can add up to at most
                others = {other: (high if f > 0 else low)[other] for other, f in identity.factors.items() if other != name}
                most = sum(identity.factors[other] * bound.value for other, bound in others.items())
                implied = (identity.constant - most) / factor
                better = implied > low[name].value if factor > 0 else implied < high[name].value
                if not better:
                    continue
                changed = True
                given = tuple(dict.fromkeys(text for bound in others.values() for text in bound.given))
                by = tuple(dict.fromkeys((*(text for bound in others.values() for text in bound.by), identity.words)))
                (low if factor > 0 else high)[name] = _Bound(implied, given, by)
                if low[name].value > high[name].value:
                    return _explain(low[name], high[name])
        if not changed:
            return None
    return None


def _explain(low: _Bound, high: _Bound) -> str:
    given = " and ".join(dict.fromkeys((*low.given, *high.given)))
    by = "; ".join(dict.fromkeys((*low.by, *high.by)))
    return f"{given}: no molecule has this, because {by}"
