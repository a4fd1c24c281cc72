import math

import numpy as np
import pytest
from scipy.stats import norm

from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction
from inverse_design.spec import Target
from inverse_design.target import combine, consensus, joint_log_feasibility, log_feasibility, log_interval, violation


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


def test_a_weak_surrogate_weighs_less_than_its_precision_and_a_much_weaker_one_nothing() -> None:
    good = Prediction(mean=100, std=10, in_domain=True)
    weak, useless = (Prediction(mean=130, std=std, in_domain=True) for std in (15.0, 40.0))
    both = combine([weak, good])
    assert both is not None
    covariance = np.array([[100.0, 45.0], [45.0, 225.0]])  # correlation .3
    weights = np.linalg.inv(covariance).sum(axis=1) / np.linalg.inv(covariance).sum()
    assert both.mean == pytest.approx(weights @ [100, 130])
    assert combine([useless, good]) == good


def test_disagreement_widens_the_error() -> None:
    near = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=105, std=10, in_domain=True)])
    far = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=200, std=10, in_domain=True)])
    assert near is not None
    assert far is not None
    assert far.mean == pytest.approx(150)
    assert far.std == pytest.approx(math.hypot(10, 50))
    assert near.std < far.std


def test_a_surrogate_out_of_its_domain_counts_for_no_more_than_the_least_precise_in_it() -> None:
    sure = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=300, std=1, in_domain=False)])
    assert sure == Prediction(mean=200, std=math.sqrt(10**2 + 100**2), in_domain=True)
    unsure = combine([Prediction(mean=100, std=10, in_domain=True), Prediction(mean=300, std=40, in_domain=False)])
    assert unsure == Prediction(mean=100, std=10, in_domain=True)
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


def test_permeabilities_and_selectivities_are_given_as_chemists_write_them() -> None:
    assert Target(property="permeability_CO2", min=100, unit="Barrer").low == pytest.approx(2)
    assert Target(property="selectivity_CO2_N2", range=(10, 100), unit="ratio").high == pytest.approx(2)
    with pytest.raises(ValueError, match="0 Barrer is not more than nothing"):
        Target(property="permeability_CO2", min=0, unit="Barrer")
    with pytest.raises(ValueError, match=r"30 log10\(ratio\) is out of reach.*accepted: log10\(ratio\), -, ratio"):
        Target(property="selectivity_CO2_N2", min=30)


def gases(**values: tuple[float, float]) -> dict[str, list[Prediction]]:
    return {f"permeability_{gas}": [Prediction(mean=mean, std=std, in_domain=True)] for gas, (mean, std) in values.items()}


def test_selectivity_is_the_ratio_and_its_error_that_of_correlated_terms() -> None:
    answer = consensus("selectivity_CO2_N2", gases(CO2=(2.0, 0.3), N2=(0.5, 0.4)))
    correlation = PROPERTIES["selectivity_CO2_N2"].correlation
    drawn = np.random.default_rng(0).multivariate_normal(
        [2.0, 0.5], [[0.09, 0.12 * correlation], [0.12 * correlation, 0.16]], 200_000
    )
    assert answer is not None
    assert answer.mean == pytest.approx(1.5)
    assert answer.std == pytest.approx(np.std(drawn[:, 0] - drawn[:, 1]), rel=0.02)
    assert consensus("selectivity_CO2_N2", gases(CO2=(2.0, 0.3))) is None


def test_the_robeson_line_of_2008_is_at_zero() -> None:
    # Robeson 2008, table 12: P(CO2) = 30,967,000 selectivity ** -2.888, in Barrer
    for selectivity in (20.0, 100.0):
        carbon_dioxide = 30_967_000 * selectivity**-2.888
        own = gases(CO2=(math.log10(carbon_dioxide), 0.1), N2=(math.log10(carbon_dioxide / selectivity), 0.1))
        answer = consensus("robeson_CO2_N2", own)
        assert answer is not None
        assert answer.mean == pytest.approx(0, abs=1e-9)
    twice = gases(CO2=(math.log10(carbon_dioxide), 0.1), N2=(math.log10(carbon_dioxide / selectivity / 2), 0.1))
    answer = consensus("robeson_CO2_N2", twice)
    assert answer is not None
    assert 10**answer.mean == pytest.approx(2)


def test_a_derived_property_names_properties_of_the_table() -> None:
    for item in PROPERTIES.values():
        assert set(item.terms) <= set(PROPERTIES)
        assert not any(PROPERTIES[term].terms for term in item.terms)
