"""Train the half of polyScreen that answers everything but Tg: networks of the same kind, with one output a property.

Most properties are measured on some hundreds of polymers, so every unit is shown with all of them: what was measured, and elsewhere
what Gaussian processes on the same units say (distillation: Hinton et al., arXiv:1503.02531).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from safetensors.torch import save_file

from inverse_design.polymer import RepeatUnit, parse
from inverse_design.split import key
from surrogates.baseline import baseline, features
from surrogates.calibration import Calibration
from surrogates.evaluation import WORTH_OFFERING, Errors
from surrogates.graph import Graph, graph
from surrogates.graph_convolution import PolyScreenNetwork
from surrogates.graph_training import NOBODY, OUTLIER, Floats, Rows, Say, Schedule, fit
from surrogates.neighbours import Neighbours
from surrogates.observations import CALIBRATION, TEST, TRAIN, Observations, Unit, columns, read_observations
from surrogates.polyscreen import Breadth, Scale
from surrogates.train_polync import Task, tasks, teach, unmeasured
from surrogates.train_tanimoto import MEASURED, PACKED
from surrogates.volume import filled

SCHEDULE: Final = Schedule(epochs=24, rate=3e-3, batch=64, muon=4e-3, taught=2.0)
_ENOUGH: Final = 25  # calibration units that tell how much better the ensemble is than a member


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Every repeat unit that a network sees, measured ones (n) before unmeasured ones, and the measured values.

    graphs: of the canonical unit, and of the unit as it was found; filled: density without free volume, g/cm3; part: of the split;
    fold: 0 to 4, by key.
    """

    names: list[str]
    mols: list[Chem.Mol]
    graphs: list[tuple[Graph, Graph]]
    filled: Floats
    part: NDArray[np.int64]
    fold: NDArray[np.int64]
    measured: int
    units: dict[str, Unit]
    observed: dict[str, Observations]
    asked: dict[str, Task]

    @property
    def scales(self) -> dict[str, Scale]:
        """Property -> mean, standard deviation and slope of the values that are learned from, rounded so that they read well in a config."""
        found = {}
        for column, task in self.asked.items():
            known = [(self.place[text], value) for text, value in zip(task.units, task.values, strict=True) if text in self.place]
            rows, values = (np.array(part) for part in zip(*known, strict=True))
            slope = round(float(np.polyfit(self.filled[rows], values, 1)[0]), 4) if column in PACKED else 0.0
            left = values - slope * self.filled[rows]
            found[columns()[column]] = (float(f"{left.mean():.4g}"), float(f"{left.std():.4g}"), slope)
        return found

    @cached_property
    def place(self) -> dict[str, int]:
        """Repeat unit -> row."""
        return {name: row for row, name in enumerate(self.names)}


def read_tables(data: Path, folds: int, measured_alone: bool = False) -> Tables:
    """Return every repeat unit of `data` with a value of a property other than Tg, and unmeasured ones."""
    units, observed = read_observations(data)
    named = columns()
    asked = {column: task for column, task in tasks(units, observed).items() if named.get(column, "Tg") != "Tg"}
    wanted = {text for column in asked for text in observed[column].units}
    mols = {text: units[text].mol for text in units if text in wanted}
    mols |= {} if measured_alone else unmeasured(data, units)
    names, kept, graphs = [], [], []
    for text, mol in mols.items():
        unit = parse(text)
        assert isinstance(unit, RepeatUnit)
        first, second = graph(unit.mol), graph(mol)
        if first is not None and second is not None:
            names.append(text)
            kept.append(unit.mol)
            graphs.append((first, second))
    return Tables(
        names=names,
        mols=kept,
        graphs=graphs,
        filled=np.array([filled(mol) for mol in kept]),
        part=np.array([units[text].part if text in units else TRAIN for text in names]),
        fold=np.array([key(text) // 100 % folds for text in names]),
        measured=sum(text in wanted for text in names),
        units=units,
        observed={named[column]: observed[column] for column in asked},
        asked=asked,
    )


def train_breadth(tables: Tables, fold: int, width: int, dense: int, path: Path, say: Say) -> None:
    """Train one network on all but `fold` of the training part, and write it to `path`."""
    everyone = np.arange(len(tables.names))
    first = everyone < tables.measured
    rows = everyone[first & (tables.part == TRAIN) & (tables.fold != fold)]
    more = everyone[~first]
    targets = taught(tables, rows, more, say)
    torch.manual_seed(fold)
    network = PolyScreenNetwork(width=width, dense=dense, dropout=0.1, outputs=len(tables.asked))
    outlier = np.array([OUTLIER if column in MEASURED else np.inf for column in tables.asked])
    network = fit(network, tables.graphs, targets, rows, NOBODY, SCHEDULE, fold, say, more, outlier)
    part = path.with_suffix(".part")
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, part)
    part.replace(path)


def taught(tables: Tables, rows: Rows, more: Rows, say: Say) -> Floats:
    """Return standardised values (n, properties) of all rows: measured ones of `rows`, what Gaussian processes fitted on these say of
    the rest of `rows` and of `more`, and zero elsewhere."""
    place, seen = tables.place, set(rows.tolist())
    asked = {}
    for column, task in tables.asked.items():
        own = [i for i, text in enumerate(task.units) if place.get(text) in seen]
        asked[column] = replace(task, units=[task.units[i] for i in own], values=task.values[own])
    both = np.concatenate([rows, more])
    guesses = teach(asked, {tables.names[row]: tables.mols[row] for row in both}, say)
    targets = np.zeros((len(tables.names), len(asked)))
    for (column, task), (mean, scale, slope), output in zip(asked.items(), tables.scales.values(), targets.T, strict=True):
        output[both] = guesses[column]
        output[[place[text] for text in task.units]] = task.values
        output[both] = (output[both] - mean - slope * tables.filled[both]) / scale
    return targets


def calibrate_breadth(
    tables: Tables, breadth: Breadth, known: NDArray[np.uint64], neighbours: Neighbours
) -> tuple[dict[str, Calibration], list[str]]:
    """Return the error bars of each property, and the properties that can be learned, and on which the ensemble does at least as well
    as extra trees, both on the calibration part.

    known: fingerprints of the rows (n, 16). Every training unit was left out by one member, which gives errors their shape; the
    calibration part, where it is large enough, tells how much smaller the ensemble's are.
    """
    judged = np.flatnonzero((tables.part != TEST) & (np.arange(len(tables.names)) < tables.measured))
    # Members and ensemble in one pass.
    said = breadth.values([tables.graphs[row][0] for row in judged], tables.filled[judged])
    x = dict(zip(tables.units, features([unit.mol for unit in tables.units.values()]), strict=True))
    place, calibrations, offered = tables.place, {}, []
    for name in breadth.scales:
        values = np.zeros((len(breadth.networks), len(tables.names)))
        values[:, judged] = said[name]
        rows = tables.observed[name]
        true = {place[text]: value for text, value in zip(rows.units, rows.values.tolist(), strict=True) if text in place}
        doubted = {place[text] for text, doubt in zip(rows.units, rows.conflict, strict=True) if doubt and text in place}
        own = np.array([row for row in true if tables.part[row] == TRAIN and row not in doubted])
        left_out, near = np.zeros(len(own)), np.zeros(len(own))
        for member in range(len(breadth.networks)):
            left = tables.fold[own] == member
            left_out[left] = values[member, own[left]]
            rest = Neighbours(known, {name: own[~left].astype(np.int32)})
            near[left] = rest.nearest(known[own[left]], name)
        calibration = Calibration.fit(left_out, np.array([true[row] for row in own]), near)
        apart = np.array([row for row in true if tables.part[row] == CALIBRATION])
        predicted = values[:, apart].mean(axis=0)
        wanted = np.array([true[row] for row in apart])
        if len(apart) >= _ENOUGH:
            calibration = calibration.scaled(calibration.relative(predicted, wanted, neighbours.nearest(known[apart], name)))
        calibrations[name] = calibration
        trees = baseline(tables.units, rows, [tables.names[row] for row in apart], x)
        if Errors.of(predicted, wanted).r2 >= max(WORTH_OFFERING, Errors.of(trees, wanted).r2):
            offered.append(name)
    return calibrations, offered


def learned_from(tables: Tables, known: NDArray[np.uint64]) -> dict[str, NDArray[np.uint64]]:
    """Return property -> fingerprints of the units that were learned from, of those `known` of the rows (n, 16)."""
    place = tables.place
    return {
        columns()[column]: known[[place[text] for text in task.units if text in place]] for column, task in tables.asked.items()
    }
