"""What each step of the acquisition is worth on whole campaigns: `python -m tests.benchmarks.steps WORK`.

Every variant runs the campaigns of `tests.benchmarks.acquisition` with one switch of `Steps` turned over, on the same seeds and the same
budget as the strategy it belongs to, and all share the first answers of the models. A run is a line of WORK/steps.jsonl, and one that is there is not run
again. Prints how many candidates pass with the switch as shipped and turned over, and in how many pairs which is ahead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import torch

from inverse_design.acquisition.strategies import Steps
from inverse_design.protocols import Row
from tests.benchmarks.acquisition import loose, run
from tests.benchmarks.remembered import Remembering

CAMPAIGNS: Final = ("membrane", "dielectric", "two objectives", "window")
SHIPPED: Final = "as shipped"
VARIANTS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "thompson": {
        SHIPPED: {},
        "nothing known at the start": {"known": False},
        "no evidence of neighbours": {"evidence": False},
        "hyper-parameters anew": {"refit": True},
        "requested descriptors": {"realised": False},
        "channel": {"channel": True},
        "no domain": {"domain": False},
        "no yields": {"yields": False},
        "pool screened": {"screen": True},
    },
    "feasible-yield": {
        SHIPPED: {},
        "no repulsion": {"repulsion": False},
        "no Thompson half": {"thompson": 0.0},
        "half moves": {"moves": 0.5},
    },
}


def told(rows: list[Row]) -> str:
    """Return sums over pairs, and in how many of them which is ahead, as a table in Markdown."""
    lines = [
        "| strategy | turned over | pairs | as shipped | turned over | as shipped ahead | behind |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {(row["strategy"], row["variant"], row["campaign"], row["seed"]): row["found"] for row in rows}
    for strategy, variants in VARIANTS.items():
        for variant in variants:
            pairs = [
                (found[strategy, SHIPPED, *place], count)
                for (*which, name, seed), count in found.items()
                if which == [strategy, variant] and (strategy, SHIPPED, *(place := (name, seed))) in found
            ]
            if pairs and variant != SHIPPED:
                before, after = (sum(column) for column in zip(*pairs, strict=True))
                ahead, behind = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
                lines.append(f"| {strategy} | {variant} | {len(pairs)} | {before} | {after} | {ahead} | {behind} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--campaigns", default=",".join(CAMPAIGNS))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--samples", type=int, default=64, help="a round")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    file, memory, generator = given.work / "steps.jsonl", Remembering(given.work / "answers.sqlite"), loose(given.work)
    results = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    done = {(row["campaign"], row["strategy"], row["variant"], row["seed"]) for row in results}
    for seed in range(given.seeds):
        for name in given.campaigns.split(","):
            for strategy, variants in VARIANTS.items():
                for variant, switched in variants.items():
                    if (name, strategy, variant, seed) not in done:
                        row = run(name, strategy, seed, given.rounds, given.samples, generator, memory, Steps(**switched))
                        results.append({"variant": variant} | row)
                        with file.open("a", encoding="utf-8") as lines:
                            lines.write(json.dumps(results[-1]) + "\n")
    print(told(results))
