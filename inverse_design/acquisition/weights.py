"""From utilities to prompts drawn: a temperature that keeps the batch spread, repulsion within it, whole sample counts."""

from __future__ import annotations

import numpy as np

from inverse_design.acquisition.features import Array


def effective_size(weights: Array) -> float:
    """Return the effective sample size 1 / sum(w^2) of weights that add to one (Kish 1965)."""
    return float(1.0 / np.sum(weights**2))


def softmax(log_utility: Array, temperature: float) -> Array:
    """Return weights proportional to exp(log_utility / temperature)."""
    scaled = log_utility / temperature
    raised = np.exp(scaled - scaled.max())
    return np.asarray(raised / raised.sum(), dtype=np.float64)


def tempered(log_utility: Array, wanted: float, *, prior_share: float = 0.1) -> tuple[Array, float]:
    """Return (weights, temperature): (1 - e) softmax(log u / T) + e / n with T such that the softmax's effective size is `wanted`.

    T is found by bisection, so that the weights neither collapse onto one prompt nor go flat.
    """
    count = len(log_utility)
    low, high = 1e-3, 1e3
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        if effective_size(softmax(log_utility, middle)) < min(wanted, 0.999 * count):
            low = middle
        else:
            high = middle
    weights = (1 - prior_share) * softmax(log_utility, high) + prior_share / count
    return weights, high


def repelled(weights: Array, near: Array, count: int, rng: np.random.Generator) -> list[int]:
    """Draw `count` prompts one by one, each lowering the weight of its neighbours by its closeness; near: (n, n) in [0, 1]."""
    left = weights.copy()
    chosen: list[int] = []
    for _ in range(count):
        total = left.sum()
        if total <= 1e-12:
            left, total = weights.copy(), weights.sum()
        index = int(np.searchsorted(np.cumsum(left), rng.random() * total, side="right").clip(max=len(left) - 1))
        chosen.append(index)
        left = left * (1 - near[index])
    return chosen
