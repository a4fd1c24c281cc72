"""One decision of the acquisition: `python -m tests.benchmarks.decision` prints CPU seconds by part and peak memory.

500 rows to learn from, 3 properties and the domain, a pool of 2,000; after 1,000, 10,000 and 100,000 samples, on one thread. The
first decision of a process fits the properties to known polymers, too.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import resource
import sys
import time
from unittest.mock import patch

import numpy as np
import torch

from inverse_design import reference
from inverse_design.acquisition import utility
from inverse_design.acquisition.features import Scale
from inverse_design.acquisition.history import History
from inverse_design.acquisition.known import known
from inverse_design.acquisition.pool import Bounds, Realism
from inverse_design.acquisition.strategies import Problem, decide
from inverse_design.protocols import Row
from inverse_design.spec import Target
from inverse_design.target import log_interval

SPECS = {"Tg": (150.0, 60.0), "bandgap_chain": (5.0, 1.0), "density": (1.2, 0.1)}
PARTS = ("learn", "build", "of", "thompson", "repelled")


def past(samples: int, prior: np.ndarray) -> History:
    rng = np.random.default_rng(0)
    asked = prior[np.repeat(rng.integers(len(prior), size=samples // 4 + 1), 4)[:samples]]
    accepted, inside = rng.random(samples) < 0.5, rng.random(samples) < 0.6
    mean, each = {}, {}
    for column, (name, (middle, width)) in enumerate(SPECS.items()):
        values = middle + width * (np.sin(asked[:, 1 + column] / 5) + 0.3 * rng.standard_normal(samples))
        mean[name] = np.where(accepted, values, np.nan)
        each[name] = np.where(accepted, log_interval(values, np.full(samples, width / 3), middle, np.inf), -np.inf)
    return History(
        requested=asked,
        realised=np.where(rng.random(samples)[:, None] < 0.75, asked + rng.integers(0, 2, asked.shape), -1),
        round=np.arange(samples) // 384,
        accepted=accepted,
        in_domain=accepted & inside,
        mean=mean,
        std={name: np.where(accepted, width / 3, np.nan) for name, (_, width) in SPECS.items()},
        domain=dict.fromkeys(SPECS, accepted & inside),
        each=each,
        log_feasibility=np.sum(list(each.values()), axis=0),
    )


def measure(samples: int) -> Row:
    prior = reference.prior()
    scale = Scale(prior)
    targets = [Target(property=name, min=middle) for name, (middle, _) in SPECS.items()]
    problem = Problem(
        targets=targets,
        prior=prior,
        bounds=Bounds(limits={}),
        confidence=0.6,
        pool=2000,
        prompts=96,
        seed=0,
        scale=scale,
        realism=Realism(prior, scale),
        known=known(targets, prior, reference.answers()),
    )
    history = past(samples, prior)
    seconds = []
    with patch.object(utility, "MAX_ROWS", 500):
        for profile in (cProfile.Profile(), cProfile.Profile()):
            began = time.process_time()
            with profile:
                decide("feasible-yield", problem, history, samples // 384)
            seconds.append(round(time.process_time() - began, 2))
    parts: dict[str, float] = {}
    for (file, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if name in PARTS and "acquisition" in file:
            parts[name] = max(parts.get(name, 0.0), round(cumulative, 2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"samples": samples, "first_cpu_s": seconds[0], "cpu_s": seconds[1], "wall_s_by_part": parts, "peak_mib": peak}


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure(2_000)  # first use of the libraries
    json.dump([measure(samples) for samples in (1_000, 10_000, 100_000)], sys.stdout, indent=1)
    print()
