"""Fine-tuning against plain transformers and torch on padded batches, resumed runs, and tables that cannot be learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, T5ForConditionalGeneration, get_cosine_schedule_with_warmup

from generators.finetune import FineTuning, finetune_polytao, read_pairs, tokenised
from generators.polytao import PolyTAO
from inverse_design.errors import SpecError, StateError
from inverse_design.text2text.checkpoint import load_checkpoint, load_model
from inverse_design.text2text.sampling import Sampling
from inverse_design.text2text.training import train
from tests.published import FINETUNED, checkpoint

ROWS = [
    ("-6.19,236,14,0,1,0,0,0,0,2,2,4,0,6,3,2", "[*]C(S1)=CC=C1C(=O)C(S2)=CC=C2C(=S)[*]"),
    ("5.02,104,8,0,0,0,0,0,1,0,1,0,0,2,2,1", "[*]CC([*])c1ccccc1"),
    ("6.500", "[*]CC([*])C"),
]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("start"), FINETUNED, d_model=16, num_layers=1, num_decoder_layers=1)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,target\n" + "".join(f'"{prompt}",{target}\n' for prompt, target in ROWS))
    return path


def test_a_few_steps_are_those_of_transformers(start: Path, table: Path, tmp_path: Path) -> None:
    recipe = FineTuning(steps=4, rate=1e-3, warmup=0.25)
    ours = load_checkpoint(start)
    trained = load_model(start).requires_grad_(True)
    train(trained, tokenised(ours, read_pairs(table), table), recipe, tmp_path, print)
    # As the authors do: `<s>` before both texts, one padded batch, loss over what is no padding.
    tokenizer = AutoTokenizer.from_pretrained(start, bos_token="<s>", pad_token="[PAD]", padding_side="right")
    model = T5ForConditionalGeneration.from_pretrained(start).eval()  # without dropout
    sources, targets = (
        tokenizer([f"<s>{text}" for text in column], padding=True, return_tensors="pt") for column in zip(*ROWS, strict=True)
    )
    labels = targets.input_ids.masked_fill(targets.attention_mask == 0, -100)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, eps=1e-8, weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimiser, 1, 4)
    for _ in range(4):
        model(input_ids=sources.input_ids, attention_mask=sources.attention_mask, labels=labels).loss.backward()
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    theirs = model.state_dict()
    before = load_file(start / "model.safetensors")
    for name, tensor in trained.state_dict().items():
        assert torch.allclose(tensor, theirs[name], atol=2e-5), name
    assert not torch.allclose(before["shared.weight"], theirs["shared.weight"], atol=2e-5)


def test_an_interrupted_run_ends_where_it_would_have(
    start: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generators.finetune.SAVE_EVERY", 1)
    whole = finetune_polytao(table, start, tmp_path / "whole", 3, 1e-3, 1, print)
    batches = FineTuning.batches

    def stop(self: FineTuning, groups: list, step: int) -> list:
        if step == 2:
            raise KeyboardInterrupt
        return batches(self, groups, step)

    monkeypatch.setattr(FineTuning, "batches", stop)
    with pytest.raises(KeyboardInterrupt):
        finetune_polytao(table, start, tmp_path / "halves", 3, 1e-3, 1, print)
    monkeypatch.setattr(FineTuning, "batches", batches)
    halves = finetune_polytao(table, start, tmp_path / "halves", 3, 1e-3, 1, print)
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, halves))
    assert all(torch.equal(one[name], other[name]) for name in one)
    texts = PolyTAO.load(halves, Sampling(max_new_tokens=5)).generate([ROWS[0][0]], [[1, 2]])
    assert len(texts[0]) == 2
    with pytest.raises(StateError, match="another table, model or recipe"):
        finetune_polytao(table, start, tmp_path / "halves", 4, 1e-3, 1, print)


def test_every_row_is_seen_once_an_epoch(start: Path, tmp_path: Path) -> None:
    rows = [(f"{n}.00", f"*{'C' * n}*") for n in range(1, 38)]
    checkpoint_ = load_checkpoint(start)
    groups = tokenised(checkpoint_, rows, tmp_path)
    recipe = FineTuning(steps=6)
    for epoch in (0, 1):
        seen = [
            tuple(source) for step in range(3) for ids, _ in recipe.batches(groups, 3 * epoch + step) for source in ids.tolist()
        ]
        assert len(seen) == len(set(seen)) == 37
    assert recipe.scale(5) < recipe.scale(1) == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "columns are a, b; wanted prompt and target"),
        ("prompt,target\n", "no rows"),
        ("prompt,target\n6.50,CC\n,*CC*\n", r"row 2: target 'CC' is no repeat unit \(attachment_points\); row 3: no prompt"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "prompts.csv").write_text(text)
    with pytest.raises(SpecError, match=said):
        read_pairs(tmp_path / "prompts.csv")
