"""Muon: momentum whose every matrix is made orthogonal before it is stepped along (Jordan et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

HALF = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
"""Whether this processor multiplies in bfloat16: three times faster here, and 20 times slower where it is emulated."""


class Muon(torch.optim.Optimizer):
    """Steps of matrices, (..., rows, columns), along momentum orthogonalised by Newton-Schulz, in bfloat16 where the processor has it.

    `torch.optim.Muon` iterates in bfloat16 everywhere, and takes no stacks.
    """

    def __init__(self, params: list[dict[str, Any]], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            stacks: dict[torch.Size, list[torch.nn.Parameter]] = {}
            for parameter in group["params"]:
                stacks.setdefault(parameter.shape, []).append(parameter)
            for parameters in stacks.values():
                updates = []
                for parameter in parameters:
                    state = self.state[parameter]
                    velocity = state.setdefault("velocity", torch.zeros_like(parameter))
                    velocity.mul_(group["momentum"]).add_(parameter.grad)
                    updates.append(parameter.grad + group["momentum"] * velocity)
                for parameter, update in zip(parameters, orthogonal(torch.stack(updates)), strict=True):
                    rows, columns = parameter.shape[-2:]
                    parameter.add_(update, alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonal(x: Tensor) -> Tensor:
    """Return the nearest matrices with orthonormal rows or columns (n, rows, columns), by a quintic iteration (singular values 0.7 to 1.2)."""
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-7)
    x = x.bfloat16() if HALF else x
    a, b, c = 3.4445, -4.7750, 2.0315
    for _ in range(4):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.mT if tall else x).float()
