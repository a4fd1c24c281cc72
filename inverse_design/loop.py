"""Target property specs drive a loop in which a generator proposes candidates, surrogates score them, and an
acquisition reweights the conditioning prompts until the constraints are met."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inverse_design import seeds
from inverse_design.acquisition.strategies import Decision, Problem, decide
from inverse_design.protocols import CRASHED, Executor, Ledger, Row, WorkerSpec
from inverse_design.sieve import UNREACHED
from inverse_design.state import Round, State
from inverse_design.verdict import PATIENCE, Verdict, failing_rounds, hopeless_rounds, verdict

SHARD = 48
"""Rows of a shard: fixed, so that batches are the same whatever the number of workers."""

NO_TEXT: Row = {"text": "", "status": "crashed"}
"""What a prompt gave whose generation ended its process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """What each stage of a round runs on."""

    generator: WorkerSpec
    sieve: WorkerSpec
    surrogates: Mapping[str, WorkerSpec]


def run(
    state: State,
    problem: Problem,
    workers: Workers,
    executor: Executor,
    ledger: Ledger,
    tell: Callable[[State, Row], None],
    hours: float = 0.0,
) -> Verdict:
    """Run rounds until there is a verdict, committing each to the ledger; `hours` were spent before."""
    began = time.monotonic()
    while (end := verdict(state, hours + (time.monotonic() - began) / 3600)) is None:
        clock = Clock()
        decision = _decision(state, problem)
        clock.mark("acquisition")
        record = one_round(state, decision, workers, executor, ledger, clock)
        ledger.commit(record)
        state.add(record)
        clock.mark("commit")
        tell(state, clock.seconds)
    return end


def _decision(state: State, problem: Problem) -> Decision:
    # A generator that has stopped giving anything new starts once more from the prior.
    strategy = "random" if failing_rounds(state) == PATIENCE else state.spec.acquisition.strategy
    return decide(strategy, problem, state.history(), state.rounds, wider=hopeless_rounds(state) > 0)


def one_round(state: State, decision: Decision, workers: Workers, executor: Executor, ledger: Ledger, clock: Clock) -> Round:
    """Generate, sieve, drop duplicates and score the samples of one decision."""
    index, spec = state.rounds, state.spec

    def stage(name: str, worker: WorkerSpec, rows: list[Row], crashed: Row) -> list[Row]:
        return [crashed if row == CRASHED else row for row in in_shards(name, worker, rows, index, executor, ledger)]

    texts = [
        spec.generator.prefix + ",".join(map(str, prompt))
        for prompt in decision.prompts
        for _ in range(spec.acquisition.samples_per_prompt)
    ]
    asked: list[Row] = [{"prompt": text, "seed": seeds.seed(spec.seed, index, 3, sample)} for sample, text in enumerate(texts)]
    samples = [ask | answer for ask, answer in zip(asked, stage("generate", workers.generator, asked, NO_TEXT), strict=True)]
    clock.mark("generate")
    sieved = stage("sieve", workers.sieve, [{"text": row["text"]} for row in samples], UNREACHED | {"status": "crashed"})
    samples = [judged | row for row, judged in zip(samples, sieved, strict=True)]
    clock.mark("sieve")
    seen = state.seen([row["canonical"] for row in samples])
    for row in samples:
        if row["status"] == "accepted" and row["canonical"] in seen:
            row["status"] = "duplicate"
        seen.add(row["canonical"])
    accepted = [row for row in samples if row["status"] == "accepted"]
    for name, worker in workers.surrogates.items():
        answers = stage(f"predict.{name}", worker, [{"psmiles": row["psmiles"]} for row in accepted], {"predictions": []})
        for row, answer in zip(accepted, answers, strict=True):
            row["predictions"] = (row.get("predictions") or []) + answer["predictions"]
        clock.mark(name)
    samples = [{"sample": number, "predictions": None} | row for number, row in enumerate(samples)]
    return Round(index=index, facts=decision.facts, samples=samples)


def in_shards(name: str, worker: WorkerSpec, rows: list[Row], round_index: int, executor: Executor, ledger: Ledger) -> list[Row]:
    """Run rows through a worker in fixed shards, keeping each as it finishes; finished ones of an interrupted run are not redone."""
    shards = {start // SHARD: rows[start : start + SHARD] for start in range(0, len(rows), SHARD)}
    done = {index: kept for index, kept in ledger.shards(round_index, name).items() if len(kept) == len(shards.get(index, ()))}
    for index, finished in executor.run(worker, {index: shard for index, shard in shards.items() if index not in done}):
        ledger.keep_shard(round_index, name, index, finished)
        done[index] = finished
    return [row for index in sorted(shards) for row in done[index]]


class Clock:
    """Seconds per stage of a round."""

    def __init__(self) -> None:
        self.seconds: Row = {}
        self._last = time.monotonic()

    def mark(self, stage: str) -> None:
        """Book the time since the last mark under `stage`."""
        now = time.monotonic()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now
