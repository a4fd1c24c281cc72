"""An executor that never asks a model the same twice: answers are kept in a SQLite file, across runs and processes.

Workers are pure functions of a row, so paired campaigns share what they have in common: the first round, the random baseline, and
every repeat unit that two of them come upon.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from campaigns.dispatch import Workers, identity
from campaigns.models import at_hand
from inverse_design.protocols import Row, WorkerSpec


class Remembering:
    """Runs shards in this process; a row that any run has asked before, of the same models and code, is looked up."""

    def __init__(self, file: Path) -> None:
        self._workers = Workers()
        self._models = "".join(model.digest for model in at_hand()) + _code()
        self._known = sqlite3.connect(file, timeout=60, isolation_level=None)
        self._known.execute("PRAGMA journal_mode=WAL")
        self._known.execute("PRAGMA synchronous=OFF")
        self._known.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT) WITHOUT ROWID")

    def run(self, worker: WorkerSpec, shards: Mapping[int, list[Row]]) -> Iterator[tuple[int, list[Row]]]:
        """Yield (shard index, rows), each once."""
        name = self._models + identity(worker)
        for index, rows in shards.items():
            keys = [hashlib.sha256(f"{name}{json.dumps(row, sort_keys=True)}".encode()).digest()[:16] for row in rows]
            marks = ",".join("?" * len(keys))
            found = dict(self._known.execute(f"SELECT key, answer FROM answers WHERE key IN ({marks})", keys))
            missing = [place for place, key in enumerate(keys) if key not in found]
            if missing:
                fresh = self._workers.work(worker, [rows[place] for place in missing])
                new = [(keys[place], json.dumps(answer)) for place, answer in zip(missing, fresh, strict=True)]
                self._known.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", new)
                found |= dict(new)
            yield index, [json.loads(found[key]) for key in keys]

    def close(self) -> None:
        self._known.close()


def _code() -> str:
    """Digest of all that workers run: what is refused, for one, is decided by no model."""
    root = Path(__file__).parents[2]
    files = sorted(file for package in ("inverse_design", "generators", "surrogates") for file in (root / package).rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class Nothing:
    """A ledger that keeps nothing."""

    def rounds(self) -> Iterator[Row]:
        return iter(())

    def shards(self, round_index: int, stage: str) -> dict[int, list[Row]]:
        return {}

    def keep_shard(self, round_index: int, stage: str, index: int, rows: list[Row]) -> None:
        pass

    def commit(self, record: object) -> None:
        pass
