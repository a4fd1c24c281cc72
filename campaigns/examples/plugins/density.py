"""A surrogate as a program: the density of an amorphous polymer from the van der Waals volume of its repeat unit.

Volume by the increments of Zhao, Abraham & Zissimos, J. Org. Chem. 68, 7368 (2003); 1.60 volumes a mole in the glass, as in
van Krevelen, Properties of Polymers, chapter 4. One line of JSON in, one line out, until the input ends.
"""

import json
import sys

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

# Cubic angstrom an atom.
VOLUME = {
    "H": 7.24, "C": 20.58, "N": 15.60, "O": 14.71, "F": 13.31, "Cl": 22.45, "Br": 26.52, "I": 32.52, "P": 24.43, "S": 24.43, "Si": 38.79,
}  # fmt: skip
STD = 0.08  # g/cm3; a guess, to be replaced by errors on polymers that were measured


def density(psmiles: str) -> float | None:
    """Return g/cm3, or None for an element without an increment."""
    mol = Chem.MolFromSmiles(psmiles)
    atoms = [atom for atom in mol.GetAtoms() if atom.GetAtomicNum()]
    hydrogens = sum(atom.GetTotalNumHs() for atom in atoms)
    if any(atom.GetSymbol() not in VOLUME for atom in atoms):
        return None
    # The two bonds to `*` are one bond, from this unit to the next.
    bonds = mol.GetNumBonds() - 1 + hydrogens
    aromatic = sum(all(mol.GetAtomWithIdx(i).GetIsAromatic() for i in ring) for ring in mol.GetRingInfo().AtomRings())
    aliphatic = mol.GetRingInfo().NumRings() - aromatic
    volume = sum(VOLUME[atom.GetSymbol()] for atom in atoms) + hydrogens * VOLUME["H"]
    volume -= 5.92 * bonds + 14.7 * aromatic + 3.8 * aliphatic
    return float(rdMolDescriptors._CalcMolWt(mol)) / (1.60 * 0.60221 * volume)


for line in sys.stdin:
    answers = []
    for row in json.loads(line):
        value = density(row["psmiles"])
        answers.append({"density": value and {"mean": value, "std": STD, "in_domain": True}})
    print(json.dumps(answers), flush=True)
