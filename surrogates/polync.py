"""PolyNC: a T5 that reads a property's question about a SMILES and writes the answer as a number.

Qiu et al., Chem. Sci. 15:534 (2024). Questions, bare `*` and greedy answers as the authors have them, so that
their checkpoint and the bundled one answer through the same code. Averaging over spellings of one molecule is
the authors' data augmentation turned to use at prediction.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import torch
from rdkit import Chem

from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES, Property
from inverse_design.protocols import Prediction
from inverse_design.text2text.checkpoint import Checkpoint, load_checkpoint
from inverse_design.text2text.sampling import Sampling, sample
from surrogates.calibration import Calibration
from surrogates.neighbours import Neighbours, fingerprints

SPELLINGS = 4
BATCH = 64
_GREEDY = Sampling(top_k=1, max_new_tokens=7)
_NUMBER = re.compile(r"-?[0-9]{1,5}(\.[0-9]{1,6})?")
_LEAKS = re.compile(r"<pad>|<s>|</s>|\[PAD\]|\s")

# Half-widths of 80 % intervals of the authors' checkpoint, on their own predictions, spellings averaged.
PUBLISHED: Final = {"Tg": 49.0, "bandgap_crystal": 0.83, "atomization_energy": 0.12}


def read_answer(text: str, item: Property) -> float | None:
    """Return the number written in `text`, or None unless it is a plain number in the property's physical range."""
    if len(text) > 100:
        return None
    text = _LEAKS.sub("", text)
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if item.low <= value <= item.high else None


def spellings(unit: RepeatUnit, count: int) -> list[str]:
    """Return up to `count` distinct randomised SMILES of a repeat unit, a function of the unit alone."""
    mol = Chem.Mol(unit.mol)
    Chem.RemoveStereochemistry(mol)
    seed = int.from_bytes(hashlib.sha256(unit.psmiles.encode()).digest()[:4], "big") >> 1
    return list(dict.fromkeys(Chem.MolToRandomSmilesVect(mol, count, randomSeed=seed)))


class PolyNC:
    """A frozen PolyNC, bundled or published."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        calibrations: Mapping[str, Calibration],
        properties: Sequence[str],
        neighbours: Neighbours | None,
        count: int = SPELLINGS,
    ) -> None:
        self.checkpoint = checkpoint
        self.calibrations = dict(calibrations)
        self.properties = tuple(properties)
        self.neighbours = neighbours
        self.count = count

    @classmethod
    def load(cls, folder: Path, count: int = SPELLINGS) -> Self:
        """Read a model folder; without `calibration.json` it is taken for the authors' checkpoint. Raises ModelError.

        count: spellings of each repeat unit to average over.
        """
        checkpoint = load_checkpoint(folder)
        path = folder / "calibration.json"
        if not path.exists():
            return cls(checkpoint, {name: Calibration.constant(width) for name, width in PUBLISHED.items()}, tuple(PUBLISHED), None, count)
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            calibrations = {name: Calibration.from_dict(values) for name, values in stored["properties"].items()}
            offered = [str(name) for name in stored["offered"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: not a calibration ({error!r}); copy the model folder again") from error
        return cls(checkpoint, calibrations, offered, Neighbours.load(folder / "neighbours.safetensors"), count)

    def predict(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, Prediction | None]]:
        """Return, per repeat unit, a calibrated answer for each named property, or None where there is no valid one.

        Raises ModelError for a property this model has no error bars for.
        """
        for name in properties:
            if name not in self.calibrations:
                raise ModelError(f"PolyNC does not answer {name!r}; this model answers {', '.join(self.calibrations)}")
        means = self.means(psmiles, properties)
        units = [parse(text) for text in psmiles]
        valid = [i for i, unit in enumerate(units) if isinstance(unit, RepeatUnit)]
        bits = fingerprints([unit.mol for unit in units if isinstance(unit, RepeatUnit)])
        results: list[dict[str, Prediction | None]] = [dict.fromkeys(properties) for _ in psmiles]
        for name in properties:
            near = [1.0] * len(valid) if self.neighbours is None else self.neighbours.nearest(bits, name).tolist()
            for i, similarity in zip(valid, near, strict=True):
                mean = means[i][name]
                results[i][name] = None if mean is None else self.calibrations[name].predict(mean, similarity)
        return results

    def means(self, psmiles: Sequence[str], properties: Sequence[str]) -> list[dict[str, float | None]]:
        """Return, per repeat unit, the mean of the valid answers over its spellings, not yet calibrated."""
        units = [parse(text) for text in psmiles]
        spelled = [spellings(unit, self.count) if isinstance(unit, RepeatUnit) else [] for unit in units]
        distinct = list(dict.fromkeys(text for texts in spelled for text in texts))
        results: list[dict[str, float | None]] = [{} for _ in psmiles]
        for name in properties:
            item = PROPERTIES[name]
            texts = self.ask([item.question.format(smiles=text) for text in distinct])
            answers = {text: read_answer(answer, item) for text, answer in zip(distinct, texts, strict=True)}
            for result, mine in zip(results, spelled, strict=True):
                valid = [value for text in mine if (value := answers[text]) is not None]
                result[name] = sum(valid) / len(valid) if valid else None
        return results

    def ask(self, questions: Sequence[str]) -> list[str]:
        """Return the raw greedy answer to each question."""
        encode, decode, model = self.checkpoint.encode, self.checkpoint.decode, self.checkpoint.model
        ids = encode(questions)
        answers = [""] * len(ids)
        for rows in _batches([len(row) for row in ids]):
            width = len(ids[rows[-1]])
            source = torch.zeros((len(rows), width), dtype=torch.long)
            mask = torch.zeros((len(rows), width), dtype=torch.bool)
            for place, row in enumerate(rows):
                source[place, : len(ids[row])] = torch.tensor(ids[row])
                mask[place, : len(ids[row])] = True
            written = sample(model, source, mask, list(range(len(rows))), [0] * len(rows), _GREEDY)
            for row, tokens in zip(rows, written, strict=True):
                answers[row] = decode(tokens)
        return answers


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Yield rows of like length, shortest first, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
