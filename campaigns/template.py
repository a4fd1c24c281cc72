"""A new campaign file, with every key explained and its default."""

from __future__ import annotations

from importlib.resources import files


def template() -> str:
    """Return a campaign file that is valid as it is; its schema line names `campaign-v1.json` beside it."""
    return files("campaigns").joinpath("template.yaml").read_text(encoding="utf-8")
