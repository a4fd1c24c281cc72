import numpy as np
import pytest
from botorch.exceptions.errors import ModelFittingError
from linear_operator.utils.errors import NotPSDError
from scipy.stats import norm

from inverse_design.acquisition import surrogate, utility
from inverse_design.acquisition.history import History
from inverse_design.acquisition.objectives import Objectives
from inverse_design.acquisition.strategies import Problem, decide
from inverse_design.acquisition.utility import property_weights
from inverse_design.spec import Target
from tests.inverse_design.acquisition.test_acquisition import PRIOR, history, problem, tg

THRESHOLD = float(np.quantile(tg(PRIOR), 0.9))


def known_where(past: History, inside: np.ndarray) -> History:
    changes = {"in_domain": inside, "domain": {"Tg": inside}}
    return History(**{name: changes.get(name, getattr(past, name)) for name in History.__dataclass_fields__})  # type: ignore[arg-type]


def test_prompts_are_asked_for_where_the_models_know_their_way() -> None:
    threshold = float(np.quantile(tg(PRIOR), 0.6))
    asked = PRIOR[::60]
    light = float(np.median(asked[tg(asked) > threshold, 0]))
    past = known_where(history(asked, threshold), asked[:, 0] < light)
    chosen = decide("feasible-yield", problem(threshold), past, 1).prompts
    assert (chosen[:, 0] < light).mean() > 0.8  # a half of those that pass
    assert (tg(chosen) > threshold).mean() > 0.6


def test_the_rarer_a_target_is_met_the_heavier_its_violations_weigh() -> None:
    past = history(PRIOR[::200], 100.0)
    gap = {"bandgap_chain": np.full(len(past.round), 9.0)}
    two = History(
        **{
            name: {"mean": past.mean | gap}.get(name, getattr(past, name))  # type: ignore[arg-type]
            for name in History.__dataclass_fields__
        }
    )
    targets = [Target(property="Tg", min=100), Target(property="bandgap_chain", min=5)]
    weights = property_weights(problem(100.0, targets=targets), two, 1)
    rate = float(np.mean(past.mean["Tg"] >= 100))
    assert weights["Tg"] / weights["bandgap_chain"] == pytest.approx((1.05 - rate) / 0.05)
    assert sum(weights.values()) == pytest.approx(2)


def objective(past: History, direction: str) -> tuple[Problem, Objectives]:
    found = problem(100.0, targets=[Target(property="Tg", min=100, **{direction: True})])
    objectives = Objectives.of(found, past, 1)
    assert objectives is not None
    return found, objectives


def test_better_than_the_best_is_a_normal_tail_beyond_the_best_value_that_passes() -> None:
    past = history(PRIOR[::200], 100.0)
    _, objectives = objective(past, "maximize")
    best = past.mean["Tg"][past.log_feasibility >= np.log(0.6)].max()
    mean, std = np.array([best, best + 20, best - 20]), np.full(3, 20.0)
    assert np.exp(objectives.log_better({"Tg": (mean, std)})) == pytest.approx(norm.cdf([0, 1, -1]), abs=1e-6)


def test_two_objectives_count_draws_nearer_to_the_best_of_both_than_any_so_far() -> None:
    past = history(PRIOR[::200], 0.0)
    rng = np.random.default_rng(0)
    size = len(past.round)
    values = {"Tg": rng.normal(200, 30, size), "bandgap_chain": rng.normal(5, 1, size)}
    changes = {"mean": values, "std": {name: np.ones(size) for name in values}, "log_feasibility": np.zeros(size)}
    two = History(**{name: changes.get(name, getattr(past, name)) for name in History.__dataclass_fields__})  # type: ignore[arg-type]
    targets = [Target(property="Tg", maximize=True), Target(property="bandgap_chain", minimize=True)]
    objectives = Objectives.of(problem(0.0, targets=targets), two, 4)
    assert objectives is not None
    answers = {"Tg": (np.array([270.0]), np.array([15.0])), "bandgap_chain": (np.array([3.0]), np.array([0.5]))}
    draws = {name: rng.normal(mean, std, 200_000) for name, (mean, std) in answers.items()}
    share = float(np.mean(-objectives.gain(draws) < objectives.best))
    assert np.exp(objectives.log_better(answers))[0] == pytest.approx(share, abs=0.005)


def test_too_few_that_pass_leave_objectives_out() -> None:
    past = history(PRIOR[::200], 1e4)
    assert Objectives.of(problem(0.0, targets=[Target(property="Tg", maximize=True)]), past, 1) is None


def test_an_objective_asks_for_more_than_the_bound() -> None:
    past = history(PRIOR[::60], 0.0)
    plain = decide("feasible-yield", problem(0.0), past, 1).prompts
    pushed = decide("feasible-yield", problem(0.0, targets=[Target(property="Tg", min=0, maximize=True)]), past, 1).prompts
    assert np.median(tg(pushed)) > np.median(tg(plain)) + 50


def test_a_failed_fit_takes_default_hyperparameters_and_a_failed_model_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelFittingError("forced")

    monkeypatch.setattr(surrogate, "fit_gpytorch_mll", refuse)
    past = history(PRIOR[::60], THRESHOLD)
    found = decide("feasible-yield", problem(THRESHOLD), past, 1)
    assert found.facts["fallback"] == "ModelFittingError: default hyper-parameters"
    assert (tg(found.prompts) > THRESHOLD).mean() > 0.2

    def break_down(*_: object, **__: object) -> None:
        raise NotPSDError("forced")

    monkeypatch.setattr(utility, "PropertyModel", break_down)
    found = decide("feasible-yield", problem(THRESHOLD), past, 1)
    assert found.facts["fallback"] == "NotPSDError: neighbours of the prompts"
    assert len(found.prompts) == 24
    assert (tg(found.prompts) > THRESHOLD).mean() > 0.2


def test_the_wider_round_spreads_its_weights_further() -> None:
    rare = 590.0
    past = history(PRIOR[::60], rare)
    usual, wider = (decide("feasible-yield", problem(rare), past, 1, wider=flag).facts for flag in (False, True))
    assert wider["effective_size"] > 2 * usual["effective_size"]
    assert (usual["step"], wider["step"]) == ("model", "wider")


def test_histories_of_rounds_join_in_order() -> None:
    first, second = history(PRIOR[:40], 100.0), history(PRIOR[40:90], 100.0)
    joined = History.of([first, second], ["Tg"])
    assert (joined.requested == PRIOR[:90]).all()
    assert joined.mean["Tg"].tolist() == [*first.mean["Tg"], *second.mean["Tg"]]
    assert len(History.of([], ["Tg"]).scored) == 0
