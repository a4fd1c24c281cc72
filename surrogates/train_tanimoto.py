"""Fit the bundled Gaussian processes: hyper-parameters by marginal likelihood, then one exact solve a property."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from scipy import linalg, optimize

from inverse_design.properties import PROPERTIES
from surrogates.calibration import Calibration
from surrogates.environments import Environments
from surrogates.evaluation import WORTH_OFFERING, Errors
from surrogates.observations import TEST, TRAIN, columns, read_observations
from surrogates.tanimoto import BATCH, Floats, Prior, Process, save

SUBSET: Final = 800
"""Units that the marginal likelihood is computed on."""

Say = Callable[[str], None]


def train_tanimoto(data: Path, work: Path, say: Say) -> None:
    """Fit in `work` every property of the tables in `data`, and calibrate; deterministic, so that it is run again rather than resumed."""
    work.mkdir(parents=True, exist_ok=True)
    units, observations = read_observations(data)
    texts = sorted(text for text, unit in units.items() if unit.part == TRAIN)
    place = {text: row for row, text in enumerate(texts)}
    everyone = environments([units[text].mol for text in texts])
    fitted, calibrations, offered = {}, {}, []
    missed: dict[str, dict[str, float]] = {}
    for column, name in columns().items():
        rows = observations[column]
        known = [units[text].part == TRAIN and not rows.conflict[i] for i, text in enumerate(rows.units)]
        train = [i for i, one in enumerate(known) if one]
        # Values on which sources disagree teach nothing, but they are part of what is asked for.
        apart = [i for i, text in enumerate(rows.units) if not known[i] and units[text].part != TEST]
        own = np.array([place[rows.units[i]] for i in train], dtype=np.int32)
        process, left_out = fit(everyone[own], rows.values[train])
        new = process.answer(environments([units[rows.units[i]].mol for i in apart]))
        predicted, spread, near = (np.concatenate(pair) for pair in zip(left_out, new, strict=True))
        true = rows.values[train + apart]
        calibrations[name] = Calibration.fit(predicted, true, near, spread)
        errors = Errors.of(predicted, true)
        if errors.r2 >= WORTH_OFFERING:
            offered.append(name)
        missed[name] = {rows.units[i]: error for i, error in zip(train + apart, (true - predicted).tolist(), strict=True)}
        say(f"{name}: {len(train)} units, {process.prior}, left out: R2 {errors.r2:.3f}, MAE {errors.mae:.3g}")
        fitted[name] = (process.prior, own, process.weights)
    for name, item in PROPERTIES.items():
        if item.terms:
            first, second = (missed[term] for term in item.terms)
            say(
                f"{name}: correlation of the errors of its terms {correlation(first, second):.2f}, {item.correlation} in the table"
            )
    save(work, everyone, fitted)
    stored = {"properties": {name: one.to_dict() for name, one in calibrations.items()}, "offered": offered}
    (work / "calibration.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Return the correlation of the errors (unit -> error) of two properties on the units that have both."""
    both = sorted(set(first) & set(second))
    return float(np.corrcoef([first[unit] for unit in both], [second[unit] for unit in both])[0, 1])


def environments(mols: Sequence[Chem.Mol]) -> Environments:
    """Return the environments of any number of repeat units."""
    return Environments.joined([Environments.of(mols[start : start + BATCH]) for start in range(0, len(mols), BATCH)])


def fit(units: Environments, values: Floats) -> tuple[Process, tuple[Floats, Floats, Floats]]:
    """Return the posterior given values (n,), and what it says of each unit without it: mean, spread, nearest similarity, each (n,).

    Without one unit the mean is y - (K^-1 y) / diag(K^-1) (Rasmussen and Williams 2006, eq. 5.12).
    """
    similarity = np.concatenate([units[start : start + BATCH].similarity(units) for start in range(0, len(units), BATCH)])
    alike = np.concatenate([units[start : start + BATCH].alike(units) for start in range(0, len(units), BATCH)])
    rows = np.random.default_rng(0).permutation(len(units))[:SUBSET]
    prior = most_likely(similarity[np.ix_(rows, rows)], alike[np.ix_(rows, rows)], values[rows])
    kernel = prior.kernel(similarity, alike)
    matrix = kernel.astype(np.float64)
    matrix[np.diag_indices_from(matrix)] += prior.noise
    inverse = linalg.inv(matrix, overwrite_a=True, check_finite=False, assume_a="pos")
    weights = inverse @ ((values - prior.mean) / prior.scale)
    process = Process(prior=prior, units=units, weights=weights.astype(np.float32))
    for own in (kernel, similarity):
        own[np.diag_indices_from(own)] = -1.0  # no unit is its own neighbour
    spread = np.concatenate([process.spread(kernel[start : start + BATCH]) for start in range(0, len(units), BATCH)])
    without = values - prior.scale * weights / np.diag(inverse)
    return process, (without, spread, similarity.max(axis=1).astype(np.float64))


def most_likely(similarity: NDArray[np.float32], alike: NDArray[np.float32], values: Floats) -> Prior:
    """Return the variances that make the values (n,) likeliest."""
    mean, scale = float(values.mean()), float(values.std())
    wanted = (values - mean) / scale

    def surprise(logs: Floats) -> float:
        first, second, noise = np.exp(logs)
        factor = linalg.cholesky(
            first * similarity + second * alike + noise * np.eye(len(wanted)), lower=True, check_finite=False
        )
        scaled = linalg.solve_triangular(factor, wanted, lower=True, check_finite=False)
        return float(0.5 * scaled @ scaled + np.log(np.diag(factor)).sum())

    simplex = np.log([[1.0, 1.0, 0.05], [3.0, 1.0, 0.05], [1.0, 3.0, 0.05], [1.0, 1.0, 0.02]])
    found = optimize.minimize(
        surprise,
        simplex[0],
        method="Nelder-Mead",
        bounds=[(-4, 5), (-4, 5), (np.log(1e-3), 0)],
        options={"initial_simplex": simplex, "maxfev": 60, "xatol": 0.1, "fatol": 0.3},
    )
    similar, other, noise = (round(float(value), 4) for value in np.exp(found.x))
    return Prior(mean=mean, scale=scale, similar=similar, alike=other, noise=noise)
