"""PolyTAO: 15 descriptors in, repeat units out; the bundled compact model and published checkpoints alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from inverse_design.sieve import clean
from inverse_design.text2text.checkpoint import Checkpoint, load_checkpoint
from inverse_design.text2text.sampling import Sampling, sample
from inverse_design.text2text.syntax import SmilesGuide


@dataclass(frozen=True, slots=True, kw_only=True)
class PolyTAO:
    """A loaded generator (protocol `Generator`). guide: keeps its texts to the syntax of repeat units."""

    checkpoint: Checkpoint
    sampling: Sampling = field(default_factory=Sampling)
    guide: SmilesGuide | None = None

    @classmethod
    def load(cls, folder: Path, sampling: Sampling | None = None) -> PolyTAO:
        """Read a checkpoint folder; ModelError where it is missing or corrupt.

        Texts are guided where its config.json has `smiles_syntax` true; published checkpoints decode as their authors do.
        """
        checkpoint, sampling, guide = load_checkpoint(folder), sampling or Sampling(), None
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if settings.get("smiles_syntax") is True:
            pieces = [checkpoint.decode([token]) for token in range(checkpoint.config.vocab_size)]
            guide = SmilesGuide(pieces, checkpoint.config.eos_token_id)
        longest = min(sampling.max_new_tokens, int(settings.get("max_new_tokens", sampling.max_new_tokens)))
        return cls(checkpoint=checkpoint, sampling=replace(sampling, max_new_tokens=longest), guide=guide)

    def generate(self, prompts: Sequence[str], seeds: Sequence[Sequence[int]]) -> list[list[str]]:
        """Return one text per seed for each prompt; a text depends on its prompt and its seed alone."""
        source, mask = pad(self.checkpoint.encode(prompts), self.checkpoint.config.pad_token_id)
        owner = [row for row, own in enumerate(seeds) for _ in own]
        each = [seed for own in seeds for seed in own]
        ids = sample(self.checkpoint.model, source, mask, owner, each, self.sampling, self.guide)
        texts = iter([clean(self.checkpoint.decode(row)) for row in ids])
        return [[next(texts) for _ in own] for own in seeds]


def pad(ids: list[list[int]], filler: int) -> tuple[Tensor, Tensor]:
    """Return (n, longest) token ids and their mask, True where a token counts."""
    longest = max(map(len, ids))
    source = torch.tensor([row + [filler] * (longest - len(row)) for row in ids])
    mask = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in ids])
    return source, mask
