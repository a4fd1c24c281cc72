"""Train a graph convolution network on standardised values, beside values that a teacher gives to unmeasured molecules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from inverse_design.muon import Muon
from surrogates.graph import Graph, batch
from surrogates.graph_convolution import PolyScreenNetwork
from surrogates.polyscreen import forward

OUTLIER: Final = 0.3
"""In standard deviations of the values; beyond it the error of a measured value counts linearly."""

Say = Callable[[str], None]
Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
NOBODY: Final[Rows] = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Passes over the data, highest learning rates of AdamW and of Muon, molecules a step, and unmeasured units a pass shows for each
    measured one. Without a rate for Muon, AdamW steps the matrices too."""

    epochs: int
    rate: float
    batch: int
    muon: float = 0.0
    taught: float = 0.0


def fit(
    network: PolyScreenNetwork,
    graphs: Sequence[tuple[Graph, Graph]],
    targets: Floats,
    train: Rows,
    validation: Rows,
    schedule: Schedule,
    seed: int,
    say: Say | None = None,
    unmeasured: Rows = NOBODY,
    outlier: Floats | float = OUTLIER,
) -> PolyScreenNetwork:
    """Train on standardised targets, (n,) or (n, outputs), of the rows `train` of graphs (n) and return the averaged weights of the
    best validation error.

    Each pass shows a unit in its canonical frame or as it was found, by chance, and some of `unmeasured`, drawn anew. An empty
    `validation` takes the last. outlier: the error from which on it counts linearly, of each output, (outputs,), or of all.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    matrices = [matrix for matrix in network.matrices if matrix.requires_grad and schedule.muon]
    others = [parameter for parameter in parameters if all(parameter is not matrix for matrix in matrices)]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(others, lr=schedule.rate, weight_decay=1e-4)]
    if matrices:
        optimizers.append(Muon([{"params": matrices}], lr=schedule.muon))
    beside = min(len(unmeasured), round(schedule.taught * len(train)))
    steps = schedule.epochs * -(-(len(train) + beside) // schedule.batch)
    rates = [  # beside Muon, whose momentum is constant, that of AdamW is too
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, optimizer.defaults["lr"], total_steps=steps, pct_start=0.1, cycle_momentum=not matrices
        )
        for optimizer in optimizers
    ]
    average, best, lowest, step = copy.deepcopy(network), copy.deepcopy(network), float("inf"), 0
    wanted, bound = torch.from_numpy(targets.astype(np.float32)), torch.tensor(outlier, dtype=torch.float32)
    for epoch in range(1, schedule.epochs + 1):
        network.train()
        shuffled = rng.permutation(np.concatenate([train, rng.choice(unmeasured, beside, replace=False)]))
        for start in range(0, len(shuffled), schedule.batch):
            rows = shuffled[start : start + schedule.batch]
            frames = rng.integers(2, size=len(rows))
            output = network(batch([graphs[row][frame] for row, frame in zip(rows, frames, strict=True)]))
            missed = (output - wanted[rows]).abs()
            within = torch.minimum(missed, bound)
            loss = (within * (missed - within / 2)).mean()  # the Huber loss
            network.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for optimizer, rate in zip(optimizers, rates, strict=True):
                optimizer.step()
                rate.step()
            step += 1
            decay = min(0.99, step / (step + 10))
            with torch.no_grad():
                for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
                    slow.lerp_(fast, 1 - decay)
        if not len(validation):
            best = average
        elif epoch % 3 == 0 or epoch == schedule.epochs:
            error = float(np.abs(forward(average, [graphs[row][0] for row in validation]) - targets[validation]).mean())
            if say is not None:
                say(f"epoch {epoch}: mean error on the fold left out {error:.4f}")
            if error < lowest:
                lowest, best = error, copy.deepcopy(average)
    return best


def freeze(network: PolyScreenNetwork) -> None:
    """Leave only the head to train: as good on polyimides as training it all, and half the weights to ship."""
    network.first.requires_grad_(False)
    network.second.requires_grad_(False)
