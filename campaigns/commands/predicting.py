"""Predict properties of polymers in a table: predict."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, app

_EVERY = 30.0  # seconds between lines where there is no terminal


@app.command()
def predict(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV or Parquet file with a column Smiles or PSMILES.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV file to write.")],
    property_: Annotated[
        list[str] | None, typer.Option("--property", help="Property to predict, repeatable; default Tg.")
    ] = None,
    surrogate: Annotated[
        list[str] | None, typer.Option("--surrogate", help="Model to ask, repeatable; default: the bundled ones.")
    ] = None,
    column: Annotated[str | None, typer.Option("--column", help="Column with the repeat units.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; default: one per core for long tables.")
    ] = None,
    json_: AsJson = False,
) -> None:
    """Predict properties of the polymers in a table; every row is kept, with a status. The same command goes on after a stop."""
    from campaigns.campaign import cores
    from campaigns.local import LocalExecutor
    from campaigns.predict import Predictor, predict
    from campaigns.tables import Table
    from inverse_design.errors import Interrupted
    from inverse_design.loop import SHARD

    chosen = Predictor.of(property_ or ["Tg"], surrogate)
    # A process that loads the models is worth its while from a few shards on.
    executor = LocalExecutor(workers or min(cores(), max(1, Table.open(table).lines // (4 * SHARD))))
    try:
        with _progress(table.name) as tell:
            counts = predict(table, output, chosen, executor, structure=column, tell=tell)
    except Interrupted as error:
        raise Interrupted(f"{str(error).partition(';')[0]}; what is done is kept: run the same command again to go on") from error
    finally:
        executor.close()
    if json_:
        print(json.dumps({"output": str(output), "rows": dict(counts)}))
        return
    far = counts.pop("out_of_domain", 0)
    parts = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in counts.most_common())
    print(f"{counts.total():,} rows: {parts or 'none'}; {far:,} unlike what the models were trained on", file=sys.stderr)
    print(output)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[float, int], None]]:
    """Yield what to call with the lines done and the lines there are."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(name, total=None)
            yield lambda done, lines: bar.update(task, completed=done, total=lines)
        return
    told = time.monotonic()

    def tell(done: float, lines: int) -> None:
        nonlocal told
        if time.monotonic() - told > _EVERY:
            told = time.monotonic()
            print(f"{name}: {done:,.0f} of {lines:,} lines", file=sys.stderr, flush=True)

    yield tell
