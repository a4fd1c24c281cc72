import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from generators.corpus import rows
from generators.evaluate import adherence
from generators.polytao import PolyTAO
from inverse_design import reference
from inverse_design.descriptors import realised
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.seeds import seed
from inverse_design.split import held_out, key
from inverse_design.text2text.t5 import T5Config
from inverse_design.text2text.training import new_model
from inverse_design.text2text.vocabulary import polytao_tokenizer
from inverse_design.workers import GeneratorWorker

BUNDLED = Path(__file__).parents[2] / "generators" / "weights" / "polytao"


@pytest.fixture(scope="module")
def bundled() -> PolyTAO:
    return PolyTAO.load(BUNDLED)


def test_the_bundled_model_fits_its_promise() -> None:
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 20 * 2**20
    assert {path.suffix for path in BUNDLED.iterdir()} <= {".json", ".safetensors", ".md"}


def test_bundled_samples_are_polymers_that_follow_their_prompts(bundled: PolyTAO) -> None:
    prior = reference.prior()
    vectors = [tuple(map(int, row)) for row in prior[:: len(prior) // 100][:100]]
    figures = adherence(bundled, vectors)
    assert figures["valid"] > 0.9
    assert figures["two_stars"] > 0.95
    assert figures["mean_r2"] > 0.95
    assert figures["distinct"] > 0.9


def test_a_text_depends_on_its_prompt_and_seed_alone(bundled: PolyTAO) -> None:
    prompts = ["104,8,0,0,0,0,0,1,0,1,0,0,2,2,1", "416,32,0,6,0,2,2,4,0,4,4,0,8,2,6"]
    together = bundled.generate(prompts, [[1, 2], [3]])
    assert bundled.generate(prompts[:1], [[2]]) == [[together[0][1]]]
    assert together == bundled.generate(prompts, [[1, 2], [3]])


def test_only_samples_that_are_no_repeat_units_or_stray_are_drawn_again(bundled: PolyTAO) -> None:
    prompts = [",".join(map(str, map(int, row))) for row in reference.prior()[::3000]]
    seeds = [[seed(5, row, i) for i in range(4)] for row in range(len(prompts))]
    first = replace(bundled, drafts=1).generate(prompts, seeds)
    final = bundled.generate(prompts, seeds)
    pairs = [(prompts[row], a, b) for row in range(len(prompts)) for a, b in zip(first[row], final[row], strict=True)]
    before, after = ([stray(bundled, row[0], row[side]) for row in pairs] for side in (1, 2))
    good = [miss <= 1 for miss in before]
    assert 0 < sum(good) < len(good)
    assert all(a == b for (_, a, b), kept in zip(pairs, good, strict=True) if kept)
    assert all(new <= old for new, old in zip(after, before, strict=True))
    assert sum(miss <= 1 for miss in after) > sum(good)


def test_property_values_before_the_descriptors_ask_for_no_descriptor(bundled: PolyTAO) -> None:
    prompt = "104,8,0,0,0,0,0,1,0,1,0,0,2,2,1"
    assert bundled.miss(prompt, "*CC(*)c1ccccc1") == bundled.miss(f"-6.19,{prompt}", "*CC(*)c1ccccc1") == 0
    assert bundled.miss("6.500", "*CCCCCC*") == 0
    assert bundled.miss(prompt, "*CCCCCC*") > 1
    assert bundled.miss(prompt, "*CC(*)c1ccccc") == math.inf


def stray(model: PolyTAO, prompt: str, text: str) -> float:
    """Return the root mean square of the distances from the prompt, in tolerances; infinite for no repeat unit."""
    unit = parse(text)
    if not isinstance(unit, RepeatUnit):
        return math.inf
    asked = np.array(prompt.split(","), dtype=float)
    return float(np.sqrt(np.mean(((np.array(realised(unit.mol)) - asked) / np.array(model.tolerances)) ** 2)))


def test_the_worker_gives_one_text_per_row_in_order(bundled: PolyTAO) -> None:
    a, b = "104,8,0,0,0,0,0,1,0,1,0,0,2,2,1", "58,4,0,1,0,0,0,0,0,0,1,0,3,3,0"
    asked = [{"prompt": a, "seed": 1}, {"prompt": b, "seed": 2}, {"prompt": a, "seed": 3}]
    texts = [row["text"] for row in GeneratorWorker(generator=bundled).work(asked)]
    expected = bundled.generate([a, b], [[1, 3], [2]])
    assert texts == [expected[0][0], expected[1][0], expected[0][1]]


def test_leaked_tokens_are_cleaned_away(tmp_path: Path) -> None:
    tokenizer = polytao_tokenizer(["*CC(*)c1ccccc1"] * 5, pairs=100)
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_decoder_layers=1, num_heads=2
    )
    save_file(
        {name: torch.zeros_like(tensor) for name, tensor in new_model(config, 0).state_dict().items()},
        tmp_path / "model.safetensors",
    )
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    # All logits are equal, so the special tokens are drawn as often as any other.
    texts = PolyTAO.load(tmp_path).generate(["104,8,0,0,0,0,0,1,0,1,0,0,2,2,1"], [[seed(0, i) for i in range(5)]])[0]
    assert not any("<" in text or " " in text or "[PAD]" in text for text in texts)


@pytest.mark.parametrize(("source", "count"), [("known", 2), ("hypothetical", 1)])
def test_a_training_row_has_the_descriptors_of_its_target(source: str, count: int) -> None:
    made = rows(source, "*CC(*)c1ccc(Cl)cc1")
    assert len(made) == count
    for row in made:
        unit = parse(row["target"])
        assert isinstance(unit, RepeatUnit)
        assert row["prompt"] == ",".join(map(str, realised(unit.mol)))
        assert str(row["target"]).startswith("*")


def test_well_known_polymers_are_held_out_in_any_frame() -> None:
    for text in ("*CC(*)c1ccccc1", "*C(C*)c1ccccc1", "*CC(c1ccccc1)CC(*)c1ccccc1"):
        assert held_out(int(str(rows("known", text)[0]["key"])))
    assert not held_out(key("*C(C)CCCO*") // 100 * 100 + 50)
