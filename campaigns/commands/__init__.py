"""The commands, one file per purpose. `app` gathers them; options that several of them take are here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from campaigns.storage import location

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="Campaign file (YAML).")]
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", parser=location, help="Campaign folder, also on S3: s3://bucket/campaign.")
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a value of the spec, as in targets.0.min=320.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of text.")]
