"""What a large campaign costs its driver: `python -m tests.benchmarks.ledger 100000`.

Writes a campaign of that many candidates, made up but of the size of real ones, and prints, in processor seconds of one
core, what it takes to open it again up to the first work handed out, and the memory that it takes.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaigns.campaign import Campaign
from campaigns.ledger import Ledger
from campaigns.results import Results
from inverse_design.acquisition.strategies import decide
from inverse_design.ranking import ranked
from inverse_design.reference import prior
from inverse_design.state import Round, State
from inverse_design.verdict import verdict
from tests.campaigns.test_loop import spec

ROUND = 5000
PIECES = ("C", "CC", "O", "C(=O)", "C(F)", "N", "S", "C(C)", "C(=O)O", "[Si](C)(C)")


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.process_time()
    yield
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<40}{time.process_time() - began:>8.2f} s   {memory:>7.0f} MiB at most so far", flush=True)


def made_up(index: int, rng: random.Random) -> Round:
    """A round of candidates that all were accepted: the dearest kind of sample to keep."""
    every = prior()
    samples = []
    for sample in range(ROUND):
        descriptors = every[rng.randrange(len(every))].tolist()
        text = f"*{''.join(rng.choices(PIECES, k=20))}*"  # as varied as real ones, for the size of the files
        answer = {"surrogate": "linear", "property": "Tg", "mean": rng.uniform(-50, 190), "std": 30.0, "in_domain": True}
        row = {"sample": sample, "prompt": ",".join(map(str, descriptors)), "seed": rng.getrandbits(62), "status": "accepted"}
        row |= dict.fromkeys(("text", "psmiles", "canonical"), text)
        row |= {"descriptors": descriptors, "polymer_class": "polyimide", "sa_score": 2.5, "similarity": 0.5, "nearest": ""}
        samples.append(row | {"predictions": [answer]})
    return Round(index=index, facts={"strategy": "random"}, samples=samples)


def main(candidates: int) -> None:
    wanted = spec(budget={"rounds": 100_000, "samples": 10**9}, want={"candidates": 10_000_000, "clusters": 2})
    resolved, manifest = wanted.model_dump(mode="json", by_alias=True), {"spec": wanted.digest(), "seed": 0, "models": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        with timed("(write it)"), Ledger.create(folder, "", resolved, manifest) as ledger:
            rng = random.Random(0)
            for index in range(candidates // ROUND):
                ledger.commit(made_up(index, rng))
        size = sum(path.stat().st_size for path in folder.rglob("*"))
        print(f"{candidates} candidates, {size / candidates:.0f} bytes each on disk", flush=True)
        state = State(wanted)
        with timed("read and fold the rounds"), Ledger.resume(folder, resolved, manifest) as ledger:
            for record in ledger.rounds():
                state.add(record)
        with timed("verdict"):
            end = verdict(state, 0.0)
        print(f"verdict: {end}")
        problem = Campaign(spec=wanted, source="", folder=folder, base=folder)._problem()
        with timed("decide the next prompts, random"):
            decide("random", problem, state.history(), state.rounds)
        with timed("decide the next prompts, feasible-yield"):
            decide("feasible-yield", problem, state.history(), state.rounds)
        with timed("rank"):
            ranked(state)
        results = Results(state=state, manifest=manifest | {"versions": {}}, source="", hours=0.0)
        with timed("status"):
            results.sentence()
            results.summary()
        with timed("report"):
            results.report()
        with timed("export of the best 1,000"):
            results.export(Path(name) / "best.csv", "csv", 1000)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
