"""Gaussian processes: against a dense textbook solution, leave-one-out by brute force, and the bundled weights."""

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import surrogates
from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.split import WELL_KNOWN
from surrogates.calibration import Calibration
from surrogates.environments import Environments
from surrogates.tanimoto import NEIGHBOURS, Prior, Process, TanimotoGP, save
from surrogates.train_tanimoto import fit

FOLDER = Path(surrogates.__file__).parent / "weights" / "tanimoto"
TEXTS = list(WELL_KNOWN)
VALUES = np.array([float(tg) for _, tg in WELL_KNOWN.values()])


def environments(texts: list[str]) -> Environments:
    units = [parse(text) for text in texts]
    return Environments.of([unit.mol for unit in units if isinstance(unit, RepeatUnit)])


def dense(prior: Prior, first: Environments, second: Environments) -> np.ndarray:
    return prior.similar * first.similarity(second).astype(float) + prior.alike * first.alike(second).astype(float)


def test_posterior_is_the_textbook_one() -> None:
    units, asked = environments(TEXTS[:20]), environments(TEXTS[20:24])
    process, _ = fit(units, VALUES[:20])
    prior = process.prior
    inverse = np.linalg.inv(dense(prior, units, units) + prior.noise * np.eye(20))  # Rasmussen and Williams, eq. 2.25
    mean = prior.mean + dense(prior, asked, units) @ inverse @ (VALUES[:20] - prior.mean)
    assert process.answer(asked)[0] == pytest.approx(mean, abs=0.05)


def test_leaving_one_out_agrees_with_fitting_without_it() -> None:
    units = environments(TEXTS[:15])
    process, (without, _, near) = fit(units, VALUES[:15])
    prior = process.prior
    rest = np.arange(15) != 4
    matrix = dense(prior, units[rest], units[rest]) + prior.noise * np.eye(14)
    row = dense(prior, units[np.array([4])], units[rest])[0]
    assert without[4] == pytest.approx(prior.mean + row @ np.linalg.solve(matrix, VALUES[:15][rest] - prior.mean), abs=0.05)
    assert near[4] == pytest.approx(units[np.array([4])].similarity(units[rest]).max(), abs=1e-6)


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
    process, _ = fit(units, VALUES)
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
