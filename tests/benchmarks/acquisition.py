"""Strategies against each other on whole campaigns with the bundled models: `python -m tests.benchmarks.acquisition WORK`.

Every campaign, strategy and seed has the same budget of samples. One process runs them all, and asks no model the same twice (`remembered`);
a run is a line of WORK/runs.jsonl, and one that is there is not run again. `graph-ga` starts from the same first round and breeds
the best candidates so far, with the same surrogates and filters. Tg is judged by polyScreen and the Tanimoto process, everything else
by the latter alone: PolyNC costs ten times as much as both. The bundled generator draws until a draft is a repeat unit; with `--shipped` it
goes on until one keeps to its prompt, too, as it does in a campaign: three to four times as dear. Prints medians and quartiles over seeds of
the distinct novel candidates that pass per 1,000 samples, and the samples until 50 are found; `--plot FILE.svg` draws them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from campaigns.campaign import Campaign
from campaigns.models import Cast, find_any
from inverse_design.acquisition.strategies import Problem, Steps, decide
from inverse_design.loop import Clock, Workers, one_round
from inverse_design.protocols import Executor, Row, WorkerSpec
from inverse_design.ranking import ranked
from inverse_design.spec import CampaignSpec
from inverse_design.state import Candidate, State
from inverse_design.synthesis.plan import synthesis_of
from tests.benchmarks.remembered import Nothing, Remembering

PLUGIN = Path(__file__).parents[2] / "campaigns" / "examples" / "plugins" / "graph_ga"
GRAPH_GA = "graph-ga"
STRATEGIES = ("feasible-yield", "thompson", "elite", "random", GRAPH_GA)
CAMPAIGNS: dict[str, list[dict[str, Any]]] = {
    "stiff": [{"property": "Tg", "min": 260}],
    "insulator": [{"property": "bandgap_chain", "min": 6}],
    "two objectives": [
        {"property": "Tg", "min": 200, "maximize": True},
        {"property": "thermal_conductivity", "min": 0.35, "maximize": True},
    ],
    "membrane": [{"property": "permeability_O2", "min": 1}, {"property": "Tg", "min": 150}],
    "window": [{"property": "Tg", "range": [80, 160]}, {"property": "bandgap_chain", "range": [3.5, 4.5]}],
    "dielectric": [{"property": "bandgap_chain", "min": 5}, {"property": "Tg", "min": 100}],
}
ASKED = ("Tg", "bandgap_chain", "density", "permeability_O2", "thermal_conductivity")
"""What the Tanimoto process is asked in every campaign, so that campaigns share its answers."""
ENOUGH = 50
POPULATION = 48
JUDGED = 40
"""Candidates of a run whose make-ability is looked at: the best."""


@dataclass(slots=True)
class Breeding:
    """An executor whose generator breeds `parents`, once there are any."""

    executor: Executor
    generator: WorkerSpec
    parents: list[str] = field(default_factory=list)

    def run(self, worker: WorkerSpec, shards: Mapping[int, list[Row]]) -> Iterator[tuple[int, list[Row]]]:
        if worker != self.generator or not self.parents:
            yield from self.executor.run(worker, shards)
            return
        sys.path[:0] = [] if str(PLUGIN) in sys.path else [str(PLUGIN)]
        from graph_ga import child

        for index, rows in shards.items():
            yield index, [{"text": child(self.parents, row["seed"])} for row in rows]

    def close(self) -> None:
        pass


def loose(work: Path) -> str:
    """Return a copy of the bundled generator that takes any repeat unit, whether or not it keeps to its prompt."""
    bundled, folder = find_any("bundled:polytao", Path()).folder, work / "polytao"
    shutil.copytree(bundled, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("tolerances", None)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder.resolve())


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A campaign that is ready to run, with its answers shared between campaigns."""

    state: State
    problem: Problem
    workers: Workers
    models: dict[str, str]

    @classmethod
    def of(cls, name: str, strategy: str, seed: int, samples: int, generator: str) -> Setting:
        spec = CampaignSpec.model_validate(
            {
                "schema": 1,
                "name": "benchmark",
                "seed": seed,
                "targets": CAMPAIGNS[name],
                "generator": {"model": generator},
                "surrogates": ["bundled:polyscreen", "bundled:tanimoto"],
                "acquisition": {"strategy": strategy, "samples_per_round": samples},
            }
        )
        campaign = Campaign(spec=spec, source="", folder=Path("unused"), base=Path())
        cast = Cast.of(spec, campaign.base)
        workers = campaign._workers(cast)
        tanimoto = workers.surrogates["tanimoto"]
        more = {"tanimoto": replace(tanimoto, arguments={**tanimoto.arguments, "properties": list(ASKED)})}
        return cls(
            state=State(spec),
            problem=campaign._problem(),
            workers=replace(workers, surrogates={**workers.surrogates, **more}),
            models={Path(model).name: digest[:12] for model, digest in cast.digests().items()},
        )


def run(
    name: str, strategy: str, seed: int, rounds: int, samples: int, generator: str, executor: Executor, steps: Steps | None = None
) -> Row:
    """Run one campaign to the end of its budget."""
    own = "random" if strategy == GRAPH_GA else strategy
    setting = Setting.of(name, own, seed, samples, generator)
    state, workers = setting.state, setting.workers
    problem = replace(setting.problem, steps=steps or Steps())
    breeding = Breeding(executor, workers.generator)
    began, deciding = time.process_time(), 0.0
    for index in range(rounds):
        start = time.process_time()
        decision = decide(own, problem, state.history(), index)
        deciding += time.process_time() - start
        if strategy == GRAPH_GA:
            breeding.parents = [candidate.psmiles for candidate in best(state)[:POPULATION]]
        state.add(one_round(state, decision, workers, breeding, Nothing(), Clock()))
    found = np.cumsum([row["passing"] for row in state.progress]).tolist()
    drawn = np.cumsum([row["samples"] for row in state.progress]).tolist()
    top = [candidate for candidate in ranked(state) if state.passes(candidate)][:JUDGED]
    return {
        "campaign": name,
        "strategy": strategy,
        "seed": seed,
        "samples": state.samples,
        "accepted": sum(row["accepted"] for row in state.progress),
        "found": found[-1],
        "rounds": [row["passing"] for row in state.progress],
        "per_1000": 1000 * found[-1] / state.samples,
        "until_enough": next((n for n, f in zip(drawn, found, strict=True) if f >= ENOUGH), None),
        "with_route": sum(synthesis_of(candidate.canonical) is not None for candidate in top) / len(top) if top else None,
        "sa_score": statistics.mean(candidate.sa_score for candidate in top) if top else None,
        "decision_cpu_s": round(deciding / rounds, 2),
        "cpu_s": round(time.process_time() - began, 1),
        "models": setting.models,
    }


def best(state: State) -> list[Candidate]:
    """Return the candidates by their chance of passing, those out of domain last."""
    return sorted(state.candidates, key=lambda one: (not one.in_domain, -one.log_feasibility, one.canonical))


def told(rows: list[Row]) -> str:
    """Return medians and quartiles as a table in Markdown."""
    lines = [
        "| campaign | strategy | seeds | per 1,000 samples: median (quartiles) | samples until 50 | with a route | SA score |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, strategy, own in grouped(rows):
        low, middle, high = np.quantile([row["per_1000"] for row in own], [0.25, 0.5, 0.75])
        until = [row["until_enough"] for row in own]
        reached = f"{statistics.median(until):.0f}" if None not in until else f"{sum(n is not None for n in until)} of {len(own)}"
        made = [f"{statistics.mean(values):{how}}" if (values := [row[key] for row in own if row[key] is not None]) else "-"
                for key, how in (("with_route", ".0%"), ("sa_score", ".2f"))]  # fmt: skip
        lines.append(
            f"| {name} | {strategy} | {len(own)} | {middle:.0f} ({low:.0f} to {high:.0f}) | {reached} | {made[0]} | {made[1]} |"
        )
    return "\n".join(lines)


def grouped(rows: list[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """Yield campaign, strategy and their runs, in the order of the tables above."""
    for name in CAMPAIGNS:
        for strategy in STRATEGIES:
            if own := [row for row in rows if (row["campaign"], row["strategy"]) == (name, strategy)]:
                yield name, strategy, own


def draw(rows: list[Row], path: Path) -> None:
    """Draw candidates found against samples, medians over seeds with the quartiles shaded, a panel a campaign."""
    from matplotlib.figure import Figure

    names = [name for name in CAMPAIGNS if any(row["campaign"] == name for row in rows)]
    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = dict(zip(names, figure.subplots(2, 3, squeeze=False).ravel(), strict=False))
    for name, strategy, own in grouped(rows):
        found = np.cumsum([[0, *row["rounds"]] for row in own], axis=1)
        low, middle, high = np.quantile(found, [0.25, 0.5, 0.75], axis=0)
        drawn = np.linspace(0, own[0]["samples"], found.shape[1])
        (line,) = axes[name].plot(drawn, middle, label=strategy)
        axes[name].fill_between(drawn, low, high, alpha=0.2, color=line.get_color(), lw=0)
        axes[name].set_title(name, fontsize=9)
        axes[name].set_xlabel("samples", fontsize=8)
    axes[names[0]].set_ylabel("novel candidates that pass", fontsize=8)
    axes[names[0]].legend(fontsize=7)
    figure.savefig(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--campaigns", default=",".join(CAMPAIGNS))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--samples", type=int, default=64, help="a round")
    parser.add_argument("--shipped", action="store_true", help="the generator just as it is in a campaign")
    parser.add_argument("--plot", type=Path, help="SVG file to draw")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    file, memory = given.work / "runs.jsonl", Remembering(given.work / "answers.sqlite")
    generator = "bundled:polytao" if given.shipped else loose(given.work)
    results = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    done = {(row["campaign"], row["strategy"], row["seed"]) for row in results}
    for seed in range(given.seeds):
        for name in given.campaigns.split(","):
            for strategy in given.strategies.split(","):
                if (name, strategy, seed) not in done:
                    results.append(run(name, strategy, seed, given.rounds, given.samples, generator, memory))
                    with file.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(results[-1]) + "\n")
    print(told(results))
    if given.plot:
        draw(results, given.plot)
