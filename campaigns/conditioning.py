"""Property values before the descriptors of the bundled generator (the semi-template mode of PolyTAO, npj Comput. Mater. 10:273, 2024).

A checkpoint fine-tuned on values reads them itself. The bundled one keeps to them by choice: of several samples for the
descriptors, the one that the bundled Gaussian processes tell nearest to the values is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from campaigns.models import SURROGATES, load_surrogate
from generators.polytao import PolyTAO
from inverse_design.descriptors import realised
from inverse_design.polymer import RepeatUnit, canonical, parse
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Surrogate
from inverse_design.seeds import seed
from inverse_design.split import held_out, key
from surrogates.tanimoto import TanimotoGP

CHOICES: Final = 8
"""Samples that one is chosen from."""
ASKED: Final = ("Tg", "bandgap_chain")
JUDGED: Final = 150
"""Held-out repeat units whose values are asked for."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioned:
    """A generator whose prompts begin with the values of `names`, each in the unit of its property."""

    generator: PolyTAO
    surrogate: TanimotoGP
    names: tuple[str, ...]

    @classmethod
    def of(cls, generator: PolyTAO, names: Sequence[str]) -> Conditioned:
        """Return `generator` with the bundled Gaussian processes to choose for it."""
        return cls(generator=generator, surrogate=TanimotoGP.load(SURROGATES["bundled:tanimoto"]), names=tuple(names))

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        """Return one text per seed for each prompt; a text depends on its prompt and its seed alone."""
        *values, descriptors = zip(*(prompt.split(",", len(self.names)) for prompt in prompts), strict=True)
        asked = np.array(values, dtype=np.float64).T
        each = [[seed(one, choice) if choice else one for one in own for choice in range(CHOICES)] for own in seeds]
        drawn = self.generator.generate(descriptors, each)
        said = iter(self.told([text for texts in drawn for text in texts]))
        chosen: list[list[str]] = []
        for texts, wanted in zip(drawn, asked, strict=True):
            misses = self.misses(np.array([next(said) for _ in texts]), wanted).reshape(-1, CHOICES)
            chosen.append([texts[row * CHOICES + best] for row, best in enumerate(misses.argmin(axis=1).tolist())])
        return chosen

    def told(self, texts: Sequence[str]) -> Values:
        """Return what the surrogate says of each text, NaN where nothing; shape (n, properties)."""
        return told(self.surrogate, texts, self.names)

    def misses(self, said: Values, wanted: Values) -> Values:
        """Return how far off (n, properties) values are, root mean square in the scales of the properties; infinite where not told."""
        scales = np.array([PROPERTIES[name].scale for name in self.names])
        return np.asarray(np.nan_to_num(np.sqrt((((said - wanted) / scales) ** 2).mean(axis=1)), nan=np.inf), np.float64)


def told(surrogate: Surrogate, texts: Sequence[str], names: Sequence[str]) -> Values:
    """Return what a surrogate says of each text, NaN where nothing; shape (n, properties)."""
    answers = surrogate.predict(texts, names)
    return np.array([[np.nan if (one := answer[name]) is None else one.mean for name in names] for answer in answers])


def evaluate_conditioning(data: Path, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Print and return how far samples are off values in front of the descriptors of held-out known repeat units, and for the
    descriptors alone: those of the same units, and these moved up or down by what samples of one prompt scatter by; as the processes
    tell it that choose, and as PolyNC does, which has no part in the choice."""
    model, judge = Conditioned.of(PolyTAO.load(folder), ASKED), load_surrogate(SURROGATES["bundled:polync"])
    table = pq.read_table(data / "structures.parquet", columns=["psmiles", "source"]).to_pylist()
    units = [unit for row in table if row["source"] == "known" if isinstance(unit := parse(row["psmiles"]), RepeatUnit)]
    units = [unit for unit in units if held_out(key(canonical(unit)))][:JUDGED]
    own = model.told([unit.psmiles for unit in units])
    rows = np.flatnonzero(~np.isnan(own).any(axis=1))
    own, prompts = own[rows], [",".join(map(str, realised(units[row].mol))) for row in rows]

    def samples(asked: Values | None, number: int) -> list[Values]:
        seeds = [[seed(number, row)] for row in range(len(prompts))]
        if asked is None:
            texts = [text for (text,) in model.generator.generate(prompts, seeds)]
        else:
            heard = [spoken(values) + prompt for values, prompt in zip(asked, prompts, strict=True)]
            texts = [text for (text,) in model.generate(heard, seeds)]
        return [model.told(texts), told(judge, texts, ASKED)]

    alone, right = samples(None, 17), samples(own, 17)
    scatter = np.nanstd(alone[0] - samples(None, 18)[0], axis=0) / np.sqrt(2)
    say(
        f"| property | values asked | n | off by, alone | off by, values too ({CHOICES} choices) | by PolyNC: alone | values too |"
    )
    say("|---|---|---|---|---|---|---|")
    figures: dict[str, Any] = {}
    for place, name in enumerate(ASKED):
        for step in (0, -1, 1):
            asked = own.copy()
            asked[:, place] += step * scatter[place]
            got = samples(asked, 17) if step else right
            off = np.abs([values[:, place] - asked[:, place] for values in (alone[0], got[0], alone[1], got[1])])
            known = ~np.isnan(off).any(axis=0)
            misses = off[:, known].mean(axis=1).tolist()
            label = f"moved by {step * scatter[place]:+.2g} {PROPERTIES[name].unit}" if step else "the unit's own"
            kinds = ("alone", "values", "alone, PolyNC", "values, PolyNC")
            figures[f"{name}, {step:+d}"] = {"n": int(known.sum()), **dict(zip(kinds, misses, strict=True))}
            say(f"| {name} | {label} | {known.sum()} | {' | '.join(f'{miss:.3g}' for miss in misses)} |")
    return figures


def spoken(values: Values) -> str:
    """Return the text in front of the descriptors, as `generator.condition` writes it."""
    return "".join(f"{value:.2f}," for value in values)
