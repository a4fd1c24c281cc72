"""PolyNC: a T5 that reads a property's question about a SMILES and writes the answer as a number.

Qiu et al., Chem. Sci. 15:534 (2024). Questions, bare `*` and greedy answers as the authors have them, so that
their checkpoint and the bundled one answer through the same code. Averaging over spellings of one molecule is
the authors' data augmentation turned to use at prediction. A model that writes every answer as one token, as the
bundled one does, gives its whole distribution in one step: its mean is closer to the truth than its mode.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import torch
from rdkit import Chem
from torch import Tensor

from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.properties import PROPERTIES, Property
from inverse_design.protocols import Prediction
from inverse_design.text2text import Backend
from inverse_design.text2text.checkpoint import Checkpoint, load_checkpoint
from inverse_design.text2text.sampling import Sampling
from surrogates.calibration import Calibration
from surrogates.neighbours import Neighbours, fingerprints

SPELLINGS = 4
BATCH = 64
_GREEDY = Sampling(top_k=1, max_new_tokens=7)
_NUMBER = re.compile(r"-?[0-9]{1,5}(\.[0-9]{1,6})?")
_LEAKS = re.compile(r"<pad>|<s>|</s>|\[PAD\]")

# Half-widths of 80 % intervals of the authors' checkpoint, on their own predictions, spellings averaged.
REPORTED: Final = {"Tg": 49.0, "bandgap_crystal": 0.83, "atomization_energy": 0.12}
EXPERIMENTAL: Final = {"bandgap_chain": 0.85, "bandgap_bulk": 1.22, "refractive_index": 0.165, "dielectric_constant": 0.91}
"""Tasks of the checkpoint that its paper does not report: R2 .71, .61, .60 and .49. Up to 1 in 100 answers is one to another
task, which the property's range gates out; the checkpoint's other tasks are worse than the mean and are not offered."""
PUBLISHED: Final = REPORTED | EXPERIMENTAL

HEAT_RESISTANCE: Final = "Predict the heat resistance class of the following SMILES: {smiles}"
HEAT_CLASSES: Final = (400.0, 300.0)
"""Lowest Tg (degC) of class 1, the most resistant, and of class 2; the rest is class 3."""


def read_answer(text: str, item: Property) -> float | None:
    """Return the number written in `text`, or None unless it is a plain number in the property's physical range."""
    if len(text) > 100:
        return None
    text = _LEAKS.sub(" ", text).strip()
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if item.low <= value <= item.high else None


def read_class(text: str) -> int | None:
    """Return the heat resistance class in `text`, 1 to 3; a plain number is a Tg, which the checkpoint writes now and then."""
    named = re.fullmatch(r"\s*class ([123])\s*", _LEAKS.sub(" ", text)) if len(text) <= 100 else None
    if named:
        return int(named[1])
    value = read_answer(text, PROPERTIES["Tg"])
    return None if value is None else 1 + sum(value < lowest for lowest in HEAT_CLASSES)


def spellings(unit: RepeatUnit, count: int) -> list[str]:
    """Return up to `count` distinct randomised SMILES of a repeat unit, a function of the unit alone."""
    mol = Chem.Mol(unit.mol)
    Chem.RemoveStereochemistry(mol)
    seed = int.from_bytes(hashlib.sha256(unit.psmiles.encode()).digest()[:4], "big") >> 1
    return list(dict.fromkeys(Chem.MolToRandomSmilesVect(mol, count, randomSeed=seed)))


def vote(classes: Sequence[int | None]) -> int | None:
    """Return the commonest class, the highest number among equals, or None where there is none at all."""
    counts = Counter(found for found in classes if found is not None)
    return max(counts, key=lambda found: (counts[found], found)) if counts else None


class PolyNC:
    """A frozen PolyNC, bundled or published."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        calibrations: Mapping[str, Calibration],
        properties: Sequence[str],
        neighbours: Neighbours | None,
        count: int = SPELLINGS,
        *,
        one_token: bool = False,
    ) -> None:
        self.checkpoint = checkpoint
        self.calibrations = dict(calibrations)
        self.properties = tuple(properties)
        self.neighbours = neighbours
        self.count = count
        self.one_token = one_token
        self._answers: dict[str, tuple[Tensor, Tensor]] = {}

    @classmethod
    def load(cls, folder: Path, count: int = SPELLINGS, backend: Backend = "torch", device: str = "cpu") -> Self:
        """Read a model folder; without `calibration.json` it is taken for the authors' checkpoint. Raises ModelError.

        count: spellings of each repeat unit to average over.
        """
        checkpoint = load_checkpoint(folder, backend, device)
        path = folder / "calibration.json"
        if not path.exists():
            return cls(
                checkpoint,
                {name: Calibration.constant(width) for name, width in PUBLISHED.items()},
                tuple(PUBLISHED),
                None,
                count,
            )
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            calibrations = {name: Calibration.from_dict(values) for name, values in stored["properties"].items()}
            offered = [str(name) for name in stored["offered"]]
            one_token = bool(stored["one_token"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not a calibration ({error!r}); copy the model folder again") from error
        return cls(
            checkpoint, calibrations, offered, Neighbours.load(folder / "neighbours.safetensors"), count, one_token=one_token
        )

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        """Return, per repeat unit, a calibrated answer for each named property, or None where there is no valid one.

        Raises ModelError for a property this model has no error bars for.
        """
        for name in properties:
            if name not in self.calibrations:
                raise ModelError(f"PolyNC does not answer {name!r}; this model answers {', '.join(self.calibrations)}")
        means = self.means(psmiles, properties)
        results: list[dict[str, Prediction | None]] = [dict.fromkeys(properties) for _ in psmiles]
        parsed = [(row, unit) for row, unit in enumerate(map(parse, psmiles)) if isinstance(unit, RepeatUnit)]
        if self.neighbours is not None:
            # Fingerprints differ by frame, and those of the training set are of canonical units.
            bits = fingerprints([unit.mol for unit in canonical_units([unit for _, unit in parsed])])
        for name in properties:
            near = [1.0] * len(parsed) if self.neighbours is None else self.neighbours.nearest(bits, name).tolist()
            for (row, _), similarity in zip(parsed, near, strict=True):
                mean = means[row][name]
                results[row][name] = None if mean is None else self.calibrations[name].predict(mean, similarity)
        return results

    def means(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, float | None]]:
        """Return, per repeat unit, the mean of the valid answers over its spellings, not yet calibrated."""
        spelled = self._spelled(psmiles)
        distinct = list(dict.fromkeys(text for texts in spelled for text in texts))
        results: list[dict[str, float | None]] = [{} for _ in psmiles]
        for name in properties:
            item = PROPERTIES[name]
            questions = [item.question.format(smiles=text) for text in distinct]
            read = self.expect(questions, item) if self.one_token else [read_answer(text, item) for text in self.ask(questions)]
            answers = dict(zip(distinct, read, strict=True))
            for result, mine in zip(results, spelled, strict=True):
                valid = [value for text in mine if (value := answers[text]) is not None]
                result[name] = sum(valid) / len(valid) if valid else None
        return results

    def heat_classes(self, psmiles: Sequence[str]) -> list[int | None]:
        """Return, per repeat unit, the class of heat resistance that most spellings answer, 1 (Tg >= 400 degC) to 3 (< 300).

        None without a valid answer; between equals, the less resistant. A task of the published checkpoint alone.
        """
        spelled = self._spelled(psmiles)
        answers = iter(self.ask([HEAT_RESISTANCE.format(smiles=text) for mine in spelled for text in mine]))
        return [vote([read_class(next(answers)) for _ in mine]) for mine in spelled]

    def ask(self, questions: Sequence[str]) -> list[str]:
        """Return the raw greedy answer to each question."""
        answers = [""] * len(questions)
        for rows, prompts in self._batches(questions):
            written = self.checkpoint.writer.sample(prompts, range(len(rows)), [0] * len(rows), _GREEDY)
            for row, tokens in zip(rows, written, strict=True):
                answers[row] = self.checkpoint.decode(tokens)
        return answers

    def expect(self, questions: Sequence[str], item: Property) -> list[float | None]:
        """Return the mean over the answers of one token in the property's physical range, None where most chances lie elsewhere."""
        tokens, values = self._readable(item)
        means: list[float | None] = [None] * len(questions)
        if not len(tokens):
            return means
        for rows, prompts in self._batches(questions):
            chance = self.checkpoint.writer.first(prompts).softmax(-1)[:, tokens]  # (rows, answers)
            valid = chance.sum(-1)
            for row, mean, share in zip(rows, (chance @ values / valid).tolist(), valid.tolist(), strict=True):
                means[row] = mean if share >= 0.5 else None
        return means

    def _readable(self, item: Property) -> tuple[Tensor, Tensor]:
        """Return the tokens (n,) that are an answer of their own in the property's range, and the numbers they write."""
        if item.name not in self._answers:
            checkpoint = self.checkpoint
            every = {token: read_answer(checkpoint.decode([token]), item) for token in range(checkpoint.config.vocab_size)}
            read = {token: value for token, value in every.items() if value is not None}
            self._answers[item.name] = torch.tensor(list(read), dtype=torch.long), torch.tensor(list(read.values()))
        return self._answers[item.name]

    def _spelled(self, psmiles: Sequence[str]) -> list[list[str]]:
        """Return the spellings of each repeat unit, none for what is none."""
        units = [parse(text) for text in psmiles]
        return [spellings(unit, self.count) if isinstance(unit, RepeatUnit) else [] for unit in units]

    def _batches(self, questions: Sequence[str]) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Yield rows and their token ids, shortest first, so that little is padded."""
        ids = self.checkpoint.encode(questions)
        order = sorted(range(len(ids)), key=lambda row: (len(ids[row]), row))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            yield rows, [ids[row] for row in rows]
