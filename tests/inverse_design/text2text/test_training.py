from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from inverse_design.errors import ModelError
from inverse_design.text2text.t5 import T5, T5Config
from inverse_design.text2text.training import (
    Pairs,
    Schedule,
    begin_with,
    by_length,
    draw,
    load_pairs,
    new_model,
    save_pairs,
    train,
)

CONFIG = T5Config(vocab_size=20, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_decoder_layers=1, num_heads=2)
SCHEDULE = Schedule(steps=40, tokens=96, accumulate=2, muon=0.02, adam=0.01, warmup=5, save_every=20)


def copies() -> list[Pairs]:
    """Sources of one to three tokens, and targets that repeat them."""
    rng = np.random.default_rng(0)
    rows = [[int(token) for token in rng.integers(2, 20, size=rng.integers(1, 4))] for _ in range(400)]
    return by_length([[*row, 1] for row in rows], [[*row, 1] for row in rows], np.ones(len(rows)), longest=10)


def test_training_learns_to_copy_and_resumes_to_the_step(tmp_path: Path) -> None:
    said: list[str] = []
    whole, halves = new_model(CONFIG, 1), new_model(CONFIG, 1)
    for folder in ("whole", "halves"):
        (tmp_path / folder).mkdir()
    train(whole, copies(), SCHEDULE, tmp_path / "whole", said.append)
    _stop_at(20, halves, tmp_path / "halves")
    resumed = new_model(CONFIG, 99)
    train(resumed, copies(), SCHEDULE, tmp_path / "halves", said.append)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert _loss(whole) < 0.5 * _loss(new_model(CONFIG, 1))


def _stop_at(step: int, model: T5, folder: Path) -> None:
    def stop(line: str) -> None:
        if f"step {step + 20}/" in line:
            raise KeyboardInterrupt

    try:
        train(model, copies(), SCHEDULE, folder, stop)
    except KeyboardInterrupt:
        return
    raise AssertionError("was not stopped")


def _loss(model: T5) -> float:
    (source, target), *_ = draw(copies(), np.full(3, 1 / 3), SCHEDULE, 10_000)
    start = torch.cat([torch.zeros_like(target[:, :1]), target[:, :-1]], dim=1)
    with torch.inference_mode():
        return float(F.cross_entropy(model(source, start).flatten(0, 1), target.flatten()))


def test_batches_are_a_function_of_seed_and_step() -> None:
    first, again, other = (draw(copies(), np.full(3, 1 / 3), SCHEDULE, step) for step in (3, 3, 4))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not all(a[0].shape == b[0].shape and torch.equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


def test_rows_are_drawn_by_their_weight() -> None:
    groups = by_length([[2, 1], [3, 1]], [[2, 1], [3, 1]], np.array([9.0, 1.0]), longest=10)
    drawn = [source[:, 0] for step in range(40) for source, _ in draw(groups, np.ones(1), SCHEDULE, step)]
    assert 0.87 < float((torch.cat(drawn) == 2).float().mean()) < 0.93


def test_the_schedule_warms_up_holds_and_falls_to_zero() -> None:
    schedule = Schedule(steps=100, warmup=10, decay=0.4)
    assert [round(schedule.scale(step), 2) for step in (0, 4, 9, 30, 60, 80, 100)] == [0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0]


def test_pairs_survive_a_file(tmp_path: Path) -> None:
    save_pairs(copies(), tmp_path / "pairs.safetensors")
    for kept, made in zip(load_pairs(tmp_path / "pairs.safetensors"), copies(), strict=True):
        assert (kept.source == made.source).all()
        assert (kept.target == made.target).all()
        assert (kept.cumulative == made.cumulative).all()


def test_a_run_begins_with_the_weights_of_a_model_and_not_of_another_network(tmp_path: Path) -> None:
    first, second = new_model(CONFIG, 1), new_model(CONFIG, 2)
    save_file({name: tensor.half() for name, tensor in first.state_dict().items()}, tmp_path / "model.safetensors")
    begin_with(second, tmp_path)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor.half().float(), second.state_dict()[name]), name
    with pytest.raises(ModelError, match="another size"):
        begin_with(new_model(replace(CONFIG, d_ff=32), 1), tmp_path)
