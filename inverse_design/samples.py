"""The samples of a round: rows where a few are looked at, Arrow columns where a million pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, overload

import pyarrow as pa

from inverse_design.protocols import Row

PREDICTION: Final = pa.struct(
    [
        ("surrogate", pa.string()),
        ("property", pa.string()),
        ("mean", pa.float64()),
        ("std", pa.float64()),
        ("in_domain", pa.bool_()),
    ]
)
SCHEMA: Final = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        ("psmiles", pa.string()),
        ("canonical", pa.string()),
        ("descriptors", pa.list_(pa.int32())),
        ("polymer_class", pa.string()),
        ("sa_score", pa.float64()),
        ("similarity", pa.float64()),
        ("nearest", pa.string()),
        ("predictions", pa.list_(PREDICTION)),
    ]
)
COLUMNS: Final = tuple(SCHEMA.names)


class Samples(Sequence[Row]):
    """Rows of a table with the columns of `SCHEMA`, each made when it is asked for."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            rows: list[Row] = self.table.take(list(range(*index.indices(len(self))))).to_pylist()
            return rows
        (row,) = self.table.slice(range(len(self))[index], 1).to_pylist()
        found: Row = row
        return found

    def __iter__(self) -> Iterator[Row]:
        yield from self.table.to_pylist()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as lists have none


def table_of(samples: Sequence[Row]) -> Any:
    """Return samples as a table with the columns of `SCHEMA`. Raises pyarrow.ArrowException for a value that fits none."""
    return samples.table if isinstance(samples, Samples) else pa.Table.from_pylist(list(samples), schema=SCHEMA)
