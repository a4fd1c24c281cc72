"""Workers that crash, hang, starve or answer nonsense, in a whole campaign: the others' results are those of a calm run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from campaigns.ledger import Ledger
from campaigns.local import LocalExecutor
from campaigns.on_ray import RayExecutor
from inverse_design.errors import ModelError
from inverse_design.protocols import Row
from inverse_design.workers import SurrogateWorker
from tests.campaigns.test_loop import drive, spec
from tests.faults.workers import Broken
from tests.faults.workers import spec as worker

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Ray ends its processes without waiting for them


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[list[Row]]:
    """The samples of the rounds of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("calm") / "run"
    drive(folder, spec())
    return samples(folder)


def samples(folder: Path) -> list[list[Row]]:
    return [record.samples for record in Ledger.open(folder).rounds()]


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["local", "ray"])
def test_a_sample_that_kills_its_process_is_the_only_one_lost(tmp_path: Path, calm: list[list[Row]], kind: str) -> None:
    executor = LocalExecutor(2) if kind == "local" else RayExecutor(2)
    poison = calm[0][17]
    drive(tmp_path / "run", spec(budget={"rounds": 1}), executor, worker("poisoned", seed=poison["seed"]))
    (found,) = samples(tmp_path / "run")
    assert (found[17]["text"], found[17]["status"]) == ("", "crashed")
    assert found[:17] + found[18:] == calm[0][:17] + calm[0][18:]


@pytest.mark.faults
def test_killed_every_two_seconds_the_list_is_the_same(tmp_path: Path, calm: list[list[Row]]) -> None:
    began = time.monotonic()
    drive(tmp_path / "run", spec(), RayExecutor(2), worker("mortal", seconds=2.0, parent=os.getpid()))
    assert samples(tmp_path / "run") == calm
    assert time.monotonic() - began < 300


@pytest.mark.faults
def test_a_worker_that_exhausts_the_memory_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")  # all of the machine is too much, so every worker is
    with pytest.raises(ModelError, match=r"shard \d lost its worker [23] times\. Give it more memory"):
        drive(tmp_path / "run", spec(), RayExecutor(1, "local"), worker("hungry", megabytes=100))


def test_answers_that_are_no_possible_numbers_are_not_stored(calm: list[list[Row]]) -> None:
    asked = [{"psmiles": row["psmiles"]} for row in calm[0] if row["status"] == "accepted" and row["predictions"]][:28]
    answers = SurrogateWorker(name="broken", surrogate=Broken(), properties=("Tg",)).work(asked)
    assert [len(row["predictions"]) for row in answers] == [1, 0] * 14
