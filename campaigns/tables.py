"""Tables as chemists save them: CSV in any of the ways that spreadsheets write it, or Parquet; every cell as text, in order."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from campaigns.storage import explained
from inverse_design.errors import SpecError
from inverse_design.spec import nearest

STRUCTURES: Final = ("psmiles", "smiles", "repeatunitpsmiles")
"""Names of the column with repeat units, as `plain` gives them."""

_DELIMITERS: Final = ("\t", ";", ",", "|")  # a decimal comma is no sign of a comma between cells
_BOMS: Final = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SPREADSHEETS: Final = (".xlsx", ".xls", ".ods")


def plain(header: str) -> str:
    """Return a column's name in lower case letters and digits alone: what is left of it whoever typed it."""
    return "".join(letter for letter in header.lower() if letter.isalnum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table on disk, read through once: its columns, the number of its lines (empty ones too), and how it was written."""

    path: Path
    columns: tuple[str, ...]
    lines: int
    delimiter: str = ","
    encoding: str = "utf-8"

    @classmethod
    def open(cls, path: Path) -> Table:
        """Read a table through. Raises SpecError, with the line, for what is no table; nothing of it is kept in memory."""
        if path.suffix.lower() in _SPREADSHEETS:
            raise SpecError(f"{path}: is a spreadsheet; save it as CSV (in UTF-8) and name that file")
        with explained(path, "read it"):
            if not path.is_file():
                raise SpecError(f"{path}: no such file")
            with path.open("rb") as file:
                head = file.read(1 << 16)
        if head.startswith(b"PAR1"):
            return _parquet(path)
        encoding = next((name for mark, name in _BOMS.items() if head.startswith(mark)), "")
        for name in (encoding,) if encoding else ("utf-8", "cp1252"):
            try:
                return cls._measured(path, name)
            except UnicodeDecodeError as error:
                reason = str(error)
        raise SpecError(f"{path}: is not text ({reason}); save it as CSV in UTF-8")

    @classmethod
    def _measured(cls, path: Path, encoding: str) -> Table:
        delimiter = _delimiter(path, encoding)
        records = _records(path, encoding, delimiter)
        header = next((record for record in records if record), None)
        if header is None:
            raise SpecError(f"{path}: is empty; the first line names the columns")
        width, lines = len(header), 0
        for record in records:
            width, lines = max(width, len(record)), lines + 1
        # Cells beyond the header are kept under names of their own.
        columns = [*header, *(f"column_{place}" for place in range(len(header) + 1, width + 1))]
        return cls(path=path, columns=tuple(columns), lines=lines, delimiter=delimiter, encoding=encoding)

    def rows(self) -> Iterator[list[str]]:
        """Yield the cells of each line after the header, as many as there are columns; an empty line is an empty list."""
        if self.encoding == "parquet":
            yield from _parquet_rows(self.path)
            return
        records = _records(self.path, self.encoding, self.delimiter)
        next(record for record in records if record)
        for record in records:
            yield record + [""] * (len(self.columns) - len(record)) if record else record

    def structure(self, name: str | None = None) -> int:
        """Return the place of the column with repeat units: the one named, or the first known name. Raises SpecError."""
        if name is not None and name in self.columns:
            return self.columns.index(name)
        found = [plain(column) for column in self.columns]
        places = [found.index(known) for known in STRUCTURES if known in found]
        if name is not None or not places:
            wanted = f"no column {name!r}{nearest(name, self.columns)}" if name else "no column Smiles, SMILES, smiles or PSMILES"
            raise SpecError(f"{self.path}: {wanted}; its columns are {', '.join(self.columns)}. Name one with --column")
        return places[0]


def _delimiter(path: Path, encoding: str) -> str:
    """Return what separates cells: what gives the most of the first lines as many cells as the header has, and more than one."""
    scores = {}
    for delimiter in _DELIMITERS:
        widths = [len(record) for record in islice(_records(path, encoding, delimiter, strict=False), 50) if record]
        scores[delimiter] = sum(width == widths[0] for width in widths) if widths and widths[0] > 1 else 0
    best = max(scores, key=lambda delimiter: scores[delimiter])
    return best if scores[best] else ","


def _records(path: Path, encoding: str, delimiter: str, strict: bool = True) -> Iterator[list[str]]:
    with explained(path, "read it"), path.open(encoding=encoding, newline="") as lines:
        # In strict mode a quotation mark left open is an error; else it would swallow the lines after it.
        reader = csv.reader(_without_hint(lines), delimiter=delimiter, strict=strict)
        try:
            yield from reader
        except csv.Error as error:
            raise SpecError(
                f"{path}:{reader.line_num}: not CSV ({error}); is a quotation mark left open at or before this line?"
            ) from error


def _without_hint(lines: Iterable[str]) -> Iterator[str]:
    """Leave out the line `sep=;` that tells Excel how to read a file."""
    for number, line in enumerate(lines):
        if number or not line.lower().startswith("sep="):
            yield line


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise SpecError(f"{path}: not a Parquet file ({error})") from error
    with file:
        return Table(path=path, columns=tuple(file.schema_arrow.names), lines=file.metadata.num_rows, encoding="parquet")


def _parquet_rows(path: Path) -> Iterator[list[str]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1024):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield [_text(value) for value in row]


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)
