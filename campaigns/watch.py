"""A campaign seen from outside while it runs: yield, best candidates, what binds, and when it may end."""

from __future__ import annotations

import math
import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from campaigns.campaign import Campaign
from campaigns.lease import NAME, parse, read
from campaigns.ledger import Ledger
from campaigns.results import Results
from campaigns.storage import disk_of
from campaigns.wording import duration
from inverse_design.binding import closest

RECENT = 5
_BAR = 30


def watch(folder: Path, console: Console, every: float = 1.0) -> Results:
    """Show a campaign until it has a verdict or nobody runs it any more; return its last state."""
    with Live(console=console, auto_refresh=False) as live:
        seen = -1
        while True:
            runs, rounds = running(folder), sum(1 for _ in (folder / "rounds").glob("*.parquet"))
            if rounds != seen or not runs:  # a round is read once: many rounds take a while to read
                seen, results = rounds, Campaign.load(folder).results()
                seconds = round_seconds(folder)
                live.update(view(results, seconds, runs), refresh=True)
            if results.verdict() is not None or not runs:
                return results
            time.sleep(every)


def running(folder: Path) -> bool:
    """Whether a process writes to the campaign, as far as its lock tells."""
    data = read(folder / NAME, disk_of(folder))
    holder = None if data is None else parse(data)
    return data is not None and not (holder is not None and holder.dead())


def round_seconds(folder: Path) -> list[float]:
    """Return how long each finished round took, in seconds."""
    return [sum(row["seconds"].values()) for row in Ledger.open(folder).metrics() if "seconds" in row]


def expected(results: Results, seconds: list[float]) -> str:
    """Say when the campaign may end: at the yield and pace of the last rounds, or when its budget is spent, whichever comes first."""
    state = results.state
    if not state.rounds or not seconds:
        return "no round is finished yet"
    budget, recent = state.spec.budget, state.progress[-RECENT:]
    left = budget.rounds - state.rounds
    if budget.samples is not None:
        left = min(left, math.ceil((budget.samples - state.samples) / state.spec.acquisition.samples_per_round))
    found = sum(row["passing"] for row in recent) / len(recent)
    missing = state.spec.want.candidates - len(state.passing())
    wanted = math.ceil(missing / found) if found > 0 and missing > 0 else math.inf
    pace = sum(seconds[-RECENT:]) / len(seconds[-RECENT:])
    spent = "until its budget is spent" if wanted >= left else f"at {found:.1f} new candidates a round"
    return f"about {duration(min(wanted, left) * pace)} left, {spent}"


def view(results: Results, seconds: list[float], runs: bool) -> RenderableType:
    """Return what is shown of a campaign."""
    state, end = results.state, results.verdict()
    if end is not None:
        last = f"{end.reason}: {end.sentence}"
    elif runs:
        last = expected(results, seconds)
    else:
        last = "nobody runs it: go on with inverse-design resume"
    head = f"{state.spec.name}: {len(state.passing())} of {state.spec.want.candidates} candidates, round {state.rounds} of {state.spec.budget.rounds}, {state.samples:,} samples"
    yields = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("round", "valid", "accepted", "new that pass", ""):
        yields.add_column(name, justify="left" if not name else "right")
    most = max((row["passing"] for row in state.progress), default=0) or 1
    for row in state.progress[-2 * RECENT :]:
        bar = "\N{FULL BLOCK}" * round(_BAR * row["passing"] / most)
        yields.add_row(str(row["round"] + 1), str(row["valid"]), str(row["accepted"]), str(row["passing"]), bar)
    parts: list[RenderableType] = [Text(head, style="bold")]
    if state.candidates:
        parts += [yields, Text(), results.table(RECENT), Text(), Text(closest(state) if end is None else "")]
    return Group(*parts, Text(last))
