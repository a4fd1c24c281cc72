"""Suggest and tell on a toy campaign: sheets, facts on disk, a list that changes with its reasons, and a campaign that goes on."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from campaigns.export import export
from campaigns.laboratory import Told, sheet, state, suggest, tell
from campaigns.ledger import Ledger
from campaigns.local import LocalExecutor
from campaigns.measurements import cells
from campaigns.predict import Predictor
from campaigns.results import Results
from inverse_design.errors import SpecError, StateError
from inverse_design.novelty import leaders
from inverse_design.protocols import Row
from inverse_design.ranking import ranked
from inverse_design.spec import CampaignSpec
from tests import toy
from tests.campaigns.test_loop import drive, spec

WANTED = spec(want={"candidates": 90, "clusters": 2}, budget={"rounds": 2, "samples": 600})
MORE = spec(want={"candidates": 400, "clusters": 2}, budget={"rounds": 4, "samples": 600})


def opened(folder: Path, wanted: CampaignSpec = WANTED) -> Ledger:
    resolved = wanted.model_dump(mode="json", by_alias=True)
    return Ledger.resume(folder, resolved, {"spec": WANTED.digest(), "seed": 0, "models": {}})


def ask(units: Sequence[str]) -> list[list[Row]]:
    return Predictor(properties=(), surrogates=toy.SURROGATES).raw(units, LocalExecutor(1))


def told(folder: Path, rows: list[Row], source: str = "m.csv") -> Told:
    with opened(folder) as ledger:
        name, columns, lines = cells(rows, source)
        return tell(WANTED, ledger, name, columns, lines, ask)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab") / "toy"
    drive(folder, WANTED)
    return folder


@pytest.fixture
def folder(ran: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ran, tmp_path / "toy"))


def test_a_sheet_is_written_filled_in_and_told(folder: Path, tmp_path: Path) -> None:
    found = state(WANTED, Ledger.open(folder))
    best = ranked(found)
    assert suggest(found, 4, spread=False) == best[:4]
    chosen = suggest(found, 8, spread=True)
    assert leaders([one.canonical for one in chosen], 0.9, 99) == 8
    export(sheet(found, chosen), "csv", tmp_path / "sheet.csv")
    with (tmp_path / "sheet.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[-2:] == ["Tg / degC", "note"]
    assert rows[0]["predicted Tg / degC"] == f"{chosen[0].predictions['Tg'].mean:.0f}"  # no false precision on paper
    for row, cell in zip(rows, ("50", "51; 49", "<40", "insoluble", "323.15 K", "n.d."), strict=False):
        row["Tg / degC"] = cell
    rows.append({"psmiles": "*CC(*)c1ccccc1", "Tg / degC": "40"})
    answer = told(folder, rows)
    after = {one.canonical: one for one in answer.after.candidates}
    first = after[chosen[0].canonical]
    assert first.predictions["Tg"].mean == 50
    assert not answer.after.passes(first)
    assert not answer.after.passes(after[chosen[2].canonical])
    assert after[chosen[3].canonical].measured["Tg"].remarks == ("insoluble",)
    assert answer.after.lab.corrections["Tg"].measured == 4  # three candidates, and polystyrene that was never proposed
    left = {one.canonical for one in suggest(answer.after, 8, spread=False)}
    assert not left & {one.canonical for one in chosen[:6]}
    words = answer.sentence()
    for text in (
        "5 values, 1 bound, 2 remarks of 7 polymers, 1 never proposed",
        "measured Tg 50 degC",
        "leave-one-out error",
        "(from '<40')",
        f"{first.id}  {first.psmiles}  Tg = 50",
    ):
        assert text in words
    changes = {change.psmiles: change for change in answer.changes()}
    assert (changes[first.psmiles].before > 0, changes[first.psmiles].after) == (True, 0)
    assert "predicted" in changes[first.psmiles].why
    assert json.dumps(answer.document(), allow_nan=False)
    row = next(row for row in Results(state=answer.after, manifest={}, source="", hours=0).rows() if row["id"] == first.id)
    assert (row["tg_degc_measured"], row["feasible"]) == (50, False)


def test_what_looks_like_a_slip_is_named(folder: Path) -> None:
    one, two, three = ranked(state(WANTED, Ledger.open(folder)))[:3]
    sound = told(folder, [{"id": one.id, "Tg / degC": f"{one.predictions['Tg'].mean:.0f}"}])
    assert sound.doubtful() == []
    answer = told(folder, [{"id": two.id, "Tg / degC": "-100"}, {"id": three.id, "Tg / degC": "40; 340"}])
    far, apart = sorted(answer.doubtful())
    assert "row 2, 'Tg / degC': -100 degC, predicted" in far
    assert "row 3, 'Tg / degC': replicates of Tg lie 300 degC apart" in apart
    assert "taken in, but look again:" in answer.sentence()


def test_facts_are_kept_recomputed_and_replaced_by_the_same_table(folder: Path) -> None:
    before = state(WANTED, Ledger.open(folder))
    one, other = ranked(before)[:2]
    told(folder, [{"id": one.id, "Tg / degC": "20"}])
    second = told(folder, [{"id": one.id, "Tg / degC": "210"}, {"id": other.id, "Tg / degC": "220"}])
    assert second.replaced == 1
    told(folder, [{"id": one.id, "Tg / degC": "230"}], "again.csv")
    files = sorted((folder / "measurements").iterdir())
    assert [path.name for path in files] == ["000000.json", "000001.json", "000002.json"]  # nothing told is ever lost
    moved = folder.with_name("moved")
    folder.rename(moved)
    found = state(WANTED, Ledger.open(moved))
    assert found.lab.measured[one.canonical]["Tg"].value == 220  # of 210 and 230, both replicates
    assert found.lab.measured[other.canonical]["Tg"].value == 220
    (moved / "measurements" / "000001.json").write_text(
        files and (moved / "measurements" / "000001.json").read_text().replace("210", "250")
    )
    with pytest.raises(StateError, match=r"000001\.json: damaged or edited"):
        state(WANTED, Ledger.open(moved))


def test_nothing_understood_keeps_nothing_and_a_running_campaign_is_left_alone(folder: Path) -> None:
    with pytest.raises(SpecError, match="no column is a property"):
        told(folder, [{"SMILES": "*CC*", "colour": "white"}])
    with pytest.raises(SpecError, match="names no polymer"):
        told(folder, [{"id": "ffff", "Tg": "3"}])
    assert not (folder / "measurements").exists()
    with opened(folder), pytest.raises(StateError, match="is writing to this campaign"):
        told(folder, [{"SMILES": "*CC*", "Tg": "-120"}])


def test_a_campaign_goes_on_with_what_it_was_told_and_drops_work_decided_before(folder: Path) -> None:
    stray = folder / "partial" / "000002-generate-000000.json"
    with opened(folder) as ledger:
        ledger.keep_shard(2, "generate", 0, [{"text": "*CC*"}])
    assert stray.exists()
    found = state(WANTED, Ledger.open(folder))
    told(folder, [{"id": one.id, "Tg / degC": "20"} for one in ranked(found)[:12]])
    assert not stray.exists()
    twin = Path(shutil.copytree(folder, folder.with_name("twin")))
    lists = []
    for place in (folder, twin):
        with opened(place, MORE) as ledger:
            known = state(MORE, ledger)
        assert known.lab.corrections["Tg"].shares["none"] < 0.01
        lists.append([one.canonical for one in ranked(known)])
    assert lists[0] == lists[1]
