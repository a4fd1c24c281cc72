"""Whether a campaign goes on, and if not, why: met, exhausted, infeasible, budget or collapse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import chi2

from inverse_design.novelty import leaders
from inverse_design.properties import PROPERTIES
from inverse_design.state import Candidate, State

FLOOR = 0.02
"""Share of accepted samples under which a round is a failure of the generator rather than of the search."""
PATIENCE = 3
CLUSTER_SIMILARITY = 0.6

Reason = Literal["met", "exhausted", "infeasible", "budget", "collapse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a campaign stopped, in one word and in one sentence."""

    reason: Reason
    sentence: str

    @property
    def exit_code(self) -> int:
        """0 when the spec is met, 6 when too many candidates failed, 3 otherwise."""
        return {"met": 0, "collapse": 6}.get(self.reason, 3)


def clusters(candidates: list[Candidate], enough: int) -> int:
    """Return how many groups of similar structure the candidates fall into, counting no further than `enough`."""
    return leaders([candidate.psmiles for candidate in candidates], CLUSTER_SIMILARITY, enough)


def verdict(state: State, hours: float) -> Verdict | None:
    """Return why the campaign stops here, or None to go on. `hours`: time spent so far."""
    spec = state.spec
    passing = state.passing()
    if len(passing) >= spec.want.candidates:
        groups = clusters(passing, spec.want.clusters)
        if groups >= spec.want.clusters:
            return Verdict(
                reason="met",
                sentence=f"{len(passing)} distinct novel candidates meet the spec with probability >= {spec.confidence:g}, "
                f"in at least {groups} clusters, from {state.samples} samples in {state.rounds} rounds",
            )
    low = failing_rounds(state)
    if low > PATIENCE:
        worst = ", ".join(f"{reason} {count}" for reason, count in state.reasons.most_common(4))
        return Verdict(
            reason="collapse", sentence=f"fewer than {FLOOR:.0%} of samples were usable {low} rounds running ({worst})"
        )
    spent = _spent(state, hours)
    if spent is not None:
        return Verdict(
            reason="budget", sentence=f"{spent}; {len(passing)} of {spec.want.candidates} candidates found. {closest(state)}"
        )
    if _hopeless(state):
        reason: Reason = "exhausted" if passing else "infeasible"
        return Verdict(
            reason=reason,
            sentence=f"at the present yield the rest of the budget would bring less than one more candidate; "
            f"{len(passing)} of {spec.want.candidates} found. {closest(state)}",
        )
    return None


def failing_rounds(state: State) -> int:
    """Return how many rounds in a row, up to the last, accepted less than `FLOOR` of their samples."""
    count = 0
    for row in reversed(state.progress):
        if row["accepted"] >= FLOOR * row["samples"]:
            break
        count += 1
    return count


def _spent(state: State, hours: float) -> str | None:
    budget = state.spec.budget
    if state.rounds >= budget.rounds:
        return f"the budget of {budget.rounds} rounds is spent"
    if budget.samples is not None and state.samples >= budget.samples:
        return f"the budget of {budget.samples} samples is spent"
    if budget.hours is not None and hours >= budget.hours:
        return f"the budget of {budget.hours:g} hours is spent"
    return None


def _hopeless(state: State) -> bool:
    """Whether the upper 95 % bound of recent yield (exact Poisson, Garwood 1936) times the samples left is under one."""
    budget = state.spec.budget
    recent = state.progress[-5:]
    if len(recent) < 5:
        return False
    left = (budget.rounds - state.rounds) * state.spec.acquisition.samples_per_round
    left = min(left, budget.samples - state.samples) if budget.samples is not None else left
    found, drawn = sum(row["passing"] for row in recent), sum(row["samples"] for row in recent)
    return bool(chi2.ppf(0.95, 2 * (found + 1)) / 2 / drawn * left < 1)


def closest(state: State) -> str:
    """Say which target binds and what smallest change of it would give the wanted number of candidates."""
    if not state.candidates:
        return "No candidate passed structure and novelty; the commonest reason was " + state.reasons.most_common(1)[0][0] + "."
    spec = state.spec
    held = {
        t.property: np.array([t.low <= c.predictions[t.property].mean <= t.high for c in state.candidates]) for t in spec.targets
    }
    binding = min(spec.targets, key=lambda target: held[target.property].mean())
    others = np.all(
        [held[t.property] for t in spec.targets if t is not binding] or [np.ones(len(state.candidates), bool)], axis=0
    )
    misses = sorted(
        max(binding.low - c.predictions[binding.property].mean, c.predictions[binding.property].mean - binding.high, 0.0)
        for c, other in zip(state.candidates, others, strict=True)
        if other
    )
    unit = PROPERTIES[binding.property].unit
    share = f"{held[binding.property].mean():.1%} of {len(state.candidates)} candidates are predicted within {binding.property}'s bounds"
    if len(misses) < spec.want.candidates:
        return f"The binding target is {binding.property}: {share}."
    relaxed = misses[spec.want.candidates - 1]
    if relaxed == 0:
        return f"The binding target is {binding.property}: {share}, but not with the confidence asked for."
    return f"The binding target is {binding.property}: {share}; relaxed by {relaxed:.3g} {unit} it would have {spec.want.candidates}."
