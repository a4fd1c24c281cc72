"""What a campaign's rounds say beside the list: where properties moved, what prompts asked for, and what to doubt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from campaigns.models import SURROGATES, find
from inverse_design.acquisition.features import IntVectors
from inverse_design.descriptor_names import NAMES
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row
from inverse_design.state import State
from surrogates.calibration import Z80

PROMPTS: Final = 8
"""Prompts of the last round that a report shows."""
HELD_OUT: Final = next(iter(SURROGATES.values())).parent / "held_out.json"
"""Written by `inverse-design evaluate consensus -o FOLDER`: errors of the bundled surrogates together, for their digests."""


def spread(state: State) -> dict[str, list[Row]]:
    """Return quantiles (10, 25, 50, 75, 90 %) of each target's predicted property, a round at a time."""
    history = state.history()
    rounds = np.split(history.scored, np.searchsorted(history.round[history.scored], np.arange(1, state.rounds)))
    return {
        name: [
            {
                "round": index,
                "count": len(rows),
                "quantiles": np.quantile(history.mean[name][rows], (0.1, 0.25, 0.5, 0.75, 0.9)).tolist(),
            }
            for index, rows in enumerate(rounds)
            if len(rows)
        ]
        for name in (target.property for target in state.spec.targets)
    }


def prompts(state: State) -> Row:
    """Return the prompts of greatest weight of the last round, and the mean of what the first and the last round asked for."""
    history = state.history()
    means = []
    for index in dict.fromkeys((0, state.rounds - 1)) if state.rounds else ():
        asked = history.requested[history.round == index]
        means.append({"round": index, "numbers": [float(value) for value in asked.mean(axis=0)]})
    heaviest = sorted(state.facts.get("prompts", []), key=lambda row: -row["weight"])[:PROMPTS]
    return {"strategy": state.facts.get("strategy", ""), "heaviest": heaviest, "means": means}


def doubts(state: State, models: Mapping[str, str]) -> list[Row]:
    """Return how far each property is to be trusted: domain and interval of the scored candidates, surrogates that differ, and
    errors on polymers that no model was trained on, where they are known for exactly these models (name -> digest)."""
    rows, held_out, history = [], _held_out(state, models), state.history()
    for name, unit in ((target.property, target.shown) for target in state.spec.targets):
        inside, std = history.domain[name][history.scored], history.std[name][history.scored]
        apart = [value for term in PROPERTIES[name].asked for value in state.disagreement.get(term, [])]
        rows.append(
            {
                "property": name,
                "unit": unit,
                "inside": float(np.mean(inside)) if len(inside) else None,
                "half": float(np.median(Z80 * std)) if len(std) else None,
                "both": len(apart),
                "apart": float(np.median(apart)) if apart else None,
                "held_out": held_out.get(name),
            }
        )
    return rows


def adherence(state: State) -> list[Row]:
    """Return one row a descriptor: how closely valid samples keep to their prompts.

    samples; exact: share as asked; bias: mean of realised - requested; mae: mean distance; correlation: Pearson, None where
    one side is constant; low and high: 10 % and 90 % quantile of realised - requested.
    """
    history = state.history()
    valid = history.realised[:, 0] >= 0
    asked, got = history.requested[valid], history.realised[valid]
    return [_adherence(name, asked[:, i], got[:, i]) for i, name in enumerate(NAMES)] if len(got) else []


def laboratory(state: State) -> list[Row]:
    """Return one row a measured property: each polymer told with its prediction before any correction, and what was corrected."""
    rows = []
    for name, correction in state.lab.corrections.items():
        pairs: list[Row] = [
            {
                "psmiles": point.canonical,
                "predicted": point.predicted.mean,
                "half": Z80 * point.predicted.std,
                "measured": point.value,
                "inside": abs(point.value - point.predicted.mean) <= Z80 * point.predicted.std,
            }
            for point in correction.points
        ]
        rows.append(
            {
                "property": name,
                "unit": state.spec.shown(name),
                "pairs": pairs,
                "inside": sum(pair["inside"] for pair in pairs),
                "before": correction.before if correction.members else None,
                "after": correction.after if correction.members else None,
            }
        )
    return rows


def _adherence(name: str, asked: IntVectors, got: IntVectors) -> Row:
    residual = (got - asked).astype(np.float64)
    low, high = np.quantile(residual, [0.1, 0.9])
    varied = asked.std() > 0 and got.std() > 0
    return {
        "descriptor": name,
        "samples": len(got),
        "exact": float(np.mean(residual == 0)),
        "bias": float(residual.mean()),
        "mae": float(np.abs(residual).mean()),
        "correlation": float(np.corrcoef(asked, got)[0, 1]) if varied else None,
        "low": float(low),
        "high": float(high),
    }


def _held_out(state: State, models: Mapping[str, str]) -> Mapping[str, Row]:
    """Property -> n, mae, coverage; nothing where the campaign's surrogates are not exactly those that were judged."""
    stored = _judged(HELD_OUT)
    default = {choice.model for choice in state.spec.surrogates} == set(SURROGATES)
    same = default and all(stored["models"].get(name) == digest for name, digest in models.items() if name in SURROGATES)
    return stored["properties"] if same else {}


def held_out(properties: Mapping[str, Row]) -> str:
    """Return the text of `HELD_OUT` from the figures of `evaluate consensus`, for the bundled surrogates as they are."""
    kept = {name: {part: row[part] for part in ("n", "mae", "coverage")} for name, row in properties.items()}
    models = {name: find(name, SURROGATES, Path()).digest for name in SURROGATES}
    return json.dumps({"models": models, "properties": kept}, indent=1) + "\n"


@cache
def _judged(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"models": {}, "properties": {}}
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return stored
