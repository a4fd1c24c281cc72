"""The live view: what it shows of a finished, a stopped and a running campaign, and that it ends by itself."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from campaigns.campaign import Campaign
from campaigns.ledger import Ledger
from campaigns.results import Results
from campaigns.watch import expected, running, view, watch
from campaigns.wording import duration
from inverse_design.state import State
from tests.campaigns.test_loop import drive, spec

WANTED = spec(want={"candidates": 500, "clusters": 2}, budget={"rounds": 2, "samples": 600})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watch") / "toy"
    drive(folder, WANTED)
    ledger = Ledger.open(folder)
    (folder / "metrics.jsonl").write_text('{"seconds": {"generate": 20, "sieve": 10}}\n' * sum(1 for _ in ledger.rounds()))
    return folder


def shown(folder: Path) -> tuple[str, Results]:
    page = io.StringIO()
    results = watch(folder, Console(file=page, width=300), every=0.01)
    return page.getvalue(), results


def test_a_finished_campaign_is_shown_and_the_view_ends(folder: Path) -> None:
    page, results = shown(folder)
    best = results.candidates()[0]
    for text in ("toy: ", "round 2 of 2", best.psmiles, "budget: the budget of 2 rounds is spent"):
        assert text in page


def test_time_left_is_that_of_the_yield_or_of_the_budget(folder: Path) -> None:
    full = Campaign.load(folder).results().state
    state = State(spec(want={"candidates": 500, "clusters": 2}, budget={"rounds": 10, "samples": 10_000}))
    for record in Ledger.open(folder).rounds():
        state.add(record)
    rate = len(full.passing()) / 2
    results = Results(state=state, manifest={}, source="", hours=0)
    assert (
        expected(results, [20.0, 40.0])
        == f"about {duration(min(8, -(-(500 - 2 * rate) // rate)) * 30)} left, until its budget is spent"
    )
    near = State(spec(want={"candidates": len(full.passing()) + 1, "clusters": 2}, budget={"rounds": 10, "samples": 10_000}))
    for record in Ledger.open(folder).rounds():
        near.add(record)
    assert (
        expected(Results(state=near, manifest={}, source="", hours=0), [30.0])
        == f"about 30 s left, at {rate:.1f} new candidates a round"
    )
    page = io.StringIO()
    Console(file=page, width=300).print(view(results, [30.0], runs=False))
    assert "nobody runs it" in page.getvalue()
    assert [duration(seconds) for seconds in (40, 720, 11_100)] == ["40 s", "12 min", "3 h 05 min"]


def test_a_running_campaign_is_followed_until_its_process_ends(tmp_path: Path) -> None:
    wanted = spec(budget={"rounds": 5, "samples": 600}, want={"candidates": 5000, "clusters": 2})
    folder = tmp_path / "toy"
    manifest = {"spec": wanted.identity(), "seed": 0, "models": {}, "base": "."}
    ledger = Ledger.create(folder, "schema: 1\n", wanted.model_dump(mode="json", by_alias=True), manifest)
    assert running(folder)
    pages: list[str] = []
    follower = threading.Thread(target=lambda: pages.append(shown(folder)[0]))
    follower.start()
    follower.join(0.5)
    assert follower.is_alive()
    ledger.close()
    follower.join(60)
    assert not follower.is_alive()
    assert not running(folder)
    assert "nobody runs it" in pages[0]
