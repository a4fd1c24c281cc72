"""Gaussian processes: against a dense textbook solution, leave-one-out by brute force, and the bundled weights."""

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

import surrogates
from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.split import WELL_KNOWN
from surrogates.calibration import Calibration
from surrogates.environments import Environments
from surrogates.tanimoto import NEIGHBOURS, Prior, Process, TanimotoGP, save
from surrogates.train_tanimoto import FREEDOM, correlations, fit, fit_together, inverse

FOLDER = Path(surrogates.__file__).parent / "weights" / "tanimoto"
MEASURED, COMPUTED = "tg_c", "egc_ev"
TEXTS = list(WELL_KNOWN)
VALUES = np.array([float(tg) for _, tg in WELL_KNOWN.values()])


def environments(texts: list[str]) -> Environments:
    units = [parse(text) for text in texts]
    return Environments.of([unit.mol for unit in units if isinstance(unit, RepeatUnit)])


def dense(prior: Prior, first: Environments, second: Environments) -> np.ndarray:
    return prior.similar * first.similarity(second).astype(float) + prior.alike * first.alike(second).astype(float)


def test_posterior_is_the_textbook_one() -> None:
    units, asked = environments(TEXTS[:20]), environments(TEXTS[20:24])
    process, _ = fit(units, VALUES[:20], COMPUTED)
    prior = process.prior
    inverse = np.linalg.inv(dense(prior, units, units) + prior.noise * np.eye(20))  # Rasmussen and Williams, eq. 2.25
    mean = prior.mean + dense(prior, asked, units) @ inverse @ (VALUES[:20] - prior.mean)
    assert process.answer(asked)[0] == pytest.approx(mean, abs=0.05)


def test_values_that_go_with_the_density_without_free_volume_go_on_with_it() -> None:
    units = environments(TEXTS)
    values = 0.1 + 0.6 * units.filled
    known = np.flatnonzero(units.filled < np.quantile(units.filled, 0.8))
    [(line, (without, _, _))] = fit_together(units[known], [(np.arange(len(known)), values[known])], ["density_gcm3"])
    plain, _ = fit(units[known], values[known], MEASURED)
    assert line.prior.slope == pytest.approx(0.6, abs=1e-3)
    assert line.mean(units) == pytest.approx(values, abs=1e-3)  # denser ones than any it knows, too
    assert without == pytest.approx(values[known], abs=1e-3)
    assert np.abs(plain.mean(units) - values).max() > 0.1


def test_leaving_one_out_agrees_with_fitting_without_it() -> None:
    units = environments(TEXTS[:15])
    process, (without, _, near) = fit(units, VALUES[:15], COMPUTED)
    prior = process.prior
    rest = np.arange(15) != 4
    matrix = dense(prior, units[rest], units[rest]) + prior.noise * np.eye(14)
    row = dense(prior, units[np.array([4])], units[rest])[0]
    assert without[4] == pytest.approx(prior.mean + row @ np.linalg.solve(matrix, VALUES[:15][rest] - prior.mean), abs=0.05)
    assert near[4] == pytest.approx(units[np.array([4])].similarity(units[rest]).max(), abs=1e-6)


@cache
def two_properties() -> tuple[Environments, list[tuple[np.ndarray, np.ndarray]]]:
    """The glass transition of twenty units, and something that follows it, known of others and of some of the same."""
    first, second = np.arange(20), np.arange(4, 28, 2)
    follows = 0.02 * VALUES + np.cos(np.arange(len(TEXTS)))
    return environments(TEXTS), [(first, VALUES[first]), (second, follows[second])]


def joint(priors: list[Prior], known: list[tuple[np.ndarray, np.ndarray]], units: Environments) -> tuple[np.ndarray, ...]:
    """Covariance of all values of all units as Kronecker products, the rows that are known, and their standardised values."""
    scaled = [(values - prior.mean) / prior.scale for prior, (_, values) in zip(priors, known, strict=True)]
    between = correlations([rows for rows, _ in known], scaled)
    noise = np.sqrt(np.outer(*2 * [[prior.noise for prior in priors]]))
    whole = np.kron(between, dense(priors[0], units, units)) + np.kron(between * noise, np.eye(len(units)))
    return whole, np.concatenate([rows + index * len(units) for index, (rows, _) in enumerate(known)]), np.concatenate(scaled)


def test_properties_fitted_together_are_the_textbook_posterior_of_all_their_values() -> None:
    units, known = two_properties()
    processes = [process for process, _ in fit_together(units, known, [COMPUTED, COMPUTED])]
    priors = [process.prior for process in processes]
    assert (priors[0].similar, priors[0].alike) == (priors[1].similar, priors[1].alike)
    whole, rows, values = joint(priors, known, units)
    between = correlations([own for own, _ in known], [values[:20], values[20:]])
    assert between[0, 1] > 0.3
    cross = np.kron(between, dense(priors[0], units, units))[:, rows]
    expected = (cross @ np.linalg.solve(whole[np.ix_(rows, rows)], values)).reshape(2, -1)
    for process, mean in zip(processes, expected, strict=True):
        assert process.mean(units) == pytest.approx(
            process.prior.mean + process.prior.scale * mean, abs=2e-3 * process.prior.scale
        )


def test_leaving_a_unit_out_leaves_out_all_its_values() -> None:
    units, known = two_properties()
    fitted = fit_together(units, known, [COMPUTED, COMPUTED])
    priors = [process.prior for process, _ in fitted]
    whole, rows, values = joint(priors, known, units)
    rest = rows % len(units) != 6
    for index, (prior, (own, _)) in enumerate(zip(priors, known, strict=True)):
        cross = whole[6 + index * len(units), rows[rest]]
        mean = prior.mean + prior.scale * cross @ np.linalg.solve(whole[np.ix_(rows[rest], rows[rest])], values[rest])
        assert fitted[index][1][0][own.tolist().index(6)] == pytest.approx(mean, abs=1e-6 * prior.scale)


def test_correlations_of_few_units_are_doubted_and_stay_possible() -> None:
    rows, values = np.arange(10), np.linspace(-1, 1, 10)
    found = correlations([rows, rows, rows[:2], rows[::-1]], [values, values, values[:2], values])
    assert found[0, 1] == pytest.approx(0.5)  # ten units seen, ten of no correlation imagined
    assert found[0, 2] == 0.0
    assert found[0, 3] == pytest.approx(-0.5)
    assert np.linalg.eigvalsh(found).min() > 0


def test_errors_with_heavy_tails_give_the_likeliest_location() -> None:
    """Values of one constant, some of them nonsense: what a wide prior leaves is the location of greatest Student-t likelihood."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(2.0, 1.0, 60), rng.normal(30.0, 5.0, 8)])
    wide, alone = np.full((68, 68), 1e4), [np.array([row]) for row in range(68)]
    found = inverse(wide, np.eye(1), np.zeros(68, dtype=int), alone, values, rounds=30)
    likeliest = optimize.minimize_scalar(lambda at: -stats.t.logpdf(values, FREEDOM, at).sum(), (0, 5)).x
    assert wide[0] @ found @ values == pytest.approx(likeliest, abs=0.02)
    plain = inverse(wide, np.eye(1), np.zeros(68, dtype=int), alone, values, rounds=1)
    assert wide[0] @ plain @ values == pytest.approx(values.mean(), abs=1e-3)


def test_a_unit_with_one_wild_value_is_doubted_in_all_of_them() -> None:
    rng = np.random.default_rng(1)
    both = rng.normal(size=(40, 2))
    both[7, 0] += 25
    blocks = [np.array([row, row + 40]) for row in range(40)]
    owner, values = np.repeat([0, 1], 40), both.T.ravel()
    flat = 1e3 * (owner[:, None] == owner[None, :])
    found = inverse(flat, np.array([[1.0, 0.5], [0.5, 1.0]]), owner, blocks, values, rounds=10)
    errors = [np.diag(np.linalg.inv(found) - flat)[block] for block in blocks]  # what is left is the noise of each unit
    assert np.median(errors) == pytest.approx(0.8, abs=0.2)
    assert errors[7] == pytest.approx([errors[7][0]] * 2, rel=1e-6)
    assert errors[7][0] > 50


def test_a_gross_error_leaves_its_neighbours_alone() -> None:
    chains = [(head, n) for head in ("*CC(*)C(=O)O", "*CC(*)(C)C(=O)O", "*CC(*)O") for n in range(1, 21)]
    units = environments([head + "C" * n for head, n in chains])
    true = np.array([-8.0 * n + 3.0 * len(head) for head, n in chains])
    measured = true + np.random.default_rng(0).normal(0, 5, 60)
    measured[31] += 300.0
    near = [29, 30, 32, 33]
    robust, plain = (fit(units, measured, column)[0].mean(units)[near] - true[near] for column in (MEASURED, COMPUTED))
    assert np.abs(robust).max() < 10 < np.abs(plain).max()  # two standard deviations of the other errors


def test_variance_of_a_handful_is_exact() -> None:
    units, asked = environments(TEXTS[:NEIGHBOURS]), environments(TEXTS[20:26])
    prior = Prior(mean=0.0, scale=2.0, similar=0.8, alike=0.5, noise=0.1)
    process = Process(prior=prior, units=units, weights=np.zeros(NEIGHBOURS, np.float32))
    cross = dense(prior, asked, units)
    inverse = np.linalg.inv(dense(prior, units, units) + prior.noise * np.eye(NEIGHBOURS))
    expected = 2 * np.sqrt(1.3 - np.einsum("qi,ij,qj->q", cross, inverse, cross) + 0.1)
    assert process.answer(asked)[1] == pytest.approx(expected, rel=1e-4)


def test_what_is_saved_answers_the_same(tmp_path: Path) -> None:
    units = environments(TEXTS)
    process, _ = fit(units, VALUES, MEASURED)
    save(tmp_path, units, {"Tg": (process.prior, np.arange(len(TEXTS), dtype=np.int32), process.weights)})
    plain = Calibration.constant(1.2815515655446004)
    (tmp_path / "calibration.json").write_text(json.dumps({"properties": {"Tg": plain.to_dict()}, "offered": ["Tg"]}))
    model = TanimotoGP.load(tmp_path)
    answers = model.predict(["*CCOC*", "junk", "*COCC*", "*CCOCCCOC*"], ["Tg"])
    assert answers[1] == {"Tg": None}
    written = [answer["Tg"].mean for answer in answers if answer["Tg"] is not None]
    assert written == pytest.approx([written[0]] * 3, abs=1e-3)
    mean, spread, _ = process.answer(environments(["*CCOC*"]))
    assert answers[0]["Tg"] is not None
    assert (answers[0]["Tg"].mean, answers[0]["Tg"].std) == (pytest.approx(mean[0], abs=0.5), pytest.approx(spread[0], rel=1e-3))


@cache
def model() -> TanimotoGP:
    return TanimotoGP.load(FOLDER)


def test_bundled_weights_know_common_polymers_and_how_sure_they_are() -> None:
    answers = [one["Tg"] for one in model().predict(TEXTS, ["Tg"])]
    assert all(one is not None for one in answers)
    errors = np.array([abs(one.mean - tg) for one, tg in zip(answers, VALUES, strict=True) if one is not None])
    assert np.median(errors) < 25
    strange = model().predict(["*[Se]C#CB(C)*"], ["Tg"])[0]["Tg"]
    assert strange is not None
    assert strange.std > np.median([one.std for one in answers if one is not None])


def test_bundled_weights_are_small_and_answer_twenty_properties_or_nearly() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12e6
    assert len(model().properties) >= 15


def test_another_property_is_refused() -> None:
    with pytest.raises(ModelError, match="does not answer 'selectivity_CO2_N2'"):
        model().predict(["*CC*"], ["selectivity_CO2_N2"])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "calibration.json"])
def test_a_damaged_folder_is_named(tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "tanimoto"))
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="copy the model folder again"):
        TanimotoGP.load(folder)
