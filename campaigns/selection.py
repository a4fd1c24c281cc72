"""Which rows of a list to export, by conditions on columns; and the monomers they are made from."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from inverse_design.errors import SpecError
from inverse_design.protocols import Row
from inverse_design.spec import nearest

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<=": operator.le, ">=": operator.ge, "!=": operator.ne, "==": operator.eq, "=": operator.eq, "<": operator.lt, ">": operator.gt,
    "~": lambda text, part: part.lower() in text.lower(),
}  # fmt: skip
_CONDITION: Final = re.compile(r"\s*(\w+)\s*(<=|>=|!=|==|=|<|>|~)\s*(.*?)\s*")


def fitting(rows: list[Row], conditions: Sequence[str]) -> list[Row]:
    """Return the rows that meet every condition, such as `probability>=0.8` or `route~radical` (`~`: contains).

    An empty cell meets no condition. Raises SpecError for a condition that is none, or a column that is not there.
    """
    for text in conditions:
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise SpecError(f"filter {text!r}: write COLUMN OPERATOR VALUE, as in probability>=0.8 or route~radical")
        column, sign, value = match.groups()
        if rows and column not in rows[0]:
            raise SpecError(
                f"filter {text!r}: no column {column!r}{nearest(column, rows[0]) or '; columns: ' + ', '.join(rows[0])}"
            )
        rows = [row for row in rows if row[column] is not None and _holds(row[column], sign, value, text)]
    return rows


def _holds(cell: Any, sign: str, value: str, text: str) -> bool:
    if sign == "~":
        return _COMPARISONS[sign](str(cell), value)
    if isinstance(cell, bool):
        wanted = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(value.lower())
        if wanted is None or sign not in ("=", "==", "!="):
            raise SpecError(f"filter {text!r}: the column is true or false; write {text.split(sign)[0].strip()}=true")
        return _COMPARISONS[sign](cell, wanted)
    if isinstance(cell, int | float):
        try:
            return _COMPARISONS[sign](cell, float(value))
        except ValueError:
            raise SpecError(f"filter {text!r}: the column holds numbers, and {value!r} is none") from None
    return _COMPARISONS[sign](str(cell), value)


def with_stock(rows: list[Row], stock: frozenset[str]) -> list[Row]:
    """Return the rows with two columns more: whether all monomers of the route are in stock, and those that are not."""
    from inverse_design.synthesis.making import at_hand

    told = []
    for row in rows:
        monomers = (row["monomers"] or "").split(".")
        absent = [monomer for monomer in monomers if monomer and not at_hand(monomer, stock)]
        told.append(row | {"in_stock": bool(row["makeable"]) and not absent, "to_buy": ".".join(absent) or None})
    return told


def shopping(rows: list[Row], stock: frozenset[str] | None = None) -> list[Row]:
    """Return the monomers of these rows, those most of them need first: SMILES, SA score, whether it is in stock if that is
    given, and which candidates they are for."""
    from inverse_design.synthesis.making import at_hand
    from inverse_design.synthesis.plan import synthesis_of

    found: dict[str, Row] = {}
    for row in rows:
        plan = synthesis_of(row["canonical_psmiles"])
        for monomer in plan.monomers if plan else ():
            shelf = {} if stock is None else {"in_stock": at_hand(monomer.smiles, stock)}
            blank = {"smiles": monomer.smiles, "sa_score": monomer.sa_score, **shelf, "candidates": 0, "ranks": "", "ids": ""}
            line = found.setdefault(monomer.smiles, blank)
            line["candidates"] += 1
            line["ranks"] = f"{line['ranks']} {row['rank']}".strip()
            line["ids"] = f"{line['ids']} {row['id']}".strip()
    return sorted(found.values(), key=lambda line: (-line["candidates"], line["sa_score"], line["smiles"]))
