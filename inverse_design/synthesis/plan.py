"""How a polymer could be made: the route, its monomers and what to mind, told from the repeat unit alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final

from rdkit import Chem
from rdkit.Contrib.SA_Score import sascorer

from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.synthesis.chain_growth import Made, metathesis, ring_opening, vinyl
from inverse_design.synthesis.linkages import COUPLINGS, LEVELS, Linkage
from inverse_design.synthesis.retro import Chain, cut_chain, matches, monomers_of, pattern_of, smallest

STATISTICAL: Final = "statistical copolymer: three or more monomers keep no order unless two are joined beforehand"
# Bonds of the backbone that do not last; Odian (2004), and Allcock, Lampe & Mark, Contemporary Polymer Chemistry (2003).
_UNSTABLE: Final = (
    ("hydrolysis: anhydride", "[1CX3;!R](=O)[1OX2][1CX3;!R]=O"),
    ("hydrolysis: acetal", "[1OX2][1CX4;!$(C[F])][1OX2]"),
    ("hydrolysis: imine", "[1CX3;!R]=[1NX2;!R]"),
    ("hydrolysis: silyl ether or silazane", "[1Si][$([1OX2][#6]),$([1#7])]"),
    ("hydrolysis: phosphorus ester or amide", "[1PX4,1PX3;!$(P=[1N])]-[1O,1N]"),
    ("hydrolysis: alpha-hydroxy ester", "[1CX3](=O)-[1CX4]-[1OX2]-[1CX3]=O"),
    ("hydrolysis: oxalate", "[1OX2]-[1CX3](=O)-[1CX3](=O)-[1OX2]"),
    ("hydrolysis: sulfonate", "[1SX4](=O)(=O)-[1OX2]"),
    ("oxidation: C=C of the chain", "[1CX4][1CX3;!R]=[1CX3][1CX4]"),
    ("oxidation: polyacetylene", "[1CX3;!R]=[1CX3]-[1CX3]=[1CX3]"),
    ("oxidation: disulfide or sulfide", "[#6]-[1SX2;!$(S(c)c)]"),
    ("oxidation: C-H beside ether oxygen", "[1CX4;!H0]-[1OX2;!$(OC=[O,S])]-[1CX4]"),
    ("oxidation: amine of the chain", "[1CX4;!H0]-[1NX3;!$(N[#6]=[O,S])]"),
    ("oxidation: Si-Si bond", "[1Si]-[1Si]"),
)
# What else of the unit would react while the chain is made: words of the route, and the group.
_ACYLATES: Final = ("diacid", "diol", "diisocyanate", "phosgene", "dihalide", "epoxide", "aldehyde", "chloride", "diamine")
_COMPETING: Final = (
    (
        "protect: free amine, which reacts too",
        _ACYLATES,
        "[NX3;H1,H2;!$(N[#6,#16,#15]=[O,S,N]);!$(N[#7,#8]);!$(N-[Si]);$(N[CX4])]",
    ),
    ("protect: free thiol, which reacts too", _ACYLATES, "[SX2H]"),
    (
        "protect: free hydroxyl, which reacts too",
        ("diol", "diisocyanate", "phosgene", "aldehyde", "hydroxy"),
        "[OX2H;!$(OC=O);!$(O[#7,P,S])]",
    ),
    ("catalyst: oxygen, nitrogen and sulfur poison Ziegler-Natta catalysts", ("Ziegler-Natta",), "[#7,#8,#16]"),
)
# Monomers that would turn into something else: enols and enamines (unless a carbonyl or nitrile holds them), carbamic acids,
# aminals and hemiaminals of a primary amine.
_NEVER_BOTTLED: Final = (
    "[OX2H,SX2H,NX3H2;!$(*-[#6]=[O,N,S])][CX3]=[CX3;!$(C-[#6]=,#[#7,#8])]",
    "[#7]-[CX3](=O)[OX2H]",
    "[NX3H2]-[CX4]-[OX2,SX2,$([NX3;!$(N[#6,#16]=[O,S,N])])]",
)
_PHOSPHAZENE: Final = Linkage(
    kind="phosphazene",
    route="ring-opening polymerisation of hexachlorocyclotriphosphazene, then substitution",
    retro="[1P;$(P=[1N]),$(P-[1N]):1]-[O,N,S;!1:2]>>Cl[P:1].[*:2]",
    reagent="ClP1(Cl)=NP(Cl)(Cl)=NP(Cl)(Cl)=N1",
)
# With carbon on phosphorus: Neilson and Wisian-Neilson, Chem. Rev. 88:541 (1988); Allcock et al., Macromolecules 30:50 (1997).
_PHOSPHORANIMINE: Final = (
    Linkage(
        kind="phosphazene",
        route="polycondensation of the N-silylphosphoranimine",
        retro="[1P;$(P(-[#6;!1])-[#6;!1]):1]-[1N:2]>>FC(F)(F)CO[P:1].[N:2][Si](C)(C)C",
        leaving="[CH3][Si]([CH3])([CH3])[N:1]=[P:2]O[CH2]C(F)(F)F",
    ),
)
_CHLOROPHOSPHORANIMINE: Final = (
    Linkage(
        kind="phosphazene",
        route="living cationic polymerisation of the N-silyl chlorophosphoranimine",
        retro="[1P;$(P-[#6;!1]);$(P-[O,N,S;!1]):1]-[1N:2]>>Cl[P:1].[N:2][Si](C)(C)C",
        leaving="[CH3][Si]([CH3])([CH3])[N:1]=[P:2]",
    ),
    Linkage(kind="phosphazene", route="substitution of its chlorine", retro="[1P;$(P-[#6;!1]):1]-[O,N,S;!1:2]>>Cl[P:1].[*:2]"),
)
_FEW: Final = 2
_JOINERS: Final = frozenset({"O=C(Cl)Cl", "O", "O=C=O", "O=S=O", "[C-]#[O+]", "[Na][S][Na]", "C=O", "N"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Monomer:
    """A starting material: SMILES, how many a repeat unit takes (smallest whole numbers), and its SA score (1 to 10)."""

    smiles: str
    count: int
    sa_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """A route to a polymer."""

    route: str
    monomers: tuple[Monomer, ...]
    warnings: tuple[str, ...]

    @property
    def sa_score(self) -> float:
        """SA score of the monomer that is hardest to make."""
        return max(monomer.sa_score for monomer in self.monomers)


def synthesis(unit: RepeatUnit) -> Synthesis | None:
    """Return how to make a polymer, or None where no route of the tables leads to it; the frame does not matter."""
    return synthesis_of(canonical_units([unit])[0].psmiles)


@lru_cache(maxsize=1 << 16)
def synthesis_of(canonical: str) -> Synthesis | None:
    """Return `synthesis` of a canonical repeat unit; ValueError for a text that is no repeat unit."""
    unit = parse(canonical)
    if not isinstance(unit, RepeatUnit):
        raise ValueError(f"{canonical!r} is not a repeat unit: {unit}")
    chain = Chain(unit)
    made = next((made for made in _routes(unit, chain) if not any(_falls_apart(text) for text in made[1])), None)
    if made is None:
        return None
    route, found = made
    monomers = tuple(Monomer(smiles=text, count=count, sa_score=_sa_score(text)) for text, count in smallest(found).items())
    unstable = [name for name, smarts in _UNSTABLE if chain.mol.HasSubstructMatch(pattern_of(smarts))]
    unstable += [
        name
        for name, words, smarts in _COMPETING
        if any(map(route.__contains__, words)) and unit.mol.HasSubstructMatch(pattern_of(smarts))
    ]
    if _substantial(found) > _FEW:
        unstable.append(STATISTICAL)
    return Synthesis(route=route, monomers=monomers, warnings=tuple(unstable))


@lru_cache(maxsize=1 << 16)
def _falls_apart(smiles: str) -> bool:
    mol = Chem.MolFromSmiles(smiles)
    return any(mol.HasSubstructMatch(pattern_of(smarts)) for smarts in _NEVER_BOTTLED)


@lru_cache(maxsize=1 << 16)
def _sa_score(smiles: str) -> float:
    mol = Chem.MolFromSmiles(smiles)
    # What is bought by the tonne: the score counts fragments of drug-like molecules, and knows none of these.
    easy = mol.GetNumHeavyAtoms() <= 4 or smiles == _PHOSPHAZENE.reagent
    return 1.0 if easy else float(sascorer.calculateScore(mol))


def _substantial(monomers: Counter[str]) -> int:
    """Number of monomers whose order along the chain matters, which leaves out what only joins them."""
    return len(monomers.keys() - _JOINERS)


def _routes(unit: RepeatUnit, chain: Chain) -> Iterator[Made]:
    """Routes, the one a chemist would name first first; those whose monomers cannot exist are left out."""
    if chain.mol.HasSubstructMatch(pattern_of("[1P]=[1N]")):
        organic = chain.mol.HasSubstructMatch(pattern_of("[1P]-[#6;!1]"))
        for linkages in (_PHOSPHORANIMINE, _CHLOROPHOSPHORANIMINE) if organic else ((_PHOSPHAZENE,),):
            if (made := _cut(chain, linkages, whole=not organic)) is not None:
                yield made
        return
    grown = [made for made in (vinyl(unit), ring_opening(unit), metathesis(chain)) if made is not None]
    yield from sorted(grown, key=lambda made: _substantial(made[1]) > 1)  # comonomers in strict order are the last thing to name
    for level in LEVELS:
        if (made := _of_level(chain, level)) is not None:
            yield made


def _of_level(chain: Chain, level: tuple[Linkage, ...]) -> Made | None:
    if level is COUPLINGS:
        return _coupling(chain, level)
    whole = _cut(chain, level)
    kinds = (
        list(dict.fromkeys(linkage.kind for linkage in level if matches(chain, linkage)))
        if whole is None or _substantial(whole[1]) > _FEW
        else []
    )
    if len(kinds) < 2:
        return whole
    # An ordered chain of three building blocks is made from two of them, joined beforehand by the other bond.
    parts = [made for kind in kinds if (made := _cut(chain, tuple(one for one in level if one.kind == kind))) is not None]
    fewer = [made for made in parts if _substantial(made[1]) <= _FEW]
    return min(fewer or ([] if whole else parts), key=_largest, default=whole)


def _largest(made: Made) -> tuple[int, float]:
    """How much is left to make by hand: heavy atoms of the largest monomer, then its SA score."""
    sizes = {text: Chem.MolFromSmiles(text).GetNumHeavyAtoms() for text in made[1]}
    return max(sizes.values()), max(map(_sa_score, made[1]))


def _cut(
    chain: Chain, linkages: tuple[Linkage, ...], keep: frozenset[tuple[int, ...]] | None = None, *, whole: bool = False
) -> Made | None:
    residues = cut_chain(chain, linkages, keep, whole=whole)
    monomers = None if residues is None else monomers_of(residues)
    if residues is None or not monomers or not _keeps_atoms(chain, monomers, residues.linkages):
        return None
    return "; ".join(dict.fromkeys(linkage.route for linkage in residues.linkages)), monomers


def _keeps_atoms(chain: Chain, monomers: Counter[str], linkages: Sequence[Linkage]) -> bool:
    """Whether monomers bring the carbon of whole repeat units, and enough of every other element that stays."""
    unit = Counter(atom.GetSymbol() for atom in chain.mol.GetAtoms() if atom.GetAtomicNum())
    made: Counter[str] = Counter()
    for text, count in monomers.items():
        mol = Chem.MolFromSmiles(text)
        for atom in mol.GetAtoms():
            made[atom.GetSymbol()] += count
        for pattern in (pattern_of(linkage.leaving) for linkage in linkages if linkage.leaving):
            gone = [atom.GetSymbol() for atom in pattern.GetAtoms() if not atom.GetAtomMapNum()]
            for symbol in gone * len(mol.GetSubstructMatches(pattern)):
                made[symbol] -= count
    carbon, needed = made["C"], unit["C"] // chain.copies
    if not carbon or not needed:
        return True
    if carbon < needed and needed % carbon:
        return False
    units = max(1, carbon // needed) if carbon >= needed else 1 / (needed // carbon)
    return all(made[one] >= units * unit[one] / chain.copies for one in ("N", "O", "S", "P", "Si", "F"))


def _coupling(chain: Chain, level: tuple[Linkage, ...]) -> Made | None:
    """Of many bonds between rings those that leave the smallest two building blocks."""
    length = (len(chain.path) - 2) // chain.copies
    places: dict[int, list[tuple[int, ...]]] = {}
    for match in matches(chain, level[0]):
        places.setdefault(min(chain.place.get(match[0], 0), chain.place.get(match[1], 0)) % length, []).append(match)
    if len(places) <= _FEW:
        return _cut(chain, level)
    options = []
    for pair in combinations(sorted(places)[:8], 2):
        made = _cut(chain, level[:1], frozenset(match for place in pair for match in places[place]))
        if made is not None:
            options.append(((max(map(len, made[1])), sorted(made[1])), made))
    return min(options, default=(None, None))[1]
