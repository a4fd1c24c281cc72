"""Measured and computed values to train and judge surrogates on, one row a repeat unit and property."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rdkit import Chem

from inverse_design.polymer import RepeatUnit, canonical, parse
from inverse_design.properties import PROPERTIES
from inverse_design.split import calibration, held_out, key

T = TypeVar("T")
TRAIN, CALIBRATION, TEST = 0, 1, 2
HYPOTHETICAL = "hypothetical"
"""The source of structures made of fragments of known ones, which have a file of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A repeat unit: its molecule without stereochemistry, and the part of the split it belongs to."""

    mol: Chem.Mol
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """Values of one property: canonical repeat units (n), values (n,) and whether they are in doubt (n,): sources disagree, or
    no polymer can have such a value. Doubtful ones teach nothing, but stay part of what is asked for."""

    units: list[str]
    values: NDArray[np.float64]
    conflict: NDArray[np.bool_]


def read_unit(text: str) -> tuple[str, Unit] | None:
    """Return (canonical repeat unit, unit), or None where `text` is not an acceptable one."""
    unit = parse(text)
    if not isinstance(unit, RepeatUnit):
        return None
    name = canonical(unit)
    mol = Chem.Mol(unit.mol)
    Chem.RemoveStereochemistry(mol)
    number = key(name)
    return name, Unit(mol=mol, part=TEST if held_out(number) else CALIBRATION if calibration(number) else TRAIN)


def read_observations(data: Path) -> tuple[dict[str, Unit], dict[str, Observations]]:
    """Return the repeat units and, per column of `data`, their values; the crystal band gap counts as a column."""
    table = pq.read_table(data / "properties_consensus.parquet", columns=["psmiles", "property", "value", "conflict"]).to_pylist()
    small = pc.read_csv(data / "polync_training_tasks.csv").to_pylist()
    table += [
        {"psmiles": row["psmiles"], "property": row["task"], "value": row["value"], "conflict": False}
        for row in small
        if row["task"] == "bandgap_crystal"
    ]
    units: dict[str, Unit] = {}
    names: dict[str, str] = {}
    found: dict[str, dict[str, tuple[float, bool]]] = defaultdict(dict)
    for row in table:
        text = row["psmiles"]
        if text not in names:
            read = read_unit(text)
            names[text] = "" if read is None else read[0]
            if read is not None:
                units.setdefault(*read)
        if names[text]:
            found[row["property"]].setdefault(names[text], (float(row["value"]), bool(row["conflict"])))
    named = columns()
    return units, {column: _observations(rows, named.get(column)) for column, rows in found.items()}


def drawn(data: Path, most: Mapping[str, int], take: Callable[[str], T | None]) -> list[T]:
    """Return what `take` makes of structures of `data`, in random order, where that is anything: at most so many of each source."""
    rows = pq.read_table(data / "structures.parquet", columns=["psmiles", "source"]).to_pylist()
    table = [(str(row["source"]), str(row["psmiles"])) for row in rows]
    if HYPOTHETICAL in most:
        with gzip.open(data / "hypothetical.smi.gz", "rt", encoding="ascii") as lines:
            table += [(HYPOTHETICAL, line.strip()) for line in lines]
    left, found = dict(most), list[T]()
    for index in np.random.default_rng(0).permutation(len(table)).tolist():
        source, text = table[index]
        if left.get(source) and (one := take(text)) is not None:
            left[source] -= 1
            found.append(one)
    return found


def _observations(rows: dict[str, tuple[float, bool]], name: str | None) -> Observations:
    values = np.array([value for value, _ in rows.values()])
    low, high = (-np.inf, np.inf) if name is None else (PROPERTIES[name].low, PROPERTIES[name].high)
    conflict = np.array([conflict for _, conflict in rows.values()]) | (values < low) | (values > high)
    return Observations(units=list(rows), values=values, conflict=conflict)


def columns() -> dict[str, str]:
    """Return column -> property for the properties of the table that have one."""
    return {item.column: item.name for item in PROPERTIES.values() if item.column}
