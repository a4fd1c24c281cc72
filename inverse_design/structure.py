"""What a polymer is and may be: its class, its synthetic accessibility, and the structure that a spec asks for.

Everything that could straddle the end of a repeat unit is looked for on two units in a row, whose backbone
atoms carry isotope 1: a pattern such as `[1CX3](=O)[1OX2]` finds an ester in the chain, whatever the frame,
and passes over one that hangs from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from inverse_design.descriptor_names import COLUMN

if TYPE_CHECKING:
    from rdkit import Chem

    from inverse_design.polymer import RepeatUnit

# Linkages of the backbone in the order of precedence (a poly(ester imide) is a polyimide); names as in PoLyInfo
# (Otsuka et al., 2011). RDKit perceives pyromellitic imides as aromatic, hence `#6` and `#7`.
_LINKAGES: Final = {
    "polyphosphazene": ("[1N]=[1P]", "phosphorus and nitrogen alternate in the chain"),
    "polyimide": ("[1#7X3](~[#6X3](=O)[#6])~[#6X3](=O)[#6]", "imide nitrogen in the chain"),
    "polyurethane": ("[1NX3][1CX3;!R](=[O,S])[1OX2,1SX2]", "-NH-C(=O)-O- in the chain"),
    "polyurea": ("[1NX3][1CX3;!R](=[O,S])[1NX3]", "-NH-C(=O)-NH- in the chain"),
    "polycarbonate": ("[1OX2,1SX2][1CX3;!R](=[O,S])[1OX2,1SX2]", "-O-C(=O)-O- in the chain"),
    "polyanhydride": ("[#6][1CX3;!R](=O)[1OX2][1CX3;!R](=O)[#6]", "-C(=O)-O-C(=O)- in the chain"),
    "polyamide": ("[1CX3;!R](=[O,S])[1NX3]", "-C(=O)-NH- in the chain, hydrazides too"),
    "polyester": ("[#6,#0][1CX3;!R](=[O,S])[1OX2,1SX2]", "-C(=O)-O- in the chain"),
    "polysulfone": ("[1SX4](=O)(=O)([#6])[#6]", "-SO2- between carbons of the chain"),
    "polysulfonamide": ("[1SX4](=O)(=O)[1#7]", "-SO2-NH- in the chain"),
    "polysulfonate": ("[1SX4](=O)(=O)[1#8]", "-SO2-O- in the chain"),
    "polyketone": ("[#6][1CX3;!R](=O)[#6]", "-C(=O)- between carbons of the chain"),
    "polysiloxane": ("[1Si][1O][1Si]", "-Si-O-Si- in the chain"),
    "polyphosphate": ("[1PX4,1PX3]", "phosphorus in the chain: phosphates, phosphonates, phosphine oxides"),
    "polyimine": ("[1C;!R]=[1N;!R],[1N;!R]=[1N;!R]", "-CH=N- or -N=N- in the chain"),
    "polysaccharide": ("[1OX2;!R][CX4;R]([OX2;R])[CX4;R]([OX2])", "sugar rings joined by glycosidic oxygen"),
    "polyether": ("[#6][1OX2][#6]", "-O- between carbons of the chain"),
    "polythioether": ("[#6][1SX2,1SX3,1Se,1Te]", "-S- in the chain: sulfides, disulfides, sulfoxides"),
    "polyamine": ("[1NX3,1NX4,1nX3]", "nitrogen in the chain and no carbonyl beside it"),
    "polysilane": ("[1Si,1Ge,1Sn]", "silicon, germanium or tin in the chain, and no oxygen"),
}
# Chains of carbon alone, by what they carry.
_CARBON_CHAINS: Final = {
    "polyarylene": ("[1a]", "aromatic rings joined directly or through carbon"),
    "polydiene": ("[1CX4][1CX3;!R]=[1CX3]", "C=C in the chain between saturated carbons"),
    "polyacetylene": ("[1CX3;!R]=[1CX3],[1CX2]#[1CX2]", "conjugated C=C or C#C along the chain"),
    "acrylic": ("[1CX4][CX3](=O)[OX2,OX1-]", "ester or acid on the chain: poly(meth)acrylates"),
    "polyacrylamide": ("[1CX4][CX3](=O)[#7]", "amide on the chain"),
    "polystyrene": ("[1CX4]c", "aromatic ring on the chain"),
    "polyhaloolefin": ("[1CX4][F,Cl,Br,I]", "halogen on the chain: PVC, PVDF, PTFE"),
    "vinyl": ("[!#6;!#1;!#0]", "saturated carbon chain with other groups: poly(vinyl alcohol), polyacrylonitrile"),
    "polyolefin": ("[#6]", "saturated hydrocarbon"),
}
OTHER: Final = "other"
CLASSES: Final[dict[str, str]] = {
    **{name: description for name, (_, description) in (_LINKAGES | _CARBON_CHAINS).items()},
    OTHER: "none of the above",
}

# What no chemist would order: unstable, explosive, or an artefact of writing SMILES. Each is rare among known polymers.
ALERTS: Final = {
    "peroxide": "[OX2][OX2]",
    "sulfur_nitrogen_chain": "[#7X3;!a][SX2][SX2]",
    "sulfur_oxygen_chain": "[OX2][SX2;!a]",
    "nitrogen_chain": "[NX3;!$(N[#6,#16,#15]=[O,S,N])][NX3;!R][NX3]",
    "nitrogen_sulfur_oxygen": "[#7X3,#8X2;!a]-[SX2;!a]-[#7X3,#8X2;!a]",
    "heteroatom_halogen": "[#7X3,#8X2,#16X2;!a][F,Cl,Br,I]",
    "acyl_halide": "[CX3](=[O,S])[F,Cl,Br,I]",
    "mixed_anhydride": "[#7,#8X2,#16X2][CX3;!R](=O)[OX2][CX3;!R](=O)",
    "cumulene": "[#6]=[#6X2]=[#6,#8,#16]",
    "diazo": "[#6]=[#7+]=[#7-]",
    "diazonium": "[#7+]#[#7]",
    "gem_diol": "[CX4;!$(C(F)(F)F);!$(CC(F)(F)F)]([OX2H])[OX2H]",
    "nitrite": "[OX2][NX2]=O",
    "hypervalent_halogen": "[F,Cl,Br,I;!X0;!X1]",
    "carbanion": "[#6-;!$([#6-]~[#7+,#8+,#15+,#16+])]",
    "phosphorus_halogen_chain": "[PX3][F,Cl,Br,I]",
    "nitrogen_oxygen_chain": "[NX3;!r3;!$(N[OX1]);!$(N=*)]-[OX2;!H1]",
    "halogen_beside_nitrogen": "[NX3;!a][CX4;!$(C(F)F)][F,Cl,Br,I]",
    "nitramine": "[#7X3][N+](=O)[O-]",
    "hydrazine_of_two_imides": "[#7X3]([#6]=O)([#6]=O)-[#7X3]([#6]=O)[#6]=O",
    "hydroxyl_on_azole_nitrogen": "[nX3][OX2H]",
    "sulfamic_acid": "[#7X3]S(=O)(=O)[OX2H]",
    "vicinal_dicarbonyl": "[#6][CX3;!R](=O)[CX3;!R](=O)[CX4,OX2]",
    "hemiacetal": "[OX2;!H1;!a][CX4;!$(C([OX2H])[OX2H])][OX2H]",
}
# Rings lie within one unit, so these need no second one.
RING_ALERTS: Final = {
    "strained_heteroatom_ring": "[!#6;r3]~[!#6;r3]",
    "strained_unsaturated_ring": "[#6;r3]=,:[*;r3]",
    "unsaturated_azetidine": "[#7;r4]@[#6X3;r4;!$(C=O)]",
    "cyclobutadiene": "[#6;r4;!a]1=[#6;r4;!a]-[#6;r4]=,:[#6;r4]-1",
    "four_ring_heteroatom_pair": "[#7,#8,#16;r4]~[#7,#8,#16;r4]",
    "alkyne_in_small_ring": "[#6X2;r3,r4,r5,r6,r7]#[#6X2]",
}


@cache
def _pattern(smarts: str) -> Chem.Mol:
    from rdkit import Chem

    return Chem.MolFromSmarts(smarts)


@cache
def _patterns(smarts: str) -> tuple[Chem.Mol, ...]:
    """Alternatives of one table entry: components apart from commas inside brackets."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(smarts):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            parts.append(smarts[start:index])
            start = index + 1
    return tuple(_pattern(part) for part in [*parts, smarts[start:]])


def backbone(unit: RepeatUnit, copies: int = 2) -> Chem.Mol:
    """Return repeat units in a row with isotope 1 on the atoms of the shortest path from end to end."""
    from rdkit import Chem

    from inverse_design.polymer import stars

    mol = unit.mol
    size = mol.GetNumAtoms()
    head, tail = stars(mol)
    path = Chem.GetShortestPath(mol, head, tail)
    order = mol.GetBondBetweenAtoms(path[0], path[1]).GetBondType()
    chain = Chem.RWMol(mol)
    for _ in range(copies - 1):
        chain.InsertMol(mol)
    for index in path[1:-1]:
        for copy in range(copies):
            chain.GetAtomWithIdx(copy * size + index).SetIsotope(1)
    chain.BeginBatchEdit()
    for start in range(0, (copies - 1) * size, size):
        chain.AddBond(start + path[-2], start + size + path[1], order)
        chain.RemoveAtom(start + tail)
        chain.RemoveAtom(start + size + head)
    chain.CommitBatchEdit()
    chain.UpdatePropertyCache(strict=False)
    Chem.GetSymmSSSR(chain)  # patterns name sizes of rings, and a faster search finds larger ones where rings share bonds
    return chain


def polymer_class(unit: RepeatUnit) -> str:
    """Return the class of a polymer, a key of `CLASSES`: the first linkage found in the backbone."""
    return _class_of(backbone(unit))


def _class_of(chain: Chem.Mol) -> str:
    for name, (smarts, _) in _LINKAGES.items():
        if any(chain.HasSubstructMatch(pattern) for pattern in _patterns(smarts)):
            return name
    if chain.HasSubstructMatch(_pattern("[1!#6;!a]")):
        return OTHER
    for name, (smarts, _) in _CARBON_CHAINS.items():
        if any(chain.HasSubstructMatch(pattern) for pattern in _patterns(smarts)):
            return name
    return OTHER


def capped(unit: RepeatUnit) -> Chem.Mol:
    """Return the repeat unit as a molecule of its own, hydrogen in place of both attachment points."""
    from rdkit import Chem

    from inverse_design.polymer import stars

    mol = Chem.RWMol(unit.mol)
    mol.BeginBatchEdit()
    for star in stars(mol):
        (bond,) = mol.GetAtomWithIdx(star).GetBonds()
        order = int(bond.GetBondTypeAsDouble())
        anchor = bond.GetOtherAtom(mol.GetAtomWithIdx(star))
        # An implicit hydrogen only appears where RDKit counts valences by itself.
        if anchor.GetNoImplicit() or anchor.GetIsAromatic():
            anchor.SetNumExplicitHs(anchor.GetNumExplicitHs() + order)
        mol.RemoveAtom(star)
    mol.CommitBatchEdit()
    mol.UpdatePropertyCache(strict=False)
    Chem.GetSymmSSSR(mol)
    return mol


def sa_score(unit: RepeatUnit) -> float:
    """Return the synthetic accessibility score of the H-capped unit, 1 (easy) to 10 (hard).

    Ertl & Schuffenhauer, J. Cheminform. 1:8 (2009), a heuristic. The starred unit must not be scored:
    fragments with `*` are unknown to its table, so an acrylate would come out harder than a polyimide.
    """
    from rdkit.Contrib.SA_Score import sascorer

    return float(sascorer.calculateScore(capped(unit)))


def alert(unit: RepeatUnit, chain: Chem.Mol | None = None) -> str | None:
    """Return the name of the first alert a polymer raises ("net_charge" included), or None."""
    from rdkit import Chem

    if Chem.GetFormalCharge(unit.mol):
        return "net_charge"
    chain = backbone(unit) if chain is None else chain
    for mol, table in ((chain, ALERTS), (unit.mol, RING_ALERTS)):
        for name, smarts in table.items():
            if mol.HasSubstructMatch(_pattern(smarts)):
                return name
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found on a repeat unit; `refusal` names what failed, and what was not reached is None."""

    descriptors: tuple[int, ...]
    polymer_class: str | None = None
    sa_score: float | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """The structure a spec asks for; everything left out is free.

    classes: keys of `CLASSES`, any of them; required, forbidden: SMARTS, all and none of them; elements: symbols allowed
    besides hydrogen; descriptors: (name, lowest, highest); sa_score: highest allowed; alerts: whether `ALERTS` refuse.
    """

    classes: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    elements: frozenset[str] = frozenset()
    descriptors: tuple[tuple[str, float, float], ...] = ()
    sa_score: float = math.inf
    alerts: bool = True

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Requirements:
        """Build from the structure block of a spec, as JSON: class, required, forbidden, elements, descriptors,
        sa_score, alerts. Raises TypeError for a key that is none of these."""
        given = dict(block)
        bounds = given.pop("descriptors", None) or {}
        difficulty = given.pop("sa_score", None) or {}
        return cls(
            classes=frozenset(given.pop("class", ())),
            elements=frozenset(given.pop("elements", ())),
            required=tuple(given.pop("required", ())),
            forbidden=tuple(given.pop("forbidden", ())),
            descriptors=tuple(
                (name, bound.get("min", -math.inf), bound.get("max", math.inf)) for name, bound in sorted(bounds.items())
            ),
            sa_score=difficulty.get("max", math.inf),
            **given,
        )

    def examine(self, unit: RepeatUnit) -> Examined:
        """Return what was found on `unit`, with the first requirement it fails, cheapest first."""
        from inverse_design.descriptors import realised

        values = realised(unit.mol)
        for name, low, high in self.descriptors:
            if not low <= values[COLUMN[name]] <= high:
                return Examined(descriptors=values, refusal=f"descriptor:{name}")
        if self.elements:
            foreign = {atom.GetSymbol() for atom in unit.mol.GetAtoms()} - self.elements - {"*", "H"}
            if foreign:
                return Examined(descriptors=values, refusal=f"element:{min(foreign)}")
        chain = backbone(unit)
        found = _class_of(chain)
        refusal = self._by_pattern(unit, chain, found)
        if refusal is not None:
            return Examined(descriptors=values, polymer_class=found, refusal=refusal)
        score = sa_score(unit)
        refusal = None if score <= self.sa_score else "sa_score"
        return Examined(descriptors=values, polymer_class=found, sa_score=score, refusal=refusal)

    def _by_pattern(self, unit: RepeatUnit, chain: Chem.Mol, found: str) -> str | None:
        if self.classes and found not in self.classes:
            return f"class:{found}"
        if self.alerts and (name := alert(unit, chain)) is not None:
            return f"alert:{name}"
        if self.required or self.forbidden:
            whole = _plain(chain)
            for smarts in self.required:
                if not whole.HasSubstructMatch(_pattern(smarts)):
                    return f"required:{smarts}"
            for smarts in self.forbidden:
                if whole.HasSubstructMatch(_pattern(smarts)):
                    return f"forbidden:{smarts}"
        return None


def _plain(chain: Chem.Mol) -> Chem.Mol:
    """Two units in a row as a user's pattern expects them: no labels, rings perceived in full."""
    from rdkit import Chem

    plain = Chem.Mol(chain)
    for atom in plain.GetAtoms():
        atom.SetIsotope(0)
    Chem.GetSymmSSSR(plain)
    return plain
