"""Campaigns and results as a notebook shows them: HTML with drawn structures, everything from outside escaped."""

from __future__ import annotations

from html import escape
from itertools import islice

from campaigns.campaign import Campaign
from campaigns.results import Results, column, wanted
from inverse_design.drawing import STYLE, bracketed
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row
from inverse_design.units import Unit

SHOWN = 12
"""Candidates of results that a notebook shows; `rows` and `to_pandas` have all."""


def campaign_html(campaign: Campaign) -> str:
    """Return what a campaign asks for, and how far it is where it has been started."""
    spec = campaign.spec
    asked = "".join(f"<li>{escape(wanted(target))}</li>" for target in spec.targets)
    started = (campaign.folder / "manifest.json").exists()
    standing = campaign.results().sentence() if started else f"not started; run() starts it in {campaign.folder}"
    return f"<div><b>{escape(spec.name)}</b><ul>{asked}</ul><p style='white-space:pre-line'>{escape(standing)}</p></div>"


def results_html(results: Results) -> str:
    """Return the verdict and the best candidates, drawn, with their predictions."""
    targets = results.state.spec.targets
    heads = [
        "",
        "repeat unit",
        *(one.shown.heading for one in targets),
        "P(pass)",
        "class",
    ]
    rows = []
    for row in islice(results.rows(SHOWN), SHOWN):
        values = [_value(row, column(PROPERTIES[one.property]), one.shown) for one in targets]
        cells = [str(row["rank"]), "", *values, f"{row['probability']:.2f}", row["polymer_class"]]
        drawn = [f"<td>{escape(cell)}</td>" for cell in cells]
        drawn[1] = f"<td title='{escape(row['psmiles'], quote=True)}'>{bracketed(row['psmiles'])}</td>"
        rows.append(f"<tr>{''.join(drawn)}</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>" if rows else ""
    more = len(results.state.candidates) - len(rows)
    tail = f"<p>and {more:,} more: rows(), to_pandas(), export()</p>" if more > 0 else ""
    return f"<div>{STYLE}<p style='white-space:pre-line'>{escape(results.sentence())}</p>{table}{tail}</div>"


def _value(row: Row, name: str, unit: Unit) -> str:
    if row.get(f"{name}_measured") is not None:
        return f"{unit.text(row[name])} measured"
    return f"{unit.text(row[f'{name}_low80'])} to {unit.text(row[f'{name}_high80'])}"
