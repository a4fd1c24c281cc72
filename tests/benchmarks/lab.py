"""Measured polymers that no model was trained on, told to a campaign's correction: what becomes of the error on the others.

PYTHONPATH=. python tests/benchmarks/lab.py ../shared/data > tests/benchmarks/lab.md

For each property and polymer class with at least 40 held-out measurements, 10 or 30 of them are drawn and told, 60 times over,
and the error on those not told is averaged over the draws. "Alike": by how much the error changes on those not told with a
Tanimoto similarity of at least 0.5 to one told, and what share of the rest these are. The last column of each number told has
the weights of the forms of correction.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from campaigns.local import LocalExecutor
from campaigns.predict import Predictor
from inverse_design.correction import Correction, Point, packed, tanimoto
from inverse_design.lab import NOISE
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.structure import polymer_class
from surrogates.calibration import Z80
from surrogates.observations import TEST, columns, read_observations

ASKED = ("Tg", "Tm", "density", "bandgap_chain")
DRAWS = 60
NEAR = 0.5
FORMS = ("none", "affine", "local")
TOLD = (0, 10, 30)


def held_out(data: Path) -> dict[tuple[str, str], list[Point]]:
    """Return (property, class) -> held-out polymers with what the bundled models say of them; "any" is all classes."""
    units, observations = read_observations(data)
    found = defaultdict(list)
    executor = LocalExecutor(1)
    for column, name in columns().items():
        if name not in ASKED:
            continue
        rows = observations[column]
        chosen = [i for i, text in enumerate(rows.units) if units[text].part == TEST]
        answers = Predictor.of([name]).answers([rows.units[i] for i in chosen], executor)
        for i, answer in zip(chosen, answers, strict=True):
            unit, predicted = parse(rows.units[i]), answer[name]
            if isinstance(unit, RepeatUnit) and predicted is not None:
                std = NOISE * PROPERTIES[name].scale
                point = Point(canonical=rows.units[i], predicted=predicted, value=float(rows.values[i]), std=std)
                found[name, "any"].append(point)
                found[name, polymer_class(unit)].append(point)
    return {key: points for key, points in found.items() if len(points) >= 40}


def errors(points: list[Point], scale: float) -> list[str]:
    """Return the cells of a row: per number told, error on the rest, coverage of its intervals, change near those told, shares."""
    rng = np.random.default_rng(0)
    off = np.array([one.value - one.predicted.mean for one in points])
    alike = tanimoto(*[packed([one.canonical for one in points])] * 2) >= NEAR
    cells = []
    for count in TOLD:
        found = []
        for _ in range(DRAWS):
            order = rng.permutation(len(points))
            told, rest = order[:count], order[count:]
            correction = Correction.fit([points[i] for i in told], scale)
            answers = [correction(points[i].predicted, points[i].canonical) for i in rest]
            left = np.array([points[i].value - answer.mean for i, answer in zip(rest, answers, strict=True)])
            inside = np.abs(left) <= Z80 * np.array([answer.std for answer in answers])
            near = alike[np.ix_(rest, told)].any(axis=1)
            sums = [np.abs(values)[near].sum() for values in (left, off[rest])]
            shares = [correction.shares.get(name, 0.0) for name in FORMS]
            found.append([np.abs(left).mean(), np.abs(off[rest]).mean(), inside.mean(), *sums, near.mean(), *shares])
        after, before, inside, near_after, near_before, near, *shares = np.mean(found, axis=0)
        cells += [f"{after:.3g} ({after / before - 1:+.0%})" if count else f"{after:.3g}", f"{inside:.0%}"]
        if count:
            cells.append(f"{near_after / near_before - 1:+.0%} for {near:.0%}" if near_before else "none")
            cells.append(" / ".join(f"{share:.0%}" for share in shares))
    return cells


def main() -> None:
    head = "| property | class | polymers | MAE, none told | in 80 % interval |"
    for count in TOLD[1:]:
        head += f" {count} told: MAE on the rest | in 80 % interval | alike | none / affine / local |"
    print(head)
    print("|" + "---|" * (head.count("|") - 1))
    for (name, kind), points in sorted(held_out(Path(sys.argv[1])).items()):
        cells = " | ".join(errors(points, PROPERTIES[name].scale))
        print(f"| {name}, {PROPERTIES[name].unit} | {kind} | {len(points)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
