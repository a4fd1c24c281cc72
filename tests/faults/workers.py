"""Toy generators with a fault each; what they give otherwise is what `toy.Assembler` gives."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from inverse_design.protocols import Prediction, WorkerSpec
from inverse_design.workers import GeneratorWorker, SurrogateWorker
from tests.toy import Assembler, Linear


class Poisoned(Assembler):
    """Ends its process on the sample of one seed, as a crash in compiled code does."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def _text(self, prompt: list[int], seed: int) -> str:
        if seed == self.seed:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super()._text(prompt, seed)


class Slow(Assembler):
    """Takes its time over each batch."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        time.sleep(self.seconds)
        return super().generate(prompts, seeds)


class Broken(Linear):
    """Answers with what is no number, no possible number, or no width."""

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        answers = super().predict(psmiles, properties)
        bad = [
            (float("nan"), 1.0),
            (float("inf"), 1.0),
            (1e30, 1.0),
            (-1e6, 1.0),
            (100.0, float("nan")),
            (100.0, 0.0),
            (100.0, -1.0),
        ]
        for index, row in enumerate(answers):
            if index % 2:
                mean, std = bad[index // 2 % len(bad)]
                row["Tg"] = Prediction(mean=mean, std=std, in_domain=True)
        return answers


def poisoned(seed: int) -> GeneratorWorker:
    return GeneratorWorker(generator=Poisoned(seed))


def slow(seconds: float) -> GeneratorWorker:
    return GeneratorWorker(generator=Slow(seconds))


def mortal(seconds: float, parent: int) -> GeneratorWorker:
    """A worker whose process is killed some seconds after it was made, unless it is the process of the test."""
    if os.getpid() != parent:
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    return slow(0.1)


def broken() -> SurrogateWorker:
    return SurrogateWorker(name="broken", surrogate=Broken(), properties=("Tg",))


def hungry(megabytes: int) -> GeneratorWorker:
    """A worker that takes more memory than it is given."""
    hungry.held = b"x" * (megabytes << 20)  # type: ignore[attr-defined]
    return GeneratorWorker(generator=Assembler())


def spec(name: str, **arguments: Any) -> WorkerSpec:
    return WorkerSpec(factory=f"tests.faults.workers:{name}", arguments=arguments)


if __name__ == "__main__":  # the driver of a campaign on a cluster: FOLDER ADDRESS SECONDS
    from pathlib import Path

    from campaigns.on_ray import RayExecutor
    from inverse_design.errors import EngineError
    from tests.campaigns import test_loop

    try:
        test_loop.drive(
            Path(sys.argv[1]), test_loop.spec(), RayExecutor(2, sys.argv[2]), spec("slow", seconds=float(sys.argv[3]))
        )
    except EngineError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
