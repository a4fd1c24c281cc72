"""Fit the bundled Gaussian processes: hyper-parameters by marginal likelihood, then one exact solve a property."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final

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
TOGETHER: Final = (
    tuple(f"permeability_{gas}" for gas in ("O2", "N2", "CO2", "CH4", "H2", "He")),
    ("bandgap_chain", "bandgap_bulk", "bandgap_crystal"),
)
"""Properties fitted as one: a film is as open, and a chain as conjugated, for one as for the other."""

_DOUBT: Final = 10

Say = Callable[[str], None]
Rows = NDArray[np.integer[Any]]
LeftOut = tuple[Floats, Floats, Floats]
"""Mean, spread and similarity to the nearest other unit, each (n,)."""


def train_tanimoto(data: Path, work: Path, say: Say) -> None:
    """Fit in `work` every property of the tables in `data`, and calibrate; deterministic, so that it is run again rather than resumed."""
    work.mkdir(parents=True, exist_ok=True)
    units, observations = read_observations(data)
    texts = sorted(text for text, unit in units.items() if unit.part == TRAIN)
    place = {text: row for row, text in enumerate(texts)}
    everyone = environments([units[text].mol for text in texts])
    named = {name: observations[column] for column, name in columns().items()}
    alone = [(name,) for name in named if not any(name in names for names in TOGETHER)]
    fitted, calibrations, offered = {}, {}, []
    missed: dict[str, dict[str, float]] = {}
    for names in (*alone, *TOGETHER):
        # Values in doubt teach nothing, but they are part of what is asked for.
        known = [np.array([units[text].part == TRAIN for text in named[name].units]) & ~named[name].conflict for name in names]
        rows = [
            np.array([place[named[name].units[i]] for i in np.flatnonzero(own)]) for name, own in zip(names, known, strict=True)
        ]
        everybody = np.unique(np.concatenate(rows)).astype(np.int32)
        values = [named[name].values[own] for name, own in zip(names, known, strict=True)]
        both = [(np.searchsorted(everybody, own), value) for own, value in zip(rows, values, strict=True)]
        for name, own, (process, left_out) in zip(names, known, fit_together(everyone[everybody], both), strict=True):
            apart = [i for i, text in enumerate(named[name].units) if not own[i] and units[text].part != TEST]
            new = process.answer(environments([units[named[name].units[i]].mol for i in apart]))
            predicted, spread, near = (np.concatenate(pair) for pair in zip(left_out, new, strict=True))
            judged = [*np.flatnonzero(own), *apart]
            true = named[name].values[judged]
            calibrations[name] = Calibration.fit(predicted, true, near, spread)
            errors = Errors.of(predicted, true)
            if errors.r2 >= WORTH_OFFERING:
                offered.append(name)
            missed[name] = dict(zip([named[name].units[i] for i in judged], (true - predicted).tolist(), strict=True))
            say(f"{name}: {own.sum()} units, {process.prior}, left out: R2 {errors.r2:.3f}, MAE {errors.mae:.3g}")
            fitted[name] = (process.prior, everybody, process.weights)
    for name, item in PROPERTIES.items():
        if item.terms:
            first, second = (missed[term] for term in item.terms)
            weights = list(item.terms.values())
            mae = np.mean([abs(weights[0] * first[unit] + weights[1] * second[unit]) for unit in set(first) & set(second)])
            alike = f"{correlation(first, second):.2f}, {item.correlation} in the table"
            say(f"{name}, left out: MAE {mae:.3g}; correlation of the errors of its terms {alike}")
    save(work, everyone, {name: fitted[name] for name in named})
    stored = {
        "properties": {name: calibrations[name].to_dict() for name in named},
        "offered": [name for name in named if name in offered],
    }
    (work / "calibration.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Return the correlation of the errors (unit -> error) of two properties on the units that have both."""
    both = sorted(set(first) & set(second))
    return float(np.corrcoef([first[unit] for unit in both], [second[unit] for unit in both])[0, 1])


def environments(mols: Sequence[Chem.Mol]) -> Environments:
    """Return the environments of any number of repeat units."""
    return Environments.joined([Environments.of(mols[start : start + BATCH]) for start in range(0, len(mols), BATCH)])


def fit(units: Environments, values: Floats) -> tuple[Process, LeftOut]:
    """Return the posterior given the values (n,) of units, and what it says of each unit without it."""
    return fit_together(units, [(np.arange(len(units)), values)])[0]


def fit_together(units: Environments, known: Sequence[tuple[Rows, Floats]]) -> list[tuple[Process, LeftOut]]:
    """Return, for each property, the posterior given (rows of units, values there) of all, and what it says of each of its units
    without any value of that unit.

    Covariance of property g of one unit and h of another: B_gh k, and B_gh times the geometric mean of the noises for the same unit
    (intrinsic coregionalisation: Bonilla et al., NeurIPS 2007), B being the correlations of the values. The ratio of two gases is so
    predicted as such, and not as the difference of two errors. Without a unit, whose values are the block u, values are
    y_u - ([K^-1]_uu)^-1 [K^-1 y]_u (Rasmussen and Williams 2006, eq. 5.12, by blocks).
    """
    similarity = np.concatenate([units[start : start + BATCH].similarity(units) for start in range(0, len(units), BATCH)])
    alike = np.concatenate([units[start : start + BATCH].alike(units) for start in range(0, len(units), BATCH)])
    priors = [_likeliest(similarity, alike, rows, values) for rows, values in known]
    counts = [len(rows) for rows, _ in known]
    shared = {
        name: round(float(np.exp(np.average([np.log(getattr(prior, name)) for prior in priors], weights=counts))), 4)
        for name in ("similar", "alike")
    }
    priors = [replace(prior, **shared) for prior in priors]
    kernel = priors[0].kernel(similarity, alike)

    owner = np.repeat(np.arange(len(known)), counts)
    row = np.concatenate([rows for rows, _ in known])
    scaled = [(values - prior.mean) / prior.scale for prior, (_, values) in zip(priors, known, strict=True)]
    between = correlations([rows for rows, _ in known], scaled)
    matrix = kernel[np.ix_(row, row)].astype(np.float64)
    noise = np.sqrt([prior.noise for prior in priors])[owner]
    for one in units_of(row):
        matrix[np.ix_(one, one)] += np.outer(noise[one], noise[one])
    matrix *= between[np.ix_(owner, owner)]
    inverse = linalg.inv(matrix, overwrite_a=True, check_finite=False, assume_a="pos")
    solved = inverse @ np.concatenate(scaled)
    missed = np.zeros(len(row))
    for one in units_of(row):
        missed[one] = np.linalg.solve(inverse[np.ix_(one, one)], solved[one])
    for own in (kernel, similarity):
        own[np.diag_indices_from(own)] = -1.0  # no unit is its own neighbour
    near = similarity.max(axis=1).astype(np.float64)
    fitted = []
    for index, (prior, (rows, values)) in enumerate(zip(priors, known, strict=True)):
        weights = np.bincount(row, between[index][owner] * solved, minlength=len(units))
        process = Process(prior=prior, units=units, weights=weights.astype(np.float32))
        spread = np.concatenate([process.spread(kernel[rows[start : start + BATCH]]) for start in range(0, len(rows), BATCH)])
        fitted.append((process, (values - prior.scale * missed[owner == index], spread, near[rows])))
    return fitted


def units_of(row: Rows) -> list[Rows]:
    """Return the places of each value in `row`."""
    order = np.argsort(row, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(row[order])) + 1)


def correlations(rows: Sequence[Rows], values: Sequence[Floats]) -> Floats:
    """Return the correlations of standardised properties on the units that have both; shape (p, p), positive definite.

    Those of few units are drawn to none, as if `_DOUBT` more of no correlation had been seen.
    """
    found = np.eye(len(rows))
    for one, other in combinations(range(len(rows)), 2):
        _, first, second = np.intersect1d(rows[one], rows[other], return_indices=True)
        if len(first) > 2:
            seen = float(np.corrcoef(values[one][first], values[other][second])[0, 1])
            found[one, other] = found[other, one] = seen * len(first) / (len(first) + _DOUBT)
    lengths, directions = np.linalg.eigh(found)
    found = (directions * np.maximum(lengths, 1e-3)) @ directions.T
    return np.asarray(found / np.sqrt(np.outer(np.diag(found), np.diag(found))), np.float64)


def _likeliest(similarity: NDArray[np.float32], alike: NDArray[np.float32], rows: Rows, values: Floats) -> Prior:
    chosen = np.random.default_rng(0).permutation(len(rows))[:SUBSET]
    own = np.ix_(rows[chosen], rows[chosen])
    return most_likely(similarity[own], alike[own], values[chosen])


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
