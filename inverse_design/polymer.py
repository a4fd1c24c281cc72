"""Text to repeat unit: a strict gate, bounded parsing, and one canonical form for every way to write a polymer.

A repeat unit is written as PSMILES, a SMILES with two attachment points `*`. The same polymer can be
written with its frame shifted (`*CCO*`, `*COC*`), reversed, or with several units at once (`*CC*`,
`*CCCC*`). `canonical` undoes all three without ever closing the chain into a ring: ring closure turns
harmless linear aromatics into macrocycles whose ring perception takes exponential time in RDKit 2026.09.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolDescriptors, rdqueries
from scipy.sparse import csr_array

rdBase.DisableLog("rdApp.*")

MAX_CHARACTERS = 1000
MAX_ATOMS = 400
MAX_RINGS = 60
MACROCYCLE = 30

ELEMENTS = frozenset(
    "* H Li B C N O F Na Mg Al Si P S Cl K Ca Ti Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Zr Mo Pd Ag Cd Sn Sb Te I Ba Pt Hg Pb".split()  # noqa: SIM905
)

_ALPHABET = re.compile(r"[A-Za-z0-9*\[\]()=#$:/\\@+\-.%]+\Z")
_STEREO = re.compile(r"[@/\\]")
_PARAMS: Any = Chem.SmilesParserParams()  # its stub types every attribute as itself
_PARAMS.allowCXSMILES = False
_PARAMS.parseName = False
_PARAMS.sanitize = False
_PARAMS.removeHs = False  # it would perceive rings, in exponential time, before anything has been checked

# Queries over atoms run in C++: a loop over atoms in Python costs more than parsing the text.
_STAR = Chem.MolFromSmarts("[#0]")
_RADICAL = rdqueries.NumRadicalElectronsGreaterQueryAtom(0)
_LABELLED = (rdqueries.IsotopeGreaterQueryAtom(0), rdqueries.HasPropQueryAtom("molAtomMapNumber"))
_CHARGED = (rdqueries.FormalChargeGreaterQueryAtom(4), rdqueries.FormalChargeLessQueryAtom(-4))
_FOREIGN = Chem.MolFromSmarts(f"[{';'.join(f'!#{Chem.Atom(symbol).GetAtomicNum()}' for symbol in sorted(ELEMENTS))}]")


class Reason(enum.StrEnum):
    """Why a text is not an acceptable repeat unit."""

    NOT_TEXT = "not_text"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    BAD_CHARACTER = "bad_character"
    UNPARSABLE = "unparsable"
    TOO_COMPLEX = "too_complex"
    NOT_ONE_FRAGMENT = "not_one_fragment"
    ATTACHMENT_POINTS = "attachment_points"
    ATTACHMENT_BONDS = "attachment_bonds"
    NO_HEAVY_ATOM = "no_heavy_atom"
    ELEMENT = "element"
    CHARGE = "charge"
    RADICAL = "radical"
    ISOTOPE = "isotope"
    NOT_SANITIZABLE = "not_sanitizable"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatUnit:
    """A parsed repeat unit.

    psmiles: canonical SMILES in the frame as written, stereo kept; mol: the sanitized molecule with its two `*`.
    """

    psmiles: str
    mol: Chem.Mol


def parse(text: object) -> RepeatUnit | Reason:
    """Return the repeat unit written in `text`, or the reason why there is none. Never raises."""
    if not isinstance(text, str):
        return Reason.NOT_TEXT
    if not text:
        return Reason.EMPTY
    if len(text) > MAX_CHARACTERS:
        return Reason.TOO_LONG
    if not _ALPHABET.match(text):
        return Reason.BAD_CHARACTER
    mol = Chem.MolFromSmiles(text, _PARAMS)
    if mol is None:
        return Reason.UNPARSABLE
    reason = _shape(mol, text)
    if reason is not None:
        return reason
    try:
        if "[H]" in text:
            mol = Chem.RemoveHs(mol, sanitize=False)
        Chem.SanitizeMol(mol)
    except (Chem.MolSanitizeException, ValueError):
        return Reason.NOT_SANITIZABLE
    if "[" in text and len(mol.GetAtomsMatchingQuery(_RADICAL)):
        return Reason.RADICAL
    if _STEREO.search(text):
        Chem.AssignStereochemistry(mol, cleanIt=True)
    return RepeatUnit(psmiles=Chem.MolToSmiles(mol), mol=mol)


def stars(mol: Chem.Mol) -> tuple[int, ...]:
    """Return the indices of the attachment points."""
    return tuple(match[0] for match in mol.GetSubstructMatches(_STAR))


def _shape(mol: Chem.Mol, text: str) -> Reason | None:
    """Checks that need no ring perception, so that they are safe on any graph."""
    if mol.GetNumAtoms() > MAX_ATOMS:
        return Reason.TOO_COMPLEX
    if "." in text and len(Chem.GetMolFrags(mol)) != 1:
        return Reason.NOT_ONE_FRAGMENT
    ends = [mol.GetAtomWithIdx(star) for star in stars(mol)]
    if len(ends) != 2 or any(end.GetDegree() != 1 for end in ends):
        return Reason.ATTACHMENT_POINTS
    orders = {end.GetBonds()[0].GetBondType() for end in ends}
    # Before sanitisation a bond from `*` to an aromatic atom may still read as aromatic or single.
    if not orders <= {Chem.BondType.SINGLE, Chem.BondType.DOUBLE} or len(orders) != 1:
        return Reason.ATTACHMENT_BONDS
    if "[" in text:  # only atoms in brackets have a charge, an isotope or a rare element
        if mol.HasSubstructMatch(_FOREIGN):
            return Reason.ELEMENT
        if any(len(mol.GetAtomsMatchingQuery(query)) for query in _CHARGED):
            return Reason.CHARGE
        if any(len(mol.GetAtomsMatchingQuery(query)) for query in _LABELLED):
            return Reason.ISOTOPE
    if not mol.GetNumHeavyAtoms():
        return Reason.NO_HEAVY_ATOM
    rings = mol.GetNumBonds() - mol.GetNumAtoms() + 1
    if rings > MAX_RINGS:
        return Reason.TOO_COMPLEX
    if rings > 10:
        Chem.FastFindRings(mol)
        if max(map(len, mol.GetRingInfo().AtomRings()), default=0) > MACROCYCLE:
            return Reason.TOO_COMPLEX
    return None


def canonical(unit: RepeatUnit) -> str:
    """Return the canonical repeat unit: one text per polymer chain, whatever its frame, direction or multiple.

    Stereochemistry is left out: the data carries it for a few polymers only. The result is the shortest
    period of the chain, cut at the backbone bond whose surroundings come first in a fixed order.
    """
    return canonicals([unit])[0]


def canonicals(units: Sequence[RepeatUnit]) -> list[str]:
    """Return `canonical` of each unit, in order: the same texts at about two thirds of the time for a batch."""
    return [unit.psmiles for unit in canonical_units(units)]


def canonical_units(units: Sequence[RepeatUnit]) -> list[RepeatUnit]:
    """Return the canonical repeat unit of each unit, in order, as text and molecule."""
    chains = [_Chain(unit) for unit in units]
    return [chain.canonical_unit(colours) for chain, colours in zip(chains, _colours(chains), strict=True)]


class _Chain:
    """The endless chain of a unit: backbone bonds that may be cut, and the pieces between them.

    `cuts[i]` is (last atom of piece i - 1, first atom of piece i); `cuts[0]` joins one unit to the next.
    """

    def __init__(self, unit: RepeatUnit) -> None:
        if _STEREO.search(unit.psmiles):
            mol = Chem.RWMol(unit.mol)
            Chem.RemoveStereochemistry(mol)
            unit = RepeatUnit(psmiles=Chem.MolToSmiles(mol), mol=mol)
        mol = unit.mol
        head, tail = stars(mol)
        path = list(Chem.GetShortestPath(mol, head, tail))
        self.unit, self.mol = unit, mol
        self.stars = (head, tail)
        self.order = mol.GetBondBetweenAtoms(path[0], path[1]).GetBondType()
        inner = [
            (a, b)
            for a, b in pairwise(path[1:-1])
            if (bond := mol.GetBondBetweenAtoms(a, b)).GetBondType() == self.order and not bond.IsInRing()
        ]
        self.cuts: list[tuple[int, int]] = [(path[-2], path[1]), *inner]

    def pieces(self) -> list[tuple[int, ...]]:
        """Return the atoms between each cut and the next."""
        edit = Chem.RWMol(self.mol)
        for star, anchor in zip(self.stars, self.cuts[0][::-1], strict=True):
            edit.RemoveBond(star, anchor)
        for a, b in self.cuts[1:]:
            edit.RemoveBond(a, b)
        owner = {atom: atoms for atoms in Chem.GetMolFrags(edit) for atom in atoms}
        return [owner[first] for _, first in self.cuts]

    def canonical_unit(self, colours: list[int]) -> RepeatUnit:
        """Return the shortest period from the first cut, given the colour of each atom."""
        marks = [(colours[a], colours[b]) for a, b in self.cuts]
        length = self._period(marks)
        unordered = [tuple(sorted(mark)) for mark in marks[:length]]
        first = min(unordered)
        units = [self._unit(cut, length) for cut in range(length) if unordered[cut] == first]
        return min(units, key=lambda unit: unit.psmiles)

    def _period(self, marks: list[tuple[int, int]]) -> int:
        """Number of pieces in the shortest period of the chain."""
        count = len(marks)
        for length in range(1, count):
            if count % length or marks != marks[:length] * (count // length):
                continue
            if len({self._unit(start, length, oriented=True).psmiles for start in range(0, count, length)}) == 1:
                return length
        return count

    def _unit(self, start: int, length: int, *, oriented: bool = False) -> RepeatUnit:
        """The unit of `length` pieces from cut `start` with `*` at both ends (told apart when `oriented`)."""
        count = len(self.cuts)
        if length == count and not oriented:
            return self._whole(start)
        left = self.cuts[start][1]
        right = self.cuts[(start + length) % count][0]
        pieces = self.pieces()
        keep = {atom for i in range(start, start + length) for atom in pieces[i % count]}
        edit = Chem.RWMol(self.mol)
        if start and length == count:
            edit.RemoveBond(*self.cuts[start])
        if start and start + length > count:
            edit.AddBond(*self.cuts[0], self.order)
        for anchor, isotope in ((left, 1), (right, 2)):
            star = Chem.Atom(0)
            star.SetIsotope(isotope if oriented else 0)
            edit.AddBond(anchor, edit.AddAtom(star), self.order)
        edit.BeginBatchEdit()
        for atom in range(self.mol.GetNumAtoms()):
            if atom not in keep:
                edit.RemoveAtom(atom)
        edit.CommitBatchEdit()
        Chem.SanitizeMol(edit, _RINGS_ONLY)
        return RepeatUnit(psmiles=Chem.MolToSmiles(edit), mol=edit)

    def _whole(self, start: int) -> RepeatUnit:
        """All pieces from cut `start`: the unit itself, or its stars moved there, which leaves atoms, valences and rings alone."""
        if not start:
            return self.unit
        edit = Chem.RWMol(self.mol)
        (head, tail), (last, first) = self.stars, self.cuts[start]
        edit.RemoveBond(head, self.cuts[0][1])
        edit.RemoveBond(tail, self.cuts[0][0])
        edit.RemoveBond(last, first)
        edit.AddBond(*self.cuts[0], self.order)
        edit.AddBond(head, first, self.order)
        edit.AddBond(tail, last, self.order)
        Chem.SanitizeMol(edit, _RINGS_ONLY)
        return RepeatUnit(psmiles=Chem.MolToSmiles(edit), mol=edit)


_RINGS_ONLY = Chem.SanitizeFlags.SANITIZE_PROPERTIES | Chem.SanitizeFlags.SANITIZE_SYMMRINGS
_ROUNDS = 40
_WEIGHTS = np.random.default_rng(1).integers(1, 2**63, size=8, dtype=np.uint64) | np.uint64(1)  # by twice the bond order
_MIX = np.uint64(0x9E3779B97F4A7C15)


def _colours(chains: Sequence[_Chain]) -> list[list[int]]:
    """Colour refinement on endless chains: equal surroundings, equal colour, whatever frame or multiple.

    A ring of k units covers a ring of one unit, and colour refinement cannot tell a cover from its base
    (Angluin 1980), so that no comparison of frames is needed. All chains are refined as one graph, a sparse matrix of
    bonds: a call costs more than the work of one molecule.
    """
    if not chains:
        return []
    sizes = [chain.mol.GetNumAtoms() for chain in chains]
    offsets = np.cumsum([0, *sizes])
    edges = [_edges(chain) for chain in chains]
    source, target, kind = np.concatenate(edges, axis=1)
    shift = np.repeat(offsets[:-1], [part.shape[1] for part in edges])
    bonds = csr_array((_WEIGHTS[kind], (source + shift, target + shift)), shape=(offsets[-1], offsets[-1]))
    colours = np.concatenate([rdMolDescriptors.GetConnectivityInvariants(chain.mol) for chain in chains]).astype(np.uint64)
    for _ in range(_ROUNDS):
        colours = (colours ^ (colours >> np.uint64(29))) * _MIX
        colours += bonds @ (colours ^ (colours >> np.uint64(32)))
    return [part.tolist() for part in np.split(colours, offsets[1:-1])]


def _edges(chain: _Chain) -> NDArray[np.int64]:
    """Directed bonds of one endless chain without its stars: rows from, to, kind of bond; shape (3, bonds)."""
    orders = Chem.GetAdjacencyMatrix(chain.mol, useBO=True)
    orders[chain.stars, :] = 0
    orders[:, chain.stars] = 0
    first, second = np.nonzero(orders)
    a, b = chain.cuts[0]
    closing = 2 if chain.order == Chem.BondType.SINGLE else 4
    join = np.array([[a, b], [b, a], [closing % 8, closing % 8]])
    return np.concatenate([np.stack([first, second, (2 * orders[first, second]).astype(np.int64) % 8]), join], axis=1)
