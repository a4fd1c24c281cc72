import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import Descriptors

from inverse_design import reference
from inverse_design.descriptors import NAMES, broken_identities, project, realised

# Published by the authors of PolyTAO with their structures.
PUBLISHED = {
    "[*]C(S1)=CC=C1C(=O)C(S2)=CC=C2C(=S)[*]": (236, 14, 0, 1, 0, 0, 0, 0, 2, 2, 4, 0, 6, 3, 2),
    "[*]OC(=O)OCCOCCOCCOCCOC(=O)OC1COC2C([*])COC12": (392, 27, 0, 11, 0, 2, 2, 0, 0, 0, 11, 0, 13, 13, 2),
    "*c1ccc2cc(N3C(=O)c4ccc(-c5ccc6c(c5)C(=O)N(*)C6=O)cc4C3=O)ccc2c1": (416, 32, 0, 6, 0, 2, 2, 4, 0, 4, 4, 0, 8, 2, 6),
    "[*]Nc1cc(C)c(Cl)c(Cl)c1O[Na]": (213, 12, 1, 2, 0, 0, 0, 1, 0, 1, 2, 1, 6, 2, 1),
}


@pytest.mark.parametrize(("smiles", "prompt"), PUBLISHED.items())
def test_published_prompts(smiles: str, prompt: tuple[int, ...]) -> None:
    assert realised(Chem.MolFromSmiles(smiles)) == prompt


@pytest.mark.parametrize("smiles", ["*CC(*)c1ccccc1", "*O[Si](*)(C)C", "*NCCCCCC(*)=O", "*c1ccc(Oc2ccc(S(=O)(=O)*)cc2)cc1"])
def test_each_descriptor_is_rdkits_of_that_name(smiles: str) -> None:
    mol = Chem.MolFromSmiles(smiles)
    by_name = dict(Descriptors.descList)
    assert realised(mol) == tuple(round(by_name[name](mol)) for name in NAMES)


@given(st.lists(st.integers(-5, 60), min_size=15, max_size=15))
def test_projection_lands_on_the_manifold_and_stays(values: list[int]) -> None:
    once = project(np.array([values]))
    assert broken_identities(tuple(int(v) for v in once[0])) == []
    assert (project(once) == once).all()


def test_no_donor_has_more_than_two_hydrogens() -> None:
    hydrazide = np.array([realised(Chem.MolFromSmiles("*NNC(=O)CCC(*)=O"))])
    asked = hydrazide.copy()
    asked[0, NAMES.index("NHOHCount")] = 7
    assert project(asked)[0, NAMES.index("NHOHCount")] == 2 * hydrazide[0, NAMES.index("NumHDonors")]
    assert (project(hydrazide) == hydrazide).all()


def test_nearly_no_polymer_of_the_reference_is_moved_by_projection() -> None:
    known = reference.prior()
    assert (len(known), int((project(known) != known).any(axis=1).sum())) == (30_455, 51)


def test_real_vectors_are_left_alone() -> None:
    real = np.array(list(PUBLISHED.values())[:3])
    assert (project(real) == real).all()


def test_broken_identities_are_named() -> None:
    assert broken_identities((100, 7, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 2, 1, 2)) == [
        "NumAromaticRings = NumAromaticCarbocycles + NumAromaticHeterocycles"
    ]
