"""Fine-tune a PolyTAO checkpoint on pairs of prompt and target, as its authors do: property values before the 15 numbers,
or in place of them.

Their recipe: batches of 16, AdamW with eps 1e-8 and a peak of 2e-5, 5 % warm-up and a cosine to zero, `<s>` before prompt
and target. Here without dropout, so that a run is a function of its rows and its seed.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inverse_design.errors import ModelError, SpecError, StateError
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.text2text.checkpoint import Checkpoint, load_checkpoint, load_model
from inverse_design.text2text.sampling import Sampling
from inverse_design.text2text.t5 import T5
from inverse_design.text2text.training import Pairs, by_length, train

BATCH = 16
SAVE_EVERY = 100
COLUMNS = ("prompt", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """The authors' recipe over `steps` batches: every row once an epoch, in an order of its own (protocol `Recipe`)."""

    steps: int
    rate: float = 2e-5
    batch: int = BATCH
    warmup: float = 0.05
    seed: int = 0
    save_every: int = SAVE_EVERY
    half: bool = False  # as the authors train

    def scale(self, step: int) -> float:
        """Return the factor on the step size: a linear rise, then half a cosine to zero."""
        rise = math.ceil(self.warmup * self.steps)
        if step < rise:
            return step / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, self.steps - rise)))

    def optimisers(self, model: T5) -> list[torch.optim.Optimizer]:
        """Return AdamW over every weight."""
        groups = [{"params": list(model.parameters()), "peak": self.rate}]
        return [torch.optim.AdamW(groups, self.rate, eps=1e-8, weight_decay=0.0)]

    def batches(self, groups: list[Pairs], step: int) -> list[tuple[Tensor, Tensor]]:
        """Return the rows of one batch, those of equal lengths side by side: nothing is padded."""
        sizes = [len(group.source) for group in groups]
        epoch, place = divmod(step, math.ceil(sum(sizes) / self.batch))
        rows = np.random.default_rng([self.seed, epoch]).permutation(sum(sizes))[place * self.batch : (place + 1) * self.batch]
        starts = np.cumsum([0, *sizes])
        owner = np.searchsorted(starts, rows, side="right") - 1
        found = []
        for index in np.unique(owner):
            own = np.sort(rows[owner == index]) - starts[index]
            source, target = (torch.from_numpy(ids[own]).long() for ids in (groups[index].source, groups[index].target))
            found.append((source, target))
        return found


def finetune_polytao(
    table: Path, start: Path, work: Path, epochs: int, rate: float, threads: int, say: Callable[[str], None]
) -> Path:
    """Train in `work` from the checkpoint in `start` and return the folder of the new one; a second call goes on.

    Raises SpecError for a table that cannot be learned from, StateError where `work` belongs to another run.
    """
    torch.set_num_threads(threads)
    rows = read_pairs(table)
    groups = tokenised(load_checkpoint(start), rows, table)
    recipe = FineTuning(steps=epochs * math.ceil(len(rows) / BATCH), rate=rate, save_every=SAVE_EVERY)
    digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in (table, start / "config.json")}
    _claim(work, {**asdict(recipe), **digests, "rows": len(rows)})
    say(f"{len(rows)} rows, {recipe.steps} steps of {BATCH}")
    train(load_model(start).requires_grad_(True), groups, recipe, work, say)
    return _export(start, work, f"Fine-tuned on {len(rows)} rows of {table.name} for {epochs} epochs, peak step size {rate:g}.")


def read_pairs(table: Path) -> list[tuple[str, str]]:
    """Return (prompt, target) of every row; SpecError where a column is missing or a target is no repeat unit."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            found = csv.DictReader(lines)
            if not set(COLUMNS) <= set(found.fieldnames or ()):
                raise SpecError(
                    f"{table}: columns are {', '.join(found.fieldnames or ()) or 'missing'}; wanted prompt and target"
                )
            rows = [(str(row["prompt"] or "").strip(), str(row["target"] or "").strip()) for row in found]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{table}: cannot be read as CSV in UTF-8 ({error})") from error
    wrong = [
        f"row {number}: {'no prompt' if not prompt else f'target {target!r} is no repeat unit ({unit})'}"
        for number, (prompt, target) in enumerate(rows, 2)
        if not isinstance(unit := parse(target), RepeatUnit) or not prompt
    ]
    if wrong or not rows:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise SpecError(f"{table}: {shown or 'no rows'}; correct or remove them")
    return rows


def tokenised(checkpoint: Checkpoint, rows: list[tuple[str, str]], table: Path) -> list[Pairs]:
    """Return the rows as token ids by length, `<s>` before both texts where the vocabulary has it."""
    begin = "<s>" if checkpoint.decode(checkpoint.encode(["<s>"])[0][:1]).strip() == "<s>" else ""
    sources, targets = (checkpoint.encode([begin + text for text in column]) for column in zip(*rows, strict=True))
    longest = Sampling().max_new_tokens
    if long := [number for number, ids in enumerate(targets, 2) if len(ids) > longest]:
        raise SpecError(f"{table}: row {long[0]} has a target of more than {longest} tokens; remove it")
    return by_length(sources, targets, np.ones(len(rows)), longest)


def _claim(work: Path, facts: dict[str, object]) -> None:
    """Keep what a run is made of in its folder; StateError where the folder belongs to another."""
    work.mkdir(parents=True, exist_ok=True)
    path, text = work / "finetune.json", json.dumps(facts, indent=1, sort_keys=True)
    if not path.exists():
        path.write_text(text, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != text:
        raise StateError(f"{work}: holds a run with another table, model or recipe; name another folder with --work")


def _export(start: Path, work: Path, how: str) -> Path:
    """Write the new checkpoint beside the training state: the old one's files with new weights."""
    folder = work / "model"
    folder.mkdir(exist_ok=True)
    for path in start.iterdir():
        if path.suffix in (".json", ".model") and path.name != "store.json":
            shutil.copyfile(path, folder / path.name)
    (folder / "README.md").write_text(f"# PolyTAO, fine-tuned\n\n{how}\n", encoding="utf-8")
    tensors = load_file(work / "checkpoint.safetensors")
    weights = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder
