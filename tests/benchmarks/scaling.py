"""How far workers and driver go: `python -m tests.benchmarks.scaling` prints both tables of scaling.txt.

Real: shards of workers that sleep, on 1, 2 and 4 of them, against the time they sleep; and what a shard costs beside its work.
Simulated: the dispatcher of this project itself with up to 1,024 seats on a virtual clock, which runs on by the processor time that
the driver takes and by what was measured of Ray and of the ledger here. A shard of 48 samples takes a GPU `SECONDS`; a round has
two shards a GPU, and before it come decision, commit, report, which nothing overlaps.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from campaigns import rounds
from campaigns.dispatch import Answer, dispatch
from campaigns.ledger import Ledger
from campaigns.local import LocalExecutor
from inverse_design.loop import SHARD
from inverse_design.protocols import Executor, Row, WorkerSpec
from inverse_design.state import State
from tests.benchmarks.ledger import made_up
from tests.campaigns.test_loop import spec

SLEEP = 1.0
SECONDS = (1.0, 3.0, 10.0)
GPUS = (16, 32, 64, 128, 256, 512, 1024)
DECISION = 3.0
"""Processor seconds of a decision after 100,000 candidates, as tests/benchmarks/ledger.py prints them."""
ROWS: list[Row] = [{"text": "*CC*" * 12, "do": "sleep", "seconds": SLEEP / SHARD}] * SHARD


def real(kind: str, make: Callable[[int], Executor]) -> float:
    """Print the efficiency of sleeping workers; return the processor seconds that a shard costs the driver, on one of them."""
    toy, cost = WorkerSpec(factory="tests.contracts.workers:Toy"), 0.0
    for workers in (1, 2, 4):
        executor = make(workers)
        shards: Mapping[int, list[Row]] = dict.fromkeys(range(8 * workers), ROWS)
        dict(executor.run(toy, {key: [{"text": "x"}] for key in range(4 * workers)}))  # processes start and import
        began = time.monotonic()
        dict(executor.run(toy, shards))
        seconds = time.monotonic() - began
        began, spent = time.monotonic(), time.process_time()
        dict(executor.run(toy, dict.fromkeys(range(200), [{"text": "*CC*" * 12}] * SHARD)))
        each = (time.monotonic() - began) / 200
        cost = cost or (time.process_time() - spent) / 200
        executor.close()
        print(
            f"{kind:<6} {workers} workers: {len(shards)} shards of {SLEEP:g} s in {seconds:5.2f} s, efficiency {8 * SLEEP / seconds:.3f}; "
            f"one without work takes {1000 * each:.1f} ms",
            flush=True,
        )
    return cost


class Clock:
    """Virtual time: what was waited for, and the processor time that this process really took."""

    def __init__(self) -> None:
        self.waited = -time.process_time()

    def now(self) -> float:
        return self.waited + time.process_time()


class Gpu:
    """A seat whose work takes `seconds` of virtual time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.ends: deque[float] = deque()
        self.free = 0.0

    def give(self, worker: WorkerSpec, rows: list[Row]) -> None:
        self.free = max(self.free, self.clock.now()) + self.seconds
        self.ends.append(self.free)

    def take(self) -> Answer:
        self.ends.popleft()
        return []

    def clear(self) -> None: ...


def simulated(gpus: int, seconds: float, message: float, waiting: float, keeping: float) -> tuple[float, float]:
    """Return virtual seconds of a stage of two shards a GPU, and the share of them in which the driver was busy.

    message: seconds to send a question and take its answer; waiting: to ask after one more seat; keeping: to keep a shard.
    """
    clock = Clock()
    seats = [Gpu(clock, seconds) for _ in range(gpus)]
    idle = 0.0

    def wait(busy: list[Gpu], timeout: float) -> list[Gpu]:
        nonlocal idle
        clock.waited += waiting * len(busy)
        first = min(busy, key=lambda seat: seat.ends[0])
        pause = max(0.0, first.ends[0] - clock.now())
        clock.waited += pause
        idle += pause
        return [first]

    shards: Mapping[int, list[Row]] = {key: [] for key in range(2 * gpus)}
    for _ in dispatch(WorkerSpec(factory="x:y"), shards, seats, wait, depth=2, patience=1e9):
        clock.waited += message + keeping
    return clock.now(), 1 - idle / clock.now()


def measured() -> tuple[float, float]:
    """Return processor seconds to keep a shard, and to commit and judge a row."""
    record = made_up(0, random.Random(0))
    manifest: Row = {"spec": "", "seed": 0, "models": {}}
    with tempfile.TemporaryDirectory() as name, Ledger.create(Path(name) / "run", "", {}, manifest) as ledger:
        began = time.process_time()
        for index in range(100):
            ledger.keep_shard(0, "generate", index, [{"text": "*CC*" * 12}] * SHARD)
        keeping = (time.process_time() - began) / 100
    began = time.process_time()
    rounds.encode(record)
    State(spec()).add(record)
    return keeping, (time.process_time() - began) / len(record.samples)


def main() -> None:
    real("local", LocalExecutor)
    from campaigns.on_ray import RayExecutor

    message = real("ray", lambda workers: RayExecutor(workers, "local"))
    waiting = asked_after()
    keeping, row = measured()
    print(
        f"\nmeasured: {1000 * message:.1f} ms of the driver to send and take a shard, {1e6 * waiting:.1f} us to ask after a seat, {1000 * keeping:.1f} ms to keep "
        f"a shard, {1e6 * row:.0f} us to commit and judge a row; {DECISION:g} s for a decision"
    )
    print(f"{'GPUs':>5} {'samples a round':>16}", *(f"{f'shard {seconds:g} s':>24}" for seconds in SECONDS))
    for gpus in GPUS:
        cells = []
        for seconds in SECONDS:
            stage, busy = simulated(gpus, seconds, message, waiting, keeping)
            whole = stage + DECISION + 2 * gpus * SHARD * row
            cells.append(f"{2 * seconds / stage:5.2f} stage {2 * seconds / whole:5.2f} round {busy:4.0%}")
        print(f"{gpus:>5} {2 * gpus * SHARD:>16,}", *(f"{cell:>24}" for cell in cells), flush=True)
    print(
        "efficiency of the GPUs in the stage of generation, and over the whole round; share of the stage in which the driver works"
    )


def asked_after() -> float:
    """Return processor seconds that Ray takes to ask after one more answer, over 512 that are not ready."""
    import ray

    from campaigns.on_ray import RayExecutor

    executor = RayExecutor(1, "local")
    pending = [ray.remote(_sleep).remote() for _ in range(512)]
    began = time.process_time()
    for _ in range(50):
        ray.wait(pending, num_returns=1, timeout=0)
    seconds = (time.process_time() - began) / 50 / len(pending)
    executor.close()
    return seconds


def _sleep() -> None:
    time.sleep(60)


if __name__ == "__main__":
    main()
