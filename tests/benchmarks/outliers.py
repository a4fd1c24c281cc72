"""What Student-t errors, and the line along density, are worth to the Gaussian processes: `python tests/benchmarks/outliers.py DATA`.

By normal errors and by Student-t ones, for every property: R2 of values left out, and how far the twentieth of them with the
highest values is missed on average; errors on the calibration part, by which both were chosen, and on the held-out part.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from inverse_design.properties import PROPERTIES
from surrogates.evaluation import Errors
from surrogates.observations import CALIBRATION, TEST, TRAIN, columns, read_observations
from surrogates.train_tanimoto import TOGETHER, environments, fit_together

PLAIN, DENSE = ("egc_ev", "tg_c"), ("density_md_gcm3", "density_gcm3")
"""Columns, computed and measured, that have no line or one: errors go by what a column is."""


def main() -> None:
    units, observations = read_observations(Path(sys.argv[1]))
    named = {name: observations[column] for column, name in columns().items()}
    alone = [(name,) for name in named if not any(name in names for names in TOGETHER)]
    print("Each: normal errors, Student-t.")
    print("| property | kind | left out: R2 | highest twentieth missed by | calibration part: R2 | MAE | held out: R2 | MAE |")
    print("|---|---|---|---|---|---|---|---|")
    for names in (*alone, *TOGETHER):
        everyone = sorted({text for name in names for text in named[name].units})
        seen, place = environments([units[text].mol for text in everyone]), {text: row for row, text in enumerate(everyone)}
        part = np.array([units[text].part for text in everyone])
        rows = {name: np.array([place[text] for text in named[name].units]) for name in names}
        known = {name: (part[rows[name]] == TRAIN) & ~named[name].conflict for name in names}
        train = np.unique(np.concatenate([rows[name][known[name]] for name in names]))
        both = [(np.searchsorted(train, rows[name][known[name]]), named[name].values[known[name]]) for name in names]
        for kinds in (PLAIN, DENSE) if names == ("density",) else (PLAIN,):
            fitted = [fit_together(seen[train], both, len(names) * [column]) for column in kinds]
            for index, name in enumerate(names):
                true = both[index][1]
                cells: list[list[str]] = [[], []]
                for processes in fitted:
                    missed = processes[index][1][0] - true
                    cells[0].append(f"{1 - np.sum(missed**2) / np.sum((true - true.mean()) ** 2):.3f}")
                    cells[1].append(f"{missed[true >= np.quantile(true, 0.95)].mean():.3g}")
                for asked in (CALIBRATION, TEST):
                    chosen = np.flatnonzero(part[rows[name]] == asked)
                    said = [processes[index][0].mean(seen[rows[name][chosen]]) for processes in fitted]
                    errors = [Errors.of(own, named[name].values[chosen]) for own in said]
                    cells += [[f"{one.r2:.3f}" for one in errors], [f"{one.mae:.3g}" for one in errors]]
                line = ", along the line" if kinds is DENSE else ""
                print(f"| {name}{line} | {PROPERTIES[name].kind} | {' | '.join(map(', '.join, cells))} |", flush=True)


if __name__ == "__main__":
    main()
