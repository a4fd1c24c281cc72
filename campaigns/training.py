"""Which function trains and which one judges each bundled model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaigns.models import GENERATORS, SURROGATES
from inverse_design.errors import ModelError, SpecError

Say = Callable[[str], None]


def _existing(data: Path) -> Path:
    if not (data / "structures.parquet").exists():
        raise ModelError(f"{data}: no structures.parquet here; name the folder with the polymer data")
    return data


def train_model(model: str, data: Path, work: Path, steps: int | None, threads: int, start: Path | None, say: Say) -> None:
    """Train `model` in `work`; ModelError where the data is not in `data`, SpecError for an option that is not the model's."""
    _existing(data)
    if start is not None and model != "polytao":
        raise SpecError("--start: only polytao can begin with the weights of another run")
    if steps is not None and model == "polyscreen":
        raise SpecError("--steps: polyscreen stops by itself, on a fold left out")
    if model == "polytao":
        from generators.train import SHIPPED, train_polytao

        train_polytao(data, work, SHIPPED if steps is None else SHIPPED.lasting(steps), threads, say, start)
    elif model == "polync":
        from surrogates.train_polync import SHIPPED as ASKED
        from surrogates.train_polync import train_polync

        train_polync(data, work, ASKED if steps is None else ASKED.lasting(steps), threads, say)
    else:
        from surrogates.train_polyscreen import train_polyscreen

        train_polyscreen(data, work, threads, say)


def evaluate_model(model: str, data: Path, weights: Path | None, work: Path | None, say: Say) -> dict[str, Any]:
    """Print and return the held-out figures of `model`; with `work`, those of the protocol of polyScreen's authors too."""
    _existing(data)
    if work is not None and model != "polyscreen":
        raise SpecError("--work: only polyscreen has a protocol that trains networks of its own")
    folder = weights or (GENERATORS | SURROGATES)[f"bundled:{model}"]
    if model == "polytao":
        from generators.evaluate import evaluate_polytao

        return evaluate_polytao(data, folder, say)
    if model == "polync":
        from surrogates.evaluation import evaluate_polync

        return evaluate_polync(data, folder, say)
    from surrogates.evaluate_polyscreen import evaluate_polyscreen

    return evaluate_polyscreen(data, folder, say, work)
