"""Fit the bundled Gaussian processes: hyper-parameters by marginal likelihood, then one exact solve a property."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from surrogates.observations import CALIBRATION, TEST, TRAIN, Observations, Unit, columns, read_observations
from surrogates.tanimoto import BATCH, Floats, Prior, Process, save

SUBSET: Final = 800
"""Units that the marginal likelihood is computed on."""
TOGETHER: Final = (
    tuple(f"permeability_{gas}" for gas in ("O2", "N2", "CO2", "CH4", "H2", "He")),
    ("bandgap_chain", "bandgap_bulk", "bandgap_crystal"),
)
"""Properties fitted as one: a film is as open, and a chain as conjugated, for one as for the other."""
PACKED: Final = frozenset(("density_gcm3", "density_md_gcm3"))
"""Columns of which the values go with the density without free volume, for polymers fill much the same share of space."""

FREEDOM: Final = 4.0
"""Degrees of freedom of the Student-t errors of a measurement."""
ROUNDS: Final = 4
MEASURED: Final = frozenset(item.column for item in PROPERTIES.values() if item.kind == "exp")
"""Columns that may hold gross nonsense. An extreme value that is computed is none, and what a chemist looks for."""

_DOUBT: Final = 10

Say = Callable[[str], None]
Rows = NDArray[np.integer[Any]]
LeftOut = tuple[Floats, Floats, Floats]
"""Mean, spread and similarity to the nearest other unit, each (n,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One property: its process; the rows of `known`, all training units in order, that it was fitted on; and, of units that it says
    something of without having seen them (n), the names, the values, mean, spread, and similarity to the nearest unit, all (n,)."""

    process: Process
    rows: NDArray[np.int32]
    units: list[str]
    true: Floats
    said: LeftOut


def fit_all(
    units: Mapping[str, Unit], observations: Mapping[str, Observations], known: Sequence[str], everyone: Environments
) -> Iterator[tuple[str, Fitted]]:
    """Yield each property that is fitted, from the units `known` and their environments."""
    place = {text: row for row, text in enumerate(known)}
    named = {name: observations[column] for column, name in columns().items()}
    alone = [(name,) for name in named if not any(name in names for names in TOGETHER)]
    for names in (*alone, *TOGETHER):
        # Values in doubt teach nothing, but they are part of what is asked for.
        learned = [np.array([units[text].part == TRAIN for text in named[name].units]) & ~named[name].conflict for name in names]
        rows = [
            np.array([place[named[name].units[i]] for i in np.flatnonzero(own)]) for name, own in zip(names, learned, strict=True)
        ]
        everybody = np.unique(np.concatenate(rows)).astype(np.int32)
        values = [named[name].values[own] for name, own in zip(names, learned, strict=True)]
        both = [(np.searchsorted(everybody, own), value) for own, value in zip(rows, values, strict=True)]
        found = fit_together(everyone[everybody], both, [PROPERTIES[name].column for name in names])
        for name, own, (process, left_out) in zip(names, learned, found, strict=True):
            apart = [i for i, text in enumerate(named[name].units) if not own[i] and units[text].part != TEST]
            new = process.answer(environments([units[named[name].units[i]].mol for i in apart]))
            judged = [*np.flatnonzero(own), *apart]
            predicted, spread, near = (np.concatenate(pair) for pair in zip(left_out, new, strict=True))
            yield (
                name,
                Fitted(
                    process=process,
                    rows=everybody,
                    units=[named[name].units[i] for i in judged],
                    true=named[name].values[judged],
                    said=(predicted, spread, near),
                ),
            )


def train_tanimoto(data: Path, work: Path, say: Say) -> None:
    """Fit in `work` every property of the tables in `data`, and calibrate; deterministic, so that it is run again rather than resumed."""
    work.mkdir(parents=True, exist_ok=True)
    units, observations = read_observations(data)
    known = sorted(text for text, unit in units.items() if unit.part == TRAIN)
    everyone = environments([units[text].mol for text in known])
    fitted, calibrations, learned = {}, {}, set[str]()
    apart: dict[str, Floats] = {}
    missed: dict[str, dict[str, float]] = {}
    for name, one in fit_all(units, observations, known, everyone):
        predicted, spread, near = one.said
        measured = PROPERTIES[name].column in MEASURED
        new = np.array([measured and units[text].part == CALIBRATION for text in one.units])
        calibrations[name] = Calibration.fit(predicted[~new], one.true[~new], near[~new], spread[~new])
        if measured:
            apart[name] = calibrations[name].relative(predicted[new], one.true[new], near[new], spread[new])
        errors = Errors.of(predicted, one.true)
        if errors.r2 >= WORTH_OFFERING:
            learned.add(name)
        missed[name] = dict(zip(one.units, (one.true - predicted).tolist(), strict=True))
        say(f"{name}: {len(one.true)} units, {one.process.prior}, left out: R2 {errors.r2:.3f}, MAE {errors.mae:.3g}")
        fitted[name] = (one.process.prior, one.rows, one.process.weights)
    for name, item in PROPERTIES.items():
        if item.terms:
            first, second = (missed[term] for term in item.terms)
            weights = list(item.terms.values())
            mae = np.mean([abs(weights[0] * first[unit] + weights[1] * second[unit]) for unit in set(first) & set(second)])
            alike = f"{correlation(first, second):.2f}, {item.correlation} in the table"
            say(f"{name}, left out: MAE {mae:.3g}; correlation of the errors of its terms {alike}")
    # A value that is left out has already told which of its neighbours are outliers; the calibration part has not.
    together = np.concatenate(list(apart.values()))
    calibrations |= {name: calibrations[name].scaled(together) for name in apart}
    names = columns().values()
    save(work, everyone, {name: fitted[name] for name in names})
    stored = {
        "properties": {name: calibrations[name].to_dict() for name in names},
        "offered": [name for name in names if name in learned],
    }
    (work / "calibration.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def correlation(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Return the correlation of the errors (unit -> error) of two properties on the units that have both."""
    both = sorted(set(first) & set(second))
    return float(np.corrcoef([first[unit] for unit in both], [second[unit] for unit in both])[0, 1])


def environments(mols: Sequence[Chem.Mol]) -> Environments:
    """Return the environments of any number of repeat units."""
    return Environments.joined([Environments.of(mols[start : start + BATCH]) for start in range(0, len(mols), BATCH)])


def fit(units: Environments, values: Floats, column: str) -> tuple[Process, LeftOut]:
    """Return the posterior given the values (n,) of units, and what it says of each unit without it."""
    return fit_together(units, [(np.arange(len(units)), values)], [column])[0]


def fit_together(
    units: Environments, known: Sequence[tuple[Rows, Floats]], asked: Sequence[str]
) -> list[tuple[Process, LeftOut]]:
    """Return, for each property, the posterior given (rows of units, values there) of all, and what it says of each of its units
    without any value of that unit.

    asked: the columns that these are: all of them `PACKED` or none, and `MEASURED` or none.

    Covariance of property g of one unit and h of another: B_gh k, and B_gh times the geometric mean of the noises for errors of one unit
    (intrinsic coregionalisation: Bonilla et al., NeurIPS 2007), B being the correlations of the values. The ratio of two gases is so
    predicted as such, and not as the difference of two errors. Without a unit, whose values are the block u, values are
    y_u - ([K^-1]_uu)^-1 [K^-1 y]_u (Rasmussen and Williams 2006, eq. 5.12, by blocks).
    """
    similarity = np.concatenate([units[start : start + BATCH].similarity(units) for start in range(0, len(units), BATCH)])
    alike = np.concatenate([units[start : start + BATCH].alike(units) for start in range(0, len(units), BATCH)])
    packed, rounds = PACKED.issuperset(asked), ROUNDS if MEASURED.issuperset(asked) else 1
    slopes = [round(float(np.polyfit(units.filled[rows], values, 1)[0]), 4) if packed else 0.0 for rows, values in known]
    priors = [
        replace(_likeliest(similarity, alike, rows, values - slope * units.filled[rows]), slope=slope)
        for (rows, values), slope in zip(known, slopes, strict=True)
    ]
    counts = [len(rows) for rows, _ in known]
    shared = {
        name: round(float(np.exp(np.average([np.log(getattr(prior, name)) for prior in priors], weights=counts))), 4)
        for name in ("similar", "alike")
    }
    priors = [replace(prior, **shared) for prior in priors]
    kernel = priors[0].kernel(similarity, alike)

    owner = np.repeat(np.arange(len(known)), counts)
    row = np.concatenate([rows for rows, _ in known])
    scaled = [
        (values - prior.expected(units.filled[rows])) / prior.scale for prior, (rows, values) in zip(priors, known, strict=True)
    ]
    between = correlations([rows for rows, _ in known], scaled)
    covariance = kernel[np.ix_(row, row)].astype(np.float64) * between[np.ix_(owner, owner)]
    deviation = np.sqrt([prior.noise for prior in priors])
    noise = between * deviation[:, None] * deviation
    precision = inverse(covariance, noise, owner, units_of(row), np.concatenate(scaled), rounds)
    solved = precision @ np.concatenate(scaled)
    missed = np.zeros(len(row))
    for one in units_of(row):
        missed[one] = np.linalg.solve(precision[np.ix_(one, one)], solved[one])
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


def inverse(covariance: Floats, noise: Floats, owner: Rows, blocks: Sequence[Rows], values: Floats, rounds: int) -> Floats:
    """Return the inverse of the covariance of values (n,), that of their errors included.

    covariance: without errors, (n, n); noise: of the errors of one unit, (p, p); owner: the property of each value; blocks: the values
    of each unit. A measurement may be gross nonsense: errors of a unit are Student-t, that is normal with a covariance noise / w, of
    which each w is set to what is expected of it given all values (expectation maximisation: Lange et al., J. Am. Stat. Assoc. 84:881,
    1989; with a Gaussian process, Tipping and Lawrence, Neurocomputing 69:123, 2005). In one round they are normal.
    """
    own = [noise[np.ix_(owner[block], owner[block])] for block in blocks]
    weights = np.ones(len(blocks))
    for left in reversed(range(rounds)):
        matrix = covariance.copy()
        for block, errors, weight in zip(blocks, own, weights, strict=True):
            matrix[np.ix_(block, block)] += errors / weight
        found: Floats = linalg.inv(matrix, overwrite_a=True, check_finite=False, assume_a="pos")
        if left:
            solved = found @ values
            for i, (block, errors) in enumerate(zip(blocks, own, strict=True)):
                # The expected squared error, in units of noise: of its posterior mean, errors / w @ solved, and around that.
                seen = solved[block] @ errors @ solved[block] - np.sum(found[np.ix_(block, block)] * errors)
                squared = seen / weights[i] ** 2 + len(block) / weights[i]
                weights[i] = (FREEDOM + len(block)) / (FREEDOM + squared)
    return found


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
