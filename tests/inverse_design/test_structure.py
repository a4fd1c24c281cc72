from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from rdkit import Chem

from inverse_design.descriptors import realised
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.split import WELL_KNOWN
from inverse_design.structure import ALERTS, CLASSES, RING_ALERTS, Requirements, alert, capped, polymer_class, sa_score

DATA = Path(__file__).parents[2] / "../shared/data"


def unit(text: str) -> RepeatUnit:
    found = parse(text)
    assert isinstance(found, RepeatUnit), (text, found)
    return found


def test_the_names_of_classes_need_no_rdkit() -> None:
    code = "import sys; from inverse_design.structure import CLASSES; assert len(CLASSES) > 20 and 'rdkit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


CLASS_OF = {
    "polystyrene": "polystyrene",
    "poly(methyl methacrylate)": "acrylic",
    "bisphenol-A polycarbonate": "polycarbonate",
    "poly(ethylene terephthalate)": "polyester",
    "poly(vinyl chloride)": "polyhaloolefin",
    "polyethylene": "polyolefin",
    "polypropylene": "polyolefin",
    "poly(dimethylsiloxane)": "polysiloxane",
    "poly(ethylene oxide)": "polyether",
    "polyacrylonitrile": "vinyl",
    "poly(vinyl acetate)": "vinyl",
    "poly(vinyl alcohol)": "vinyl",
    "nylon-6": "polyamide",
    "nylon-6,6": "polyamide",
    "poly(lactic acid)": "polyester",
    "polycaprolactone": "polyester",
    "poly(methyl acrylate)": "acrylic",
    "poly(butyl acrylate)": "acrylic",
    "poly(2,6-dimethyl-1,4-phenylene oxide)": "polyether",
    "poly(phenylene sulfide)": "polythioether",
    "PEEK": "polyketone",
    "polysulfone": "polysulfone",
    "poly(vinylidene fluoride)": "polyhaloolefin",
    "1,4-polybutadiene": "polydiene",
    "1,4-polyisoprene": "polydiene",
    "polyisobutylene": "polyolefin",
    "Kapton (PMDA-ODA)": "polyimide",
    "6FDA-TFMB": "polyimide",
    "poly(tetrafluoroethylene)": "polyhaloolefin",
    "poly(ethylene naphthalate)": "polyester",
}


@pytest.mark.parametrize(("text", "name"), [(text, name) for text, (name, _) in WELL_KNOWN.items()])
def test_the_class_of_well_known_polymers(text: str, name: str) -> None:
    assert polymer_class(unit(text)) == CLASS_OF[name]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("*N1C(=O)c2cc3c(cc2C1=O)C(=O)N(c1ccc(Oc2ccc(*)cc2)cc1)C3=O", "polyimide"),  # Kapton, Kekule imide
        ("*Oc1ccc(NC(=O)c2ccc3c(c2)C(=O)N(*)C3=O)cc1", "polyimide"),  # amide-imide
        ("*C1C(=O)N(C)C(=O)C1*", "polyacrylamide"),  # maleimide in a carbon chain is no polyimide
        ("*CC(*)N1C(=O)c2ccccc2C1=O", "vinyl"),  # nor is a pendant one
        ("*CC(*)C(=O)NCCCC", "polyacrylamide"),
        ("*CC(*)OC(=O)NC", "vinyl"),
        ("*CC(*)c1ccc(NC(=O)NC)cc1", "polystyrene"),
        ("*OCCOC(=O)NCCCCCCNC(*)=O", "polyurethane"),
        ("*NC(=O)Nc1ccc(*)cc1", "polyurea"),
        ("*NC(=O)NCCC*", "polyurea"),
        ("*C(=O)NCCCNCCC*", "polyamide"),
        ("*OC(=O)CCCCC(*)=O", "polyanhydride"),
        ("*OC(*)=O", "polycarbonate"),
        ("*N=P(*)(OC)OC", "polyphosphazene"),
        ("*Nc1ccc(*)cc1", "polyamine"),
        ("*CCN*", "polyamine"),
        ("*c1ccc(*)s1", "polyarylene"),
        ("*C=Cc1ccc(*)cc1", "polyarylene"),
        ("*c1ccc(-c2nc3cc(*)ccc3[nH]2)cc1", "polyarylene"),
        ("*C=C*", "polyacetylene"),
        ("*[Si](*)(C)CCCC", "polysilane"),
        ("*OC1C(O)C(O)C(*)OC1CO", "polysaccharide"),
        ("*CCC(*)=O", "polyketone"),
        ("*CCS(*)(=O)=O", "polysulfone"),
        ("*Oc1ccc(S(*)(=O)=O)cc1", "polysulfonate"),
        ("*NCCNS(=O)(=O)c1ccc(S(*)(=O)=O)cc1", "polysulfonamide"),
        ("*CCSS*", "polythioether"),
        ("*CC=NCC*", "polyimine"),
        ("*S*", "other"),
    ],
)
def test_the_linkage_must_be_in_the_chain(text: str, name: str) -> None:
    assert polymer_class(unit(text)) == name
    assert name in CLASSES


@pytest.mark.parametrize(
    "texts",
    [
        ["*CCOC(=O)c1ccc(C(=O)O*)cc1", "*OCCOC(=O)c1ccc(C(*)=O)cc1", "*C(=O)c1ccc(C(=O)OCCO*)cc1", "*COC(=O)c1ccc(C(=O)OC*)cc1"],
        ["*CC(*)Cl", "*C(Cl)C*", "*CC(Cl)CC(*)Cl"],
        ["*NC(=O)OCC*", "*OCCNC(*)=O", "*C(=O)OCCN*"],
    ],
)
def test_the_class_does_not_depend_on_the_frame(texts: list[str]) -> None:
    assert len({polymer_class(unit(text)) for text in texts}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    # Figures of RDKit's own script on the H-capped molecules: ethylbenzene, methyl propionate, ...
    [("*CC(*)c1ccccc1", 1.00), ("*CC(*)C(=O)OC", 1.95), ("*C(=O)CCCCC(=O)NCCCCCCN*", 2.10)],
)
def test_sa_score_is_that_of_the_capped_unit(text: str, expected: float) -> None:
    assert sa_score(unit(text)) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("text", "molecule"),
    [
        ("*CC(*)c1ccccc1", "CCc1ccccc1"),
        ("*n1c(=O)c2cc3c(=O)n(*)c(=O)c3cc2c1=O", "O=C1NC(=O)c2cc3c(cc21)C(=O)NC3=O"),
        ("*[Si](*)(C)C", "C[SiH2]C"),
        ("*=CC(C)=*", "CCC"),
        ("*C[N+](*)(C)C", "C[NH+](C)C"),
    ],
)
def test_capping_puts_hydrogen_on_both_ends(text: str, molecule: str) -> None:
    mol = Chem.MolFromSmiles(Chem.MolToSmiles(capped(unit(text))))
    assert Chem.MolToSmiles(mol) == Chem.CanonSmiles(molecule)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("*OCCO*", "peroxide"),  # seen only across the frame
        ("*CCOOC*", "peroxide"),
        ("*CC(*)C(=O)Cl", "acyl_halide"),
        ("*CC(*)C[N+](C)(C)C", "net_charge"),
        ("*CC(*)N(C)SSC", "sulfur_nitrogen_chain"),
        ("*CC(*)C=C=C", "cumulene"),
        ("*CC(*)C1ON1C", "strained_heteroatom_ring"),
        ("*CC(*)C1=CC1", "strained_unsaturated_ring"),
        ("*CC(O)(O)C*", "gem_diol"),
        ("*CCN(Cl)C*", "heteroatom_halogen"),
        ("*CCN(C*)[N+](=O)[O-]", "nitramine"),
        ("*N1C(=O)c2cc3c(cc2C1=O)C(=O)N(N1C(=O)CC(*)C1=O)C3=O", "hydrazine_of_two_imides"),
        ("*Cc1ccc(C*)n1O", "hydroxyl_on_azole_nitrogen"),
        ("*OCCCC(=O)C(=O)CCC(*)=O", "vicinal_dicarbonyl"),
        ("*OCCCCC(=O)C(*)=O", "vicinal_dicarbonyl"),  # across two units
        ("*Oc1ccc(C(=O)C(*)=O)cc1", "vicinal_dicarbonyl"),
        ("*C(=O)OC(=O)c1ccc(C(*)=O)cc1", "vicinal_dicarbonyl"),
        ("*CCN(C*)S(=O)(=O)O", "sulfamic_acid"),
        ("*c1ccc(C2=Nc3cc(*)ccc32)cc1", "unsaturated_azetidine"),  # antiaromatic
        ("*CN1Cc2cc(*)ccc21", "unsaturated_azetidine"),
    ],
)
def test_alerts(text: str, name: str) -> None:
    assert alert(unit(text)) == name
    assert Requirements().examine(unit(text)).refusal == f"alert:{name}"
    assert Requirements(alerts=False).examine(unit(text)).refusal is None


def test_benzils_and_oxalates_are_no_alert() -> None:
    assert alert(unit("*Oc1ccc(C(=O)C(=O)c2ccc(*)cc2)cc1")) is None
    assert alert(unit("*OCCOC(=O)C(*)=O")) is None


def test_every_alert_is_a_pattern_and_no_well_known_polymer_raises_one() -> None:
    assert all(Chem.MolFromSmarts(smarts) is not None for smarts in (*ALERTS.values(), *RING_ALERTS.values()))
    for text in [*WELL_KNOWN, "*CC(*)C1CO1", "*CC(*)S(=O)(=O)O", "*CC(*)[N+](=O)[O-]", "*OCCSSCCO*"[:-1] + "C*"]:
        assert alert(unit(text)) is None, text


def test_lactams_of_four_atoms_and_benzocyclobutenes_are_no_alert() -> None:
    for text in ("*CC(*)N1CCC1=O", "*CCN1CCC1C*", "*c1ccc2c(c1)CC2*"):
        assert alert(unit(text)) is None, text


PET = "*CCOC(=O)c1ccc(C(=O)O*)cc1"


@pytest.mark.parametrize(
    ("block", "refusal"),
    [
        ({}, None),
        ({"class": ["polyester", "polyamide"]}, None),
        ({"class": ["polyamide"]}, "class:polyester"),
        ({"elements": ["C", "O"]}, None),
        ({"elements": ["C", "N"]}, "element:O"),
        ({"required": ["c1ccccc1", "C(=O)OCC"]}, None),
        ({"required": ["C(=O)OCCOC(=O)"]}, None),  # spans two units
        ({"required": ["C#N"]}, "required:C#N"),
        ({"forbidden": ["C(=O)O"]}, "forbidden:C(=O)O"),
        ({"forbidden": ["[r5]", "[#7]"]}, None),
        ({"descriptors": {"NumAromaticRings": {"min": 1, "max": 1}}}, None),
        ({"descriptors": {"NumAromaticRings": {"min": 2}}}, "descriptor:NumAromaticRings"),
        ({"descriptors": {"MolWt": {"max": 100}}}, "descriptor:MolWt"),
        ({"sa_score": {"max": 4.5}}, None),
        ({"sa_score": {"max": 1.01}}, "sa_score"),
        ({"sa_score": None, "alerts": True}, None),
    ],
)
def test_requirements_name_what_failed(block: dict[str, object], refusal: str | None) -> None:
    found = Requirements.of(block).examine(unit(PET))
    assert found.refusal == refusal
    assert found.descriptors == realised(unit(PET).mol)
    if refusal is None:
        assert found.polymer_class == "polyester"
        assert found.sa_score is not None


@pytest.mark.skipif(not DATA.exists(), reason="the structures are not beside this checkout")
def test_alerts_pass_over_nearly_all_known_polymers() -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(DATA / "structures.parquet", columns=["psmiles"], filters=[("source", "=", "known")])
    known = random.Random(4).sample(table["psmiles"].to_pylist(), 400)
    assert sum(alert(unit(text)) is not None for text in known) <= 0.03 * len(known)


def test_an_unknown_requirement_is_an_error() -> None:
    with pytest.raises(TypeError, match="colour"):
        Requirements.of({"colour": "red"})
