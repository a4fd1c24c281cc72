"""The loop over a real ledger and real executors: verdicts, identity of results, and a process killed at any moment."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from campaigns.campaign import Campaign
from campaigns.ledger import Ledger
from campaigns.local import LocalExecutor
from campaigns.on_ray import RayExecutor
from campaigns.results import Results
from inverse_design.loop import Workers, run
from inverse_design.protocols import Executor, WorkerSpec
from inverse_design.spec import CampaignSpec
from inverse_design.state import State
from inverse_design.verdict import Verdict
from tests import toy

KILLS = 30


def spec(**changes: object) -> CampaignSpec:
    plain = {
        "schema": 1,
        "name": "toy",
        "targets": [{"property": "Tg", "min": 200}],
        "acquisition": {"samples_per_round": 96, "samples_per_prompt": 4, "pool": 200},
        "want": {"candidates": 120, "clusters": 2},
        "budget": {"rounds": 5, "samples": 600},
    }
    return CampaignSpec.model_validate(plain | changes)


def drive(
    folder: Path, wanted: CampaignSpec, executor: Executor | None = None, generator: WorkerSpec = toy.GENERATOR
) -> tuple[Results, Verdict]:
    """Start or go on with a campaign on toy models, the way `Campaign` does with real ones."""
    campaign = Campaign(spec=wanted, source="schema: 1\n", folder=folder, base=folder)
    manifest = {"spec": wanted.digest(), "seed": wanted.seed, "models": {}, "base": "."}
    resolved = wanted.model_dump(mode="json", by_alias=True)
    started = (folder / "manifest.json").exists()
    ledger = Ledger.resume(folder, resolved, manifest) if started else Ledger.create(folder, "schema: 1\n", resolved, manifest)
    crew = executor or LocalExecutor(1)
    with ledger:
        state = State(wanted)
        for record in ledger.rounds():
            state.add(record)
        sieve = WorkerSpec(
            factory="inverse_design.sieve:sieve_worker", arguments={"structure": resolved["structure"], "max_similarity": 0.99}
        )
        workers = Workers(generator=generator, sieve=sieve, surrogates=toy.SURROGATES)
        end = run(state, campaign._problem(), workers, crew, ledger, lambda state, seconds: None)
    crew.close()
    return Results(state=state, manifest={}, source="", hours=0.0, end=end), end


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """The rows of an uninterrupted run in this process."""
    results, _ = drive(tmp_path_factory.mktemp("calm") / "run", spec())
    return results.rows()


def test_a_campaign_meets_its_spec_with_distinct_novel_candidates(tmp_path: Path) -> None:
    results, end = drive(tmp_path / "run", spec())
    assert end.reason == "met"
    passing = results.state.passing()
    assert len(passing) >= 120
    assert len({candidate.canonical for candidate in passing}) == len(passing)
    assert all(candidate.probability >= 0.6 for candidate in passing)
    assert [row["rank"] for row in results.rows()] == list(range(1, len(results.rows()) + 1))


def test_every_sample_has_a_status_and_lineage(tmp_path: Path) -> None:
    drive(tmp_path / "run", spec())
    for record in Ledger.open(tmp_path / "run").rounds():
        assert len(record.samples) == 96
        assert [row["sample"] for row in record.samples] == list(range(96))
        for row in record.samples:
            assert row["status"]
            assert len(row["prompt"].split(",")) == 15
            assert (row["predictions"] is None) == (row["status"] != "accepted")


def test_the_model_of_acquisition_asks_for_what_pays(tmp_path: Path) -> None:
    hard = {"targets": [{"property": "Tg", "min": 260}], "want": {"candidates": 500, "clusters": 1}, "budget": {"rounds": 6}}
    found = {
        name: len(
            drive(tmp_path / name, spec(**hard, acquisition={"strategy": name, "samples_per_round": 96, "pool": 300}))[
                0
            ].state.passing()
        )
        for name in ("random", "feasible-yield")
    }
    assert found["feasible-yield"] > 2 * found["random"]


@pytest.mark.parametrize("executor", [lambda: LocalExecutor(2), lambda: RayExecutor(2)], ids=["local-2", "ray-2"])
def test_executors_and_workers_do_not_change_results(tmp_path: Path, calm: list[dict[str, object]], executor: object) -> None:
    results, _ = drive(tmp_path / "run", spec(), executor())  # type: ignore[operator]
    assert results.rows() == calm


def test_a_spent_budget_names_the_binding_target(tmp_path: Path) -> None:
    _, end = drive(tmp_path / "run", spec(targets=[{"property": "Tg", "min": 500}], budget={"rounds": 2}))
    assert end.reason == "budget"
    assert end.exit_code == 3
    assert "The binding target is Tg" in end.sentence


def test_a_hopeless_target_ends_early_and_says_what_would_do(tmp_path: Path) -> None:
    _, end = drive(tmp_path / "run", spec(targets=[{"property": "Tg", "min": 550}], budget={"rounds": 6, "samples": 600}))
    assert end.reason == "infeasible"
    assert "relaxed by" in end.sentence


def test_a_generator_that_gives_nothing_usable_is_a_collapse(tmp_path: Path) -> None:
    results, end = drive(tmp_path / "run", spec(structure={"required": ["Br"]}, budget={"rounds": 20}))
    assert (end.reason, end.exit_code) == ("collapse", 6)
    assert results.state.rounds == 4
    assert "structure:required:Br" in end.sentence


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_killed_at_any_moment_and_resumed_the_list_is_the_same(tmp_path: Path, calm: list[dict[str, object]]) -> None:
    rng = random.Random(5)
    folder, kills = tmp_path / "run", 0
    while True:
        child = os.fork()
        if child == 0:
            drive(folder, spec())
            os._exit(0)
        wait = rng.uniform(0.01, 0.6) if kills < KILLS else 120.0
        deadline, done = time.monotonic() + wait, False
        while time.monotonic() < deadline and not done:
            done = os.waitpid(child, os.WNOHANG)[0] == child
            time.sleep(0.002)
        if done:
            if kills >= KILLS:
                break
            # Finished sooner than the kills: begin anew, so that all of them hit a living campaign.
            folder = tmp_path / f"run-{kills}"
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
    assert drive(folder, spec())[0].rows() == calm
