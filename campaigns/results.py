"""What a campaign has found: ranked rows, tables, files and the report, all recomputed from its rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from inverse_design.binding import closest
from inverse_design.properties import PROPERTIES, Property
from inverse_design.protocols import Row
from inverse_design.ranking import diverse as unlike
from inverse_design.ranking import ranked
from inverse_design.spec import Target
from inverse_design.state import Candidate, State
from inverse_design.target import violation
from inverse_design.verdict import Verdict, verdict
from surrogates.calibration import Z80

SHOWN = 200
"""Candidates that a report shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything found so far. `end` is the verdict of the run that made them, if they come from one."""

    state: State
    manifest: Row
    source: str
    hours: float
    end: Verdict | None = None

    def verdict(self) -> Verdict | None:
        """Return why the campaign stopped, or None while it has rounds to go."""
        return self.end or verdict(self.state, self.hours)

    def candidates(self) -> Sequence[Candidate]:
        """Return all scored candidates, best first."""
        return ranked(self.state)

    def rows(self, top: int | None = None) -> list[Row]:
        """Return the ranked candidates as rows of plain values, units in the names."""
        targets, told = self.state.spec.targets, bool(self.state.lab.measured)
        return [
            _row(rank, candidate, targets, self.state.passes(candidate)) | (_told(candidate, targets) if told else {})
            for rank, candidate in enumerate(self.candidates()[:top], 1)
        ]

    def adherence(self) -> list[Row]:
        """Return one row a descriptor: how closely valid samples keep to their prompts (`evidence.adherence`)."""
        from campaigns.evidence import adherence

        return adherence(self.state)

    def to_pandas(self) -> Any:
        """Return `rows` as a pandas data frame."""
        import pandas

        return pandas.DataFrame(self.rows())

    def export(
        self,
        path: Path,
        kind: str,
        top: int | None = None,
        conditions: Sequence[str] = (),
        *,
        diverse: bool = False,
        stock: frozenset[str] | None = None,
        monomers: bool = False,
    ) -> None:
        """Write ranked candidates as csv, parquet, json, sdf or xlsx: those that meet every condition (`fitting`), and of them
        the best, or with `diverse` the best that differ, up to `top`; with `stock` (`read_stock`), what would have to be bought.
        With `monomers`, the shopping list for these candidates instead, one monomer a row."""
        from campaigns.export import export
        from campaigns.selection import shopping

        rows = self.selected(top, conditions, diverse=diverse, stock=stock)
        if monomers:
            export(shopping(rows, stock), kind, path, structure="smiles")
        else:
            export(rows, kind, path)

    def selected(
        self,
        top: int | None = None,
        conditions: Sequence[str] = (),
        *,
        diverse: bool = False,
        stock: frozenset[str] | None = None,
    ) -> list[Row]:
        """Return the rows that meet every condition, at most `top`, of differing structure if `diverse`."""
        from campaigns.selection import fitting, with_stock

        rows = self.rows(None if conditions or diverse else top)
        rows = fitting(rows if stock is None else with_stock(rows, stock), conditions)
        if diverse and top is not None:
            left = {row["id"] for row in rows[: max(10 * top, 200)]}
            chosen = {candidate.id for candidate in unlike([one for one in self.candidates() if one.id in left], top)}
            rows = [row for row in rows if row["id"] in chosen]
        return rows[:top]

    def report(self) -> str:
        """Return the report, one HTML page."""
        from campaigns import evidence
        from campaigns.report import render

        return render(
            self.outline()
            | {
                "candidates": self.rows(SHOWN),
                "scored": len(self.state.candidates),
                "spec": self.source,
                "spread": evidence.spread(self.state),
                "prompts": evidence.prompts(self.state),
                "doubts": evidence.doubts(self.state, self.manifest["models"]),
                "laboratory": evidence.laboratory(self.state),
            }
        )

    def summary(self) -> Row:
        """Return where the campaign stands, as plain values."""
        end, state, budget = self.verdict(), self.state, self.state.spec.budget
        return {
            "name": state.spec.name,
            "verdict": None if end is None else {"met": end.reason == "met", "reason": end.reason, "sentence": end.sentence},
            "budget": {
                "rounds": state.rounds,
                "rounds_limit": budget.rounds,
                "samples": state.samples,
                "samples_limit": budget.samples,
                "hours": round(self.hours, 4),
                "hours_limit": budget.hours,
            },
            "candidates": len(state.candidates),
            "passing": len(state.passing()),
            "wanted": state.spec.want.candidates,
        }

    def document(self) -> Row:
        """Return summary, targets, candidates, rounds and reasons as one JSON document."""
        return self.outline() | {"candidates": self.rows()}

    def outline(self) -> Row:
        """Return `document` with the number of candidates in place of the candidates."""
        targets = [
            {
                "property": target.property,
                "wanted": wanted(target),
                "unit": PROPERTIES[target.property].unit,
                "shown": target.shown.name,
                "column": column(PROPERTIES[target.property]),
                "low": target.low if math.isfinite(target.low) else None,
                "high": target.high if math.isfinite(target.high) else None,
                "sign": {"maximize": 1, "minimize": -1}.get(target.direction or "", 0),
            }
            for target in self.state.spec.targets
        ]
        return {
            "schema_version": 1,
            **self.summary(),
            "targets": targets,
            "confidence": self.state.spec.confidence,
            "rounds": self.state.progress,
            "adherence": self.adherence(),
            "rejections": dict(self.state.reasons.most_common()),
            "models": self.manifest["models"],
            "versions": self.manifest["versions"],
            "seed": self.manifest["seed"],
        }

    def sentence(self) -> str:
        """Say in a few lines where the campaign stands."""
        state, end = self.state, self.verdict()
        where = f"{state.spec.name}: {state.rounds} round{'s' * (state.rounds != 1)}, {state.samples} samples, {len(state.passing())} of {state.spec.want.candidates} candidates found"
        if end is not None:
            return f"{where}\n{end.reason}: {end.sentence}"
        return f"{where}\nnot finished. {closest(state) if state.samples else 'No round is finished yet.'}"

    def print_table(self, top: int = 30) -> None:
        """Print the best candidates: those that pass, or the closest ones where none does."""
        unfolded().print(self.table(top), markup=False)
        targets = self.state.spec.targets
        domain = any(not one.predictions[target.property].in_domain for one in self._best(top) for target in targets)
        factors = ";  ×÷ the factor to its ends" if any(target.shown.factors for target in targets) else ""
        outside = ";  ? outside what the models were trained on" if domain else ""
        print(f"\nvalue ± half-width of its 80 % interval{factors}{outside}")

    def _best(self, top: int) -> list[Candidate]:
        return [*self.candidates()[: min(top, len(self.state.passing()) or top)]]

    def _repr_html_(self) -> str:
        from campaigns.notebook import results_html

        return results_html(self)

    def table(self, top: int) -> Table:
        """Return the best candidates as a table for a terminal."""
        targets = self.state.spec.targets
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("#", justify="right")
        table.add_column("repeat unit (PSMILES)", overflow="fold")
        for target in targets:
            table.add_column(target.shown.heading, justify="right")
        for name in ("P(pass)", "nearest known", "SA", "class", "round", "prompt"):
            table.add_column(name, justify="left" if name in ("class", "prompt") else "right", overflow="fold")
        for rank, candidate in enumerate(self._best(top), 1):
            values = [_interval(candidate, target) for target in targets]
            table.add_row(
                str(rank),
                candidate.psmiles,
                *values,
                f"{candidate.probability:.2f}",
                f"{candidate.similarity:.2f}",
                f"{candidate.sa_score:.1f}",
                candidate.polymer_class,
                str(candidate.round + 1),
                candidate.prompt,
            )
        return table


def unfolded() -> Console:
    """Return where tables are printed. Piped, they are never folded: half a SMILES is another molecule."""
    console = Console()
    return console if console.is_terminal else Console(width=2000)


def column(item: Property) -> str:
    """Return the column of a property: its name and unit in letters, digits and underscores."""
    unit = "".join(letter if letter.isalnum() else "_" for letter in item.unit.lower()).strip("_")
    return f"{item.name.lower()}_{unit}" if unit else item.name.lower()


def wanted(target: Target) -> str:
    """Say what a target asks for, in the unit it asks in: `Tg >= 350 degC`."""
    name, unit = target.property, target.shown
    low, high = (f"{unit.value(end):g}" if math.isfinite(end) else "" for end in (target.low, target.high))
    if low and high:
        text = f"{low} <= {name} <= {high} {unit.name}"
    elif low:
        text = f"{name} >= {low} {unit.name}"
    elif high:
        text = f"{name} <= {high} {unit.name}"
    else:
        text = name
    return f"{target.direction} {text}" if target.direction else text


def _told(candidate: Candidate, targets: Sequence[Target]) -> Row:
    """What a laboratory said of a candidate, with columns for every target: campaigns without a laboratory have none of them."""
    row: Row = {}
    for target in targets:
        one = candidate.measured.get(target.property)
        row[f"{column(PROPERTIES[target.property])}_measured"] = None if one is None else one.value
    remarks = [f"{name}: {remark}" for name, one in candidate.measured.items() for remark in one.remarks]
    return row | {"laboratory": "; ".join(remarks) or None}


def _interval(candidate: Candidate, target: Target) -> str:
    answer, unit = candidate.predictions[target.property], target.shown
    if (one := candidate.measured.get(target.property)) is not None and one.value is not None:
        return f"{unit.text(answer.mean)} measured"
    return f"{unit.text(answer.mean)} {unit.around(Z80 * answer.std)}{'' if answer.in_domain else ' ?'}"


def _row(rank: int, candidate: Candidate, targets: Sequence[Target], passes: bool) -> Row:
    row: Row = {
        "rank": rank,
        "id": candidate.id,
        "psmiles": candidate.psmiles,
        "canonical_psmiles": candidate.canonical,
        "polymer_class": candidate.polymer_class,
    }
    missed = 0.0
    for target in targets:
        item, answer = PROPERTIES[target.property], candidate.predictions[target.property]
        name, half = column(item), Z80 * answer.std
        row |= {name: answer.mean, f"{name}_low80": answer.mean - half, f"{name}_high80": answer.mean + half}
        row |= {f"{name}_std": answer.std, f"{name}_in_domain": answer.in_domain}
        missed += float(violation(target, np.array([answer.mean]))[0]) / item.scale
    return row | {
        "probability": candidate.probability,
        "feasible": passes,
        "violation": missed,
        "similarity": candidate.similarity,
        "nearest": candidate.nearest,
        **_familiar(candidate.canonical),
        "sa_score_h": candidate.sa_score,
        "prompt": candidate.prompt,
        "round": candidate.round,
        **_making(candidate.canonical),
    }


def _familiar(canonical: str) -> Row:
    from inverse_design.reference.textbook import familiar

    found = familiar(canonical)
    return {"like": found.name, "like_similarity": found.similarity}


def _making(canonical: str) -> Row:
    from inverse_design.synthesis.plan import synthesis_of

    found = synthesis_of(canonical)
    if found is None:
        return {"makeable": False, "route": None, "monomers": None, "monomer_sa_score": None, "warnings": None}
    return {
        "makeable": True,
        "route": found.route,
        "monomers": ".".join(monomer.smiles for monomer in found.monomers),
        "monomer_sa_score": found.sa_score,
        "warnings": "; ".join(found.warnings),
    }
