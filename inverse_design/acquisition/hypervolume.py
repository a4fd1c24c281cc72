"""Two or three objectives at once: what a prompt is expected to add to the volume that the best candidates dominate.

`qLogNoisyExpectedHypervolumeImprovement` of BoTorch (Daulton et al., NeurIPS 2021; Ament et al., NeurIPS 2023) on single prompts. It costs
far more than a scalarisation, so it is asked of a pruned pool and against the best few candidates alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.objective import WeightedMCMultiOutputObjective
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.sampling.normal import SobolQMCNormalSampler

from inverse_design.acquisition.features import Array
from inverse_design.acquisition.surrogate import PropertyModel

# BoTorch would compile C++ at its first use, where there is a compiler: a campaign killed meanwhile leaves a lock that every later
# one on that account waits for without end, and what rounds otherwise may choose otherwise.
logei._load_attempted = True

DRAWS = 64
BASELINE = 24
"""Candidates whose volume is to be bettered, at most: those of the first Pareto fronts."""


@torch.no_grad()
def log_gain(model: PropertyModel, x: Array, best: Array, worst: Mapping[str, tuple[float, float]], seed: int) -> Array:
    """Return the log of the expected gain in dominated volume of each row of x (n, d) over the candidates `best` (m, d).

    worst: property -> sign (1 to maximise, -1 to minimise) and the value that counts for nothing, in the property's own unit.
    """
    signs = torch.tensor([sign for sign, _ in worst.values()], dtype=torch.float64)
    reference = [sign * value for sign, value in worst.values()]
    # Pruning draws from the global stream, which has no seed of its own.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jitter on a covariance of near-equal prompts
        torch.manual_seed(seed)
        gain = logei.qLogNoisyExpectedHypervolumeImprovement(
            ModelListGP(*(model.models[name] for name in worst)),
            reference,
            torch.from_numpy(np.ascontiguousarray(best)),
            sampler=SobolQMCNormalSampler(torch.Size([DRAWS]), seed=seed % 2**31),
            objective=WeightedMCMultiOutputObjective(signs),
            prune_baseline=True,
        )
        return np.asarray(gain(torch.from_numpy(np.ascontiguousarray(x))[:, None, :]).numpy(), dtype=np.float64)
