"""Legacy against new ring perception of RDKit on tables of repeat units: `python -m tests.benchmarks.rings DATA`.

DATA holds structures.parquet (column psmiles) and hypothetical.smi.gz. For each repeat unit, in the frame as written: canonical
SMILES, sizes of all rings, and aromatic rings by either finder. Prints how many were compared and each that differs.
"""

from __future__ import annotations

import gzip
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import rdkit
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

SHOWN = 5
WHAT = ("canonical SMILES", "ring sizes", "aromatic rings")


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
    print(f"rdkit {rdkit.__version__}, legacy against new ring perception")
    for name, texts in tables(data):
        began, slowest, differing = time.process_time(), {True: 0.0, False: 0.0}, Counter[str]()
        for text in texts:
            found = []
            for legacy in (True, False):
                start = time.process_time()
                found.append(perceived(text, legacy=legacy))
                slowest[legacy] = max(slowest[legacy], time.process_time() - start)
            if found[0] != found[1]:
                for what, one, other in zip(WHAT, *found, strict=True):
                    differing[what] += one != other
                differing["any"] += 1
                if differing["any"] <= SHOWN:
                    print(f"  {text}\n    legacy {found[0][1:]}, new {found[1][1:]}")
        print(
            f"{name}: {len(texts):,} repeat units; of these differ {', '.join(f'{differing[what]} in {what}' for what in WHAT)}; "
            f"slowest {slowest[True]:.2f} s legacy, {slowest[False]:.2f} s new; {time.process_time() - began:.0f} s of one core",
            flush=True,
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
