"""What every executor must do, whatever runs underneath."""

from __future__ import annotations

import gc
import os
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaigns import dispatch
from campaigns.local import LocalExecutor
from inverse_design.errors import CandidateError, ModelError
from inverse_design.protocols import CRASHED, Executor, Row, WorkerSpec

TOY = WorkerSpec(factory="tests.contracts.workers:Toy")
SHARDS: dict[int, list[Row]] = {i: [{"text": f"shard {i} row {row}"} for row in range(1 + i % 3)] for i in (4, 0, 7, 1, 2, 9)}
UPPER = {index: [{"text": row["text"].upper()} for row in rows] for index, rows in SHARDS.items()}


@pytest.fixture(scope="module", params=["local-1", "local-2", "ray-2"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made: Executor
    if request.param == "ray-2":
        pytest.importorskip("ray")
        from campaigns.on_ray import RayExecutor

        made = RayExecutor(workers=2)
    else:
        made = LocalExecutor(workers=int(request.param[-1]))
    yield made
    made.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray ends its processes without waiting for them
        gc.collect()


@pytest.fixture
def replacing(executor: Executor) -> Executor:
    if isinstance(executor, LocalExecutor) and not executor._seats:
        pytest.skip("a worker in this process cannot be replaced")
    return executor


def run(executor: Executor, shards: dict[int, list[Row]], spec: WorkerSpec = TOY) -> dict[int, list[Row]]:
    answers = list(executor.run(spec, shards))
    assert sorted(index for index, _ in answers) == sorted(shards)
    return dict(answers)


def one(do: str, **more: Any) -> list[Row]:
    return [{"text": "one", "do": do, **more}]


def test_every_shard_comes_back_once_with_its_rows_in_order(executor: Executor) -> None:
    assert run(executor, SHARDS) == UPPER


def test_nothing_to_do_is_nothing_done(executor: Executor) -> None:
    assert run(executor, {}) == {}


def test_a_slow_shard_loses_nothing(executor: Executor) -> None:
    assert run(executor, {**SHARDS, 3: one("sleep", seconds=0.3)}) == {**UPPER, 3: [{"text": "ONE"}]}


def test_a_worker_is_built_once_in_a_process_and_has_one_thread(replacing: Executor) -> None:
    told = [run(replacing, {index: one("tell") for index in range(4)}) for _ in range(2)]
    rows = [[row for answer in answers.values() for row in answer] for answers in told]
    assert {row["threads"] for row in rows[0]} == {"1"}
    pids = {row["pid"] for row in rows[0] + rows[1]}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids
    assert max(row["seen"] for row in rows[1]) > max(row["seen"] for row in rows[0])


def test_other_arguments_make_another_worker(executor: Executor) -> None:
    french = WorkerSpec(factory=TOY.factory, arguments={"language": "fr"})
    languages = [run(executor, {0: one("tell")}, spec)[0][0]["language"] for spec in (TOY, french, TOY)]
    assert languages == ["en", "fr", "en"]


def test_an_engine_error_comes_out_as_itself_and_the_executor_goes_on(executor: Executor) -> None:
    with pytest.raises(CandidateError, match=r"^500 of 500 texts do not parse$"):
        run(executor, {**SHARDS, 3: one("refuse")})
    assert run(executor, SHARDS) == UPPER


def test_a_missing_row_is_told_with_the_worker(executor: Executor) -> None:
    with pytest.raises(CandidateError, match="workers:Toy: gave 0 rows for 1"):
        run(executor, {0: one("vanish")})


def test_any_other_error_names_the_worker_and_keeps_its_traceback(executor: Executor) -> None:
    with pytest.raises(ModelError, match=r"workers:Toy: KeyError: 'descriptors'") as caught:
        run(executor, {0: one("fail")})
    assert "workers.py" in caught.value.__notes__[0]


def test_a_constructor_error_surfaces_at_once_with_its_own_message(executor: Executor) -> None:
    with pytest.raises(ModelError, match=r"^weights/tiny.safetensors: no such file"):
        run(executor, {0: one("tell")}, WorkerSpec(factory="tests.contracts.workers:missing"))


def test_a_constructor_bug_names_the_factory() -> None:
    with pytest.raises(ModelError, match="workers:broken: ValueError: heads do not divide width"):
        run(LocalExecutor(workers=1), {0: one("tell")}, WorkerSpec(factory="tests.contracts.workers:broken"))


def test_only_this_project_builds_workers() -> None:
    with pytest.raises(ModelError, match="'os:system' is no worker factory"):
        run(LocalExecutor(workers=1), {0: one("tell")}, WorkerSpec(factory="os:system", arguments={"command": "true"}))


def test_leaving_early_does_not_mix_answers(executor: Executor) -> None:
    for _ in executor.run(TOY, {**SHARDS, 12: one("sleep", seconds=0.5)}):
        break
    assert run(executor, SHARDS) == UPPER


def test_a_shard_that_killed_its_worker_is_done_again(replacing: Executor, tmp_path: Path) -> None:
    deadly = one("die", tally=str(tmp_path / "tally"), times=1)
    assert run(replacing, {**SHARDS, 3: deadly}) == {**UPPER, 3: [{"text": "ONE"}]}
    assert (tmp_path / "tally").read_text() == "x"


def test_a_worker_that_never_answers_is_given_up(replacing: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "TRIES", 2)
    with pytest.raises(ModelError, match="shard 3 lost its worker 2 times"):
        run(replacing, {3: one("die", tally=str(tmp_path / "tally"), times=99)})
    assert (tmp_path / "tally").read_text() == "xx"


def test_a_row_that_always_kills_its_worker_is_found_and_its_neighbours_are_answered(tmp_path: Path) -> None:
    executor = LocalExecutor(workers=2)
    poison = one("die", tally=str(tmp_path / "tally"), times=99)[0]
    rows = [{"text": f"row {index}"} for index in range(8)]
    answers = run(executor, {**SHARDS, 3: [*rows[:5], poison, *rows[6:]]})
    executor.close()
    assert answers.pop(3) == [{"text": f"ROW {index}"} if index != 5 else CRASHED for index in range(8)]
    assert answers == UPPER
    assert len((tmp_path / "tally").read_text()) == 3 + 2 + 2  # the shard, its half and quarter, the row


def test_many_rows_that_kill_their_worker_are_its_own_fault(tmp_path: Path) -> None:
    executor = LocalExecutor(workers=2)
    poison = one("die", tally=str(tmp_path / "tally"), times=99)
    with pytest.raises(ModelError, match=r"lost its worker [23] times\. Give it more memory or time"):
        run(executor, {**dict.fromkeys(range(4), poison), 4: one("tell")})
    executor.close()


def test_a_hanging_worker_is_replaced(tmp_path: Path) -> None:
    executor = LocalExecutor(workers=2, patience=3.0)
    assert run(executor, {**SHARDS, 3: one("hang", tally=str(tmp_path / "tally"), times=1)})[3] == [{"text": "ONE"}]
    executor.close()


@pytest.mark.parametrize("silent", [False, True])
def test_a_cluster_out_of_reach_is_told_in_time_and_never_replaced_by_a_local_one(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from campaigns import on_ray

    monkeypatch.setattr(on_ray, "REACH", 3.0)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{listener.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(ModelError, match=r"No Ray cluster answers at 127.0.0.1:\d+ .*RAY_ADDRESS") as caught:
            on_ray.RayExecutor(workers=2)
        assert time.monotonic() - start < 20
    assert caught.value.exit_code == 5
