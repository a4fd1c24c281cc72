"""The ranked list: what passes first, then what is better in the directions asked for, then the likelier to pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inverse_design.acquisition.history import History
from inverse_design.correction import packed, tanimoto
from inverse_design.state import Candidate, Candidates, State
from inverse_design.target import Target


def ranked(state: State) -> Candidates:
    """Return all scored candidates, best first: passing, Pareto front, probability, then easier to make and more novel."""
    history = state.history()
    rows = history.scored
    passing = state.passing().numbers
    fronts = np.zeros(len(rows), dtype=np.int64)
    if any(target.direction for target in state.spec.targets):
        fronts[np.isin(rows, passing)] = pareto_fronts(_objectives(state.spec.targets, history, passing))
    keys = {
        "missing": pa.array(~np.isin(rows, passing)),
        "front": pa.array(fronts),
        "improbability": pa.array(-np.round(np.exp(history.log_feasibility[rows]), 6)),
        **{name: state.column(name, rows) for name in ("sa_score", "similarity", "canonical")},
    }
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
    return Candidates(state, rows[order.to_numpy()])


def diverse(candidates: Sequence[Candidate], count: int, similarity: float = 0.6) -> list[Candidate]:
    """Return `count` candidates of a ranked list, each the best one that is not like those before it, in the order of the list.

    Like means a Tanimoto similarity of at least `similarity`; the bound is raised step by step where too few are left.
    """
    bits = packed([candidate.canonical for candidate in candidates])
    chosen: list[int] = []
    while len(chosen) < min(count, len(candidates)):
        for number in range(len(candidates)):
            if len(chosen) == count:
                break
            fresh = number not in chosen and not np.any(tanimoto(bits[[number]], bits[chosen]) >= similarity)
            chosen += [number] if fresh else []
        similarity += 0.1
    return [candidates[number] for number in sorted(chosen)]


def _objectives(targets: Sequence[Target], history: History, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Predicted means in the directions asked for, (n, k), larger is better."""
    signs = {"maximize": 1.0, "minimize": -1.0}
    return np.stack(
        [signs[target.direction] * history.mean[target.property][rows] for target in targets if target.direction is not None],
        axis=1,
    )


def pareto_fronts(values: NDArray[np.float64], most: int = 50) -> list[int]:
    """Return the front of each row of (n, k) values to maximise: 0 for rows that nothing dominates, and so on to `most`."""
    if values.shape[1] == 1:  # every distinct value is a front
        _, inverse = np.unique(-values[:, 0], return_inverse=True)
        return [min(int(front), most) for front in inverse]
    fronts = np.full(len(values), most)
    left = np.arange(len(values))
    for front in range(most):
        if not len(left):
            break
        # In this order, nothing can be dominated by what comes after it.
        order = left[np.lexsort(-values[left].T[::-1])]
        best = np.empty((0, values.shape[1]))
        rows: list[int] = []
        for row in order:
            above = best >= values[row]
            if not (above.all(axis=1) & (best > values[row]).any(axis=1)).any():
                best = np.concatenate([best, values[row][None]])
                rows.append(int(row))
        fronts[rows] = front
        left = np.setdiff1d(left, rows)
    return [int(front) for front in fronts]
