"""PolyTAO at its published size: our decoding against the authors' loop, CPU seconds a sample, random weights.

    OMP_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/generation.py

Theirs is `generate`, one prompt at a time, five returns, single precision. Both write as many tokens as `TOKENS`, since random
weights hardly ever end a text; real texts end at different lengths, which spares us the rows that are done and theirs not.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from generators.polytao import PolyTAO
from inverse_design import reference
from inverse_design.text2text.sampling import Sampling
from tests.published import FINETUNED, checkpoint

BASE = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_decoder_layers": 12, "num_heads": 12}
TOKENS, RETURNS = 20, 5


def main() -> None:
    torch.set_num_threads(1)
    vectors = reference.prior()
    prompts = [",".join(map(str, vector)) for vector in vectors[:: len(vectors) // 16][:16].tolist()]
    with tempfile.TemporaryDirectory() as name:
        folder = checkpoint(Path(name), FINETUNED, **BASE)
        tokenizer = AutoTokenizer.from_pretrained(folder, pad_token="[PAD]", padding_side="right")
        theirs = T5ForConditionalGeneration.from_pretrained(folder).eval()
        settings = {"do_sample": True, "top_k": 100, "top_p": 0.999, "max_length": TOKENS + 1, "num_return_sequences": RETURNS}
        encoded = [tokenizer(prompt, return_tensors="pt") for prompt in prompts]
        began = time.process_time()
        for one in encoded[:2]:
            theirs.generate(input_ids=one.input_ids, attention_mask=one.attention_mask, **settings)
        authors = (time.process_time() - began) / (2 * RETURNS)
        greedy = [
            theirs.generate(input_ids=one.input_ids, attention_mask=one.attention_mask, max_length=13)[0].tolist()
            for one in encoded[:3]
        ]
        del theirs
        ours = PolyTAO.load(folder, Sampling(max_new_tokens=TOKENS))
        began = time.process_time()
        ours.generate(prompts, [list(range(RETURNS))] * len(prompts))
        batched = (time.process_time() - began) / (len(prompts) * RETURNS)
        short = PolyTAO.load(folder, Sampling(top_k=1, max_new_tokens=12))
        same = [
            tokenizer.decode(row, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")
            for row, (text,) in zip(greedy, short.generate(prompts[:3], [[0]] * 3), strict=True)
        ]
    print(f"torch {torch.__version__}, one thread, {TOKENS} tokens a sample, fp32")
    print(f"authors' loop, one prompt, {RETURNS} returns: {authors:.3f} CPU s a sample")
    print(f"ours, {len(prompts)} prompts x {RETURNS}: {batched:.3f} CPU s a sample, {authors / batched:.1f} times faster")
    print(f"greedy texts identical to transformers: {sum(same)} of {len(same)}")


if __name__ == "__main__":
    main()
