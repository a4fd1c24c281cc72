"""Ranked candidates as files: csv, parquet, json, sdf or xlsx, the same bytes for the same rows."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from campaigns.storage import Disk
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


def export(rows: list[Row], kind: str, path: Path, structure: str = "psmiles") -> None:
    """Write `rows`, best first, to `path` as csv, parquet, json, sdf or xlsx; the folder is made if it is not there.

    structure: the column that sdf and xlsx draw. xlsx needs XlsxWriter (`pip install "inverse-design[xlsx]"`). Numbers keep every
    digit (16 of them in xlsx); what is missing or not finite is an empty cell, null, or no tag.
    """
    writers: dict[str, Callable[[list[str], list[Row]], bytes]] = {
        "csv": _csv,
        "parquet": _parquet,
        "json": _json,
        "sdf": partial(_sdf, structure=structure),
        "xlsx": partial(_xlsx, structure=structure),
    }
    if kind not in writers:
        raise SpecError(f"export format {kind!r}: wanted one of {', '.join(writers)}")
    columns = list(dict.fromkeys(name for row in rows for name in row)) or list(_COLUMNS)
    table = [{name: _finite(row.get(name)) for name in columns} for row in rows]
    data = writers[kind](columns, table)
    disk = Disk()
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


def _sdf(columns: list[str], rows: list[Row], structure: str) -> bytes:
    from rdkit import Chem
    from rdkit.Chem import rdDepictor

    text = io.StringIO(newline="")
    writer = Chem.SDWriter(text)
    for row in rows:
        mol = Chem.MolFromSmiles(row[structure])  # attachment points become dummy atoms
        rdDepictor.Compute2DCoords(mol)
        mol.SetProp("_Name", str(row.get("id") or row.get("smiles") or ""))
        for name in columns:
            if row[name] is not None:
                # A line break would end the tag, and an empty line the record.
                value = row[name] if isinstance(row[name], str) else _plain(row[name])
                mol.SetProp(name, " ".join(value.split()))
        writer.write(mol)
    writer.close()
    return text.getvalue().encode()


_PICTURE: Final = (300, 150)


def _xlsx(columns: list[str], rows: list[Row], structure: str) -> bytes:
    try:
        import xlsxwriter
    except ImportError as error:
        raise SpecError('export format xlsx: needs XlsxWriter; pip install "inverse-design[xlsx]"') from error

    file = io.BytesIO()
    # Text stays text: no formula, no link, whatever it begins with. A fixed date makes the same rows the same bytes.
    book = xlsxwriter.Workbook(file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"created": datetime(2000, 1, 1)})
    sheet = book.add_worksheet("candidates" if structure == "psmiles" else "monomers")
    bold, middle = book.add_format({"bold": True, "valign": "top"}), book.add_format({"valign": "vcenter"})
    width, height = _PICTURE
    sheet.write_row(0, 0, ["structure", *columns], bold)
    sheet.freeze_panes(1, 1)
    sheet.set_column_pixels(0, 0, width + 8)
    sheet.set_column_pixels(1, len(columns), 110, middle)
    for number, row in enumerate(rows, 1):
        sheet.set_row_pixels(number, height + 8)
        picture = io.BytesIO(_picture(row[structure]))
        sheet.insert_image(
            number, 0, "structure.png", {"image_data": picture, "x_offset": 4, "y_offset": 4, "object_position": 1}
        )
        for place, name in enumerate(columns, 1):
            value = row[name]
            if isinstance(value, bool):
                sheet.write_boolean(number, place, value, middle)
            elif isinstance(value, int | float):
                sheet.write_number(number, place, value, middle)
            elif value is not None:
                sheet.write_string(number, place, str(value), middle)
    if rows:
        sheet.autofilter(0, 1, len(rows), len(columns))
    book.close()
    return file.getvalue()


def _picture(smiles: str) -> bytes:
    """A PNG; the ends of a repeat unit are wavy lines, which need no vector marks."""
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    drawing = rdMolDraw2D.MolDraw2DCairo(*_PICTURE)
    options: Any = drawing.drawOptions()  # its stub types every attribute as itself
    options.dummiesAreAttachments = True
    options.fixedBondLength = 26
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, Chem.MolFromSmiles(smiles))
    drawing.FinishDrawing()
    data: bytes = drawing.GetDrawingText()
    return data
