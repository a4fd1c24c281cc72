"""The expected gain in dominated volume, against closed forms for independent normals."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from inverse_design.acquisition.hypervolume import log_gain
from inverse_design.acquisition.surrogate import PropertyModel

RNG = np.random.default_rng(0)
X = RNG.random((60, 15))
VALUES = {"Tg": 100 + 80 * X[:, 0] + RNG.normal(0, 5, 60), "density": 1 + 0.3 * X[:, 1] + RNG.normal(0, 0.03, 60)}


@pytest.fixture(scope="module")
def model() -> PropertyModel:
    return PropertyModel({name: (X, values) for name, values in VALUES.items()}, fit=False)


def moments(model: PropertyModel, name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the noise-free function."""
    with torch.no_grad():
        posterior = model.models[name].posterior(torch.from_numpy(x))
        return posterior.mean[:, 0].numpy(), posterior.variance[:, 0].sqrt().numpy()


def improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    z = (mean - best) / std
    return std * (z * norm.cdf(z) + norm.pdf(z))


def test_nothing_found_yet_leaves_the_product_of_both_improvements_on_the_worst(model: PropertyModel) -> None:
    pool, hopeless = RNG.random((20, 15)), np.zeros((1, 15))
    reference = {"Tg": 150.0, "density": 1.2}
    # The only candidate there is lies under the worst that counts, so that it dominates nothing.
    assert all(moments(model, name, hopeless)[0] + 4 * moments(model, name, hopeless)[1] > 0 for name in reference)
    gains = log_gain(model, pool, hopeless, {"Tg": (1.0, 190.0), "density": (1.0, 1.35)}, 0)
    expected = np.prod(
        [improvement(*moments(model, name, pool), best) for name, best in (("Tg", 190.0), ("density", 1.35))], axis=0
    )
    scale = np.prod([np.std(values) for values in VALUES.values()])
    assert np.exp(gains) == pytest.approx(expected, rel=0.3, abs=0.02 * scale)


def test_what_lies_beyond_the_front_gains_most_and_a_minimum_counts_downwards(model: PropertyModel) -> None:
    best = X[np.argsort(VALUES["Tg"])[-3:]]
    for sign in (1.0, -1.0):
        wanted = {"Tg": (1.0, 80.0), "density": (sign, 1.15)}
        pool = np.full((2, 15), 0.5)
        pool[:, 0], pool[:, 1] = 1.0, (0.0, 1.0)
        lower, higher = log_gain(model, pool, best, wanted, 0)
        assert (higher > lower) == (sign > 0)
