"""Kill and damage campaigns, and print what was tried, survived and lost: `python -m tests.faults.summary --kills 200`.

Each line is checked against a run in peace: the rounds on disk after every kill must be its first rounds byte for byte
(a round that had been there and is not any more, or has changed, is a lost record), and so must all of them at the end.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from campaigns.ledger import Ledger
from inverse_design.errors import EngineError
from tests.campaigns.test_loop import drive, spec

SHORT = spec(budget={"rounds": 3})


@dataclass
class Line:
    """One kind of fault: how often it was tried, how often all was well afterwards, and records that were lost or altered."""

    fault: str
    tried: int = 0
    survived: int = 0
    lost: int = 0
    note: str = ""

    def __str__(self) -> str:
        return f"{self.fault:<52}{self.tried:>7}{self.survived:>10}{self.lost:>7}   {self.note}"


def rounds(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "rounds").glob("*.parquet"))]


def lives(work: Path, calm: list[bytes], seconds: float, kills: int) -> Line:
    """Kill a process that runs a campaign at random moments until it is done; again in another folder, until all kills are spent."""
    line, rng, campaigns, deepest = Line("SIGKILL of the driver at a random moment"), random.Random(7), 0, 0
    while line.tried < kills:
        folder, before = work / str(campaigns), 0
        campaigns += 1
        while True:
            if (child := os.fork()) == 0:
                drive(folder, SHORT)
                os._exit(0)
            last = line.tried >= kills
            if ended(child, 1e9 if last else rng.uniform(0, 1.2 * seconds)):
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            line.tried += 1
            now = rounds(folder) if folder.exists() else []
            wrong = sum(one != other for one, other in zip(now, calm, strict=False)) + max(0, before - len(now))
            line.lost += wrong
            line.survived += not wrong
            before = len(now)
            deepest += bool(before)
        if rounds(folder) != calm or any((folder / "partial").glob("*")):
            line.survived -= 1
            line.lost += 1
        shutil.rmtree(folder)
    line.note = f"{campaigns} campaigns ended byte-identical to the calm one; {deepest} kills after their first round"
    return line


def ended(child: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0] == child:
            return True
        time.sleep(0.002)
    return False


def judged(line: Line, folder: Path, calm: list[object]) -> None:
    """Read a damaged campaign: an error that names the damage is well, and so are the true rounds; anything else is lost."""
    line.tried += 1
    try:
        found: list[object] = list(Ledger.open(folder).rounds())
    except EngineError:
        line.survived += 1
        line.note = f"{int(line.note.partition(' ')[0] or 0) + 1} detected, the rest harmless"
        return
    good = found == calm
    line.survived += good
    line.lost += not good


def damaged(folder: Path, bits: int) -> Iterator[Line]:
    """Cut the last round at every byte of its last 4 kB, and flip random bits of the rounds and the manifest."""
    calm: list[object] = list(Ledger.open(folder).rounds())
    last = sorted((folder / "rounds").glob("*.parquet"))[-1]
    whole = last.read_bytes()
    line = Line("last round cut at each byte of its last 4 kB")
    for size in range(max(0, len(whole) - 4096), len(whole)):
        last.write_bytes(whole[:size])
        judged(line, folder, calm)
    last.write_bytes(whole)
    yield line
    line, rng = Line("one random bit of a round or the manifest flipped"), random.Random(11)
    files = [*sorted((folder / "rounds").glob("*.parquet")), folder / "manifest.json"]
    for _ in range(bits):
        path = rng.choice(files)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        bit = rng.randrange(8 * len(whole))
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        judged(line, folder, calm)
        path.write_bytes(whole)
    yield line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--bits", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        drive(work / "warm", SHORT)  # what is slow at its first use, before the forks and the clock
        began = time.monotonic()
        drive(work / "calm", SHORT)
        seconds = time.monotonic() - began
        print(f"{'fault':<52}{'tried':>7}{'survived':>10}{'lost':>7}", flush=True)
        lines = []
        for line in [lives(work, rounds(work / "calm"), seconds, given.kills), *damaged(work / "calm", given.bits)]:
            print(line, flush=True)
            lines.append(line)
    return int(any(line.lost or line.survived < line.tried for line in lines))


if __name__ == "__main__":
    sys.exit(main())
