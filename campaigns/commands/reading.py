"""What a campaign has found: status, export, report, why, why-not."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, Folder, app
from campaigns.storage import location
from inverse_design.errors import SpecError
from inverse_design.protocols import Row


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
    stock: Annotated[
        Path | None, typer.Option("--stock", help="CSV of monomers at hand (column smiles): says what would have to be bought.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", parser=location, help="File; default DIR/exports/candidates.FORMAT, or monomers.FORMAT."),
    ] = None,
) -> None:
    """Write the ranked candidates to a file and print its path."""
    from campaigns.campaign import Campaign
    from inverse_design.synthesis.making import read_stock

    if diverse and top is None:
        raise SpecError("--diverse: say how many with --top N")
    path = output or folder / "exports" / f"{'monomers' if monomers else 'candidates'}.{format_.value}"
    results = Campaign.load(folder).results()
    shelf = None if stock is None else read_stock(stock)
    results.export(path, format_.value, top, filter_ or (), diverse=diverse, stock=shelf, monomers=monomers)
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
