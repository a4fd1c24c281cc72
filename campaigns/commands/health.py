"""Is this machine fit for a campaign: doctor."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from campaigns.commands import AsJson, app
from campaigns.storage import location
from inverse_design.errors import ModelError

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


@app.command()
def doctor(
    folder: Annotated[Path, typer.Argument(metavar="DIR", parser=location, help="Where campaigns go, or one campaign.")] = Path(
        "runs"
    ),
    address: Annotated[str | None, typer.Option("--address", help="Ray cluster to ask; default: RAY_ADDRESS.")] = None,
    json_: AsJson = False,
) -> None:
    """Look at versions, models, file system, room and Ray; say what would keep a campaign from running (exit 5)."""
    from campaigns.doctor import examine

    findings = list(examine(folder, address or os.environ.get("RAY_ADDRESS")))
    if json_:
        print(json.dumps({"schema_version": 1, "findings": [asdict(finding) for finding in findings]}))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            print(f"{MARKS[finding.status]}  {finding.what:<{width}}  {finding.says}")
    if any(finding.status == "fail" for finding in findings):
        sys.exit(ModelError.exit_code)
