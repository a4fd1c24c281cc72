"""Decoding: sampled or greedy text from a T5, with one random stream per sample.

The encoder and the keys and values of cross-attention are computed once a prompt and shared by its samples;
finished rows leave the batch. A sample is a function of its prompt and its own seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from inverse_design.text2text.t5 import T5, padding_bias


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a token is drawn. Defaults are those of PolyTAO's authors; `top_k=1` is greedy."""

    temperature: float = 1.0
    top_k: int = 100
    top_p: float = 0.999
    max_new_tokens: int = 299  # their max_length of 300 counts the start token


@torch.inference_mode()
def sample(model: T5, source: Tensor, mask: Tensor, owner: list[int], seeds: list[int], how: Sampling) -> list[list[int]]:
    """Return the token ids of one sample per entry of `owner`, without the end token.

    source: (B, S) ids; mask: (B, S) True where a token counts; owner: prompt row of each sample; seeds: one per sample.
    """
    memory = model.encode(source, mask)
    rows = torch.tensor(owner)
    padding = padding_bias(mask, memory.dtype)[rows]
    crosses = []
    for block in model.decoder.block:
        attention = block.layer[1].EncDecAttention
        crosses.append((attention.split(attention.k(memory)), attention.split(attention.v(memory))))
    longest = how.max_new_tokens
    chances = _uniforms(seeds, longest) if how.top_k != 1 else None
    config = model.config
    own: list[tuple[Tensor, Tensor] | None] = [None] * len(model.decoder.block)
    alive = list(range(len(owner)))
    texts: list[list[int]] = [[] for _ in owner]
    token = torch.full((len(owner), 1), config.decoder_start_token_id)
    for position in range(longest):
        x = model.shared(token)  # (N, 1, d_model)
        bias = model.decoder.position_bias(1, position + 1, offset=position)
        for index, block in enumerate(model.decoder.block):
            layer, cross = block.layer[0], block.layer[1]
            attention = layer.SelfAttention
            normed = layer.layer_norm(x)
            q, k, v = (attention.split(part(normed)) for part in (attention.q, attention.k, attention.v))
            before = own[index]
            if before is not None:
                k, v = torch.cat([before[0], k], dim=2), torch.cat([before[1], v], dim=2)
            own[index] = (k, v)
            x = x + attention.attend(q, k, v, bias)
            attention = cross.EncDecAttention
            q = attention.split(attention.q(cross.layer_norm(x)))
            keys, values = crosses[index]
            x = x + attention.attend(q, keys[rows], values[rows], padding)
            x = block.layer[2](x)
        logits = model.logits(x)[:, 0]  # (N, vocabulary)
        chosen = logits.argmax(-1) if chances is None else _draw(logits, chances[alive, position], how)
        stay = []
        for row, (who, choice) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            if choice != config.eos_token_id:
                texts[who].append(choice)
                stay.append(row)
        if not stay:
            break
        token = chosen[:, None]
        if len(stay) < len(alive):
            keep = torch.tensor(stay)
            alive = [alive[row] for row in stay]
            token, rows, padding = token[keep], rows[keep], padding[keep]
            own = [None if pair is None else (pair[0][keep], pair[1][keep]) for pair in own]
    return texts


def _uniforms(seeds: list[int], count: int) -> Tensor:
    """Return (len(seeds), count) numbers in [0, 1), each row from its own stream."""
    return torch.from_numpy(np.stack([np.random.Generator(np.random.Philox(key=seed)).random(count) for seed in seeds]))


def _draw(logits: Tensor, chance: Tensor, how: Sampling) -> Tensor:
    """Return one token per row by inverse transform over the top-k, top-p tokens, most likely first."""
    tokens, probability = _likely(logits, how)
    return tokens.gather(-1, _place(probability, chance)[:, None])[:, 0]


def _likely(logits: Tensor, how: Sampling) -> tuple[Tensor, Tensor]:
    """Return the top-k tokens of each row, most likely first, and their probabilities, zero beyond top p."""
    values, tokens = (logits.double() / how.temperature).topk(min(how.top_k, logits.shape[-1]), dim=-1)
    probability = values.softmax(-1)
    before = probability.cumsum(-1) - probability
    return tokens, probability.masked_fill(before >= how.top_p, 0.0)


def _place(probability: Tensor, chance: Tensor) -> Tensor:
    """Return the place in each row that its number in [0, 1) falls on."""
    cumulative = probability.cumsum(-1)
    place = torch.searchsorted(cumulative, (chance * cumulative[:, -1])[:, None].contiguous(), right=True)
    return place[:, 0].clamp(max=probability.shape[-1] - 1)
