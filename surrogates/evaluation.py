"""Figures of the model cards: any surrogate, or several together, on repeat units that no model was trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Prediction, Surrogate
from inverse_design.split import WELL_KNOWN
from inverse_design.target import consensus, log_interval
from surrogates.baseline import baseline, features
from surrogates.calibration import Z80, Calibration
from surrogates.neighbours import Neighbours, fingerprints
from surrogates.observations import CALIBRATION, TEST, TRAIN, Observations, Unit, columns, read_observations
from surrogates.polync import HEAT_CLASSES, REPORTED, PolyNC
from surrogates.polyscreen import PolyScreen

WORTH_OFFERING = 0.5
"""R2 on units never trained on from which a property is answered by default."""

_MANY = 75
"""Units of which each third has five outside their interval, by expectation, so that their number is nearly normal."""

Floats = NDArray[np.float64]
Say = Callable[[str], None]
Answers = Mapping[str, Mapping[str, Prediction]]
"""Property -> canonical repeat unit -> what one surrogate says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How predictions (n,) of one property compare with the truth, in the property's unit."""

    n: int
    r2: float
    mae: float
    rmse: float

    @classmethod
    def of(cls, predicted: Floats, true: Floats) -> Errors:
        residuals = true - predicted
        spread = float(np.sum((true - true.mean()) ** 2))
        return cls(
            n=len(true),
            r2=1 - float(np.sum(residuals**2)) / spread if spread else float("nan"),
            mae=float(np.abs(residuals).mean()),
            rmse=float(np.sqrt(np.mean(residuals**2))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Answers to one property beside the truth, all (n,): canonical units, true values, calibrated mean and std, in domain."""

    units: list[str]
    true: Floats
    mean: Floats
    std: Floats
    inside: NDArray[np.bool_]

    @property
    def errors(self) -> Errors:
        return Errors.of(self.mean, self.true)

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Whether each 80 % interval holds the truth."""
        return np.abs(self.true - self.mean) <= Z80 * self.std

    def thirds(self) -> list[NDArray[np.bool_]]:
        """Return `covered` of the units in each third of the predicted range."""
        third = np.digitize(self.mean, np.quantile(self.mean, [1 / 3, 2 / 3]))
        return [self.covered[third == i] for i in range(3)]

    def chances(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Return predicted chances to lie above each decile of the true values, and whether that came true; (9 n,)."""
        limits = np.quantile(self.true, np.arange(0.1, 1, 0.1))
        said = [np.exp(log_interval(self.mean, self.std, limit, np.inf)) for limit in limits]
        return np.concatenate(said), np.concatenate([self.true >= limit for limit in limits])

    def take(self, rows: NDArray[np.bool_]) -> Judged:
        """Return some of the units."""
        kept = [unit for unit, row in zip(self.units, rows, strict=True) if row]
        return Judged(units=kept, true=self.true[rows], mean=self.mean[rows], std=self.std[rows], inside=self.inside[rows])


def reliability(said: Floats, came_true: NDArray[np.bool_]) -> tuple[list[tuple[float, float, int]], float]:
    """Return (mean chance, share that came true, count) in ten bins of chance, and the expected calibration error.

    Naeini et al., AAAI 2015: the mean distance of the two, weighted by the count.
    """
    place = np.minimum((said * 10).astype(int), 9)
    bins = [
        (float(said[place == i].mean()), float(came_true[place == i].mean()), int(np.sum(place == i)))
        for i in range(10)
        if np.any(place == i)
    ]
    return bins, sum(count * abs(chance - share) for chance, share, count in bins) / len(said)


def evenness(judged: Mapping[str, Judged]) -> tuple[float, int, float]:
    """Return how far the coverage of 80 % intervals in thirds of the predicted range is from 80 %: the sum of squared distances,
    each in standard deviations of chance, their number, and how probable so large a sum is by chance alone.

    Thirds of measured properties with `_MANY` units or more: derived ones share their units' errors.
    """
    thirds = [
        third
        for name, one in judged.items()
        if not PROPERTIES[name].terms and len(one.units) >= _MANY
        for third in one.thirds()
        if len(third)
    ]
    squares = sum(len(third) * (float(third.mean()) - 0.8) ** 2 / (0.8 * 0.2) for third in thirds)
    return squares, len(thirds), float(chi2.sf(squares, len(thirds))) if thirds else 1.0


def _heat_class(tg: Floats) -> NDArray[np.intp]:
    return np.digitize(tg, sorted(HEAT_CLASSES))


def accuracy(said: Floats, true: Floats) -> float:
    """Return the share of units (n,) whose predicted Tg falls in the class of heat resistance (`HEAT_CLASSES`) of the measured one."""
    return float(np.mean(_heat_class(said) == _heat_class(true)))


def balanced_accuracy(said: Floats, std: Floats, true: Floats, shares: Floats) -> float:
    """Return the share of units (n,) put in the class of the measured Tg, averaged over the classes.

    A unit is put where its probability, for a normal error `std` (n,), is highest beside the share of the class among the polymers
    trained on: the decision that this average rewards. The likeliest class would hardly ever be a rare one.
    """
    borders = np.array([-np.inf, *sorted(HEAT_CLASSES), np.inf])
    below = norm.cdf((borders - said[:, None]) / std[:, None])
    ours, theirs = np.argmax(np.diff(below, axis=1) / shares, axis=1), _heat_class(true)
    return float(np.mean([np.mean(ours[theirs == one] == one) for one in np.unique(theirs)]))


def heat_shares(tg: Floats) -> Floats:
    """Return the share of each class of heat resistance, lowest first, among polymers of these Tg; shape (3,), none of them zero."""
    counts = np.bincount(_heat_class(tg), minlength=1 + len(HEAT_CLASSES)) + 1.0
    return np.asarray(counts / counts.sum(), np.float64)


def askable(model: Surrogate) -> Sequence[str]:
    """Return the properties that a surrogate can be asked for, offered or not."""
    if isinstance(model, PolyScreen):
        return ["Tg", *model.breadth.scales]
    return list(model.calibrations) if isinstance(model, PolyNC) else model.properties


class HeldOut:
    """The tables, read once, and what extra trees trained on the same part say of held-out units."""

    def __init__(self, data: Path) -> None:
        self.units, observed = read_observations(data)
        self.observations = {columns()[column]: rows for column, rows in observed.items() if column in columns()}

    @cached_property
    def features(self) -> dict[str, NDArray[np.float32]]:
        return dict(zip(self.units, features([unit.mol for unit in self.units.values()]), strict=True))

    @cached_property
    def trees(self) -> dict[str, dict[str, float]]:
        """Property -> unit -> what extra trees say."""
        found = {}
        for name, rows in self.observations.items():
            asked = self.measured(name, TEST)
            found[name] = dict(zip(asked, baseline(self.units, rows, asked, self.features).tolist(), strict=True))
        return found

    def measured(self, name: str, part: int) -> list[str]:
        """Return the units of one part of the split with a value for a property, or for each of its terms."""
        rows = [set(self.observations[term].units) for term in PROPERTIES[name].asked]
        return [
            text
            for text in self.observations[PROPERTIES[name].asked[0]].units
            if self.units[text].part == part and all(text in one for one in rows)
        ]

    def true(self, name: str, texts: Sequence[str]) -> Floats:
        """Return the values of a property, derived ones computed from those of their terms."""
        item = PROPERTIES[name]
        terms = item.terms or {name: 1.0}
        value = {
            term: dict(zip(self.observations[term].units, self.observations[term].values.tolist(), strict=True)) for term in terms
        }
        return np.array([item.constant + sum(weight * value[term][text] for term, weight in terms.items()) for text in texts])

    def ask(self, model: Surrogate, part: int = TEST) -> Answers:
        """Return the valid answers of a surrogate for each property it can be asked for, offered or not, where a value is known."""
        found = {}
        for name in askable(model):
            texts = self.measured(name, part)
            answers = model.predict(texts, [name])
            found[name] = {text: one[name] for text, one in zip(texts, answers, strict=True) if one[name] is not None}
        return found  # type: ignore[return-value]

    def judge(self, several: Sequence[Answers], part: int = TEST) -> dict[str, Judged]:
        """Return how surrogates together do on every property they can answer, derived ones included."""
        judged = {}
        for name, item in PROPERTIES.items():
            if not all(any(term in answers for answers in several) for term in item.asked):
                continue
            heard = {}
            for text in self.measured(name, part):
                said = {term: [own[text] for answers in several if text in (own := answers.get(term, {}))] for term in item.asked}
                if (answer := consensus(name, said)) is not None:
                    heard[text] = answer
            if len(heard) > 1:
                judged[name] = Judged(
                    units=list(heard),
                    true=self.true(name, list(heard)),
                    mean=np.array([one.mean for one in heard.values()]),
                    std=np.array([one.std for one in heard.values()]),
                    inside=np.array([one.in_domain for one in heard.values()]),
                )
        return judged


def print_table(held: HeldOut, judged: Mapping[str, Judged], out: Say) -> dict[str, Any]:
    """Print one line a property: errors, those of extra trees, coverage, domain, calibration of chances; return the figures."""
    out(
        "| property | n | R2 | MAE | RMSE | trees R2 | MAE | 80 % coverage | by third | in domain: coverage, MAE | out of domain: n, coverage, MAE | ECE |"
    )
    out("|---|---|---|---|---|---|---|---|---|---|---|---|")
    table: dict[str, Any] = {}
    for name, one in judged.items():
        mine = one.errors
        base = None
        if not PROPERTIES[name].terms:
            base = Errors.of(np.array([held.trees[name][text] for text in one.units]), one.true)
        error = reliability(*one.chances())[1]
        misses, far = np.abs(one.true - one.mean), ~one.inside
        near_text = f"{one.covered[~far].mean():.0%}, {misses[~far].mean():.3g}" if np.any(~far) else "none"
        far_text = f"{far.sum()}, {one.covered[far].mean():.0%}, {misses[far].mean():.3g}" if np.any(far) else "none"
        thirds = [float(third.mean()) if len(third) else float("nan") for third in one.thirds()]
        trees = f"{base.r2:.3f} | {base.mae:.3g}" if base is not None else "|"
        out(
            f"| {name} | {mine.n} | {mine.r2:.3f} | {mine.mae:.3g} | {mine.rmse:.3g} | {trees} | {one.covered.mean():.0%} "
            f"| {' / '.join(f'{part:.0%}' for part in thirds)} | {near_text} | {far_text} | {error:.3f} |"
        )
        table[name] = {"n": mine.n, "r2": mine.r2, "mae": mine.mae, "rmse": mine.rmse, "coverage": float(one.covered.mean())}
        table[name] |= {"thirds": thirds, "ece": error, "out_of_domain": int(far.sum())}
        if base is not None:
            table[name] |= {"trees_r2": base.r2, "trees_mae": base.mae}
    squares, count, chance = evenness(judged)
    out("")
    out(
        f"Coverage in thirds of measured properties with {_MANY} units or more: chi-squared of 80 % {squares:.1f} on {count}, p {chance:.2g}"
    )
    _print_reliability(judged, out)
    return table


def _print_reliability(judged: Mapping[str, Judged], out: Say) -> None:
    """Print, over all properties, how often what was given a chance came true."""
    pairs = [one.chances() for one in judged.values()]
    bins, error = reliability(np.concatenate([said for said, _ in pairs]), np.concatenate([true for _, true in pairs]))
    out("")
    out("| chance that a target is met, all properties | came true | cases |")
    out("|---|---|---|")
    for chance, share, count in bins:
        out(f"| {chance:.0%} | {share:.0%} | {count} |")
    out(f"| expected calibration error | {error:.3f} | {sum(count for _, _, count in bins)} |")


def print_well_known(models: Mapping[str, Surrogate], out: Say) -> None:
    """Print what each surrogate, and all together, say of the glass transition of polymers every chemist knows."""
    asked = {name: [one["Tg"] for one in model.predict(list(WELL_KNOWN), ["Tg"])] for name, model in models.items()}
    heads = [*asked, "together"] if len(asked) > 1 else list(asked)
    out(f"| polymer, never trained on | Tg in the literature, degC | {' | '.join(heads)} |")
    out(f"|---|---|{'---|' * len(heads)}")
    for row, (name, literature) in enumerate(WELL_KNOWN.values()):
        answers = [own[row] for own in asked.values()]
        if len(asked) > 1:
            answers.append(consensus("Tg", {"Tg": [one for one in answers if one is not None]}))
        cells = [
            "no answer" if one is None else f"{one.mean:.0f} ± {Z80 * one.std:.0f}{'' if one.in_domain else ' ?'}"
            for one in answers
        ]
        out(f"| {name} | {literature} | {' | '.join(cells)} |")


def evaluate_surrogate(name: str, model: Surrogate, held: HeldOut, judged: Mapping[str, Judged], out: Say) -> dict[str, Any]:
    """Print and return the figures of one surrogate on held-out units; intervals are of 80 %, `?` marks out of domain."""
    table = print_table(held, judged, out)
    if "Tg" in model.properties:
        out("")
        print_well_known({name: model}, out)
    return table


def offer(learned: Sequence[str]) -> list[str]:
    """Return the properties that a surrogate is asked for by default, in the order of the table: of those that others are derived from
    (gases) all or none. Errors that one model makes in both terms of a ratio cancel, those of two models do not."""
    terms = {term for item in PROPERTIES.values() for term in item.terms}
    left_out = set() if terms <= set(learned) else terms
    return [name for name in PROPERTIES if name in learned and name not in left_out]


def calibrate_polync(data: Path, folder: Path) -> None:
    """Write `neighbours.safetensors` and `calibration.json` beside the weights in `folder`, from the tables in `data`.

    Offered by default are the tasks that its paper reports, and those on which it beats extra trees, if they can be learned at all (`offer`).
    """
    units, observations = read_observations(data)
    known = {columns()[column]: rows for column, rows in observations.items() if column in columns()}
    names = sorted(name for name, unit in units.items() if unit.part == TRAIN)
    row = {name: i for i, name in enumerate(names)}
    members = {name: np.array(sorted(row[u] for u in rows.units if u in row), dtype=np.int32) for name, rows in known.items()}
    neighbours = Neighbours(_canonical_fingerprints(names), members)
    neighbours.save(folder / "neighbours.safetensors")
    blank = {"properties": {name: Calibration.constant(1.0).to_dict() for name in known}, "offered": [], "one_token": True}
    (folder / "calibration.json").write_text(json.dumps(blank), encoding="utf-8")
    model = PolyNC.load(folder)
    stored: dict[str, Any] = {"properties": {}, "offered": [], "one_token": True}
    x = dict(zip(units, features([unit.mol for unit in units.values()]), strict=True))
    for name, rows in known.items():
        texts, predicted, true = answers(model, name, rows, units, CALIBRATION)
        near = neighbours.nearest(_canonical_fingerprints(texts), name)
        stored["properties"][name] = Calibration.fit(predicted, true, near).to_dict()
        own, trees = Errors.of(predicted, true).r2, Errors.of(baseline(units, rows, texts, x), true).r2
        if own >= WORTH_OFFERING and (name in REPORTED or own >= trees):
            stored["offered"].append(name)
    stored["offered"] = offer(stored["offered"])
    (folder / "calibration.json").write_text(json.dumps(stored, indent=1), encoding="utf-8")


def _canonical_fingerprints(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return the fingerprints of canonical repeat units, as `PolyNC.predict` asks for them; not those of the frame they were found in."""
    return fingerprints([unit.mol for text in texts if isinstance(unit := parse(text), RepeatUnit)])


def answers(model: PolyNC, name: str, rows: Observations, units: dict[str, Unit], part: int) -> tuple[list[str], Floats, Floats]:
    """Return (repeat units, uncalibrated answers, true values) of one part of the split, without those not answered."""
    chosen = [i for i, text in enumerate(rows.units) if units[text].part == part]
    means = [answer[name] for answer in model.means([rows.units[i] for i in chosen], [name])]
    pairs = [(i, mean) for i, mean in zip(chosen, means, strict=True) if mean is not None]
    return [rows.units[i] for i, _ in pairs], np.array([mean for _, mean in pairs]), rows.values[[i for i, _ in pairs]]
