"""Record the campaigns that `test_replay.py` replays, after a change of decisions that is wanted: `python -m tests.golden.record`."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path

from campaigns.results import Results
from inverse_design.protocols import Row
from inverse_design.spec import CampaignSpec
from tests.campaigns.test_loop import drive, spec

FOLDER = Path(__file__).parent
SMALL = {"samples_per_round": 48, "samples_per_prompt": 4, "pool": 100}
SPECS: dict[str, CampaignSpec] = {
    "met": spec(name="met", acquisition=SMALL, want={"candidates": 60, "clusters": 2}),
    "maximize": spec(
        name="maximize",
        targets=[{"property": "Tg", "min": 150, "maximize": True}],
        acquisition=SMALL | {"strategy": "elite"},
        want={"candidates": 20, "clusters": 2},
        budget={"rounds": 4},
    ),
    "infeasible": spec(
        name="infeasible",
        targets=[{"property": "Tg", "min": 550}],
        acquisition=SMALL | {"strategy": "thompson"},
        budget={"rounds": 8, "samples": 300},
    ),
}
COLUMNS = (
    "rank",
    "id",
    "psmiles",
    "polymer_class",
    "tg_degc",
    "tg_degc_std",
    "probability",
    "feasible",
    "similarity",
    "prompt",
    "round",
)


def document(results: Results) -> Row:
    """What must stay: the verdict and the ranked list."""
    end = results.verdict()
    assert end is not None
    rows = [[row[name] for name in COLUMNS] for row in results.rows()]
    return {"reason": end.reason, "sentence": end.sentence, "columns": list(COLUMNS), "rows": rows}


def machine() -> str:
    """What rounds as this machine does: its processor and the libraries of the acquisition."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return ", ".join([*names[:1], *(f"{name} {version(name)}" for name in ("torch", "botorch", "gpytorch", "numpy", "scipy"))])


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> None:
    for name, wanted in SPECS.items():
        folder = FOLDER / "campaigns" / name
        shutil.rmtree(folder, ignore_errors=True)
        results, _ = drive(folder, wanted)
        shutil.rmtree(folder / "partial")
        (folder / "expected.json").write_text(json.dumps({"machine": machine()} | document(results), indent=1) + "\n")


if __name__ == "__main__":
    main()
