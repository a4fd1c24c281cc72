"""Polymers made by opening a double bond or a ring: the backbone tiled into monomers, or the unit closed into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from rdkit import Chem

from inverse_design.polymer import RepeatUnit, stars
from inverse_design.synthesis.retro import Chain, finished, pattern_of

Made = tuple[str, Counter[str]]
"""Route and monomers, counted."""

_NORBORNENE: Final = "[C;$(C1C2CCC(C2)C1),$(C1=CC2CCC1C2)]=,-[C;R]"
# Monomer -> how it is polymerised; the first that fits.
_VINYL_ROUTES: Final = (
    ("[#6]#[#6]", "coordination polymerisation of the alkyne"),
    ("C=CC=C", "anionic or coordination polymerisation of the diene"),
    ("[CX3](F)=[CX3]", "radical polymerisation"),
    (_NORBORNENE, "addition polymerisation of the norbornene (palladium, nickel)"),
    ("C=C[OX2][CX4,c]", "cationic polymerisation of the vinyl ether"),
    ("C=C[F,Cl,Br,$(C#N),$(C=O),$(OC=O),$([#7]),$(c),$(C(F)(F)F),$(S),$(P)]", "radical polymerisation"),
    ("C=[C;R]", "radical polymerisation"),
    ("[CH2]=C([#6])[#6]", "cationic polymerisation"),
    ("C=C", "coordination polymerisation (Ziegler-Natta, metallocene)"),
)
# With gases; Drent and Budzelaar, Chem. Rev. 96:663 (1996), and Odian (2004), chapter 6.
_GAS_ROUTES: Final = {
    "[C-]#[O+]": "alternating copolymerisation with carbon monoxide (palladium)",
    "O=S=O": "radical copolymerisation with sulfur dioxide",
}
# Vinyl monomers that cannot be bottled, the ones used in their place, and what is done to the polymer afterwards.
_PRECURSORS: Final = (
    ("[CH2:1]=[C;X3:2][OX2H:3]>>[C:1]=[C:2][O:3]C(C)=O", "radical polymerisation of the vinyl acetate, then hydrolysis"),
    ("[CH2:1]=[C;X3:2][NX3H2:3]>>[C:1]=[C:2][N:3]C=O", "radical polymerisation of the N-vinylformamide, then hydrolysis"),
)
_DIVINYL_ACETAL: Final = "[CH2:1]=[CH:2][OX2:3][CX4:4][OX2:5][CH:6]=[CH2:7]>>[C:1]=[C:2][O:3]C(C)=O.[C:4]=O"


HEAD_TO_HEAD: Final = " (written head to head; it grows head to tail)"
_COPIES: Final = 4  # a period of two units, begun up to three atoms into the second


def vinyl(unit: RepeatUnit) -> Made | None:
    """Return the alkenes, dienes or alkynes (with SO2 and CO between them) whose polymerisation gives a carbon chain."""
    ends = Chem.GetShortestPath(unit.mol, *stars(unit.mol))[1:-1]
    for atom in map(unit.mol.GetAtomWithIdx, ends):
        if atom.GetIsAromatic() or not (atom.GetAtomicNum() == 6 or _comonomer(unit.mol, atom.GetIdx())):
            return None
    chain = Chain(unit, _COPIES)
    edit = chain.kekule
    path = chain.path[1:-1]
    length = len(ends)
    orders = [edit.GetBondBetweenAtoms(a, b).GetBondTypeAsDouble() for a, b in pairwise(path)]
    best: tuple[tuple[bool, bool, int, int, str], Made] | None = None
    for phase in range(min(4, 2 * length)):
        tiles = _tiles(edit, path, orders, phase, length)
        made = None if tiles is None else _monomers(edit, path, tiles)
        if made is None:
            continue
        found, against = made
        strained = any(Chem.MolFromSmiles(text).HasSubstructMatch(pattern_of(_NORBORNENE)) for text in found)
        rank = (against, not strained, len(found), max(map(len, found)), ".".join(sorted(found)))
        if best is None or rank < best[0]:
            route, monomers = _named(found)
            best = rank, (route + HEAD_TO_HEAD if against else route, monomers)
    return best and best[1]


def _comonomer(mol: Chem.Mol, index: int) -> str | None:
    """The gas that an SO2 or C=O of the chain is."""
    atom = mol.GetAtomWithIdx(index)
    doubled = sum(bond.GetBondTypeAsDouble() == 2 and bond.GetOtherAtom(atom).GetAtomicNum() == 8 for bond in atom.GetBonds())
    if atom.GetAtomicNum() == 16 and doubled == 2:
        return "O=S=O"
    return "[C-]#[O+]" if atom.GetAtomicNum() == 6 and doubled == 1 and atom.GetDegree() == 3 else None


def _tiles(mol: Chem.Mol, path: tuple[int, ...], orders: list[float], phase: int, length: int) -> list[tuple[int, int]] | None:
    """Cover one or two periods of the path with (start, length of tile), or None where no cover closes."""
    start = length + phase
    at = start
    tiles: list[tuple[int, int]] = []
    while at < start + 2 * length and (at == start or (at - start) % length):
        if _comonomer(mol, path[at]):
            if tiles and tiles[-1][1] == 1:
                return None  # sulfur dioxide and carbon monoxide never add to themselves
            size = 1
        elif at + 2 < len(orders) and orders[at] == orders[at + 2] == 1 and orders[at + 1] == 2:
            size = 4
        elif at < len(orders) and orders[at] in (1, 2) and at + 1 < len(path) and not _comonomer(mol, path[at + 1]):
            size = 2
        else:
            return None
        tiles.append((at, size))
        at += size
    if (at - start) % length or at >= len(path):
        return None
    cuts = {at for at, _ in tiles} | {at}
    if any(orders[cut - 1] != 1 for cut in cuts):
        return None
    alkynes = [size == 2 and orders[at] == 2 for at, size in tiles]
    return tiles if all(alkynes) or not any(alkynes) else None


def _monomers(kekule: Chem.Mol, path: tuple[int, ...], tiles: list[tuple[int, int]]) -> tuple[Counter[str], bool] | None:
    """The monomers of tiles, counted, and whether some lie head to head."""
    edit = Chem.RWMol(kekule)
    end = sum(tiles[-1])
    for cut in {*(at for at, _ in tiles), end}:
        edit.RemoveBond(path[cut - 1], path[cut])
    doubled: list[tuple[int, int]] = []
    for at, size in tiles:
        atoms = path[at : at + size]
        for a, b in (pairwise(atoms) if size == 2 else (atoms[:2], atoms[2:])) if size > 1 else ():
            bond = edit.GetBondBetweenAtoms(a, b)
            bond.SetBondType(Chem.BondType.TRIPLE if bond.GetBondTypeAsDouble() == 2 else Chem.BondType.DOUBLE)
            if size == 2 and bond.GetBondType() == Chem.BondType.DOUBLE:
                doubled.append((a, b))
        if size == 4:
            edit.GetBondBetweenAtoms(atoms[1], atoms[2]).SetBondType(Chem.BondType.SINGLE)
    inside = set(path[tiles[0][0] : end])
    whole = Chem.GetMolFrags(edit)
    parts = Chem.GetMolFrags(edit, asMols=True, sanitizeFrags=False)
    found: Counter[str] = Counter()
    directions: set[int] = set()
    for atoms, part in zip(whole, parts, strict=True):
        if inside.isdisjoint(atoms):
            continue
        local = {atom: index for index, atom in enumerate(atoms)}
        gas = next((_comonomer(kekule, atom) for atom in atoms if atom in inside and len(atoms) <= 3), None)
        if gas is not None:
            found[gas] += 1
            continue
        text = finished(part)
        ways = [_polymerises(part, local[a], local[b]) for a, b in doubled if a in local]
        if text is None or None in ways:
            return None
        directions.update(way for way in ways if len(ways) == 1 and way)
        found[text] += 1
    # Chains grow head to tail; copolymers are often written otherwise, a homopolymer that is so is another polymer.
    if len(directions) > 1 and len(found) == 1:
        return None
    return found, len(directions) > 1


def _polymerises(mol: Chem.Mol, a: int, b: int) -> int | None:
    """Return whether a C=C is open enough: an end without branches (1 for `a`, -1 for `b`, 0 for both), a strained ring,
    electron-poor on both sides (0), an enol ether (Odian 2004, chapter 5) with one branch on the other end (1 for `a`, -1 for `b`);
    None where it is not."""
    Chem.GetSymmSSSR(mol)  # the smallest rings: which ones a faster search finds depends on the order of the atoms
    rings = mol.GetRingInfo()
    if any(rings.AreAtomsInSameRingOfSize(a, b, size) for size in (3, 4, 5)):
        return 0
    sides, ends, ethers, branches = [], [], [], []
    for atom, partner in ((a, b), (b, a)):
        others = [other for other in mol.GetAtomWithIdx(atom).GetNeighbors() if other.GetIdx() != partner]
        ends.append(all(other.GetAtomicNum() in (9, 17) for other in others))
        ethers.append(any(other.GetAtomicNum() == 8 and _of_an_alkyl(other, atom) for other in others))
        branches.append(len(others))
        sides.append(
            len(others) == 1
            and any(
                bond.GetBondTypeAsDouble() > 1 and bond.GetOtherAtom(others[0]).GetAtomicNum() in (7, 8)
                for bond in others[0].GetBonds()
            )
        )
    if any(ends):
        return ends[0] - ends[1]
    if all(sides):
        return 0
    return ethers[1] - ethers[0] if any(ethers) and max(branches) == 1 else None


def _of_an_alkyl(oxygen: Chem.Atom, carbon: int) -> bool:
    """Whether what else an oxygen holds is a saturated carbon."""
    others = [other for other in oxygen.GetNeighbors() if other.GetIdx() != carbon]
    return bool(others) and all(bond.GetBondTypeAsDouble() == 1 for other in others for bond in other.GetBonds())


def _named(monomers: Counter[str]) -> Made:
    found: Counter[str] = Counter()
    routes: dict[str, None] = {}
    for text, count in monomers.items():
        mol = Chem.MolFromSmiles(text)
        route = next((name for smarts, name in _VINYL_ROUTES if mol.HasSubstructMatch(pattern_of(smarts))), "")
        for smarts, name in (
            *_PRECURSORS,
            (_DIVINYL_ACETAL, "poly(vinyl acetate), hydrolysed, then acetalised with the aldehyde"),
        ):
            reaction = _reaction(smarts)
            if products := reaction.RunReactants((mol,)):
                for product in products[0]:
                    Chem.SanitizeMol(product)
                    found[Chem.MolToSmiles(product)] += count
                route = name
                break
        else:
            found[text] += count
        routes.setdefault(route)
    names = [name for name in routes if name]
    for gas, name in _GAS_ROUTES.items():
        if gas in found:
            return name, found
    # Of monomers that grow by different mechanisms only radicals take both, unless a metal does.
    mixed = len(names) > 1 and any("coordination" not in name and "addition" not in name for name in names)
    return "radical copolymerisation" if mixed else " and ".join(names), found


def _reaction(smarts: str) -> Chem.rdChemReactions.ChemicalReaction:
    from rdkit.Chem import rdChemReactions

    return rdChemReactions.ReactionFromSmarts(smarts)


# Ring that the unit closes into -> sizes that open again (Odian 2004, chapter 7), and how.
_RINGS: Final = (
    ("[OX2;R][CX3;R](=O)[OX2;R]", (6, 7), "ring-opening polymerisation of the cyclic carbonate"),
    ("[CX3;R](=O)[OX2;R][CX3;R](=O)", (5, 7, 8), "melt polycondensation of diacid with acetic anhydride"),
    ("[#6][CX3;R](=O)[OX2;R]", (4, 5, 6, 7, 8, 9, 12, 13, 16, 17), "ring-opening polymerisation of the lactone"),
    ("[OX2;R][CX3;R](=O)[NX3;R]", (6, 7), "ring-opening polymerisation of the cyclic urethane"),
    ("[#6][CX3;R](=O)[NX3;R]", (4, 5, 6, 7, 8, 9, 13), "ring-opening polymerisation of the lactam"),
    ("[PX4;R](=O)[OX2;R]", (5, 6), "ring-opening polymerisation of the cyclic phosphate"),
    ("[Si;R][CX4;R]", (4,), "ring-opening polymerisation of the silacyclobutane"),
    ("[CX4;R][SX2;R][CX4;R]", (3, 4), "ring-opening polymerisation of the cyclic sulfide"),
    ("[NX3;R;!$(N[#6]=O)]", (3, 4), "cationic ring-opening polymerisation of the cyclic amine"),
    ("[OX2;R]1[CX4;R][CX4;R]1", (3,), "ring-opening polymerisation of the epoxide"),
    ("[OX2;R]1[CX4;R][CX4;R][CX4;R]1", (4,), "cationic ring-opening polymerisation of the oxetane"),
    ("[OX2;R]1[CX4;R][CX4;R][CX4;R][CX4;R]1", (5,), "cationic ring-opening polymerisation of the tetrahydrofuran"),
    ("[OX2;R][CX4;R][OX2;R]", (5, 7, 8), "cationic ring-opening polymerisation of the cyclic acetal"),
)  # fmt: skip
_LARGEST: Final = 9
"""Ring size up to which other heteroatoms may stand beside the group that opens."""
_METATHESIS: Final = (4, 5, 7, 8, 9, 10, 12)
_SATURATED: Final = Chem.HybridizationType.SP3


def ring_opening(unit: RepeatUnit) -> Made | None:
    """Return the cyclic monomer that a *canonical* unit comes from by ring opening, an aldehyde for a polyacetal."""
    mol = unit.mol
    head, tail = stars(mol)
    path = Chem.GetShortestPath(mol, head, tail)[1:-1]
    atoms = [mol.GetAtomWithIdx(index) for index in path]
    bonds = [mol.GetBondBetweenAtoms(a, b) for a, b in pairwise(path)]
    if any(atom.IsInRing() for atom in atoms) or any(bond.GetBondTypeAsDouble() != 1 for bond in bonds):
        return None
    others = sum(atom.GetAtomicNum() != 6 for atom in atoms)
    if not 2 <= len(path) <= 17 or not others or (len(path) > _LARGEST and others > 1) or _of_halves(atoms):
        return None
    edit = Chem.RWMol(mol)
    Chem.Kekulize(edit, clearAromaticFlags=True)
    if len(path) == 2:
        elements = sorted(atom.GetAtomicNum() for atom in atoms)
        if elements == [6, 14]:
            return _disilacyclobutane(edit, path, (head, tail))
        return _aldehyde(edit, path, (head, tail)) if elements == [6, 8] else None
    edit.AddBond(path[0], path[-1], Chem.BondType.SINGLE)
    ring = _without(edit, (head, tail))
    closed = finished(ring)
    if closed is None:
        return None
    if len(path) == 3 and (amino := _of_alpha_acid(closed)) is not None:
        return amino
    closed_mol = Chem.MolFromSmiles(closed)
    for smarts, sizes, route in _RINGS:
        if len(path) in sizes and closed_mol.HasSubstructMatch(pattern_of(smarts)):
            return route, Counter([closed])
    return None


def _of_halves(ring: Sequence[Chem.Atom]) -> bool:
    """Whether the ring that these atoms close into is a diester, diamide or the like, whose chain is made from a diacid;
    glycolides and morpholinediones are none."""
    size = len(ring)
    acyls = [at for at, atom in enumerate(ring) if _comonomer(atom.GetOwningMol(), atom.GetIdx()) == "[C-]#[O+]"]
    beside = [{side % size for side in (at - 1, at + 1) if ring[side % size].GetAtomicNum() in (7, 8)} for at in acyls]
    joined = set().union(*beside)
    if sum(map(bool, beside)) < 2 or len(joined) < 2:
        return False
    of_alpha_acids = size == 6 and len(joined) == 2 and max(joined) - min(joined) == 3
    return not (of_alpha_acids and any(ring[at].GetAtomicNum() == 8 for at in joined))


def _without(edit: Chem.RWMol, ends: tuple[int, int]) -> Chem.RWMol:
    edit.BeginBatchEdit()
    for end in ends:
        edit.RemoveAtom(end)
    edit.CommitBatchEdit()
    return edit


def _aldehyde(edit: Chem.RWMol, path: tuple[int, ...], ends: tuple[int, int]) -> Made | None:
    edit.GetBondBetweenAtoms(*path).SetBondType(Chem.BondType.DOUBLE)
    text = finished(_without(edit, ends))
    return None if text is None else ("anionic or cationic polymerisation of the aldehyde", Counter([text]))


def _disilacyclobutane(edit: Chem.RWMol, path: tuple[int, ...], ends: tuple[int, int]) -> Made | None:
    """Two units of Si and CH2 in a ring."""
    if all(edit.GetAtomWithIdx(index).GetTotalNumHs() != 2 for index in path):
        return None
    for index in path:
        edit.GetAtomWithIdx(index).SetBoolProp("ring", True)
    unit = _without(edit, ends)
    first, last = (atom.GetIdx() for atom in unit.GetAtoms() if atom.HasProp("ring"))
    text = _paired(unit, first, last)
    return None if text is None else ("ring-opening polymerisation of the 1,3-disilacyclobutane (platinum)", Counter([text]))


def _paired(unit: Chem.RWMol, first: int, last: int) -> str | None:
    """Two copies of a unit, joined end to end into a ring."""
    size = unit.GetNumAtoms()
    unit.InsertMol(Chem.Mol(unit))
    unit.AddBond(first, size + last, Chem.BondType.SINGLE)
    unit.AddBond(size + first, last, Chem.BondType.SINGLE)
    return finished(unit)


_ALPHA: Final = (
    ("[#7:1]1[C:2][C:3]1=[O:4]>>[#7:1]1[C:2][C:3](=[O:4])OC1=O", "ring-opening polymerisation of the N-carboxyanhydride"),
    ("[O:1]1[C:2][C:3]1=[O:4]>>[O:1]1[C:2][C:3](=[O:4])[O:1][C:2][C:3]1=[O:4]", ""),
)


def _of_alpha_acid(closed: str) -> Made | None:
    """The N-carboxyanhydride of an alpha-amino acid, or the lactide of an alpha-hydroxy acid, from its three-ring."""
    mol = Chem.MolFromSmiles(closed)
    smarts, route = _ALPHA[0]
    if products := _reaction(smarts).RunReactants((mol,)):
        Chem.SanitizeMol(products[0][0])
        return route, Counter([Chem.MolToSmiles(products[0][0])])
    match = mol.GetSubstructMatch(pattern_of("[O;r3]1[C;r3][C;r3]1=O"))
    if not match:
        return None
    edit = Chem.RWMol(mol)
    edit.RemoveBond(match[0], match[2])
    text = _paired(edit, match[0], match[2])
    return None if text is None else ("ring-opening polymerisation of the lactide", Counter([text]))


def metathesis(chain: Chain) -> Made | None:
    """Return the cyclic olefin whose ring-opening metathesis gives a chain with one C=C a unit, between saturated carbons."""
    path = chain.path[1:-1]
    length = len(path) // chain.copies
    if length not in _METATHESIS or any(chain.mol.GetAtomWithIdx(index).GetIsAromatic() for index in path[:length]):
        return None
    edit = Chem.RWMol(chain.kekule)
    doubles = [at for at, (a, b) in enumerate(pairwise(path)) if edit.GetBondBetweenAtoms(a, b).GetBondTypeAsDouble() == 2]
    inner = [at for at in doubles if at < 2 * length]
    if len(doubles) > chain.copies or len(inner) < 2:
        return None
    if not all(
        chain.mol.GetAtomWithIdx(path[at + side]).GetHybridization() == _SATURATED for at in inner[:2] for side in (-1, 2)
    ):
        return None
    first, second = path[inner[0] + 1], path[inner[1]]
    for at in inner[:2]:
        edit.RemoveBond(path[at], path[at + 1])
    if edit.GetBondBetweenAtoms(first, second) is not None:
        return None
    edit.AddBond(first, second, Chem.BondType.DOUBLE)
    for atoms, part in _fragments(edit):
        if first in atoms:
            text = finished(part)
            return None if text is None else ("ring-opening metathesis polymerisation of the cyclic olefin", Counter([text]))
    return None


def _fragments(mol: Chem.Mol) -> Iterator[tuple[tuple[int, ...], Chem.Mol]]:
    return zip(Chem.GetMolFrags(mol), Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False), strict=True)
