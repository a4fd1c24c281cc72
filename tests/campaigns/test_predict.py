"""A table in, the same table out with answers: nothing lost, nothing altered, and a killed run goes on to the same bytes."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from campaigns.local import LocalExecutor
from campaigns.predict import CHUNK, Predictor, predict
from campaigns.tables import Table
from inverse_design.errors import ModelError, SpecError, StateError
from tests import toy

ROOT = Path(__file__).parents[2]
LINEAR = Predictor(properties=("Tg",), surrogates=toy.SURROGATES)
COLUMNS = ["tg_degc", "tg_unit", "tg_degc_low80", "tg_degc_high80", "tg_degc_in_domain", "status", "reason"]


def run(folder: Path, text: str | bytes, name: str = "in.csv") -> tuple[bytes, dict[str, int]]:
    source = folder / name
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    counts = predict(source, folder / "out.csv", LINEAR, LocalExecutor(1))
    assert not (folder / "out.csv.parts").exists()
    return (folder / "out.csv").read_bytes(), dict(counts)


def test_rows_columns_and_cells_come_out_as_they_went_in(tmp_path: Path) -> None:
    """The toy's answer for polystyrene by hand: 60 per aromatic ring, -12 per rotatable bond, ..., and 19.2 = 1.2816 * 15."""
    given = 'name,Smiles,note\n"a, ""b""",*CC(*)c1ccccc1,=1+1\n\nsulfide,*CCS*,\nmonomer,C=C,x\nnone,,\nlong,*CC*,y,extra\n'
    data, counts = run(tmp_path, given)
    rows = list(csv.reader(data.decode().splitlines()))
    assert rows[0] == ["name", "Smiles", "note", "column_4", *COLUMNS]
    assert rows[1][:4] == ['a, "b"', "*CC(*)c1ccccc1", "=1+1", ""]
    value, unit, low, high, inside, status, reason = rows[1][4:]
    assert (unit, inside, status, reason) == ("degC", "true", "ok", "")
    assert float(high) - float(value) == pytest.approx(19.22, abs=0.02)
    assert float(value) - float(low) == pytest.approx(19.22, abs=0.02)
    assert rows[2] == []
    assert [row[-2] for row in rows[3:]] == ["no_answer", "invalid", "invalid", "ok"]
    assert "two attachment points" in rows[4][-1]
    assert rows[6][:4] == ["long", "*CC*", "y", "extra"]
    assert counts == {"ok": 2, "no_answer": 1, "invalid": 2, "out_of_domain": 0}


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfName;SMILES;Tg\r\nx;*CC*;3,5\r\n",
        b"sep=;\r\nName;SMILES;Tg\r\nx;*CC*;3,5\r\n",
        "Name\tSMILES\tTg\nx\t*CC*\t3,5\n".encode("utf-16"),
        "Näme;SMILES;Tg\nx;*CC*;3,5\n".encode("cp1252"),
        b'"Name";"SMILES";"Tg"\n"x";"*CC*";"3,5"\n',
        b"Name|PSMILES|Tg\nx|[*]CC[*]|3,5",
        b"\n\nName;smiles;Tg\nx; *CC* ;3,5\n",
    ],
)
def test_dialects_of_spreadsheets(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.csv").write_bytes(data)
    table = Table.open(tmp_path / "in.csv")
    assert len(table.columns) == 3
    assert next(table.rows())[2] == "3,5"
    assert table.structure() == 1
    out, counts = run(tmp_path, data)
    assert counts == {"ok": 1, "out_of_domain": 0}
    assert out.startswith(b"\xef\xbb\xbf") == (not data.isascii())


def test_a_column_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    data, _ = run(tmp_path, "smiles,tg_degc,status\n*CC*,-120,mine\n")
    head, row = csv.reader(data.decode().splitlines())
    assert (head[1], head[3], head[-2]) == ("tg_degc", "tg_degc_2", "status_2")
    assert row[:3] == ["*CC*", "-120", "mine"]


def test_parquet_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"SMILES": ["*CC*", None], "n": [1, 2]}), tmp_path / "in.parquet")
    counts = predict(tmp_path / "in.parquet", tmp_path / "out.csv", LINEAR, LocalExecutor(1))
    assert counts["invalid"] == counts["ok"] == 1
    assert (tmp_path / "out.csv").read_text().splitlines()[2].startswith(",2,,degC")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("name,value\nx,1\n", "no column Smiles"),
        ('smiles,note\n*CC*,"open\n*CC*,x\n', "quotation mark"),
    ],
)
def test_what_is_no_table_of_polymers_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        run(tmp_path, text)
    assert not (tmp_path / "out.csv").exists()


def test_other_refusals(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("smiles\n*CC*\n")
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(StateError, match="exists already"):
        predict(tmp_path / "in.csv", tmp_path / "out.csv", LINEAR, LocalExecutor(1))
    with pytest.raises(SpecError, match="save it as CSV"):
        Table.open(tmp_path / "in.xlsx")
    with pytest.raises(SpecError, match="did you mean 'Tg'"):
        Predictor.of(["Tgg"])
    with pytest.raises(SpecError, match="no surrogate answers"):
        Predictor.of(["crystallization_tendency"], ["bundled:polyscreen"])
    with pytest.raises(ModelError, match="no such folder"):
        Predictor.of(["Tg"], ["nowhere"])


CHILD = """
import sys
from pathlib import Path
from campaigns.local import LocalExecutor
from campaigns.predict import Predictor, predict
from tests import toy
predict(Path(sys.argv[1]), Path(sys.argv[2]), Predictor(properties=("Tg",), surrogates=toy.SURROGATES), LocalExecutor(1))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    units = ("*CC*", "*CC(*)c1ccccc1", "*CCO*", "C", "")
    source = tmp_path / "in.csv"
    source.write_text("n,smiles\n" + "".join(f"{i},{units[i % 5]}\n" for i in range(5 * CHUNK)))
    predict(source, tmp_path / "calm.csv", LINEAR, LocalExecutor(1))
    target = tmp_path / "killed.csv"
    command = [sys.executable, "-c", CHILD, str(source), str(target)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    parts = tmp_path / "killed.csv.parts"
    for chunks in (1, 3):
        with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
            while process.poll() is None and len(list(parts.glob("0*.json"))) < chunks:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
    assert not target.exists()
    kept = len(list(parts.glob("0*.json")))
    assert kept >= 3
    (parts / "000001.json").write_bytes(b"torn")
    other = tmp_path / "other.csv"
    other.write_text("smiles\n*CC*\n")
    with pytest.raises(StateError, match="part of another prediction"):
        predict(other, target, LINEAR, LocalExecutor(1))
    seen: list[float] = []
    predict(source, target, LINEAR, LocalExecutor(1), tell=lambda done, lines: seen.append(done / lines))
    assert target.read_bytes() == (tmp_path / "calm.csv").read_bytes()
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert not parts.exists()


def test_no_module_needs_what_only_posix_has() -> None:
    """Commands work on Windows: nothing imports fcntl and the like, and nothing forks."""
    for folder in ("inverse_design", "generators", "surrogates", "campaigns"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for name in ("\nimport fcntl", "\nimport resource", "\nimport pwd", "os.fork", "os.getuid", 'get_context("fork")'):
                assert name not in text, (path, name)
