"""Train a T5 on pairs of token sequences: stateless sampling by step, Muon and AdamW, checkpoints that resume exactly.

Every batch holds rows of one source and one target length, so nothing is padded; one optimiser step adds the
gradients of a few such batches.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from inverse_design.errors import ModelError
from inverse_design.muon import HALF, Muon
from inverse_design.text2text.t5 import T5, T5Config


class Recipe(Protocol):
    """What a training run does at each step: a function of the step alone, so that it resumes exactly."""

    @property
    def steps(self) -> int: ...

    @property
    def save_every(self) -> int: ...

    @property
    def half(self) -> bool:
        """Whether products are computed in bfloat16; weights and sums stay in single precision."""

    def scale(self, step: int) -> float:
        """Return the factor on the peak step sizes at `step`."""

    def optimisers(self, model: T5) -> list[torch.optim.Optimizer]:
        """Return fresh optimisers whose groups have their `peak` step size."""

    def batches(self, groups: list[Pairs], step: int) -> list[tuple[Tensor, Tensor]]:
        """Return the (source ids, target ids) whose gradients are added up in `step`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Length and step size of a run: warm-up, constant, then linear decay to zero over the last part."""

    steps: int
    tokens: int = 1100
    accumulate: int = 3
    muon: float = 0.02
    adam: float = 8e-3
    warmup: int = 100
    decay: float = 0.4
    seed: int = 0
    save_every: int = 100
    half: bool = HALF

    def lasting(self, steps: int) -> Schedule:
        """Return the same schedule over another number of steps."""
        return replace(self, steps=steps)

    def optimisers(self, model: T5) -> list[torch.optim.Optimizer]:
        """Muon for the hidden matrices, AdamW for the rest."""
        return _optimisers(model, self)

    def batches(self, groups: list[Pairs], step: int) -> list[tuple[Tensor, Tensor]]:
        """Return rows drawn by weight: (source ids, target ids), a function of the seed and the step alone."""
        # A batch holds `tokens` tokens, so fewer long molecules: draw long lengths more often to keep the mix.
        weights = np.array([group.cumulative[-1] * group.target.shape[1] for group in groups])
        return draw(groups, weights / weights.sum(), self, step)

    def scale(self, step: int) -> float:
        """Return the factor on both step sizes at `step`."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return min(1.0, (step + 1) / self.warmup, max(0.0, left))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Rows of one (source, target) length: ids (n, S) and (n, T), and the cumulative weight of the rows (n,)."""

    source: NDArray[np.int16]
    target: NDArray[np.int16]
    cumulative: NDArray[np.float64]


def by_length(sources: list[list[int]], targets: list[list[int]], weights: NDArray[np.float64], longest: int) -> list[Pairs]:
    """Group rows by their two lengths, leaving out targets longer than `longest` tokens."""
    groups: dict[tuple[int, int], list[int]] = {}
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if len(target) <= longest:
            groups.setdefault((len(source), len(target)), []).append(row)
    return [
        Pairs(
            source=np.array([sources[row] for row in rows], dtype=np.int16),
            target=np.array([targets[row] for row in rows], dtype=np.int16),
            cumulative=np.cumsum(weights[rows]),
        )
        for rows in groups.values()
    ]


def save_pairs(groups: list[Pairs], path: Path) -> None:
    """Keep tokenised pairs in a file."""
    tensors = {
        f"{index}.{name}": getattr(group, name)
        for index, group in enumerate(groups)
        for name in ("source", "target", "cumulative")
    }
    part = path.with_suffix(".part")
    save_arrays(tensors, part)
    part.replace(path)


def load_pairs(path: Path) -> list[Pairs]:
    """Return what `save_pairs` kept."""
    tensors = load_arrays(path)
    return [
        Pairs(**{name: tensors[f"{index}.{name}"] for name in ("source", "target", "cumulative")})
        for index in range(len(tensors) // 3)
    ]


def draw(groups: list[Pairs], shares: NDArray[np.float64], schedule: Schedule, step: int) -> list[tuple[Tensor, Tensor]]:
    """Return the batches of `step`: (source ids, target ids), a function of the seed and the step alone."""
    rng = np.random.default_rng([schedule.seed, step])
    batches = []
    for index in rng.choice(len(groups), size=schedule.accumulate, p=shares):
        group = groups[index]
        size = max(1, schedule.tokens // group.target.shape[1])
        rows = np.searchsorted(group.cumulative, rng.random(size) * group.cumulative[-1], side="right")
        rows = np.minimum(rows, len(group.cumulative) - 1)
        batches.append((torch.from_numpy(group.source[rows]).long(), torch.from_numpy(group.target[rows]).long()))
    return batches


def train(model: T5, groups: list[Pairs], schedule: Recipe, folder: Path, say: Callable[[str], None]) -> None:
    """Train `model` in place; continues from `folder` when it holds a checkpoint of an earlier start."""
    optimisers = schedule.optimisers(model)
    start = _load(model, optimisers, folder)
    began, losses = time.monotonic(), []
    for step in range(start, schedule.steps):
        batches = schedule.batches(groups, step)
        count = sum(target.numel() for _, target in batches)
        total = 0.0
        for source, target in batches:
            begin = torch.full_like(target[:, :1], model.config.decoder_start_token_id)
            with torch.autocast("cpu", torch.bfloat16, enabled=schedule.half):
                logits = model(source, torch.cat([begin, target[:, :-1]], dim=1))
            loss = F.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="sum") / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * schedule.scale(step)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        losses.append(total)
        done = step + 1
        if done % 20 == 0:
            say(
                f"step {done}/{schedule.steps} loss {np.mean(losses[-20:]):.4f} s/step {(time.monotonic() - began) / (done - start):.2f}"
            )
        if done % schedule.save_every == 0 or done == schedule.steps:
            _save(model, optimisers, folder, done)


def _optimisers(model: T5, schedule: Schedule) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings and norms. Queries are drawn 1 / sqrt(d_kv) smaller, so step smaller."""
    queries: list[torch.nn.Parameter] = []
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or "shared" in name or "relative" in name or "lm_head" in name:
            others.append(parameter)
        else:
            (queries if name.endswith(".q.weight") else matrices).append(parameter)
    small = schedule.muon * model.config.d_kv**-0.5
    groups = [{"params": matrices, "peak": schedule.muon}, {"params": queries, "peak": small}]
    adam = torch.optim.AdamW([{"params": others, "peak": schedule.adam}], schedule.adam, betas=(0.9, 0.95), weight_decay=0.0)
    return [Muon(groups, schedule.muon), adam]


def _save(model: T5, optimisers: list[torch.optim.Optimizer], folder: Path, step: int) -> None:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, optimiser in enumerate(optimisers):
        for key, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{index}.{key}.{name}": torch.as_tensor(value).clone() for name, value in state.items()}
    part = folder / "checkpoint.part"
    save_file(tensors, part, {"step": str(step)})
    part.replace(folder / "checkpoint.safetensors")
    (folder / "progress.json").write_text(json.dumps({"step": step}), encoding="utf-8")


def _load(model: T5, optimisers: list[torch.optim.Optimizer], folder: Path) -> int:
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return 0
    tensors = load_file(path)
    model.load_state_dict({name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")})
    for index, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(f"optimiser.{index}."):
                _, _, key, field = name.split(".", 3)
                state.setdefault(int(key), {})[field] = tensor
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(json.loads((folder / "progress.json").read_text(encoding="utf-8"))["step"])


def new_model(config: T5Config, seed: int) -> T5:
    """Return a T5 with fresh weights."""
    model = T5(config)
    model.initialise(seed)
    return model


def begin_with(model: T5, folder: Path) -> None:
    """Give `model` the weights in `folder`; raises ModelError where they are those of another network."""
    tensors = load_file(folder / "model.safetensors")
    try:
        model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError:
        raise ModelError(f"{folder}: a network of another size than the bundled one; a run cannot begin with it") from None
