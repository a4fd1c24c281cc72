"""A graph genetic algorithm on repeat units: crossover and mutation that keep exactly two `*` (after Jensen, Chem. Sci. 10:3567, 2019).

As a generator it breeds the polymers of a library that come closest to a prompt. `child` is the whole of its chemistry, so that a
loop with selection of its own can use it, as `tests/benchmarks/acquisition.py` does.
"""

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from rdkit import Chem, rdBase

from inverse_design.descriptors import realised
from inverse_design.novelty import table_texts
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.split import WELL_KNOWN

ATOMS = (6, 6, 6, 7, 8, 9, 16)
RINGS = tuple(Chem.MolFromSmiles(text) for text in ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "c1ccsc1", "O=C1NC(=O)c2ccccc21"))
TRIES = 20
NEAREST = 6
"""Units of the library that parents for a prompt are taken from."""


class GraphGA:
    """library: a CSV file with a column psmiles or smiles; without one, well-known polymers. mutation: share of children mutated."""

    def __init__(self, library: str | None = None, mutation: float = 0.5) -> None:
        texts = list(WELL_KNOWN) if library is None else table_texts(Path(library))
        units = [unit for unit in map(parse, texts) if isinstance(unit, RepeatUnit)]
        self.library = [(unit.psmiles, realised(unit.mol)) for unit in units]
        self.mutation = mutation

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        """Return one text per seed for each prompt; a text depends on its prompt and seed alone."""
        return [
            [child(self._near(prompt), seed, self.mutation) for seed in own] for prompt, own in zip(prompts, seeds, strict=True)
        ]

    def _near(self, prompt: str) -> list[str]:
        """Return the units of the library nearest to a prompt, nearest first; weights count by their heavy atoms' worth."""
        wanted = [int(number) for number in prompt.split(",")[-15:]]
        scales = [12, *[1] * 14]

        def apart(unit: tuple[str, tuple[int, ...]]) -> float:
            return sum(abs(a - b) / scale for a, b, scale in zip(unit[1], wanted, scales, strict=True))

        return [text for text, _ in sorted(self.library, key=apart)[:NEAREST]]


def child(parents: Sequence[str], seed: int, mutation: float = 0.5) -> str:
    """Return the repeat unit bred from two of `parents`, better ones first and likelier; one of them where nothing comes of it."""
    draw = random.Random(seed)
    with rdBase.BlockLogs():
        for _ in range(TRIES):
            first, second = (Chem.MolFromSmiles(parents[int(len(parents) * draw.random() ** 2)]) for _ in range(2))
            text = crossed(first, second, draw)
            if text is not None and draw.random() < mutation:
                text = mutated(Chem.MolFromSmiles(text), draw)
            if text is not None and text not in parents:
                return text
    return parents[0]


def crossed(first: Chem.Mol, second: Chem.Mol, draw: random.Random) -> str | None:
    """Return the half of one unit with its star, joined to such a half of another, cut at single bonds between the stars."""
    one, other = _half(first, draw), _half(second, draw)
    if one is None or other is None:
        return None
    (a, at_a), (b, at_b) = one, other
    both = Chem.RWMol(Chem.CombineMols(a, b))
    both.AddBond(at_a, a.GetNumAtoms() + at_b, Chem.BondType.SINGLE)
    return sound(both)


def _half(mol: Chem.Mol, draw: random.Random) -> tuple[Chem.Mol, int] | None:
    """Cut at a bond of the backbone outside rings; return one side and the atom that was cut off there."""
    stars = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    path = Chem.GetShortestPath(mol, *stars)
    bonds = [mol.GetBondBetweenAtoms(i, j) for i, j in pairwise(path)]
    cuts = [bond for bond in bonds if not bond.IsInRing() and bond.GetBondType() == Chem.BondType.SINGLE]
    if not cuts:
        return None
    bond = draw.choice(cuts)
    open_ = Chem.RWMol(mol)
    for atom in open_.GetAtoms():
        atom.SetIntProp("was", atom.GetIdx())
    open_.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    pieces = Chem.GetMolFrags(open_, asMols=True, sanitizeFrags=False)
    # A star alone is nothing to join to.
    sides = [piece for piece in pieces if piece.GetNumAtoms() > 1 and any(atom.GetAtomicNum() == 0 for atom in piece.GetAtoms())]
    piece = draw.choice(sides)
    ends = {bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()}
    return piece, next(atom.GetIdx() for atom in piece.GetAtoms() if atom.GetIntProp("was") in ends)


def mutated(mol: Chem.Mol, draw: random.Random) -> str | None:
    """Return the unit with one small change: another element, an atom more or less, another bond order, or a ring in the backbone."""
    unit = Chem.RWMol(mol)
    Chem.Kekulize(unit, clearAromaticFlags=True)
    atom = draw.choice([atom for atom in unit.GetAtoms() if atom.GetAtomicNum()])
    bond = draw.choice(list(unit.GetBonds()))
    kind = draw.choice(("element", "append", "insert", "delete", "order", "ring"))
    if kind == "element":
        atom.SetAtomicNum(draw.choice(ATOMS))
    elif kind == "append":
        unit.AddBond(atom.GetIdx(), unit.AddAtom(Chem.Atom(draw.choice(ATOMS))), Chem.BondType.SINGLE)
    elif kind == "delete" and atom.GetDegree() == 2:
        left, right = (other.GetIdx() for other in atom.GetNeighbors())
        if unit.GetBondBetweenAtoms(left, right) is None:
            unit.AddBond(left, right, Chem.BondType.SINGLE)
            unit.RemoveAtom(atom.GetIdx())
    elif kind == "delete" and atom.GetDegree() == 1:
        unit.RemoveAtom(atom.GetIdx())
    elif kind == "order":
        bond.SetBondType(draw.choice((Chem.BondType.SINGLE, Chem.BondType.DOUBLE)))
    elif not bond.IsInRing():
        _put_in(unit, bond, draw, Chem.MolFromSmiles("C") if kind == "insert" else draw.choice(RINGS))
    return sound(unit)


def _put_in(unit: Chem.RWMol, bond: Chem.Bond, draw: random.Random, piece: Chem.Mol) -> None:
    """Put a piece into a bond, joined by two of its atoms with hydrogens, or twice by the same where it has but one."""
    ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    free = [atom.GetIdx() for atom in piece.GetAtoms() if atom.GetTotalNumHs()]
    joints = draw.sample(free, 2) if len(free) > 1 else free * 2
    start = unit.GetNumAtoms()
    kekule = Chem.Mol(piece)
    Chem.Kekulize(kekule, clearAromaticFlags=True)
    unit.InsertMol(kekule)
    unit.RemoveBond(*ends)
    for end, joint in zip(ends, joints, strict=True):
        unit.AddBond(end, start + joint, Chem.BondType.SINGLE)


def sound(mol: Chem.RWMol) -> str | None:
    """Return the SMILES of a molecule that is one repeat unit; None where it is none."""
    for atom in mol.GetAtoms():
        atom.SetNumExplicitHs(0)
        atom.SetNoImplicit(False)
    if Chem.SanitizeMol(mol, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
        return None
    unit = parse(Chem.MolToSmiles(mol))
    return unit.psmiles if isinstance(unit, RepeatUnit) else None
