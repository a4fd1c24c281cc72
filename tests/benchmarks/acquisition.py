"""Strategies against each other on whole campaigns with the bundled models: `python -m tests.benchmarks.acquisition WORK`.

Every campaign, strategy and seed is an ordinary campaign folder in WORK, the same budget of samples for all; what is there already is not
run again, and an interrupted run goes on. Prints one line a campaign and strategy: base rate of the prior (first round), distinct
novel candidates that pass per 1,000 samples (median, quartiles over seeds), samples until 50 are found, CPU seconds a decision.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from campaigns.campaign import Campaign
from inverse_design.protocols import Row
from inverse_design.spec import CampaignSpec

STRATEGIES = ("feasible-yield", "thompson", "elite", "random")
CAMPAIGNS: dict[str, dict[str, Any]] = {
    "stiff": {"targets": [{"property": "Tg", "min": 150}]},
    "very stiff": {"targets": [{"property": "Tg", "min": 250}]},
    "polyimide": {"targets": [{"property": "Tg", "min": 350}], "structure": {"class": "polyimide"}},
    "dielectric": {"targets": [{"property": "bandgap_chain", "min": 5}, {"property": "Tg", "min": 150}]},
    "window": {"targets": [{"property": "Tg", "range": [60, 180]}, {"property": "bandgap_chain", "range": [5.2, 6.4]}]},
    "two objectives": {
        "targets": [{"property": "Tg", "min": 150, "maximize": True}, {"property": "bandgap_chain", "min": 4.5, "maximize": True}]
    },
}
ENOUGH = 50


def run(name: str, strategy: str, seed: int, work: Path, rounds: int, samples: int) -> Row:
    """Run one campaign to the end of its budget, or read it where it has been run."""
    spec = CampaignSpec.model_validate(
        CAMPAIGNS[name]
        | {
            "schema": 1,
            "name": name.replace(" ", "-"),
            "seed": seed,
            "acquisition": {"strategy": strategy, "samples_per_round": samples},
            "want": {"candidates": 100_000, "clusters": 1},
            "budget": {"rounds": rounds, "samples": None},
        }
    )
    folder = work / f"{spec.name}-{strategy}-{seed}"
    campaign = Campaign(spec=spec, source="schema: 1\n", folder=folder, base=work)
    start = campaign.resume if (folder / "manifest.json").exists() else campaign.run
    state = start(workers=1, executor="local").state
    found = np.cumsum([row["passing"] for row in state.progress]).tolist()
    drawn = np.cumsum([row["samples"] for row in state.progress]).tolist()
    return {
        "campaign": name,
        "strategy": strategy,
        "seed": seed,
        "samples": state.samples,
        "prior": state.progress[0]["passing"] / state.progress[0]["samples"],
        "found": found[-1],
        "per_1000": 1000 * found[-1] / state.samples,
        "until_enough": next((n for n, f in zip(drawn, found, strict=True) if f >= ENOUGH), None),
    }


def told(rows: list[Row]) -> str:
    """Return medians and quartiles as a table."""
    lines = [f"{'campaign':16} {'strategy':16} {'seeds':>5} {'samples':>8} {'prior':>7} {'per 1,000':>22} {'until 50':>10}"]
    for name in CAMPAIGNS:
        for strategy in STRATEGIES:
            own = [row for row in rows if (row["campaign"], row["strategy"]) == (name, strategy)]
            if own:
                low, middle, high = np.quantile([row["per_1000"] for row in own], [0.25, 0.5, 0.75])
                prior = statistics.mean(row["prior"] for row in own)
                until = [row["until_enough"] for row in own]
                reached = (
                    f"{statistics.median(until):.0f}" if None not in until else f"{sum(n is not None for n in until)}/{len(own)}"
                )
                each = f"{middle:.1f} ({low:.1f} to {high:.1f})"
                lines.append(f"{name:16} {strategy:16} {len(own):5} {own[0]['samples']:8} {prior:7.2%} {each:>22} {reached:>10}")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--campaigns", default=",".join(CAMPAIGNS))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--samples", type=int, default=192, help="a round")
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    results = []
    for seed in range(given.seeds):
        for name in given.campaigns.split(","):
            for strategy in given.strategies.split(","):
                results.append(run(name, strategy, seed, given.work, given.rounds, given.samples))
                print(json.dumps(results[-1]), flush=True)
                if given.out:
                    given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(told(results))
