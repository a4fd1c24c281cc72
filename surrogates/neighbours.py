"""How near a repeat unit is to the training set of a property: Tanimoto similarity of packed fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from inverse_design.errors import ModelError

BITS = 1024
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)


def fingerprints(mols: Sequence[Chem.Mol]) -> NDArray[np.uint64]:
    """Return Morgan fingerprints of radius 2, 1,024 bits packed into words; shape (n, 16)."""
    bits = np.zeros((len(mols), BITS), dtype=np.uint8)
    for row, mol in zip(bits, mols, strict=True):
        row[:] = _MORGAN.GetFingerprintAsNumPy(mol)
    return np.packbits(bits, axis=1).view(np.uint64)


class Neighbours:
    """The training sets of a model, each a list of rows of one table of fingerprints."""

    def __init__(self, table: NDArray[np.uint64], members: Mapping[str, NDArray[np.int32]]) -> None:
        self.table = table
        self.members = dict(members)
        self._counts = np.bitwise_count(table).sum(axis=1).astype(np.int32)
        self._bits: dict[str, tuple[NDArray[np.uint8], NDArray[np.int32]]] = {}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `neighbours.safetensors`; raises ModelError where it is not one."""
        try:
            tensors = load_file(path)
            table = np.ascontiguousarray(tensors.pop("fingerprints")).view(np.uint64)
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise ModelError(f"{path}: not a table of fingerprints ({error}); copy the model folder again") from error
        return cls(table, tensors)

    @classmethod
    def of(cls, groups: Mapping[str, NDArray[np.uint64]]) -> Self:
        """Return training sets given by their fingerprints, each (n, 16); what several share is kept once."""
        table, rows = np.unique(np.concatenate(list(groups.values())), axis=0, return_inverse=True)
        parts = np.split(rows, np.cumsum([len(group) for group in groups.values()])[:-1])
        return cls(table, {name: np.unique(part).astype(np.int32) for name, part in zip(groups, parts, strict=True)})

    def save(self, path: Path) -> None:
        save_file({"fingerprints": self.table.view(np.uint8), **self.members}, path)

    def nearest(self, queries: NDArray[np.uint64], name: str) -> NDArray[np.float64]:
        """Return the highest similarity of each query (n, 16) to the training set `name`; 0 where there is none."""
        members = self.members.get(name)
        if members is None or not len(members):
            return np.zeros(len(queries))
        if name not in self._bits:
            # One row a bit: what a query has in common with all members is then a sum of few long rows.
            bits = np.unpackbits(self.table[members].view(np.uint8), axis=1)
            self._bits[name] = np.ascontiguousarray(bits.T), self._counts[members]
        bits, counts = self._bits[name]
        best = np.zeros(len(queries))
        for row, query in enumerate(np.unpackbits(queries.view(np.uint8), axis=1)):
            on = np.flatnonzero(query)
            common = bits[on].sum(axis=0, dtype=np.uint8 if len(on) < 256 else np.uint16)  # whose largest is len(on)
            union = counts + len(on) - common
            best[row] = (common / np.maximum(union, 1)).max()
        return best
