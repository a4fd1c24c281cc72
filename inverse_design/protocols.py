"""What the loop asks of a generator, a surrogate, an executor and a ledger; nothing else crosses these seams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = dict[str, Any]
"""One JSON object. Workers take rows and give rows: as many, in the same order."""
CRASHED: Row = {"crashed": True}
"""What an executor gives for a row that ends the process of its worker each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A calibrated answer: mean and standard deviation in the property's own unit (see `properties`)."""

    mean: float
    std: float
    in_domain: bool


class Generator(Protocol):
    """A frozen conditional generator."""

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        """Return one text per seed for each prompt, in order; each text depends on its prompt and seed alone."""
        ...


class Surrogate(Protocol):
    """A frozen predictor of properties."""

    properties: tuple[str, ...]
    """Names of the properties it answers (keys of `properties.PROPERTIES`)."""

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        """Return, per repeat unit, an answer for each named property, or None where it has no valid one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """How to build a worker in any process: `module:function` of this project and its JSON arguments; `most` of it at once."""

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    most: int | None = None


class Worker(Protocol):
    """A model, or the sieve, as an executor holds it."""

    def work(self, rows: list[Row]) -> list[Row]: ...


class Executor(Protocol):
    """Runs shards on workers; a worker is built once per process and kept for the whole campaign."""

    def run(self, worker: WorkerSpec, shards: Mapping[int, list[Row]]) -> Iterator[tuple[int, list[Row]]]:
        """Yield (shard index, rows) as shards finish, in any order, each exactly once; bounded work in flight."""
        ...

    def close(self) -> None: ...


class Ledger(Protocol):
    """What happened, kept where it survives: finished rounds, and finished shards of the round in progress."""

    def rounds(self) -> Iterator[Any]: ...

    def shards(self, round_index: int, stage: str) -> dict[int, list[Row]]: ...

    def keep_shard(self, round_index: int, stage: str, index: int, rows: list[Row]) -> None: ...

    def commit(self, record: Any) -> None: ...
