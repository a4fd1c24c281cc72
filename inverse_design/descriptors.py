"""The 15 descriptors of a PolyTAO prompt, in its order, and what every real descriptor vector obeys.

Order and definitions: RDKit's `Descriptors.descList`, computed on the repeat unit with its two `*`
(PolyTAO, npj Comput. Mater. 10:273, 2024).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors as rd

from inverse_design.descriptor_names import COLUMN as COLUMN
from inverse_design.descriptor_names import NAMES as NAMES


def realised(mol: Chem.Mol) -> tuple[int, ...]:
    """Return the 15 descriptors of a molecule with its two `*`, MolWt rounded to whole g/mol."""
    aliphatic = rd.CalcNumAliphaticCarbocycles(mol), rd.CalcNumAliphaticHeterocycles(mol)
    aromatic = rd.CalcNumAromaticCarbocycles(mol), rd.CalcNumAromaticHeterocycles(mol)
    return (
        round(rd._CalcMolWt(mol)),
        mol.GetNumHeavyAtoms(),
        rd.CalcNumLipinskiHBD(mol),
        rd.CalcNumLipinskiHBA(mol),
        *aliphatic,
        sum(aliphatic),  # a ring has a hetero atom or not, and is aromatic or not
        *aromatic,
        sum(aromatic),
        rd.CalcNumHBA(mol),
        rd.CalcNumHBD(mol),
        rd.CalcNumHeteroatoms(mol),
        rd.CalcNumRotatableBonds(mol),
        sum(aliphatic) + sum(aromatic),
    )


IntVectors = NDArray[np.integer[Any]]


def project(vectors: IntVectors) -> IntVectors:
    """Return the nearest vectors that a molecule could have; shape (n, 15) in and out.

    Sums of rings are recomputed from their parts; inequalities that all but 51 of the 30,455 polymers of the bundled reference
    obey are enforced by raising or lowering the dependent count.
    """
    x = np.maximum(np.array(vectors, dtype=np.int64, copy=True), 0)
    c = COLUMN
    x[:, c["NumAliphaticRings"]] = x[:, c["NumAliphaticCarbocycles"]] + x[:, c["NumAliphaticHeterocycles"]]
    x[:, c["NumAromaticRings"]] = x[:, c["NumAromaticCarbocycles"]] + x[:, c["NumAromaticHeterocycles"]]
    x[:, c["RingCount"]] = x[:, c["NumAliphaticRings"]] + x[:, c["NumAromaticRings"]]
    x[:, c["HeavyAtomCount"]] = np.maximum(x[:, c["HeavyAtomCount"]], 1)
    heavy = x[:, c["HeavyAtomCount"]]
    x[:, c["NOCount"]] = np.minimum(x[:, c["NOCount"]], heavy)
    x[:, c["NumHeteroatoms"]] = np.clip(x[:, c["NumHeteroatoms"]], x[:, c["NOCount"]] + 2, heavy + 2)
    x[:, c["NumHDonors"]] = np.minimum(x[:, c["NumHDonors"]], x[:, c["NOCount"]])
    x[:, c["NHOHCount"]] = np.clip(x[:, c["NHOHCount"]], x[:, c["NumHDonors"]], 2 * x[:, c["NumHDonors"]])
    x[:, c["NumHAcceptors"]] = np.minimum(x[:, c["NumHAcceptors"]], x[:, c["NumHeteroatoms"]] - 2)
    x[:, c["NumRotatableBonds"]] = np.minimum(x[:, c["NumRotatableBonds"]], heavy + 1)
    x[:, c["MolWt"]] = np.maximum(x[:, c["MolWt"]], 12 * heavy)
    return x


def broken_identities(vector: tuple[int, ...]) -> list[str]:
    """Return the identities of real molecules that a descriptor vector breaks, in words."""
    value = dict(zip(NAMES, vector, strict=True))
    broken = []
    for total, first, second in (
        ("NumAliphaticRings", "NumAliphaticCarbocycles", "NumAliphaticHeterocycles"),
        ("NumAromaticRings", "NumAromaticCarbocycles", "NumAromaticHeterocycles"),
        ("RingCount", "NumAliphaticRings", "NumAromaticRings"),
    ):
        if value[total] != value[first] + value[second]:
            broken.append(f"{total} = {first} + {second}")
    if value["NumHeteroatoms"] < value["NOCount"] + 2:
        broken.append("NumHeteroatoms >= NOCount + 2 (both attachment points count)")
    return broken
