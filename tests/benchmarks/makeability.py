"""Share of polymers that a route is found for, by source and class: `python tests/benchmarks/makeability.py DATA [N]`."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from rdkit import Chem

from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.reference.textbook import textbook
from inverse_design.structure import polymer_class
from inverse_design.synthesis.plan import synthesis, synthesis_of


def known() -> None:
    rows = textbook()
    right = 0
    for row in rows:
        found = synthesis(parse(row["psmiles"]))
        got = set() if found is None else {monomer.smiles for monomer in found.monomers}
        right += got in [set(map(Chem.CanonSmiles, answer.split("."))) for answer in row["monomers"].split("|")]
    print(f"textbook monomers: {right} of {len(rows)}")


def coverage(data: Path, most: int) -> None:
    texts: dict[str, list[str]] = {}
    for row in pq.read_table(data / "structures.parquet", columns=["psmiles", "source"]).to_pylist():
        texts.setdefault(row["source"], []).append(row["psmiles"])
    for source, every in texts.items():
        chosen = every if len(every) <= most else random.Random(0).sample(every, most)
        units = canonical_units([unit for text in chosen if isinstance(unit := parse(text), RepeatUnit)])
        began = time.process_time()
        found = [synthesis_of(unit.psmiles) is not None for unit in units]
        seconds = time.process_time() - began
        print(
            f"{source}: {100 * sum(found) / len(found):.1f} % of {len(found)}, {len(found) / seconds:.0f} a second of processor time"
        )
        if source == "known":
            classes = Counter(polymer_class(unit) for unit in units)
            made = Counter(polymer_class(unit) for unit, ok in zip(units, found, strict=True) if ok)
            print(
                "  " + ", ".join(f"{name} {100 * made[name] / count:.0f} % of {count}" for name, count in classes.most_common())
            )


if __name__ == "__main__":
    known()
    coverage(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
