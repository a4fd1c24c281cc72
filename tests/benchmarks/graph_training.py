"""What teaches one network of polyScreen, and what steps it: `python tests/benchmarks/graph_training.py DATA [PASSES]`.

One fold of the training part is left out; mean errors there, in degC, of the first head: of the measured Tg, for all and for
polyimides, and from what the Gaussian process says that taught the network.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from surrogates import train_polyscreen
from surrogates.graph_convolution import PolyScreenNetwork
from surrogates.graph_training import NOBODY, fit
from surrogates.observations import HYPOTHETICAL
from surrogates.polyscreen import forward
from surrogates.tanimoto import BATCH
from surrogates.train_polyscreen import ALL, DENSE, WIDTH, read_table, read_unmeasured, standard, taught
from surrogates.train_tanimoto import fit as process

FOLD = 0
FEWER = {source: most for source, most in train_polyscreen.UNMEASURED.items() if source != HYPOTHETICAL}
WAYS = (
    ("known and enumerated units taught, AdamW", FEWER, 0.0),
    ("units made of fragments as well, AdamW", train_polyscreen.UNMEASURED, 0.0),
    ("the same, Muon at .01", train_polyscreen.UNMEASURED, 1e-2),
    ("the same, Muon at .004", train_polyscreen.UNMEASURED, 4e-3),
    ("the same, Muon at .001", train_polyscreen.UNMEASURED, 1e-3),
)


def main() -> None:
    torch.set_num_threads(1)
    data, passes = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8
    table = read_table(data)
    rows = np.flatnonzero(~table.held_out & ~table.calibration)
    mean, scale = standard(table, rows)
    train, left = rows[table.fold[rows] != FOLD], rows[table.fold[rows] == FOLD]
    imide = table.polyimide[left]
    teacher, _ = process(table.environments[train], table.tg[train], "tg_c")
    asked = table.environments[left]
    told = np.concatenate([teacher.mean(asked[start : start + BATCH]) for start in range(0, len(asked), BATCH)])
    print(f"{len(left)} left out, {imide.sum()} polyimides, {passes} passes; the teacher: {_errors(told, table.tg[left], imide)}")
    drawn: dict[str, int] = {}
    for name, most, muon in WAYS:
        if most != drawn:
            drawn = train_polyscreen.UNMEASURED = most
            everyone = taught(table, train, read_unmeasured(data, table))
        targets, more = (everyone.tg - mean) / scale, np.arange(len(table.units), len(everyone.units))
        torch.manual_seed(FOLD)
        begun = time.process_time()
        network = PolyScreenNetwork(width=WIDTH, dense=DENSE, dropout=0.1)
        network = fit(network, everyone.graphs, targets, train, NOBODY, replace(ALL, epochs=passes, muon=muon), FOLD, None, more)
        spent = time.process_time() - begun
        said = mean + scale * forward(network, table.canonical_graphs(left))
        print(
            f"{name}: {_errors(said, table.tg[left], imide)}; from the teacher {_errors(said, told, imide)}; {spent:.0f} s",
            flush=True,
        )


def _errors(said: np.ndarray, true: np.ndarray, imide: np.ndarray) -> str:
    missed = np.abs(said - true)
    return f"{missed.mean():.1f}, polyimides {missed[imide].mean():.1f}"


if __name__ == "__main__":
    main()
