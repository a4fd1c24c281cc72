"""Judge stored predictions anew: `python -m tests.benchmarks.fold` prints seconds for 10^3, 10^4 and 10^5 candidates.

What an amendment costs beside reading the ledger: every sample folded into a state, and all candidates ranked; two targets,
two surrogates, four samples in ten refused.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from inverse_design.protocols import Row
from inverse_design.ranking import ranked
from inverse_design.spec import CampaignSpec
from inverse_design.state import Round, State

SAMPLES = 384
SIZES = (1_000, 10_000, 100_000)


def a_round(index: int, rng: np.random.Generator) -> Round:
    rows: list[Row] = []
    for number in range(SAMPLES):
        row: Row = {"sample": number, "prompt": ",".join(map(str, rng.integers(0, 9, 15))), "seed": 1, "text": "*CC*"}
        if rng.random() < 0.4:
            empty = ("psmiles", "canonical", "descriptors", "polymer_class", "sa_score", "similarity", "nearest", "predictions")
            rows.append(row | dict.fromkeys(empty) | {"status": "invalid:unparsable"})
            continue
        predictions = [
            {"surrogate": model, "property": name, "mean": float(rng.normal(middle, width)), "std": width / 4, "in_domain": True}
            for name, middle, width in (("Tg", 150.0, 80.0), ("bandgap_chain", 5.0, 1.0))
            for model in (("polync", "polyscreen") if name == "Tg" else ("polync",))
        ]
        known = {"psmiles": "*CC*", "canonical": f"{index} {number}", "polymer_class": "polyolefin", "sa_score": 3.0}
        rows.append(
            row
            | known
            | {"similarity": 0.5, "nearest": "", "descriptors": [1] * 15, "status": "accepted", "predictions": predictions}
        )
    return Round(index=index, facts={}, samples=rows)


def measure(candidates: int) -> Row:
    targets = [{"property": "Tg", "min": 200}, {"property": "bandgap_chain", "min": 5, "maximize": True}]
    spec = CampaignSpec.model_validate({"schema": 1, "name": "fold", "targets": targets})
    rng = np.random.default_rng(0)
    rounds = [a_round(index, rng) for index in range(-(-candidates // round(0.6 * SAMPLES)))]
    began = time.process_time()
    state = State(spec)
    for record in rounds:
        state.add(record)
    folded = time.process_time()
    ranked(state)
    done = time.process_time()
    return {
        "candidates": len(state.candidates),
        "samples": state.samples,
        "fold_cpu_s": round(folded - began, 3),
        "rank_cpu_s": round(done - folded, 3),
    }


if __name__ == "__main__":
    rows = [measure(size) for size in SIZES]
    json.dump(rows, sys.stdout, indent=1)
    print()
