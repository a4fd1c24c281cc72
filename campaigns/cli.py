"""The command line: `inverse-design run spec.yaml`. Data goes to stdout, talk to stderr; exit codes are in README."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version as package_version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inverse_design.errors import EngineError, Interrupted, SpecError

if TYPE_CHECKING:
    from campaigns.results import Results

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})


class ExecutorChoice(StrEnum):
    """Where models run."""

    ray = "ray"
    local = "local"


class Format(StrEnum):
    """File formats of an export."""

    csv = "csv"
    parquet = "parquet"
    json = "json"
    sdf = "sdf"


class BundledModel(StrEnum):
    """The models that the package carries."""

    polytao = "polytao"
    polync = "polync"
    polyscreen = "polyscreen"


SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="Campaign file (YAML).")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a value of the spec, as in targets.0.min=320.")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes per model; default: one per core.")]
Where = Annotated[ExecutorChoice, typer.Option("--executor", help="Run models on Ray, or in processes of this machine.")]
Address = Annotated[
    str | None, typer.Option("--address", help="Ray cluster to join; default: RAY_ADDRESS, else one on this machine.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")]
Data = Annotated[Path, typer.Option("--data", help="Folder with the polymer data.")]


def main() -> None:
    """Run the command line; a failure with a known cause is one message and its exit code, never a traceback."""
    as_json = "--json" in sys.argv[1:]
    try:
        with _signals():
            app()
    except EngineError as error:
        if as_json:
            problems = [str(problem) for problem in error.problems] if isinstance(error, SpecError) else [str(error)]
            print(json.dumps({"error": type(error).__name__, "problems": problems, "exit_code": error.exit_code}))
        else:
            print(f"inverse-design: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output left, which is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@contextmanager
def _signals() -> Iterator[None]:
    """First Ctrl-C, SIGTERM or SIGUSR1: stop resumably. A second one: at once."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            os._exit(130)
        stopped = True
        raise Interrupted(f"stopped by {signal.Signals(number).name}; every finished shard is kept: inverse-design resume DIR")

    names = [name for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more of what happens.")] = False,
) -> None:
    """Find polymers that have the properties you ask for."""
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


@app.command()
def run(
    spec: SpecPath,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Campaign folder; default runs/NAME.")] = None,
    set_: Sets = None,
    workers: Workers = None,
    executor: Where = ExecutorChoice.ray,
    address: Address = None,
    json_: AsJson = False,
) -> None:
    """Run a campaign and print its ranked candidates."""
    from campaigns.campaign import Campaign
    from campaigns.progress import progress

    campaign = Campaign.from_yaml(spec, output, set_ or ())
    with progress(campaign.spec, campaign.folder) as tell:
        results = campaign.run(workers=workers, executor=executor.value, address=address, tell=tell)
    _finish(results, campaign.folder, json_)


@app.command()
def resume(
    folder: Folder,
    set_: Sets = None,
    workers: Workers = None,
    executor: Where = ExecutorChoice.ray,
    address: Address = None,
    json_: AsJson = False,
) -> None:
    """Go on with a campaign that was stopped; --set may change budget and want."""
    from campaigns.campaign import Campaign
    from campaigns.progress import progress
    from inverse_design.errors import StateError

    campaign = Campaign.load(folder, set_ or ())
    end = campaign.results().verdict()
    if end is not None and not set_:
        raise StateError(
            f"{folder}: is finished ({end.reason}: {end.sentence}) Give it more with --set budget.rounds=40 or --set want.candidates=50."
        )
    with progress(campaign.spec, campaign.folder) as tell:
        results = campaign.resume(workers=workers, executor=executor.value, address=address, tell=tell)
    _finish(results, folder, json_)


def _finish(results: Results, folder: Path, as_json: bool) -> None:
    end = results.verdict()
    assert end is not None
    if as_json:
        print(json.dumps(results.document(), allow_nan=False))
    else:
        results.print_table()
        print(f"\n{end.reason}: {end.sentence}", file=sys.stderr)
        print(f"report: {folder / 'report.html'}    all candidates: inverse-design export {folder}", file=sys.stderr)
    sys.exit(end.exit_code)


@app.command()
def status(folder: Folder, json_: AsJson = False) -> None:
    """Say how far a campaign is."""
    from campaigns.campaign import Campaign

    results = Campaign.load(folder).results()
    if json_:
        print(json.dumps(results.summary(), allow_nan=False))
    else:
        print(results.sentence())


@app.command()
def validate(spec: SpecPath, set_: Sets = None, json_: AsJson = False) -> None:
    """Check a campaign file and its models; print everything that is wrong with it."""
    from campaigns.campaign import Campaign
    from campaigns.models import Cast

    campaign = Campaign.from_yaml(spec, None, set_ or ())
    Cast.of(campaign.spec, campaign.base)
    if json_:
        print(json.dumps({"valid": True, "spec": campaign.spec.model_dump(mode="json", by_alias=True)}))
        return
    print(f"{spec}: valid. {campaign.spec.name} asks for")
    for target in campaign.spec.targets:
        from campaigns.results import wanted

        print(f"  {wanted(target)}")


@app.command()
def export(
    folder: Folder,
    format_: Annotated[Format, typer.Option("--format", help="File format.")] = Format.csv,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Only the best N.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File; default DIR/exports/candidates.FORMAT.")] = None,
) -> None:
    """Write the ranked candidates to a file and print its path."""
    from campaigns.campaign import Campaign

    path = output or folder / "exports" / f"candidates.{format_.value}"
    Campaign.load(folder).results().export(path, format_.value, top)
    print(path)


@app.command()
def report(
    folder: Folder, output: Annotated[Path | None, typer.Option("-o", "--output", help="File; default DIR/report.html.")] = None
) -> None:
    """Write the report, one HTML file, and print its path."""
    from campaigns.campaign import Campaign
    from campaigns.storage import Disk

    path = output or folder / "report.html"
    Disk().write(path, Campaign.load(folder).results().report().encode())
    print(path)


@app.command()
def init(path: Annotated[Path, typer.Argument(metavar="SPEC", help="File to write.")] = Path("campaign.yaml")) -> None:
    """Write a commented campaign file to start from."""
    from campaigns.storage import Disk
    from campaigns.template import template
    from inverse_design.errors import StateError

    if path.exists():
        raise StateError(f"{path}: exists already; name another file")
    Disk().write(path, template().encode())
    print(path)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a campaign file, for editors."""
    from inverse_design.spec import json_schema

    print(json.dumps(json_schema(), indent=2))


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


@app.command()
def version() -> None:
    """Print the version."""
    print(package_version("inverse-design"))


if __name__ == "__main__":
    main()
