"""What a campaign has found: status, export, report."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, Folder, app
from campaigns.storage import location


class Format(StrEnum):
    """File formats of an export."""

    csv = "csv"
    parquet = "parquet"
    json = "json"
    sdf = "sdf"


@app.command()
def status(
    folder: Folder,
    json_: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it while it runs; ends with it.")] = False,
) -> None:
    """Say how far a campaign is."""
    from campaigns.campaign import Campaign

    if watch:
        from rich.console import Console

        from campaigns.watch import watch as follow

        follow(folder, Console(stderr=json_))
        if not json_:
            print()
            return
    results = Campaign.load(folder).results()
    if json_:
        print(json.dumps(results.summary(), allow_nan=False))
    else:
        print(results.sentence())


@app.command()
def export(
    folder: Folder,
    format_: Annotated[Format, typer.Option("--format", help="File format.")] = Format.csv,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Only the best N.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", parser=location, help="File; default DIR/exports/candidates.FORMAT.")
    ] = None,
) -> None:
    """Write the ranked candidates to a file and print its path."""
    from campaigns.campaign import Campaign

    path = output or folder / "exports" / f"candidates.{format_.value}"
    Campaign.load(folder).results().export(path, format_.value, top)
    print(path)


@app.command()
def report(
    folder: Folder,
    output: Annotated[Path | None, typer.Option("-o", "--output", parser=location, help="File; default DIR/report.html.")] = None,
) -> None:
    """Write the report, one HTML file, and print its path."""
    from campaigns.campaign import Campaign
    from campaigns.storage import disk_of

    path = output or folder / "report.html"
    disk_of(path).write(path, Campaign.load(folder).results().report().encode())
    print(path)
