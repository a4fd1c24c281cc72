"""Whether a list of polymers or monomers of the user's own can be read, found out before any model is loaded."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from inverse_design.spec import CampaignSpec

BUILT_IN: Final = ("bundled", "none")
COLUMNS: Final = ("psmiles", "PSMILES", "smiles", "SMILES", "Smiles")  # as in novelty, which loads RDKit


def reference_source(spec: CampaignSpec, folder: Path) -> str | Path:
    """Return what `novelty.Reference.load` takes: a built-in name, or the file a spec in `folder` names."""
    name = spec.novelty.reference
    return name if name in BUILT_IN else folder / name


def problem_with_reference(name: str, folder: Path) -> str | None:
    """Return why the reference that a spec in `folder` names cannot be used, or None; reads no further than one polymer."""
    problem = None if name in BUILT_IN else _problem(folder / name, "polymer", "a CSV file, bundled or none")
    return problem and f"{name} {problem}"


def problem_with_stock(name: str, folder: Path) -> str | None:
    """Return why the list of monomers that a spec in `folder` names cannot be used, or None; reads no further than one."""
    problem = _problem(folder / name, "monomer", "a CSV file")
    return problem and f"{name} {problem}"


def _problem(path: Path, what: str, wanted: str) -> str | None:
    try:
        if path.is_dir():
            return f"is a folder; name {wanted}"
        if not path.exists():
            return f"does not exist; name {wanted.replace('file', 'file (relative to the campaign file)', 1)}"
        if not path.is_file():
            return f"is not a regular file; name {wanted}"
        if path.suffix == ".safetensors" and what == "polymer":
            return None
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            names = table.fieldnames or ()
            column = next((name for name in COLUMNS if name in names), None)
            if not names:
                return f"is empty; it needs a column {COLUMNS[0]} and one {what} a row"
            if column is None:
                return f"has no column {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}; its columns are {', '.join(names)[:200]}"
            if not any((row[column] or "").strip() for row in table):
                return f"has no {what} in its column {column}"
    except UnicodeDecodeError:
        return "is not UTF-8 text; save it as UTF-8"
    except csv.Error as error:
        return f"is not CSV: {error}"
    except (OSError, ValueError) as error:
        return f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
    return None
