"""Build the bundled reference from the structures: `python -m inverse_design.reference.build DATA OUT`.

known.safetensors        keys (n,) int64 and fingerprints (n, 128) uint8 of the known polymers
descriptors.safetensors  descriptors (m, 15) int16 of realistic prompts, their source (m,) uint8, an index into SOURCES,
                         and polymer_class (m,) uint8, an index into structure.CLASSES
properties.json          quantiles of the measured properties, and rank correlations between them (see `measured`)
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import save

from inverse_design.descriptors import realised
from inverse_design.novelty import BITS, fingerprint
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.properties import PROPERTIES
from inverse_design.reference.measured import table
from inverse_design.split import WELL_KNOWN, key
from inverse_design.structure import CLASSES, polymer_class

# Prompts taken of each source; known polymers are the distribution that matters, so all of them.
SOURCES: Final = {
    "known": sys.maxsize,
    "md_set": 2500,
    "hypothetical": 6000,
    "smipoly_enumerated": 2500,
    "polyimide_enumerated": 2500,
}
"""Most rows taken of a source, by size of the repeat unit at even distances."""


def build_reference(data: Path, out: Path) -> None:
    """Write both files into `out` from `structures.parquet` and `hypothetical.smi.gz` in `data`; the same bytes every time."""
    texts = by_source(data)
    found: dict[int, bytes] = {}
    for part in _parts([*texts["known"], *WELL_KNOWN]):
        for unit in canonical_units(part):
            found.setdefault(key(unit.psmiles), fingerprint(unit.mol))
    keys = sorted(found)
    packed = np.frombuffer(b"".join(found[name] for name in keys), np.uint8).reshape(-1, BITS // 8)
    out.mkdir(parents=True, exist_ok=True)
    (out / "known.safetensors").write_bytes(save({"keys": np.array(keys, np.int64), "fingerprints": packed}))
    rows: list[tuple[int, ...]] = []
    sources: list[int] = []
    classes: list[int] = []
    names = list(CLASSES)
    for code, part in prompted(texts):
        rows += [realised(unit.mol) for unit in part]
        sources += [code] * len(part)
        classes += [names.index(polymer_class(unit)) for unit in part]
    tensors: dict[str, NDArray[Any]] = {
        "descriptors": np.array(rows, np.int16),
        "source": np.array(sources, np.uint8),
        "polymer_class": np.array(classes, np.uint8),
    }
    metadata = {"sources": ",".join(SOURCES), "classes": ",".join(names)}
    (out / "descriptors.safetensors").write_bytes(save(tensors, metadata=metadata))


def build_properties(data: Path, out: Path) -> None:
    """Write properties.json into `out` from `properties_consensus.parquet` in `data`; the same bytes every time."""
    names = {item.column: item.name for item in PROPERTIES.values()}
    rows = pq.read_table(data / "properties_consensus.parquet", columns=["key", "property", "value", "conflict"]).to_pylist()
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["property"] in names and not row["conflict"]:
            values.setdefault(names[row["property"]], {})[str(row["key"])] = float(row["value"])
    (out / "properties.json").write_text(table(values), encoding="utf-8")


def prompted(texts: Mapping[str, list[str]]) -> Iterator[tuple[int, list[RepeatUnit]]]:
    """Yield the repeat units behind the rows of descriptors.safetensors, in their order, with the index of their source."""
    for code, (source, most) in enumerate(SOURCES.items()):
        chosen = texts[source]
        step = max(1, len(chosen) // most)
        for part in _parts(chosen[::step][:most]):
            yield code, part


def by_source(data: Path) -> dict[str, list[str]]:
    """Texts of each source, smallest repeat units first."""
    table = pq.read_table(data / "structures.parquet", columns=["psmiles", "source", "n_heavy"]).to_pylist()
    with gzip.open(data / "hypothetical.smi.gz", "rt", encoding="ascii") as lines:
        # Shuffled already, so that the first of them stand for all; length stands for size.
        hypothetical = [line.strip() for _, line in zip(range(60_000), lines, strict=False)]
    texts = {"hypothetical": sorted(hypothetical, key=lambda text: (len(text), text))}
    for row in sorted(table, key=lambda row: (row["n_heavy"], row["psmiles"])):
        texts.setdefault(row["source"], []).append(row["psmiles"])
    return texts


def _parts(texts: list[str]) -> Iterator[list[RepeatUnit]]:
    for start in range(0, len(texts), 512):
        yield [unit for text in texts[start : start + 512] if isinstance(unit := parse(text), RepeatUnit)]


if __name__ == "__main__":
    build_reference(*map(Path, sys.argv[1:3]))
    build_properties(*map(Path, sys.argv[1:3]))
