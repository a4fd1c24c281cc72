"""Van der Waals volume of a repeat unit, from which a density follows but for how closely chains pack.

Atomic and bond contributions: Zhao et al., J. Org. Chem. 68:7368 (2003), on the radii of Bondi, J. Phys. Chem. 68:441 (1964).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

_RADII: Final = {
    "H": 1.20,
    "B": 2.13,
    "C": 1.70,
    "N": 1.55,
    "O": 1.52,
    "F": 1.47,
    "Si": 2.10,
    "P": 1.80,
    "S": 1.80,
    "Cl": 1.75,
    "As": 1.85,
    "Se": 1.90,
    "Br": 1.85,
}
"""Angstrom; of other elements, RDKit's."""
_BOND, _AROMATIC, _RING = 5.92, 14.7, 3.8  # what atoms share, and what rings do, in cubic angstrom
_AVOGADRO: Final = 0.602214076  # cubic centimetres in a mole of cubic angstroms
_ELEMENTS = re.compile(r"([A-Z][a-z]?)(\d*)")
_TABLE = Chem.GetPeriodicTable()


def volume(mol: Chem.Mol) -> float:
    """Return the van der Waals volume of a repeat unit with its two `*`, in cubic angstrom; that of n in a row is n times as large."""
    atoms, spheres, _ = _contents(rdMolDescriptors.CalcMolFormula(mol))
    rings, aromatic = rdMolDescriptors.CalcNumRings(mol), rdMolDescriptors.CalcNumAromaticRings(mol)
    # A tree has a bond less than atoms, each ring one more, and the chain one from unit to unit.
    return spheres - _BOND * (atoms + rings) - _AROMATIC * aromatic - _RING * (rings - aromatic)


def filled(mol: Chem.Mol) -> float:
    """Return the density that a polymer of this repeat unit would have if its atoms filled all space, g/cm3."""
    _, _, mass = _contents(rdMolDescriptors.CalcMolFormula(mol))
    return mass / volume(mol) / _AVOGADRO


@lru_cache(maxsize=4096)
def _contents(formula: str) -> tuple[int, float, float]:
    """Return the number of atoms, hydrogens among them, the volume of their spheres, and their mass (g/mol)."""
    atoms, spheres, mass = 0, 0.0, 0.0
    for element, digits in _ELEMENTS.findall(formula):
        count, radius = int(digits or 1), _RADII.get(element) or _TABLE.GetRvdw(element)
        atoms += count
        spheres += count * 4 / 3 * math.pi * radius**3
        mass += count * _TABLE.GetAtomicWeight(element)
    return atoms, spheres, mass
