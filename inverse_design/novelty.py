"""How far a polymer is from what is known: exact identity by key, likeness by Tanimoto similarity.

The bundled reference holds no structures, only hashed keys and fingerprints of the known polymers.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inverse_design.errors import ModelError, SpecError
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.split import key

BITS: Final = 1024
BUNDLED: Final = Path(__file__).parent / "reference" / "known.safetensors"
COLUMNS: Final = ("psmiles", "PSMILES", "smiles", "SMILES", "Smiles")

_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)
_BLOCK = 1 << 16  # reference polymers compared at once: 64 MiB of unpacked bits
_LOG = logging.getLogger(__name__)

Packed = NDArray[np.uint8]


def fingerprint(mol: Chem.Mol) -> bytes:
    """Return the Morgan fingerprint (radius 2, 1024 bits, packed into 128 bytes) of a *canonical* unit with its two `*`.

    The canonical unit makes the similarity independent of how a polymer was written.
    """
    return bytes(DataStructs.BitVectToBinaryText(_MORGAN.GetFingerprint(mol)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Known polymers: keys (n,), fingerprints packed (n, 128), and names (n) where they may be told."""

    keys: NDArray[np.int64]
    fingerprints: Packed
    names: tuple[str, ...] = ()
    _known: frozenset[int] = field(init=False, repr=False, compare=False)
    _blocks: tuple[Packed, ...] = field(init=False, repr=False, compare=False)
    _counts: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", frozenset(self.keys.tolist()))
        starts = range(0, len(self.keys), _BLOCK)
        # One row per bit: the bits that a query shares with all polymers are then a sum of few long rows.
        blocks = (np.unpackbits(self.fingerprints[start : start + _BLOCK], axis=1) for start in starts)
        object.__setattr__(self, "_blocks", tuple(np.ascontiguousarray(block.T) for block in blocks))
        object.__setattr__(self, "_counts", np.bitwise_count(self.fingerprints).sum(axis=1, dtype=np.int64))

    @classmethod
    def load(cls, source: str | Path = "bundled") -> Reference:
        """Load `bundled`, `none`, a file made by `reference.build`, or a CSV file with a column named as in `COLUMNS`.

        Raises ModelError for a file that is missing or damaged, SpecError for a table without polymers.
        """
        if source == "none":
            return cls(keys=np.empty(0, np.int64), fingerprints=np.empty((0, BITS // 8), np.uint8))
        path = BUNDLED if source == "bundled" else Path(source)
        if path.suffix != ".safetensors":
            return cls.of(table_texts(path), where=str(path))
        try:
            tensors = load_file(path)
            return cls(keys=tensors["keys"], fingerprints=tensors["fingerprints"])
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelError(f"{path}: not a reference of known polymers ({error}); reinstall, or build it anew") from error

    @classmethod
    def of(cls, texts: Sequence[str], where: str = "reference") -> Reference:
        """Build from repeat units of one's own; texts that are none are skipped with a warning."""
        units = [(text, unit) for text in texts if isinstance(unit := parse(text.strip()), RepeatUnit)]
        if not units:
            raise SpecError(f"{where}: none of {len(texts)} rows is a repeat unit; wanted SMILES with two `*`, as in *CC*")
        if len(units) < len(texts):
            _LOG.warning("%s: %d of %d rows are no repeat units and were skipped", where, len(texts) - len(units), len(texts))
        known = {
            key(unit.psmiles): (text, unit) for (text, _), unit in zip(units, canonical_units([u for _, u in units]), strict=True)
        }
        packed = np.frombuffer(b"".join(fingerprint(unit.mol) for _, unit in known.values()), np.uint8)
        return cls(
            keys=np.array(list(known), np.int64),
            fingerprints=packed.reshape(-1, BITS // 8),
            names=tuple(text.strip() for text, _ in known.values()),
        )

    def knows(self, key: int) -> bool:
        """Whether the repeat unit with this `split.key` is in the reference."""
        return key in self._known

    def name(self, index: int) -> str:
        """Return the text of a polymer of one's own, or the key in hexadecimal of a bundled one."""
        return self.names[index] if self.names else f"{self.keys[index]:016x}"

    def nearest(self, fingerprints: Packed) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the greatest Tanimoto similarity (q,) to a reference polymer and its index (q,); the lowest among equals.

        fingerprints: packed, shape (q, 128). An empty reference gives similarity 0 and index -1.
        """
        best = np.zeros(len(fingerprints))
        index = np.full(len(fingerprints), -1, np.int64)
        queries = np.unpackbits(fingerprints, axis=1)
        for number, block in enumerate(self._blocks):
            start = number * _BLOCK
            counts = self._counts[start : start + _BLOCK]
            for row, bits in enumerate(queries):
                on = np.flatnonzero(bits)
                # The sum fits a byte unless a query has more bits than a byte can count.
                shared = block[on].sum(axis=0, dtype=np.uint8 if len(on) < 256 else np.uint16)
                similarity = shared / (counts + len(on) - shared)
                first = int(similarity.argmax())
                if index[row] < 0 or similarity[first] > best[row]:
                    best[row], index[row] = similarity[first], start + first
        return best, index


def table_texts(path: Path) -> list[str]:
    """Return the column of SMILES of a CSV file; SpecError where it has none, ModelError where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            column = next((name for name in COLUMNS if name in (table.fieldnames or ())), None)
            if column is None:
                found = ", ".join(table.fieldnames or ()) or "nothing"
                raise SpecError(f"{path}: columns are {found}; wanted one named {', '.join(COLUMNS)}")
            return [row[column] or "" for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path}: cannot be read as CSV in UTF-8 ({error})") from error


def leaders(psmiles: Iterable[str], similarity: float, enough: int) -> int:
    """Return how many groups the units fall into, counting no further than `enough`.

    Leader clustering (Hartigan 1975): a unit less similar than `similarity` to every leader so far leads a group of its own.
    """
    found: list[Any] = []
    for text in psmiles:
        bits = _MORGAN.GetFingerprint(Chem.MolFromSmiles(text))
        if all(other < similarity for other in DataStructs.BulkTanimotoSimilarity(bits, found)):
            found.append(bits)
        if len(found) >= enough:
            break
    return len(found)
