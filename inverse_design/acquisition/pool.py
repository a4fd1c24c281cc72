"""The prompts weighed in a round: real descriptor vectors, and moves around the best found so far.

A box over the descriptors is almost empty of molecules (0.17 % of it satisfies the sums over rings alone), so
prompts come from polymers: those of the bundled reference table, and steps from those that pass, as known polymers differ there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from inverse_design.acquisition.features import Array, IntVectors, Scale
from inverse_design.descriptor_names import COLUMN
from inverse_design.descriptors import project

CHUNK = 500
"""Vectors whose distances are computed at once: 16 MB."""
AROUND, ALIKE = 50, 8
"""Known polymers near a vector that is moved, and those most like one of them."""
SCREENED = 6
"""Real vectors looked at for each one taken for its promise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Least and greatest value per descriptor, from the spec; missing descriptors are free."""

    limits: Mapping[str, tuple[float, float]]

    def allow(self, vectors: IntVectors) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which of (n, 15) vectors lie within the bounds."""
        inside = np.ones(len(vectors), dtype=bool)
        for name, (low, high) in self.limits.items():
            column = vectors[:, COLUMN[name]]
            inside &= (column >= low) & (column <= high)
        return inside


class Realism:
    """The reference, thinned out: how far from it a vector may lie (its own 99th percentile of nearest-neighbour distance), and how
    polymers of it differ that are alike."""

    def __init__(self, prior: IntVectors, scale: Scale, *, sample: int = 4000) -> None:
        step = max(1, len(prior) // sample)
        self.vectors = prior[::step]
        self.points: Array = scale(self.vectors)
        own = self._nearest(scale(prior[step // 2 :: step]) if step > 1 else self.points, skip_self=step == 1)
        self.limit = float(np.quantile(own, 0.99))
        self.scale = scale

    def _squares(self, x: Array) -> Iterator[Array]:
        # In 14 dimensions a matrix product is quicker than a tree.
        own = (self.points**2).sum(axis=1)
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK]
            yield (part**2).sum(axis=1)[:, None] + own - 2 * part @ self.points.T

    def _nearest(self, x: Array, *, skip_self: bool = False) -> Array:
        found = [np.partition(squares, 1, axis=1)[:, 1] if skip_self else squares.min(axis=1) for squares in self._squares(x)]
        return np.asarray(np.sqrt(np.maximum(np.concatenate(found), 0.0)), dtype=np.float64)

    def _one_near(self, x: Array, count: int, rng: np.random.Generator) -> IntVectors:
        """Return the row of one of the `count` points nearest to each of (n, 14), by chance; (n,)."""
        count = min(count, len(self.points))
        rows = [np.argpartition(squares, count - 1, axis=1)[:, :count] for squares in self._squares(x)]
        return np.concatenate(rows)[np.arange(len(x)), rng.integers(count, size=len(x))]

    def moves(self, parents: IntVectors, count: int, rng: np.random.Generator) -> IntVectors:
        """Return `count` random parents, each changed by what tells two known polymers apart that are alike and near it; (count, 15).

        Differential evolution (Storn and Price, J. Glob. Optim. 11:341, 1997) with differences from nearby: a fluorine more comes with its weight and
        its heteroatom, where steps of one descriptor at a time ask for molecules that there are not.
        """
        if not len(parents) or not count:
            return np.zeros((0, 15), dtype=np.int64)
        x = parents[rng.integers(len(parents), size=count)].astype(np.int64)
        one = self._one_near(self.scale(x), AROUND, rng)
        other = self._one_near(self.points[one], ALIKE + 1, rng)  # itself among them
        return project(x + self.vectors[other] - self.vectors[one])

    def real(self, vectors: IntVectors) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which of (n, 15) vectors lie within the reference."""
        return np.asarray(self.distance(vectors) <= self.limit)

    def distance(self, vectors: IntVectors) -> Array:
        """Return how far each of (n, 15) vectors lies from the reference, in scaled features."""
        return self._nearest(self.scale(vectors)) if len(vectors) else np.zeros(0)


def build(
    prior: IntVectors,
    parents: IntVectors,
    size: int,
    bounds: Bounds,
    realism: Realism,
    rng: np.random.Generator,
    promise: Callable[[IntVectors], Array] | None = None,
) -> tuple[IntVectors, dict[str, int]]:
    """Return up to `size` distinct prompts (n, 15) within bounds and how many came from where.

    Nine in twenty from the prior, as many from moves around the parents, the rest the parents themselves. With `promise`, half of
    the prior's share is the most promising of `SCREENED` times as many.
    """
    from_prior = prior[rng.choice(len(prior), size=min(len(prior), size), replace=False)]
    if len(parents) and promise is not None and len(prior) > size:
        half = int(0.225 * size)
        others = prior[rng.choice(len(prior), size=min(len(prior), SCREENED * half), replace=False)]
        from_prior = np.concatenate([others[np.argsort(-promise(others), kind="stable")[:half]], from_prior])
    if len(parents):
        from_prior = from_prior[: int(0.45 * size)]
    moved = realism.moves(parents, int(0.6 * size), rng)
    moved = moved[bounds.allow(moved) & realism.real(moved)][: int(0.45 * size)]
    own = parents[: int(0.1 * size)]
    own = own[bounds.allow(own)]
    pool = np.concatenate([from_prior, moved, own]).astype(np.int64)
    _, first = np.unique(pool, axis=0, return_index=True)
    return pool[np.sort(first)], {"prior": len(from_prior), "moves": len(moved), "parents": len(own)}
