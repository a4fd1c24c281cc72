"""PolyTAO: 15 descriptors in, repeat units out; the bundled compact model and published checkpoints alike."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from inverse_design.descriptors import NAMES, realised
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.seeds import seed
from inverse_design.sieve import clean
from inverse_design.text2text import Backend
from inverse_design.text2text.checkpoint import Checkpoint, load_checkpoint
from inverse_design.text2text.sampling import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class PolyTAO:
    """A loaded generator (protocol `Generator`).

    drafts: how often a sample is drawn at most. A draft that is no repeat unit, or that strays from its prompt by more than
    `tolerances`, is drawn again (rejection sampling); if all do, the nearest to the prompt is given, the earliest of equals.
    tolerances: one number a descriptor: the root mean square of (realised - asked) / tolerance is at most 1. None: any repeat unit will do.
    """

    checkpoint: Checkpoint
    sampling: Sampling = field(default_factory=Sampling)
    drafts: int = 1
    tolerances: tuple[float, ...] | None = None

    @classmethod
    def load(cls, folder: Path, sampling: Sampling | None = None, backend: Backend = "torch", device: str = "cpu") -> PolyTAO:
        """Read a checkpoint folder; ModelError where it is missing or corrupt.

        `drafts`, `tolerances` and a shorter `max_new_tokens` are read from its config.json; published checkpoints have none of
        them, and decode as their authors do.
        """
        checkpoint, sampling = load_checkpoint(folder, backend, device), sampling or Sampling()
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        longest = min(sampling.max_new_tokens, int(settings.get("max_new_tokens", sampling.max_new_tokens)))
        return cls(
            checkpoint=checkpoint,
            sampling=replace(sampling, max_new_tokens=longest),
            drafts=int(settings.get("drafts", 1)),
            tolerances=tuple(map(float, settings["tolerances"])) if "tolerances" in settings else None,
        )

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        """Return one text per seed for each prompt; with torch, a text depends on its prompt and its seed alone."""
        encoded = self.checkpoint.encode(prompts)
        owner = [row for row, own in enumerate(seeds) for _ in own]
        each = [seed for own in seeds for seed in own]
        misses = [math.inf] * len(each)
        texts, again, drawn = [""] * len(each), list(range(len(each))), 0
        while again and drawn < self.drafts:
            # As many texts at once as at first: a batch of few takes nearly as long as one of many.
            wave = range(drawn, min(drawn + len(each) // len(again), self.drafts))
            asked = [(row, draft) for row in again for draft in wave]
            fresh = [seed(each[row], draft) if draft else each[row] for row, draft in asked]
            left = set(again)
            for (row, _), text in zip(asked, self._draw(encoded, [owner[row] for row, _ in asked], fresh), strict=True):
                if row in left:
                    miss = self.miss(prompts[owner[row]], text) if self.drafts > 1 else 0.0
                    if miss < misses[row] or not texts[row]:
                        texts[row], misses[row] = text, miss
                    if miss <= 1.0:
                        left.remove(row)
            again, drawn = sorted(left), wave.stop
        remaining = iter(texts)
        return [[next(remaining) for _ in own] for own in seeds]

    def miss(self, prompt: str, text: str) -> float:
        """Return how far a draft strays from its prompt, in tolerances; infinite for what is no repeat unit."""
        unit = parse(text)
        if not isinstance(unit, RepeatUnit):
            return math.inf
        asked = prompt.split(",")[-len(NAMES) :]  # behind property values, if any
        if self.tolerances is None or len(asked) < len(NAMES):
            return 0.0
        strays = (
            (got - float(want)) / tolerance
            for got, want, tolerance in zip(realised(unit.mol), asked, self.tolerances, strict=True)
        )
        return math.sqrt(sum(stray**2 for stray in strays) / len(NAMES))

    def _draw(self, encoded: list[list[int]], owner: list[int], seeds: list[int]) -> list[str]:
        """Return one text per entry of `owner` (ascending), a row of `encoded`; rows that own nothing are left out of the batch."""
        rows = sorted(set(owner))
        place = {row: index for index, row in enumerate(rows)}
        asked = [encoded[row] for row in rows]
        ids = self.checkpoint.writer.sample(asked, [place[row] for row in owner], seeds, self.sampling)
        return [clean(self.checkpoint.decode(row)) for row in ids]
