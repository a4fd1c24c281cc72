"""The bundled generator that hears property values: what it is taught, and how far it obeys.

The values are those of the bundled Gaussian processes, for measured and unmeasured repeat units alike (the semi-template
mode of PolyTAO, npj Comput. Mater. 10:273, 2024).
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from campaigns.models import SURROGATES
from generators.evaluate import held_out_prompts
from generators.polytao import PolyTAO
from generators.train import Labelled
from inverse_design.properties import PROPERTIES
from inverse_design.seeds import seed
from surrogates.tanimoto import TanimotoGP

ASKED: Final = ("Tg", "bandgap_chain")
"""The properties, in the order of their values in a prompt."""
HYPOTHETICAL: Final = 15_000
PROMPTS: Final = 400
SHIFTS: Final = (60.0, 0.6)
"""By how much the values of held-out prompts are moved: about half a standard deviation of each property."""

Values = NDArray[np.float64]


def labelled(data: Path) -> list[Labelled]:
    """Return (source, repeat unit, values of `ASKED`) of the known polymers and of some hypothetical ones."""
    table = pq.read_table(data / "structures.parquet", columns=["psmiles", "source"]).to_pylist()
    found = [("known", row["psmiles"]) for row in table if row["source"] == "known"]
    with gzip.open(data / "hypothetical.smi.gz", "rt", encoding="ascii") as lines:
        found += [("hypothetical", line.strip()) for line in islice(lines, HYPOTHETICAL)]
    values = told([text for _, text in found])
    return [
        (source, text, tuple(own)) for (source, text), own in zip(found, values.tolist(), strict=True) if not np.isnan(own).any()
    ]


def told(texts: Sequence[str]) -> Values:
    """Return what the bundled Gaussian processes say of each text, NaN where nothing; shape (n, len(ASKED))."""
    answers = TanimotoGP.load(SURROGATES["bundled:tanimoto"]).predict(texts, ASKED)
    return np.array([[np.nan if (one := answer[name]) is None else one.mean for name in ASKED] for answer in answers])


def evaluate_conditioning(data: Path, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Print and return how the values of samples follow the values asked for: on prompts of held-out known polymers whose
    values are moved by `SHIFTS`, up and down, with the descriptors as they are."""
    model = PolyTAO.load(folder)
    prompts = [",".join(map(str, vector)) for vector in held_out_prompts(data, PROMPTS, {"known"})]
    seeds = [[seed(17, row)] for row in range(len(prompts))]
    base = told([text for (text,) in model.generate(prompts, seeds)])  # what the descriptors alone lead to
    figures: dict[str, Any] = {}
    say(f"{'property':16} {'moved by':>9} {'n':>5} {'samples move by':>16} {'correlation with what was asked':>32}")
    for place, (name, shift) in enumerate(zip(ASKED, SHIFTS, strict=True)):
        for sign in (-1, 1):
            rows = np.flatnonzero(~np.isnan(base).any(axis=1))
            asked = base[rows].copy()
            asked[:, place] += sign * shift
            texts = [",".join(f"{value:.2f}" for value in own) + "," + prompts[row] for row, own in zip(rows, asked, strict=True)]
            got = told([text for (text,) in model.generate(texts, [[seed(18, int(row))] for row in rows])])[:, place]
            heard = ~np.isnan(got)
            moved = float(np.mean(got[heard] - base[rows][heard, place]))
            alike = float(np.corrcoef(got[heard], asked[heard, place])[0, 1])
            unit = PROPERTIES[name].unit
            say(f"{name:16} {sign * shift:+6.1f} {unit:>4} {heard.sum():4d} {moved:+14.2f} {alike:32.3f}")
            figures[f"{name} {sign * shift:+.1f}"] = {"n": int(heard.sum()), "moved": moved, "correlation": alike}
    return figures
