"""What a campaign starts from, and what it learns from its own prompts."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from inverse_design import reference
from inverse_design.acquisition.history import History
from inverse_design.acquisition.known import known
from inverse_design.acquisition.strategies import Steps, decide, parents
from inverse_design.acquisition.utility import Utility, nearby
from inverse_design.spec import Target
from tests.inverse_design.acquisition.test_acquisition import PRIOR, SCALE, history, problem, tg

RARE = float(np.quantile(tg(PRIOR), 0.995))
NOTHING = History.of([], ["Tg"])


def stand_in() -> History:
    """Known polymers whose Tg is the stand-in's, known to within 10 degC; every third is out of domain."""
    found = known(
        [Target(property="Tg", min=RARE)], PRIOR, {"Tg": (np.where(np.arange(len(PRIOR)) % 3, tg(PRIOR), np.nan), 10.0)}
    )
    assert found is not None
    return found


def test_known_polymers_are_judged_by_the_targets_and_count_as_nothing_new() -> None:
    found = stand_in()
    assert len(found.scored) == len(PRIOR) - len(PRIOR[::3])
    assert np.exp(found.log_feasibility) == pytest.approx(norm.sf(RARE, tg(found.realised), 10.0), abs=1e-9)
    assert not found.accepted.any()
    assert (found.realised[:2] == PRIOR[1:3]).all()


def test_a_derived_property_is_known_where_its_terms_are() -> None:
    target = [Target(property="selectivity_O2_N2", min=0.5)]
    answers = {"permeability_O2": (np.array([2.0, np.nan, 1.0]), 0.1), "permeability_N2": (np.array([1.0, 1.0, 0.9]), 0.1)}
    found = known(target, PRIOR[:3], answers)
    assert found is not None
    assert found.mean["selectivity_O2_N2"] == pytest.approx([1.0, 0.1])
    assert known(target, PRIOR[:3], {"permeability_O2": answers["permeability_O2"]}) is None


def test_the_bundled_answers_are_those_of_well_known_polymers() -> None:
    answers = reference.answers()
    values, error = answers["Tg"]
    assert len(values) == len(reference.prior())
    assert 10 < error < 60
    assert -60 < np.nanquantile(values, 0.05) < np.nanquantile(values, 0.5) < np.nanquantile(values, 0.95) < 400
    # Polyimides are the stiffest of the large classes.
    assert np.nanmedian(reference.answers(["polyimide"])["Tg"][0]) > np.nanmedian(values) + 80
    assert len(reference.answers(["polyimide"])["Tg"][0]) == len(reference.prior(["polyimide"]))


@pytest.mark.parametrize("strategy", ["feasible-yield", "thompson"])
def test_the_first_round_already_asks_for_what_is_rare(strategy: str) -> None:
    informed = problem(RARE, known=stand_in())
    assert (tg(decide(strategy, informed, NOTHING, 0).prompts) > RARE).mean() > 0.3
    blind = decide(strategy, replace(informed, steps=Steps(known=False)), NOTHING, 0)
    assert blind.facts["step"] == "prior"


@pytest.mark.parametrize("strategy", ["elite", "random"])
def test_the_baselines_know_nothing_beforehand(strategy: str) -> None:
    with_, without = (decide(strategy, problem(RARE, known=one), NOTHING, 0).prompts for one in (stand_in(), None))
    assert (with_ == without).all()


def test_parents_are_what_passed_own_and_known_in_equal_parts() -> None:
    own = history(PRIOR[::40], RARE)
    both = parents(problem(RARE, known=stand_in()), own, 40, np.random.default_rng(0))
    mine = {tuple(row) for row in own.realised[own.log_feasibility >= np.log(0.6)].tolist()}
    assert sum(tuple(row) in mine for row in both.tolist()) >= min(20, len(mine))
    assert (tg(both) > RARE - 10).mean() > 0.9


def test_counts_around_a_prompt_fade_with_distance_and_with_age() -> None:
    past = history(np.repeat(PRIOR[[0, 5000]], 4, axis=0), 0.0)
    x, which = SCALE(PRIOR[[0, 5000]]), np.arange(8) < 3
    generated, counted = nearby(problem(0.0), past, x, 1, which)
    assert counted[0] == pytest.approx(3, abs=1e-3)
    assert generated == pytest.approx([4, 4], abs=1e-3)
    assert nearby(problem(0.0), past, x, 3, which)[0] == pytest.approx(0.64 * generated)


def test_what_samples_of_a_prompt_gave_outweighs_the_model() -> None:
    """Two prompts that are the same to the model: of one twenty samples passed, of the other none."""
    threshold = float(np.quantile(tg(PRIOR), 0.8))
    close = np.flatnonzero(np.abs(tg(PRIOR) - threshold - 60) < 1)[[0, -1]]
    asked = np.concatenate([PRIOR[::300], np.repeat(PRIOR[close], 20, axis=0)])
    past = history(asked, threshold)
    past.log_feasibility[-20:] = np.log(0.1)
    pool = PRIOR[close]
    with_, without = (
        Utility.learn(problem(threshold, steps=Steps(evidence=flag)), past, 1).of(pool, SCALE(pool)) for flag in (True, False)
    )
    assert with_[0] - with_[1] > without[0] - without[1] + 1
    assert np.exp(with_[0]) > 0.6
