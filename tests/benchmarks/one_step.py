"""What each step of a decision is worth: `python -m tests.benchmarks.one_step WORK --seeds 2` prints a line a campaign, seed and variant.

Two rounds of a campaign are decided by the default, and the third by each variant: the same history, the same number of samples, seeds
that differ only where prompts do. Prints new candidates that count and the sum of the chances of all in domain, which is less noisy.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inverse_design.acquisition.strategies import Steps, decide
from inverse_design.loop import Clock, one_round
from inverse_design.protocols import Executor, Row
from inverse_design.state import State
from tests.benchmarks.acquisition import Setting, loose
from tests.benchmarks.remembered import Nothing, Remembering

CAMPAIGNS = ("membrane", "dielectric", "two objectives", "window")
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "nothing known": {"known": False},
    "no evidence": {"evidence": False},
    "hyper-parameters anew": {"refit": True},
    "requested": {"realised": False},
    "channel": {"channel": True},
    "no domain": {"domain": False},
    "no yields": {"yields": False},
    "screen": {"screen": True},
    "no repulsion": {"repulsion": False},
    "moves": {"moves": 0.5},
    "no thompson": {"thompson": 0.0},
}


def measure(name: str, seed: int, variants: list[str], samples: int, generator: str, executor: Executor) -> list[Row]:
    setting = Setting.of(name, "feasible-yield", seed, samples, generator)
    state, problem, workers = setting.state, setting.problem, setting.workers
    records = []
    for index in range(2):
        records.append(
            one_round(state, decide("feasible-yield", problem, state.history(), index), workers, executor, Nothing(), Clock())
        )
        state.add(records[-1])
    found = []
    for variant in [*variants, "elite"]:
        state = State(setting.state.spec)
        for record in records:
            state.add(record)
        before, began = len(state.candidates), time.process_time()
        changed = replace(problem, steps=Steps(**VARIANTS.get(variant, {})))
        decision = decide("elite" if variant == "elite" else "feasible-yield", changed, state.history(), 2)
        seconds = time.process_time() - began
        state.add(one_round(state, decision, workers, executor, Nothing(), Clock()))
        new = state.candidates[before:]
        row = {
            "campaign": name,
            "seed": seed,
            "variant": variant,
            "accepted": len(new),
            "in_domain": sum(candidate.in_domain for candidate in new),
            "passing": sum(map(state.passes, new)),
            "expected": round(sum(candidate.probability for candidate in new if candidate.in_domain), 2),
            "decision_cpu_s": round(seconds, 2),
        }
        print(json.dumps(row), flush=True)
        found.append(row)
    return found


def told(rows: list[Row]) -> str:
    """Return sums over pairs, and in how many of them the default was ahead, as a table in Markdown."""
    lines = ["| variant | pairs | passing, default | passing | default better | worse |", "|---|---|---|---|---|---|"]
    default = {(row["campaign"], row["seed"]): row["passing"] for row in rows if row["variant"] == "default"}
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = {(row["campaign"], row["seed"]): row["passing"] for row in rows if row["variant"] == variant}
        ahead, behind = (sum(sign * (default[pair] - own[pair]) > 0 for pair in own) for sign in (1, -1))
        sums = sum(default[pair] for pair in own), sum(own.values())
        lines.append(f"| {variant} | {len(own)} | {sums[0]} | {sums[1]} | {ahead} | {behind} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--campaigns", default=",".join(CAMPAIGNS))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=64, help="a round")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    memory, generator = Remembering(given.work / "answers.sqlite"), loose(given.work)
    results = [
        row
        for seed in range(given.seeds)
        for name in given.campaigns.split(",")
        for row in measure(name, seed, given.variants.split(","), given.samples, generator, memory)
    ]
    print(told(results))
