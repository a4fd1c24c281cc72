"""A round as a Parquet file: one row per sample, the facts and a digest of the whole file in its metadata."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from campaigns.storage import canonical, explained
from inverse_design.errors import StateError
from inverse_design.protocols import Row
from inverse_design.samples import COLUMNS, SCHEMA, Samples
from inverse_design.state import Round

SEAL = b"file_sha256"
"""Key in the metadata of a round of the digest of its whole file, read with zeros in the place of the digest."""
BLANK = b"0" * 64


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
    canonical(given)  # refuses infinities
    metadata = {"round": str(record.index), "facts": canonical(record.facts), SEAL: BLANK}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd", write_page_checksum=True)
    before, after = _around_seal(blank := bytes(sink.getvalue()))
    return before + hashlib.sha256(blank).hexdigest().encode() + after


def decode(path: Path) -> Round:
    """Return the round of a file. Raises StateError if a single bit of it has changed."""
    with explained(path, "read it"):
        data = path.read_bytes()
    try:
        if sealed := SEAL in data:
            before, after = _around_seal(data)
            if data != before + hashlib.sha256(before + BLANK + after).hexdigest().encode() + after:
                raise ValueError("its digest does not fit its content")
        # Without buffering ahead it needs no other thread: the bytes are here already, and a busy machine makes it wait for one.
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, pre_buffer=False)
        table = file.read(use_threads=False)
        metadata = table.schema.metadata or {}
        index, facts = int(metadata[b"round"]), metadata[b"facts"]
        if table.schema.names != SCHEMA.names or table.schema.types != SCHEMA.types:
            raise ValueError("its columns are not those of a round")
        if index != int(path.stem) or not (sealed or _fits_format_1(index, metadata, table)):
            raise ValueError("its digest does not fit its content")
        return Round(index=index, facts=json.loads(facts), samples=Samples(table))
    except (pa.ArrowException, OSError, ValueError, KeyError, MemoryError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise StateError(
            f"{path}: this round is damaged ({reason}). Put back a copy of it, or remove it and every later round "
            "and resume: they are made again."
        ) from error


def _around_seal(data: bytes) -> tuple[bytes, bytes]:
    """Return what is before and after the digest: in the footer, its key, type and length come right before it."""
    place = data.rfind(SEAL) + len(SEAL) + 2
    return data[:place], data[place + len(BLANK) :]


def _fits_format_1(index: int, metadata: Any, table: Any) -> bool:
    """Whether the digest of a round of format 1 holds, which was made of its rows as JSON."""
    said: bytes = metadata[b"sha256"]
    rows: list[Row] = table.to_pylist()
    return said == hashlib.sha256(canonical([index, metadata[b"facts"].decode(), rows])).hexdigest().encode()
