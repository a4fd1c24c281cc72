"""The loop with the laboratory: what to measure next, what was measured, and what changes because of it.

A telling is kept in the campaign's folder as it was understood, with the surrogates' raw answers for polymers that were
never proposed. Corrections, rankings and verdicts are recomputed from these facts each time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from campaigns.ledger import Ledger
from campaigns.measurements import Understood, understand
from inverse_design.errors import Problem, SpecError
from inverse_design.lab import Lab, Reading
from inverse_design.protocols import Row
from inverse_design.ranking import diverse, ranked
from inverse_design.spec import CampaignSpec
from inverse_design.state import Candidate, State
from inverse_design.target import combined
from surrogates.calibration import Z80

Ask = Callable[[Sequence[str]], list[list[Row]]]
"""Repeat units to the raw answers of the campaign's surrogates."""

_LINES: Final = 20
_FAR: Final = 4.0  # standard deviations from what was predicted
_HOW: Final = {"none": "no correction", "affine": "a shift and a stretch", "local": "what was measured nearby in structure"}


def state(spec: CampaignSpec, ledger: Ledger) -> State:
    """Return the state of a campaign: its rounds, seen in the light of all that its laboratory has told."""
    raw = _folded(State(spec), ledger)
    told = _standing(ledger)
    return _folded(State(spec, _lab(raw, told)), ledger) if told else raw


def suggest(found: State, count: int, spread: bool) -> list[Candidate]:
    """Return the best candidates that no laboratory has told of yet; with `spread`, none like another."""
    left = [candidate for candidate in ranked(found) if candidate.canonical not in found.lab.measured]
    if not spread:
        return left[:count]
    passing = [candidate for candidate in left if found.passes(candidate)]
    return diverse(passing if len(passing) >= count else left[: max(10 * count, 200)], count)


def sheet(found: State, chosen: Sequence[Candidate]) -> list[Row]:
    """Return the rows of a table to fill in: ids, structures, predictions with 80 % intervals, and empty columns."""
    rows = []
    for candidate in chosen:
        row: Row = {"id": candidate.id, "psmiles": candidate.psmiles, "polymer_class": candidate.polymer_class}
        for name, answer in candidate.predictions.items():
            unit, half = found.spec.shown(name), Z80 * answer.std
            row[f"predicted {name} / {unit.name}"] = unit.rounded(answer.mean)
            row[f"predicted {name} from"] = unit.rounded(answer.mean - half)
            row[f"predicted {name} to"] = unit.rounded(answer.mean + half)
        row |= {"predicted to pass": round(candidate.probability, 3), "predicted sa_score": round(candidate.sa_score, 2)}
        rows.append(row | {f"{name} / {found.spec.shown(name).name}": None for name in candidate.predictions} | {"note": None})
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One recommendation before and after a telling; rank 0: not recommended."""

    psmiles: str
    before: int
    after: int
    why: str

    def __str__(self) -> str:
        came, went = (f"{rank}" if rank else "-" for rank in (self.before, self.after))
        return f"{came:>4} -> {went:<4} {self.psmiles}  {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a table said, what followed, and what it replaced: readings of an earlier table of that name."""

    understood: Understood
    replaced: int
    before: State
    after: State

    def changes(self) -> list[Change]:
        """Return what happened to candidates that were told of, then the recommendations that came, and those that went."""
        ranks = [_recommended(found) for found in (self.before, self.after)]
        old, new = ({one.canonical: one for one in found.candidates} for found in (self.before, self.after))
        told = {reading.canonical for reading in self.understood.readings}
        names = [*(name for name in old if name in told), *ranks[1], *ranks[0]]
        names = [name for name in dict.fromkeys(names) if name in told or (name in ranks[0]) != (name in ranks[1])]
        return [
            Change(
                psmiles=new[name].psmiles,
                before=ranks[0].get(name, 0),
                after=ranks[1].get(name, 0),
                why=self._why(old[name], new[name]),
            )
            for name in names
            if name in old and name in new
        ]

    def _why(self, old: Candidate, new: Candidate) -> str:
        reasons = []
        for name, answer in new.predictions.items():
            was, measured = old.predictions[name], new.measured.get(name)
            if measured is not None and measured.value is not None:
                reasons.append(
                    f"measured {name} {self._told(name, measured.value)}, predicted {self._told(name, was.mean, was.std)}"
                )
            elif answer != was:
                reasons.append(
                    f"{name} now {self._told(name, answer.mean, answer.std)}, was {self._told(name, was.mean, was.std)}"
                )
        if new.measured and not reasons:
            reasons.append("told of, without a value")
        chance = f"P(pass) {old.probability:.2f} -> {new.probability:.2f}"
        return "; ".join([*reasons, chance if reasons else "others moved"])

    def sentence(self) -> str:
        """Say what was understood, what was not, how predictions are corrected, and which recommendations changed and why."""
        found = self.understood
        kinds = Counter("remark" if one.value is None else "bound" if one.bound else "value" for one in found.readings)
        polymers = dict.fromkeys(one.canonical for one in found.readings)
        ours = {one.canonical for one in self.before.candidates}
        counts = ", ".join(
            f"{kinds[kind]} {kind}{'s' if kinds[kind] > 1 else ''}" for kind in ("value", "bound", "remark") if kinds[kind]
        )
        lines = [
            f"{found.source}: {found.rows} rows; {counts} of {len(polymers)} polymers, {sum(name not in ours for name in polymers)} never proposed"
        ]
        if self.replaced:
            lines.append(f"replaces the {self.replaced} readings that {found.source} gave before")
        lines += _some([f"  {line}" for name in polymers for line in self._polymer(name)])
        lines += ["not understood:", *_some([f"  {line}" for line in found.refused])] if found.refused else []
        doubtful = self.doubtful()
        lines += ["taken in, but look again:", *_some([f"  {line}" for line in doubtful])] if doubtful else []
        lines += [f"columns not read: {', '.join(found.unread)}"] if found.unread else []
        lines += [f"taken for granted: {', '.join(found.assumed)}"] if found.assumed else []
        for name, correction in self.after.lab.corrections.items():
            unit = self.after.spec.shown(name)
            how = ", ".join(f"{_HOW[form]} {share:.0%}" for form, share in correction.shares.items())
            figures = f": {how}; leave-one-out error {unit.distance(correction.before)} -> {unit.distance(correction.after)}, error bars x {correction.widen:.2f}"
            lines.append(f"{name}: {correction.measured} measured{figures if how else ', too few to correct predictions'}")
        changes = self.changes()
        moved = [f"  {change}" for change in changes]
        lines += (
            ["recommendations, rank before -> now (- for none):", *_some(moved)] if moved else ["recommendations: none changed"]
        )
        return "\n".join(lines)

    def document(self) -> Row:
        """Return the same as one JSON document."""
        found = self.understood
        corrections = {
            name: {
                "measured": one.measured,
                "shares": dict(one.shares),
                "error_before": one.before,
                "error_after": one.after,
                "widen": one.widen,
            }
            for name, one in self.after.lab.corrections.items()
        }
        return {
            "schema_version": 1,
            "source": found.source,
            "rows": found.rows,
            "replaced": self.replaced,
            "readings": [asdict(reading) for reading in found.readings],
            "refused": list(found.refused),
            "doubtful": self.doubtful(),
            "unread": list(found.unread),
            "assumed": list(found.assumed),
            "corrections": corrections,
            "changes": [asdict(change) for change in self.changes()],
        }

    def _polymer(self, canonical: str) -> Iterator[str]:
        readings = [one for one in self.understood.readings if one.canonical == canonical]
        ours = next((one for one in self.before.candidates if one.canonical == canonical), None)
        label = readings[0].psmiles if ours is None else f"{ours.id}  {ours.psmiles}"
        for name in dict.fromkeys(one.property for one in readings):
            one = self.after.lab.measured[canonical][name]
            cells = ", ".join(repr(reading.cell) for reading in readings if reading.property == name)
            low, high = (
                f" {mark} {self._told(name, value)}" if abs(value) < float("inf") else ""
                for mark, value in ((">", one.low), ("<", one.high))
            )
            value = f" = {self._told(name, one.value, one.std)}" if one.value is not None else ""
            yield f"{label}  {name}{value}{low}{high}  (from {cells})"

    def doubtful(self) -> list[str]:
        """Return what looks like a slip: values far from what was predicted, and replicates far from each other."""
        found = []
        for name, correction in self.after.lab.corrections.items():
            unit = self.after.spec.shown(name)
            for point in correction.points:
                cells = [one for one in self.understood.readings if one.canonical == point.canonical and one.property == name]
                values = [one.value for one in cells if one.value is not None and not one.bound]
                if values and (apart := max(values) - min(values)) > unit.item.scale:
                    found.append(f"{cells[0].where}: replicates of {name} lie {unit.distance(apart)} apart")
                elif values and abs(point.value - point.predicted.mean) > _FAR * math.hypot(point.predicted.std, point.std):
                    said = self._told(name, point.predicted.mean, point.predicted.std)
                    found.append(
                        f"{cells[0].where}: {self._told(name, point.value)}, predicted {said}; are unit and sample right?"
                    )
        return found

    def _told(self, name: str, value: float, std: float | None = None) -> str:
        unit = self.after.spec.shown(name)
        half = "" if std is None else f" {unit.around(Z80 * std)}"
        return f"{unit.text(value)}{half} {unit.name}"


def tell(spec: CampaignSpec, ledger: Ledger, source: str, columns: Sequence[str], rows: Iterator[list[str]], ask: Ask) -> Told:
    """Understand a table and keep it. Raises SpecError, keeping nothing, where not one cell of it was understood."""
    before = state(spec, ledger)
    found = understand(source, columns, rows, {one.id: one.canonical for one in before.candidates})
    if not found.readings:
        what = (
            "; ".join(found.refused[:_LINES])
            or f"no column is a property; columns are {', '.join(columns)}, wanted as in 'Tg / degC'"
        )
        raise SpecError([Problem(where=source, message=f"nothing measured in {found.rows} rows: {what}")])
    ours = {one.canonical for one in before.candidates}
    foreign = {one.canonical: one.psmiles for one in found.readings if one.canonical not in ours}
    replaced = [one for row in _standing(ledger) if row["source"] == source for one in row["readings"]]
    answers = dict(zip(foreign, ask(list(foreign.values())), strict=True)) if foreign else {}
    ledger.keep_measurements(
        {
            "source": source,
            "rounds": before.rounds,
            "readings": [asdict(reading) for reading in found.readings],
            "refused": list(found.refused),
            "predictions": answers,
        }
    )
    return Told(understood=found, replaced=len(replaced), before=before, after=state(spec, ledger))


def _folded(empty: State, ledger: Ledger) -> State:
    for record in ledger.rounds():
        empty.add(record)
    return empty


def _standing(ledger: Ledger) -> list[Row]:
    """Return the tellings that hold: of several under one name, the last, so that a sheet can be filled in and told again."""
    return list({row["source"]: row for row in ledger.measurements()}.values())


def _lab(raw: State, told: Sequence[Row]) -> Lab:
    predicted = {one.canonical: dict(one.predictions) for one in raw.candidates}
    names = [target.property for target in raw.spec.targets]
    for row in told:
        for canonical, answers in row["predictions"].items():
            heard = {name: combined(answers, name) for name in names}
            predicted.setdefault(canonical, {name: answer for name, answer in heard.items() if answer is not None})
    return Lab.of([Reading(**one) for row in told for one in row["readings"]], predicted)


def _recommended(found: State) -> dict[str, int]:
    """Return the canonical units of the candidates that pass, with their ranks; the best ones where none does."""
    every = ranked(found)
    passing = [one for one in every if found.passes(one)] or every
    return {one.canonical: rank for rank, one in enumerate(passing[: found.spec.want.candidates], 1)}


def _some(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _LINES else [*lines[:_LINES], f"  ... and {len(lines) - _LINES} more"]
