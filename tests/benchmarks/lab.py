"""Measured polymers told to a campaign's correction: what becomes of the error on others of their kind.

PYTHONPATH=. python tests/benchmarks/lab.py ../shared/data > tests/benchmarks/lab.md

First, families that no model has seen, which is what a laboratory that follows a campaign's proposals measures: the polymers
nearest to a random one, or a whole class, are taken out of the training set of the bundled Gaussian process, whose answer
without them has a closed form (Rasmussen and Williams 2006, section 5.4.2). Some are told, and the error is taken on others of
the family. Then, held-out polymers of kinds that the bundled models know well, all surrogates together.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import linalg

from campaigns.local import LocalExecutor
from campaigns.models import SURROGATES
from campaigns.predict import Predictor
from inverse_design.correction import Correction, Point, packed, tanimoto
from inverse_design.lab import NOISE
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.structure import polymer_class
from surrogates.calibration import Z80
from surrogates.observations import TEST, columns, read_observations
from surrogates.tanimoto import BATCH, TanimotoGP
from surrogates.train_tanimoto import environments

ASKED = ("Tg", "Tm", "density", "bandgap_chain", "thermal_conductivity", "permeability_CO2")
TOLD = (5, 10, 30)
LEADS, NEAREST, LEAST, REST = 30, 60, 60, 30
"""Random polymers whose 60 nearest make a family; the smallest class; the polymers that errors are taken on."""
Family = Sequence[Point]


class Bench:
    """The tables, read once."""

    def __init__(self, data: Path) -> None:
        self.units, self.observed = read_observations(data)
        self.column = {name: column for column, name in columns().items()}
        self.model = TanimotoGP.load(SURROGATES["bundled:tanimoto"])

    def unseen(self, name: str) -> Iterator[tuple[str, list[Family]]]:
        """Yield (kind, families): what the Gaussian process says of each family without having seen any of it."""
        rows, prior, calibration = (
            self.observed[self.column[name]],
            self.model.processes[name].prior,
            self.model.calibrations[name],
        )
        kept = np.flatnonzero(~rows.conflict)
        texts, values = [rows.units[i] for i in kept], rows.values[kept]
        known = environments([self.units[text].mol for text in texts])
        starts = range(0, len(texts), BATCH)
        similarity = np.concatenate([known[start : start + BATCH].similarity(known) for start in starts])
        alike = np.concatenate([known[start : start + BATCH].alike(known) for start in starts])
        matrix = prior.kernel(similarity, alike).astype(np.float64)
        matrix[np.diag_indices_from(matrix)] += prior.noise
        inverse = linalg.inv(matrix, overwrite_a=True, check_finite=False, assume_a="pos")
        weights = inverse @ ((values - prior.mean) / prior.scale)

        def family(places: np.ndarray) -> Family:
            block = np.linalg.inv(inverse[np.ix_(places, places)])
            means = values[places] - prior.scale * (block @ weights[places])
            stds = prior.scale * np.sqrt(np.diag(block))
            near = np.delete(similarity[places], places, axis=1).max(axis=1)
            return [
                point(name, texts[i], calibration.predict(float(mean), float(one), float(std)), values[i])
                for i, mean, one, std in zip(places, means, near, stds, strict=True)
            ]

        leads = np.random.default_rng(0).choice(len(texts), LEADS, replace=False)
        yield (
            f"{NEAREST} nearest to a polymer",
            [family(np.sort(np.argsort(-similarity[one], kind="stable")[:NEAREST])) for one in leads],
        )
        classes = np.array([polymer_class(unit) for text in texts if isinstance(unit := parse(text), RepeatUnit)])
        whole = [np.flatnonzero(classes == one) for one in np.unique(classes)]
        yield "a whole class", [family(places) for places in whole if LEAST <= len(places) <= len(texts) // 2]

    def familiar(self, name: str) -> Iterator[tuple[str, list[Family]]]:
        """Yield (kind, families) of held-out polymers, with what all surrogates together say of them."""
        rows = self.observed[self.column[name]]
        places = [i for i, text in enumerate(rows.units) if self.units[text].part == TEST]
        answers = Predictor.of([name]).answers([rows.units[i] for i in places], LocalExecutor(1))
        pairs = [(i, said) for i, answer in zip(places, answers, strict=True) if (said := answer[name]) is not None]
        points = [point(name, rows.units[i], said, rows.values[i]) for i, said in pairs]
        yield "any", [points] * LEADS
        if len(points) >= NEAREST:
            bits = packed([one.canonical for one in points])
            leads = np.random.default_rng(0).choice(len(points), min(LEADS, len(points)), replace=False)
            order = np.argsort(-tanimoto(bits[leads], bits), axis=1, kind="stable")[:, :NEAREST]
            yield f"{NEAREST} nearest to one of them", [[points[i] for i in one] for one in order]


def point(name: str, canonical: str, predicted, value: float) -> Point:  # type: ignore[no-untyped-def]
    return Point(canonical=canonical, predicted=predicted, value=float(value), std=NOISE * PROPERTIES[name].scale)


def row(families: list[Family], scale: float, draws: int) -> list[str]:
    """Return the cells of a row: error and coverage with none told; with some told, error, its change, coverage, and the share
    of draws in which the error fell or rose by more than 2 %."""
    rng = np.random.default_rng(0)
    found: dict[int, list[list[float]]] = {count: [] for count in TOLD}
    for family in families:
        for _ in range(draws):
            order = rng.permutation(len(family))
            rest = [family[i] for i in order[max(TOLD) :][:REST]]
            for count in TOLD:
                correction = Correction.fit([family[i] for i in order[:count]], scale)
                cells = []
                for answers in ([one.predicted for one in rest], [correction(one.predicted, one.canonical) for one in rest]):
                    left = np.abs([one.value - answer.mean for one, answer in zip(rest, answers, strict=True)])
                    inside = left <= Z80 * np.array([answer.std for answer in answers])
                    cells += [float(left.mean()), float(inside.mean())]
                found[count].append(cells)
    tables = {count: np.array(cells) for count, cells in found.items()}
    first = tables[TOLD[0]].mean(axis=0)
    line = [f"{first[0]:.3g}", f"{first[1]:.0%}"]
    for table in tables.values():
        before, _, after, inside = table.mean(axis=0)
        ratio = table[:, 2] / table[:, 0]
        line += [
            f"{after:.3g} ({after / before - 1:+.1%})",
            f"{inside:.0%}",
            f"{np.mean(ratio < 0.98):.0%} / {np.mean(ratio > 1.02):.0%}",
        ]
    return line


def main() -> None:
    bench = Bench(Path(sys.argv[1]))
    for title, source, draws in (
        ("Families that the model has never seen", bench.unseen, 2),
        ("Kinds that the models know", bench.familiar, 2),
    ):
        head = "| property | measured | families | MAE, none told | in 80 % interval |"
        for count in TOLD:
            head += f" {count} told: MAE on others | in 80 % interval | better / worse |"
        print(f"## {title}\n\n{head}\n|{'---|' * (head.count('|') - 1)}")
        for name in ASKED:
            for kind, families in source(name):
                large = [family for family in families if len(family) >= max(TOLD) + 8]
                if large:
                    cells = " | ".join(row(large, PROPERTIES[name].scale, draws))
                    print(f"| {name}, {PROPERTIES[name].unit} | {kind} | {len(large)} | {cells} |", flush=True)
        print()


if __name__ == "__main__":
    main()
