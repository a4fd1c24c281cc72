"""A round as a Parquet file: one row per sample, the facts and a digest of everything in its metadata."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from campaigns.storage import canonical, explained
from inverse_design.errors import StateError
from inverse_design.protocols import Row
from inverse_design.state import Round

PREDICTION = pa.struct(
    [
        ("surrogate", pa.string()),
        ("property", pa.string()),
        ("mean", pa.float64()),
        ("std", pa.float64()),
        ("in_domain", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
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
COLUMNS = tuple(SCHEMA.names)


def encode(record: Round) -> bytes:
    """Return the file of a round: equal rounds give equal bytes. Raises ValueError if a value does not fit its column."""
    given = [{column: row.get(column) for column in COLUMNS} for row in record.samples]
    unknown = {key for row in record.samples for key in row if key not in COLUMNS}
    table = pa.Table.from_pylist(given, schema=SCHEMA)
    # Arrow drops unknown fields of a struct and reads some types as others: nothing may change on the way to disk
    if unknown or table.to_pylist() != given:
        raise ValueError(
            f"round {record.index}: unknown columns {sorted(unknown)}"
            if unknown
            else f"round {record.index}: altered by its columns"
        )
    facts = canonical(record.facts)
    metadata = {"round": str(record.index), "facts": facts, "sha256": _digest(record.index, facts, given)}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def decode(path: Path) -> Round:
    """Return the round of a file. Raises StateError if a single bit of it has changed meaning."""
    with explained(path, "read it"):
        data = path.read_bytes()
    try:
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True, use_threads=False)
        metadata = table.schema.metadata or {}
        index, facts = int(metadata[b"round"]), metadata[b"facts"]
        if table.schema.names != SCHEMA.names or table.schema.types != SCHEMA.types:
            raise ValueError("its columns are not those of a round")
        samples = table.to_pylist()
        if index != int(path.stem) or metadata[b"sha256"] != _digest(index, facts, samples).encode():
            raise ValueError("its digest does not fit its content")
        return Round(index=index, facts=json.loads(facts), samples=samples)
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise StateError(
            f"{path}: this round is damaged ({reason}). Put back a copy of it, or remove it and every later round "
            "and resume: they are made again."
        ) from error


def _digest(index: int, facts: bytes, samples: list[Row]) -> str:
    return hashlib.sha256(canonical([index, facts.decode(), samples])).hexdigest()
