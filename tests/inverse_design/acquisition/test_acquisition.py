import numpy as np
import pytest
from rdkit import Chem

from inverse_design import reference
from inverse_design.acquisition.features import Scale, closeness, features
from inverse_design.acquisition.history import History
from inverse_design.acquisition.pool import Bounds, Realism, build
from inverse_design.acquisition.strategies import Decision, Problem, decide
from inverse_design.acquisition.surrogate import PropertyModel, choose_rows
from inverse_design.acquisition.utility import local_yield
from inverse_design.acquisition.weights import effective_size, repelled, softmax, tempered
from inverse_design.descriptors import broken_identities, realised
from inverse_design.spec import Target
from inverse_design.target import log_interval, needed

PRIOR = reference.prior()
SCALE = Scale(PRIOR)
REALISM = Realism(PRIOR, SCALE)
FREE = Bounds(limits={})


def problem(threshold: float, **changes: object) -> Problem:
    plain = {
        "targets": [Target(property="Tg", min=threshold)], "prior": PRIOR, "bounds": FREE, "confidence": 0.6,
        "pool": 400, "prompts": 24, "seed": 3, "scale": SCALE, "realism": REALISM,
    }  # fmt: skip
    return Problem(**(plain | changes))  # type: ignore[arg-type]


def tg(vectors: np.ndarray) -> np.ndarray:
    """A stand-in property: aromatic rings stiffen, rotatable bonds soften; degC."""
    return 45.0 * vectors[:, 9] - 8.0 * vectors[:, 13] + 6.0 * vectors[:, 3]


def history(requested: np.ndarray, threshold: float, accepted: bool = True) -> History:
    rng = np.random.default_rng(1)
    mean = tg(requested) + rng.normal(0, 5, len(requested))
    std = np.full(len(mean), 10.0)
    return History(
        requested=requested, realised=requested, round=np.zeros(len(requested), np.int64), accepted=np.full(len(requested), accepted),
        in_domain=np.full(len(requested), accepted), domain={"Tg": np.full(len(requested), accepted)},
        each={"Tg": log_interval(mean, std, threshold, np.inf)},
        mean={"Tg": mean}, std={"Tg": std}, log_feasibility=log_interval(mean, std, threshold, np.inf),
    )  # fmt: skip


def test_features_leave_out_the_sums_and_add_ratios() -> None:
    row = np.array([[416, 32, 0, 6, 0, 2, 2, 4, 0, 4, 4, 0, 8, 2, 6]])
    assert features(row).tolist() == [[416, 32, 0, 6, 0, 2, 4, 0, 4, 0, 8, 2, 13, 0.0625]]


def test_moves_are_molecules_near_their_parents() -> None:
    parents = PRIOR[::600]
    moved = REALISM.moves(parents, 500, np.random.default_rng(0))
    assert moved.shape == (500, 15)
    assert all(broken_identities(tuple(map(int, row))) == [] for row in moved)
    near = closeness(SCALE(moved), SCALE(parents), 0.15).max(1)
    assert np.median(near) > 0.6
    assert len(np.unique(moved, axis=0)) > 400
    assert REALISM.moves(parents[:0], 5, np.random.default_rng(0)).shape == (0, 15)
    assert REALISM.moves(parents, 0, np.random.default_rng(0)).shape == (0, 15)


def test_a_move_is_what_tells_two_known_polymers_apart() -> None:
    styrene, fluorostyrene, methyl_methacrylate = (
        np.array(realised(Chem.MolFromSmiles(text))) for text in ("*CC(*)c1ccccc1", "*CC(*)c1ccc(F)cc1", "*CC(*)(C)C(=O)OC")
    )
    two = Realism(np.stack([styrene, fluorostyrene]), SCALE)
    moved = two.moves(methyl_methacrylate[None], 200, np.random.default_rng(0))
    found = {tuple(row - methyl_methacrylate) for row in moved.tolist()}
    one_fluorine = tuple(fluorostyrene - styrene)
    assert one_fluorine[:2] == (18, 1)
    assert one_fluorine in found
    assert tuple([0] * 15) in found
    assert len(found) == 3  # and one less of what is not there, as far as a molecule can go


def test_the_pool_is_distinct_within_bounds_and_of_three_origins() -> None:
    bounds = Bounds(limits={"NumAromaticRings": (0, 0), "MolWt": (0, 300)})
    prior = PRIOR[bounds.allow(PRIOR)]
    pool, origin = build(prior, prior[:40], 400, bounds, REALISM, np.random.default_rng(0))
    assert len(np.unique(pool, axis=0)) == len(pool)
    assert bounds.allow(pool).all()
    assert min(origin.values()) > 0
    assert len(pool) <= 400


def test_an_unreal_vector_is_told_from_real_ones() -> None:
    assert REALISM.real(PRIOR[:2000]).mean() > 0.97
    assert not REALISM.real(np.array([[5600, 17, 9, 9, 9, 9, 18, 9, 9, 18, 9, 9, 19, 0, 36]])).any()


@pytest.mark.parametrize("wanted", [4.0, 30.0, 90.0])
def test_temperature_gives_the_wanted_effective_size(wanted: float) -> None:
    log_utility = np.random.default_rng(0).normal(0, 20, 100)
    weights, temperature = tempered(log_utility, wanted, prior_share=0.0)
    assert effective_size(weights) == pytest.approx(wanted, rel=0.02)
    assert weights == pytest.approx(softmax(log_utility, temperature))
    assert tempered(log_utility, wanted)[0].min() >= 0.1 / 100


def test_effective_size_of_equal_weights_is_their_number() -> None:
    assert effective_size(np.full(8, 1 / 8)) == pytest.approx(8)


def test_repulsion_spreads_draws_over_neighbourhoods() -> None:
    x = np.array([[0.0], [0.001], [0.002], [1.0], [2.0]])
    weights = np.array([0.33, 0.33, 0.3, 0.02, 0.02])
    for seed in range(20):
        assert {3, 4} <= set(repelled(weights, closeness(x, x, 0.1), 3, np.random.default_rng(seed)))


def test_the_gaussian_process_recovers_a_smooth_function_and_knows_what_it_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((120, 14))
    model = PropertyModel({"y": (x, 100 * x[:, 0] + 50 * np.sin(3 * x[:, 1]))})
    fresh = rng.random((200, 14))
    mean, near = model.marginals("y", fresh)
    truth = 100 * fresh[:, 0] + 50 * np.sin(3 * fresh[:, 1])
    assert np.corrcoef(mean, truth)[0, 1] > 0.97
    _, far = model.marginals("y", fresh + 3)
    assert far.mean() > 2 * near.mean()
    draws = model.joint_draws("y", fresh, 400, seed=1)
    assert draws.mean(0) == pytest.approx(mean, abs=4 * near.max() / 20 + 1)
    assert (model.joint_draws("y", fresh, 5, seed=1) == model.joint_draws("y", fresh, 5, seed=1)).all()


def test_rows_to_learn_from_are_distinct_and_hold_the_best() -> None:
    x = np.repeat(np.random.default_rng(0).random((200, 14)), 2, axis=0)
    violation = np.arange(400.0)
    rows = choose_rows(x, violation, 50)
    assert len(np.unique(x[rows], axis=0)) == len(rows) == 50
    assert {0, 2, 4, 6} <= set(rows.tolist())


def test_mined_out_neighbourhoods_lose_yield() -> None:
    asked = np.repeat(PRIOR[:1], 200, axis=0)
    used = history(asked, 100.0, accepted=False)
    x = SCALE(np.stack([PRIOR[0], PRIOR[np.abs(PRIOR[:, 1] - PRIOR[0, 1]).argmax()]]))
    mined, fresh = local_yield(problem(100.0), used, x, 1)
    assert mined < fresh / 5 or mined < 0.01


def test_needed_bounds_leave_room_for_the_error() -> None:
    low, high = needed(Target(property="Tg", min=100), 20.0, 0.8)
    assert (low, high) == (pytest.approx(100 + 0.8416 * 20, abs=0.01), np.inf)
    narrow = needed(Target(property="Tg", range=(100, 101)), 20.0, 0.8)
    assert 100 < narrow[0] < 100.5 < narrow[1] < 101


@pytest.mark.parametrize("strategy", ["feasible-yield", "thompson", "elite", "random"])
def test_a_decision_is_whole_within_bounds_and_repeatable(strategy: str) -> None:
    past = history(PRIOR[::200], 150.0)
    first, again = (decide(strategy, problem(150.0), past, 1) for _ in range(2))
    assert isinstance(first, Decision)
    assert first.prompts.shape == (24, 15)
    assert (first.prompts == again.prompts).all()
    assert first.facts == again.facts


@pytest.mark.parametrize("strategy", ["feasible-yield", "thompson", "elite"])
def test_a_strategy_that_learns_asks_for_better_prompts_than_the_prior(strategy: str) -> None:
    threshold = float(np.quantile(tg(PRIOR), 0.95))
    chosen = decide(strategy, problem(threshold), history(PRIOR[::60], threshold), 1).prompts
    assert (tg(chosen) > threshold).mean() > 0.3


@pytest.mark.parametrize("values", ["constant", "few", "equal rows"])
def test_ordinary_but_degenerate_histories_still_give_a_decision(values: str) -> None:
    asked = {"constant": PRIOR[::400], "few": PRIOR[::10_000], "equal rows": np.repeat(PRIOR[:1], 40, axis=0)}[values]
    past = history(asked, 100.0)
    if values == "constant":
        past.mean["Tg"][:] = 50.0
    assert len(decide("feasible-yield", problem(100.0), past, 1).prompts) == 24
