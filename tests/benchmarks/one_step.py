"""What one decision is worth: `python -m tests.benchmarks.one_step DIR ROUNDS... [--variants A,B]`.

From the same rounds of a finished campaign, each variant decides the next round; its prompts are generated, sieved and scored by the
campaign's own models. Prints accepted, in-domain and passing candidates and the sum of their probabilities of passing in domain
(the expected yield, which is less noisy than a count). Paired: the same history, the same number of samples.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from campaigns.campaign import Campaign
from campaigns.ledger import Ledger
from campaigns.local import LocalExecutor
from campaigns.models import Cast
from inverse_design.acquisition.strategies import Steps, decide
from inverse_design.loop import Clock, one_round
from inverse_design.protocols import Row
from inverse_design.state import State

VARIANTS: dict[str, tuple[str, Steps]] = {
    "feasible-yield": ("feasible-yield", Steps()),
    "thompson": ("thompson", Steps()),
    "elite": ("elite", Steps()),
    "random": ("random", Steps()),
    "requested": ("feasible-yield", Steps(realised=False)),
    "no channel": ("feasible-yield", Steps(channel=False)),
    "no domain": ("feasible-yield", Steps(domain=False)),
    "no yields": ("feasible-yield", Steps(yields=False)),
    "no screen": ("feasible-yield", Steps(screen=False)),
    "no repulsion": ("feasible-yield", Steps(repulsion=False)),
    "no moves": ("feasible-yield", Steps(moves=0.0, thompson=0.5)),
    "no thompson": ("feasible-yield", Steps(thompson=0.0)),
}


class Nothing:
    """A ledger that keeps nothing."""

    def rounds(self):  # type: ignore[no-untyped-def]
        return iter(())

    def shards(self, round_index: int, stage: str) -> dict[int, list[Row]]:
        return {}

    def keep_shard(self, round_index: int, stage: str, index: int, rows: list[Row]) -> None:
        pass

    def commit(self, record: object) -> None:
        pass


def measure(folder: Path, rounds: list[int], variants: list[str]) -> list[Row]:
    campaign = Campaign.load(folder)
    workers, executor = campaign._workers(Cast.of(campaign.spec, campaign.base)), LocalExecutor(1)
    problem, records = campaign._problem(), list(Ledger.open(folder).rounds())
    found = []
    for upto in rounds:
        for name in variants:
            state = State(campaign.spec)
            for record in records[:upto]:
                state.add(record)
            before = len(state.candidates)
            strategy, steps = VARIANTS[name]
            began = time.process_time()
            decision = decide(strategy, replace(problem, steps=steps), state.history(), upto)
            seconds = time.process_time() - began
            state.add(one_round(state, decision, workers, executor, Nothing(), Clock()))
            new = state.candidates[before:]
            row = {
                "rounds": upto,
                "variant": name,
                "valid": state.progress[-1]["valid"],
                "accepted": len(new),
                "in_domain": sum(candidate.in_domain for candidate in new),
                "passing": sum(map(state.passes, new)),
                "expected": round(sum(candidate.probability for candidate in new if candidate.in_domain), 3),
                "decision_cpu_s": round(seconds, 2),
            }
            print(json.dumps(row), flush=True)
            found.append(row)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rounds", type=int, nargs="+")
    parser.add_argument("--variants", default=",".join(VARIANTS))
    given = parser.parse_args()
    measure(given.folder, given.rounds, given.variants.split(","))
