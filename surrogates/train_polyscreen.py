"""Train the bundled polyScreen: homopolymers of every class first, then a head for polyimides, five times over; then its other properties.

Beside measured repeat units a network sees unmeasured ones, with the Tg that a Gaussian process on the same measured units gives
them (distillation: Hinton et al., arXiv:1503.02531): what the process knows of similarity is worth more than so few numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.csv as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.split import calibration, held_out, key
from surrogates.calibration import Calibration
from surrogates.environments import Environments
from surrogates.evaluation import offer
from surrogates.graph import Graph, graph
from surrogates.graph_convolution import PolyScreenNetwork
from surrogates.graph_training import Floats, Rows, Say, Schedule, fit, freeze
from surrogates.neighbours import Neighbours, fingerprints
from surrogates.observations import HYPOTHETICAL, drawn
from surrogates.polyscreen import (
    BREADTH,
    CONVOLUTIONS,
    OTHERS,
    POLYIMIDES,
    Breadth,
    forward,
    is_polyimide,
    networks,
    save,
    save_calibration,
)
from surrogates.tanimoto import BATCH
from surrogates.train_breadth import Tables, calibrate_breadth, learned_from, read_tables, train_breadth
from surrogates.train_tanimoto import environments
from surrogates.train_tanimoto import fit as process

MEMBERS: Final = 5
WIDTH, DENSE = 64, 512
UNMEASURED: Final = {"known": 10_000, HYPOTHETICAL: 40_000, "polyimide_enumerated": 8_000, "smipoly_enumerated": 8_000}
"""Repeat units without a measured Tg that a network is taught, at most, by source."""
LARGEST: Final = 70
"""Heavy atoms of an unmeasured repeat unit, at most."""


ALL = Schedule(epochs=24, rate=3e-3, batch=64, muon=4e-3, taught=4.0)
TUNE = Schedule(epochs=60, rate=3e-3, batch=32, muon=2e-3, taught=1.0)


@dataclass(frozen=True, kw_only=True)
class Table:
    """Tg, one row a repeat unit, all arrays (n,).

    graphs: of the canonical unit, and of the unit as it was found; tg: degC, median over sources, NaN where not measured;
    polyimide: imide nitrogen in the backbone; authors: Tg in polyScreen's own set, NaN elsewhere; fold: 0 to 4, by key.
    """

    units: list[RepeatUnit]
    keys: list[int]
    graphs: list[tuple[Graph, Graph]]
    tg: Floats
    polyimide: NDArray[np.bool_]
    authors: Floats

    @property
    def fold(self) -> Rows:
        return np.array([number // 100 % MEMBERS for number in self.keys])

    @property
    def calibration(self) -> NDArray[np.bool_]:
        return np.array([calibration(number) for number in self.keys])

    @property
    def held_out(self) -> NDArray[np.bool_]:
        return np.array([held_out(number) for number in self.keys])

    @cached_property
    def environments(self) -> Environments:
        return environments([unit.mol for unit in self.units])

    def canonical_graphs(self, rows: Sequence[int] | Rows) -> list[Graph]:
        return [self.graphs[row][0] for row in rows]


def read_table(data: Path) -> Table:
    """Return every repeat unit with a measured Tg in `data`; polyScreen's own set adds what the consensus lacks."""
    consensus = pq.read_table(data / "properties_consensus.parquet", columns=["psmiles", "property", "value"]).to_pylist()
    theirs = {row["psmiles"]: float(row["tg_c"]) for row in pc.read_csv(data / "polyimide_tg.csv").to_pylist()}
    found = [(row["psmiles"], float(row["value"]), float("nan")) for row in consensus if row["property"] == "tg_c"]
    found += [(text, value, value) for text, value in theirs.items()]
    parsed = [(unit, value, own) for text, value, own in found if isinstance(unit := parse(text), RepeatUnit)]
    rows: dict[int, int] = {}
    units: list[RepeatUnit] = []
    graphs: list[tuple[Graph, Graph]] = []
    tg: list[float] = []
    authors: list[float] = []
    for (written, value, own), unit in zip(parsed, canonical_units([unit for unit, _, _ in parsed]), strict=True):
        number = key(unit.psmiles)
        if number in rows:
            if own == own:
                authors[rows[number]] = own
            continue
        pair = graph(unit.mol), graph(written.mol)
        if pair[0] is None or pair[1] is None:
            continue
        rows[number] = len(units)
        units.append(unit)
        graphs.append((pair[0], pair[1]))
        tg.append(value)
        authors.append(own)
    return Table(
        units=units,
        keys=list(rows),
        graphs=graphs,
        tg=np.array(tg),
        polyimide=np.array([is_polyimide(unit) for unit in units]),
        authors=np.array(authors),
    )


def read_unmeasured(data: Path, table: Table) -> Table:
    """Return repeat units in `data` without a measured Tg, none of them held out or kept for calibration."""
    taken = set(table.keys)

    def take(text: str) -> tuple[RepeatUnit, int, tuple[Graph, Graph]] | None:
        written = parse(text)
        if not isinstance(written, RepeatUnit) or written.mol.GetNumHeavyAtoms() > LARGEST:
            return None
        (unit,) = canonical_units([written])
        number = key(unit.psmiles)
        first, second = graph(unit.mol), graph(written.mol)
        if number in taken or held_out(number) or calibration(number) or first is None or second is None:
            return None
        taken.add(number)
        return unit, number, (first, second)

    rows = drawn(data, UNMEASURED, take)
    unknown = np.full(len(rows), np.nan)
    return Table(
        units=[unit for unit, _, _ in rows],
        keys=[number for _, number, _ in rows],
        graphs=[graphs for _, _, graphs in rows],
        tg=unknown,
        polyimide=np.array([is_polyimide(unit) for unit, _, _ in rows]),
        authors=unknown,
    )


def taught(table: Table, rows: Rows, unmeasured: Table) -> Table:
    """Return `table` and, behind its rows, `unmeasured` with what a Gaussian process fitted on `rows` says of them."""
    teacher, _ = process(table.environments[rows], table.tg[rows], "tg_c")
    asked = unmeasured.environments
    said = np.concatenate([teacher.mean(asked[start : start + BATCH]) for start in range(0, len(asked), BATCH)])
    return Table(
        units=table.units + unmeasured.units,
        keys=table.keys + unmeasured.keys,
        graphs=table.graphs + unmeasured.graphs,
        tg=np.concatenate([table.tg, said]),
        polyimide=np.concatenate([table.polyimide, unmeasured.polyimide]),
        authors=np.concatenate([table.authors, unmeasured.authors]),
    )


def train_member(table: Table, unmeasured: Table, rows: Rows, mean: float, scale: float, fold: int, path: Path, say: Say) -> None:
    """Train one network on `rows` without `fold`, then its head for polyimides, and write both to `path`."""
    torch.manual_seed(fold)
    network = PolyScreenNetwork(width=WIDTH, dense=DENSE, dropout=0.1)
    left = table.fold[rows] == fold
    everyone = taught(table, rows[~left], unmeasured)
    targets, more = (everyone.tg - mean) / scale, np.arange(len(table.units), len(everyone.units))
    network = fit(network, everyone.graphs, targets, rows[~left], rows[left], ALL, fold, say, more)
    # Copies: the second head is tuned in the place of the first.
    tensors = {
        name if name.startswith(CONVOLUTIONS) else f"{OTHERS}.{name}": value.clone()
        for name, value in network.state_dict().items()
    }
    rows, more = rows[table.polyimide[rows]], more[everyone.polyimide[more]]
    left = table.fold[rows] == fold
    freeze(network)
    tuned = fit(network, everyone.graphs, targets, rows[~left], rows[left], TUNE, fold, say, more).state_dict()
    tensors |= {f"{POLYIMIDES}.{name}": value for name, value in tuned.items() if not name.startswith(CONVOLUTIONS)}
    part = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in tensors.items()}, part)
    part.replace(path)


def standard(table: Table, rows: Rows) -> tuple[float, float]:
    """Return mean and standard deviation of Tg over rows, rounded so that they read well in a config."""
    return round(float(table.tg[rows].mean()), 1), round(float(table.tg[rows].std()), 1)


def train_polyscreen(data: Path, work: Path, threads: int, say: Say) -> None:
    """Train in `work` from the tables in `data`; the same call goes on after the last finished member."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    table = read_table(data)
    rows = np.flatnonzero(~table.held_out & ~table.calibration)
    mean, scale = standard(table, rows)
    unmeasured = read_unmeasured(data, table)
    say(f"{len(rows)} repeat units, {int(table.polyimide[rows].sum())} polyimides; {len(unmeasured.units)} unmeasured")
    for member in range(MEMBERS):
        path = work / f"member-{member}.safetensors"
        if not path.exists():
            say(f"member {member}")
            train_member(table, unmeasured, rows, mean, scale, member, path, say)
    tables = read_tables(data, MEMBERS)
    say(
        f"{tables.measured} repeat units with {len(tables.asked)} other properties; {len(tables.names) - tables.measured} unmeasured"
    )
    for member in range(MEMBERS):
        path = work / f"breadth-{member}.safetensors"
        if not path.exists():
            say(f"member {member}, other properties")
            train_breadth(tables, member, WIDTH, DENSE, path, say)
    export(table, tables, work, rows, mean, scale)


def export(table: Table, tables: Tables, work: Path, rows: Rows, mean: float, scale: float) -> None:
    """Write the model folder: half-precision weights, config, fingerprints of the training sets, and calibration."""
    half: dict[str, torch.Tensor] = {}
    for member in range(MEMBERS):
        glass, others = (load_file(work / f"{name}-{member}.safetensors") for name in ("member", "breadth"))
        half |= {f"{member}.{name}": value.half() for name, value in glass.items()}
        half |= {f"{member}.{BREADTH}.{name}": value.half() for name, value in others.items()}
    config: dict[str, Any] = {
        "members": MEMBERS,
        "width": WIDTH,
        "dense": DENSE,
        "mean": mean,
        "scale": scale,
        "factor": 1.0,
        "frame": "canonical",
        BREADTH: tables.scales,
    }
    save(work, half, *measure(table, tables, work, rows, half, config), **config)


def calibrate_polyscreen(data: Path, folder: Path) -> None:
    """Measure the error bars of the members in `folder` again, and write its `neighbours.safetensors` and `calibration.json`."""
    table, tables = read_table(data), read_tables(data, MEMBERS, measured_alone=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rows = np.flatnonzero(~table.held_out & ~table.calibration)
    save_calibration(folder, *measure(table, tables, folder, rows, load_file(folder / "model.safetensors"), config))


def measure(
    table: Table, tables: Tables, folder: Path, rows: Rows, tensors: dict[str, torch.Tensor], config: dict[str, Any]
) -> tuple[dict[str, Calibration], list[str]]:
    """Write the fingerprints of the training rows to `folder`, and return the calibration of each kind of polymer and of each other
    property, and the properties to offer by default."""
    known = fingerprints([table.units[row].mol for row in rows])
    kinds = {POLYIMIDES: table.polyimide[rows], OTHERS: ~table.polyimide[rows]}
    others = fingerprints(tables.mols)
    shipped = Neighbours.of({name: known[mask] for name, mask in kinds.items()} | learned_from(tables, others))
    shipped.save(folder / "neighbours.safetensors")
    measured = {
        name: calibrate(
            table, rows[mask], known[mask], networks(tensors, config, name), config["mean"], config["scale"], shipped, name
        )
        for name, mask in kinds.items()
    }
    # How much smaller the ensemble's errors are than a member's is told by both kinds together: each has few units for that.
    apart = np.concatenate([relative for _, relative in measured.values()])
    found = {name: shape.scaled(apart) for name, (shape, _) in measured.items()}
    breadth = Breadth(networks=networks(tensors, config, BREADTH), scales=tables.scales)
    more, offered = calibrate_breadth(tables, breadth, others, shipped)
    return found | more, offer(["Tg", *offered])


def left_out(
    table: Table, rows: Rows, known: NDArray[np.uint64], ensemble: Sequence[PolyScreenNetwork], mean: float, scale: float
) -> tuple[Floats, Floats, Floats]:
    """Return what the member that never saw it says of each training row (n), degC, the measured value, and the similarity to the nearest
    row that the member saw; known: fingerprints of the rows (n, 16)."""
    fold = table.fold[rows]
    predicted, near = np.zeros(len(rows)), np.zeros(len(rows))
    for member, network in enumerate(ensemble):
        left = fold == member
        predicted[left] = mean + scale * forward(network, table.canonical_graphs(rows[left]))
        near[left] = Neighbours.of({"Tg": known[~left]}).nearest(known[left], "Tg")
    return predicted, table.tg[rows], near


def calibrate(
    table: Table,
    rows: Rows,
    known: NDArray[np.uint64],
    ensemble: Sequence[PolyScreenNetwork],
    mean: float,
    scale: float,
    neighbours: Neighbours,
    kind: str,
) -> tuple[Calibration, Floats]:
    """Return error bars of one member, and the errors of the ensemble on the calibration set in these.

    Every training unit was left out by one member, which gives the errors their shape over range and similarity; the
    ensemble is better than one member by a factor that only units unknown to all of them can tell.
    """
    shape = Calibration.fit(*left_out(table, rows, known, ensemble, mean, scale))
    apart = np.flatnonzero(table.calibration & (table.polyimide == (kind == POLYIMIDES)))
    graphs = table.canonical_graphs(apart)
    values = mean + scale * np.mean([forward(network, graphs) for network in ensemble], axis=0)
    similar = neighbours.nearest(fingerprints([table.units[row].mol for row in apart]), kind)
    return shape, shape.relative(values, table.tg[apart], similar)
