"""Train the bundled PolyNC: every property in one text-to-text network, questions as published, answers as text.

Small tasks starve a text model, so Gaussian processes fitted on the same training keys first label structures that nobody
measured, and the network learns from both (distillation). Answers lie on a grid of about 120 values a property and
are drawn around the true value, which amounts to a cross-entropy against a bell-shaped histogram (Imani and
White, ICML 2018).
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem
from safetensors.torch import load_file, save_file

from inverse_design.errors import ModelError
from inverse_design.properties import PROPERTIES
from inverse_design.text2text.t5 import T5, T5Config
from inverse_design.text2text.training import Pairs, Schedule, begin_with, load_pairs, new_model, save_pairs, train
from inverse_design.text2text.vocabulary import polync_tokenizer, read_tokenizer
from surrogates.evaluation import calibrate_polync
from surrogates.observations import TRAIN, Observations, Unit, columns, drawn, read_observations, read_unit
from surrogates.tanimoto import BATCH
from surrogates.train_tanimoto import TOGETHER, environments, fit_together

PAIRS = 420
BINS = 120
BLUR = 1.5  # spread of the answers shown in training, in bins: about the noise of the measurements
LONGEST = 110
ENUMERATIONS = 12
UNMEASURED = {"known": 20_000, "polyimide_enumerated": 20_000, "smipoly_enumerated": 20_000}  # at most, by source
LARGEST = 62  # heavy atoms of an unmeasured repeat unit, at most
GUESSES = 16  # questions that the teacher answers on each structure
DISTILLED = 2.0  # weight of all its answers, relative to the measured values
SHIPPED = Schedule(steps=26_000, tokens=192, accumulate=3, decay=0.5)
ENDS = (6 / 13, 1)  # shares of the steps at which the step size has fallen to zero, to begin at its peak again
# Of a run that begins with a model.
FURTHER = replace(SHIPPED, steps=8_000, muon=SHIPPED.muon / 2, adam=SHIPPED.adam / 2, decay=1.0)
REPORTED = ("tg_c", "bandgap_crystal", "eat_ev_per_atom")  # what the authors judge their model by weighs twice as much
# Simulated properties that the engine does not offer, but that teach the encoder; answers in standard deviations.
AUXILIARY = ("tg_md_c", "density_md_gcm3", "nc_md", "eps_md", "cp_md", "cte_md_1_k", "bulk_modulus_md", "rg_md_a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question and its answers: values in the unit they are written in, on a grid of `step`."""

    question: str
    importance: float
    decimals: int
    step: float
    units: list[str]
    values: NDArray[np.float64]

    @property
    def weight(self) -> float:
        """Small tasks weigh more a row."""
        return math.sqrt(len(self.units)) * self.importance

    def answer(self, value: float) -> str:
        return f"{round(value / self.step) * self.step + 0.0:.{self.decimals}f}"

    def answers(self) -> Iterator[str]:
        """Yield every answer within three blurs of a value."""
        margin = 4 * BLUR * self.step
        for i in range(
            math.floor((self.values.min() - margin) / self.step), math.ceil((self.values.max() + margin) / self.step) + 1
        ):
            yield self.answer(i * self.step)


def network(vocabulary: int) -> T5Config:
    """Return the size of the bundled PolyNC: reading takes depth, one number does not."""
    return T5Config(vocab_size=vocabulary, d_model=192, d_kv=48, d_ff=768, num_layers=4, num_decoder_layers=2, num_heads=4)


def tasks(units: dict[str, Unit], observations: dict[str, Observations]) -> dict[str, Task]:
    """Return the training part of every column that has a question."""
    known, found = columns(), {}
    for column, rows in observations.items():
        if column not in known and column not in AUXILIARY:
            continue
        keep = [i for i, name in enumerate(rows.units) if units[name].part == TRAIN and not rows.conflict[i]]
        values, names = rows.values[keep], [rows.units[i] for i in keep]
        if column in known:
            item = PROPERTIES[known[column]]
            question, decimals = item.question, item.decimals
        else:
            values = (values - values.mean()) / values.std()
            question, decimals = f"Predict the {column} of the following SMILES: {{smiles}}", 2
        step = grid(values, decimals)
        importance = 0.5 if column in AUXILIARY else 2.0 if column in REPORTED else 1.0
        found[column] = Task(question=question, importance=importance, decimals=decimals, step=step, units=names, values=values)
    return found


def grid(values: NDArray[np.float64], decimals: int) -> float:
    """Return a round step that cuts the range of `values` into about BINS answers."""
    low, high = np.quantile(values, [0.002, 0.998])
    rough = (high - low) / BINS
    power = 10.0 ** math.floor(math.log10(rough))
    return max(min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough))), 10.0**-decimals)


def train_polync(
    data: Path, work: Path, schedule: Schedule, threads: int, say: Callable[[str], None], start: Path | None = None
) -> None:
    """Train in `work` from the tables in `data`, then calibrate; the same call continues an interrupted run to the step.

    start: a model folder whose tokenizer and weights the run begins with; what comes out is the average of both ends.
    Raises ModelError where `work` holds a run that began otherwise.
    """
    torch.set_num_threads(threads)
    begun = (work / "snapshot-0.safetensors").exists()
    if (work / "progress.json").exists() and begun != (start is not None):
        raise ModelError(
            f"{work}: holds a run that began {'with' if begun else 'without'} --start; name another folder with --work"
        )
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "examples.safetensors"
    if not kept.exists():
        prepare(data, work, say, start)
    groups = load_pairs(kept)
    vocabulary = read_tokenizer(work / "tokenizer.json").get_vocab()
    config = network(len(vocabulary))
    model = new_model(config, schedule.seed)
    if start is None:
        arrange(model, vocabulary, schedule.seed)
    else:
        begin_with(model, start)
    say(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {sum(len(g.cumulative) for g in groups):,} examples, {len(groups)} lengths"
    )
    ends = ENDS if start is None else (0, 1)
    snapshots = [work / f"snapshot-{round(share * schedule.steps)}.safetensors" for share in ends]
    if start is not None:
        save_file({f"model.{name}": tensor for name, tensor in model.state_dict().items()}, snapshots[0])
    for share, path in zip(ends, snapshots, strict=True):
        if not path.exists():
            train(model, groups, schedule.lasting(round(share * schedule.steps)), work, say)
            part = path.with_suffix(".part")
            shutil.copyfile(work / "checkpoint.safetensors", part)
            part.replace(path)
    export(work, config, snapshots)
    calibrate_polync(data, work)


def arrange(model: T5, vocabulary: dict[str, int], seed: int) -> None:
    """Place the embeddings of answers along smooth curves, one per number of decimals, so that near numbers start out alike."""
    rng = np.random.default_rng(seed)
    numbers: dict[int, list[str]] = defaultdict(list)
    for text in vocabulary:
        if re.fullmatch(r"-?\d+\.\d+", text):
            numbers[len(text.partition(".")[2])].append(text)
    for _, texts in sorted(numbers.items()):
        ranks = np.arange(len(texts))[:, None]
        widths = np.exp(rng.uniform(math.log(3), math.log(60), model.config.d_model))  # in answers
        curves = math.sqrt(2) * np.cos(ranks * rng.normal(size=len(widths)) / widths + rng.uniform(0, 2 * math.pi, len(widths)))
        rows = [vocabulary[text] for text in sorted(texts, key=float)]
        model.shared.weight.data[rows] = torch.from_numpy(curves).float()


def prepare(data: Path, work: Path, say: Callable[[str], None], start: Path | None) -> None:
    """Write the tokenizer, that of `start` where there is one, and the tokenised questions and answers."""
    units, observations = read_observations(data)
    asked = tasks(units, observations)
    say(f"{len(units):,} repeat units, {len(asked)} tasks")
    extra = unmeasured(data, units)
    everyone = {name: unit.mol for name, unit in units.items() if unit.part == TRAIN} | extra
    guesses = teach(asked, everyone, say)
    spellings = {name: spell(mol, ENUMERATIONS if name in units else 4) for name, mol in everyone.items()}
    rng = np.random.default_rng(0)
    measured = list(measured_examples(asked, spellings, rng))
    distilled = list(distilled_examples(asked, spellings, guesses, rng))
    say(f"{len(measured):,} measured examples, {len(distilled):,} distilled")
    texts = [text for text, _, _ in measured] + [text for text, _ in distilled]
    answers = [answer for _, answer, _ in measured] + [answer for _, answer in distilled]
    weights = np.array([weight for _, _, weight in measured])
    weights = np.concatenate([weights, np.full(len(distilled), DISTILLED * weights.sum() / len(distilled))])
    if start is None:
        instructions = {task.question.partition(" {")[0]: None for task in asked.values()}
        vocabulary = {answer: None for task in asked.values() for answer in task.answers()}
        sample = [text for name in list(everyone)[::3] for text in spellings[name][:2]]
        tokenizer = polync_tokenizer(sample, instructions, vocabulary, pairs=PAIRS)
    else:
        tokenizer = read_tokenizer(start / "tokenizer.json")
    tokenizer.save(str(work / "tokenizer.json"))
    ids = tokenizer.encode_batch(answers)
    single = np.array([encoding.ids[0] if len(encoding.ids) == 2 else 2 for encoding in ids], dtype=np.int16)
    pieces, lengths = [], []
    for first in range(0, len(texts), 20_000):
        for encoding in tokenizer.encode_batch(texts[first : first + 20_000]):
            pieces.append(np.array(encoding.ids, dtype=np.int16))
            lengths.append(len(encoding.ids))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    say(f"{tokenizer.get_vocab_size()} tokens, {np.mean(lengths):.1f} a question, {np.sum(single == 2)} answers off the grid")
    save_pairs(group(np.concatenate(pieces), starts, single, weights), work / "examples.safetensors")


def measured_examples(
    asked: dict[str, Task], spellings: dict[str, list[str]], rng: np.random.Generator
) -> Iterator[tuple[str, str, float]]:
    """Yield (question, answer, weight); small tasks are spelled more often."""
    for task in asked.values():
        copies = max(ENUMERATIONS, min(60, 12_000 // len(task.units)))
        for name, value in zip(task.units, task.values, strict=True):
            for copy in range(copies):
                question = task.question.format(smiles=spellings[name][copy % ENUMERATIONS])
                yield question, task.answer(value + rng.normal() * BLUR * task.step), task.weight / len(task.units) / copies


def distilled_examples(
    asked: dict[str, Task], spellings: dict[str, list[str]], guesses: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> Iterator[tuple[str, str]]:
    """Yield (question, answer) for properties of each structure that have no measured value, drawn by the weight of the task."""
    seen = {column: set(task.units) for column, task in asked.items()}
    weights = np.array([task.weight for task in asked.values()])
    for index, (name, texts) in enumerate(spellings.items()):
        for column in rng.choice(list(asked), size=GUESSES, p=weights / weights.sum()):
            if name not in seen[column]:
                task = asked[column]
                question = task.question.format(smiles=texts[rng.integers(len(texts))])
                yield question, task.answer(guesses[column][index] + rng.normal() * BLUR * task.step)


def unmeasured(data: Path, units: dict[str, Unit]) -> dict[str, Chem.Mol]:
    """Return structures without any value, none of them held out."""
    seen = set(units)

    def take(text: str) -> tuple[str, Chem.Mol] | None:
        read = read_unit(text)
        if read is None or read[1].part != TRAIN or read[0] in seen or read[1].mol.GetNumHeavyAtoms() > LARGEST:
            return None
        seen.add(read[0])
        return read[0], read[1].mol

    return dict(drawn(data, UNMEASURED, take))


def teach(asked: dict[str, Task], everyone: dict[str, Chem.Mol], say: Callable[[str], None]) -> dict[str, NDArray[np.float64]]:
    """Return what the Gaussian processes, fitted as the bundled ones are, say of every structure; arrays of len(everyone)."""
    seen = environments(list(everyone.values()))
    row = {name: i for i, name in enumerate(everyone)}
    blocks = [seen[start : start + BATCH] for start in range(0, len(seen), BATCH)]
    together = [tuple(column for name in names if (column := PROPERTIES[name].column) in asked) for names in TOGETHER]
    alone = [(column,) for column in asked if not any(column in names for names in together)]
    guesses = {}
    for names in filter(None, (*alone, *together)):
        rows = [np.array([row[name] for name in asked[column].units]) for column in names]
        everybody = np.unique(np.concatenate(rows))
        known = [(np.searchsorted(everybody, own), asked[column].values) for own, column in zip(rows, names, strict=True)]
        for column, (process, _) in zip(names, fit_together(seen[everybody], known, names), strict=True):
            guesses[column] = np.concatenate([process.mean(block) for block in blocks])
            say(f"teacher: {column} {len(asked[column].units)}")
    return guesses


def spell(mol: Chem.Mol, count: int) -> list[str]:
    """Return `count` randomised SMILES of a repeat unit."""
    return list(Chem.MolToRandomSmilesVect(mol, count, randomSeed=1))


def group(
    flat: NDArray[np.int16], starts: NDArray[np.int64], answers: NDArray[np.int16], weights: NDArray[np.float64]
) -> list[Pairs]:
    """Group examples by the length of the question; an answer is one token and the end."""
    lengths = np.diff(starts)
    rows: dict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero((lengths <= LONGEST) & (answers != 2)):
        rows[int(lengths[row])].append(int(row))
    return [
        Pairs(
            source=np.stack([flat[starts[row] : starts[row] + length] for row in chosen]),
            target=np.stack([answers[chosen], np.ones(len(chosen), dtype=np.int16)], axis=1),
            cumulative=np.cumsum(weights[chosen]),
        )
        for length, chosen in sorted(rows.items())
    ]


def export(work: Path, config: T5Config, snapshots: Sequence[Path]) -> None:
    """Write `config.json` and fp16 `model.safetensors`, the average of the snapshots, to `work`.

    A longer run learns the large tasks better, and the small ones by heart; the average of both ends keeps most of what each is
    good at (Wortsman et al., ICML 2022).
    """
    models = [load_file(path) for path in snapshots]
    half = {
        name.removeprefix("model."): torch.stack([model[name] for model in models]).mean(dim=0).half()
        for name in models[0]
        if name.startswith("model.")
    }
    save_file(half, work / "model.safetensors", {"format": "pt"})
    (work / "config.json").write_text(json.dumps(config.to_dict(), indent=2), encoding="utf-8")
