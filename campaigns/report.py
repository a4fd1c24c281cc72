"""The report of a campaign: one HTML file that needs nothing else, for a screen, a printer and an e-mail."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from campaigns.figures import boxes, scatter, yields
from inverse_design.descriptor_names import NAMES
from inverse_design.drawing import bracketed
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row

# Verdict -> headline and tone (a CSS class of the template).
_HEADLINES: Final = {
    "met": ("Targets met", "good"),
    "budget": ("Budget spent before the targets were met", "fair"),
    "exhausted": ("Search exhausted", "fair"),
    "infeasible": ("Targets out of reach", "fair"),
    "collapse": ("Generator failed", "bad"),
}
_UNFINISHED: Final = ("Not finished", "open")
_TRACK = 132


def render(context: Row) -> str:
    """Return the report as HTML; the same text for the same context.

    context: `Results.outline()` with `candidates` as rows, `spec` (the campaign file as written), `spread` (property -> quantiles a
    round), `weights` (prompts of the last round) and `doubts`.
    """
    verdict = context["verdict"]
    headline, tone = _HEADLINES[verdict["reason"]] if verdict else _UNFINISHED
    candidates: list[Row] = context["candidates"]
    scales = [_Scale.over(target, candidates) for target in context["targets"]]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    targets = context["targets"]
    weights = [row | {"numbers": row["prompt"].split(",")} for row in context["weights"]]
    two = scatter(candidates, *targets[:2]) if len(targets) > 1 else None
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    refused = [(reason, count) for reason, count in context["rejections"].items() if reason != "accepted"]
    rejections = sorted(refused, key=lambda pair: (-pair[1], pair[0]))
    return environment.get_template(
        "report.html.j2"
    ).render(
        **(context | {"weights": weights}),
        headline=headline,
        tone=tone,
        meters=_meters(context),
        scales=scales,
        track=_TRACK,
        shown=[_shown(row, scales) for row in candidates],
        chart=yields(context["rounds"]),
        moves=[boxes(context["spread"][target["column"]], target["low"], target["high"]) for target in targets],
        scatter=two,
        names=NAMES,
        weight_columns=[index for index in range(len(NAMES)) if any(row["numbers"][index] != "0" for row in weights)],
        script=Markup(script),  # part of this package; its digest is all that the page's policy lets run
        script_digest=digest,
        refused=rejections[:14],
        refused_more=rejections[14:],
        refused_most=max((count for _, count in rejections), default=1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Where the values of one target fall on a track of `_TRACK` pixels; `zone` is where they should fall."""

    label: str
    unit: str
    wanted: str
    column: str
    digits: int
    low: float
    high: float
    zone: tuple[float, float]
    first: str
    """The way a click sorts at first: the better end on top."""

    @classmethod
    def over(cls, target: Row, candidates: list[Row]) -> _Scale:
        column, item = target["column"], PROPERTIES[target["property"]]
        bounds = [target["low"], target["high"]]
        values = [bound for bound in bounds if bound is not None]
        for row in candidates:
            values += [row[column], row[f"{column}_low80"], row[f"{column}_high80"]]
        low, high = min(values, default=item.low), max(values, default=item.high)
        margin = 0.06 * (high - low) or item.scale
        scale = cls(
            label=item.name.replace("_", " "),
            unit=item.unit,
            wanted=target["wanted"],
            column=column,
            digits=0 if item.scale >= 5 else 2,
            low=low - margin,
            high=high + margin,
            zone=(0, _TRACK),
            first="up" if target["sign"] < 0 or (not target["sign"] and target["low"] is None) else "down",
        )
        start, end = (scale.at(bound) if bound is not None else edge for bound, edge in zip(bounds, (0, _TRACK), strict=True))
        return cls(**{name: getattr(scale, name) for name in cls.__slots__} | {"zone": (start, end - start)})

    def at(self, value: float) -> float:
        return round(_TRACK * (value - self.low) / (self.high - self.low), 1)

    def text(self, value: float) -> str:
        return f"{value:.{self.digits}f}".replace("-", "\N{MINUS SIGN}")


def _shown(row: Row, scales: list[_Scale]) -> Row:
    """A candidate as the template shows it."""
    answers = []
    for scale in scales:
        value, low, high = (row[scale.column + suffix] for suffix in ("", "_low80", "_high80"))
        answers.append(
            {
                "value": scale.text(value),
                "low": scale.text(low),
                "high": scale.text(high),
                "at": (scale.at(value), scale.at(low), scale.at(high)),
                "in_domain": row[f"{scale.column}_in_domain"],
                "measured": row.get(f"{scale.column}_measured") is not None,
            }
        )
    return row | {"answers": answers, "structure": bracketed(row["psmiles"]), "search": _search(row)}


def _search(row: Row) -> str:
    """What the text filter looks through."""
    words = (
        row["polymer_class"],
        row["psmiles"],
        row["canonical_psmiles"],
        row["id"],
        row["route"],
        row["monomers"],
        row["warnings"],
    )
    return " ".join(str(word) for word in words if word).lower()


def _meters(context: Row) -> list[Row]:
    """What was found and what it cost, each against its limit."""
    budget = context["budget"]
    lines: list[tuple[str, Any, Any]] = [
        ("candidates that pass", context["passing"], context["wanted"]),
        ("rounds", budget["rounds"], budget["rounds_limit"]),
        ("texts generated", budget["samples"], budget["samples_limit"]),
        ("hours", round(budget["hours"], 2), budget["hours_limit"]),
    ]
    return [
        {
            "label": label,
            "value": f"{value:,}",
            "limit": limit and f"{limit:,}",
            "share": min(1.0, value / limit) if limit else None,
        }
        for label, value, limit in lines
    ]
