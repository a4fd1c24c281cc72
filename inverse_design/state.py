"""What a campaign has done: one record a round, from which everything else is recomputed."""

from __future__ import annotations

from dataclasses import dataclass

from inverse_design.protocols import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round as it happened: facts of the decision and one row per sample, in address order."""

    index: int
    facts: Row
    """JSON: strategy, prompts and their weights, effective sample size, fallback, ..."""
    samples: list[Row]
    """Columns as in `campaigns.ledger.COLUMNS`; the fields after a refusing gate are None."""
