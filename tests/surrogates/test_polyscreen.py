"""The bundled polyScreen: two measured polyimides, its domain, its invariances, and damaged folders."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

import surrogates
from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from surrogates.polyscreen import PolyScreen, is_polyimide

FOLDER = Path(surrogates.__file__).parent / "weights" / "polyscreen"
KAPTON = "*N1C(=O)c2cc3c(cc2C1=O)C(=O)N(c1ccc(Oc2ccc(*)cc2)cc1)C3=O"
TFMB = "*c1ccc(-c2ccc(N3C(=O)c4ccc(C(c5ccc6c(c5)C(=O)N(*)C6=O)(C(F)(F)F)C(F)(F)F)cc4C3=O)cc2C(F)(F)F)c(C(F)(F)F)c1"


@cache
def model() -> PolyScreen:
    return PolyScreen.load(FOLDER)


@pytest.mark.parametrize(("psmiles", "measured"), [(KAPTON, 360), (TFMB, 329)])
def test_measured_polyimides_are_met_within_30_degrees(psmiles: str, measured: float) -> None:
    answer = model().predict([psmiles], ["Tg"])[0]["Tg"]
    assert answer is not None
    assert answer.mean == pytest.approx(measured, abs=30)
    assert answer.in_domain
    assert 5 < answer.std < 60


def test_other_polymers_are_answered() -> None:
    polystyrene, polycaprolactone = (row["Tg"] for row in model().predict(["*CC(*)c1ccccc1", "*CCCCCC(=O)O*"], ["Tg"]))
    assert polystyrene is not None
    assert polycaprolactone is not None
    assert polycaprolactone.mean < polystyrene.mean < 200


def test_units_of_a_few_atoms_are_not_answered() -> None:
    assert model().predict(["*CC*", "*CC(*)C", "*CC(*)Cl"], ["Tg"]) == [{"Tg": None}] * 3


def test_one_answer_a_row_in_order_and_none_for_what_is_no_polymer() -> None:
    rows = model().predict(["", KAPTON, "CCO", "*CC(*)c1ccccc1", "junk", KAPTON], ["Tg"])
    assert [row["Tg"] is None for row in rows] == [True, False, True, False, True, False]
    assert rows[1] == rows[5]


def test_no_rows_no_answers() -> None:
    assert model().predict([], ["Tg"]) == []


def test_the_answer_does_not_depend_on_how_a_unit_is_written() -> None:
    shifted = "*c1ccc(Oc2ccc(-n3c(=O)c4cc5c(=O)n(*)c(=O)c5cc4c3=O)cc2)cc1"
    answers = [row["Tg"] for row in model().predict([KAPTON, shifted, "*CCCCCC(=O)O*", "*OCCCCCC(=O)OCCCCCC(*)=O"], ["Tg"])]
    assert answers[0] == answers[1]
    assert answers[2] is not None
    assert answers[3] is not None
    assert answers[2].mean == pytest.approx(answers[3].mean, abs=1e-3)


def test_another_property_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="does not answer 'selectivity_CO2_N2'; it answers Tg, "):
        model().predict([KAPTON], ["selectivity_CO2_N2"])


def test_other_properties_are_answered_beside_tg() -> None:
    """Polystyrene and nylon-6,6 are held out of every training set; an aromatic ring narrows the gap."""
    polymers = ["*CC(*)c1ccccc1", "junk", "*NCCCCCCNC(=O)CCCCC(*)=O", "*C*"]
    alone = model().predict(polymers, ["Tg"])
    rows = model().predict(polymers, ["bandgap_chain", "Tg", "density"])
    assert [row["Tg"] for row in rows] == [row["Tg"] for row in alone]
    assert [list(row.values()).count(None) for row in rows] == [0, 3, 0, 3]
    styrene, nylon = rows[0], rows[2]
    assert styrene["bandgap_chain"].mean < nylon["bandgap_chain"].mean


DENSITIES = {
    "*CC(*)c1ccccc1": 1.05,
    "*NCCCCCCNC(=O)CCCCC(*)=O": 1.14,
    "*CC(*)(C)C(=O)OC": 1.18,
    "*Oc1ccc(C(C)(C)c2ccc(OC(*)=O)cc2)cc1": 1.20,
    "*OCCOC(=O)c1ccc(C(*)=O)cc1": 1.335,
    "*CC(*)OC(C)=O": 1.19,
    "*CC(*)C(=O)OC": 1.22,
    "*CC(*)C(=O)OCCCC": 1.087,
}
"""Measured, amorphous but for the nylon, g/cm3; all held out of every training set."""


def test_densities_of_known_polymers() -> None:
    said = [row["density"].mean for row in model().predict(list(DENSITIES), ["density"])]
    assert said == pytest.approx(list(DENSITIES.values()), abs=0.08)


def test_no_property_shares_a_batch_of_answers_with_another() -> None:
    names = list(model().breadth.scales)
    together = model().predict([KAPTON, "*CC(*)c1ccccc1"], names)
    alone = [model().predict([KAPTON, "*CC(*)c1ccccc1"], [name]) for name in names]
    assert together == [{name: one[row][name] for name, one in zip(names, alone, strict=True)} for row in range(2)]


def test_a_folder_of_tg_alone_says_so(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config.pop("properties")
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "calibration.json").write_text(json.dumps(json.loads((copy / "calibration.json").read_text()) | {"offered": ["Tg"]}))
    glass = PolyScreen.load(copy)
    assert glass.properties == ("Tg",)
    assert glass.predict([KAPTON], ["Tg"]) == model().predict([KAPTON], ["Tg"])
    with pytest.raises(ModelError, match="does not answer 'density'; it answers Tg"):
        glass.predict([KAPTON], ["density"])


@pytest.mark.parametrize(
    ("psmiles", "expected"),
    [
        (KAPTON, True),
        (TFMB, True),
        ("*CCN1C(=O)c2ccc3c4c(ccc(c24)C1=O)C(=O)N(*)C3=O", True),  # six-membered imide
        ("*CC(*)C(=O)NC(=O)C", False),
        ("*C1C(*)C(=O)N(c2ccccc2)C1=O", False),  # polymaleimide: the nitrogen hangs from the chain
        ("*NCCCCCC(*)=O", False),
    ],
)
def test_polyimides_have_the_imide_in_the_chain(psmiles: str, expected: bool) -> None:
    unit = parse(psmiles)
    assert isinstance(unit, RepeatUnit)
    assert is_polyimide(unit) is expected


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "polyscreen"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "calibration.json", "neighbours.safetensors"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelError, match=name):
        PolyScreen.load(copy)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "calibration.json", "neighbours.safetensors"])
def test_a_cut_file_is_named(copy: Path, name: str) -> None:
    path = copy / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match=name):
        PolyScreen.load(copy)


def test_one_changed_weight_is_noticed(copy: Path) -> None:
    path = copy / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="SHA-256"):
        PolyScreen.load(copy)


def test_a_config_of_another_size_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"width": 32}))
    with pytest.raises(ModelError, match="not the weights that"):
        PolyScreen.load(copy)


def test_fingerprints_of_another_size_are_refused(copy: Path) -> None:
    path = copy / "neighbours.safetensors"
    tensors = load_file(path)
    save_file({name: value for name, value in tensors.items() if name != "fingerprints"}, path)
    with pytest.raises(ModelError, match="not a table of fingerprints"):
        PolyScreen.load(copy)


def test_at_least_five_members_answer() -> None:
    assert {len(members) >= 5 for members in model().networks.values()} == {True}
