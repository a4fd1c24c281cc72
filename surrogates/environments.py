"""Atom environments of the endless chain, as bits: the same for every frame, direction and multiple of a repeat unit.

Environments of radius 0 to 2 as in Morgan fingerprints (Rogers and Hahn, J. Chem. Inf. Model. 50:742, 2010), taken where
the chain goes on instead of ending in two `*`, and told apart by whether the central atom lies in the backbone.
Counts become bits of a thermometer (at least 1, at least 2, ...), so that the Tanimoto similarity of bits is the
min-max similarity of counts (Ralaivola et al., Neural Netw. 18:1093, 2005). What a unit is made of, whatever its size,
is told by the shares of its environments of radius 0 and 1, compared by their Bhattacharyya coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors
from scipy import sparse

from inverse_design.polymer import RepeatUnit, canonical_units, stars
from surrogates.volume import filled

RADIUS: Final = 2
BITS: Final = 4096
LEVELS: Final = (1, 2, 3, 4, 6, 8, 12)

_NO_BOND = 8
_RNG = np.random.default_rng(1)
_WEIGHTS = np.append(_RNG.integers(1, 2**63, size=8, dtype=np.uint64) | np.uint64(1), np.uint64(0))  # by twice the bond order
_SALTS = _RNG.integers(1, 2**63, size=(RADIUS + 1, 2), dtype=np.uint64) | np.uint64(1)  # by radius and backbone
_STEPS = _RNG.integers(1, 2**63, size=len(LEVELS), dtype=np.uint64) | np.uint64(1)
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """Environments of n repeat units.

    bits: thermometer of the counts, float32 ones, (n, BITS); shares: square roots of the shares of radius 0 and 1, so that
    a product is the Bhattacharyya coefficient, (n, BITS); filled: densities without free volume, g/cm3, (n,).
    """

    bits: sparse.csr_array
    shares: sparse.csr_array
    filled: NDArray[np.float64]

    @classmethod
    def of(cls, mols: Sequence[Chem.Mol]) -> Self:
        """Return the environments of repeat units with their two `*`."""
        if not mols:
            nothing = sparse.csr_array((0, BITS), dtype=np.float32)
            return cls(bits=nothing, shares=nothing, filled=np.zeros(0))
        owner, colours = _of_one_unit(mols)
        rows, columns = [], []
        for colour in colours:
            order = np.lexsort((colour, owner))
            one, other = colour[order], owner[order]
            first = np.flatnonzero(np.append(True, (one[1:] != one[:-1]) | (other[1:] != other[:-1])))
            counts = np.diff(np.append(first, len(one)))
            for level, step in zip(LEVELS, _STEPS, strict=True):
                enough = first[counts >= level]
                rows.append(other[enough])
                columns.append(_folded(one[enough] * step))
        atoms = np.bincount(owner, minlength=len(mols))
        shares = _rows(np.tile(owner, 2), np.concatenate([_folded(colour) for colour in colours[:2]]), len(mols))
        shares.data = np.sqrt(shares.data / np.repeat(2 * atoms, np.diff(shares.indptr))).astype(np.float32)
        bits = _rows(np.concatenate(rows), np.concatenate(columns), len(mols))
        bits.data[:] = 1.0
        # Rounded, for a unit and its multiples are the same polymer.
        return cls(bits=bits, shares=shares, filled=np.array([round(filled(mol), 4) for mol in mols]))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the units of all parts, in order."""
        return cls(
            bits=sparse.vstack([part.bits for part in parts], format="csr"),
            shares=sparse.vstack([part.shares for part in parts], format="csr"),
            filled=np.concatenate([part.filled for part in parts]),
        )

    def __getitem__(self, rows: NDArray[np.integer[Any]] | slice) -> Environments:
        return Environments(bits=self.bits[rows], shares=self.shares[rows], filled=self.filled[rows])

    def __len__(self) -> int:
        return int(self.bits.shape[0])

    def similarity(self, other: Environments) -> NDArray[np.float32]:
        """Return the Tanimoto similarity of each unit to each of `other`; shape (n, m)."""
        common = (self.bits @ other.bits.T).toarray()
        return np.asarray(
            common / (np.diff(self.bits.indptr)[:, None] + np.diff(other.bits.indptr)[None, :] - common), np.float32
        )

    def alike(self, other: Environments) -> NDArray[np.float32]:
        """Return exp(-squared Hellinger distance) of the shares of each unit and each of `other`; shape (n, m)."""
        return np.asarray(np.exp((self.shares @ other.shares.T).toarray() - 1.0), np.float32)


def backbone(mol: Chem.Mol) -> NDArray[np.bool_]:
    """Return which atoms lie between the two `*`: the shortest path and the rings that share a bond with it."""
    inside = set(Chem.GetShortestPath(mol, *stars(mol)))
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings()]
    while fused := [ring for ring in rings if len(ring & inside) > 1 and not ring <= inside]:
        inside.update(*fused)
    found = np.zeros(mol.GetNumAtoms(), dtype=bool)
    found[list(inside)] = True
    return found


def _folded(hashed: NDArray[np.uint64]) -> NDArray[np.int64]:
    return (_mixed(hashed) >> np.uint64(64 - BITS.bit_length() + 1)).astype(np.int64)


def _rows(rows: NDArray[np.int64], columns: NDArray[np.int64], count: int) -> sparse.csr_array:
    """Return how often each column occurs in each of `count` rows."""
    place, counts = np.unique(rows * BITS + columns, return_counts=True)
    starts = np.searchsorted(place // BITS, np.arange(count + 1))
    return sparse.csr_array((counts.astype(np.float32), place % BITS, starts), shape=(count, BITS))


def _of_one_unit(mols: Sequence[Chem.Mol]) -> tuple[NDArray[np.int64], list[NDArray[np.uint64]]]:
    """Return `_refined` of the shortest period of each chain."""
    owner, colours = _refined(mols)
    again = [row for row in range(len(mols)) if np.gcd.reduce(_multiplicities(owner, colours[-1], row)) > 1]
    if not again:
        return owner, colours
    # Every count divisible: perhaps several units written as one, which only the canonical form can tell.
    units = canonical_units([RepeatUnit(psmiles="", mol=mols[row]) for row in again])
    whole = dict(zip(again, units, strict=True))
    return _refined([whole[row].mol if row in whole else mol for row, mol in enumerate(mols)])


def _multiplicities(owner: NDArray[np.int64], colour: NDArray[np.uint64], row: int) -> NDArray[np.int64]:
    low, high = np.searchsorted(owner, [row, row + 1])
    return np.unique(colour[low:high], return_counts=True)[1]


def _mixed(colour: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (colour ^ (colour >> np.uint64(29))) * _MIX


def _refined(mols: Sequence[Chem.Mol]) -> tuple[NDArray[np.int64], list[NDArray[np.uint64]]]:
    """Return, per heavy atom of all molecules, its molecule, and its environment at each radius.

    All chains are refined as one graph, one row per directed bond: numpy's cost per call outweighs that of a molecule.
    """
    offsets = np.cumsum([0, *(mol.GetNumAtoms() for mol in mols)])
    ends = [stars(mol) for mol in mols]
    bonds = np.concatenate(
        [_bonds(mol, pair) + np.array([[o], [o], [0]]) for mol, pair, o in zip(mols, ends, offsets, strict=False)], axis=1
    )
    everyone = np.arange(offsets[-1])
    # A bond of weight zero to itself leaves no atom without a row, which `reduceat` needs.
    source, target, kind = np.concatenate([bonds, np.stack([everyone, everyone, np.full_like(everyone, _NO_BOND)])], axis=1)
    order = np.argsort(source, kind="stable")
    target, weight, starts = target[order], _WEIGHTS[kind[order]], np.searchsorted(source[order], everyone)
    colour = np.concatenate([rdMolDescriptors.GetConnectivityInvariants(mol) for mol in mols]).astype(np.uint64)
    inside = np.concatenate([backbone(mol) for mol in mols]).astype(np.int64)
    heavy = np.delete(everyone, [o + star for o, pair in zip(offsets, ends, strict=False) for star in pair])
    owner = np.repeat(np.arange(len(mols)), np.diff(offsets))
    found = []
    for radius in range(RADIUS + 1):
        if radius:
            mixed = _mixed(colour)
            colour = mixed + np.add.reduceat(weight * (mixed ^ (mixed >> np.uint64(32)))[target], starts)
        found.append((_mixed(colour) * _SALTS[radius, inside])[heavy])
    return owner[heavy], found


def _bonds(mol: Chem.Mol, ends: tuple[int, ...]) -> NDArray[np.int64]:
    """Directed bonds of the endless chain without its stars: rows from, to, twice the order; shape (3, bonds)."""
    doubled = (2 * Chem.GetAdjacencyMatrix(mol, useBO=True)).astype(np.int64)
    head, tail = (int(doubled[end].argmax()) for end in ends)
    order = int(doubled[ends[0]].max())
    doubled[ends, :] = 0
    doubled[:, ends] = 0
    first, second = np.nonzero(doubled)
    found = np.empty((3, len(first) + 2), dtype=np.int64)
    found[0, :-2], found[1, :-2], found[2, :-2] = first, second, doubled[first, second] % 8
    found[:, -2:] = ((head, tail), (tail, head), (order, order))
    return found
