"""A T5 checkpoint folder: `config.json`, `model.safetensors` and a tokenizer, bundled or published.

Nothing is unpickled and no code of a checkpoint is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer

from inverse_design.errors import ModelError
from inverse_design.text2text import Backend
from inverse_design.text2text.inference import Frozen
from inverse_design.text2text.sampling import TorchWriter, Writer
from inverse_design.text2text.t5 import T5, T5Config

PICKLED: Final = "pytorch_model.bin"

# As the authors of PolyTAO and PolyNC load theirs.
_AUTHORS: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "[PAD]", "padding_side": "right"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A network ready to answer, and its two directions of text.

    encode: texts -> token ids ending in `</s>`, not padded; decode: token ids -> raw text, special tokens included.
    """

    writer: Writer
    encode: Callable[[Sequence[str]], list[list[int]]]
    decode: Callable[[Sequence[int]], str]
    config: T5Config


def load_checkpoint(folder: Path, backend: Backend = "torch", device: str = "cpu") -> Checkpoint:
    """Read the T5 checkpoint in `folder`; raises ModelError, naming the file, where one is missing or not what it should be.

    backend: `torch` in single precision, `torch-bf16`, or `ctranslate2` with eight bits; device: as torch names it.
    """
    config = load_config(folder)
    encode, decode, size = _tokenizer(folder)
    if size > config.vocab_size:
        found = f"the tokenizer has {size} tokens, config.json has vocab_size {config.vocab_size}"
        raise ModelError(f"{folder}: {found}; use the tokenizer of this model")
    writer = _writer(load_model(folder), backend, device)
    return Checkpoint(writer=writer, encode=encode, decode=decode, config=config)


def _writer(model: T5, backend: Backend, device: str) -> Writer:
    if backend == "ctranslate2":
        from inverse_design.text2text.ctranslate import TranslatorWriter  # an optional extra

        return TranslatorWriter.of(model, device)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"device {device}: torch sees no such device here; choose device cpu")
    half = backend == "torch-bf16"
    if half and device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise ModelError("backend torch-bf16: this processor does not compute with bf16; choose torch or ctranslate2")
    return TorchWriter(network=Frozen(model.to(device), torch.bfloat16 if half else torch.float32))


def load_config(folder: Path) -> T5Config:
    """Read the config.json of a T5; raises ModelError."""
    path = folder / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(settings, dict) and "auto_map" in settings:
            raise ModelError(f"{path}: asks to run code of its own (auto_map); only plain T5 checkpoints are read")
        return T5Config.from_dict(settings)
    except FileNotFoundError:
        raise ModelError(
            f"{path}: no such file; wanted a folder with config.json, model.safetensors and tokenizer.json"
        ) from None
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise ModelError(f"{path}: not the config of a T5 ({error}); copy the checkpoint again") from error


def _tokenizer(folder: Path) -> tuple[Callable[[Sequence[str]], list[list[int]]], Callable[[Sequence[int]], str], int]:
    """Return (encode, decode, number of tokens); a `tokenizer.json` is read without importing transformers."""
    path = folder / "tokenizer.json"
    if path.exists():
        try:
            fast = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(f"{path}: not a tokenizer ({error}); copy the checkpoint again") from error
        fast.no_padding()
        fast.no_truncation()
        return (
            lambda texts: [encoding.ids for encoding in fast.encode_batch(list(texts))],
            lambda ids: str(fast.decode(list(ids), skip_special_tokens=False)),
            fast.get_vocab_size(),
        )
    if not (folder / "spiece.model").exists():
        raise ModelError(f"{folder}: neither tokenizer.json nor spiece.model; copy the tokenizer files of the checkpoint too")
    from transformers import AutoTokenizer  # slow to import, and only needed for a checkpoint without tokenizer.json

    slow = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **_AUTHORS)
    return lambda texts: slow(list(texts))["input_ids"], lambda ids: str(slow.decode(list(ids))), len(slow)


def superfluous(config: T5Config) -> frozenset[str]:
    """Return names that published files may hold besides the network: copies of the shared embedding, a bias never used."""
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return frozenset({"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", unused} | tied)


def load_model(folder: Path) -> T5:
    """Read the network alone, as training needs it; raises ModelError."""
    config, path = load_config(folder), folder / "model.safetensors"
    if (folder / PICKLED).exists() and not path.exists():
        hint = f"inverse-design models convert t5 {folder}"
        raise ModelError(f"{path}: no such file; {PICKLED} is not read because that can run code: convert it once with {hint}")
    if not path.exists():
        raise ModelError(f"{path}: no such file; wanted the weights of the checkpoint")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a safetensors file ({error}); copy the checkpoint again") from error
    with torch.device("meta"):
        model = T5(config)
    wanted = model.state_dict()
    tensors = {name: tensor for name, tensor in tensors.items() if name not in superfluous(config)}
    wrong = sorted(wanted.keys() ^ tensors.keys()) or [
        name for name, tensor in tensors.items() if tensor.shape != wanted[name].shape
    ]
    if wrong:
        found = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise ModelError(
            f"{path}: {found} missing, foreign or of another shape than config.json says; take both files from one checkpoint"
        )
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return model.eval().requires_grad_(False)
