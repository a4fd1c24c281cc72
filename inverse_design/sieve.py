"""The sieve: validity, structure, novelty. Each text comes out as a candidate or with the reason why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inverse_design.novelty import BITS, Reference, fingerprint
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.protocols import Row
from inverse_design.split import key
from inverse_design.structure import Requirements
from inverse_design.synthesis.making import KEYS, Making

ACCEPTED = "accepted"
UNREACHED: Row = dict.fromkeys(
    ("status", "psmiles", "canonical", "descriptors", "polymer_class", "sa_score", "similarity", "nearest")
)

# Tokens that a text-to-text model leaks, and the spaces its detokeniser puts around added tokens.
_LEAKED = re.compile(r"<pad>|<s>|\[PAD\]|<unk>|<extra_id_\d+>|\s+")


def clean(text: str) -> str:
    """Return what a generator meant: no special tokens, no white space, nothing after the end of the sequence."""
    return _LEAKED.sub("", text.partition("</s>")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieve:
    """A worker without state: duplicates between texts are not its business."""

    requirements: Requirements
    reference: Reference
    max_similarity: float = 1.0
    making: Making | None = None

    def work(self, rows: list[Row]) -> list[Row]:
        """Return each row with status, psmiles, canonical, descriptors, polymer_class, sa_score, similarity and nearest.

        status: "accepted", "invalid:<Reason>", "structure:<what>", "known" or "too_similar". Fields that were not
        reached are None. A known polymer is refused only where there is a reference to know it from.
        """
        done = [{**row, **UNREACHED} for row in rows]
        reached = [pair for row in done if (pair := self._examined(row)) is not None]
        novel = []
        for (row, _), unit in zip(reached, canonical_units([unit for _, unit in reached]), strict=True):
            row["canonical"] = unit.psmiles
            if self.reference.knows(key(unit.psmiles)):
                row["status"] = "known"
            else:
                novel.append((row, fingerprint(unit.mol)))
        packed = np.frombuffer(b"".join(bits for _, bits in novel), np.uint8).reshape(-1, BITS // 8)
        similarities, indices = self.reference.nearest(packed)
        for (row, _), similarity, index in zip(novel, similarities.tolist(), indices.tolist(), strict=True):
            row["similarity"] = similarity
            row["nearest"] = self.reference.name(index) if index >= 0 else ""
            row["status"] = self._last(row) if similarity <= self.max_similarity else "too_similar"
        return done

    def _last(self, row: Row) -> str:
        """The dearest question of all, so the last: can it be made?"""
        refusal = None if self.making is None else self.making.refusal(row["canonical"])
        return ACCEPTED if refusal is None else f"structure:{refusal}"

    def _examined(self, row: Row) -> tuple[Row, RepeatUnit] | None:
        """Fill in what the text itself tells; None once it is refused."""
        text = row.get("text")
        unit = parse(clean(text) if isinstance(text, str) else text)
        if not isinstance(unit, RepeatUnit):
            row["status"] = f"invalid:{unit}"
            return None
        found = self.requirements.examine(unit)
        row["psmiles"] = unit.psmiles
        row["descriptors"] = list(found.descriptors)
        row["polymer_class"] = found.polymer_class
        row["sa_score"] = found.sa_score
        if found.refusal is not None:
            row["status"] = f"structure:{found.refusal}"
            return None
        return row, unit


def sieve_worker(*, structure: Mapping[str, Any] | None = None, reference: str = "bundled", max_similarity: float = 1.0) -> Sieve:
    """Build the sieve from JSON: the spec's structure block, `bundled`, `none` or a CSV file, and the novelty bound."""
    block = dict(structure or {})
    making = Making.of({name: block.pop(name, None) for name in KEYS})
    return Sieve(
        making=making,
        requirements=Requirements.of(block),
        reference=Reference.load(reference),
        max_similarity=max_similarity,
    )
