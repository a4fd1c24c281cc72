"""Predictions for a table of polymers of any length: every line comes out as it went in, with answers and a status.

Chunks that are done lie in a folder beside the output until all are: a run that was killed goes on after the last one, and
its output is the same, byte for byte, as that of a run that was not.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, Self, TypeVar

from campaigns.lease import Lease
from campaigns.models import Cast
from campaigns.results import column
from campaigns.storage import Disk, explained, sealed, unsealed
from campaigns.tables import Table
from campaigns.wording import INVALID_BECAUSE
from inverse_design.errors import Problem, SpecError, StateError
from inverse_design.loop import SHARD
from inverse_design.polymer import Reason, RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Executor, Prediction, Row, WorkerSpec
from inverse_design.spec import CampaignSpec, nearest
from inverse_design.target import combined
from surrogates.calibration import Z80

CHUNK: Final = 20 * SHARD
T = TypeVar("T")
OK, PARTIAL, NO_ANSWER, INVALID = "ok", "partial", "no_answer", "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """What predictions are made with: surrogates by name, each with the properties asked of it, and their digests."""

    properties: tuple[str, ...]
    surrogates: Mapping[str, WorkerSpec]
    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, properties: Sequence[str], surrogates: Sequence[str] | None = None) -> Self:
        """Find models for properties as a campaign that asks for them would; SpecError or ModelError where there are none."""
        unknown = [name for name in properties if name not in PROPERTIES]
        if unknown:
            raise SpecError(
                [
                    Problem(
                        where=name, message=f"no such property{nearest(name, PROPERTIES) or '; one of: ' + ', '.join(PROPERTIES)}"
                    )
                    for name in unknown
                ]
            )
        spec: Row = {
            "schema": 1,
            "name": "predict",
            "targets": [{"property": name, "maximize": True} for name in dict.fromkeys(properties)],
        }
        if surrogates:
            spec["surrogates"] = list(dict.fromkeys(surrogates))
        try:
            cast = Cast.of(CampaignSpec.model_validate(spec), Path())
        except SpecError as error:
            raise SpecError("; ".join(problem.message for problem in error.problems)) from error
        digests = {name: model.digest for name, model in cast.surrogates.items()}
        return cls(properties=tuple(dict.fromkeys(properties)), surrogates=cast.surrogate_workers(), digests=digests)

    def raw(
        self, psmiles: Sequence[str], executor: Executor, tick: Callable[[float], None] = lambda rows: None
    ) -> list[list[Row]]:
        """Return, per repeat unit, what each surrogate says of each property; `tick` hears of rows as they are done."""
        shards = dict(enumerate(_parts([{"psmiles": text} for text in psmiles], SHARD)))
        heard: dict[int, list[list[Row]]] = {index: [[] for _ in shard] for index, shard in shards.items()}
        for worker in self.surrogates.values():
            for index, answers in executor.run(worker, shards):
                for mine, answer in zip(heard[index], answers, strict=True):
                    mine += answer["predictions"]
                tick(len(answers) / len(self.surrogates))
        return [mine for shard in heard.values() for mine in shard]

    def answers(
        self, psmiles: Sequence[str], executor: Executor, tick: Callable[[float], None] = lambda rows: None
    ) -> list[dict[str, Prediction | None]]:
        """Return, per repeat unit, one answer for each property, or None where no surrogate has one."""
        return [{name: combined(mine, name) for name in self.properties} for mine in self.raw(psmiles, executor, tick)]


def _parts(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(rows)
    while part := list(islice(rest, size)):
        yield part


def predict(
    source: Path,
    target: Path,
    predictor: Predictor,
    executor: Executor,
    *,
    structure: str | None = None,
    tell: Callable[[float, int], None] = lambda done, lines: None,
) -> Counter[str]:
    """Write `source` to `target` (CSV) with predictions in new columns; return how many rows have which status.

    tell: called with the lines done and the lines there are. Raises SpecError for what is no table of polymers and
    StateError where `target` exists or what lies beside it belongs to another run.
    """
    if target.exists():
        raise StateError(f"{target}: exists already; name another file, or remove it first")
    table = Table.open(source)
    place = table.structure(structure)
    disk, folder = Disk(), target.with_name(f"{target.name}.parts")
    disk.make_folder(folder)
    lease = Lease.take(folder, disk)
    try:
        disk.sweep(folder)
        _identify(folder, disk, source, predictor, place)
        done = 0.0

        def tick(rows: float) -> None:
            nonlocal done
            done += rows
            tell(done, table.lines)

        tick(0)
        for number, chunk in enumerate(_parts(table.rows(), CHUNK)):
            if _chunk(folder, number) is None:
                text, counts = _predicted(chunk, place, table.delimiter, predictor, executor, tick)
                disk.write(_path(folder, number), sealed({"text": text, "counts": counts}))
            tick(number * CHUNK + len(chunk) - done)  # lines that were not asked about, or done before
        return _join(folder, target, table, predictor.properties, disk)
    finally:
        lease.release()
        if target.exists():
            with explained(folder, "remove it"):
                folder.rmdir()


def _identify(folder: Path, disk: Disk, source: Path, predictor: Predictor, place: int) -> None:
    """Write down what this run is, or check that it is the one that was begun in `folder`."""
    with explained(source, "read it"), source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    models, properties = dict(predictor.digests), list(predictor.properties)
    mine = {"input": digest, "structure": place, "properties": properties, "models": models, "chunk": CHUNK}
    path = folder / "run.json"
    if path.exists():
        with explained(path, "read it"):
            data = path.read_bytes()
        try:
            same = unsealed(data) == mine
        except ValueError:
            same = False
        if not same:
            raise StateError(f"{folder}: holds part of another prediction; name another output file, or remove the folder")
    disk.write(path, sealed(mine))


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


def _chunk(folder: Path, number: int) -> Row | None:
    """Return a chunk that is done, or None where it is not there or damaged, and so is to be done again."""
    path = _path(folder, number)
    try:
        with explained(path, "read it"):
            return unsealed(path.read_bytes()) if path.exists() else None
    except ValueError:
        return None


def _predicted(
    chunk: Sequence[list[str]],
    place: int,
    delimiter: str,
    predictor: Predictor,
    executor: Executor,
    tick: Callable[[float], None],
) -> tuple[str, dict[str, int]]:
    units = [parse(cells[place].strip()) if cells else None for cells in chunk]
    asked = [unit.psmiles for unit in units if isinstance(unit, RepeatUnit)]
    answers = iter(predictor.answers(asked, executor, tick))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)  # lines end in CR LF, as RFC 4180 has it
    counts: Counter[str] = Counter()
    for cells, unit in zip(chunk, units, strict=True):
        if unit is None:
            writer.writerow([])
            continue
        answer = next(answers) if isinstance(unit, RepeatUnit) else dict.fromkeys(predictor.properties)
        status, reason = _status(unit, answer)
        counts[status] += 1
        counts["out_of_domain"] += any(one is not None and not one.in_domain for one in answer.values())
        writer.writerow([*cells, *(cell for name, one in answer.items() for cell in _cells(name, one)), status, reason])
    return text.getvalue(), dict(counts)


def _status(unit: RepeatUnit | Reason, answer: Mapping[str, Prediction | None]) -> tuple[str, str]:
    if not isinstance(unit, RepeatUnit):
        return INVALID, INVALID_BECAUSE.get(unit, unit.value)
    missing = [name for name, one in answer.items() if one is None]
    if not missing:
        return OK, ""
    return (NO_ANSWER if len(missing) == len(answer) else PARTIAL), f"no model has an answer for {', '.join(missing)}"


def _cells(name: str, answer: Prediction | None) -> list[str]:
    item = PROPERTIES[name]
    if answer is None:
        return ["", item.unit, "", "", ""]
    half = Z80 * answer.std
    low, value, high = (f"{number:.{item.decimals}f}" for number in (answer.mean - half, answer.mean, answer.mean + half))
    return [value, item.unit, low, high, str(answer.in_domain).lower()]


def header(columns: Sequence[str], properties: Sequence[str]) -> list[str]:
    """Return the columns of the output; a new one whose name is taken gets a number."""
    new = [
        name
        for item in map(PROPERTIES.__getitem__, properties)
        for name in (
            column(item),
            f"{item.name.lower()}_unit",
            f"{column(item)}_low80",
            f"{column(item)}_high80",
            f"{column(item)}_in_domain",
        )
    ]
    names = list(columns)
    for name in (*new, "status", "reason"):
        free, number = name, 2
        while free in names:
            free, number = f"{name}_{number}", number + 1
        names.append(free)
    return names


def _join(folder: Path, target: Path, table: Table, properties: Sequence[str], disk: Disk) -> Counter[str]:
    """Put the chunks together under the name asked for, and remove them."""
    first = io.StringIO(newline="")
    csv.writer(first, delimiter=table.delimiter).writerow(header(table.columns, properties))
    mark = "" if table.encoding in ("utf-8", "parquet") else "\ufeff"  # what Excel wrote, Excel shall read
    whole, counts = folder / "whole.csv", Counter[str]()
    disk.remove(whole)
    disk.append(whole, _line(mark + first.getvalue()))
    for number in range(-(-table.lines // CHUNK)):
        part = _chunk(folder, number)
        if part is None:
            raise StateError(f"{_path(folder, number)}: was damaged meanwhile; run the same command again")
        disk.append(whole, _line(part["text"]))
        counts.update(part["counts"])
    with explained(target, "write it"):
        disk.replace(whole, target)
        disk.sync_folder(target.parent)
    for number in range(-(-table.lines // CHUNK)):
        disk.remove(_path(folder, number))
    disk.remove(folder / "run.json")
    return counts


def _line(text: str) -> bytes:
    return text.removesuffix("\n").encode()  # `append` ends it again
