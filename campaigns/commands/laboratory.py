"""The loop with the laboratory: suggest, tell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, Folder, app


@app.command()
def suggest(
    folder: Folder,
    number: Annotated[int, typer.Option("-n", min=1, help="Polymers to measure.")] = 8,
    diverse: Annotated[bool, typer.Option("--diverse", help="None much like another.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="CSV file; default a new one in DIR/exports.")] = None,
) -> None:
    """Write a sheet of candidates to measure, with empty columns to fill in, and print its path."""
    from campaigns.campaign import Campaign
    from campaigns.export import export
    from campaigns.laboratory import sheet
    from inverse_design.errors import StateError

    campaign = Campaign.load(folder)
    path = output or next(
        path for place in range(1, 1000) if not (path := folder / "exports" / f"measure-{place:03d}.csv").exists()
    )
    if path.exists():
        raise StateError(f"{path}: exists already, and may have been filled in; name another file")
    rows = sheet(campaign.results().state, campaign.suggest(number, diverse=diverse))
    if not rows:
        raise StateError(f"{folder}: has no candidate that was not told of; give it rounds with: inverse-design resume {folder}")
    export(rows, "csv", path)
    print(f"{len(rows)} polymers; fill in the last columns, then: inverse-design tell {folder} {path}", file=sys.stderr)
    print(path)


@app.command()
def tell(
    folder: Folder,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV or Parquet file with measurements.")],
    json_: AsJson = False,
) -> None:
    """Take measurements into a campaign: say what was understood, how predictions change, and which recommendations with them."""
    from campaigns.campaign import Campaign
    from campaigns.storage import disk_of

    campaign = Campaign.load(folder)
    told = campaign.tell(table)
    results = campaign.results()
    disk_of(folder).write(folder / "report.html", results.report().encode())
    print(json.dumps(told.document(), allow_nan=False) if json_ else told.sentence())
    if not json_ and results.verdict() is None:
        print(f"the campaign can go on: inverse-design resume {folder}", file=sys.stderr)
