"""Workers on this machine: in this process, or in as many others as asked for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from multiprocessing import connection

from campaigns.dispatch import PATIENCE, Answer, LostError, Workers, dispatch, environment
from inverse_design.protocols import Row, WorkerSpec

Pipe = connection.Connection


class LocalExecutor:
    """Runs shards in this process (`workers` = 1) or in that many processes, each holding workers of its own."""

    def __init__(self, workers: int, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._here = Workers()
        self._seats = [ProcessSeat() for _ in range(workers)] if workers > 1 else []

    def run(self, worker: WorkerSpec, shards: Mapping[int, list[Row]]) -> Iterator[tuple[int, list[Row]]]:
        """Yield (shard index, rows) as shards finish, each once. Raises what a worker raises; ModelError if one is lost 4 times."""
        if self._seats:
            yield from dispatch(worker, shards, self._seats[: worker.most], _wait, depth=1, patience=self._patience)
        else:
            for index in sorted(shards):
                yield index, self._here.work(worker, shards[index])

    def close(self) -> None:
        """End the processes."""
        self._here = Workers()
        for seat in self._seats:
            seat.clear()


class ProcessSeat:
    """A process of its own, started at the first shard and again after a loss."""

    def __init__(self) -> None:
        self.process: multiprocessing.process.BaseProcess | None = None
        self.pipe: Pipe

    def give(self, worker: WorkerSpec, rows: list[Row]) -> None:
        if self.process is None:
            self._start()
        try:
            self.pipe.send((worker, rows))
        except OSError as error:
            raise LostError from error

    def take(self) -> Answer:
        try:
            answer: Answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise LostError from error
        return answer

    def clear(self) -> None:
        if self.process is not None:
            self.process.kill()  # nothing in it is worth a farewell, and it may hang
            self.process.join()
            self.pipe.close()
            self.process = None

    def _start(self) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
        with environment(OMP_NUM_THREADS="1"):
            self.process.start()
        theirs.close()


def _wait(seats: list[ProcessSeat], timeout: float) -> list[ProcessSeat]:
    ready = connection.wait([seat.pipe for seat in seats], timeout)  # a dead process closes its end, which counts
    return [seat for seat in seats if seat.pipe in ready]


def _serve(pipe: Pipe) -> None:
    """Answer until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    threading.Thread(target=_follow_parent, daemon=True).start()
    workers = Workers()
    while True:
        try:
            worker, rows = pipe.recv()
            pipe.send(workers.answer(worker, rows))
        except (EOFError, OSError):
            return


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)  # a killed parent must not leave a model computing for nobody
