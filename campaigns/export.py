"""Ranked candidates as files: csv, parquet, json or sdf, the same bytes for the same rows."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any, Final

from campaigns.storage import disk_of
from inverse_design.errors import SpecError
from inverse_design.protocols import Row

# What a spreadsheet would take for a formula or drop (OWASP ASVS 5, 1.2.10).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\x00")
# The columns of a table without rows.
_COLUMNS: Final = (
    "rank",
    "id",
    "psmiles",
    "canonical_psmiles",
    "polymer_class",
    "probability",
    "feasible",
    "similarity",
    "prompt",
    "round",
)


def export(rows: list[Row], kind: str, path: Path) -> None:
    """Write `rows`, best first, to `path` as csv, parquet, json or sdf; the folder is made if it is not there.

    Numbers keep every digit; what is missing or not finite is an empty cell, null, or no tag.
    """
    writers = {"csv": _csv, "parquet": _parquet, "json": _json, "sdf": _sdf}
    if kind not in writers:
        raise SpecError(f"export format {kind!r}: wanted one of {', '.join(writers)}")
    columns = list(dict.fromkeys(name for row in rows for name in row)) or list(_COLUMNS)
    table = [{name: _finite(row.get(name)) for name in columns} for row in rows]
    data = writers[kind](columns, table)
    disk = disk_of(path)
    disk.make_folder(path.parent)
    disk.write(path, data)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(columns: list[str], rows: list[Row]) -> bytes:
    lines = [columns, *([_cell(row[name]) for name in columns] for row in rows)]
    return "".join(",".join(map(_quoted, line)) + "\n" for line in lines).encode()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        # A leading apostrophe makes a spreadsheet show the text as it is; numbers, also negative ones, stay numbers.
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else _plain(value)


def _quoted(cell: str) -> str:
    # The csv module of Python 3.11 leaves a lone carriage return bare when lines end in a line feed.
    return '"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _json(_: list[str], rows: list[Row]) -> bytes:
    return json.dumps(rows, allow_nan=False, ensure_ascii=False, indent=1).encode() + b"\n"


def _parquet(columns: list[str], rows: list[Row]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: pa.array([row[name] for row in rows]) for name in columns})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _sdf(columns: list[str], rows: list[Row]) -> bytes:
    from rdkit import Chem
    from rdkit.Chem import rdDepictor

    text = io.StringIO(newline="")
    writer = Chem.SDWriter(text)
    for row in rows:
        mol = Chem.MolFromSmiles(row["psmiles"])  # attachment points become dummy atoms
        rdDepictor.Compute2DCoords(mol)
        mol.SetProp("_Name", str(row.get("id") or ""))
        for name in columns:
            if row[name] is not None:
                # A line break would end the tag, and an empty line the record.
                value = row[name] if isinstance(row[name], str) else _plain(row[name])
                mol.SetProp(name, " ".join(value.split()))
        writer.write(mol)
    writer.close()
    return text.getvalue().encode()
