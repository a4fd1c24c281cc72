"""What a campaign has found: status, export, report."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, Folder, app
from inverse_design.errors import SpecError


class Format(StrEnum):
    """File formats of an export."""

    csv = "csv"
    parquet = "parquet"
    json = "json"
    sdf = "sdf"
    xlsx = "xlsx"


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
    diverse: Annotated[bool, typer.Option("--diverse", help="With --top: the best that differ in structure.")] = False,
    filter_: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Condition on a column, as in 'probability>=0.8' or 'route~radical'; repeatable."),
    ] = None,
    monomers: Annotated[
        bool, typer.Option("--monomers", help="The shopping list instead: monomers of the candidates chosen.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; default DIR/exports/candidates.FORMAT, or monomers.FORMAT.")
    ] = None,
) -> None:
    """Write the ranked candidates to a file and print its path."""
    from campaigns.campaign import Campaign

    if diverse and top is None:
        raise SpecError("--diverse: say how many with --top N")
    path = output or folder / "exports" / f"{'monomers' if monomers else 'candidates'}.{format_.value}"
    results = Campaign.load(folder).results()
    write = results.export_monomers if monomers else results.export
    write(path, format_.value, top, filter_ or (), diverse=diverse)
    print(path)


@app.command()
def report(
    folder: Folder, output: Annotated[Path | None, typer.Option("-o", "--output", help="File; default DIR/report.html.")] = None
) -> None:
    """Write the report, one HTML file, and print its path."""
    from campaigns.campaign import Campaign
    from campaigns.storage import Disk

    path = output or folder / "report.html"
    Disk().write(path, Campaign.load(folder).results().report().encode())
    print(path)
