"""The second backend, CTranslate2: weights and products of eight bits, for speed; an optional extra of this package.

Its texts are drawn from one random stream per batch, seeded from all seeds of the batch: the same batch gives the same texts,
another batch others. Batches are the same in every run of a campaign, but a text is not a function of its address alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from inverse_design.errors import ModelError
from inverse_design.text2text import MISSING
from inverse_design.text2text.inference import Ids
from inverse_design.text2text.sampling import Sampling
from inverse_design.text2text.t5 import T5, Stack

if TYPE_CHECKING:
    import ctranslate2

LAYOUT: Final = "1"
"""Of the converted files; a change of this module that changes them changes it."""


def cache() -> Path:
    """Return where converted models are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "inverse-design" / "ctranslate2"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatorWriter:
    """A converted network (protocol `Writer`)."""

    folder: Path
    device: str
    still: ctranslate2.Translator

    @classmethod
    def of(cls, model: T5, device: str = "cpu") -> TranslatorWriter:
        """Convert a network, or take what was converted before; ModelError where CTranslate2 is missing or cannot."""
        folder = _converted(model)
        return cls(folder=folder, device=device, still=_opened(folder, device))

    def sample(self, prompts: Ids, owner: Sequence[int], seeds: Sequence[int], how: Sampling) -> list[list[int]]:
        """As `Writer.sample`, but for the one random stream of the batch."""
        translator = self.still
        if how.top_k != 1:
            import ctranslate2

            # Its generator is seeded when a translator starts its thread, and never again.
            ctranslate2.set_random_seed(int.from_bytes(hashlib.sha256(repr(list(seeds)).encode()).digest()[:4], "big"))
            translator = _opened(self.folder, self.device)
        rows: dict[int, list[int]] = defaultdict(list)
        for row, prompt in enumerate(owner):
            rows[prompt].append(row)
        texts: list[list[int]] = [[] for _ in owner]
        for count in sorted({len(mine) for mine in rows.values()}):
            asked = [prompt for prompt, mine in rows.items() if len(mine) == count]
            found = translator.translate_batch(
                [_tokens(prompts[prompt]) for prompt in asked],
                beam_size=1,
                num_hypotheses=count,
                sampling_topk=how.top_k,
                sampling_topp=how.top_p if how.top_k != 1 else 1.0,
                sampling_temperature=how.temperature,
                max_decoding_length=how.max_new_tokens,
                min_decoding_length=0,
                max_input_length=0,
            )
            for prompt, result in zip(asked, found, strict=True):
                for row, text in zip(rows[prompt], result.hypotheses, strict=True):
                    texts[row] = [int(token) for token in text]
        return texts

    def first(self, prompts: Ids) -> Tensor:
        """As `Writer.first`."""
        found = self.still.translate_batch(
            [_tokens(prompt) for prompt in prompts],
            beam_size=1,
            min_decoding_length=0,
            max_decoding_length=1,
            max_input_length=0,
            return_logits_vocab=True,
        )
        return torch.from_numpy(np.stack([np.array(result.logits[0][0]) for result in found]))


def _tokens(prompt: Sequence[int]) -> list[str]:
    return [str(token) for token in prompt]


def _opened(folder: Path, device: str) -> Any:
    import ctranslate2

    return ctranslate2.Translator(str(folder), device=device, compute_type="int8", inter_threads=1, intra_threads=1)


def _converted(model: T5) -> Path:
    """Return the folder of the converted network, made if it is not there; two processes may make it at once."""
    try:
        from ctranslate2.specs import TransformerSpec
    except ImportError as error:
        raise ModelError(MISSING) from error
    digest = hashlib.sha256(f"{LAYOUT} {model.config}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    folder = cache() / digest.hexdigest()[:32]
    if folder.is_dir():
        return folder
    model = deepcopy(model)  # the conversion scales weights in place
    config = model.config
    spec: Any = TransformerSpec.from_config(
        (config.num_layers, config.num_decoder_layers), config.num_heads, relative_attention_bias=True, rms_norm=True
    )
    _fill(spec.encoder, model.encoder, model.shared.weight)
    _fill(spec.decoder, model.decoder, model.shared.weight)
    spec.decoder.projection.weight = (model.shared if config.tie_word_embeddings else model.lm_head).weight
    if config.tie_word_embeddings:
        spec.decoder.scale_outputs = config.d_model**-0.5
    # Token ids go in and out as words that name them.
    words = [str(token) for token in range(config.vocab_size)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    names = {"bos": config.decoder_start_token_id, "eos": config.eos_token_id, "unk": 2}
    for name, token in names.items():
        setattr(spec.config, f"{name}_token", str(token))
    spec.config.decoder_start_token = str(config.decoder_start_token_id)
    spec.config.layer_norm_epsilon = config.layer_norm_epsilon
    spec.validate()
    spec.optimize(quantization="int8")
    cache().mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache()))
    spec.save(str(fresh))
    try:
        fresh.rename(folder)
    except OSError:  # another process was quicker
        shutil.rmtree(fresh)
    return folder


def _fill(spec: Any, stack: Stack, embedding: Tensor) -> None:
    """Put the tensors of a stack where CTranslate2 looks for them."""
    (spec.embeddings[0] if isinstance(spec.embeddings, list) else spec.embeddings).weight = embedding
    spec.scale_embeddings = False
    spec.layer_norm.gamma = stack.final_layer_norm.weight
    bias = stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    for wanted, block in zip(spec.layer, stack.block, strict=True):
        own, *cross, dense = block.layer
        attention = own.SelfAttention
        parts = wanted.self_attention
        parts.layer_norm.gamma = own.layer_norm.weight
        parts.queries_scale = 1.0
        parts.relative_attention_bias = bias
        parts.relative_attention_max_distance = torch.tensor(stack.config.relative_attention_max_distance, dtype=torch.int32)
        parts.linear[0].weight = torch.cat([attention.q.weight, attention.k.weight, attention.v.weight])
        parts.linear[1].weight = attention.o.weight
        for layer in cross:
            attention, parts = layer.EncDecAttention, wanted.attention
            parts.layer_norm.gamma = layer.layer_norm.weight
            parts.queries_scale = 1.0
            for linear, weight in zip(
                parts.linear,
                (attention.q.weight, torch.cat([attention.k.weight, attention.v.weight]), attention.o.weight),
                strict=True,
            ):
                linear.weight = weight
        wanted.ffn.layer_norm.gamma = dense.layer_norm.weight
        wanted.ffn.linear_0.weight = dense.DenseReluDense.wi.weight
        wanted.ffn.linear_1.weight = dense.DenseReluDense.wo.weight
