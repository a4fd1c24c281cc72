"""Workers on Ray: on this machine's own small cluster, or on one that is joined by its address.

Ray holds workers and work in flight, nothing else. Actors are not restarted by Ray but replaced here: a restarting
actor fails the calls it is sent meanwhile, and Ray's own retries of a shard that kills its worker have no common cap.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray import exceptions

from campaigns.dispatch import PATIENCE, Answer, LostError, Workers, dispatch, environment
from inverse_design.errors import Interrupted, ModelError
from inverse_design.protocols import Row, WorkerSpec

REACH = 18.0
"""Seconds in which a cluster must answer."""
ANSWER = 60.0
"""Seconds in which rows that are ready must arrive."""
SILENCE = 30.0
"""Seconds after which a silent head counts as lost: a restarted one may be back by then."""
ROLES = 2
"""Kinds of actors on the processors, with a GPU and without: they take turns, so each claims half of what it needs."""
LOOPBACK = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Ray takes 127.0.0.1 for a wish to be reached from outside, and puts the machine's outer address in its place."""
LOST = (
    exceptions.RayActorError,
    exceptions.WorkerCrashedError,
    exceptions.NodeDiedError,
    exceptions.ObjectLostError,
    exceptions.OutOfMemoryError,
    exceptions.GetTimeoutError,
)


class RayExecutor:
    """Runs shards on `workers` actors, spread over the nodes, each with one thread and all models, and on as many with a GPU."""

    def __init__(self, workers: int, address: str | None = None, patience: float = PATIENCE, *, gpu: bool = False) -> None:
        """Start Ray on the loopback interface, or join `address` (else RAY_ADDRESS). Raises ModelError if it is out of reach."""
        self._workers = workers
        self._patience = patience
        self._seats: dict[bool, list[ActorSeat]] = {}
        self._started = not ray.is_initialized()
        if self._started:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            address = address or os.environ.get("RAY_ADDRESS")
            with _signals_kept():
                if address and address != "local":
                    _join(address)
                else:
                    _start(workers, None if gpu else 0)
        self._head = Head(ray.get_runtime_context().gcs_address)

    def run(self, worker: WorkerSpec, shards: Mapping[int, list[Row]]) -> Iterator[tuple[int, list[Row]]]:
        """Yield (shard index, rows) as shards finish, each once. Raises what a worker raises; ModelError if one is lost 4 times."""
        try:
            gpu = worker.arguments.get("device") == "cuda"
            if gpu not in self._seats:
                there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
                wanted = {"num_cpus": there.get("CPU", 1.0)} | ({"num_gpus": there.get("GPU", 0.0)} if gpu else {})
                share = {kind: min(1.0, count / self._workers) / ROLES for kind, count in wanted.items()}
                self._seats[gpu] = [ActorSeat(share) for _ in range(self._workers)]
            seats = self._seats[gpu][: worker.most]
            yield from dispatch(worker, shards, seats, self._wait, depth=2, patience=self._patience)
        except (exceptions.RayError, ConnectionError) as error:
            raise Interrupted(f"The Ray cluster is gone ({_first_line(error)}). Every finished shard is kept.") from error
        except (SystemError, SystemExit) as error:
            # Ray's compiled code turns what a signal handler raises into one of these.
            raise Interrupted("stopped by a signal; every finished shard is kept") from error

    def _wait(self, seats: list[ActorSeat], timeout: float) -> list[ActorSeat]:
        oldest = {seat.answers[0]: seat for seat in seats}
        ready, _ = ray.wait(list(oldest), num_returns=1, timeout=timeout)
        self._head.check()
        return [oldest[reference] for reference in ready]

    def close(self) -> None:
        """End the actors, and what this executor started."""
        self._head.close()
        if self._head.lost:  # a cluster that is gone needs no goodbye, and would not hear it
            return
        with suppress(exceptions.RayError, ConnectionError):
            for seats in self._seats.values():
                for seat in seats:
                    seat.clear()
        self._seats.clear()
        if self._started:
            with _signals_kept() as keep:
                farewell = threading.Thread(target=ray.shutdown)
                farewell.start()
                while farewell.is_alive():  # its compiled code puts signals back to what kills, a second before it is done
                    farewell.join(0.02)
                    keep()
            self._started = False


class Head:
    """A thread that asks whether the head of the cluster is there.

    Without it Ray's calls hang, and Ray ends this process 60 s later without a word and with the wrong exit code. So does
    this thread before that, with the right ones, if `check` could not stop it in order.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._place = (host.strip("[]"), int(port))
        self._closed = threading.Event()
        self.lost = ""
        threading.Thread(target=self._watch, name="head", daemon=True).start()

    def check(self) -> None:
        """Raise Interrupted if the head is lost."""
        if self.lost:
            raise Interrupted(self.lost)

    def close(self) -> None:
        """Stop asking, unless it is lost: then Ray's farewell hangs as well."""
        if not self.lost:
            self._closed.set()

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._closed.wait(SILENCE / 6):
            try:
                socket.create_connection(self._place, timeout=SILENCE / 6).close()
                answered = time.monotonic()
            except OSError as error:
                if time.monotonic() - answered > SILENCE:
                    self.lost = f"The head of the Ray cluster is gone ({error}). Every finished shard is kept."
                    break
        # A head that went because somebody here has shut Ray down is not lost.
        if not self._closed.wait(SILENCE / 3) and ray.is_initialized():
            print(f"inverse-design: {self.lost}", file=sys.stderr, flush=True)
            os._exit(Interrupted.exit_code)


class Holder:
    """What runs in an actor; models are built at the first call, so that their errors come back as themselves."""

    def __init__(self) -> None:
        self._workers = Workers()

    def answer(self, worker: WorkerSpec, rows: list[Row]) -> Answer:
        return self._workers.answer(worker, rows)


class ActorSeat:
    """An actor, made at the first shard and again after a loss."""

    def __init__(self, share: Mapping[str, float]) -> None:
        self.share = share
        self.actor: Any = None
        self.answers: deque[Any] = deque()

    def give(self, worker: WorkerSpec, rows: list[Row]) -> None:
        if self.actor is None:
            options = {**self.share, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": "SPREAD"}
            self.actor = ray.remote(Holder).options(**options).remote()
        try:
            self.answers.append(self.actor.answer.remote(worker, rows))
        except LOST as error:
            raise LostError from error

    def take(self) -> Answer:
        try:
            answer: Answer = ray.get(self.answers[0], timeout=ANSWER)
        except LOST as error:
            raise LostError from error
        except exceptions.RayTaskError as error:  # the actor could not even read the question
            raise ModelError(
                f"A Ray worker cannot run this project: {error.cause!r}. Install the same version on every node."
            ) from error
        self.answers.popleft()
        return answer

    def clear(self) -> None:
        self.answers.clear()
        if self.actor is not None:
            ray.kill(self.actor)
            self.actor = None


@contextmanager
def _signals_kept() -> Iterator[Callable[[], None]]:
    """Keep the handlers of signals that Ray replaces as it starts and ends: its own end the process, with an exit code that
    says nothing. Yields what puts them back at once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def keep() -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler if callable(handler) else signal.getsignal(number))

    try:
        yield keep
    except SystemExit as error:
        raise Interrupted("stopped by a signal; every finished shard is kept") from error
    finally:
        keep()


def _start(workers: int, gpus: int | None) -> None:
    """Start Ray with as many processors as there are workers, and with `gpus` GPUs, None for all there are."""
    try:
        # Ray makes workers yield to everything else on the machine, but they are the work here.
        with environment(OMP_NUM_THREADS="1", RAY_worker_niceness="0"):
            ray.init(
                address="local",
                num_cpus=workers,
                num_gpus=gpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=2**28,
                _node_ip_address=LOOPBACK,
            )
    except Exception as error:  # Ray raises just that when its processes start too slowly
        raise ModelError(
            f"Ray cannot start here ({_first_line(error)}). "
            "Try again, without it (--executor local), or with RAY_TMPDIR set to a folder with room."
        ) from error


def _join(address: str) -> None:
    """Join a cluster; never start one instead. Raises ModelError in well under 20 s if it does not answer."""
    probe(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # another version, a refused token, ...: of many kinds
        raise ModelError(f"Ray at {address} does not let this process join: {error}") from error


def probe(address: str) -> None:
    """Ask whether Ray answers at `address` in a process that can be given up: joining a silent one takes minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=REACH / 6).close()
        if address.startswith("ray://"):
            return
        # What `ray health-check` does, without the half of its time that it takes to load all other commands.
        check = [sys.executable, "-c", "import sys; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])", address]
        answer = subprocess.run(check, timeout=REACH * 5 / 6, capture_output=True, text=True, check=False)
        reason = answer.stderr.strip().rpartition("\n")[2] if answer.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"something else listens there, or it took longer than {REACH:.0f} s"
    except (OSError, ValueError, OverflowError) as error:
        reason = _first_line(error)
    if reason:
        raise ModelError(
            f"No Ray cluster answers at {address} ({reason}). Start it (ray start --head), or correct the address or RAY_ADDRESS."
        )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
