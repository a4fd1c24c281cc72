"""What a campaign has found: status, export, report, why, why-not."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, Folder, app
from inverse_design.protocols import Row


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
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File; default DIR/exports/candidates.FORMAT.")] = None,
) -> None:
    """Write the ranked candidates to a file and print its path."""
    from campaigns.campaign import Campaign

    path = output or folder / "exports" / f"candidates.{format_.value}"
    Campaign.load(folder).results().export(path, format_.value, top)
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


@app.command()
def why(
    folder: Folder,
    candidate: Annotated[str, typer.Argument(metavar="ID", help="Id of a candidate, as in exports, or its repeat unit.")],
    json_: AsJson = False,
) -> None:
    """Say where a candidate comes from and how it was judged."""
    from campaigns import explain

    _tell(explain.why(folder, candidate), json_)


@app.command("why-not")
def why_not(
    folder: Folder,
    smiles: Annotated[str, typer.Argument(metavar="SMILES", help="A repeat unit with two *, in quotes.")],
    json_: AsJson = False,
) -> None:
    """Say what a polymer scores with a campaign's models and gates, and what would have to change."""
    from campaigns import explain

    _tell(explain.why_not(folder, smiles), json_)


def _tell(found: Row, as_json: bool) -> None:
    from campaigns.explain import told

    print(json.dumps(found, allow_nan=False) if as_json else told(found))
