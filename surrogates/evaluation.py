"""Figures of the model card: PolyNC on repeat units no model was trained on, beside extra trees on the same split."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_design.properties import PROPERTIES
from inverse_design.split import WELL_KNOWN
from surrogates.baseline import baseline, features
from surrogates.calibration import Z80, Calibration
from surrogates.neighbours import Neighbours, fingerprints
from surrogates.observations import CALIBRATION, TEST, TRAIN, Observations, Unit, columns, read_observations
from surrogates.polync import PolyNC

WORTH_OFFERING = 0.5
"""Held-out R2 from which a property is answered by default."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """How predictions (n,) of one property compare with the truth, in the property's unit."""

    n: int
    r2: float
    mae: float
    rmse: float

    @classmethod
    def of(cls, predicted: _Floats, true: _Floats) -> Errors:
        residuals = true - predicted
        spread = float(np.sum((true - true.mean()) ** 2))
        return cls(
            n=len(true),
            r2=1 - float(np.sum(residuals**2)) / spread if spread else float("nan"),
            mae=float(np.abs(residuals).mean()),
            rmse=float(np.sqrt(np.mean(residuals**2))),
        )


def calibrate_polync(data: Path, folder: Path) -> None:
    """Write `neighbours.safetensors` and `calibration.json` beside the weights in `folder`, from the tables in `data`."""
    units, observations = read_observations(data)
    known = {columns()[column]: rows for column, rows in observations.items() if column in columns()}
    names = sorted(name for name, unit in units.items() if unit.part == TRAIN)
    row = {name: i for i, name in enumerate(names)}
    members = {name: np.array(sorted(row[u] for u in rows.units if u in row), dtype=np.int32) for name, rows in known.items()}
    neighbours = Neighbours(fingerprints([units[name].mol for name in names]), members)
    neighbours.save(folder / "neighbours.safetensors")
    blank = {"properties": {name: Calibration.constant(1.0).to_dict() for name in known}, "offered": [], "one_token": True}
    (folder / "calibration.json").write_text(json.dumps(blank), encoding="utf-8")
    model = PolyNC.load(folder)
    stored: dict[str, Any] = {"properties": {}, "offered": [], "one_token": True}
    for name, rows in known.items():
        texts, predicted, true = answers(model, name, rows, units, CALIBRATION)
        near = neighbours.nearest(fingerprints([units[text].mol for text in texts]), name)
        stored["properties"][name] = Calibration.fit(predicted, true, near).to_dict() | {"n": len(true)}
        _, predicted, true = answers(model, name, rows, units, TEST)
        if Errors.of(predicted, true).r2 >= WORTH_OFFERING:
            stored["offered"].append(name)
    stored["offered"].sort(key=list(PROPERTIES).index)
    (folder / "calibration.json").write_text(json.dumps(stored, indent=1), encoding="utf-8")


def answers(
    model: PolyNC, name: str, rows: Observations, units: dict[str, Unit], part: int
) -> tuple[list[str], _Floats, _Floats]:
    """Return (repeat units, uncalibrated answers, true values) of one part of the split, without those not answered."""
    chosen = [i for i, text in enumerate(rows.units) if units[text].part == part]
    means = [answer[name] for answer in model.means([rows.units[i] for i in chosen], [name])]
    pairs = [(i, mean) for i, mean in zip(chosen, means, strict=True) if mean is not None]
    return [rows.units[i] for i, _ in pairs], np.array([mean for _, mean in pairs]), rows.values[[i for i, _ in pairs]]


def evaluate_polync(data: Path, folder: Path, out: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Print, per property, errors on held-out repeat units, those of extra trees, and the coverage of 80 % intervals.

    Coverage is given in thirds of the predicted range. Then the glass transition of polymers every chemist knows.
    """
    units, observations = read_observations(data)
    model = PolyNC.load(folder)
    x = dict(zip(units, features([unit.mol for unit in units.values()]), strict=True))
    table: dict[str, dict[str, float]] = {}
    out(
        "| property | n | R2 | MAE | RMSE | extra trees R2 | MAE | RMSE | 80 % coverage by third | share out of domain, its MAE | offered |"
    )
    out("|---|---|---|---|---|---|---|---|---|---|---|")
    for column, rows in observations.items():
        if column not in columns():
            continue
        name = columns()[column]
        chosen = [i for i, text in enumerate(rows.units) if units[text].part == TEST]
        predictions = [answer[name] for answer in model.predict([rows.units[i] for i in chosen], [name])]
        pairs = [(i, prediction) for i, prediction in zip(chosen, predictions, strict=True) if prediction is not None]
        true = rows.values[[i for i, _ in pairs]]
        mean, std = np.array([p.mean for _, p in pairs]), np.array([p.std for _, p in pairs])
        inside = np.array([p.in_domain for _, p in pairs])
        mine = Errors.of(mean, true)
        base = Errors.of(baseline(units, rows, [rows.units[i] for i, _ in pairs], x), true)
        covered = np.abs(true - mean) <= Z80 * std
        third = np.digitize(mean, model.calibrations[name].edges)
        parts = [float(covered[third == i].mean()) if np.any(third == i) else float("nan") for i in range(3)]
        far = f"{np.mean(~inside):.0%}, {np.abs(true - mean)[~inside].mean():.3g}" if np.any(~inside) else "0%"
        out(
            f"| {name} | {mine.n} | {mine.r2:.3f} | {mine.mae:.3g} | {mine.rmse:.3g} | {base.r2:.3f} | {base.mae:.3g} | {base.rmse:.3g} "
            f"| {' / '.join(f'{part:.0%}' for part in parts)} | {far} | {'yes' if name in model.properties else 'no'} |"
        )
        table[name] = {
            "n": mine.n,
            "r2": mine.r2,
            "mae": mine.mae,
            "rmse": mine.rmse,
            "baseline_r2": base.r2,
            "coverage": float(covered.mean()),
        }
        table[name]["unanswered"] = len(chosen) - len(pairs)
    out("")
    out("| polymer | Tg in the literature, degC | PolyNC | std |")
    out("|---|---|---|---|")
    for (name, literature), answer in zip(WELL_KNOWN.values(), model.predict(list(WELL_KNOWN), ["Tg"]), strict=True):
        tg = answer["Tg"]
        out(
            f"| {name} | {literature} | no answer | |"
            if tg is None
            else f"| {name} | {literature} | {tg.mean:.0f} | {tg.std:.0f} |"
        )
    return table
