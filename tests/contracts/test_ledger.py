"""What a ledger must keep, and what it must refuse without changing anything."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pytest

from campaigns import ledger as ledger_module
from campaigns.ledger import Ledger
from campaigns.rounds import COLUMNS
from campaigns.storage import Disk, disk_of, sealed
from inverse_design.errors import StateError
from inverse_design.protocols import Row
from inverse_design.state import Round
from tests import s3

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # connections that a client keeps open

SOURCE = "name: demo  # as given\n"
RESOLVED: Row = {"name": "demo", "targets": {"tg": {"min": 150.0}}, "workers": 1, "odd": ["no", "1e-3", None, "*CC*"]}
MANIFEST: Row = {"spec": "5f2c", "seed": 7, "models": {"tiny": "abc0"}}


def sample(number: int, **more: Any) -> Row:
    given = {"sample": number, "prompt": "Tg 150 *", "seed": 2**63 - 1 - number, "text": "*CC*é\n", "status": "syntax", **more}
    return {column: given.get(column) for column in COLUMNS}


def a_round(index: int) -> Round:
    prediction = {"surrogate": "tiny", "property": "tg", "mean": 151.1 + index, "std": 1e-300, "in_domain": index % 2 == 0}
    accepted = {
        "status": "accepted",
        "psmiles": "*CC*",
        "canonical": "*C*",
        "descriptors": list(range(15)),
        "polymer_class": "polyolefin",
        "sa_score": 0.1 + 0.2,
        "similarity": 1.0,
        "nearest": "",
        "predictions": [prediction, {**prediction, "property": "density"}],
    }
    facts = {"strategy": "explore", "weights": [0.25, 0.75], "fallback": None}
    return Round(index=index, facts=facts, samples=[sample(0), sample(1, **accepted)])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    yield from s3.serve()


@pytest.fixture(params=["disk", "shared", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local disk; a shared file system that knows neither hard links nor the durability of folders; S3."""
    if request.param != "s3":
        if request.param == "shared":
            monkeypatch.setattr(Disk, "link", unsupported)
            monkeypatch.setattr(os, "fsync", lambda descriptor: None if S_ISREG(os.fstat(descriptor).st_mode) else unsupported())
        return tmp_path / "campaign"
    request.getfixturevalue("server")
    return s3.folder(tmp_path.name) / "campaign"


def unsupported(*_: object) -> None:
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


def on_disk(folder: Path) -> None:
    if not isinstance(folder, Path):
        pytest.skip("a thing of disks")


@pytest.fixture
def finished(folder: Path) -> Path:
    with Ledger.create(folder, SOURCE, RESOLVED, MANIFEST) as ledger:
        for index in range(3):
            ledger.commit(a_round(index))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = {str(path).removeprefix(f"{folder}/"): path for path in folder.rglob("*") if path.is_file()}
    return {name: files[name].read_bytes() for name in sorted(files)}


def test_what_was_committed_is_read_back_as_it_was(finished: Path) -> None:
    assert list(Ledger.open(finished).rounds()) == [a_round(index) for index in range(3)]


def test_the_folder_holds_the_spec_as_given_and_as_resolved(finished: Path) -> None:
    assert (finished / "campaign.yaml").read_text() == SOURCE
    assert ledger_module.read_resolved(finished) == RESOLVED
    manifest = json.loads((finished / "manifest.json").read_text())
    assert (manifest["format"], manifest["format_version"], manifest["seed"]) == ("inverse-design-campaign", 2, 7)
    assert set(manifest["versions"]) == {"package", "rdkit", "torch"}
    assert Ledger.open(finished).manifest["models"] == {"tiny": "abc0"}


def test_equal_campaigns_are_equal_byte_for_byte_and_name_no_place(finished: Path) -> None:
    again = finished.parent / "again"
    with Ledger.create(again, SOURCE, RESOLVED, MANIFEST) as ledger:
        for index in range(3):
            ledger.keep_shard(index, "generate", 0, [{"text": "x"}])
            ledger.commit(a_round(index))
    assert content(again) == content(finished)
    rounds = [f"rounds/{index:06d}.parquet" for index in range(3)]
    assert sorted(content(again)) == ["campaign.yaml", "manifest.json", "resolved.yaml", *rounds]
    assert not any(str(finished.parent).encode() in data for data in content(again).values())


def test_a_copy_goes_on_elsewhere(finished: Path, tmp_path: Path) -> None:
    on_disk(finished)
    copy = tmp_path / "other" / "place"
    shutil.copytree(finished, copy)
    (copy / "partial").rmdir()
    with Ledger.resume(copy, RESOLVED, MANIFEST) as ledger:
        ledger.commit(a_round(3))
    assert [record.index for record in Ledger.open(copy).rounds()] == [0, 1, 2, 3]


def test_finished_shards_are_kept_until_their_round_commits(folder: Path) -> None:
    rows = [{"text": "*CC*", "score": 0.1 + 0.2, "none": None}]
    with Ledger.create(folder, SOURCE, RESOLVED, MANIFEST) as ledger:
        ledger.keep_shard(0, "generate", 11, rows)
        ledger.keep_shard(0, "score_tiny", 2, [])
    with Ledger.resume(folder, RESOLVED, MANIFEST) as ledger:
        assert ledger.shards(0, "generate") == {11: rows}
        assert ledger.shards(0, "score_tiny") == {2: []}
        assert ledger.shards(1, "generate") == {} == ledger.shards(0, "score")
        ledger.commit(a_round(0))
        assert not list((folder / "partial").glob("*"))


def test_a_damaged_shard_is_left_out(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Ledger.create(folder, SOURCE, RESOLVED, MANIFEST) as ledger:
        for index in range(3):
            ledger.keep_shard(0, "generate", index, [{"score": 111}])
        cut, flipped = folder / "partial" / "000000-generate-000000.json", folder / "partial" / "000000-generate-000001.json"
        cut.write_bytes(cut.read_bytes()[:-9])
        flipped.write_bytes(flipped.read_bytes().replace(b"111", b"113"))
        assert ledger.shards(0, "generate") == {2: [{"score": 111}]}
    assert caplog.text.count("will be redone") == 2


@pytest.mark.parametrize(
    "samples",
    [
        [sample(0) | {"surprise": 1}],
        [sample(0, predictions=[{"surrogate": "a", "property": "tg", "mean": 1.0, "std": 1.0, "in_domain": True, "unit": "K"}])],
        [sample(0, sa_score=float("nan"))],
        [sample(0, sa_score=float("inf"))],
        [sample(0, prompt=None)],
    ],
)
def test_nothing_is_altered_on_the_way_to_disk(folder: Path, samples: list[Row]) -> None:
    with Ledger.create(folder, SOURCE, RESOLVED, MANIFEST) as ledger:
        with pytest.raises(ValueError, match=r"columns|JSON compliant|non-nullable|null"):
            ledger.commit(Round(index=0, facts={}, samples=samples))
        assert not list((folder / "rounds").glob("*"))


def test_metrics_survive_a_torn_line(finished: Path) -> None:
    on_disk(finished)
    with Ledger.resume(finished, RESOLVED, MANIFEST) as ledger:
        ledger.append_metrics({"round": 0, "seconds": 1.5})
        with (finished / "metrics.jsonl").open("a") as file:
            file.write('{"round": 1, "sec')
        ledger.append_metrics({"round": 2})
        assert list(ledger.metrics()) == [{"round": 0, "seconds": 1.5}, {"round": 2}]


def test_run_into_a_campaign_is_refused_with_the_way_on(finished: Path) -> None:
    before = content(finished)
    with pytest.raises(StateError, match=f"already holds a campaign. Go on with it: resume {finished}") as caught:
        Ledger.create(finished, "other: 1\n", {}, MANIFEST)
    assert content(finished) == before
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "names", [["thesis.tex"], ["campaign.yaml"], ["rounds/000000.parquet"], ["LOCK", "resolved.yaml", "data.csv"]]
)
def test_a_foreign_folder_is_refused(folder: Path, names: list[str]) -> None:
    for name in names:
        disk_of(folder).make_folder((folder / name).parent)
        (folder / name).write_text("mine")
    with pytest.raises(StateError, match="is not empty and not a campaign"):
        Ledger.create(folder, SOURCE, RESOLVED, MANIFEST)
    assert content(folder) == dict.fromkeys(names, b"mine")


def test_a_file_is_no_folder(folder: Path) -> None:
    folder.write_text("mine")
    with pytest.raises(StateError, match="is a file"):
        Ledger.create(folder, SOURCE, RESOLVED, MANIFEST)


def test_an_empty_folder_will_do(folder: Path) -> None:
    on_disk(folder)
    folder.mkdir()
    Ledger.create(folder, SOURCE, RESOLVED, MANIFEST).close()
    assert list(Ledger.open(folder).rounds()) == []


def test_a_folder_without_campaign_cannot_be_opened(folder: Path) -> None:
    with pytest.raises(StateError, match=r"holds no campaign. Start one: run"):
        Ledger.open(folder)
    with pytest.raises(StateError, match=r"holds no campaign. Start one: run"):
        Ledger.resume(folder, RESOLVED, MANIFEST)


def test_a_second_writer_is_refused_in_time_with_the_first_one_named(finished: Path) -> None:
    with Ledger.resume(finished, RESOLVED, MANIFEST) as first:
        began = time.monotonic()
        with pytest.raises(StateError, match=rf"pid {os.getpid()} on {re.escape(socket.gethostname())} is writing"):
            Ledger.resume(finished, RESOLVED, MANIFEST)
        assert time.monotonic() - began < 2
        first.commit(a_round(3))


def test_a_newer_format_names_its_writer(finished: Path) -> None:
    newer = {"format": "inverse-design-campaign", "format_version": 3, "versions": {"package": "9.1.0"}, "unheard": "of"}
    (finished / "manifest.json").write_bytes(sealed(newer))
    with pytest.raises(StateError, match=r"format 3, written by 9.1.0; this is .* reads formats up to 2"):
        Ledger.open(finished)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged"),
        (b"[]", "not the manifest of a campaign"),
        (b'{"format": "zip"}', "not the manifest of a campaign"),
        (b'{"format": "inverse-design-campaign", "format_version": 1, "seed": 8, "sha256": "00"}', "damaged or edited"),
    ],
)
def test_a_damaged_manifest_is_told(finished: Path, data: bytes, message: str) -> None:
    (finished / "manifest.json").write_bytes(data)
    with pytest.raises(StateError, match=message):
        Ledger.open(finished)


def test_another_spec_model_or_seed_is_refused_with_a_diff(finished: Path) -> None:
    before = content(finished)
    changed = {**RESOLVED, "targets": {"tg": {"min": 200.0}}}
    with pytest.raises(StateError, match=r'(?s)spec: was "5f2c", now "77".*targets.tg.min: was 150.0, now 200.0'):
        Ledger.resume(finished, changed, {**MANIFEST, "spec": "77"})
    with pytest.raises(StateError, match=r'models.tiny: was "abc0", now "fff1"'):
        Ledger.resume(finished, RESOLVED, {**MANIFEST, "models": {"tiny": "fff1"}})
    with pytest.raises(StateError, match="seed: was 7, now 8"):
        Ledger.resume(finished, RESOLVED, {**MANIFEST, "seed": 8})
    assert content(finished) == before


def test_what_does_not_decide_results_may_change_and_is_noted(finished: Path) -> None:
    with Ledger.resume(finished, {**RESOLVED, "workers": 8}, MANIFEST) as ledger:
        assert list(ledger.metrics()) == [{"event": "resumed", "changed": ["workers: was 1, now 8"]}]
    assert ledger_module.read_resolved(finished)["workers"] == 8


def test_other_versions_are_a_warning(finished: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(ledger_module, "versions", lambda: {"package": "1", "rdkit": "2", "torch": "3"})
    with caplog.at_level(logging.WARNING):
        Ledger.resume(finished, RESOLVED, MANIFEST).close()
    assert "results may differ" in caplog.text


def test_rounds_follow_each_other(finished: Path) -> None:
    with Ledger.resume(finished, RESOLVED, MANIFEST) as ledger:
        for index in (0, 4):
            with pytest.raises(StateError, match=f"round {index} cannot follow: the next one is round 3"):
                ledger.commit(a_round(index))


def test_a_missing_or_renamed_round_is_told(finished: Path) -> None:
    on_disk(finished)
    (finished / "rounds" / "000001.parquet").rename(finished / "rounds" / "000003.parquet")
    with pytest.raises(StateError, match=r"round 1 is missing but 000002.parquet is there"):
        list(Ledger.open(finished).rounds())
    (finished / "rounds" / "000003.parquet").rename(finished / "spare")
    shutil.copy(finished / "rounds" / "000000.parquet", finished / "rounds" / "000001.parquet")
    with pytest.raises(StateError, match=r"000001.parquet: this round is damaged"):
        list(Ledger.open(finished).rounds())


def test_a_reader_does_not_write(finished: Path) -> None:
    with pytest.raises(StateError, match="opened to read"):
        Ledger.open(finished).commit(a_round(3))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"campaign: cannot (look into it|make the folder)"):
        Ledger.create(tmp_path / "file" / "campaign", SOURCE, RESOLVED, MANIFEST)
