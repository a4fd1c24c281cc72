"""Whether surrogates together beat each alone: the same held-out units, one line a property."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inverse_design.polymer import RepeatUnit, parse
from surrogates.evaluation import Answers, HeldOut, Judged, Say, accuracy, balanced_accuracy, heat_shares
from surrogates.observations import TEST, TRAIN
from surrogates.polyscreen import is_polyimide


def evaluate_consensus(held: HeldOut, told: Mapping[str, Answers], out: Say, part: int = TEST) -> dict[str, Any]:
    """Print and return R2, MAE and coverage of 80 % intervals of each surrogate and of all together, on units that all of
    those that offer the property answer. The glass transition is told apart for polyimides, with the three classes of heat
    resistance (PolyNC's, by Tg): the share of units told right, and the same averaged over the classes."""
    together = held.judge(list(told.values()), part)
    alone = {name: held.judge([answers], part) for name, answers in told.items()}
    out(f"| property | n | {' | '.join(f'{name}: R2, MAE, coverage' for name in told)} | together: R2, MAE, coverage |")
    out(f"|---|---|{'---|' * (len(told) + 1)}")
    figures: dict[str, Any] = {}
    for name, judged in together.items():
        heard = {model: own[name] for model, own in alone.items() if name in own}
        if len(heard) < 2:
            continue
        common = set(judged.units).intersection(*(one.units for one in heard.values()))
        groups = {name: common}
        if name == "Tg":
            imides = set(filter(_imide, common))
            groups |= {"Tg, polyimides": imides, "Tg, others": common - imides}
        for label, chosen in groups.items():
            cells = {model: _cell(one, chosen) for model, one in {**heard, "together": judged}.items()}
            figures[label] = {"n": len(chosen)} | {model: figure for model, (_, figure) in cells.items()}
            texts = [cells[model][0] if model in cells else "" for model in (*told, "together")]
            out(f"| {label} | {len(chosen)} | {' | '.join(texts)} |")
            if name == "Tg" and {"polync", "polyscreen"} <= set(heard):
                both = held.judge([told["polync"], told["polyscreen"]], part)[name]
                figures[f"{label}, PolyNC and polyScreen"] = {"n": len(chosen)} | {"together": _cell(both, chosen)[1]}
                out(f"| {label}: PolyNC and polyScreen | {len(chosen)} | {' |' * len(told)} {_cell(both, chosen)[0]} |")
            if name == "Tg" and label != "Tg, others":
                learned = [text for text in held.measured("Tg", TRAIN) if label == "Tg" or _imide(text)]
                shares = heat_shares(held.true("Tg", learned))
                told_right = {model: _classes(one, chosen, shares) for model, one in {**heard, "together": judged}.items()}
                figures[f"heat resistance, {label}"] = {"n": len(chosen)} | told_right
                texts = [
                    f"{told_right[model][0]:.3f}, {told_right[model][1]:.3f}" if model in told_right else ""
                    for model in (*told, "together")
                ]
                out(
                    f"| {label}: class of heat resistance, accuracy and balanced accuracy | {len(chosen)} | {' | '.join(texts)} |"
                )
    return figures


def _imide(text: str) -> bool:
    return isinstance(unit := parse(text), RepeatUnit) and is_polyimide(unit)


def _classes(judged: Judged, chosen: set[str], shares: NDArray[np.float64]) -> tuple[float, float]:
    part = judged.take(np.array([unit in chosen for unit in judged.units]))
    return accuracy(part.mean, part.true), balanced_accuracy(part.mean, part.std, part.true, shares)


def _cell(judged: Judged, chosen: set[str]) -> tuple[str, dict[str, float]]:
    part = judged.take(np.array([unit in chosen for unit in judged.units]))
    errors, covered = part.errors, float(part.covered.mean())
    return f"{errors.r2:.3f}, {errors.mae:.3g}, {covered:.0%}", {"r2": errors.r2, "mae": errors.mae, "coverage": covered}
