"""PolyTAO at its published size: our decoding against the authors' loop, CPU seconds a text, random weights.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/generation.py

Theirs is `generate`, one prompt at a time, five returns, single precision. Random weights hardly ever end a text, so both loops are
made to end each text at a length drawn from `LENGTHS`; four prompts have the same 20 lengths as any other four.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, LogitsProcessor, LogitsProcessorList, T5ForConditionalGeneration

from generators.polytao import PolyTAO
from inverse_design import reference
from inverse_design.text2text import ctranslate, sampling
from inverse_design.text2text.inference import Decoding
from inverse_design.text2text.sampling import Sampling
from tests.published import FINETUNED, checkpoint

BASE = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_decoder_layers": 12, "num_heads": 12}
PROMPTS, RETURNS, EOS = 16, 5, 1
QUARTERS = (12, 31, 45, 66, 150)
"""Least, quartiles and greatest of the lengths of known polymers in characters, which T5's pieces nearly are: 59 tokens for the 61
characters of PolyNC's published example."""


def lengths() -> list[list[int]]:
    """Return the length of each of five texts for each prompt: 20 quantiles in a fixed disorder, four prompts long, again and again."""
    quantiles = np.interp((np.arange(20) + 0.5) / 20, np.linspace(0, 1, 5), QUARTERS).astype(int)
    four: list[list[int]] = np.random.default_rng(0).permutation(quantiles).reshape(4, RETURNS).tolist()
    return four * (PROMPTS // 4)


def end(logits: torch.Tensor, now: list[bool]) -> torch.Tensor:
    """Let the rows that are due end, and no others."""
    due = torch.tensor(now)
    logits[:, EOS] = float("-inf")
    logits[due] = float("-inf")
    logits[due, EOS] = 0.0
    return logits


class Ends(LogitsProcessor):
    """For theirs."""

    def __init__(self, after: list[int]) -> None:
        self.after = after

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return end(scores, [input_ids.shape[1] > length for length in self.after])


class Ending(Decoding):
    """For ours in torch."""

    after: tuple[int, ...] = ()

    def keep(self, rows: Any) -> None:
        super().keep(rows)
        self.after = tuple(self.after[row] for row in rows)

    def step(self, token: torch.Tensor) -> torch.Tensor:
        return end(super().step(token), [self.position > length for length in self.after])


class Translating:
    """For ours in CTranslate2."""

    def __init__(self, translator: Any, after: list[list[int]]) -> None:
        self.translator, self.after = translator, after

    def translate_batch(self, prompts: Any, **how: Any) -> Any:
        def due(step: Any) -> bool:
            return bool(step.step + 1 >= self.after[step.batch_id][step.hypothesis_id])

        return self.translator.translate_batch(prompts, callback=due, **how)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def theirs(folder: Path, prompts: list[str], after: list[list[int]]) -> tuple[float, list[str]]:
    """Return the authors' CPU seconds a text on the first four prompts, and their greedy texts of 24 tokens for the first six."""
    tokenizer = AutoTokenizer.from_pretrained(folder, pad_token="[PAD]", padding_side="right")
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()
    settings = {"do_sample": True, "top_k": 100, "top_p": 0.999, "max_length": 300, "num_return_sequences": RETURNS}
    encoded = [dict(tokenizer(prompt, return_tensors="pt")) for prompt in prompts]

    def loop() -> None:
        for one, own in zip(encoded[:4], after, strict=False):
            model.generate(**one, **settings, logits_processor=LogitsProcessorList([Ends(own)]))

    spent = seconds(loop) / (4 * RETURNS)
    greedy = [model.generate(**one, max_length=25)[0].tolist() for one in encoded[:6]]
    return spent, [tokenizer.decode(row, skip_special_tokens=True).replace(" ", "") for row in greedy]


def main() -> None:
    torch.set_num_threads(1)
    vectors, after = reference.prior(), lengths()
    prompts = [",".join(map(str, vector)) for vector in vectors[:: len(vectors) // PROMPTS][:PROMPTS].tolist()]
    with tempfile.TemporaryDirectory() as name:
        folder = checkpoint(Path(name), FINETUNED, **BASE)
        authors, wanted = theirs(folder, prompts, after)
        mean = np.mean(after)
        print(f"torch {torch.__version__}, one thread; {PROMPTS} prompts x {RETURNS}; {mean:.0f} tokens a text in the mean")
        print(f"authors' loop, one prompt, {RETURNS} returns, fp32: {authors:.3f} CPU s a text", flush=True)
        opened = ctranslate._opened
        for backend in ("ctranslate2", "torch", "torch-bf16"):
            model = PolyTAO.load(folder, backend=backend)  # type: ignore[arg-type]
            Ending.after = tuple(length for own in after for length in own)
            sampling.Decoding = Ending  # type: ignore[misc]
            ctranslate._opened = lambda folder, device: Translating(opened(folder, device), after)
            work = partial(model.generate, prompts, [list(range(RETURNS))] * PROMPTS)
            spent = seconds(work) / (PROMPTS * RETURNS)
            print(f"ours, {backend}: {spent:.4f} CPU s a text, {authors / spent:.1f} times faster", end="; ", flush=True)
            sampling.Decoding, ctranslate._opened = Decoding, opened  # type: ignore[misc]
            greedy = replace(model, sampling=Sampling(top_k=1, max_new_tokens=24))
            found = [text.replace(" ", "") for (text,) in greedy.generate(prompts[:6], [[0]] * 6)]
            same = sum(a == b for a, b in zip(wanted, found, strict=True))
            print(f"greedy texts of 24 tokens identical to transformers: {same} of {len(wanted)}", flush=True)
            del model, greedy


if __name__ == "__main__":
    main()
