"""polyScreen by its authors' protocol: random 80/20 splits of their polyimides, five seeds, and the same by repeat unit.

Their table has repeat units measured more than once, on both sides of a random split; one row a repeat unit is the
grouped split. Networks here are trained for these figures alone and never shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from inverse_design.polymer import RepeatUnit, canonical, parse
from inverse_design.properties import PROPERTIES
from inverse_design.split import key
from surrogates.evaluation import Errors, balanced_accuracy, heat_shares
from surrogates.graph_convolution import PolyScreenNetwork
from surrogates.graph_training import NOBODY, Floats, Rows, Say, Schedule, fit, freeze
from surrogates.polyscreen import forward
from surrogates.train_polyscreen import ALL, DENSE, MEMBERS, TUNE, WIDTH, Table, read_unmeasured, standard, taught

SEEDS: Final = range(5)
ALONE: Final = Schedule(epochs=150, rate=3e-3, batch=20)
AUTHORS_RMSE: Final = 28.7
"""What the authors report of their own splits, degC: how unsure a class is."""
FIGURES: Final = ("r2", "mae", "rmse", "balanced")
Start = Mapping[str, torch.Tensor]


def authors_protocol(table: Table, data: Path, work: Path, say: Say) -> dict[str, dict[str, tuple[float, float]]]:
    """Return (mean, standard deviation) over five random 80/20 splits of r2, mae, rmse (degC) and the balanced accuracy of
    three classes of heat resistance (`HEAT_CLASSES`), three ways.

    alone: `MEMBERS` networks, averaged, learn from nothing but the authors' training rows, one a repeat unit; shipped: as the bundled
    model is trained, from every other homopolymer and then polyimides, `MEMBERS` networks averaged too, unmeasured units taught by
    a Gaussian process that knows as much as the network may; observations: the same on every measurement of the authors' table,
    so that a repeat unit may be on both sides, as in the paper.
    What is trained is kept in `work`, so that the same call goes on where it stopped.
    """
    work.mkdir(parents=True, exist_ok=True)
    item = PROPERTIES["Tg"]
    theirs = np.flatnonzero((table.authors >= item.low) & (table.authors <= item.high))  # one is said to have 702 degC
    others = np.flatnonzero(np.isnan(table.authors))
    mean, scale = standard(table, others)
    unmeasured = read_unmeasured(data, table)
    starts = _starts(table, others, unmeasured, mean, scale, work, say)
    grouped = take(table, np.concatenate([theirs, others]), np.concatenate([table.authors[theirs], table.tg[others]]))
    rows, values = observations(table, data)
    observed = take(table, np.concatenate([rows, others]), np.concatenate([values, table.tg[others]]))
    ways = {
        "shipped": (grouped, len(theirs), starts),
        "observations": (observed, len(rows), starts),
        "alone": (grouped, len(theirs), []),
    }
    results: dict[str, dict[str, tuple[float, float]]] = {}
    for name, (part, own, begin) in ways.items():
        found = []
        for seed in SEEDS:
            path = work / f"{name}-{seed}.json"
            if not path.exists():
                path.write_text(json.dumps(_split(part, own, begin, unmeasured, mean, scale, seed)), encoding="utf-8")
                say(f"{name}, split {seed}: {path.read_text(encoding='utf-8')}")
            found.append(json.loads(path.read_text(encoding="utf-8")))
        results[name] = {
            figure: (float(np.mean([one[figure] for one in found])), float(np.std([one[figure] for one in found])))
            for figure in FIGURES
        }
    return results


def take(table: Table, rows: Rows, tg: Floats) -> Table:
    """Return a table of some rows, in this order and as often as named, with these values."""
    return Table(
        units=[table.units[row] for row in rows],
        keys=[table.keys[row] for row in rows],
        graphs=[table.graphs[row] for row in rows],
        tg=tg,
        polyimide=table.polyimide[rows],
        authors=table.authors[rows],
    )


def observations(table: Table, data: Path) -> tuple[Rows, Floats]:
    """Return row in `table` and value (degC) of every measurement in the authors' table."""
    wanted = pq.read_table(data / "properties.parquet", columns=["psmiles", "property", "value", "source", "flag"]).to_pylist()
    place = {number: row for row, number in enumerate(table.keys)}
    found = [
        (place[key(canonical(unit))], float(row["value"]))
        for row in wanted
        if row["source"] == "polyscreen_pi372" and row["property"] == "tg_c" and not row["flag"]
        if isinstance(unit := parse(row["psmiles"]), RepeatUnit)
    ]
    return np.array([row for row, _ in found]), np.array([value for _, value in found])


def _starts(table: Table, rows: Rows, unmeasured: Table, mean: float, scale: float, work: Path, say: Say) -> list[Start]:
    """Return `MEMBERS` networks trained on `rows`, and on what those say of `unmeasured`."""
    paths = [work / f"start-{seed}.safetensors" for seed in range(MEMBERS)]
    if not all(path.exists() for path in paths):
        everyone = taught(table, rows, unmeasured)
        targets, more = (everyone.tg - mean) / scale, np.arange(len(table.units), len(everyone.units))
        for seed, path in enumerate(paths):
            if not path.exists():
                say(f"start {seed}: {len(rows)} homopolymers without the authors'")
                torch.manual_seed(seed)
                network = PolyScreenNetwork(width=WIDTH, dense=DENSE, dropout=0.1)
                save_file(fit(network, everyone.graphs, targets, rows, NOBODY, ALL, seed, say, more).state_dict(), path)
    return [load_file(path) for path in paths]


def _split(
    table: Table, own: int, starts: Sequence[Start], unmeasured: Table, mean: float, scale: float, seed: int
) -> dict[str, float]:
    """Train on 80 % of the first `own` rows (and, from a start, on the other polyimides of the table) and judge on the other 20 %."""
    order = np.random.default_rng(seed).permutation(own)
    test, train = order[: own // 5], order[own // 5 :]
    rows, more, schedule, everyone = train, NOBODY, ALONE, table
    if starts:
        rest = np.arange(own, len(table.units))
        everyone = taught(table, np.concatenate([train, rest]), unmeasured)
        more = np.arange(len(table.units), len(everyone.units))
        rows, more = (np.concatenate([train, rest[table.polyimide[rest]]]), more[everyone.polyimide[more]])
        schedule = TUNE
    targets = (everyone.tg - mean) / scale
    outputs = []
    for number, tensors in enumerate(starts or MEMBERS * [{}]):
        draw = seed if tensors else 100 * number + seed  # starts differ as they are
        torch.manual_seed(draw)
        network = PolyScreenNetwork(width=WIDTH, dense=DENSE, dropout=0.1)
        if tensors:
            network.load_state_dict(tensors)
            freeze(network)
        network = fit(network, everyone.graphs, targets, rows, NOBODY, schedule, draw, unmeasured=more)
        outputs.append(forward(network, table.canonical_graphs(test)))
    said = mean + scale * np.mean(outputs, axis=0)
    balanced = balanced_accuracy(said, np.full(len(said), AUTHORS_RMSE), table.tg[test], heat_shares(table.tg[train]))
    return asdict(Errors.of(said, table.tg[test])) | {"balanced": balanced}
