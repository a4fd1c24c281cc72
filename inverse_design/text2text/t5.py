"""T5 v1.0 in plain torch: the published layout and tensor names, for any depth and width.

Raffel et al., JMLR 21:140 (2020). Pre-norm blocks, RMS norms, no biases, ReLU, one relative position bias
per stack, no scaling of attention logits, and output logits scaled by d_model ** -0.5 when embeddings are tied.
Shapes in comments: B prompts, S source tokens, N rows being decoded, T target tokens, H heads, K width of a head.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class T5Config:
    """The fields of a T5 `config.json` that change what the network computes."""

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    tie_word_embeddings: bool = True
    pad_token_id: int = 0
    eos_token_id: int = 1
    decoder_start_token_id: int = 0

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> Self:
        """Read a `config.json`; raises ValueError where it describes another network than T5 v1.0."""
        if config.get("model_type", "t5") != "t5":
            raise ValueError(f"model_type is {config['model_type']!r}, wanted 't5'")
        if config.get("feed_forward_proj", "relu") != "relu":
            raise ValueError(f"feed_forward_proj is {config['feed_forward_proj']!r}, wanted 'relu' (T5 v1.0)")
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in config.items() if name in known and value is not None}
        values.setdefault("num_decoder_layers", values.get("num_layers"))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return a `config.json` that transformers reads as well."""
        extra = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "feed_forward_proj": "relu"}
        return {**extra, "is_encoder_decoder": True, "dropout_rate": 0.0, **asdict(self)}


class Norm(nn.Module):
    """Root-mean-square norm, no mean and no bias."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.d_model))
        self.epsilon = config.layer_norm_epsilon

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


class Attention(nn.Module):
    """Projections of one attention; the mask and position bias come in as one additive term."""

    def __init__(self, config: T5Config, *, biased: bool) -> None:
        super().__init__()
        inner = config.num_heads * config.d_kv
        self.q = nn.Linear(config.d_model, inner, bias=False)
        self.k = nn.Linear(config.d_model, inner, bias=False)
        self.v = nn.Linear(config.d_model, inner, bias=False)
        self.o = nn.Linear(inner, config.d_model, bias=False)
        if biased:
            self.relative_attention_bias = nn.Embedding(config.relative_attention_num_buckets, config.num_heads)
        self.heads = config.num_heads

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-3, -2)  # (..., T, H * K) -> (..., H, T, K)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        scores = q @ k.transpose(-1, -2)
        if bias is not None:
            scores = scores + bias
        mixed = scores.softmax(-1) @ v
        out: Tensor = self.o(mixed.transpose(-3, -2).flatten(-2))
        return out  # (..., T, d_model)

    def itself(self, x: Tensor, bias: Tensor) -> Tensor:
        weight = torch.cat([self.q.weight, self.k.weight, self.v.weight])
        q, k, v = (self.split(part) for part in F.linear(x, weight).chunk(3, dim=-1))
        return self.attend(q, k, v, bias)


class SelfAttention(nn.Module):
    def __init__(self, config: T5Config, *, biased: bool) -> None:
        super().__init__()
        self.SelfAttention = Attention(config, biased=biased)
        self.layer_norm = Norm(config)


class CrossAttention(nn.Module):
    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.EncDecAttention = Attention(config, biased=False)
        self.layer_norm = Norm(config)


class Dense(nn.Module):
    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.wi = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.wo = nn.Linear(config.d_ff, config.d_model, bias=False)


class FeedForward(nn.Module):
    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.DenseReluDense = Dense(config)
        self.layer_norm = Norm(config)

    def forward(self, x: Tensor) -> Tensor:
        dense = self.DenseReluDense
        added: Tensor = dense.wo(F.relu(dense.wi(self.layer_norm(x))))
        return x + added


class Block(nn.Module):
    def __init__(self, config: T5Config, *, decoder: bool, first: bool) -> None:
        super().__init__()
        attention: list[nn.Module] = [SelfAttention(config, biased=first)]
        if decoder:
            attention.append(CrossAttention(config))
        # Any: a ModuleList does not know what its items are.
        self.layer: Any = nn.ModuleList([*attention, FeedForward(config)])


class Stack(nn.Module):
    def __init__(self, config: T5Config, *, decoder: bool) -> None:
        super().__init__()
        depth = config.num_decoder_layers if decoder else config.num_layers
        self.block: Any = nn.ModuleList([Block(config, decoder=decoder, first=i == 0) for i in range(depth)])
        self.final_layer_norm = Norm(config)
        self.decoder = decoder
        self.config = config

    def position_bias(self, queries: int, keys: int) -> Tensor:
        """Additive attention bias (1, H, queries, keys), causal in the decoder."""
        table = self.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        return position_bias(table, self.config, queries, keys, causal=self.decoder)


def position_bias(table: Tensor, config: T5Config, queries: int, keys: int, *, causal: bool, offset: int = 0) -> Tensor:
    """Return the additive attention bias (1, H, queries, keys) of queries at `offset`, from a table (buckets, H)."""
    query = torch.arange(offset, offset + queries, device=table.device)[:, None]
    distance = torch.arange(keys, device=table.device)[None, :] - query
    bias = table[_bucket(config, distance, causal=causal)].permute(2, 0, 1)[None]
    return bias.masked_fill(distance > 0, torch.finfo(bias.dtype).min) if causal else bias


def _bucket(config: T5Config, distance: Tensor, *, causal: bool) -> Tensor:
    """Bucket of key position - query position: exact when near, logarithmic when far (T5, section 2.1)."""
    buckets = config.relative_attention_num_buckets
    if causal:
        side, distance = torch.zeros_like(distance), (-distance).clamp(min=0)
    else:
        buckets //= 2
        side, distance = (distance > 0).long() * buckets, distance.abs()
    exact = buckets // 2
    scale = (buckets - exact) / math.log(config.relative_attention_max_distance / exact)
    far = exact + (torch.log(distance.clamp(min=1).float() / exact) * scale).long()
    return side + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))


class T5(nn.Module):
    """Encoder, decoder and output of one checkpoint; `state_dict` has the published tensor names."""

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Stack(config, decoder=False)
        self.decoder = Stack(config, decoder=True)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    def initialise(self, seed: int) -> None:
        """Draw fresh weights as T5 does: variance 1 / fan-in, queries scaled by the missing 1 / sqrt(K)."""
        config, generator = self.config, torch.Generator().manual_seed(seed)
        inner = config.num_heads * config.d_kv
        scales = {"q": (config.d_model * config.d_kv) ** -0.5, "k": config.d_model**-0.5, "v": config.d_model**-0.5}
        scales |= {"o": inner**-0.5, "wi": config.d_model**-0.5, "wo": config.d_ff**-0.5, "shared": 1.0}
        scales |= {"relative_attention_bias": config.d_model**-0.5, "lm_head": 1.0}
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=scales[name.split(".")[-2]], generator=generator)

    def encode(self, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode (B, S) token ids to (B, S, d_model); `mask` is True where a token counts."""
        x = self.shared(source)
        bias = self.encoder.position_bias(source.shape[1], source.shape[1])
        if mask is not None:
            bias = bias + padding_bias(mask, bias.dtype)
        for block in self.encoder.block:
            attention = block.layer[0]
            x = x + attention.SelfAttention.itself(attention.layer_norm(x), bias)
            x = block.layer[1](x)
        encoded: Tensor = self.encoder.final_layer_norm(x)
        return encoded

    def decode(self, target: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Teacher-forced logits (B, T, vocabulary) for (B, T) decoder inputs."""
        x = self.shared(target)
        bias = self.decoder.position_bias(target.shape[1], target.shape[1])
        padding = None if mask is None else padding_bias(mask, x.dtype)
        for block in self.decoder.block:
            own, cross = block.layer[0], block.layer[1]
            x = x + own.SelfAttention.itself(own.layer_norm(x), bias)
            attention = cross.EncDecAttention
            q = attention.split(attention.q(cross.layer_norm(x)))
            k, v = attention.split(attention.k(memory)), attention.split(attention.v(memory))
            x = x + attention.attend(q, k, v, padding)
            x = block.layer[2](x)
        return self.logits(x)

    def logits(self, x: Tensor) -> Tensor:
        x = self.decoder.final_layer_norm(x)
        if self.config.tie_word_embeddings:
            return F.linear(x * self.config.d_model**-0.5, self.shared.weight)
        logits: Tensor = self.lm_head(x)
        return logits

    def forward(self, source: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.decode(target, self.encode(source, mask), mask)


def padding_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive bias (B, 1, 1, S) that hides the positions where `mask` is False."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)[:, None, None]
