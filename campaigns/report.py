"""The report of a campaign: one HTML file that needs nothing else, for a screen, a printer and an e-mail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

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
_STRUCTURE = (310, 150)
_CHART = (1000, 190)
_TRACK = 132


def render(context: Row) -> str:
    """Return the report as HTML; the same text for the same context.

    context: `Results.document()` with `spec` (the campaign file as written) and `candidates` cut to those shown.
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
    refused = [(reason, count) for reason, count in context["rejections"].items() if reason != "accepted"]
    rejections = sorted(refused, key=lambda pair: (-pair[1], pair[0]))
    return environment.get_template("report.html.j2").render(
        **context,
        headline=headline,
        tone=tone,
        meters=_meters(context),
        scales=scales,
        track=_TRACK,
        shown=[_shown(row, scales) for row in candidates],
        chart=_chart(context["rounds"]),
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
            }
        )
    return row | {"answers": answers, "structure": structure(row["psmiles"])}


def structure(psmiles: str) -> Markup:
    """Return a repeat unit drawn as SVG, its two open ends as wavy lines."""
    from rdkit import Chem
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    mol = Chem.MolFromSmiles(psmiles)
    rdDepictor.Compute2DCoords(mol)
    rdDepictor.NormalizeDepiction(mol)  # the long axis of the unit lies flat
    rdDepictor.StraightenDepiction(mol, minimizeRotation=True)
    drawing = rdMolDraw2D.MolDraw2DSVG(*_STRUCTURE)
    options: Any = drawing.drawOptions()  # its stub types every attribute as itself
    options.dummiesAreAttachments = True
    options.clearBackground = False
    options.padding = 0.02
    options.bondLineWidth = 1.4
    options.fixedBondLength = 26
    options.minFontSize = 9
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, mol)
    drawing.FinishDrawing()
    text: str = drawing.GetDrawingText()
    # Written by RDKit from atoms and bonds alone: labels come out as paths, never as the text of the SMILES.
    return Markup(text[text.index("<svg") :].replace("<svg ", '<svg role="img" aria-label="repeat unit" ', 1))


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


def _chart(rounds: list[Row]) -> list[Row]:
    """Bars of samples, valid, accepted and passing, one group a round, in the coordinates of the chart."""
    width, height = _CHART
    most = max((row["samples"] for row in rounds), default=1) or 1
    step = width / max(len(rounds), 8)
    every = -(-len(rounds) // 25)
    bars = []
    for index, row in enumerate(rounds):
        heights = {name: round(height * row[name] / most, 1) for name in ("samples", "valid", "accepted", "passing")}
        place = {
            "x": round(index * step + 0.12 * step, 1),
            "width": round(0.76 * step, 1),
            "middle": round((index + 0.5) * step, 1),
        }
        bars.append(row | place | {"label": row["round"] + 1 if index % every == 0 else "", "heights": heights})
    return bars
