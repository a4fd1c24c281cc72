"""How often 80 % intervals hold the truth where there is enough of it to tell: `python tests/benchmarks/coverage.py DATA`.

A third of the held-out glass transitions is 126 polymers, whose coverage is off by 3.6 % by chance. Here error bars are made, as
in training, of what a model says of half of the polymers that it did not see, and asked of the other half; both ways round, so
that every training polymer is judged once. The Gaussian processes leave out one polymer at a time; of polyScreen's members, each
polymer is told by the one that did not see it. A measured value that is left out has told which of its neighbours are outliers;
what that hides is not told here, and made up for in training by one factor from the calibration part.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import surrogates
from surrogates.calibration import Z80, Calibration
from surrogates.evaluation import Floats
from surrogates.neighbours import fingerprints
from surrogates.observations import TRAIN, read_observations
from surrogates.polyscreen import OTHERS, POLYIMIDES, networks
from surrogates.train_polyscreen import left_out, read_table
from surrogates.train_tanimoto import environments, fit_all

WEIGHTS = Path(surrogates.__file__).parent / "weights"
ENOUGH = 400
"""Polymers of which a third has a coverage that is off by 3.5 % by chance."""


def tell(model: str, name: str, predicted: Floats, true: Floats, near: Floats, spread: Floats) -> None:
    """Print the coverage in thirds of the predicted range; all (n,), spread: the model's own standard deviations, or ones."""
    half = np.random.default_rng(0).permutation(len(true)) % 2
    mean, std = np.zeros(len(true)), np.zeros(len(true))
    for side in (0, 1):
        learn, ask = np.flatnonzero(half != side), np.flatnonzero(half == side)
        bars = Calibration.fit(predicted[learn], true[learn], near[learn], spread[learn])
        answers = [bars.predict(float(predicted[i]), float(near[i]), float(spread[i])) for i in ask]
        mean[ask], std[ask] = [one.mean for one in answers], [one.std for one in answers]
    covered = np.abs(true - mean) <= Z80 * std
    third = np.digitize(mean, np.quantile(mean, [1 / 3, 2 / 3]))
    parts = " / ".join(f"{covered[third == i].mean():.1%}" for i in range(3))
    print(f"| {model} | {name} | {len(true)} | {covered.mean():.1%} | {parts} |", flush=True)


def main() -> None:
    data = Path(sys.argv[1])
    print("| model | property | n | 80 % coverage | by third |\n|---|---|---|---|---|")
    units, observations = read_observations(data)
    known = sorted(text for text, unit in units.items() if unit.part == TRAIN)
    for name, one in fit_all(units, observations, known, environments([units[text].mol for text in known])):
        if len(one.true) >= ENOUGH:
            predicted, spread, near = one.said
            tell("Tanimoto", name, predicted, one.true, near, spread)
    table, config = read_table(data), json.loads((WEIGHTS / "polyscreen" / "config.json").read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    tensors = load_file(WEIGHTS / "polyscreen" / "model.safetensors")
    rows = np.flatnonzero(~table.held_out & ~table.calibration)
    bits = fingerprints([table.units[row].mol for row in rows])
    for name, mask in ((POLYIMIDES, table.polyimide[rows]), (OTHERS, ~table.polyimide[rows])):
        ensemble = networks(tensors, config, name)
        said = left_out(table, rows[mask], bits[mask], ensemble, config["mean"], config["scale"])
        tell("polyScreen, a member", f"Tg, {name}", *said, np.ones(int(mask.sum())))


if __name__ == "__main__":
    main()
