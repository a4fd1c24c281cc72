"""A laboratory's table to readings: units in headers, replicates, `<50`, remarks, and polymers that were never proposed.

A cell that is not understood is named with its place, never guessed at.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from campaigns.storage import canonical as as_json
from campaigns.tables import STRUCTURES, Table, plain
from inverse_design.lab import Bound, Reading
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.properties import PROPERTIES, Property
from inverse_design.units import spelled

OURS: Final = ("polymerclass", "rank")
"""Columns of the sheet that nobody fills in."""
REMARKS: Final = ("note", "notes", "remark", "remarks", "comment", "comments", "solubility", "appearance")

_NAMES: Final = {plain(name): item for item in PROPERTIES.values() for name in (item.name, item.label, item.column)}
_NUMBER: Final = r"[-+\N{MINUS SIGN}]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?"
_VALUE: Final = re.compile(
    rf"(?P<bound>[<>]=?|≤|≥|~|≈|ca\.?|about)?\s*(?P<value>{_NUMBER})"
    rf"(?:\s*(?:±|\+/-|\+-)\s*(?P<std>{_NUMBER})|\s*(?:–|—|\.\.\.?|to)\s*(?P<end>{_NUMBER})|-(?P<dash>\d+(?:[.,]\d*)?))?"
    r"\s*(?P<unit>[^\d\s<>±][^<>±]*)?"
)
_BOUNDS: Final[dict[str, Bound]] = {"<": "<", "<=": "<", "≤": "<", ">": ">", ">=": ">", "≥": ">"}
_NOTHING: Final = frozenset(("", "-", "--", "–", "—", "/", "?"))
_WORD: Final = re.compile(r"[^\W\d]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What a table said: readings, cells and rows that were not understood, columns that were not read, and units assumed."""

    source: str
    rows: int
    readings: tuple[Reading, ...]
    refused: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    place: int
    header: str
    item: Property | None
    unit: str


def understand(source: str, columns: Sequence[str], rows: Iterator[list[str]], known: Mapping[str, str]) -> Understood:
    """Read a table. known: id -> canonical repeat unit of the candidates of the campaign.

    A row names its polymer by id, by its repeat unit, or by both, which then must agree.
    """
    names = [plain(column) for column in columns]
    ids = [place for place, name in enumerate(names) if name == "id"]
    structures = [names.index(name) for name in STRUCTURES if name in names]
    found = [_column(place, header, columns) for place, header in enumerate(columns) if place not in (*ids, *structures)]
    read = [column for column in found if column is not None]
    skipped = {*(column.place for column in read), *ids, *structures, *(i for i, name in enumerate(names) if name in OURS)}
    assumed = tuple(f"{column.header!r} in {column.unit}" for column in read if column.item and not _unit_in(column.header))
    readings: list[Reading] = []
    refused: list[str] = []
    count = 0
    for line, cells in enumerate(rows, 2):
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        given = [column for column in read if cells[column.place].strip() not in _NOTHING]
        if not given:
            continue
        unit = _polymer([cells[place] for place in ids], [cells[place] for place in structures[:1]], known)
        if isinstance(unit, str):
            refused.append(f"row {line}: {unit}")
            continue
        canonical, psmiles = unit
        for column in given:
            where = f"{source}, row {line}, {column.header!r}"
            for cell in filter(None, map(str.strip, cells[column.place].split(";") if column.item else [cells[column.place]])):
                reading = _reading(column, cell, canonical, psmiles, where)
                if isinstance(reading, Reading):
                    readings.append(reading)
                else:
                    refused.append(f"row {line}, {column.header!r}: {reading}")
    unread = tuple(header for place, header in enumerate(columns) if place not in skipped and not _predicted(header, columns))
    return Understood(source=source, rows=count, readings=tuple(readings), refused=tuple(refused), unread=unread, assumed=assumed)


def _polymer(ids: Sequence[str], structures: Sequence[str], known: Mapping[str, str]) -> tuple[str, str] | str:
    """Return (canonical, as written) of the polymer that a row is about, or what is wrong with it."""
    by_id = next((known[text.strip().lower()] for text in ids if text.strip().lower() in known), None)
    text = next((text.strip() for text in structures if text.strip()), "")
    if not text:
        if by_id is None:
            return "names no polymer: its id is not one of this campaign, and there is no repeat unit"
        return by_id, by_id
    unit = parse(text)
    if not isinstance(unit, RepeatUnit):
        return f"{text!r} is no repeat unit ({unit.value}); wanted SMILES with two *"
    canonical = canonical_units([unit])[0].psmiles
    if by_id is not None and by_id != canonical:
        return f"its id and its repeat unit are two different polymers ({by_id} and {canonical})"
    return canonical, unit.psmiles


def _column(place: int, header: str, columns: Sequence[str]) -> _Column | None:
    """Return what a column holds, or None where it is neither a property nor a remark."""
    if _predicted(header, columns):
        return None
    if plain(header) in REMARKS:
        return _Column(place=place, header=header, item=None, unit="")
    name, unit = _split(header)
    item = _NAMES.get(plain(name))
    if item is None:
        # `Tg_degC`: the name and a unit run together; the longest name that fits, so that none is taken for another.
        together = plain(header)
        fitting = [known for known in _NAMES if together.startswith(known) and spelled(together[len(known) :])]
        if not fitting:
            return None
        longest = max(fitting, key=len)
        item, unit = _NAMES[longest], together[len(longest) :]
    own = spelled(unit) if unit else item.unit
    if own not in item.accepted:
        return None
    return _Column(place=place, header=header, item=item, unit=own)


def _split(header: str) -> tuple[str, str]:
    """Return the name and the unit in a header: `Tg / degC`, `measured Tg (°C), 2nd run`, `Tg [K]`, `Tg, °C`."""
    text = re.sub(
        r"\b(measured|exp|expt|experimental|run|replicate|sample|dsc|dma|tma|(no\.?\s*)?\d+(st|nd|rd|th)?)\b\.?(?![\w/)])",
        " ",
        header,
        flags=re.IGNORECASE,
    )
    match = re.match(r"\s*([^/\[(,]+?)\s*(?:[/,]\s*([^\s,\[]+)|[\[(]\s*([^\])]+?)\s*[\])])?[\s,;.#)\]]*$", text)
    return (match[1], match[2] or match[3] or "") if match else (header, "")


def _unit_in(header: str) -> bool:
    name, unit = _split(header)
    return bool(unit) or plain(name) not in _NAMES


def _predicted(header: str, columns: Sequence[str]) -> bool:
    """Whether a column holds what this project has predicted, which must never come back as a measurement."""
    return "predicted" in header.lower() or f"{header}_low80" in columns or header.endswith(("_low80", "_high80", "_std"))


def _reading(column: _Column, cell: str, canonical: str, psmiles: str, where: str) -> Reading | str:
    base = Reading(canonical=canonical, psmiles=psmiles, property=column.header, value=None, cell=cell, where=where)
    if column.item is None:
        return base
    item = column.item
    match = _VALUE.fullmatch(cell)
    if match is None:
        # Words are a result too: insoluble, decomposed, no transition seen.
        return replace(base, property=item.name) if _WORD.match(cell) else f"{cell!r} is neither a number nor a remark"
    unit = column.unit
    if match["unit"] and (unit := spelled(match["unit"])) not in item.accepted:
        return f"{cell!r}: {match['unit'].strip()!r} is no unit of {item.name}; wanted {', '.join(item.accepted)}"
    numbers = [_number(match[name]) for name in ("value", "end", "dash") if match[name]]
    try:
        values = [item.convert(number, unit) for number in numbers]
    except ValueError:
        return f"{cell!r}: has no logarithm"
    value = sum(values) / len(values)
    if not item.low <= value <= item.high:
        return f"{cell!r}: {value:.4g} {item.unit} is out of reach, {item.name} lies between {item.low:g} and {item.high:g}; is the unit {unit}?"
    std = abs(item.convert(numbers[0] + _number(match["std"]), unit) - value) if match["std"] else None
    if len(values) > 1:
        std = abs(values[1] - values[0]) / math.sqrt(12)  # anywhere between the two
    return replace(base, property=item.name, value=value, bound=_BOUNDS.get(match["bound"] or "", ""), std=std)


def _number(text: str) -> float:
    return float(text.replace(",", ".").replace("\N{MINUS SIGN}", "-"))


def cells(
    table: str | Path | Iterable[Mapping[str, object]] | Any, source: str | None = None
) -> tuple[str, list[str], Iterator[list[str]]]:
    """Return (name, columns, rows of text) of a file, a data frame, or rows by column; a table without a name is named by its cells."""
    if isinstance(table, str | Path):
        file = Table.open(Path(table))
        return source or file.path.name, list(file.columns), file.rows()
    records = table.to_dict("records") if hasattr(table, "to_dict") else [dict(row) for row in table]
    columns = list(dict.fromkeys(str(name) for row in records for name in row))
    rows = [[_text(row.get(name)) for name in columns] for row in records]
    digest = hashlib.sha256(as_json([columns, rows])).hexdigest()
    return source or f"table {digest[:8]}", columns, iter(rows)


def _text(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)
