"""Train the bundled PolyTAO: corpus, tokenizer, network, then half-precision weights that any T5 reader loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file

from generators.corpus import DRAWS, prepare
from inverse_design.reference import prior
from inverse_design.split import held_out
from inverse_design.text2text.t5 import T5Config
from inverse_design.text2text.training import Pairs, Schedule, begin_with, by_length, load_pairs, new_model, save_pairs, train
from inverse_design.text2text.vocabulary import polytao_tokenizer, read_tokenizer

PAIRS = 1000
LONGEST = 60
DRAFTS = 16
STRAY = 0.15  # how far a draft may stray from its prompt, in standard deviations of each descriptor among known polymers
SHIPPED = Schedule(steps=2700, tokens=2200, decay=0.5)


def network(vocabulary: int) -> T5Config:
    """Return the size of the bundled PolyTAO: slots need little encoding, SMILES need depth."""
    return T5Config(
        vocab_size=vocabulary,
        d_model=256,
        d_kv=64,
        d_ff=1024,
        num_layers=2,
        num_decoder_layers=4,
        num_heads=4,
        relative_attention_num_buckets=64,
    )


def train_polytao(
    data: Path, work: Path, schedule: Schedule, threads: int, say: Callable[[str], None], start: Path | None = None
) -> None:
    """Train in `work` from the structures in `data`; the same call continues an interrupted run to the step.

    start: a model folder whose tokenizer and weights a new run begins with; fresh ones otherwise.
    """
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    corpus = work / "corpus.parquet"
    if not corpus.exists():
        say("preparing the corpus")
        prepare(data, corpus, max(2, threads))
    if start is not None and not (work / "tokenizer.json").exists():
        shutil.copyfile(start / "tokenizer.json", work / "tokenizer.json")
    vocabulary, groups = _tokenised(work, corpus, say)
    config = network(vocabulary)
    model = new_model(config, schedule.seed)
    if start is not None:
        begin_with(model, start)
    train(model, groups, schedule, work, say)
    export(work, config)


def _tokenised(work: Path, corpus: Path, say: Callable[[str], None]) -> tuple[int, list[Pairs]]:
    """Return the number of tokens and the training pairs; kept in `work`, since a restart would spend minutes on them."""
    path, kept = work / "tokenizer.json", work / "pairs.safetensors"
    if kept.exists():
        return read_tokenizer(path).get_vocab_size(), load_pairs(kept)
    table = pq.read_table(corpus)
    free = np.array([not held_out(key) for key in table["key"].to_pylist()])
    table = table.filter(pa.array(free))
    weights = np.array([DRAWS[source] for source in table["source"].to_pylist()]) * table["share"].to_numpy()
    prompts, targets = table["prompt"].to_pylist(), table["target"].to_pylist()
    if not path.exists():
        seen = np.random.default_rng(0).choice(len(targets), size=min(150_000, len(targets)), p=weights / weights.sum())
        polytao_tokenizer((targets[row] for row in seen), pairs=PAIRS).save(str(path))
    tokenizer = read_tokenizer(path)
    say(f"{len(targets)} rows, {tokenizer.get_vocab_size()} tokens")
    sources = [encoding.ids for encoding in tokenizer.encode_batch(prompts)]
    outputs = [encoding.ids for encoding in tokenizer.encode_batch(targets)]
    groups = by_length(sources, outputs, weights, LONGEST)
    save_pairs(groups, kept)
    return tokenizer.get_vocab_size(), groups


def export(work: Path, config: T5Config) -> None:
    """Write `config.json` and fp16 `model.safetensors` beside the checkpoint in `work`."""
    tensors = {
        name.removeprefix("model."): tensor.half()
        for name, tensor in load_file(work / "checkpoint.safetensors").items()
        if name.startswith("model.")
    }
    save_file(tensors, work / "model.safetensors", {"format": "pt"})
    tolerances = (STRAY * prior().std(axis=0)).round(3).tolist()
    decoding = {"drafts": DRAFTS, "tolerances": tolerances, "max_new_tokens": 2 * LONGEST}  # read by generators.polytao
    settings = config.to_dict() | decoding
    (work / "config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
