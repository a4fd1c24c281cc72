"""Two writers at a time: one goes on, whatever died, stopped or runs elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from campaigns import lease as lease_module
from campaigns.lease import Holder, Lease
from campaigns.storage import Disk, canonical
from inverse_design.errors import StateError

ROOT = Path(__file__).parents[2]
TTL = 1.0


def held(folder: Path) -> Holder:
    return Holder(**json.loads((folder / "LOCK").read_bytes()))


def put(folder: Path, holder: Holder) -> None:
    Disk().write(folder / "LOCK", canonical(asdict(holder)))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Holder:
    """A lock of a process on another machine."""
    holder = Holder(owner="theirs", host="node17", pid=1, boot="another", started="5", fence=4)
    put(tmp_path, holder)
    return holder


def test_a_lease_names_its_holder_and_is_given_back(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, Disk())
    assert (held(tmp_path).pid, held(tmp_path).fence) == (os.getpid(), 1)
    lease.check()
    lease.release()
    assert not list(tmp_path.iterdir())


def test_a_second_writer_is_refused_at_once_with_the_first_one_named(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, Disk())
    start = time.monotonic()
    with pytest.raises(StateError, match=rf"pid {os.getpid()} on \S+ is writing to this campaign"):
        Lease.take(tmp_path, Disk())
    assert time.monotonic() - start < 2
    lease.check()
    lease.release()


HOLD = """
import sys, time
from pathlib import Path
from campaigns.lease import Lease
from campaigns.storage import Disk
Lease.take(Path(sys.argv[1]), Disk(), ttl=float(sys.argv[2]))
print("held", flush=True)
time.sleep(120)
"""


@pytest.fixture
def other(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), str(TTL)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_dead_process_of_this_machine_is_succeeded_at_once(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(StateError, match=f"pid {other.pid}"):
        Lease.take(tmp_path, Disk())
    other.kill()
    start = time.monotonic()
    deadline = start + 2
    while not held(tmp_path).dead() and time.monotonic() < deadline:  # the kill is not yet done when it returns
        time.sleep(0.01)
    lease = Lease.take(tmp_path, Disk())
    assert time.monotonic() - start < 2
    assert lease.holder.fence == 2
    lease.release()
    other.communicate()


def test_a_reused_process_id_is_not_the_holder(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, Disk())
    lease.release()
    put(tmp_path, replace(lease.holder, started="12"))
    assert Lease.take(tmp_path, Disk()).holder.fence == 2


def test_another_machine_without_a_beat_is_succeeded_after_the_time_to_live(tmp_path: Path, elsewhere: Holder) -> None:
    start = time.monotonic()
    lease = Lease.take(tmp_path, Disk(), ttl=TTL)
    assert time.monotonic() - start >= TTL
    assert lease.holder.fence == elsewhere.fence + 1
    lease.release()


def test_another_machine_with_a_beat_is_left_alone(tmp_path: Path, elsewhere: Holder) -> None:
    beating = threading.Timer(0.3, lambda: put(tmp_path, replace(elsewhere, beat=1)))
    beating.start()
    start = time.monotonic()
    with pytest.raises(StateError, match="pid 1 on node17 is writing"):
        Lease.take(tmp_path, Disk(), ttl=30.0)
    assert time.monotonic() - start < 10
    assert held(tmp_path).owner == "theirs"


def test_a_damaged_lock_is_succeeded_after_the_time_to_live(tmp_path: Path) -> None:
    (tmp_path / "LOCK").write_bytes(b'{"own')
    Lease.take(tmp_path, Disk(), ttl=0.3).release()


def test_a_lease_beats(tmp_path: Path) -> None:
    lease = Lease.take(tmp_path, Disk(), ttl=0.2)
    deadline = time.monotonic() + 10
    while held(tmp_path).beat < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert held(tmp_path).beat >= 2
    assert held(tmp_path).owner == lease.holder.owner
    lease.release()


def test_a_stopped_writer_finds_that_it_was_succeeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Lease.take(tmp_path, Disk(), ttl=TTL)
    monkeypatch.setattr(lease_module, "boot", lambda: "another machine")
    first._stop.set()  # as SIGSTOP would
    first._thread.join()
    second = Lease.take(tmp_path, Disk(), ttl=0.3)
    with pytest.raises(StateError, match=r"out of touch for too long and pid \d+ on \S+ has taken over\. Nothing was written"):
        first.check()
    first.release()
    second.check()
    second.release()


def test_a_process_stopped_by_a_signal_is_still_there(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.send_signal(signal.SIGSTOP)
    with pytest.raises(StateError, match=f"pid {other.pid}"):
        Lease.take(tmp_path, Disk(), ttl=0.1)
    other.kill()
    other.communicate()


def test_of_many_successors_one_goes_on(tmp_path: Path, elsewhere: Holder) -> None:
    won: list[Lease] = []
    refused: list[StateError] = []

    def succeed() -> None:
        try:
            won.append(Lease.take(tmp_path, Disk(), ttl=0.3))
        except StateError as error:
            refused.append(error)

    threads = [threading.Thread(target=succeed) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) + len(refused) == 6
    standing = [lease for lease in won if lease.holder.owner == held(tmp_path).owner]
    assert len(standing) == 1
    standing[0].check()
    assert elsewhere.owner != standing[0].holder.owner
    for lease in won:
        lease.release()
