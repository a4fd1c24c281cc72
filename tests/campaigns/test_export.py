from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas
import pytest
from rdkit import Chem

from campaigns.export import export
from inverse_design.errors import SpecError

ROWS = [
    {
        "rank": 1,
        "id": "00af3c",
        "psmiles": "*Oc1ccc(N2C(=O)c3ccccc3C2=O)cc1C*",
        "polymer_class": "polyether",
        "tg_degc": 0.1 + 0.2,
        "tg_degc_low80": -12.3,
        "probability": 1e-17,
        "feasible": True,
        "nearest": "",
        "prompt": "416,32,0,6,0,2,2,4,0,4,4,0,8,2,6",
        "round": 0,
    },
    {"rank": 2, "id": "=1+1", "psmiles": "*CC*", "tg_degc": float("nan"), "feasible": False, "note": "@x, \"y\"\n z", "round": 3},
]  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet", "json", "sdf"])
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    first, second = tmp_path / "a" / "b" / f"x.{kind}", tmp_path / f"y.{kind}"
    export(ROWS, kind, first)
    export(ROWS, kind, second)
    export(ROWS, kind, second)
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [second.name]


def test_csv_keeps_every_digit_and_leaves_missing_cells_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    export(ROWS, "csv", path)
    text = path.read_bytes().decode()
    first, second = csv.DictReader(io.StringIO(text))
    assert "\r" not in text
    assert float(first["tg_degc"]) == 0.1 + 0.2
    assert first["tg_degc_low80"] == "-12.3"  # a number is no formula
    assert first["probability"] == "1e-17"
    assert first["feasible"] == "true"
    assert first["prompt"] == ROWS[0]["prompt"]
    assert second["tg_degc"] == second["probability"] == ""
    assert "nan" not in text.lower()
    table = pandas.read_csv(path)
    assert table["feasible"].tolist() == [True, False]
    assert table["tg_degc"].isna().tolist() == [False, True]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\x00"])
def test_csv_never_hands_a_spreadsheet_a_formula(tmp_path: Path, start: str) -> None:
    path = tmp_path / "x.csv"
    export([{"name": f"{start}cmd|'/c calc'!A1", "value": -1.5}], "csv", path)
    _, (name, value) = csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
    assert name.startswith("'" + start)
    assert value == "-1.5"


def test_json_is_valid_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    export(ROWS, "json", path)
    first, second = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert first == {**ROWS[0], "note": None}
    assert second["tg_degc"] is None
    assert second["note"] == ROWS[1]["note"]


def test_parquet_keeps_types(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    export(ROWS, "parquet", path)
    table = pandas.read_parquet(path)
    assert table["rank"].tolist() == [1, 2]
    assert table["tg_degc"][0] == 0.1 + 0.2
    assert table["tg_degc"].isna().tolist() == [False, True]
    assert table["feasible"].tolist() == [True, False]
    assert table["note"][1] == ROWS[1]["note"]


def test_sdf_has_the_repeat_units_with_their_columns_as_tags(tmp_path: Path) -> None:
    path = tmp_path / "x.sdf"
    export(ROWS, "sdf", path)
    first, second = Chem.SDMolSupplier(str(path))
    assert Chem.MolToSmiles(first) == Chem.CanonSmiles(ROWS[0]["psmiles"])
    assert first.GetProp("_Name") == "00af3c"
    assert float(first.GetProp("tg_degc")) == 0.1 + 0.2
    assert first.GetConformer().GetPositions().any()
    assert not second.HasProp("tg_degc")
    assert second.GetProp("note") == '@x, "y" z'


@pytest.mark.parametrize("kind", ["csv", "parquet", "json", "sdf"])
def test_no_candidates_make_an_empty_file_of_the_right_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    export([], kind, path)
    if kind == "csv":
        assert path.read_text().startswith("rank,id,psmiles,")
    if kind == "json":
        assert json.loads(path.read_text()) == []
    if kind == "parquet":
        assert len(pandas.read_parquet(path)) == 0


def test_an_unknown_format_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="'xlsx': wanted one of csv, parquet, json, sdf"):
        export(ROWS, "xlsx", tmp_path / "x.xlsx")
