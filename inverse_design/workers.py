"""Generators and surrogates behind rows, as executors hold them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Generator, Prediction, Row, Surrogate


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorWorker:
    """{"prompt": text, "seed": int} in, {"text": text} out; rows of one prompt share its encoding."""

    generator: Generator

    def work(self, rows: list[Row]) -> list[Row]:
        """Generate one text per row."""
        seeds: dict[str, list[int]] = {}
        for row in rows:
            seeds.setdefault(row["prompt"], []).append(row["seed"])
        texts = dict(zip(seeds, map(iter, self.generator.generate(list(seeds), list(seeds.values()))), strict=True))
        return [{"text": next(texts[row["prompt"]])} for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class SurrogateWorker:
    """{"psmiles": text} in, {"predictions": [...]} out: one entry per property that has an answer."""

    name: str
    surrogate: Surrogate
    properties: tuple[str, ...]

    def work(self, rows: list[Row]) -> list[Row]:
        """Predict every property of every row; a property without a valid answer, or with an impossible one, is left out."""
        answers = self.surrogate.predict([row["psmiles"] for row in rows], self.properties)
        return [
            {
                "predictions": [
                    {
                        "surrogate": self.name,
                        "property": name,
                        "mean": answer.mean,
                        "std": answer.std,
                        "in_domain": answer.in_domain,
                    }
                    for name, answer in one.items()
                    if answer is not None and possible(name, answer)
                ]
            }
            for one in answers
        ]


def possible(name: str, answer: Prediction) -> bool:
    """Return whether an answer is a number with a width, within the physical range of its property; nothing else is stored."""
    item = PROPERTIES[name]
    return math.isfinite(answer.mean) and math.isfinite(answer.std) and answer.std > 0 and item.low <= answer.mean <= item.high
