from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas
import pytest
from rdkit import Chem

from campaigns.export import export
from campaigns.selection import fitting, shopping, with_stock
from inverse_design.errors import SpecError
from inverse_design.synthesis.making import on_shelf

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


@pytest.mark.parametrize("kind", ["csv", "parquet", "json", "sdf", "xlsx"])
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
    with pytest.raises(SpecError, match="'xls': wanted one of csv, parquet, json, sdf, xlsx"):
        export(ROWS, "xls", tmp_path / "x.xls")


def test_xlsx_has_a_picture_a_row_and_runs_no_formula(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    path = tmp_path / "x.xlsx"
    export(ROWS, "xlsx", path)
    sheet = openpyxl.load_workbook(path).active
    head, first, second = sheet.iter_rows(values_only=True)
    assert head[0] == "structure"
    assert dict(zip(head[1:], first[1:], strict=True))["tg_degc"] == pytest.approx(0.1 + 0.2, rel=1e-15)  # all that Excel keeps
    assert dict(zip(head[1:], second[1:], strict=True))["id"] == "=1+1"
    assert sheet["C3"].data_type == "s"
    assert len(sheet._images) == len(ROWS)


@pytest.mark.parametrize("reader", ["pandas", "polars", "duckdb"])
def test_parquet_opens_everywhere(tmp_path: Path, reader: str) -> None:
    module = pytest.importorskip(reader)
    path = tmp_path / "x.parquet"
    export(ROWS, "parquet", path)
    if reader == "duckdb":
        rows = module.sql(f"select rank, tg_degc, note from '{path}' order by rank").fetchall()
    else:
        table = module.read_parquet(path)
        rows = list(zip(*(table[name].to_list() for name in ("rank", "tg_degc", "note")), strict=True))
    assert rows[0][:2] == (1, 0.1 + 0.2)
    assert rows[1][2] == ROWS[1]["note"]


LIST = [
    {
        "rank": rank,
        "id": f"{rank:x}",
        "canonical_psmiles": text,
        "probability": 1 - rank / 10,
        "route": route,
        "makeable": route is not None,
    }
    for rank, (text, route) in enumerate(
        [
            ("*CC(*)C(=O)OCC", "radical polymerisation"),
            ("*CC(*)C(=O)OCCC", "radical polymerisation"),
            ("*CC(*)C(=O)OCCCC", "radical polymerisation"),
            ("*CCOC(=O)c1ccc(C(=O)O*)cc1", "melt polycondensation"),
            ("*OC1C(O)C(O)C(*)OC1CO", None),
        ],
        1,
    )
]


@pytest.mark.parametrize(
    ("conditions", "ranks"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["probability>=0.7"], [1, 2, 3]),
        (["probability >= 0.7", "rank!=2"], [1, 3]),
        (["route ~ MELT"], [4]),
        (["makeable=false"], [5]),
        (["route=melt polycondensation"], [4]),
    ],
)
def test_filters(conditions: list[str], ranks: list[int]) -> None:
    assert [row["rank"] for row in fitting(LIST, conditions)] == ranks


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("probability", "write COLUMN OPERATOR VALUE"),
        ("probabilty>1", "did you mean 'probability'"),
        ("rank>high", "'high' is none"),
        ("makeable>1", "makeable=true"),
    ],
)
def test_a_filter_that_is_none_says_what_to_write(condition: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        fitting(LIST, [condition])


def test_the_shopping_list_counts_candidates() -> None:
    lines = shopping([*LIST, LIST[3] | {"rank": 6, "id": "6"}])
    assert lines[0]["candidates"] == 2
    assert {line["smiles"] for line in lines[:2]} == {"OCCO", "O=C(O)c1ccc(C(=O)O)cc1"}
    assert lines[0]["ranks"] == "4 6"
    assert len(lines) == 5


def test_what_is_on_the_shelf_need_not_be_bought() -> None:
    stock = frozenset(map(on_shelf, ["OCCO", "C=CC(=O)OCC"]))  # in any spelling
    lines = {line["smiles"]: line["in_stock"] for line in shopping(LIST, stock)}
    assert [smiles for smiles, there in lines.items() if there] == ["OCCO", "C=CC(=O)OCC"]
    rows = [
        {"monomers": "C=CC(=O)OCC", "makeable": True},
        {"monomers": "OCCO.O=C(O)c1ccc(C(=O)O)cc1", "makeable": True},
        {"monomers": None, "makeable": False},
    ]
    told = with_stock(rows, stock)
    assert [row["in_stock"] for row in told] == [True, False, False]
    assert [row["to_buy"] for row in told] == [None, "O=C(O)c1ccc(C(=O)O)cc1", None]
