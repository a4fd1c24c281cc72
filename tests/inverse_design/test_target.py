import math

import numpy as np
import pytest
from scipy.stats import norm

from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction
from inverse_design.spec import Target
from inverse_design.target import combine, joint_log_feasibility, log_feasibility, log_interval, violation


@pytest.mark.parametrize(("low", "high"), [(-math.inf, 1.0), (0.5, math.inf), (-1.0, 2.0), (1.0, 1.5)])
@pytest.mark.parametrize("mean", [-3.0, 0.0, 1.2, 4.0])
def test_log_interval_is_the_normal_probability(low: float, high: float, mean: float) -> None:
    expected = norm.cdf(high, mean, 0.7) - norm.cdf(low, mean, 0.7)
    assert math.exp(log_interval(np.array([mean]), np.array([0.7]), low, high)[0]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mean", [-40.0, 40.0])
def test_log_interval_keeps_its_precision_far_in_both_tails(mean: float) -> None:
    # log(Phi(b) - Phi(a)) ~ log Phi of the nearer bound, Mills ratio (Abramowitz & Stegun 26.2.12)
    distance = 39.0
    expected = -(distance**2) / 2 - math.log(distance * math.sqrt(2 * math.pi)) - 1 / distance**2
    assert log_interval(np.array([mean]), np.array([1.0]), -1.0, 1.0)[0] == pytest.approx(expected, rel=1e-5)


def test_a_target_in_kelvin_is_the_same_target() -> None:
    celsius, kelvin = Target(property="Tg", min=150), Target(property="Tg", min=423.15, unit="K")
    mean, std = np.array([120.0, 200.0]), np.array([30.0, 30.0])
    assert log_feasibility(celsius, mean, std) == pytest.approx(log_feasibility(kelvin, mean, std), abs=1e-9)


def test_violation_is_the_distance_to_the_nearer_bound() -> None:
    target = Target(property="Tg", range=(100, 200))
    assert violation(target, np.array([80.0, 150.0, 230.0])).tolist() == [20.0, 0.0, 30.0]


def test_agreeing_surrogates_combine_by_precision() -> None:
    both = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=100, std=20, in_domain=True)])
    assert both is not None
    assert (both.mean, both.std) == (pytest.approx(100), pytest.approx(10))


def test_disagreement_widens_the_error() -> None:
    near = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=105, std=10, in_domain=True)])
    far = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=200, std=10, in_domain=True)])
    assert near is not None
    assert far is not None
    assert far.mean == pytest.approx(150)
    assert far.std == pytest.approx(math.hypot(10, 50))
    assert near.std < far.std


def test_a_surrogate_out_of_its_domain_is_not_heard_beside_one_in_it() -> None:
    answer = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=300, std=1, in_domain=False)])
    assert answer == Prediction(mean=100, std=10, in_domain=True)
    assert combine([]) is None


def test_joint_feasibility_multiplies_targets() -> None:
    targets = [Target(property="Tg", min=100), Target(property="bandgap_chain", min=5)]
    answers = {"Tg": Prediction(mean=100, std=20, in_domain=True), "bandgap_chain": Prediction(mean=5, std=0.3, in_domain=True)}
    assert math.exp(joint_log_feasibility(targets, answers)) == pytest.approx(0.25)


def test_every_unit_of_the_table_converts_to_numbers_a_chemist_knows() -> None:
    tg = PROPERTIES["Tg"]
    assert tg.convert(373.15, "K") == pytest.approx(100)
    assert tg.convert(212, "degF") == pytest.approx(100)
    assert PROPERTIES["bandgap_chain"].convert(5000, "meV") == pytest.approx(5)
    assert PROPERTIES["density"].convert(1200, "kg/m3") == pytest.approx(1.2)
