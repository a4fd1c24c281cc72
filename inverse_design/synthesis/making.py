"""What a spec may ask of the way a polymer is made, and what a laboratory has on its shelf."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rdkit import Chem

from inverse_design.errors import SpecError
from inverse_design.novelty import table_texts
from inverse_design.synthesis.plan import Synthesis, synthesis_of

KEYS = ("makeable", "monomer_sa_score", "stock")
_CHLORIDE = Chem.MolFromSmarts("[Cl;$(Cl[CX3]=O)]")


def on_shelf(smiles: str) -> str:
    """Return what a monomer is compared by: its canonical SMILES without stereo, an acid chloride as its acid.

    Raises ValueError for a text that is no molecule.
    """
    mol = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        raise ValueError(f"{smiles!r} is not a SMILES")
    for (atom,) in mol.GetSubstructMatches(_CHLORIDE):
        mol.GetAtomWithIdx(atom).SetAtomicNum(8)
    Chem.SanitizeMol(mol)
    return str(Chem.MolToSmiles(mol, isomericSmiles=False))


def read_stock(path: Path) -> frozenset[str]:
    """Return the monomers of a CSV file (column smiles, SMILES, ...) as `on_shelf` names them; rows that are none are passed over.

    Raises SpecError for a file without molecules, ModelError for one that cannot be read.
    """
    texts = table_texts(path)
    found = frozenset(_named(texts))
    if not found:
        raise SpecError(f"{path}: none of {len(texts)} rows is a SMILES; wanted one monomer a row, as in OCCO")
    return found


def _named(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        try:
            yield on_shelf(text.strip())
        except ValueError:
            continue


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """A route must exist, its monomers be no harder than `sa_score`, and all on the shelf if there is one."""

    sa_score: float = math.inf
    stock: frozenset[str] | None = None

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Making | None:
        """Build from the structure block of a spec, as JSON; None where it asks nothing of the making."""
        bound, stock = block.get("monomer_sa_score"), block.get("stock")
        if not (block.get("makeable") or bound or stock):
            return None
        return cls(sa_score=bound.get("max", math.inf) if bound else math.inf, stock=read_stock(Path(stock)) if stock else None)

    def refusal(self, canonical: str) -> str | None:
        """Return what stands against a canonical repeat unit: "no_route", "monomer_sa_score", "not_in_stock", or None."""
        found = synthesis_of(canonical)
        if found is None:
            return "no_route"
        if found.sa_score > self.sa_score:
            return "monomer_sa_score"
        return None if self.stock is None or not missing(found, self.stock) else "not_in_stock"


def missing(found: Synthesis, stock: frozenset[str]) -> tuple[str, ...]:
    """Return the monomers of a route that are not on the shelf."""
    return tuple(monomer.smiles for monomer in found.monomers if not at_hand(monomer.smiles, stock))


def at_hand(monomer: str, stock: frozenset[str]) -> bool:
    """Return whether a monomer is on the shelf; gases and water always are."""
    return monomer in ("O", "O=C=O", "O=S=O", "[C-]#[O+]") or on_shelf(monomer) in stock
