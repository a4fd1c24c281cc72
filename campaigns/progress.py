"""What a run says while it runs: a bar on a terminal, one line a round elsewhere; all on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from inverse_design.protocols import Row
from inverse_design.spec import CampaignSpec

if TYPE_CHECKING:
    from inverse_design.state import State

Tell = Callable[["State", Row], None]


@contextmanager
def progress(spec: CampaignSpec, folder: Path) -> Iterator[Tell]:
    """Yield what to call after each round."""
    console = Console(stderr=True)
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        print(f"{spec.name}: looking for {spec.want.candidates} candidates in {folder}", file=sys.stderr, flush=True)
        yield lambda state, seconds: print(line(state, seconds), file=sys.stderr, flush=True)
        return
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task(spec.name, total=spec.want.candidates, facts="loading models")

        def tell(state: State, seconds: Row) -> None:
            found = len(state.passing())
            last = state.progress[-1]
            facts = f"round {state.rounds}: {last['passing']} new of {last['samples']} samples"
            bar.update(task, completed=min(found, spec.want.candidates), facts=facts)

        yield tell


def line(state: State, seconds: Row) -> str:
    """Return one round in one line."""
    last = state.progress[-1]
    return (
        f"round {state.rounds}: {last['samples']} samples, {last['valid']} valid, {last['accepted']} accepted, "
        f"{last['passing']} new that pass; {len(state.passing())} of {state.spec.want.candidates} in all; {sum(seconds.values()):.0f} s"
    )
