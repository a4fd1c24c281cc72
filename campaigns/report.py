"""The report of a campaign: one HTML file that needs nothing else, for a screen, a printer and an e-mail."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from campaigns.figures import boxes, scatter, yields
from campaigns.wording import duration, in_print, refusal
from inverse_design.descriptor_names import NAMES
from inverse_design.drawing import bracketed
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row
from inverse_design.reference.textbook import textbook
from inverse_design.units import Unit

# Verdict -> headline and tone (a CSS class of the template).
_HEADLINES: Final = {
    "met": ("Targets met", "good"),
    "budget": ("Budget spent before the targets were met", "fair"),
    "exhausted": ("Search exhausted", "fair"),
    "infeasible": ("Targets out of reach", "fair"),
    "collapse": ("Generator failed", "bad"),
}
_UNFINISHED: Final = ("Not finished", "open")
_REASONS: Final = 12
_PAIRS: Final = 3  # plots of two properties against each other


def render(context: Row) -> str:
    """Return the report as HTML; the same text for the same context.

    context: `Results.outline()` with `candidates` as rows, `spec` (the campaign file as written), and what `evidence` says:
    `spread` (property -> quantiles a round), `prompts`, `doubts` and `laboratory`.
    """
    verdict = context["verdict"]
    headline, tone = _HEADLINES[verdict["reason"]] if verdict else _UNFINISHED
    candidates, targets = context["candidates"], context["targets"]
    scales = [_Scale.over(target, candidates) for target in targets]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "short": _short, "in_print": in_print, "told": _told, "wide": _wide}
    pairs = [(a, b) for b in range(len(targets)) for a in range(b)][:_PAIRS] if candidates else []
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    refused = [(reason, refusal(reason), count) for reason, count in context["rejections"].items() if reason != "accepted"]
    refused.sort(key=lambda one: (-one[2], one[0]))
    template = environment.get_template("report.html.j2")
    return template.render(
        **context,
        headline=headline,
        tone=tone,
        meters=_meters(context),
        scales=scales,
        shown=[_shown(row, scales) for row in candidates],
        chart=yields(context["rounds"]),
        moves=[
            boxes(context["spread"][target["property"]], target["low"], target["high"], scale.shown)
            for target, scale in zip(targets, scales, strict=True)
        ],
        scatters=[
            (scales[a], scales[b], scatter(candidates, (targets[a], scales[a].shown), (targets[b], scales[b].shown)))
            for a, b in pairs
        ],
        textbook=_textbook(candidates),
        names=NAMES,
        asked=_asked(context["prompts"]),
        script=Markup(script),  # part of this package; its digest is all that the page's policy lets run
        script_digest=digest,
        refused=refused[:_REASONS],
        refused_more=refused[_REASONS:],
        refused_most=max((count for *_, count in refused), default=1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Where the values of one target, in the property's own unit, fall on a track of `track` pixels; `zone` is where they should fall."""

    label: str
    title: str
    unit: str
    wanted: str
    column: str
    shown: Unit
    track: int
    low: float
    high: float
    bounds: tuple[float | None, float | None]
    first: str
    """The way a click sorts at first: the better end on top."""

    @classmethod
    def over(cls, target: Row, candidates: list[Row]) -> _Scale:
        column, item = target["column"], PROPERTIES[target["property"]]
        shown = Unit.of(item, target["shown"])
        bounds = (target["low"], target["high"])
        values = [bound for bound in bounds if bound is not None]
        for row in candidates:
            values += [row[column], row[f"{column}_low80"], row[f"{column}_high80"]]
        low, high = min(values, default=item.low), max(values, default=item.high)
        margin = 0.06 * (high - low) or item.scale
        return cls(
            label=item.heading.replace("_", " "),
            title=item.label,
            unit=in_print(shown.name),
            wanted=in_print(target["wanted"], shown.name),
            column=column,
            shown=shown,
            track=132,
            low=low - margin,
            high=high + margin,
            bounds=bounds,
            first="up" if target["sign"] < 0 or (not target["sign"] and target["low"] is None) else "down",
        )

    @property
    def zone(self) -> tuple[float, float]:
        """Start and width of what is asked for."""
        start, end = (edge if bound is None else self.at(bound) for bound, edge in zip(self.bounds, (0, self.track), strict=True))
        return start, round(end - start, 1)

    def at(self, value: float) -> float:
        return round(self.track * (value - self.low) / (self.high - self.low), 1)

    def text(self, value: float) -> str:
        return _told(value, self.shown)


def _shown(row: Row, scales: list[_Scale]) -> Row:
    """A candidate as the template shows it."""
    answers = []
    for scale in scales:
        value, low, high = (row[scale.column + suffix] for suffix in ("", "_low80", "_high80"))
        answers.append(
            {
                "scale": scale,
                "value": scale.text(value),
                "low": scale.text(low),
                "high": scale.text(high),
                "at": (scale.at(value), scale.at(low), scale.at(high)),
                "in_domain": row[f"{scale.column}_in_domain"],
                "measured": row.get(f"{scale.column}_measured") is not None,
            }
        )
    asked = row["prompt"].split(",")[-len(NAMES) :]
    return row | {
        "answers": answers,
        "structure": bracketed(row["psmiles"]),
        "search": _search(row),
        "lineage": list(zip(NAMES, asked, _realised(row["psmiles"]), strict=False)),
    }


def _textbook(candidates: list[Row]) -> list[tuple[str, Markup]]:
    """The well-known polymers named beside candidates, drawn once each."""
    structures = {row["polymer"]: row["psmiles"] for row in textbook()}
    return [(name, bracketed(structures[name])) for name in sorted({row["like"] for row in candidates} & structures.keys())]


@lru_cache(maxsize=1024)
def _realised(psmiles: str) -> tuple[int, ...]:
    from inverse_design.descriptors import realised

    unit = parse(psmiles)
    assert isinstance(unit, RepeatUnit), psmiles
    return realised(unit.mol)


def _search(row: Row) -> str:
    """What the text filter looks through."""
    words = [
        row[name] for name in ("polymer_class", "psmiles", "canonical_psmiles", "id", "route", "monomers", "warnings", "like")
    ]
    return " ".join(str(word) for word in words if word).lower()


def _asked(prompts: Row) -> Row:
    """Prompts with their numbers apart, and the descriptors that any of them asks for."""
    heaviest = [row | {"numbers": row["prompt"].split(",")[-len(NAMES) :]} for row in prompts["heaviest"]]
    columns = [index for index in range(len(NAMES)) if any(row["numbers"][index : index + 1] != ["0"] for row in heaviest)]
    return prompts | {"heaviest": heaviest, "columns": columns}


def _meters(context: Row) -> list[Row]:
    """What was found and what it cost, each against its limit."""
    budget = context["budget"]
    lines: list[tuple[float, str, float | None]] = [
        (context["passing"], f"candidates pass, {context['wanted']:,} wanted", context["wanted"]),
        (budget["rounds"], _of("rounds", budget["rounds_limit"]), budget["rounds_limit"]),
        (budget["samples"], _of("texts generated", budget["samples_limit"]), budget["samples_limit"]),
        (budget["hours"], "of work" + (f", {duration(3600 * limit)} allowed" if (limit := budget["hours_limit"]) else ""), limit),
    ]
    return [
        {
            "value": duration(3600 * value) if label.startswith("of work") else f"{value:,}",
            "label": label,
            "share": min(1.0, value / limit) if limit else None,
        }
        for value, label, limit in lines
    ]


def _of(what: str, limit: float | None) -> str:
    return f"of {limit:,} {what}" if limit else what


def _figure(value: float) -> str:
    """Three figures, as people write them."""
    return _minus(f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}")


def _short(value: float) -> str:
    return _minus(f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}")


def _told(value: float, unit: Unit) -> str:
    """A value in the unit that was asked in, without its name."""
    return _minus(unit.text(value))


def _wide(distance: float, unit: Unit) -> str:
    """A distance between values in the unit that was asked in."""
    return in_print(unit.distance(distance), unit.name)


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")
