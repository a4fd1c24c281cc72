"""Make and judge the bundled models: train, calibrate, evaluate."""

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
    tanimoto = "tanimoto"


class Calibrated(StrEnum):
    """Surrogates whose error bars are measured apart from training; tanimoto's come with it."""

    polync = "polync"
    polyscreen = "polyscreen"


class Judged(StrEnum):
    """What has held-out figures: each model, the surrogates together, and everything."""

    polytao = "polytao"
    polync = "polync"
    polyscreen = "polyscreen"
    tanimoto = "tanimoto"
    consensus = "consensus"
    all = "all"


Data = Annotated[Path, typer.Option("--data", help="Folder with the polymer data.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Model folder; default: the bundled one.")]


@app.command()
def train(
    model: Annotated[BundledModel, typer.Argument(help="Which model.")],
    data: Data,
    work: Annotated[Path | None, typer.Option("--work", help="Folder for checkpoints; default training/MODEL.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps in all; default: as shipped.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Processor threads.")] = 1,
    start: Annotated[Path | None, typer.Option("--start", help="Model folder to begin with (polytao, polync).")] = None,
) -> None:
    """Train a bundled model from the polymer data; the same command continues an interrupted run."""
    from campaigns.training import train_model

    train_model(
        model.value, data, work or Path("training") / model.value, steps, threads, start, lambda line: print(line, flush=True)
    )


class FineTunable(StrEnum):
    """The models that are fine-tuned."""

    polytao = "polytao"


@app.command()
def finetune(
    model: Annotated[FineTunable, typer.Argument(help="Which model.")],
    table: Annotated[Path, typer.Option("--csv", help="Table with the columns prompt and target.")],
    start: Annotated[
        str, typer.Option("--model", help="What to begin with: a folder, hub:OWNER/NAME@REVISION or bundled:polytao.")
    ] = "bundled:polytao",
    work: Annotated[Path | None, typer.Option("--work", help="Folder for checkpoints; default training/finetune.")] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="How often every row is seen.")] = 10,
    rate: Annotated[float, typer.Option("--rate", min=1e-8, max=1.0, help="Peak step size; the authors' by default.")] = 2e-5,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Processor threads.")] = 1,
) -> None:
    """Fine-tune PolyTAO on prompts of one's own, by its authors' recipe; the same command continues an interrupted run."""
    from campaigns.models import GENERATORS, find
    from generators.finetune import finetune_polytao

    found = find(start, GENERATORS, Path())
    folder = work or Path("training") / "finetune"
    print(
        finetune_polytao(
            table, found.folder, folder, epochs, rate, threads, lambda line: print(line, file=sys.stderr, flush=True)
        )
    )


@app.command()
def calibrate(model: Annotated[Calibrated, typer.Argument(help="Which surrogate.")], data: Data, weights: Weights = None) -> None:
    """Measure the error bars of a surrogate's weights again, on repeat units kept for that; writes calibration.json."""
    from campaigns.training import calibrate_model

    calibrate_model(model.value, data, weights)


@app.command()
def evaluate(
    model: Annotated[Judged, typer.Argument(help="Which model, the surrogates together, or all.")],
    data: Data,
    weights: Weights = None,
    work: Annotated[Path | None, typer.Option("--work", help="Run polyScreen's published protocol too, in this folder.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for tables, figures and plots.")] = None,
    json_: AsJson = False,
) -> None:
    """Print a model's figures on repeat units held out of its training, each table of its card."""
    from campaigns.training import evaluate_models

    figures: dict[str, Any] = evaluate_models(
        model.value, data, weights, work, output, lambda line: print(line, file=sys.stderr if json_ else sys.stdout, flush=True)
    )
    if json_:
        print(json.dumps(figures, allow_nan=False))
