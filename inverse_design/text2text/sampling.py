"""Decoding: sampled or greedy text from a T5, with one random stream per sample.

A sample is a function of its prompt and its own seed. Finished rows leave the batch, several at a time, since that copies the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from inverse_design.errors import ModelError
from inverse_design.text2text.inference import Decoding, Frozen, Ids

SHARE: Final = 1 / 8
"""Of the rows of a batch that must be finished before they leave it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a token is drawn. Defaults are those of PolyTAO's authors; `top_k=1` is greedy."""

    temperature: float = 1.0
    top_k: int = 100
    top_p: float = 0.999
    max_new_tokens: int = 299  # their max_length of 300 counts the start token


class Writer(Protocol):
    """A network that writes token ids."""

    def sample(self, prompts: Ids, owner: Sequence[int], seeds: Sequence[int], how: Sampling) -> list[list[int]]:
        """Return the token ids of one text per entry of `owner`, without the end token.

        prompts: their token ids; owner: which prompt each text answers, ascending; seeds: one per text.
        """
        ...

    def first(self, prompts: Ids) -> Tensor:
        """Return the logits (n, vocabulary) of the first token of the answer to each prompt."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchWriter:
    """Our own decoding: a text is a function of its prompt and its own seed."""

    network: Frozen

    def sample(self, prompts: Ids, owner: Sequence[int], seeds: Sequence[int], how: Sampling) -> list[list[int]]:
        """As `Writer.sample`; what does not fit the device's memory at once is written in halves, which changes no text."""
        try:
            return self._sample(prompts, owner, seeds, how)
        except torch.OutOfMemoryError as error:
            if len(owner) == 1:
                raise ModelError(f"{self.network.device}: no room for a single text ({error}); choose device cpu") from error
        half = len(owner) // 2
        texts = []
        for rows in (range(half), range(half, len(owner))):
            mine = sorted({owner[row] for row in rows})
            place = {prompt: index for index, prompt in enumerate(mine)}
            asked = [prompts[prompt] for prompt in mine]
            texts += self.sample(asked, [place[owner[row]] for row in rows], [seeds[row] for row in rows], how)
        return texts

    @torch.inference_mode()
    def first(self, prompts: Ids) -> Tensor:
        """As `Writer.first`."""
        begin = torch.full((len(prompts),), self.network.config.decoder_start_token_id, device=self.network.device)
        return Decoding(self.network, prompts, range(len(prompts)), 1).step(begin).cpu()

    @torch.inference_mode()
    def _sample(self, prompts: Ids, owner: Sequence[int], seeds: Sequence[int], how: Sampling) -> list[list[int]]:
        network, longest = self.network, how.max_new_tokens
        writing = Decoding(network, prompts, owner, longest)
        chances = _uniforms(seeds, longest).to(network.device) if how.top_k != 1 else None
        texts: list[list[int]] = [[] for _ in owner]
        rows, done = list(range(len(owner))), set[int]()  # which text each row writes, and which are finished
        token = torch.full((len(rows),), network.config.decoder_start_token_id, device=network.device)
        for position in range(longest):
            logits = writing.step(token)
            token = logits.argmax(-1) if chances is None else _draw(logits, chances[rows, position], how)
            for row, choice in zip(rows, token.tolist(), strict=True):
                if choice == network.config.eos_token_id:
                    done.add(row)
                elif row not in done:
                    texts[row].append(choice)
            if len(done) >= SHARE * len(rows):
                left = [place for place, row in enumerate(rows) if row not in done]
                if not left:
                    break
                writing.keep(left)
                token, rows, done = token[left], [rows[place] for place in left], set()
        return texts


def _uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """Return (len(seeds), count) numbers in [0, 1), each row from its own stream."""
    return torch.from_numpy(np.stack([np.random.Generator(np.random.Philox(key=seed)).random(count) for seed in seeds]))


def _draw(logits: Tensor, chance: Tensor, how: Sampling) -> Tensor:
    """Return one token per row by inverse transform over the top-k, top-p tokens, most likely first."""
    tokens, probability = _likely(logits, how)
    return tokens.gather(-1, _place(probability, chance)[:, None])[:, 0]


def _likely(logits: Tensor, how: Sampling) -> tuple[Tensor, Tensor]:
    """Return the top-k tokens of each row, most likely first, and their probabilities, zero beyond top p."""
    values, tokens = logits.topk(min(how.top_k, logits.shape[-1]), dim=-1)
    probability = (values.double() / how.temperature).softmax(-1)
    before = probability.cumsum(-1) - probability
    return tokens, probability.masked_fill(before >= how.top_p, 0.0)


def _place(probability: Tensor, chance: Tensor) -> Tensor:
    """Return the place in each row that its number in [0, 1) falls on."""
    cumulative = probability.cumsum(-1)
    place = torch.searchsorted(cumulative, (chance * cumulative[:, -1])[:, None].contiguous(), right=True)
    return place[:, 0].clamp(max=probability.shape[-1] - 1)
