"""Crashes: every file operation failed, torn or lost in turn, every kind of damage to a round, and a writer that is killed."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaigns import rounds
from campaigns.ledger import Ledger
from campaigns.storage import Disk, explained
from inverse_design.errors import EngineError, Interrupted, StateError
from inverse_design.protocols import Row
from inverse_design.state import Round

ROOT = Path(__file__).parents[2]
RESOLVED: Row = {"name": "demo"}
MANIFEST: Row = {"spec": "5f2c", "seed": 7, "models": {}}


def a_round(index: int) -> Round:
    samples = [{"sample": n, "prompt": "p", "seed": n, "text": f"*{'C' * n}*", "status": "syntax"} for n in range(4)]
    return Round(
        index=index,
        facts={"strategy": f"step {index}"},
        samples=[{name: row.get(name) for name in rounds.COLUMNS} for row in samples],
    )


class PowerCutError(BaseException):
    """The machine stops: nothing after this runs, not even the handling of an error."""


class FaultyDisk(Disk):
    """Fails operation `nth`: with an error, in the middle of a write, or with a power cut that drops what was not synced.

    After a power cut a file holds what was last synced of it, and a folder the names it had when last synced, or
    (`names_last`) those it has now: a file system may keep a rename and lose the bytes.
    """

    def __init__(self, folder: Path, nth: int, kind: str) -> None:
        self.folder, self.nth, self.kind = folder, nth, kind
        self.count = 0
        self.paths: dict[int, Path] = {}
        self.synced: dict[int, bytes] = {}
        self.names: dict[Path, dict[str, int]] = {}
        self.hold: list[int] = []  # open descriptors keep inode numbers from being used again

    def step(self) -> None:
        self.count += 1
        if self.kind in ("torn", "drop", "drop names_last") and self.count >= self.nth:
            raise PowerCutError
        if self.count == self.nth:
            raise OSError(getattr(errno, self.kind), os.strerror(getattr(errno, self.kind)))

    def open(self, path: Path, flags: int) -> int:
        self.step()
        descriptor = super().open(path, flags)
        self.hold.append(os.dup(descriptor))
        self.paths[descriptor] = path
        return descriptor

    def put(self, descriptor: int, data: bytes) -> int:
        try:
            self.step()
        except (OSError, PowerCutError) as error:
            if self.kind == "torn" or isinstance(error, OSError):
                super().put(descriptor, data[: len(data) // 2])
            raise
        return super().put(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self.step()
        path = self.paths[descriptor]
        self.synced[path.stat().st_ino] = path.read_bytes()

    def replace(self, source: Path, target: Path) -> None:
        self.step()
        super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        self.step()
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self.step()
        super().unlink(path)

    def mkdir(self, path: Path) -> None:
        self.step()
        super().mkdir(path)

    def sync_folder(self, folder: Path) -> None:
        self.step()
        self.names[folder] = {path.name: path.stat().st_ino for path in folder.iterdir()}

    def restart(self) -> None:
        """Make the folder what a machine that lost power would find."""
        if self.kind.startswith("drop") and self.count >= self.nth:
            contents = {path.stat().st_ino: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
            contents = {inode: self.synced.get(inode, b"") for inode in contents} | self.synced
            for folder in (
                path for path in [self.folder, *self.folder.rglob("*")] if path.is_dir()
            ):  # asked late: some are removed
                now = {path.name: path.stat().st_ino for path in folder.iterdir()}
                kept = now if "names_last" in self.kind else self.names.get(folder, {})
                for name in now.keys() | kept.keys():
                    path = folder / name
                    if path.is_dir():
                        if name not in kept:
                            shutil.rmtree(path)
                    elif name in kept:
                        path.write_bytes(contents[kept[name]])
                    else:
                        path.unlink()
        for descriptor in self.hold:
            os.close(descriptor)


def script(folder: Path, disk: Disk, count: int) -> int:
    """Create a campaign and commit so many rounds; return how many were acknowledged."""
    done = 0
    try:
        ledger = Ledger.create(folder, "name: demo\n", RESOLVED, MANIFEST, disk=disk)
        for index in range(count):
            ledger.keep_shard(index, "generate", 0, [{"text": "x"}])
            ledger.append_metrics({"round": index})
            ledger.commit(a_round(index))
            done += 1
    except (EngineError, PowerCutError):
        pass
    return done


KINDS = ["EIO", "ENOSPC", "EINTR", "torn", "drop", "drop names_last"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("count", "operations"), [(3, 60), pytest.param(40, 500, marks=[pytest.mark.faults, pytest.mark.timeout(1800)])]
)
def test_whatever_operation_fails_the_committed_rounds_are_there(
    tmp_path: Path, kind: str, count: int, operations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a campaign of `count` rounds each operation in turn, `operations` of them and more."""
    monkeypatch.setattr("campaigns.lease.Holder.dead", lambda _: True)  # each writer is this process, but ends without a word
    monkeypatch.setattr("campaigns.lease.Lease._beat", lambda _: None)  # its writes would come at chance moments
    encoded = {index: rounds.encode(a_round(index)) for index in range(count)}
    monkeypatch.setattr(rounds, "encode", lambda record: encoded[record.index])  # nothing of it depends on the disk
    nth, fired = 0, True
    while fired:
        nth += 1
        folder = tmp_path / str(nth)
        disk = FaultyDisk(folder, nth, kind)
        acknowledged = script(folder, disk, count)
        disk.restart()
        fired = disk.count >= nth
        sound = FaultyDisk(folder, sys.maxsize, kind)  # as it does not really sync, it saves minutes
        if (folder / "manifest.json").exists():
            ledger = Ledger.resume(folder, RESOLVED, MANIFEST, ttl=0.2, disk=sound)
        else:
            assert acknowledged == 0
            ledger = Ledger.create(folder, "name: demo\n", RESOLVED, MANIFEST, ttl=0.2, disk=sound)
        with ledger:
            found = list(ledger.rounds())
            assert found == [a_round(index) for index in range(len(found))]
            assert len(found) >= acknowledged
            ledger.append_metrics({"resumed": len(found)})
            assert list(ledger.metrics())[-1] == {"resumed": len(found)}
            for index in range(len(found), count):
                assert ledger.shards(index, "generate") in ({}, {0: [{"text": "x"}]})
                ledger.commit(a_round(index))
        left = sorted(path.name for path in folder.rglob("*") if path.is_file())
        assert left == [
            *(f"{index:06d}.parquet" for index in range(count)),
            "campaign.yaml",
            "manifest.json",
            "metrics.jsonl",
            "resolved.yaml",
        ]
        sound.restart()
        shutil.rmtree(folder)
    assert nth > operations
    assert acknowledged == count


def test_a_full_disk_can_be_resumed_and_any_other_error_is_the_state(tmp_path: Path) -> None:
    disk = Disk()
    for kind, expected in ((errno.ENOSPC, Interrupted), (errno.EACCES, StateError), (errno.EIO, StateError)):
        message = rf"here: cannot write 3 bytes \({os.strerror(kind)}\)\. Everything before is safe"
        with pytest.raises(expected, match=message), explained(tmp_path / "here", "write 3 bytes"):
            raise OSError(kind, os.strerror(kind))
    with pytest.raises(StateError, match="No such file or directory"):
        disk.write(tmp_path / "nowhere" / "file", b"abc")


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.write_bytes(b"mine")
    inside.symlink_to(outside)
    with pytest.raises(StateError, match="symbolic links"):
        Disk().append(inside, b"line")
    Disk().write(inside, b"ours")
    assert (outside.read_bytes(), inside.read_bytes(), inside.is_symlink()) == (b"mine", b"ours", False)


def test_only_one_can_claim_a_file(tmp_path: Path) -> None:
    assert Disk().claim(tmp_path / "LOCK", b"first")
    assert not Disk().claim(tmp_path / "LOCK", b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["LOCK"]
    assert (tmp_path / "LOCK").read_bytes() == b"first"


def test_without_hard_links_still_only_one_can_claim_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(Disk, "link", refuse)
    won = []
    threads = [
        threading.Thread(target=lambda mine=mine: won.append(mine) if Disk().claim(tmp_path / "LOCK", mine) else None)
        for mine in (b"first", b"second", b"third", b"fourth")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / "LOCK").read_bytes()] == won
    assert [path.name for path in tmp_path.iterdir()] == ["LOCK"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "000002.parquet"
    path.write_bytes(rounds.encode(a_round(2)))
    return path


def test_every_truncation_of_a_round_is_detected(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(0, len(whole), 13):
        file.write_bytes(whole[:size])
        with pytest.raises(StateError, match=r"000002.parquet: this round is damaged .* Put back a copy of it, or remove it"):
            rounds.decode(file)


def test_a_flipped_bit_is_detected_or_harmless(file: Path) -> None:
    whole = file.read_bytes()
    rng = random.Random(0)
    detected = 0
    for _ in range(400):
        bit = rng.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        try:
            assert rounds.decode(file) == a_round(2)
        except StateError:
            detected += 1
    assert detected > 100


NURSERY = """
import os, signal, sys
from pathlib import Path
from campaigns import rounds
from campaigns.ledger import Ledger, versions
from campaigns.storage import Disk
from tests.campaigns.test_storage import MANIFEST, RESOLVED, a_round

class Deadly(Disk):
    def __init__(self, nth):
        self.left = nth

    def put(self, descriptor, data):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().put(descriptor, data)

def write(folder, disk):
    os.write(1, f"{os.getpid()}\\n".encode())
    if (folder / "manifest.json").exists():
        ledger = Ledger.resume(folder, RESOLVED, MANIFEST, disk=disk)
    else:
        ledger = Ledger.create(folder, "name: demo\\n", RESOLVED, MANIFEST, disk=disk)
    for index in range(sum(1 for _ in ledger.rounds()), 10_000):
        ledger.keep_shard(index, "generate", 0, [{"text": "x"}])
        ledger.commit(a_round(index))
        os.write(1, f"{index}\\n".encode())

versions(), rounds.encode(a_round(0))  # what is slow at its first use, before the forks
for line in sys.stdin:
    folder, nth = line.split()
    if (pid := os.fork()) == 0:
        write(Path(folder), Deadly(int(nth)))
    os.waitpid(pid, 0)
    os.write(1, b"end\\n")
"""


@pytest.fixture
def nursery() -> Iterator[subprocess.Popen[str]]:
    """A process that forks a writer for each line `folder nth` and tells its id, the rounds it committed, and its end."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", NURSERY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    with process:
        yield process
        process.kill()


def born(nursery: subprocess.Popen[str], folder: Path, nth: int = 0) -> Iterator[str]:
    """Fork a writer that is killed at its `nth` write (0: never); yield the lines it prints."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{folder} {nth}\n")
    for line in nursery.stdout:
        if line == "end\n":
            return
        yield line


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path, nursery: subprocess.Popen[str]) -> None:
    rng = random.Random(1)
    committed = 0
    for life in range(20):
        folder = tmp_path / str(life // 4)
        committed = committed if folder.exists() else 0
        lines = born(nursery, folder)
        writer = int(next(lines))
        assert int(next(lines)) >= committed
        time.sleep(rng.uniform(0.0, 0.03))
        os.kill(writer, signal.SIGKILL)
        acknowledged = max([committed, *(int(line) + 1 for line in lines)])
        found = list(Ledger.open(folder).rounds())
        assert found == [a_round(index) for index in range(len(found))]
        assert len(found) >= acknowledged
        committed = len(found)
    with Ledger.resume(folder, RESOLVED, MANIFEST):
        assert not list(folder.rglob("*.tmp"))


def test_a_writer_killed_while_it_creates_leaves_a_folder_that_can_be_used(
    tmp_path: Path, nursery: subprocess.Popen[str]
) -> None:
    for nth in range(1, 5):  # the lock, resolved.yaml, campaign.yaml, manifest.json
        folder = tmp_path / str(nth)
        assert len(list(born(nursery, folder, nth))) == 1
        assert not (folder / "manifest.json").exists()
        Ledger.create(folder, "name: demo\n", RESOLVED, MANIFEST).close()
