"""How well a generator keeps to its prompts: one sample for each of many held-out prompts."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from generators.corpus import DRAWS
from generators.polytao import PolyTAO
from inverse_design.acquisition.features import Scale
from inverse_design.acquisition.pool import Realism
from inverse_design.descriptor_names import COLUMN, NAMES
from inverse_design.descriptors import IntVectors, project, realised
from inverse_design.novelty import Reference
from inverse_design.polymer import RepeatUnit, canonical, parse
from inverse_design.reference import prior
from inverse_design.seeds import seed
from inverse_design.split import held_out, key

PROMPTS = 10_000
DRAFTED = 1000
BATCH = 128


def held_out_prompts(data: Path, count: int, sources: set[str] | None = None) -> list[tuple[int, ...]]:
    """Return descriptor vectors of `count` held-out repeat units, in the mix of sources that training draws from."""
    table = pq.read_table(data / "structures.parquet", columns=["psmiles", "source"]).to_pylist()
    texts: dict[str, list[str]] = {}
    for row in table:
        texts.setdefault(row["source"], []).append(row["psmiles"])
    with gzip.open(data / "hypothetical.smi.gz", "rt", encoding="ascii") as lines:
        texts["hypothetical"] = [line.strip() for line in lines]
    chosen = {source: own for source, own in texts.items() if sources is None or source in sources}
    shares = np.array([DRAWS[source] * len(own) for source, own in chosen.items()])
    rng = random.Random(7)
    vectors: list[tuple[int, ...]] = []
    missing = 0
    # Small sources first: what one lacks, the next makes up for.
    for share, own in sorted(zip(shares / shares.sum(), chosen.values(), strict=True), key=lambda pair: len(pair[1])):
        wanted = round(share * count) + missing
        rng.shuffle(own)
        for text in own:
            if not wanted:
                break
            unit = parse(text)
            if isinstance(unit, RepeatUnit) and held_out(key(canonical(unit))):
                vectors.append(realised(unit.mol))
                wanted -= 1
        missing = wanted
    return vectors


def moves(parents: IntVectors, count: int, rng: np.random.Generator) -> IntVectors:
    """Return `count` random parents with one to three of their free integers changed by 1 or 2, projected; (count, 15)."""
    x = parents[rng.integers(len(parents), size=count)].copy()
    per_heavy = x[:, 0] / np.maximum(x[:, 1], 1)
    free = np.array([i for i in range(1, 14) if i not in (COLUMN["NumAliphaticRings"], COLUMN["NumAromaticRings"])])
    changes = rng.integers(1, 4, size=count)
    steps = rng.choice(np.array([-2, -1, -1, 1, 1, 2]), size=(count, 3))
    columns = free[rng.integers(len(free), size=(count, 3))]
    for place in range(3):
        rows = np.flatnonzero(changes > place)
        x[rows, columns[rows, place]] += steps[rows, place]
    x = project(x)
    moved_heavy = x[:, 1]
    x[:, 0] = np.maximum(np.rint(per_heavy * moved_heavy * (1 + 0.01 * rng.standard_normal(count))), 12 * moved_heavy)
    return project(x)


def adherence(model: PolyTAO, vectors: list[tuple[int, ...]]) -> dict[str, Any]:
    """Sample once per vector and return shares of valid, two-star, distinct, novel (not among the known polymers) and exact samples, and R2 per descriptor."""
    order = sorted(range(len(vectors)), key=lambda row: vectors[row][1])
    texts = [""] * len(vectors)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        prompts = [",".join(map(str, vectors[row])) for row in rows]
        for row, (text,) in zip(rows, model.generate(prompts, [[seed(11, row)] for row in rows]), strict=True):
            texts[row] = text
    units = [parse(text) for text in texts]
    good = [row for row, unit in enumerate(units) if isinstance(unit, RepeatUnit)]
    asked = np.array([vectors[row] for row in good], dtype=float)
    got = np.array([realised(unit.mol) for unit in units if isinstance(unit, RepeatUnit)], dtype=float)
    residual, total = ((got - asked) ** 2).sum(0), ((asked - asked.mean(0)) ** 2).sum(0)
    r2 = 1 - residual / np.maximum(total, 1e-9)
    known = set(Reference.load().keys.tolist())
    distinct = {canonical(unit) for unit in units if isinstance(unit, RepeatUnit)}
    return {
        "prompts": len(vectors),
        "valid": len(good) / len(vectors),
        "two_stars": sum(text.count("*") == 2 for text in texts) / len(vectors),
        "distinct": len(distinct) / max(1, len(good)),
        "novel": sum(key(text) not in known for text in distinct) / max(1, len(distinct)),
        "exact": float((got == asked).all(1).mean()),
        "r2": {name: float(value) for name, value in zip(NAMES, r2, strict=True)},
        "mean_r2": float(r2.mean()),
    }


def evaluate_polytao(data: Path, folder: Path, say: Callable[[str], None], count: int = PROMPTS) -> dict[str, Any]:
    """Print the figures on held-out prompts in training's mix, on known polymers alone, and on prompts that were moved: one to three
    descriptors by 1 or 2, or as a campaign moves them."""
    model = PolyTAO.load(folder)
    mixed = held_out_prompts(data, count)
    known = held_out_prompts(data, min(count, 800), {"known"})
    few = np.array(mixed[:: max(1, len(mixed) // 1000)])
    every = prior()
    steps = {
        "moved by 1 or 2": moves(few, 1000, np.random.default_rng(3)),
        "moved as in a campaign": Realism(every, Scale(every)).moves(few, 1000, np.random.default_rng(3)),
    }
    figures = {
        "held out": adherence(model, mixed),
        "held out, first drafts": adherence(replace(model, drafts=1), mixed[:: max(1, len(mixed) // DRAFTED)][:DRAFTED]),
        "known, held out": adherence(model, known),
    } | {name: adherence(model, [tuple(map(int, row)) for row in moved]) for name, moved in steps.items()}
    say(f"{'prompts':24} {'n':>6} {'valid':>7} {'2 stars':>8} {'distinct':>9} {'novel':>7} {'exact':>7} {'mean R2':>8}")
    for name, row in figures.items():
        say(
            f"{name:24} {row['prompts']:6d} {row['valid']:7.2%} {row['two_stars']:8.2%} {row['distinct']:9.2%} {row['novel']:7.2%} {row['exact']:7.2%} {row['mean_r2']:8.4f}"
        )
    say("R2 per descriptor, held-out prompts")
    for name, value in figures["held out"]["r2"].items():
        say(f"  {name:26} {value:8.4f}")
    return figures
