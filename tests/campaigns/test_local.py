"""Processes of the local executor never outlive what started them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from campaigns.local import LocalExecutor
from inverse_design.protocols import WorkerSpec

ROOT = Path(__file__).parents[2]
DRIVER = """
from campaigns.local import LocalExecutor
from inverse_design.protocols import WorkerSpec
if __name__ == "__main__":
    executor = LocalExecutor(workers=2)
    toy = WorkerSpec(factory="tests.contracts.workers:Toy")
    tell = {index: [{"text": "", "do": "tell"}] for index in range(8)}
    print(*{row["pid"] for _, rows in executor.run(toy, tell) for row in rows}, flush=True)
    list(executor.run(toy, {index: [{"text": "", "do": "sleep", "seconds": 120}] for index in range(2)}))
"""


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen(
        [sys.executable, tmp_path / "driver.py"], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    pids = [int(pid) for pid in driver.stdout.readline().split()]
    assert pids
    time.sleep(0.2)  # into the long shards
    driver.kill()
    driver.communicate()
    deadline = time.monotonic() + 30
    while any(map(running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(running, pids))


def test_closing_ends_the_processes() -> None:
    executor = LocalExecutor(workers=2)
    told = list(executor.run(WorkerSpec(factory="tests.contracts.workers:Toy"), {0: [{"text": "", "do": "tell"}]}))
    executor.close()
    assert not running(told[0][1][0]["pid"])


def test_the_environment_of_this_process_is_left_as_it_was() -> None:
    before = dict(os.environ)
    executor = LocalExecutor(workers=2)
    list(executor.run(WorkerSpec(factory="tests.contracts.workers:Toy"), {0: [{"text": "", "do": "tell"}]}))
    assert dict(os.environ) == before
    executor.close()
