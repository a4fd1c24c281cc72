"""Before a campaign is run: can its models tell, and can polymers have, what it asks for? Green, amber or red, with numbers."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median
from typing import Final

from scipy.stats import norm

from campaigns.models import Cast, Model, calibration
from campaigns.results import wanted
from inverse_design.acquisition.known import start
from inverse_design.errors import ModelError
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row
from inverse_design.reference.measured import Measured, Window
from inverse_design.spec import CampaignSpec, Target
from inverse_design.target import needed

GREEN, AMBER, RED = "green", "amber", "red"
USABLE: Final = 0.3
"""Share of samples of the bundled generator that are valid, new and of the wanted structure; a rough figure for an estimate."""
ENOUGH: Final = 20
"""Polymers that would pass, for the first round to have something to go by."""
LEAP: Final = 100
"""How many times better than real polymers at large the reweighting of prompts can be hoped to do."""


def preflight(spec: CampaignSpec, base: Path) -> list[Row]:
    """Return one row a check: check, level, found, advice. Raises SpecError or ModelError where models are missing."""
    cast, known = Cast.of(spec, base), Measured.load()
    rows = []
    for target in spec.targets:
        rows += [_in_range(target, known), _resolved(target, spec, cast)]
    for index, one in enumerate(spec.targets):
        rows += [
            _conflict(one, other, known)
            for other in spec.targets[:index]
            if {one.property, other.property} <= known.counts.keys()
        ]
    return [*rows, _base_rate(spec, cast, known), _start(spec)]


def _window(target: Target) -> Window:
    return target.property, target.low, target.high


def _row(check: str, level: str, found: str, advice: str = "") -> Row:
    return {"check": check, "level": level, "found": found, "advice": advice}


def _in_range(target: Target, known: Measured) -> Row:
    method = PROPERTIES[target.property].method
    check = f"{wanted(target)}: {f'polymers computed by {method}' if method else 'measured polymers'}"
    if target.property not in known.counts:
        return _row(check, AMBER, "fewer than 20 polymers have a value", "treat predictions as guesses")
    values, share, unit = known.quantiles[target.property], known.share(_window(target)), target.shown
    least, middle, most = (unit.brief(values[place]) for place in (0, 50, -1))
    found = f"{share:.2%} of {known.counts[target.property]:,} lie within ({least} to {most} {unit.name}, median {middle})"
    if target.low > values[-1] or target.high < values[0]:
        return _row(check, RED, found, "nothing known is like it: models extrapolate; ask for less")
    if share < 0.01:
        return _row(check, AMBER, found, "at the edge of what the models were trained on")
    return _row(check, GREEN, found)


def _resolved(target: Target, spec: CampaignSpec, cast: Cast) -> Row:
    """The best probability of passing that any candidate can have, against what each target must reach on average."""
    each = spec.confidence ** (1 / len(spec.targets))
    stds = errors(target.property, cast)
    if not stds:
        return _row(
            f"{wanted(target)}: resolution of the models", AMBER, "the error bars of one's own models are seen once they run"
        )
    best, std = max(_reachable(target, std) for std in stds), min(stds)
    check = f"{wanted(target)}: resolution of the models"
    found = f"error {target.shown.distance(std)} (1 sd) at best; a candidate passes with probability {best:.2f} at most, {each:.2f} is needed"
    if best < each:
        return _row(
            check, RED, found, f"no candidate can pass; widen the window or lower confidence to {best ** len(spec.targets):.2f}"
        )
    if best < (1 + each) / 2:
        return _row(check, AMBER, found, "only candidates near the best value can pass; a wider window finds more")
    return _row(check, GREEN, found)


def _reachable(target: Target, std: float) -> float:
    """Probability of passing of a candidate predicted at the best value within physical range."""
    item = PROPERTIES[target.property]
    low, high = max(target.low, item.low), min(target.high, item.high)
    if math.isinf(target.high):
        return float(norm.cdf((item.high - low) / std))
    if math.isinf(target.low):
        return float(norm.cdf((high - item.low) / std))
    return float(2 * norm.cdf((target.high - target.low) / 2 / std) - 1)


def errors(name: str, cast: Cast) -> list[float]:
    """Return the calibrated standard errors of a property, over models and thirds of the predicted range.

    Models whose error bars depend on the repeat unit, and one's own models, have none to tell beforehand.
    """
    item = PROPERTIES[name]
    if item.terms:
        spreads = [weight * median(errors(term, cast) or [math.nan]) for term, weight in item.terms.items()]
        std = math.sqrt((1 - item.correlation) * sum(spread**2 for spread in spreads) + item.correlation * sum(spreads) ** 2)
        return [] if math.isnan(std) else [std]
    return [std for short, model in cast.surrogates.items() if name in cast.properties[short] for std in _stds(model, name)]


def _stds(model: Model, name: str) -> list[float]:
    from surrogates.calibration import Calibration

    if model.kind in ("command", "plugin", "tanimoto"):
        return []
    stored = calibration(model)
    if stored is None:
        from surrogates.polync import PUBLISHED

        return list(Calibration.constant(PUBLISHED[name]).inside)
    bars = stored["properties"]
    entries = [bars[name]] if name in bars else [entry for kind, entry in bars.items() if kind not in PROPERTIES]
    try:
        return [std for entry in entries for std in Calibration.from_dict(entry).inside]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{model.folder}: calibration.json is not a calibration ({error!r}); copy the model folder again"
        ) from error


def _conflict(one: Target, other: Target, known: Measured) -> Row:
    count, rho = known.correlation(one.property, other.property)
    windows = [_window(one), _window(other)]
    alone, joint = known.share(windows[0]) * known.share(windows[1]), known.joint(windows)
    check = f"{other.property} with {one.property}"
    if not count:
        return _row(check, AMBER, "fewer than 20 polymers have both", "whether they go together is not known")
    times = joint / alone if alone else 0.0
    found = (
        f"rank correlation {rho:+.2f} over {count} polymers; both hold {times:.2g} times as often as if unrelated ({joint:.2%})"
    )
    if alone and times < 0.02:
        return _row(check, RED, found, "real polymers that have one lack the other; ease one of them")
    if not alone or times < 0.5:
        return _row(check, AMBER, found, "they pull against each other")
    return _row(check, GREEN, found)


def _base_rate(spec: CampaignSpec, cast: Cast, known: Measured) -> Row:
    """Polymers that not only meet the targets, but are so far within them that a prediction with its error would say so."""
    each = spec.confidence ** (1 / len(spec.targets))
    measured = [target for target in spec.targets if target.property in known.counts]
    sure = [(one.property, *needed(one, median(errors(one.property, cast) or [0.0]), each)) for one in measured]
    rate = known.joint(sure) if sure else 0.0
    rounds = spec.budget.rounds * spec.acquisition.samples_per_round
    budget = min(rounds, spec.budget.samples or rounds)
    check = "base rate and budget"
    if not rate:
        return _row(check, RED, "fewer than 1 in 100,000 real polymers would meet all targets by enough to pass", "ease a target")
    samples = math.ceil(spec.want.candidates / rate / USABLE)
    found = (
        f"{rate:.2%} of real polymers meet all targets by enough to pass: drawn like these, {samples:,} samples give {spec.want.candidates}; "
        f"the budget is {budget:,}"
    )
    if samples <= budget:
        return _row(check, GREEN, found)
    if samples <= LEAP * budget:
        return _row(
            check, AMBER, found, f"needs prompts that do {samples / budget:.2g} times better, which reweighting has to find"
        )
    return _row(check, RED, found, "more than reweighting can be hoped to make up; raise the budget or ease a target")


def _start(spec: CampaignSpec) -> Row:
    """What the first round has to go by: known polymers, and others like them, that the bundled process would let pass."""
    prompts, _, met = start(spec.targets, spec.structure)
    check = "polymers to start from"
    if met is None:
        return _row(check, AMBER, "no bundled answers to these properties", "the first round is drawn at random")
    passing = int((met.log_feasibility >= math.log(spec.confidence)).sum())
    found = (
        f"of {len(prompts):,} polymers that prompts are taken from, {len(met.round):,} are in the domain of the bundled process "
        f"for every target, and {passing:,} would pass"
    )
    if passing >= ENOUGH:
        return _row(check, GREEN, found)
    best = f"the best passes with probability {math.exp(met.log_feasibility.max()):.2g}" if len(met.round) else "none is known"
    return _row(check, AMBER, found, f"the first rounds have to search: {best}")


def told(rows: list[Row]) -> str:
    """Return the checks as text."""
    return "\n".join(
        f"{row['level']:6} {row['check']}: {row['found']}" + (f". {row['advice']}" if row["advice"] else "") for row in rows
    )
