"""A T5 that only answers: weights packed once for the processor, nothing computed twice.

The encoder and the keys and values of cross-attention are computed once a prompt and shared by its samples; a key and a
value of self-attention are computed once a token. A row is computed alike whatever rows stand beside it, to the last bit with
oneDNN's kernels (x86), so that a text does not depend on its batch.
Shapes in comments: B prompts, S source tokens, N rows being decoded, H heads, K width of a head, C room in the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F

from inverse_design.text2text.t5 import T5, Attention, FeedForward, Norm, padding_bias, position_bias

Ids = Sequence[Sequence[int]]

CHUNK: Final = 1024
"""Tokens that are encoded at once: enough for the processor's best speed, few enough for its cache."""
SLACK: Final = 1.1
"""How much longer than the shortest prompt of a chunk the longest may be: what is padded is computed in vain."""
BLOCK: Final = 16
"""Tokens by which the cache grows."""
_X86: Final = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


class Product:
    """The product with one frozen matrix (out, in), in some precision: (n, in) -> (n, out)."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.weight = weight.to(dtype)
        # On processors that torch's own BLAS was not made for, oneDNN is more than twice as fast.
        self.packed = _X86 and weight.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight.contiguous(), 64)

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        if not self.packed:
            return F.linear(x, self.weight)
        # It takes the sums of a single row in another order.
        if x.shape[0] == 1:
            return self(x.expand(2, -1))[:1]
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], "")
        return out


class _Attention:
    """Projections of one attention: `into` makes queries, keys and values at once, or queries alone where `memory` makes the rest."""

    def __init__(self, attention: Attention, norm: Norm, dtype: torch.dtype, *, cross: bool) -> None:
        q, k, v = (part.weight for part in (attention.q, attention.k, attention.v))
        self.norm, self.out = norm, Product(attention.o.weight, dtype)
        self.into = Product(q if cross else torch.cat([q, k, v]), dtype)
        self.memory = Product(torch.cat([k, v]), dtype) if cross else self.into


class _Dense:
    def __init__(self, layer: FeedForward, dtype: torch.dtype) -> None:
        dense = layer.DenseReluDense
        self.norm, self.wi, self.wo = layer.layer_norm, Product(dense.wi.weight, dtype), Product(dense.wo.weight, dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return x + self.wo(self.wi(self.norm(x)).relu())


class _Block:
    def __init__(self, block: Any, dtype: torch.dtype) -> None:
        own, *cross, dense = block.layer
        self.own = _Attention(own.SelfAttention, own.layer_norm, dtype, cross=False)
        self.cross = [_Attention(layer.EncDecAttention, layer.layer_norm, dtype, cross=True) for layer in cross]
        self.dense = _Dense(dense, dtype)


class Frozen:
    """The network of a T5 on the device where the T5 is. `dtype` is that of the products; all else is in single precision."""

    def __init__(self, model: T5, dtype: torch.dtype = torch.float32) -> None:
        config = self.config = model.config
        self.embedding = model.shared.weight
        self.device = self.embedding.device
        self.encoder = [_Block(block, dtype) for block in model.encoder.block]
        self.decoder = [_Block(block, dtype) for block in model.decoder.block]
        self.tables = tuple(
            stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight for stack in (model.encoder, model.decoder)
        )
        self.norms = model.encoder.final_layer_norm, model.decoder.final_layer_norm
        self.head = Product(self.embedding if config.tie_word_embeddings else model.lm_head.weight, dtype)
        self.scale = config.d_model**-0.5 if config.tie_word_embeddings else 1.0

    def memory(self, prompts: Ids) -> tuple[list[Tensor], Tensor]:
        """Return what the decoder looks at: for each block, keys and values (2, B, H, S, K), and the bias (B, 1, 1, S) of padding."""
        heads, width = self.config.num_heads, self.config.d_kv
        _, mask = padded(prompts, self.config.pad_token_id)
        kept = [torch.zeros((2, len(prompts), heads, mask.shape[1], width), device=self.device) for _ in self.decoder]
        for rows in _chunks(prompts):
            source, counts = padded([prompts[row] for row in rows], self.config.pad_token_id)
            x = self._encode(source.to(self.device), counts.to(self.device))
            for pairs, block in zip(kept, self.decoder, strict=True):
                fresh = block.cross[0].memory(x).view(*source.shape, 2, heads, width)
                pairs[:, rows, :, : source.shape[1]] = fresh.permute(2, 0, 3, 1, 4).float()
        return kept, padding_bias(mask.to(self.device), torch.float32)

    def _encode(self, source: Tensor, mask: Tensor) -> Tensor:
        """Encode ids (B, S) to (B * S, d_model)."""
        table, size = self.tables[0], source.shape[1]
        bias = position_bias(table, self.config, size, size, causal=False) + padding_bias(mask, table.dtype)
        x = self.embedding[source.flatten()]
        for block in self.encoder:
            own = block.own
            made = own.into(own.norm(x)).view(*source.shape, 3, self.config.num_heads, -1)
            made = made.permute(2, 0, 3, 1, 4).float()  # (3, B, H, S, K)
            mixed = _attend(made[0], made[1:], bias)
            x = block.dense(x + own.out(mixed.transpose(1, 2).reshape(x.shape[0], -1)))
        return self.norms[0](x)  # type: ignore[no-any-return]

    def logits(self, x: Tensor) -> Tensor:
        """Return (N, vocabulary) for what the last block gives (N, d_model)."""
        return self.head(self.norms[1](x) * self.scale).float()


class Decoding:
    """Texts being written, all at the same position: one row each."""

    def __init__(self, network: Frozen, prompts: Ids, owner: Sequence[int], longest: int) -> None:
        """owner: which of `prompts` each row belongs to, ascending; longest: tokens that will be asked for at most."""
        self.network, self.longest, self.position = network, longest, 0
        self.memory, self.padding = network.memory(prompts)
        shape = (2, len(owner), network.config.num_heads, 0, network.config.d_kv)
        self.cache = [torch.zeros(shape, device=network.device) for _ in network.decoder]
        far = position_bias(network.tables[1], network.config, 1, longest, causal=True, offset=longest - 1)
        # From the farthest token to the newest, then room that is not yet written: (1, H, 1, longest + BLOCK).
        self.bias = F.pad(far, (0, BLOCK), value=torch.finfo(far.dtype).min)
        self._group(list(owner))

    def _group(self, owner: list[int]) -> None:
        """Group rows by prompt, so that a prompt's keys are read once: `places` in a table of B prompts with room for `most` rows each."""
        self.owner = owner
        counts = Counter(owner)
        self.most = max(counts.values())
        places = [prompt * self.most + place for prompt in sorted(counts) for place in range(counts[prompt])]
        full = len(owner) == self.most * len(counts)
        self.places = None if full else torch.tensor(places, device=self.network.device)

    def keep(self, rows: Sequence[int]) -> None:
        """Leave out all rows but these, ascending, and prompts that have none left."""
        owner = [self.owner[row] for row in rows]
        left = sorted(set(owner))
        if len(left) < self.padding.shape[0]:
            self.memory, self.padding = [pair[:, left] for pair in self.memory], self.padding[left]
        self.cache = [pair[:, list(rows)] for pair in self.cache]
        place = {prompt: index for index, prompt in enumerate(left)}
        self._group([place[prompt] for prompt in owner])

    def step(self, token: Tensor) -> Tensor:
        """Take the newest token of each row (N,) and return the logits (N, vocabulary) of the next."""
        network, heads = self.network, self.network.config.num_heads
        if self.position == self.cache[0].shape[3]:
            self.cache = [F.pad(pair, (0, 0, 0, BLOCK)) for pair in self.cache]
        farthest = self.longest - 1 - self.position
        bias = self.bias[..., farthest : farthest + self.cache[0].shape[3]]
        x = network.embedding[token]  # (N, d_model)
        for block, cache, memory in zip(network.decoder, self.cache, self.memory, strict=True):
            own, (cross,) = block.own, block.cross
            made = own.into(own.norm(x)).view(x.shape[0], 3, heads, -1).float()
            cache[:, :, :, self.position] = made[:, 1:].transpose(0, 1)
            x = x + own.out(_attend(made[:, 0, :, None], cache, bias).view(x.shape[0], -1))
            q = self._grouped(cross.into(cross.norm(x)).float()).view(-1, self.most, heads, network.config.d_kv)
            mixed = _attend(q.transpose(1, 2), memory, self.padding).transpose(1, 2).reshape(q.shape[0] * self.most, -1)
            x = block.dense(x + cross.out(mixed if self.places is None else mixed[self.places]))
        self.position += 1
        return network.logits(x)

    def _grouped(self, rows: Tensor) -> Tensor:
        if self.places is None:
            return rows
        return rows.new_zeros((self.padding.shape[0] * self.most, rows.shape[1])).index_copy_(0, self.places, rows)


def _attend(q: Tensor, pair: Tensor, bias: Tensor) -> Tensor:
    """Mix the values of `pair`, keys and values (2, ...), by how well their keys fit the queries."""
    keys, values = pair
    mixed: Tensor = (q @ keys.transpose(-1, -2) + bias).softmax(-1) @ values
    return mixed


def _chunks(prompts: Ids) -> list[list[int]]:
    """Return the rows of `prompts` in groups of similar length and about `CHUNK` tokens."""
    chunks: list[list[int]] = []
    for row in sorted(range(len(prompts)), key=lambda row: len(prompts[row])):
        length = len(prompts[row])
        if chunks and length <= SLACK * len(prompts[chunks[-1][0]]) and length * (len(chunks[-1]) + 1) <= CHUNK:
            chunks[-1].append(row)
        else:
            chunks.append([row])
    return chunks


def padded(ids: Ids, filler: int) -> tuple[Tensor, Tensor]:
    """Return (n, longest) token ids and their mask, True where a token counts."""
    longest = max(map(len, ids))
    source = torch.tensor([[*row, *[filler] * (longest - len(row))] for row in ids])
    return source, torch.arange(longest) < torch.tensor([[len(row)] for row in ids])
