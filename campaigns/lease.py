"""One writer at a time: a lock file that says who writes, and that proves with a counting beat that they still do.

A dead process of this machine loses its lock at once. One of another machine loses it when its beat has not changed
for `ttl` seconds of the watcher's own monotonic clock, so clocks need not agree (the rule of Optuna's journal lock).
A writer that was stopped for so long finds out at its next commit, which is refused.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from campaigns.storage import Disk, canonical, explained
from inverse_design.errors import EngineError, StateError

logger = logging.getLogger(__name__)

TTL = 60.0
NAME = "LOCK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who writes. `boot` is one running system and its space of process ids; `started` tells a reused id apart."""

    owner: str
    host: str
    pid: int
    boot: str
    started: str
    fence: int = 1
    beat: int = 0

    def dead(self) -> bool:
        """Return whether this was a process of this machine, and is no more."""
        here = self.host == socket.gethostname() and self.boot == boot() and os.name != "nt"
        if not here:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return started(self.pid) != self.started


def boot() -> str:
    """Return what differs between running systems and between containers of one; empty where unknown."""
    with suppress(OSError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def started(pid: int) -> str:
    """Return when a process started, in ticks since boot; "ended" for one only waiting to be reaped, empty where unknown."""
    with suppress(OSError, IndexError):
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "ended" if state in "ZX" else fields[18]
    return ""


def read(path: Path, disk: Disk) -> bytes | None:
    with explained(path, "read it"), suppress(FileNotFoundError):
        return disk.read(path)
    return None


def parse(data: bytes) -> Holder | None:
    """Return the holder, or None if the file is damaged: then only an unchanging beat can free it."""
    try:
        return Holder(**json.loads(data))
    except (ValueError, TypeError):
        return None


class Lease:
    """The right to write to a campaign folder; `take` it, `check` it before each write, `release` it."""

    def __init__(self, path: Path, disk: Disk, holder: Holder, ttl: float) -> None:
        self.path = path
        self.disk = disk
        self.holder = holder
        self._interval = min(1.0, ttl / 5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    @classmethod
    def take(cls, folder: Path, disk: Disk, ttl: float = TTL) -> Lease:
        """Return the lease of a folder. Raises StateError within 2 s if its holder is alive."""
        path = folder / NAME
        pid = os.getpid()
        me = Holder(owner=str(uuid.uuid4()), host=socket.gethostname(), pid=pid, boot=boot(), started=started(pid))
        while not disk.claim(path, canonical(asdict(me))):
            if (seen := read(path, disk)) is None:
                continue
            holder = parse(seen)
            if not (holder and holder.dead()):
                _watch(path, disk, seen, holder, ttl)
            me = replace(me, fence=holder.fence + 1 if holder else me.fence)
            if disk.exchange(path, seen, canonical(asdict(me))):
                break
        lease = cls(path, disk, me, ttl)
        lease._thread.start()
        return lease

    def check(self) -> None:
        """Raise StateError if another writer has taken over."""
        data = read(self.path, self.disk)
        holder = parse(data) if data else None
        if holder is None or (holder.owner, holder.fence) != (self.holder.owner, self.holder.fence):
            raise StateError(
                f"{self.path}: this process (pid {os.getpid()}) was out of touch for too long and {_named(holder)} has taken over. "
                "Nothing was written; leave the campaign to the other writer."
            )

    def release(self) -> None:
        """Give up the lock, unless it is another's by now."""
        self._stop.set()
        self._thread.join()
        with suppress(EngineError):  # a lock that stays names a dead process, and is taken over at once
            self.check()
            self.disk.remove(self.path)

    def _beat(self) -> None:
        beating = self.holder
        while not self._stop.wait(self._interval):
            try:
                self.check()
                beating = replace(beating, beat=beating.beat + 1)
                self.disk.write(self.path, canonical(asdict(beating)))
            except EngineError as error:  # a full disk may get better; a lost lease is refused at the next commit
                logger.debug("lease: %s", error)


def _watch(path: Path, disk: Disk, seen: bytes, holder: Holder | None, ttl: float) -> None:
    """Return once nothing has changed for `ttl` seconds. Raises StateError if the holder proves to be alive."""
    here = holder is not None and (holder.host, holder.boot) == (socket.gethostname(), boot()) and os.name != "nt"
    if not here:
        logger.warning("%s: held by %s; waiting up to %.0f s for a sign of life", path, _named(holder), ttl)
    start = time.monotonic()
    while not here and time.monotonic() - start < ttl:
        time.sleep(min(0.2, ttl / 10))
        if (now := read(path, disk)) != seen:
            if now is None:
                return
            holder, here = parse(now), True
    if here:
        raise StateError(f"{path}: {_named(holder)} is writing to this campaign. Wait for it to end, or stop it, then resume.")


def _named(holder: Holder | None) -> str:
    return f"pid {holder.pid} on {holder.host}" if holder else "an unknown writer"
