"""What is wrong with a value of a spec, in the user's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from inverse_design.descriptor_names import NAMES
from inverse_design.spec import CampaignSpec, nearest

_COMPARISON: Final = re.compile(r"\s*([<>]|≤|≥)=?\s*(.+)")
_WITH_UNIT: Final = re.compile(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([^\d\s].*)")
_QUOTED: Final = re.compile(r"'([^']+)'")
_WANTED: Final = {
    "string_type": "must be text",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of key: value lines",
    "model_type": "must be a mapping of key: value lines",
}


def message(error: ErrorDetails) -> str:
    """Return one line for an error of pydantic: what is wanted, what was found, and what to do where that is known."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "missing, and has no default"
    if kind == "extra_forbidden":
        known = keys_at(error["loc"][:-1])
        key = str(error["loc"][-1])
        return f"unknown key {key!r}{nearest(key, known) or _at_home(key) or '; known: ' + ', '.join(known)}"
    if found is None and kind in _WANTED:
        return f"{_WANTED[kind]}; nothing is given, so fill it in or delete the line"
    if kind == "literal_error":
        expected = str(context["expected"])
        return f"must be {expected}, not {_short(found)}{nearest(str(found), _QUOTED.findall(expected))}"
    wanted = _WANTED.get(kind, error["msg"].replace("Input should", "must").replace("String should", "must"))
    return f"{wanted}, not {_short(found)}{_advice(kind, found)}"


def _advice(kind: str, found: object) -> str:
    if kind == "string_type":
        return "; quote a SMILES or SMARTS, as in '[*]CC[*]'" if isinstance(found, list) else "; put it in quotes"
    if kind in ("float_type", "int_type") and isinstance(found, str):
        if comparison := _COMPARISON.fullmatch(found):
            return f"; write {'min' if comparison[1] in '>≥' else 'max'}: {comparison[2]}"
        if apart := _WITH_UNIT.fullmatch(found):
            return f"; write the number alone and unit: {apart[2]}"
        return "; without quotes" if re.fullmatch(r"[-+.\deE]+", found) else ""
    return ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def keys_at(path: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the keys a spec knows at a path such as ("targets", 0)."""
    kind: Any = CampaignSpec
    for part in path:
        fields = _fields(kind)
        kind = _bare(fields[str(part)] if fields else get_args(kind)[isinstance(part, str)])
    return tuple(_fields(kind))


def _at_home(key: str) -> str:
    """Where a key belongs that stands in the wrong part; empty where nowhere, or in so many parts that nothing is meant."""
    homes = list(_homes(key, CampaignSpec, ()))
    if not homes or len(homes) > 2:
        return ""
    return f"; it belongs {' or '.join('under ' + '.'.join(home) if home else 'at the top level' for home in homes)}"


def _homes(key: str, kind: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    fields = _fields(kind)
    if key in fields or (path and path[-1] == "descriptors" and key in NAMES):
        yield path
    for name, inner in fields.items():
        bare = _bare(inner)
        yield from _homes(key, _bare(get_args(bare)[0]) if get_origin(bare) in (list, tuple) else bare, (*path, name))


def _fields(kind: Any) -> dict[str, Any]:
    model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return {info.alias or name: info.annotation for name, info in kind.model_fields.items()} if model else {}


def _bare(kind: Any) -> Any:
    """The type inside Annotated[...] and ... | None."""
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = get_args(kind)[0]
    return kind
