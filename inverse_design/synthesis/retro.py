"""Cutting a chain into residues, and residues into monomers, by the retro reactions of `linkages`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import gcd
from typing import Final

from rdkit import Chem

from inverse_design.polymer import RepeatUnit, stars
from inverse_design.structure import backbone
from inverse_design.synthesis.linkages import Linkage

COPIES: Final = 4
"""The second copy is told from the first and third, and a pattern on the third may reach into the fourth."""
# Marks on atoms of a residue, as atom map numbers: an end without a role yet, an end that takes a cap or gives its hydrogen,
# an atom that is both ends, and what was put on.
_OPEN, _TAKER, _GIVER, _TWICE, _CAP = 1, 2, 3, 4, 9

_AMINE: Final = "$([NX3;H1,H2;!$(N[#6]=[O,S,N]);!$(N[#6]#N);!$(NS(=O)=O)])"
# What no bottle holds, whatever the reaction says.
_IMPOSSIBLE: Final = (
    "[#7;!$([#7]-[#6]=O)]C(=O)[OH]", "[OX2]C(=O)[OH]", "[CX4;!$(C(F)(F)F);!$(CC(F)(F)F)]([OH,SH])[#7X3,OX2,SX2]",
    "[F,Cl,Br][#7,#8,#16X2]", "[#6]=[#6]=[#6]", "[OH]-[#7X3,OX2]", "[CX4]([F,Cl,Br])[$([NX3;H1,H2]),$([OX2H])]",
    "[CX3;!$([CX3][#6,#7,#8]);!$(C(Cl)Cl)](=O)[Cl]", "[SX2H]C=O",
    f"[NX2]=[CX2]=[O,S].[{_AMINE},$([OX2H;!$(OC=O)])]", f"[OX2r3]1[CX4r3][CX4r3]1.[{_AMINE}]", f"[SX4](=O)(=O)[Cl].[{_AMINE}]",
)  # fmt: skip
_ACID_CHLORIDE: Final = Chem.MolFromSmarts("[CX3](=O)[Cl]")
_NUCLEOPHILE: Final = Chem.MolFromSmarts("[$([NX3;H1,H2;!$(N[#6]=[O,S]);!$(NS(=O)=O)]),$([OX2H;!$(OC=O)]),$([SX2H])]")
_DIIMINE: Final = Chem.MolFromSmarts("[NX2;H1]=[#6;R]-[#6;R]=[NX2;H1]")
_ANHYDRIDE: Final = Chem.MolFromSmarts("[CX3;R](=O)[OX2;R][CX3;R]=O")
_AMINES: Final = Chem.MolFromSmarts(f"[{_AMINE}]")
_CHLORINE: Final = Chem.MolFromSmarts("[Cl;$(Cl[CX3]=O)]")


class Chain:
    """Copies of a repeat unit in a row: `mol` to look for patterns in, its Kekule form to cut, with the same atoms."""

    def __init__(self, unit: RepeatUnit, copies: int = COPIES) -> None:
        self.mol = backbone(unit, copies)
        self.copies = copies
        self.size = unit.mol.GetNumAtoms()
        head, tail = stars(self.mol)
        self.path = tuple(Chem.GetShortestPath(self.mol, head, tail))
        self.place = {atom: index for index, atom in enumerate(self.path)}
        self._unit = unit

    @cached_property
    def kekule(self) -> Chem.Mol:
        """The chain to cut: single and double bonds only, hydrogens as valence has them."""
        edit = Chem.RWMol(self._unit.mol)
        Chem.Kekulize(edit, clearAromaticFlags=True)
        for atom in edit.GetAtoms():
            if atom.GetAtomicNum() and not atom.GetFormalCharge():
                atom.SetNoImplicit(False)
                atom.SetNumExplicitHs(0)
        return backbone(RepeatUnit(psmiles=self._unit.psmiles, mol=edit), self.copies)

    def home(self, atom: int) -> int:
        """Copy of the unit that an atom belongs to; each copy but the first and last has lost both stars."""
        return 0 if atom < self.size - 1 else 1 + (atom - self.size + 1) // (self.size - 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A retro reaction as changes to atoms of its pattern."""

    pattern: Chem.Mol
    breaks: tuple[tuple[int, int], ...]
    orders: tuple[tuple[int, int, Chem.BondType], ...]
    caps: tuple[int, ...]
    """Atomic numbers of what is put on."""
    cap_bonds: tuple[tuple[int, int, Chem.BondType], ...]
    """(cap or ~atom, cap or ~atom, order): an atom of the pattern is written as its complement."""
    removed: tuple[int, ...]
    takers: tuple[int, ...]
    givers: tuple[int, ...]


@cache
def cut_of(retro: str) -> Cut:
    """Return what the retro reaction changes: the difference of its two sides."""
    left, _, right = retro.partition(">>")
    pattern, product = Chem.MolFromSmarts(left), Chem.MolFromSmarts(right)
    here = {atom.GetAtomMapNum(): atom.GetIdx() for atom in pattern.GetAtoms() if atom.GetAtomMapNum()}
    there = {atom.GetIdx(): here.get(atom.GetAtomMapNum()) for atom in product.GetAtoms()}
    before = {frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx())): b.GetBondType() for b in pattern.GetBonds()}
    caps = [atom.GetAtomicNum() for atom in product.GetAtoms() if there[atom.GetIdx()] is None]
    number = {atom: index for index, atom in enumerate(atom for atom in there if there[atom] is None)}
    orders, cap_bonds, after = [], [], set()
    for bond in product.GetBonds():
        ends = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        a, b = (there[end] for end in ends)
        if a is None or b is None:
            first, second = (number[end] if mapped is None else ~mapped for end, mapped in zip(ends, (a, b), strict=True))
            cap_bonds.append((first, second, bond.GetBondType()))
        else:
            after.add(frozenset((a, b)))
            if before.get(frozenset((a, b))) != bond.GetBondType():
                orders.append((a, b, bond.GetBondType()))
    mapped = set(here.values())
    breaks = [(min(pair), max(pair)) for pair in before if pair <= mapped and pair not in after]
    capped = {~end for first, second, _ in cap_bonds for end in (first, second) if end < 0}
    removed = tuple(atom.GetIdx() for atom in pattern.GetAtoms() if atom.GetIdx() not in mapped)
    beside = {end for pair in breaks for end in pair}
    if removed:
        beside |= {end for pair in before if len(pair & mapped) == 1 for end in pair & mapped}
    return Cut(
        pattern=pattern,
        breaks=tuple(breaks),
        orders=tuple(orders),
        caps=tuple(caps),
        cap_bonds=tuple(cap_bonds),
        removed=removed,
        takers=tuple(sorted(beside & capped)),
        givers=tuple(sorted(beside - capped)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Residues:
    """What a chain falls into: marked residues of one unit, and the linkages that were cut."""

    fragments: tuple[Chem.Mol, ...]
    linkages: tuple[Linkage, ...]


def matches(chain: Chain, linkage: Linkage) -> list[tuple[int, ...]]:
    """Return where a linkage is found on the chain, atoms in the order of its pattern."""
    cut = cut_of(linkage.retro)
    found = chain.mol.GetSubstructMatches(cut.pattern, uniquify=not linkage.one_way, maxMatches=2000)
    if not linkage.one_way:
        return list(found)
    place = chain.place
    a, b = cut.breaks[0]
    return [match for match in found if place.get(match[a], -1) < place.get(match[b], -1)] if cut.givers else list(found)


def cut_chain(
    chain: Chain, linkages: Iterable[Linkage], keep: frozenset[tuple[int, ...]] | None = None, *, whole: bool = False
) -> Residues | None:
    """Cut every bond of these linkages, the first that finds it deciding; None where they do not take the chain apart.

    keep: of the places of a linkage with roles only these, if given. whole: the chain itself stays, its side groups are cut off.
    """
    found = [(linkage, places) for linkage in linkages if (places := matches(chain, linkage))]
    if not found:
        return None
    edit = Chem.RWMol(chain.kekule)
    taken: set[frozenset[int]] = set()
    removed: set[int] = set()
    used = []
    for linkage, places in found:
        cut = cut_of(linkage.retro)
        for match in places:
            if keep is not None and linkage.roles and match not in keep:
                continue
            gone = [match[index] for index in cut.removed]
            bonds = {frozenset((match[a], match[b])) for a, b in cut.breaks}
            if cut.removed:
                bonds |= {
                    frozenset((atom, other.GetIdx())) for atom in gone for other in chain.mol.GetAtomWithIdx(atom).GetNeighbors()
                }
            if not bonds or bonds & taken:
                continue
            taken |= bonds
            removed.update(gone)
            _apply(edit, cut, match, roles=bool(linkage.roles))
            if linkage not in used and chain.home(match[0]) == 1:
                used.append(linkage)
    if not used:
        return None
    kept = []
    size = chain.mol.GetNumAtoms()
    for atoms, part in zip(Chem.GetMolFrags(edit), Chem.GetMolFrags(edit, asMols=True, sanitizeFrags=False), strict=True):
        first, last = chain.home(min(atoms)), chain.home(max(atom for atom in atoms if atom < size))
        if first == 0 and last == chain.copies - 1 and not whole:
            return None
        if first == 1 and removed.isdisjoint(atoms) and chain.path[-1] not in atoms:
            kept.append(part)
    return Residues(fragments=tuple(kept), linkages=tuple(used)) if kept else None


def _apply(edit: Chem.RWMol, cut: Cut, match: Sequence[int], *, roles: bool) -> None:
    for a, b in cut.breaks:
        edit.RemoveBond(match[a], match[b])
    gone = {match[index] for index in cut.removed}
    for atom in gone:
        for other in edit.GetAtomWithIdx(atom).GetNeighbors():
            if other.GetIdx() not in gone:
                edit.RemoveBond(atom, other.GetIdx())
    for a, b, order in cut.orders:
        bond = edit.GetBondBetweenAtoms(match[a], match[b])
        if bond is None:
            edit.AddBond(match[a], match[b], order)
        else:
            bond.SetBondType(order)
    new = []
    for number in cut.caps:
        atom = Chem.Atom(number)
        atom.SetAtomMapNum(_CAP)
        new.append(edit.AddAtom(atom))
    for first, second, order in cut.cap_bonds:
        a, b = (match[~end] if end < 0 else new[end] for end in (first, second))
        edit.AddBond(a, b, order)
    for mark, ends in ((_TAKER, cut.takers), (_GIVER, cut.givers)):
        for end in ends:
            atom = edit.GetAtomWithIdx(match[end])
            atom.SetAtomMapNum(mark if not roles else _TWICE if atom.GetAtomMapNum() == _OPEN else _OPEN)


def monomers_of(residues: Residues) -> Counter[str] | None:
    """Return the monomers of one unit as SMILES, counted; None where one of them cannot exist."""
    linkage = next((linkage for linkage in residues.linkages if linkage.roles), None)
    found: Counter[str] = Counter()
    open_ones: Counter[str] = Counter()
    example: dict[str, Chem.Mol] = {}
    for fragment in residues.fragments:
        if any(atom.GetAtomMapNum() in (_OPEN, _TWICE) for atom in fragment.GetAtoms()):
            marked = Chem.MolToSmiles(fragment)
            open_ones[marked] += 1
            example[marked] = fragment
            continue
        text = finished(fragment)
        if text is None:
            return None
        found[text] += 1
    if open_ones and linkage is not None:
        for fragment, role, count in _cast(open_ones, example, linkage):
            capped = finished(_with_caps(fragment, role))
            if capped is None:
                return None
            found[capped] += count
        if linkage.reagent and set(residues.linkages) <= {linkage}:
            found[linkage.reagent] += sum(open_ones.values())
    elif residues.linkages[0].reagent:
        found[residues.linkages[0].reagent] += 1
    return found


def _cast(fragments: Counter[str], example: dict[str, Chem.Mol], linkage: Linkage) -> list[tuple[Chem.Mol, str, int]]:
    """Give every residue with open ends its role: what one end tells holds for the other, and partners differ."""
    taker, giver = linkage.roles
    # The more unsaturated partner takes: an aromatic diisocyanate and an aliphatic diamine, a diketone difluoride and a bisphenol.
    mols = {text: example[text] for text in sorted(fragments, key=lambda text: (-text.count("="), text))}
    given = {
        text: taker if _TAKER in marks else giver if _GIVER in marks else None
        for text, mol in mols.items()
        for marks in [{atom.GetAtomMapNum() for atom in mol.GetAtoms()}]
    }
    if len(mols) == 1 and None in given.values():
        ((text, mol),) = mols.items()
        if linkage.alone:
            return [(mol, linkage.alone, fragments[text])]
        return [(mol, role, fragments[text]) for role in linkage.roles]
    roles: dict[str, str | None] = {}
    for text in mols:
        present = {role for role in given.values() if role is not None} | set(roles.values())
        roles[text] = given[text] if given[text] is not None else giver if taker in present else taker
    return [(mols[text], roles[text] or "", fragments[text]) for text in mols]


def _with_caps(fragment: Chem.Mol, cap: str) -> Chem.Mol:
    if not cap:
        return fragment
    piece = Chem.MolFromSmiles(cap, sanitize=False)
    order = piece.GetBondBetweenAtoms(0, 1).GetBondType()
    edit = Chem.RWMol(fragment)
    marks = {_OPEN: 1, _TWICE: 2}
    for end in [atom.GetIdx() for atom in fragment.GetAtoms() for _ in range(marks.get(atom.GetAtomMapNum(), 0))]:
        start = edit.GetNumAtoms()
        edit.InsertMol(piece)
        edit.AddBond(end, start + 1, order)
        edit.RemoveAtom(start)
    return edit


@cache
def pattern_of(smarts: str) -> Chem.Mol:
    """Return the query of a SMARTS, read once."""
    return Chem.MolFromSmarts(smarts)


def finished(fragment: Chem.Mol) -> str | None:
    """Return the SMILES of a monomer, or None where it cannot exist; an acid chloride or anhydride beside a
    nucleophile is the acid."""
    mol = Chem.RWMol(fragment)
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
        atom.SetIsotope(0)
    try:
        Chem.SanitizeMol(mol)
        if diimines := mol.GetSubstructMatches(_DIIMINE):
            _to_diamines(mol, diimines)
    except (Chem.MolSanitizeException, ValueError):
        return None
    if mol.HasSubstructMatch(_ACID_CHLORIDE) and mol.HasSubstructMatch(_NUCLEOPHILE):
        for (chlorine,) in mol.GetSubstructMatches(_CHLORINE):
            mol.GetAtomWithIdx(chlorine).SetAtomicNum(8)
        Chem.SanitizeMol(mol)
    if mol.HasSubstructMatch(_ANHYDRIDE) and mol.HasSubstructMatch(_AMINES):
        for _, _, oxygen, acyl, _ in mol.GetSubstructMatches(_ANHYDRIDE):
            mol.RemoveBond(oxygen, acyl)
            mol.AddBond(acyl, mol.AddAtom(Chem.Atom(8)), Chem.BondType.SINGLE)
        Chem.SanitizeMol(mol)
    if any(mol.HasSubstructMatch(pattern_of(smarts)) for smarts in _IMPOSSIBLE):
        return None
    return str(Chem.MolToSmiles(mol))


def _to_diamines(mol: Chem.RWMol, places: Sequence[Sequence[int]]) -> None:
    """Of the Kekule forms of a quinoxaline the one met may leave its benzo ring a quinone diimine."""
    for n1, c1, c2, n2 in places:
        mol.GetBondBetweenAtoms(n1, c1).SetBondType(Chem.BondType.SINGLE)
        mol.GetBondBetweenAtoms(n2, c2).SetBondType(Chem.BondType.SINGLE)
        mol.GetBondBetweenAtoms(c1, c2).SetBondType(Chem.BondType.DOUBLE)
    Chem.SanitizeMol(mol)


def smallest(counts: Counter[str]) -> dict[str, int]:
    """Return counts without their common divisor."""
    divisor = gcd(*counts.values())
    return {text: count // divisor for text, count in sorted(counts.items())}
