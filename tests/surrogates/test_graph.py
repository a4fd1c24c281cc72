"""Atom features against DeepChem's definition, written out atom by atom; batches against the molecules they hold."""

import numpy as np
import pytest
from rdkit import Chem

from inverse_design.polymer import RepeatUnit, canonical_units, parse
from surrogates.graph import FEATURES, Graph, batch, features, graph

KAPTON = "*N1C(=O)c2cc3c(cc2C1=O)C(=O)N(c1ccc(Oc2ccc(*)cc2)cc1)C3=O"
UNITS = [KAPTON, "*CC*", "*CC(*)(C)C(=O)OC", "*[Si](*)(C)C", "*CC(*)c1ccc([N+](=O)[O-])cc1", "*Nc1ccc(*)cc1", "*C#CC(*)O[Na]"]

# deepchem/feat/graph_features.py, atom_features(atom, explicit_H=False, use_chirality=False), release 2.6.1.
ELEMENTS = [
    "C", "N", "O", "S", "F", "Si", "P", "Cl", "Br", "Mg", "Na", "Ca", "Fe", "As", "Al", "I", "B", "V", "K", "Tl", "Yb", "Sb",
    "Sn", "Ag", "Pd", "Co", "Se", "Ti", "Zn", "H", "Li", "Ge", "Cu", "Au", "Ni", "Cd", "In", "Mn", "Zr", "Cr", "Pt", "Hg",
    "Pb", "Unknown",
]  # fmt: skip
HYBRIDISATIONS = ["SP", "SP2", "SP3", "SP3D", "SP3D2"]


def one_hot(value: object, choices: list) -> list[int]:
    return [int(choice == value) for choice in choices] if value in choices else [0] * (len(choices) - 1) + [1]


def as_deepchem(atom: Chem.Atom) -> list[int]:
    return [
        *one_hot(atom.GetSymbol(), ELEMENTS),
        *one_hot(atom.GetDegree(), list(range(11))),
        *one_hot(atom.GetValence(Chem.ValenceType.IMPLICIT), list(range(7))),
        atom.GetFormalCharge(),
        atom.GetNumRadicalElectrons(),
        *one_hot(str(atom.GetHybridization()), HYBRIDISATIONS),
        int(atom.GetIsAromatic()),
        *one_hot(atom.GetTotalNumHs(), list(range(5))),
    ]


def molecule(text: str) -> Chem.Mol:
    unit = parse(text)
    assert isinstance(unit, RepeatUnit)
    return unit.mol


def graph_of(text: str) -> Graph:
    found = graph(molecule(text))
    assert found is not None
    return found


def test_there_are_75_features() -> None:
    assert FEATURES == 75


@pytest.mark.parametrize("text", UNITS)
def test_features_are_those_of_deepchem(text: str) -> None:
    mol = molecule(text)
    np.testing.assert_array_equal(features(graph_of(text).atoms), [as_deepchem(atom) for atom in mol.GetAtoms()])


def test_features_of_three_atoms_by_hand() -> None:
    star, methylene, chlorine = features(graph_of("*C(*)Cl").atoms)[[0, 1, 3]]
    assert np.flatnonzero(star).tolist() == [43, 44 + 1, 55 + 0, 64 + 4, 70 + 0]  # unknown, one bond, no hydrogen
    assert np.flatnonzero(methylene).tolist() == [0, 44 + 3, 55 + 1, 64 + 2, 70 + 1]  # C, three bonds, one hydrogen, sp3
    assert np.flatnonzero(chlorine).tolist() == [7, 44 + 1, 55 + 0, 64 + 2, 70 + 0]


def test_charge_is_a_number_not_a_class() -> None:
    nitro = features(graph_of("*CC(*)[N+](=O)[O-]").atoms)
    assert sorted(nitro[:, 62].tolist()) == [-1, *[0] * (len(nitro) - 2), 1]


def test_an_atom_of_eleven_neighbours_has_no_graph() -> None:
    crowded = Chem.RWMol()
    centre = crowded.AddAtom(Chem.Atom(40))
    for _ in range(11):
        crowded.AddBond(centre, crowded.AddAtom(Chem.Atom(17)), Chem.BondType.SINGLE)
    Chem.SanitizeMol(crowded, Chem.SanitizeFlags.SANITIZE_SYMMRINGS)
    crowded.UpdatePropertyCache(strict=False)
    assert graph(crowded) is None


def test_a_canonical_unit_has_the_features_of_its_text() -> None:
    units = canonical_units([unit for text in UNITS if isinstance(unit := parse(text), RepeatUnit)])
    for unit in units:
        direct, again = graph(unit.mol), graph_of(unit.psmiles)
        assert direct is not None
        assert sorted(direct.atoms.tolist()) == sorted(again.atoms.tolist())


def test_a_batch_counts_every_atom_once() -> None:
    graphs = [graph_of(text) for text in UNITS]
    packed = batch(graphs)
    ends = np.cumsum(packed.lengths)
    counts = [packed.counts[end - length : end].sum() for end, length in zip(ends, packed.lengths, strict=True)]
    assert counts == [len(one.atoms) for one in graphs]
    assert sum(map(len, packed.neighbours)) == len(packed.features)


def test_degrees_of_a_batch_are_slices() -> None:
    packed = batch([graph_of(text) for text in UNITS])
    degrees = packed.features[:, 44:55].argmax(axis=1)
    assert degrees.tolist() == [degree for degree, table in enumerate(packed.neighbours) for _ in table]


def test_symmetric_atoms_are_kept_once() -> None:
    assert len(batch([graph_of("*Oc1ccc(*)cc1")]).features) < 9
    twice = batch([graph_of(KAPTON), graph_of(KAPTON)])
    assert len(twice.features) == len(batch([graph_of(KAPTON)]).features)
