"""Models on this machine: list, pull, verify, convert, card."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, app

models = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
convert = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(models, name="models", help="Get, check and describe models.")
models.add_typer(convert, name="convert", help="Turn published files into a model folder, once.")

Name = Annotated[str, typer.Argument(metavar="MODEL", help="bundled:NAME, hub:OWNER/NAME@REVISION, or a folder.")]


@models.command("list")
def list_(json_: AsJson = False) -> None:
    """List the models on this machine: bundled and pulled."""
    from campaigns.models import at_hand

    found = at_hand()
    if json_:
        print(
            json.dumps([{"name": one.name, "kind": one.kind, "digest": one.digest, "folder": str(one.folder)} for one in found])
        )
        return
    width = max(len(one.name) for one in found)
    for one in found:
        size = sum(path.stat().st_size for path in one.folder.iterdir()) / 2**20
        print(f"{one.name:<{width}}  {one.kind:<5}  {size:7.1f} MiB  {one.digest[:12]}  {one.folder}")


@models.command()
def pull(name: Annotated[str, typer.Argument(metavar="MODEL", help="hub:OWNER/NAME, or with @REVISION.")]) -> None:
    """Fetch a model from the hub and print the pinned name that a spec takes."""
    from campaigns.store import located
    from campaigns.store import pull as fetch

    pinned = fetch(name)
    print(pinned)
    print(f"in {located(pinned)}", file=sys.stderr)


@models.command()
def verify(name: Name) -> None:
    """Check every file of a model against its recorded SHA-256, load it, and print its digest."""
    from campaigns.models import find_any, loaded

    model = find_any(name, Path())
    loaded(model)
    print(f"{model.name}: intact and loadable; digest {model.digest}")


@models.command()
def card(name: Name) -> None:
    """Print what a model is, which properties it answers, and its model card."""
    from campaigns.models import description, find_any

    print(description(find_any(name, Path())))


@convert.command()
def t5(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Checkpoint folder with a pytorch_model.bin.")]) -> None:
    """Write model.safetensors beside the pytorch_model.bin of PolyTAO or PolyNC, without running what it holds."""
    from campaigns.store import WEIGHTS, record, refuse_code
    from inverse_design.errors import StateError

    if (folder / WEIGHTS).exists():
        raise StateError(f"{folder / WEIGHTS}: exists already; nothing to convert")
    refuse_code(folder)
    record(folder, "converted")
    print(folder / WEIGHTS)


@convert.command()
def polyscreen(
    checkpoint: Annotated[Path, typer.Argument(metavar="CKPT", help="TensorFlow checkpoint without ending, as in ckpt-43.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Model folder to write.")],
    batch_norm_at_rest: Annotated[
        bool,
        typer.Option(
            help="Multiply hidden activations by 1/sqrt(1.001), as the authors' predictions do: an untrained batch normalisation."
        ),
    ] = True,
) -> None:
    """Read a TensorFlow checkpoint of polyScreen's authors, without TensorFlow, into a model folder."""
    from campaigns.store import record
    from inverse_design.errors import StateError
    from surrogates.tensorflow_checkpoint import convert_polyscreen

    if output.exists():
        raise StateError(f"{output}: exists already; name another folder")
    convert_polyscreen(checkpoint, output, batch_norm_at_rest=batch_norm_at_rest)
    record(output, f"converted from {checkpoint.name}")
    print(output)
