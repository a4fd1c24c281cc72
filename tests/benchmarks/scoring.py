"""Scoring: PolyNC at its published size, one question at a time against batches; bundled polyScreen; the sieve. CPU seconds.

OMP_NUM_THREADS=1 PYTHONPATH=. python tests/benchmarks/scoring.py STRUCTURES.parquet

STRUCTURES.parquet has a column psmiles; the same 960 rows are drawn from it every time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from campaigns.models import SURROGATES
from inverse_design.descriptors import realised
from inverse_design.novelty import fingerprint
from inverse_design.polymer import RepeatUnit, canonical_units, parse
from inverse_design.properties import PROPERTIES
from inverse_design.sieve import sieve_worker
from inverse_design.structure import Requirements, sa_score
from surrogates.graph import graph
from surrogates.polync import PolyNC
from surrogates.polyscreen import OTHERS, PolyScreen
from tests.benchmarks.generation import BASE
from tests.published import POLYNC, checkpoint

SHARD = 48


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def least(work: Callable[[], object]) -> float:
    """Of three times: what else runs on the machine only adds to it."""
    return min(seconds(work) for _ in range(3))


def polync(texts: list[str]) -> None:
    """The same mix of lengths one at a time and together: every fourth text by length is asked in the authors' way."""
    texts = sorted(texts, key=len)
    questions = [f"Predict the Tg of the following SMILES: {text}" for text in texts]
    few = range(2, len(questions), len(questions) // 12)
    with tempfile.TemporaryDirectory() as name:
        folder = checkpoint(Path(name), POLYNC, **BASE)
        tokenizer = AutoTokenizer.from_pretrained(
            folder, bos_token="<s>", eos_token="</s>", pad_token="[PAD]", padding_side="right"
        )
        theirs = T5ForConditionalGeneration.from_pretrained(folder).eval()
        answers = []

        def one_at_a_time() -> None:
            for row in few:
                encoded = tokenizer(questions[row], return_tensors="pt")
                output = theirs.generate(input_ids=encoded.input_ids, attention_mask=encoded.attention_mask, max_length=8)
                answers.append(tokenizer.decode(output[0]).removeprefix("<pad>").removeprefix("<s>").partition("</s>")[0])

        authors = seconds(one_at_a_time) / len(few)
        print(f"PolyNC, authors' loop, one question: {authors:.3f} CPU s")
        exact = list[str]()
        for backend in ("torch", "torch-bf16", "ctranslate2"):
            found, ours = list[str](), PolyNC.load(folder, backend=backend)
            batched = seconds(partial(lambda found, ours: found.extend(ours.ask(questions)), found, ours)) / len(questions)
            exact = exact or found
            same = sum(a == found[row] for a, row in zip(answers, few, strict=True))
            changed = sum(a != b for a, b in zip(exact, found, strict=True)) / len(questions)
            print(f"  ours, {backend}, {len(questions)} at once: {batched:.4f}, {authors / batched:.1f} times faster; ", end="")
            print(f"{same} of {len(answers)} answers are theirs; {changed:.1%} differ from torch", flush=True)


def bundled_polync(texts: list[str]) -> None:
    """Random weights answer on a knife's edge; how many answers of a trained network change?"""
    questions = [PROPERTIES[name].question.format(smiles=text) for name in ("Tg", "density") for text in texts]
    exact = PolyNC.load(SURROGATES["bundled:polync"]).ask(questions)
    for backend in ("torch-bf16", "ctranslate2"):
        found = PolyNC.load(SURROGATES["bundled:polync"], backend=backend).ask(questions)
        changed = sum(a != b for a, b in zip(exact, found, strict=True)) / len(questions)
        print(
            f"bundled PolyNC, trained weights, {backend}: {changed:.1%} of {len(questions)} greedy answers differ from torch",
            flush=True,
        )


def sieve(texts: list[str]) -> None:
    units = [unit for text in texts if isinstance(unit := parse(text), RepeatUnit)]
    shards = [units[start : start + SHARD] for start in range(0, len(units), SHARD)]
    canonical = canonical_units(units)
    requirements = Requirements.of({"sa_score": {"max": 4.5}})
    steps: dict[str, Callable[[], object]] = {
        "gate, parse": lambda: [parse(text) for text in texts],
        "15 descriptors": lambda: [realised(unit.mol) for unit in units],
        "canonical unit": lambda: [canonical_units(shard) for shard in shards],
        "fingerprint": lambda: [fingerprint(unit.mol) for unit in canonical],
    }
    spent = {name: least(work) for name, work in steps.items()}
    total = sum(spent.values())
    each = ", ".join(f"{name} {1e3 * value / len(texts):.2f} ms" for name, value in spent.items())
    print(f"sieve, {' + '.join(steps)}: {len(texts) / total:.0f} molecules a CPU second ({each})")
    examined = seconds(lambda: [requirements.examine(unit) for unit in units])
    hard = seconds(lambda: [sa_score(unit) for unit in units])
    whole = sieve_worker(structure={"sa_score": {"max": 4.5}})
    rows = [[{"text": text} for text in texts[start : start + SHARD]] for start in range(0, len(texts), SHARD)]
    spent_all = seconds(lambda: [whole.work(shard) for shard in rows])
    print(
        f"sieve, everything: {len(texts) / spent_all:.0f} molecules a CPU second ({1e3 * spent_all / len(texts):.2f} ms; ", end=""
    )
    print(f"structure {1e3 * examined / len(texts):.2f} ms, of which SA score {1e3 * hard / len(texts):.2f} ms)")


def polyscreen(texts: list[str]) -> None:
    model = PolyScreen.load(SURROGATES["bundled:polyscreen"])
    model.predict(texts[:SHARD], ["Tg"])
    units = canonical_units([unit for text in texts if isinstance(unit := parse(text), RepeatUnit)])

    def networks() -> None:
        model.members([found for unit in units if (found := graph(unit.mol)) is not None], OTHERS)

    count = len(model.networks[OTHERS])
    print(f"polyScreen, molecule to Tg, features and {count} networks: {len(units) / least(networks):.0f} a CPU second; ", end="")
    spent = least(lambda: model.predict(texts, ["Tg"]))
    print(f"text to calibrated Tg, with parsing, canonical unit, class and nearest neighbour: {len(texts) / spent:.0f}")


def main() -> None:
    torch.set_num_threads(1)
    column = pq.read_table(sys.argv[1], columns=["psmiles"])["psmiles"]
    texts = [column[int(row)].as_py() for row in np.random.default_rng(0).choice(len(column), 960, replace=False)]
    sieve(texts)
    polyscreen(texts)
    bundled_polync(texts[:400])
    polync(texts[:96])


if __name__ == "__main__":
    main()
