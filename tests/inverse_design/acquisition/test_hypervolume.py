"""The expected gain in dominated volume, against what it is for two properties known almost exactly."""

import numpy as np
import pytest
import torch
from botorch.acquisition.multi_objective import logei

from inverse_design.acquisition.hypervolume import log_gain
from inverse_design.acquisition.surrogate import PropertyModel

RNG = np.random.default_rng(0)
X = RNG.random((80, 2))
WORST = {"Tg": (1.0, 120.0), "density": (1.0, 1.08)}
POOL = np.array([[0.9, 0.9], [0.9, 0.6], [0.6, 0.9], [0.75, 0.75]])


def truth(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 100 + 80 * x[:, 0], 1 + 0.3 * x[:, 1]


@pytest.fixture(scope="module")
def model() -> PropertyModel:
    return PropertyModel({name: (X, values) for name, values in zip(WORST, truth(X), strict=True)})


def test_where_nothing_counts_yet_the_gain_is_the_rectangle_above_the_worst(model: PropertyModel) -> None:
    gain = np.exp(log_gain(model, POOL, np.zeros((1, 2)), WORST, 0))
    tg, density = truth(POOL)
    assert gain == pytest.approx((tg - 120) * (density - 1.08), rel=0.05)


def test_a_front_of_one_takes_its_own_rectangle_away(model: PropertyModel) -> None:
    best = np.array([[0.5, 0.5]])
    gain = np.exp(log_gain(model, POOL, best, WORST, 0))
    (tg, density), (own_tg, own_density) = truth(POOL), truth(best)
    shared = (np.minimum(tg, own_tg) - 120) * (np.minimum(density, own_density) - 1.08)
    assert gain == pytest.approx((tg - 120) * (density - 1.08) - shared, rel=0.05)


def test_a_minimum_counts_downwards(model: PropertyModel) -> None:
    wanted = {"Tg": (-1.0, 170.0), "density": (1.0, 1.08)}
    gain = np.exp(log_gain(model, np.array([[0.1, 0.8]]), np.array([[1.0, 0.0]]), wanted, 0))
    assert gain == pytest.approx((170 - 108) * (1.24 - 1.08), rel=0.05)


def test_the_gain_depends_on_its_seed_alone(model: PropertyModel) -> None:
    best = RNG.random((24, 2))
    gains = []
    for state in (1, 2):
        torch.manual_seed(state)
        gains.append(log_gain(model, POOL, best, WORST, 7))
        assert torch.initial_seed() == state
    assert (gains[0] == gains[1]).all()


def test_nothing_is_compiled_at_run_time(model: PropertyModel) -> None:
    log_gain(model, POOL, POOL[:1], WORST, 0)
    assert getattr(logei, "_C", None) is None  # BoTorch's module where it was built
