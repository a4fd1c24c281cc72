"""Legacy against new ring perception of RDKit on tables of repeat units: `python -m tests.benchmarks.rings DATA`.

DATA holds structures.parquet (column psmiles) and hypothetical.smi.gz. For each repeat unit, in the frame as written: canonical
SMILES, sizes of all rings, and aromatic rings by either finder. Prints how many were compared and each that differs.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import rdkit
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

SHOWN = 20


def tables(data: Path) -> Iterator[tuple[str, list[str]]]:
    yield "structures.parquet", pq.read_table(data / "structures.parquet", columns=["psmiles"])["psmiles"].to_pylist()
    with gzip.open(data / "hypothetical.smi.gz", "rt") as lines:
        yield "hypothetical.smi.gz", lines.read().split()


def perceived(text: str, *, legacy: bool) -> tuple[str, list[int], int]:
    Chem.SetUseLegacyRingFinding(legacy)
    mol = Chem.MolFromSmiles(text)
    sizes = sorted(map(len, mol.GetRingInfo().AtomRings()))
    return Chem.MolToSmiles(mol), sizes, rdMolDescriptors.CalcNumAromaticRings(mol)


def main(data: Path) -> None:
    print(f"rdkit {rdkit.__version__}: canonical SMILES, ring sizes and aromatic rings, legacy against new ring perception")
    for name, texts in tables(data):
        began, seconds, different = time.process_time(), {True: 0.0, False: 0.0}, 0
        for text in texts:
            found = []
            for legacy in (True, False):
                start = time.process_time()
                found.append(perceived(text, legacy=legacy))
                seconds[legacy] = max(seconds[legacy], time.process_time() - start)
            if found[0] != found[1]:
                different += 1
                if different <= SHOWN:
                    print(f"  {text}\n    legacy {found[0]}\n    new    {found[1]}")
        print(
            f"{name}: {len(texts):,} repeat units, {different} differ; slowest {seconds[True]:.2f} s legacy, {seconds[False]:.2f} s new; "
            f"{time.process_time() - began:.0f} s of one core",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
