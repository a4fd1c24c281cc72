"""What stands between a campaign and its candidates: the constraint that binds, and the least change of it that would do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from inverse_design.properties import PROPERTIES
from inverse_design.state import State
from inverse_design.target import Target, log_interval

DOMAIN = "in domain"
"""Name of the constraint that every target is answered by a model that knows such repeat units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One constraint among those of a campaign, held against all candidates scored so far.

    held: candidates that meet it by themselves; without: candidates that would pass were it dropped; relaxation: how far its
    open bounds must move, in the property's unit, for the wanted number to pass; None where no distance would do, or none is needed.
    """

    name: str
    held: int
    without: int
    relaxation: float | None = None


def constraints(state: State) -> list[Constraint]:
    """Return every target, and the domain, the one that binds most first: more would pass without it than without any other."""
    history, spec = state.history(), state.spec
    rows = history.scored
    needed, inside = math.log(spec.confidence), history.in_domain[rows]
    each = {name: values[rows] for name, values in history.each.items()}
    joint = history.log_feasibility[rows]
    found = [Constraint(name=DOMAIN, held=int(inside.sum()), without=int((joint >= needed).sum()))]
    for target in spec.targets:
        name = target.property
        mean, std, rest = history.mean[name][rows], history.std[name][rows], joint - each[name]
        found.append(
            Constraint(
                name=name,
                held=int(((mean >= target.low) & (mean <= target.high)).sum()),
                without=int((inside & (rest >= needed)).sum()),
                relaxation=_relaxation(target, mean[inside], std[inside], rest[inside], needed, spec.want.candidates),
            )
        )
    return sorted(found, key=lambda one: (-one.without, one.held))


def _relaxation(target: Target, mean: np.ndarray, std: np.ndarray, rest: np.ndarray, needed: float, wanted: int) -> float | None:
    """Return by how much the bounds of one target must move outwards for `wanted` candidates to pass, by bisection."""

    def passing(distance: float) -> int:
        return int((rest + log_interval(mean, std, target.low - distance, target.high + distance) >= needed).sum())

    item = PROPERTIES[target.property]
    low, high = 0.0, 2 * (item.high - item.low)
    if not len(mean) or passing(low) >= wanted or passing(high) < wanted:
        return None
    while high - low > 1e-4 * item.scale:
        middle = (low + high) / 2
        low, high = (low, middle) if passing(middle) >= wanted else (middle, high)
    return high


def closest(state: State) -> str:
    """Say which constraint binds, and what least change of a target would give the wanted number of candidates."""
    if not state.candidates:
        return "No candidate passed structure and novelty; the commonest reason was " + state.reasons.most_common(1)[0][0] + "."
    spec, total = state.spec, len(state.candidates)
    every = constraints(state)
    binding = every[0]
    if binding.name == DOMAIN:
        said = (
            f"What binds is the models' knowledge: {binding.without - len(state.passing())} candidates would pass, but are unlike what "
            f"the models of the targets were trained on ({binding.held} of {total} are like it)"
        )
    else:
        said = (
            f"The binding target is {binding.name}: {binding.held} of {total} candidates are predicted within its bounds, "
            f"{binding.without} would pass without it"
        )
    targets = {target.property: target for target in spec.targets}
    eased = [one for one in every if one.relaxation is not None]
    if not eased:
        return f"{said}."
    least = min(eased, key=lambda one: (one.relaxation or 0.0) / PROPERTIES[one.name].scale)
    target, moved = targets[least.name], least.relaxation or 0.0
    return f"{said}; {least.name} relaxed by {target.shown.distance(moved)}, to {relaxed(target, moved)}, would give {spec.want.candidates}."


def relaxed(target: Target, distance: float) -> str:
    """Say the bounds of a target once they have moved outwards: `>= 321 degC`."""
    unit = target.shown
    low, high = target.low - distance, target.high + distance
    if math.isinf(high):
        return f">= {unit.brief(low)} {unit.name}"
    return f"<= {unit.brief(high)} {unit.name}" if math.isinf(low) else f"{unit.brief(low)} to {unit.brief(high)} {unit.name}"
