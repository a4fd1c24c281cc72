"""A campaign's process among the hazards of an operating system: signals, stops, small limits, closed pipes, a full disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.cli import ROOT, SPEC, start, under_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and limits of Linux")
LOCAL = ("--executor", "local", "--workers", "1")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("spec") / "toy.yaml"
    path.write_text(SPEC)
    return str(path)


@pytest.fixture(scope="module")
def calm(spec: str, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The rounds of a run in peace."""
    folder = tmp_path_factory.mktemp("calm") / "run"
    _, talk = (process := start("run", spec, "-o", str(folder), *LOCAL)).communicate(timeout=250)
    assert process.returncode == 0, talk
    return rounds(folder)


def rounds(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "rounds").iterdir())]


def test_each_signal_ends_a_run_resumably_and_a_scheduler_can_run_it_again(spec: str, calm: list[bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    again = ("run", spec, "-o", str(folder), "--resume", "auto", *LOCAL)
    for index, number in enumerate((signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)):
        process = start(*again, seconds=0.5)
        under_way(process, folder, rounds=index)
        process.send_signal(number)
        began = time.monotonic()
        _, talk = process.communicate(timeout=60)
        assert (process.returncode, time.monotonic() - began < 10) == (75, True), talk
        assert f"stopped by {number.name}; every finished shard is kept\ngo on with: inverse-design resume {folder}" in talk
        assert "Traceback" not in talk
        (folder / "partial" / ".half.tmp").write_bytes(b"as a killed writer leaves it")
    _, talk = (process := start(*again)).communicate(timeout=250)
    assert process.returncode == 0, talk
    assert rounds(folder) == calm
    assert not list(folder.rglob("*.tmp"))


IMPATIENT = """
import time
from campaigns.cli import _signals
from inverse_design.errors import Interrupted
with _signals():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except Interrupted:
        print("leaving", flush=True)
        time.sleep(60)  # a farewell that takes its time
"""


def test_a_second_ctrl_c_ends_it_at_once() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", IMPATIENT], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "leaving\n"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert time.monotonic() - began < 2


GOODBYE = """
import os, signal, threading, time
from campaigns.on_ray import RayExecutor
heard = []
signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
executor = RayExecutor(1)
os.kill(os.getpid(), signal.SIGTERM)
assert heard, "after the start"

def send():
    for _ in range(8):  # a tenth of a second apart, all through the farewell
        time.sleep(0.12)
        os.kill(os.getpid(), signal.SIGTERM)

sender = threading.Thread(target=send)
sender.start()
executor.close()
sender.join()
print(len(heard))
"""


def test_ray_takes_no_signal_from_us_neither_as_it_starts_nor_as_it_ends() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ADDRESS": ""}
    done = subprocess.run(
        [sys.executable, "-c", GOODBYE], capture_output=True, text=True, env=environment, timeout=90, check=False
    )
    assert (done.returncode, done.stdout) == (0, "9\n"), done.stderr


def test_stopped_and_continued_under_small_limits_it_goes_on(spec: str, calm: list[bytes], tmp_path: Path) -> None:
    """256 open files, 4 GB of address space, and a pause in the middle in which no second writer gets in."""
    folder = tmp_path / "run"
    process = start("run", spec, "-o", str(folder), *LOCAL, seconds=0.3, before="ulimit -n 256 -v 4000000;")
    under_way(process, folder)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    second = start("resume", str(folder), *LOCAL)
    _, talk = second.communicate(timeout=120)
    assert (second.returncode, f"pid {process.pid} on" in talk, "Traceback" in talk) == (4, True, False), talk
    process.send_signal(signal.SIGCONT)
    _, talk = process.communicate(timeout=250)
    assert process.returncode == 0, talk
    assert rounds(folder) == calm


def test_a_full_disk_is_told_with_its_path_and_goes_on_with_room(spec: str, calm: list[bytes], tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("not allowed to mount a small disk")
    try:
        _, talk = (process := start("run", spec, "-o", str(small / "run"), *LOCAL)).communicate(timeout=250)
        assert process.returncode == 75, talk
        assert f"{small / 'run'}" in talk
        assert "No space left on device). Everything before is safe: free some space, then resume." in talk
        assert "Traceback" not in talk
        shutil.copytree(small / "run", tmp_path / "run", ignore=shutil.ignore_patterns("LOCK"))
    finally:
        subprocess.run(["umount", "-l", small], check=False)
    _, talk = (process := start("resume", str(tmp_path / "run"), *LOCAL)).communicate(timeout=250)
    assert process.returncode == 0, talk
    assert rounds(tmp_path / "run") == calm


def test_plain_terminals_and_readers_that_leave(spec: str, tmp_path: Path) -> None:
    folder = str(ROOT / "tests" / "golden" / "campaigns" / "met")
    plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "40"}
    out, talk = (process := start("status", folder, **plain)).communicate(timeout=120)
    assert process.returncode == 0, talk
    assert "\x1b" not in out + talk
    shell = '"$@" | true; exit "${PIPESTATUS[0]}"'
    for verb in (["schema"], ["status", folder, "--json"]):
        command = ["bash", "-c", shell, "bash", sys.executable, "-m", "tests.faults.cli", *verb]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
