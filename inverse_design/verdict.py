"""Whether a campaign goes on, and if not, why: met, exhausted, infeasible, budget or collapse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from scipy.stats import chi2

from inverse_design.binding import closest
from inverse_design.novelty import leaders
from inverse_design.state import Candidate, State

FLOOR = 0.02
"""Share of accepted samples under which a round is a failure of the generator rather than of the search."""
PATIENCE = 3
CLUSTER_SIMILARITY = 0.6
WINDOW = 5
"""Least number of rounds that a yield is judged by."""

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


def clusters(candidates: Iterable[Candidate], enough: int) -> int:
    """Return how many groups of similar structure the candidates fall into, counting no further than `enough`."""
    return leaders((candidate.psmiles for candidate in candidates), CLUSTER_SIMILARITY, enough)


def verdict(state: State, hours: float) -> Verdict | None:
    """Return why the campaign stops here, or None to go on. `hours`: time spent so far."""
    spec = state.spec
    passing = state.passing()
    spent = _spent(state, hours)
    # What is to be maximised or minimised has no end: such a campaign uses its whole budget.
    if len(passing) >= spec.want.candidates and (spent or not any(target.direction for target in spec.targets)):
        groups = clusters(passing, spec.want.clusters)
        if groups >= spec.want.clusters:
            return Verdict(
                reason="met",
                sentence=f"{len(passing)} distinct novel candidates meet the spec with probability >= {spec.confidence:g}, "
                f"in at least {groups} clusters, from {state.samples} samples in {state.rounds} round{'s' * (state.rounds != 1)}",
            )
    low = failing_rounds(state)
    if low > PATIENCE:
        worst = ", ".join(f"{reason} {count}" for reason, count in state.reasons.most_common(4))
        return Verdict(
            reason="collapse", sentence=f"fewer than {FLOOR:.0%} of samples were usable {low} rounds running ({worst})"
        )
    if spent is not None:
        return Verdict(
            reason="budget", sentence=f"{spent}; {len(passing)} of {spec.want.candidates} candidates found. {closest(state)}"
        )
    if hopeless_rounds(state) > 1:
        reason: Reason = "exhausted" if passing else "infeasible"
        return Verdict(
            reason=reason,
            sentence=f"at the present yield the rest of the budget would bring less than one more candidate, and spreading the prompts "
            f"wider changed nothing; {len(passing)} of {spec.want.candidates} found. {closest(state)}",
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


def hopeless_rounds(state: State) -> int:
    """Return after how many of the last rounds, at most two, there was no hope of one more candidate within the budget.

    After the first of them the prompts are spread wider for a round; after the second there is an end to it.
    """
    return next((ago for ago in range(2) if not _hopeless(state, state.rounds - ago)), 2)


def _hopeless(state: State, rounds: int) -> bool:
    """Whether, after so many rounds, the upper 95 % bound of the yield (exact Poisson, Garwood 1936) times the samples left
    was under one. The yield is that of the later half of the rounds, five at least.
    """
    budget, done = state.spec.budget, state.progress[:rounds]
    recent = done[-max(WINDOW, rounds // 2) :]
    if len(recent) < WINDOW:
        return False
    left = (budget.rounds - rounds) * state.spec.acquisition.samples_per_round
    if budget.samples is not None:
        left = min(left, budget.samples - sum(row["samples"] for row in done))
    found, drawn = sum(row["passing"] for row in recent), sum(row["samples"] for row in recent)
    return bool(chi2.ppf(0.95, 2 * (found + 1)) / 2 / drawn * left < 1)
