"""The command line on toy models: all that it does with signals, folders and limits, without the minutes of real ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from campaigns.campaign import Campaign
from campaigns.cli import main
from campaigns.models import Cast
from inverse_design.loop import Workers
from inverse_design.protocols import WorkerSpec
from tests import toy
from tests.faults.workers import spec as worker

ROOT = Path(__file__).parents[2]
SPEC = """\
schema: 1
name: toy
targets:
  - {property: Tg, min: 200}
acquisition: {strategy: random, samples_per_round: 96, samples_per_prompt: 4}
novelty: {reference: none}
want: {candidates: 40, clusters: 2}
budget: {rounds: 4}
"""


def toys(campaign: Campaign, cast: Cast) -> Workers:
    structure = campaign.spec.structure.model_dump(mode="json", by_alias=True)
    sieve = WorkerSpec(factory="inverse_design.sieve:sieve_worker", arguments={"structure": structure, "reference": "none"})
    slow = float(os.environ.get("TOY_SECONDS", "0"))
    return Workers(generator=worker("slow", seconds=slow), sieve=sieve, surrogates=toy.SURROGATES)


def start(*arguments: str, seconds: float = 0.0, before: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a shell that does `before`; each batch of the generator takes `seconds`."""
    given = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_ADDRESS": "", "TOY_SECONDS": str(seconds), **environment}
    return subprocess.Popen(
        ["/bin/sh", "-c", f'{before} exec "$@"', "sh", sys.executable, "-m", "tests.faults.cli", *arguments],
        env={**os.environ, **given},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def under_way(process: subprocess.Popen[str], folder: Path, rounds: int = 0) -> None:
    """Return once a campaign has so many rounds and a finished shard of the next."""
    deadline = time.monotonic() + 240
    while not any((folder / "partial").glob(f"{rounds:06d}-*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


if __name__ == "__main__":
    Campaign._workers = toys  # type: ignore[method-assign]
    main()
