"""Make and judge the bundled models: train, evaluate."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from campaigns.commands import AsJson, app


class BundledModel(StrEnum):
    """The models that the package carries."""

    polytao = "polytao"
    polync = "polync"
    polyscreen = "polyscreen"


Data = Annotated[Path, typer.Option("--data", help="Folder with the polymer data.")]


@app.command()
def train(
    model: Annotated[BundledModel, typer.Argument(help="Which model.")],
    data: Data,
    work: Annotated[Path | None, typer.Option("--work", help="Folder for checkpoints; default training/MODEL.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps in all; default: as shipped.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Processor threads.")] = 1,
    start: Annotated[Path | None, typer.Option("--start", help="Model folder to begin with (polytao).")] = None,
) -> None:
    """Train a bundled model from the polymer data; the same command continues an interrupted run."""
    from campaigns.training import train_model

    train_model(
        model.value, data, work or Path("training") / model.value, steps, threads, start, lambda line: print(line, flush=True)
    )


@app.command()
def evaluate(
    model: Annotated[BundledModel, typer.Argument(help="Which model.")],
    data: Data,
    weights: Annotated[Path | None, typer.Option("--weights", help="Model folder; default: the bundled one.")] = None,
    work: Annotated[Path | None, typer.Option("--work", help="Run polyScreen's published protocol too, in this folder.")] = None,
    json_: AsJson = False,
) -> None:
    """Print a model's figures on repeat units held out of its training."""
    from campaigns.training import evaluate_model

    figures: dict[str, Any] = evaluate_model(
        model.value, data, weights, work, lambda line: print(line, file=sys.stderr if json_ else sys.stdout, flush=True)
    )
    if json_:
        print(json.dumps(figures, allow_nan=False))
