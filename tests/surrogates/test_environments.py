"""Environments of the endless chain: invariances, and counts that a chemist can check."""

import numpy as np
import pytest
from rdkit import Chem

from inverse_design.polymer import RepeatUnit, parse
from surrogates.environments import Environments, backbone


def mol(text: str) -> Chem.Mol:
    unit = parse(text)
    assert isinstance(unit, RepeatUnit)
    return unit.mol


@pytest.mark.parametrize(
    "same",
    [
        ["*CCO*", "*COC*", "*OCC*", "*CCOCCO*", "*OCCOCC*"],
        ["*CC(*)c1ccccc1", "*C(c1ccccc1)C*", "*CC(c1ccccc1)CC(*)c1ccccc1"],
        ["*c1ccc(*)cc1", "*c1ccc(-c2ccc(*)cc2)cc1"],
        ["*CC=CC*", "*C=CCC*"],
        ["*C*", "*CCCC*"],
    ],
)
def test_frame_direction_and_multiple_do_not_matter(same: list[str]) -> None:
    found = Environments.of([mol(text) for text in [*same, "*CCCNC(=O)CCCCC(=O)NCCC*"]])
    assert np.all(found.similarity(found)[: len(same), : len(same)] == 1)
    assert found.alike(found)[: len(same), : len(same)] == pytest.approx(1, abs=1e-6)
    assert np.all(found.similarity(found)[-1, :-1] < 0.6)


def test_polyethylene_has_one_environment_a_radius() -> None:
    found = Environments.of([mol("*CC*")])
    assert len(found.bits.indices) == 3
    assert found.shares.data == pytest.approx(np.sqrt([0.5, 0.5]))


def test_alike_is_one_less_the_squared_hellinger_distance_in_the_exponent() -> None:
    found = Environments.of([mol(text) for text in ("*CCO*", "*COCO*", "*CC(*)C")])
    shares = found.shares.toarray().astype(float) ** 2
    assert shares.sum(axis=1) == pytest.approx(1)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        hellinger = 0.5 * np.sum((np.sqrt(shares[i]) - np.sqrt(shares[j])) ** 2)
        assert found.alike(found)[i, j] == pytest.approx(np.exp(-hellinger), rel=1e-5)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("*CC(*)c1ccccc1", 4),
        ("*c1ccc2cc(*)ccc2c1", 12),  # naphthalene
        ("*Oc1cc(C)cc(*)c1", 9),
        ("*c1ccc(C2(c3ccc(*)cc3)c3ccccc3-c3ccccc32)cc1", 15),  # the fluorene of a cardo polymer hangs from one atom
    ],
)
def test_backbone_is_path_and_its_rings(text: str, inside: int) -> None:
    assert backbone(mol(text)).sum() == inside


def test_side_chain_and_backbone_are_told_apart() -> None:
    ester = Environments.of([mol("*CC(*)C(=O)OC"), mol("*CC(=O)OCC*")])
    assert ester.similarity(ester)[0, 1] < 0.3


def test_none_gives_none() -> None:
    assert len(Environments.of([])) == 0
