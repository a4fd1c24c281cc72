"""Repeat units as graphs: the 75 atom features of DeepChem's ConvMolFeaturizer, and batches sorted by degree.

Feature order (DeepChem 2.6.1, `deepchem/feat/graph_features.py`): 44 element symbols with 'Unknown' last, 11
degrees, 7 implicit valences, formal charge, radical electrons, 5 hybridisations, aromatic, 5 counts of
hydrogens. A value outside its list counts as the list's last. An attachment point `*` is 'Unknown'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

SYMBOLS: Final = (
    *("C", "N", "O", "S", "F", "Si", "P", "Cl", "Br", "Mg", "Na", "Ca", "Fe", "As", "Al", "I", "B", "V", "K", "Tl", "Yb", "Sb"),
    *(
        "Sn",
        "Ag",
        "Pd",
        "Co",
        "Se",
        "Ti",
        "Zn",
        "H",
        "Li",
        "Ge",
        "Cu",
        "Au",
        "Ni",
        "Cd",
        "In",
        "Mn",
        "Zr",
        "Cr",
        "Pt",
        "Hg",
        "Pb",
    ),
    "Unknown",
)
DEGREES: Final = 11
VALENCES: Final = 7
HYBRIDISATIONS: Final = (
    Chem.HybridizationType.SP,
    Chem.HybridizationType.SP2,
    Chem.HybridizationType.SP3,
    Chem.HybridizationType.SP3D,
    Chem.HybridizationType.SP3D2,
)
HYDROGENS: Final = 5
FEATURES: Final = len(SYMBOLS) + DEGREES + VALENCES + 2 + len(HYBRIDISATIONS) + 1 + HYDROGENS

_TABLE = Chem.GetPeriodicTable()
_SYMBOL_OF = {0: SYMBOLS.index("Unknown")} | {
    _TABLE.GetAtomicNumber(symbol): index for index, symbol in enumerate(SYMBOLS) if symbol != "Unknown"
}
_HYBRIDISATION_OF = {kind: index for index, kind in enumerate(HYBRIDISATIONS)}

# One atom packs into one integer, four bits a field, in this order from the lowest; charge is stored as charge + 8.
_SYMBOL, _DEGREE, _VALENCE, _CHARGE, _RADICAL, _HYBRIDISATION, _AROMATIC, _HYDROGEN = (0, 8, 12, 16, 20, 24, 28, 32)

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One molecule: `atoms` (n,) packed features; `bonds` (2, 2m) directed, sorted by their first atom."""

    atoms: Ints
    bonds: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Molecules side by side as the network sees them: every atom that differs, once.

    Atoms with equal surroundings up to four bonds away, in one molecule or in several, come out of two convolutions
    and two poolings with equal activations; repeat units consist of few kinds of atoms, so half the work is saved.
    features: (u, 75), distinct atoms sorted by degree; neighbours[d]: (u_d, d), the neighbours of those of degree d.
    Molecule by molecule: atoms (r,), which distinct atoms it has; counts (r,), how many of each; lengths (size,), the
    number of its rows.
    """

    features: Floats
    neighbours: tuple[Ints, ...]
    atoms: Ints
    counts: Floats
    lengths: Ints


def graph(mol: Chem.Mol) -> Graph | None:
    """Return the graph of a sanitized molecule, or None if an atom has more neighbours than the network knows (10)."""
    first, second = np.nonzero(Chem.GetAdjacencyMatrix(mol))
    if len(first) and np.bincount(first).max() >= DEGREES:
        return None
    # Indexing is far quicker than RDKit's own sequence of atoms, and a molecule has few kinds of them.
    atoms = [_pack(*_facts(mol.GetAtomWithIdx(index))) for index in range(mol.GetNumAtoms())]
    return Graph(atoms=np.array(atoms, dtype=np.int64), bonds=np.stack([first, second]).astype(np.int64))


def _facts(atom: Chem.Atom) -> tuple[int, int, int, int, int, Chem.HybridizationType, bool, int]:
    return (
        atom.GetAtomicNum(),
        atom.GetDegree(),
        atom.GetNumImplicitHs(),  # its implicit valence
        atom.GetFormalCharge(),
        atom.GetNumRadicalElectrons(),
        atom.GetHybridization(),
        atom.GetIsAromatic(),
        atom.GetNumExplicitHs(),
    )


@cache
def _pack(
    number: int,
    degree: int,
    implicit: int,
    charge: int,
    radicals: int,
    kind: Chem.HybridizationType,
    aromatic: bool,
    explicit: int,
) -> int:
    return (
        _SYMBOL_OF.get(number, len(SYMBOLS) - 1)
        | degree << _DEGREE
        | min(implicit, VALENCES - 1) << _VALENCE
        | charge + 8 << _CHARGE
        | radicals << _RADICAL
        | _HYBRIDISATION_OF.get(kind, len(HYBRIDISATIONS) - 1) << _HYBRIDISATION
        | aromatic << _AROMATIC
        | min(implicit + explicit, HYDROGENS - 1) << _HYDROGEN
    )


def features(atoms: Ints) -> Floats:
    """Return the 75 features of packed atoms; shape (n,) -> (n, 75)."""
    out = np.zeros((len(atoms), FEATURES), dtype=np.float32)
    rows = np.arange(len(atoms))
    start = 0
    for shift, bits, width in ((_SYMBOL, 255, len(SYMBOLS)), (_DEGREE, 15, DEGREES), (_VALENCE, 15, VALENCES)):
        out[rows, start + (atoms >> shift & bits)] = 1
        start += width
    out[:, start] = (atoms >> _CHARGE & 15) - 8
    out[:, start + 1] = atoms >> _RADICAL & 15
    start += 2
    out[rows, start + (atoms >> _HYBRIDISATION & 15)] = 1
    start += len(HYBRIDISATIONS)
    out[:, start] = atoms >> _AROMATIC & 1
    out[rows, start + 1 + (atoms >> _HYDROGEN & 15)] = 1
    return out


def batch(graphs: Sequence[Graph]) -> Batch:
    """Return the molecules as one batch, in order."""
    sizes = np.array([len(item.atoms) for item in graphs])
    offsets = np.cumsum(sizes) - sizes
    atoms = np.concatenate([item.atoms for item in graphs])
    first, second = np.concatenate([item.bonds + offset for item, offset in zip(graphs, offsets, strict=True)], axis=1)
    degree = np.bincount(first, minlength=len(atoms))
    starts = np.cumsum(degree) - degree

    order = np.argsort(degree, kind="stable")
    _, example, name = np.unique(_surroundings(atoms, first, second)[order], return_index=True, return_inverse=True)
    # The first atom of each kind stands for it; sorted by position, those are sorted by degree too.
    sort = np.argsort(example)
    chosen = order[example[sort]]
    kind = np.empty(len(atoms), dtype=np.int64)
    kind[order] = np.argsort(sort)[name]

    by_degree = (chosen[degree[chosen] == d] for d in range(DEGREES))
    molecule = np.repeat(np.arange(len(graphs)), sizes)
    rows, counts = np.unique(molecule * len(chosen) + kind, return_counts=True)
    return Batch(
        features=features(atoms[chosen]),
        neighbours=tuple(kind[second[starts[some, None] + np.arange(d)]] for d, some in enumerate(by_degree)),
        atoms=rows % len(chosen),
        counts=counts.astype(np.float32),
        lengths=np.bincount(rows // len(chosen), minlength=len(graphs)),
    )


def _surroundings(atoms: Ints, first: Ints, second: Ints) -> NDArray[np.uint64]:
    """Return one word per atom, equal where all is equal up to four bonds away; sums of scrambled words tell multisets apart."""
    words = _scramble(atoms.astype(np.uint64))
    for _ in range(4):
        around = np.zeros(len(words), dtype=np.uint64)
        np.add.at(around, first, words[second])
        words = _scramble(words ^ _scramble(around))
    return words


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread 64-bit words (the finaliser of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
