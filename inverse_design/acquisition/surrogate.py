"""Gaussian processes from realised descriptors to predicted properties (BoTorch), one per target."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Normalize, Standardize
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.errors import NanError, NotPSDError
from linear_operator.utils.warnings import NumericalWarning

from inverse_design.acquisition.features import Array

MAX_ROWS = 300
ITERATIONS = 40
CHUNK = 500

Process = SingleTaskGP
UnfitError = (ModelFittingError, NotPSDError, NanError)
SPREAD = 4000
"""Rows at most that the space-filling half is chosen from."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: sums in one order, and no fight with workers for the processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_rows(x: Array, violation: Array, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return at most `count` rows to learn from: half the least violating, half space-filling over the rest; shape (m,).

    Rows with equal features are taken once: an exact process cannot tell them apart.
    """
    _, first = np.unique(np.round(x, 9), axis=0, return_index=True)
    rows = np.sort(first)
    if len(rows) <= count:
        return rows
    order = rows[np.argsort(violation[rows], kind="stable")]
    best, rest = order[: count // 2], order[count // 2 :]
    rest = rest[:: -(-len(rest) // SPREAD)]
    gap = ((x[rest][:, None, :] - x[best[:50]][None, :, :]) ** 2).sum(-1).min(1)
    chosen = []
    for _ in range(count - len(best)):
        far = int(np.argmax(gap))
        chosen.append(rest[far])
        gap = np.minimum(gap, ((x[rest] - x[rest[far]]) ** 2).sum(1))
    return np.concatenate([best, np.array(chosen, dtype=np.int64)])


def _conditioned(model: SingleTaskGP, x: Array, values: Array) -> SingleTaskGP:
    """Return a copy of a fitted model that has seen other rows."""
    other: Any = copy.deepcopy(model)
    scaled, _ = other.outcome_transform(torch.from_numpy(values)[:, None])
    other.set_train_data(torch.from_numpy(np.ascontiguousarray(x)), scaled[:, 0], strict=False)
    seen: SingleTaskGP = other.eval()
    return seen


class PropertyModel:
    """One `SingleTaskGP` per property on its own rows of features (n, d) and values (n,), double precision; raises one of `UnfitError` when a fit fails.

    Without `fit` the hyper-parameters stay where BoTorch starts: at the mode of its dimension-scaled prior (Hvarfner et al. 2024).
    A property in `fitted` keeps the hyper-parameters and the scale of that model, on its own rows.
    """

    def __init__(
        self,
        data: Mapping[str, tuple[Array, Array]],
        *,
        fit: bool = True,
        fitted: Mapping[str, SingleTaskGP] = MappingProxyType({}),
    ) -> None:
        self.models: dict[str, SingleTaskGP] = {}
        self._spreads = {name: float(np.std(values)) or 1.0 for name, (_, values) in data.items()}
        for name, (x, values) in data.items():
            if name in fitted:
                self.models[name] = _conditioned(fitted[name], x, values)
                continue
            unit = torch.stack([torch.zeros(x.shape[1]), torch.ones(x.shape[1])]).double()
            with warnings.catch_warnings():
                # Features are scaled by the prior, not by this round's rows; the iteration cap is meant.
                warnings.simplefilter("ignore")
                model = SingleTaskGP(
                    torch.from_numpy(np.ascontiguousarray(x)),
                    torch.from_numpy(values)[:, None],
                    input_transform=Normalize(x.shape[1], bounds=unit),
                    outcome_transform=Standardize(1),
                )
                if fit:
                    fit_gpytorch_mll(
                        ExactMarginalLogLikelihood(model.likelihood, model),
                        optimizer_kwargs={"options": {"maxiter": ITERATIONS}},
                    )
            self.models[name] = model.eval()
            with torch.no_grad():  # factorises the covariance of the rows: if that fails, it does so here
                model.posterior(torch.from_numpy(np.ascontiguousarray(x[:1])))

    def spread(self, name: str) -> float:
        """Return the standard deviation of the values of a property that were learnt from."""
        return self._spreads[name]

    @torch.no_grad()
    def marginals(self, name: str, x: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation (with observation noise) of a property at (n, d) features."""
        means, stds = [], []
        for start in range(0, len(x), CHUNK):
            posterior = self.models[name].posterior(torch.from_numpy(x[start : start + CHUNK]), observation_noise=True)
            means.append(posterior.mean[:, 0].numpy())
            stds.append(posterior.variance[:, 0].clamp(min=1e-12).sqrt().numpy())
        return np.concatenate(means), np.concatenate(stds)

    @torch.no_grad()
    def joint_draws(self, name: str, x: Array, count: int, seed: int) -> Array:
        """Return `count` joint posterior draws of a property over (n, d) features, shape (count, n)."""
        posterior = self.models[name].posterior(torch.from_numpy(x))
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore", NumericalWarning)  # jitter on a covariance of near-equal prompts
            torch.manual_seed(seed)
            return np.asarray(posterior.rsample(torch.Size([count]))[..., 0].numpy())
