"""Figures of polyScreen's model card: repeat units no member was trained on, and the authors' protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from surrogates.authors_protocol import authors_protocol
from surrogates.baseline import features, forest
from surrogates.calibration import Z80
from surrogates.evaluation import Errors
from surrogates.graph_training import Floats, Rows
from surrogates.polyscreen import OTHERS, POLYIMIDES, PolyScreen
from surrogates.train_polyscreen import Table, read_table

# Differential scanning calorimetry by the authors of polyScreen, degC.
MEASURED: Final = {
    "PMDA/ODA (Kapton)": ("*N1C(=O)c2cc3c(cc2C1=O)C(=O)N(c1ccc(Oc2ccc(*)cc2)cc1)C3=O", 360),
    "6FDA/TFMB": (
        "*c1ccc(-c2ccc(N3C(=O)c4ccc(C(c5ccc6c(c5)C(=O)N(*)C6=O)(C(F)(F)F)C(F)(F)F)cc4C3=O)cc2C(F)(F)F)c(C(F)(F)F)c1",
        329,
    ),
}

WAYS: Final = {
    "alone": "the authors' repeat units alone, five networks",
    "shipped": "trained as the bundled model, by repeat unit",
    "observations": "the same on every measurement, repeat units on both sides",
}


def evaluate_polyscreen(data: Path, folder: Path, out: Callable[[str], None], work: Path | None = None) -> dict[str, Any]:
    """Print errors on held-out repeat units, coverage of 80 % intervals by third of the range, and two measured polyimides.

    The authors' protocol trains networks of its own, in about an hour; it is run where `work` names a
    folder to keep them. Returns all figures by name.
    """
    model, table = PolyScreen.load(folder), read_table(data)
    result: dict[str, Any] = {}
    out(
        "| held-out repeat units | n | R2 | MAE | RMSE | extra trees R2 | MAE | 80 % coverage by third | in domain, MAE | out of domain, MAE |"
    )
    out("|---|---|---|---|---|---|---|---|---|---|")
    train = np.flatnonzero(~table.held_out & ~table.calibration)
    for kind, mask in ((POLYIMIDES, table.polyimide), (OTHERS, ~table.polyimide)):
        rows = np.flatnonzero(table.held_out & mask)
        answers = [one["Tg"] for one in model.answer([table.units[row] for row in rows])]
        known = np.array([answer is not None for answer in answers])
        rows, kept = rows[known], [answer for answer in answers if answer is not None]
        true = table.tg[rows]
        mean, std, inside = (np.array([getattr(answer, name) for answer in kept]) for name in ("mean", "std", "in_domain"))
        covered = np.abs(true - mean) <= Z80 * std
        third = np.digitize(mean, model.calibrations[kind].edges)
        thirds = [float(covered[third == i].mean()) for i in range(3) if np.any(third == i)]
        mine = Errors.of(mean, true)
        base = Errors.of(_baseline(table, train[mask[train]], rows), true)
        result[kind] = asdict(mine) | {"coverage": float(covered.mean()), "thirds": thirds, "trees": asdict(base)}
        out(
            f"| {kind} | {mine.n} | {mine.r2:.3f} | {mine.mae:.1f} | {mine.rmse:.1f} | {base.r2:.3f} | {base.mae:.1f} "
            f"| {' / '.join(f'{part:.0%}' for part in thirds)} | {_part(true - mean, inside)} | {_part(true - mean, ~inside)} |"
        )
    out("")
    out("| polyimide, never trained on | measured (DSC), degC | predicted | std | in domain |")
    out("|---|---|---|---|---|")
    for name, (psmiles, measured) in MEASURED.items():
        answer = model.predict([psmiles], ["Tg"])[0]["Tg"]
        if answer is not None:
            result[name] = answer.mean
            out(f"| {name} | {measured} | {answer.mean:.0f} | {answer.std:.0f} | {'yes' if answer.in_domain else 'no'} |")
    out("")
    result["per_second"] = _speed(model, table)
    out(
        f"{result['per_second']:.0f} repeat units a second, from text to calibrated answer, with {len(model.networks[POLYIMIDES])} members"
    )
    if work is not None:
        out("")
        result["protocol"] = authors_protocol(table, data, work, out)
        out("| random 80/20, 5 seeds | R2 | MAE | RMSE | balanced accuracy, 3 classes |")
        out("|---|---|---|---|---|")
        for name, figures in result["protocol"].items():
            cells = [f"{mean:.3g} +- {std:.2g}" for mean, std in figures.values()]
            out(f"| {WAYS[name]} | {' | '.join(cells)} |")
    return result


def _part(residuals: NDArray[np.float64], chosen: NDArray[np.bool_]) -> str:
    return f"{chosen.mean():.0%}, {np.abs(residuals[chosen]).mean():.1f}" if chosen.any() else "none"


def _speed(model: PolyScreen, table: Table) -> float:
    """Return repeat units answered a second of processor time, over 500 of them."""
    texts = [unit.psmiles for unit in table.units[:: max(1, len(table.units) // 500)]]
    start = time.process_time()
    model.predict(texts, ["Tg"])
    return len(texts) / (time.process_time() - start)


def _baseline(table: Table, train: Rows, rows: Rows) -> Floats:
    """Return what extra trees, fitted on the training rows of the same kind, say of `rows`."""
    mols = [unit.mol for unit in table.units]
    fitted = forest(1).fit(features([mols[row] for row in train]), table.tg[train])
    return np.asarray(fitted.predict(features([mols[row] for row in rows])), dtype=np.float64)
