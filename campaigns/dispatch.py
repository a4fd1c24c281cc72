"""Shards to seats: the one loop behind every executor, so that lost and hung workers mean the same in all of them."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from inverse_design.errors import CandidateError, EngineError, ModelError
from inverse_design.protocols import CRASHED, Row, Worker, WorkerSpec

logger = logging.getLogger(__name__)

PACKAGES = ("inverse_design", "generators", "surrogates", "campaigns", "tests")
TRIES = 3
"""Times that a shard may lose its process before it is halved, to find the row that does it."""
POISONED = 3
"""Rows of one stage that may end their processes; more of them are the worker's fault, or the machine's."""
PATIENCE = 600.0
Answer = list[Row] | EngineError
"""What comes back from another process: rows, or the error to raise."""


class LostError(Exception):
    """The process of a seat is gone, and with it the work it was given."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows `start` to `stop` of a shard: all of it, or what is left to suspect of killing its process."""

    shard: int
    start: int
    stop: int

    def tries(self, whole: int) -> int:
        """Return how often it may be lost: a row is condemned on the second time, for the first may be chance."""
        return TRIES if self.stop - self.start == whole else 2 if self.stop - self.start == 1 else 1

    def halves(self) -> tuple[Piece, Piece]:
        middle = (self.start + self.stop) // 2
        return Piece(self.shard, self.start, middle), Piece(self.shard, middle, self.stop)


class Seat(Protocol):
    """A place in another process where shards are worked on one at a time, in the order they are given."""

    def give(self, worker: WorkerSpec, rows: list[Row]) -> None:
        """Start work without waiting for it, starting the process if need be. Raises LostError."""
        ...

    def take(self) -> Answer:
        """Return the oldest answer, once `wait` has said that there is one. Raises LostError."""
        ...

    def clear(self) -> None:
        """End the process and forget its work."""
        ...


S = TypeVar("S", bound=Seat)


class Workers:
    """The workers of one process, each built at its first use."""

    def __init__(self) -> None:
        self._built: dict[str, Worker] = {}

    def work(self, worker: WorkerSpec, rows: list[Row]) -> list[Row]:
        """Return the worker's rows. Raises its EngineError; ModelError for any other; CandidateError for another count."""
        key = identity(worker)
        try:
            if key not in self._built:
                self._built[key] = build(worker)
            answers = self._built[key].work(rows)
        except EngineError:
            raise
        except Exception as error:
            failure = ModelError(f"{worker.factory}: {type(error).__name__}: {error}")
            failure.add_note(traceback.format_exc())  # all that is left of it in another process
            raise failure from error
        if len(answers) != len(rows):
            raise CandidateError(f"{worker.factory}: gave {len(answers)} rows for {len(rows)}; it must give one for each.")
        return answers

    def answer(self, worker: WorkerSpec, rows: list[Row]) -> Answer:
        """As `work`, with the error as a value: the way between processes."""
        try:
            return self.work(worker, rows)
        except EngineError as error:
            error.__cause__ = None
            return error


def identity(worker: WorkerSpec) -> str:
    return json.dumps([worker.factory, dict(worker.arguments)], sort_keys=True)


def build(worker: WorkerSpec) -> Worker:
    """Return a new worker. Raises ModelError if its factory is not one of this project's, and what the factory raises."""
    module, _, function = worker.factory.partition(":")
    if module.partition(".")[0] not in PACKAGES or not function:
        raise ModelError(f"{worker.factory!r} is no worker factory: wanted module:function of {', '.join(PACKAGES[:-1])}.")
    built: Worker = getattr(importlib.import_module(module), function)(**worker.arguments)
    if "torch" in sys.modules:  # one thread per worker: sums in one order, and no fight for cores
        sys.modules["torch"].set_num_threads(1)
    return built


def dispatch(
    worker: WorkerSpec,
    shards: Mapping[int, list[Row]],
    seats: Sequence[S],
    wait: Callable[[list[S], float], list[S]],
    *,
    depth: int,
    patience: float,
) -> Iterator[tuple[int, list[Row]]]:
    """Yield (shard index, rows) as seats finish, at most `depth` shards in a seat; `wait` returns the seats with an answer.

    A shard whose seat is lost, or takes longer than `patience` seconds, is given to a new process up to 3 times, then halved
    until the row that does it is found: its answer is `CRASHED`. ModelError if there are many such rows, or nothing else.
    """
    waiting = deque(Piece(index, 0, len(shards[index])) for index in sorted(shards))
    parts: defaultdict[int, dict[int, list[Row]]] = defaultdict(dict)
    queues: dict[int, deque[Piece]] = {seat: deque() for seat in range(len(seats))}
    since = dict.fromkeys(queues, 0.0)
    losses: Counter[Piece] = Counter()
    condemned: list[Piece] = []
    answered = False

    def lose(seat: int, reason: str) -> None:
        # Pieces are worked on in order, so the oldest is the one that did it: the others are not to blame.
        seats[seat].clear()
        guilty, *others = queues[seat]
        queues[seat].clear()
        waiting.extendleft(reversed(others))
        losses[guilty] += 1
        if losses[guilty] < guilty.tries(len(shards[guilty.shard])):
            waiting.appendleft(guilty)
        elif guilty.stop - guilty.start > 1:
            waiting.extendleft(reversed(guilty.halves()))
        else:
            condemned.append(guilty)
            if len(condemned) > POISONED or not (answered or waiting or any(queues.values())):
                raise ModelError(
                    f"{worker.factory}: shard {guilty.shard} {reason} {losses[guilty]} times. Give it more memory or time."
                )
            logger.warning(
                "%s: row %d of shard %d %s; it is left out as crashed", worker.factory, guilty.start, guilty.shard, reason
            )
            parts[guilty.shard][guilty.start] = [CRASHED]

    try:
        while waiting or any(queues.values()):
            while waiting and len(queues[seat := min(queues, key=lambda number: len(queues[number]))]) < depth:
                if not queues[seat]:
                    since[seat] = time.monotonic()
                queues[seat].append(piece := waiting.popleft())
                try:
                    seats[seat].give(worker, shards[piece.shard][piece.start : piece.stop])
                except LostError:
                    lose(seat, "lost its worker")
            busy = [seat for seat, queue in queues.items() if queue]
            ready = wait([seats[seat] for seat in busy], 1.0)
            for seat in busy:
                if seats[seat] in ready:
                    try:
                        answer = seats[seat].take()
                    except LostError:
                        lose(seat, "lost its worker")
                        continue
                    piece = queues[seat].popleft()
                    since[seat] = time.monotonic()
                    if isinstance(answer, EngineError):
                        raise answer
                    answered = True
                    parts[piece.shard][piece.start] = answer
                elif time.monotonic() - since[seat] > patience:
                    lose(seat, f"took longer than {patience:.0f} s")
            for index in sorted(parts) if answered else ():
                rows = [row for _, part in sorted(parts[index].items()) for row in part]
                if len(rows) == len(shards[index]):
                    del parts[index]
                    yield index, rows
    finally:
        for seat, queue in queues.items():
            if queue:  # left early: what it still works on must not be taken for an answer to the next question
                seats[seat].clear()


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Set variables for processes started meanwhile: numerical libraries read theirs as they load, before any of our code."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
