"""New campaign files: one with every key explained and its default, and one for a single wish."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files


def template() -> str:
    """Return a campaign file that is valid as it is; its schema line names `campaign-v1.json` beside it."""
    return files("campaigns").joinpath("template.yaml").read_text(encoding="utf-8")


def one_liner(
    property_: str, low: float | None, high: float | None, unit: str | None, classes: Sequence[str], candidates: int
) -> str:
    """Return the campaign file that asks for one property between bounds, as `design` runs it."""
    given = {word: value for word, value in (("min", low), ("max", high)) if value is not None}
    name = "-".join([property_, *(f"{word}-{value:g}" for word, value in given.items()), *([unit] if unit else []), *classes])
    # What fits no folder name is left out; a name is there even when nothing fits.
    folder = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64].rstrip("-._") or "design"
    target = {"property": property_, **given, **({"unit": unit} if unit else {})}
    lines = ["schema: 1", f"name: {folder}", "targets:", f"  - {_flow(target)}"]
    lines += [f"structure: {_flow({'class': list(classes)})}"] if classes else []
    return "\n".join([*lines, f"want: {_flow({'candidates': candidates, 'clusters': min(5, candidates)})}", ""])


def _flow(value: object) -> str:
    """JSON is YAML, and quotes whatever needs quoting."""
    return json.dumps(value, ensure_ascii=False)
