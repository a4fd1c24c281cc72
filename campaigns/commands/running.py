"""Start a campaign and go on with it: properties, init, schema, validate, run, design, resume, amend."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from campaigns.commands import AsJson, Folder, Sets, SpecPath, app
from campaigns.storage import location
from inverse_design.errors import Interrupted, Problem, SpecError

if TYPE_CHECKING:
    from campaigns.results import Results


class ExecutorChoice(StrEnum):
    """Where models run."""

    ray = "ray"
    local = "local"


class Resume(StrEnum):
    """What `run` does with a folder that holds this campaign already."""

    no = "no"
    auto = "auto"


Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes that models run in; default: one per core.")]
Where = Annotated[ExecutorChoice, typer.Option("--executor", help="Run models on Ray, or in processes of this machine.")]
Address = Annotated[
    str | None, typer.Option("--address", help="Ray cluster to join; default: RAY_ADDRESS, else one on this machine.")
]
Track = Annotated[
    list[str] | None, typer.Option("--track", metavar="WHERE", help="Tell of each round: tensorboard or mlflow, repeatable.")
]


@app.command()
def properties(json_: AsJson = False) -> None:
    """List what can be asked for: units, measured or computed, and where known polymers lie."""
    from rich.table import Table

    from campaigns.results import unfolded
    from inverse_design.properties import PROPERTIES
    from inverse_design.reference.measured import Measured

    known = Measured.load()
    found = {name: [float(values[level]) for level in (5, 50, 95)] for name, values in known.quantiles.items()}
    if json_:
        rows = [
            {"property": item.name, "what": item.label, "units": item.accepted}
            | ({"polymers": known.counts[item.name], "quantiles": found[item.name]} if item.name in found else {})
            for item in PROPERTIES.values()
        ]
        print(json.dumps(rows))
        return
    table = Table("property", "what it is", "units, its own first", box=None, pad_edge=False, header_style="bold")
    for heading in ("known polymers", "5 %", "median", "95 %"):
        table.add_column(heading, justify="right")
    for item in PROPERTIES.values():
        numbers = [f"{known.counts[item.name]:,}", *(f"{value:.3g}" for value in found[item.name])] if item.name in found else []
        table.add_row(item.name, item.label, ", ".join(item.accepted), *numbers)
    unfolded().print(table, markup=False)
    print("\nDFT, MD: computed, as are the values that models learned from; an instrument shows others")


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
def validate(
    spec: SpecPath,
    set_: Sets = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Ask too whether models can tell and polymers can have what is asked.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="As --deep, and fail on red.")] = False,
    json_: AsJson = False,
) -> None:
    """Check a campaign file and its models; print everything that is wrong with it."""
    from campaigns.campaign import Campaign

    campaign = Campaign.from_yaml(spec, None, set_ or ())
    campaign.cast()
    checks, deep = [], deep or strict
    if deep:
        from campaigns.preflight import preflight

        checks = preflight(campaign.spec, campaign.base)
    red = [f"{row['check']}: {row['found']}. {row['advice']}" for row in checks if row["level"] == "red"]
    if strict and red:
        raise SpecError([Problem(where="red", message=line, file=str(spec)) for line in red])
    if json_:
        found = {"valid": True, "spec": campaign.spec.model_dump(mode="json", by_alias=True)} | (
            {"checks": checks} if deep else {}
        )
        print(json.dumps(found))
        return
    print(f"{spec}: valid. {campaign.spec.name} asks for")
    for target in campaign.spec.targets:
        from campaigns.results import wanted

        print(f"  {wanted(target)}")
    if deep:
        from campaigns.preflight import told

        print(told(checks))


@app.command()
def run(
    spec: SpecPath,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", parser=location, help="Campaign folder, also on S3; default runs/NAME.")
    ] = None,
    set_: Sets = None,
    workers: Workers = None,
    executor: Where = ExecutorChoice.ray,
    address: Address = None,
    json_: AsJson = False,
    track: Track = None,
    resume: Annotated[
        Resume, typer.Option("--resume", help="auto: start, or go on with the folder if it is this campaign; for schedulers.")
    ] = Resume.no,
) -> None:
    """Run a campaign and print its ranked candidates."""
    from campaigns.campaign import Campaign
    from campaigns.progress import progress

    campaign = Campaign.from_yaml(spec, output, set_ or ())
    go = campaign.resume if resume is Resume.auto and campaign.started() else campaign.run
    with resumable(campaign.folder), progress(campaign.spec, campaign.folder) as tell:
        results = go(workers=workers, executor=executor.value, address=address, tell=tell, track=track or ())
    _finish(results, campaign.folder, json_)


@app.command()
def design(
    property_: Annotated[list[str], typer.Option("--property", help="Property wanted; several go into a file, see init.")],
    low: Annotated[float | None, typer.Option("--min", help="Least value.")] = None,
    high: Annotated[float | None, typer.Option("--max", help="Greatest value.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Unit of the values; default: the property's own.")] = None,
    class_: Annotated[list[str] | None, typer.Option("--class", help="Polymer class, repeatable; default: any.")] = None,
    number: Annotated[int, typer.Option("-n", min=1, help="Candidates wanted.")] = 25,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Campaign folder; default runs/NAME.")] = None,
    set_: Sets = None,
    workers: Workers = None,
    executor: Where = ExecutorChoice.ray,
    address: Address = None,
    json_: AsJson = False,
) -> None:
    """Find polymers with one property in one line: write the campaign file it stands for, beside its folder, and run it."""
    from campaigns.storage import Disk
    from campaigns.template import one_liner
    from campaigns.yaml_source import parse_spec
    from inverse_design.errors import StateError

    if len(property_) > 1:  # whose bounds are whose, options can't tell, and the last one would do as if it were alone
        raise SpecError(
            f"--property: design takes one, not {' and '.join(property_)}; 'inverse-design init' writes a file for several"
        )
    text = one_liner(property_[0], low, high, unit, class_ or (), number)
    wanted = parse_spec(text, "design", set_ or ())
    folder = output or Path("runs") / wanted.name
    path = folder.with_name(f"{folder.name}.yaml")
    if path.exists() and path.read_bytes() != text.encode():
        raise StateError(f"{path}: exists and says something else; name another folder with -o")
    Disk().make_folder(path.parent)
    Disk().write(path, text.encode())
    print(f"spec: {path}; to change it, edit it and: inverse-design run {path} -o OTHER_DIR", file=sys.stderr)
    run(path, folder, set_, workers, executor, address, json_)


@app.command()
def resume(
    folder: Folder,
    set_: Sets = None,
    workers: Workers = None,
    executor: Where = ExecutorChoice.ray,
    address: Address = None,
    json_: AsJson = False,
    track: Track = None,
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
    with resumable(folder), progress(campaign.spec, campaign.folder) as tell:
        results = campaign.resume(workers=workers, executor=executor.value, address=address, tell=tell, track=track or ())
    _finish(results, folder, json_)


@app.command()
def amend(folder: Folder, set_: Sets = None, json_: AsJson = False) -> None:
    """Change targets, confidence, want or budget of a campaign and judge all its candidates anew, running no model."""
    from campaigns.campaign import Campaign

    amended, changes = Campaign.load(folder).amend(set_ or ())
    results = amended.results()
    if json_:
        print(json.dumps({"changed": changes} | results.document(), allow_nan=False))
        return
    results.print_table()
    print("\n" + "\n".join(changes) + f"\n{results.sentence()}", file=sys.stderr)
    if results.verdict() is None:
        print(f"go on: inverse-design resume {folder}", file=sys.stderr)


@contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Say how to go on with what is interrupted."""
    try:
        yield
    except Interrupted as error:
        raise Interrupted(f"{error}\ngo on with: inverse-design resume {folder}") from error


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
