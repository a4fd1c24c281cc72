"""Training text for PolyTAO: repeat units, their descriptors and the split that every bundled model shares."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rdkit import Chem

from inverse_design.descriptors import realised
from inverse_design.polymer import RepeatUnit, canonical, parse
from inverse_design.split import key

# How often a source is drawn for training, relative to its size (known polymers are what matters).
DRAWS = {"known": 10.0, "md_set": 1.0, "hypothetical": 1.0, "smipoly_enumerated": 0.3, "polyimide_enumerated": 0.3}
MAX_HEAVY = 120


def rows(source: str, text: str) -> list[dict[str, Any]]:
    """Return the training rows of one repeat unit: its SMILES rooted at each `*` (one of them unless known)."""
    unit = parse(text)
    if not isinstance(unit, RepeatUnit) or unit.mol.GetNumHeavyAtoms() > MAX_HEAVY:
        return []
    mol = Chem.Mol(unit.mol)
    Chem.RemoveStereochemistry(mol)
    name = canonical(unit)
    stars = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetAtomicNum() == 0]
    texts = sorted({Chem.MolToSmiles(mol, rootedAtAtom=star) for star in stars})
    if source != "known":
        texts = [random.Random(name).choice(texts)]
    prompt = ",".join(map(str, realised(mol)))
    return [{"source": source, "key": key(name), "prompt": prompt, "target": t, "share": 1 / len(texts)} for t in texts]


def _rows(batch: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [row for source, text in batch for row in rows(source, text)]


def _batches(data: Path) -> Iterator[list[tuple[str, str]]]:
    table = pq.read_table(data / "structures.parquet", columns=["psmiles", "source"]).to_pylist()
    pairs = [(row["source"], row["psmiles"]) for row in table]
    with gzip.open(data / "hypothetical.smi.gz", "rt", encoding="ascii") as lines:
        pairs += [("hypothetical", line.strip()) for line in lines]
    random.Random(0).shuffle(pairs)
    for start in range(0, len(pairs), 2000):
        yield pairs[start : start + 2000]


def prepare(data: Path, out: Path, workers: int) -> None:
    """Write the corpus table (source, key, prompt, target, share) from the structures in `data`."""
    schema = pa.schema(
        {"source": pa.string(), "key": pa.int64(), "prompt": pa.string(), "target": pa.string(), "share": pa.float64()}
    )
    part = out.with_suffix(".part")
    with ProcessPoolExecutor(workers) as pool, pq.ParquetWriter(part, schema) as writer:
        for done in pool.map(_rows, _batches(data)):
            writer.write_table(pa.Table.from_pylist(done, schema=schema))
    part.replace(out)
