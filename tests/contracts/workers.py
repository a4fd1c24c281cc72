"""Toy workers for the contract of executors; one class does it all, as each new worker costs a process to start."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from inverse_design.errors import CandidateError, ModelError
from inverse_design.protocols import Row


class Toy:
    """Gives each text in capitals, once it has done what the row asks for in `do`."""

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self.seen = 0

    def work(self, rows: list[Row]) -> list[Row]:
        self.seen += 1
        return [answer for row in rows for answer in self.answers(row)]

    def answers(self, row: Row) -> list[Row]:
        match row.get("do"):
            case "sleep":
                time.sleep(row["seconds"])
            case "refuse":
                raise CandidateError("500 of 500 texts do not parse")
            case "fail":
                raise KeyError("descriptors")
            case "vanish":
                return []
            case "tell":
                threads = os.environ.get("OMP_NUM_THREADS")
                return [{"pid": os.getpid(), "threads": threads, "seen": self.seen, "language": self.language}]
            case "die" if tallied(row):
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang" if tallied(row):
                time.sleep(60)
        return [{"text": row["text"].upper()}]


def tallied(row: Row) -> bool:
    """Count in a file, which outlives the process; return whether the count was still below `times`."""
    with Path(row["tally"]).open("a") as file:
        if file.tell() >= row["times"]:
            return False
        file.write("x")
    return True


def missing() -> Toy:
    raise ModelError("weights/tiny.safetensors: no such file. Fetch it: models fetch tiny")


def broken() -> Toy:
    raise ValueError("heads do not divide width")
