"""Tables as laboratories write them: every cell is understood, or named with its place and the reason why not."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from campaigns.measurements import Understood, cells, understand

PS, PMMA = "*CC(*)c1ccccc1", "*CC(*)(C)C(=O)OC"
ID = "00000000000000aa"


def read(columns: Sequence[str], *rows: Sequence[str]) -> Understood:
    return understand("t.csv", columns, iter([list(row) for row in rows]), {ID: PS})


@pytest.mark.parametrize(
    ("header", "cell", "value"),
    [
        ("Tg", "100", 100),
        ("Tg / degC", "100,5", 100.5),
        ("Tg (°C)", "\N{MINUS SIGN}20", -20),
        ("tg_k", "373.15", 100),
        ("Tg exp. (K)", "373.15 K", 100),
        ("Tg [°F]", "212", 100),
        ("DSC Tg (°C), run 2", "ca. 100", 100),
        ("Glass transition temperature (°C)", "373,15 K", 100),
        ("density g/cm³", "1.05", 1.05),
        ("density (kg/m3)", "1050", 1.05),
        ("permeability CO2 / Barrer", "100", 2),
        ("selectivity_CO2_N2 / ratio", "10", 1),
        ("thermal conductivity (W m⁻¹ K⁻¹)", "0.3", 0.3),
        ("bandgap_chain (meV)", "4500", 4.5),
        ("Tg / degC", "98 – 102", 100),
        ("Tg / degC", "98-102", 100),
    ],
)
def test_names_units_and_numbers(header: str, cell: str, value: float) -> None:
    found = read(["SMILES", header], [PS, cell])
    assert not found.refused
    (one,) = found.readings
    assert one.canonical == PS
    assert one.value == pytest.approx(value)
    assert one.bound == ""


@pytest.mark.parametrize(
    ("cell", "bound", "value"), [("<50", "<", 50), ("≤ 50 °C", "<", 50), ("> 400", ">", 400), ("insoluble", "", None), ("n.d.", "", None), ("decomp. > 300", "", None)]
)  # fmt: skip
def test_bounds_and_remarks(cell: str, bound: str, value: float | None) -> None:
    (one,) = read(["id", "Tg / degC"], [ID.upper(), cell]).readings
    assert (one.canonical, one.bound, one.value, one.cell) == (PS, bound, value, cell)


def test_spread_and_replicates_in_a_cell_in_columns_and_in_rows() -> None:
    found = read(["psmiles", "Tg / degC", "Tg / degC 2"], [PS, "101 ± 3", "99"], ["[*]C(c1ccccc1)C[*]", "98; 102", "-"])
    assert [one.value for one in found.readings] == [101, 99, 98, 102]
    assert {one.canonical for one in found.readings} == {PS}  # the frame as another hand drew it
    assert found.readings[0].std == pytest.approx(3)
    (one,) = read(["psmiles", "Tg / degC"], [PS, "90 to 110"]).readings
    assert one.std == pytest.approx(20 / math.sqrt(12))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (["", PS, "9000"], "9000 degC is out of reach"),
        (["", PS, "100 eV"], "'eV' is no unit of Tg"),
        (["", PS, "100 Barrer"], "'Barrer' is no unit of Tg"),
        (["", PS, "#DIV/0!"], "neither a number nor a remark"),
        (["", "C=Cc1ccccc1", "100"], "no repeat unit"),
        (["5.2E+15", "", "100"], "names no polymer"),
        ([ID, PMMA, "105"], "two different polymers"),
    ],
)
def test_what_is_not_understood_is_named_with_its_place(row: list[str], message: str) -> None:
    found = read(["id", "psmiles", "Tg"], ["", PMMA, "105"], row)
    assert len(found.readings) == 1
    assert len(found.refused) == 1
    assert found.refused[0].startswith("row 3")
    assert message in found.refused[0]


def test_predictions_never_come_back_as_measurements() -> None:
    export = ["id", "psmiles", "tg_degc", "tg_degc_low80", "tg_degc_high80", "tg_degc_std"]
    assert not read(export, [ID, PS, "300", "280", "320", "15"]).readings
    assert not read(["psmiles", "predicted Tg / degC"], [PS, "300"]).readings
    found = read(["psmiles", "Tg (eV)", "batch", "Tg"], [PS, "3", "x", "100"], [PS, "", "", ""])
    assert (found.unread, found.assumed, found.rows) == (("Tg (eV)", "batch"), ("'Tg' in degC",), 2)


def test_files_rows_and_frames_give_the_same(tmp_path: Path) -> None:
    import pandas

    rows = [{"SMILES": PS, "Tg / degC": "100"}, {"SMILES": PMMA, "Tg / degC": ""}]
    (tmp_path / "t.csv").write_text(f"\ufeffSMILES;Tg / degC\n{PS};100\n{PMMA};\n", encoding="utf-8")
    frame = pandas.DataFrame({"SMILES": [PS, PMMA], "Tg / degC": [100.0, None]})
    tables = [cells(tmp_path / "t.csv"), cells(rows), cells(frame)]
    assert tables[0][0] == "t.csv"
    assert cells(rows)[0] == tables[1][0] != tables[2][0]
    values = [[one.value for one in understand(name, columns, lines, {}).readings] for name, columns, lines in tables]
    assert values == [[100], [100], [100]]
