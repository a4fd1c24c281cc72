"""YAML text to plain values and where each stands: YAML 1.2's core schema and nothing beyond it.

A campaign file comes from anywhere, so values are built from parser events: no aliases, no tags beyond the core ones,
one document, bounded size and depth, and never an object but mappings, lists, texts, numbers, booleans and null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

MAX_DEPTH: Final = 64
MAX_EVENTS: Final = 5_000
MAX_LINE: Final = 2**14  # the scanner takes a time quadratic in the length of some tokens

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]

QUOTE: Final = "quote a SMILES or SMARTS, as in '[*]CC[*]'"
_BOUND: Final = "write a bound as min: 150 or max: 150, not with > or <"
_CORE: Final = "tag:yaml.org,2002:"


class UnreadableError(Exception):
    """The text cannot be read beyond this place (line and column from 1)."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.message, self.place = message, place


@dataclass(frozen=True, slots=True)
class Tree:
    """Plain values, the place of every value and key by its path, what was refused, and paths whose value is unknown."""

    root: Any
    values: dict[KeyPath, Place]
    keys: dict[KeyPath, Place]
    refused: list[tuple[KeyPath, str, Place]]
    unknown: set[KeyPath]


def read(text: str) -> Tree:
    """Return the one document in `text`; raises UnreadableError where nothing after a mistake can be trusted."""
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > MAX_LINE:
            raise UnreadableError(f"a line longer than {MAX_LINE} characters", (number, 1))
    events = _events(text)
    first = next(events, None)
    if first is None:
        return Tree(None, {}, {}, [], set())
    reader = _Reader(events)
    root = reader.value(first, ())
    if (second := next(events, None)) is not None:
        raise UnreadableError("a second document; a campaign file holds one", _place(second))
    return Tree(root, reader.values, reader.keys, reader.refused, reader.unknown)


@dataclass(slots=True)
class _Reader:
    """Recursive descent over events; depth is bounded, so that recursion is too."""

    events: Iterator[Any]
    values: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    refused: list[tuple[KeyPath, str, Place]] = field(default_factory=list)
    unknown: set[KeyPath] = field(default_factory=set)

    def value(self, event: Any, path: KeyPath) -> Any:
        place = _place(event)
        if len(path) > MAX_DEPTH:
            raise UnreadableError(f"nested deeper than {MAX_DEPTH} levels", place)
        self.values[path] = place
        if isinstance(event, AliasEvent):
            self.refused.append((path, f"*{event.anchor} is an alias in YAML, and aliases are not accepted; {QUOTE}", place))
            self.unknown.add(path)
            return None
        if event.anchor is not None:
            self.refused.append(
                (path, f"&{event.anchor} is an anchor in YAML, and anchors are not accepted; write the value out", place)
            )
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if event.tag not in (None, _CORE + ("seq" if isinstance(event, SequenceStartEvent) else "map")):
            self._tag(event, path)
        if isinstance(event, SequenceStartEvent):
            return self._list(path)
        return self._mapping(path)

    def _list(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            place, aside = _place(event), _Reader(self.events)
            key = aside.value(event, (*path, "?"))
            if isinstance(key, str) and not aside.refused and key not in items:
                self.keys[*path, key] = place
                content = next(self.events)
                items[key] = self.value(content, (*path, key))
                if isinstance(content, ScalarEvent) and content.start_mark.index == content.end_mark.index:
                    self.values[*path, key] = place  # nothing has no place of its own
                continue
            if isinstance(key, str) and key in items:
                self.refused.append(((*path, key), f"given twice, first in line {self.keys[*path, key][0]}; keep one", place))
            else:
                self.refused += aside.refused or [(path, f"a key must be text, not {key!r:.40}", place)]
            aside.value(next(self.events), (*path, "?"))
        return items

    def _scalar(self, event: ScalarEvent, path: KeyPath) -> Any:
        if event.tag is None:
            return _resolve(event.value) if event.implicit[0] else event.value
        if event.tag == _CORE + "str":
            return event.value
        value = _resolve(event.value)
        if {bool: "bool", int: "int", float: "float", type(None): "null"}.get(type(value), "") != event.tag.removeprefix(_CORE):
            self._tag(event, path)
        return value

    def _tag(self, event: Any, path: KeyPath) -> None:
        tag = event.tag.replace(_CORE, "!!")
        self.refused.append((path, f"the tag {tag} is not accepted; quote a text that begins with !", _place(event)))
        self.unknown.add(path)


_INT: Final = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def _resolve(text: str) -> Any:
    """The core schema of YAML 1.2.2, section 10.3.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _events(text: str) -> Iterator[Any]:
    """Yield the events of values and containers; each further document begins with its DocumentStartEvent."""
    documents = 0
    try:
        for count, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
            if count > MAX_EVENTS:
                raise UnreadableError("more values than any campaign needs", _place(event))
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if event.version or event.tags:
                    raise UnreadableError("% directives are not accepted; delete the lines above ---", (1, 1))
                if documents == 1:
                    continue
            if not isinstance(event, StreamStartEvent | StreamEndEvent | DocumentEndEvent):
                yield event
    except ReaderError as error:
        before = text[: error.position]
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise UnreadableError(f"the character U+{ord(text[error.position]):04X} is not allowed", place) from error
    except MarkedYAMLError as error:
        raise _explain(error, text) from error
    except YAMLError as error:
        raise UnreadableError(f"not YAML: {error}", (1, 1)) from error


_HINTS: Final = (
    (re.compile(r"(?:[:,{\[-]|^)\s*([<>]=?\s*[-+.\d])"), _BOUND),
    (re.compile(r"(?:[:,-]\s+|^\s*|[\[{])(\*\S|\[[^\[\]\s]*[*#!&@$%]|\[[^\[\]]*\][^\s,\]}:])"), QUOTE),
)


def _explain(error: MarkedYAMLError, text: str) -> UnreadableError:
    """The usual causes in this field are tabs, and SMILES and comparisons without quotes."""
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "not YAML"
    if mark is None:
        return UnreadableError(f"not YAML: {problem}", (1, 1))
    if "'\\t'" in problem:
        return UnreadableError("a tab; indent with spaces", (mark.line + 1, mark.column + 1))
    # An unquoted [#6] begins a list and a comment, so that the scanner stumbles lines later.
    lines = text.splitlines()
    first = error.context_mark.line if error.context_mark else mark.line
    for number in dict.fromkeys((mark.line, *range(first, min(mark.line, first + 3)), *range(mark.line - 1, mark.line - 4, -1))):
        line = lines[number] if 0 <= number < len(lines) else ""
        for pattern, hint in _HINTS:
            if not line.lstrip().startswith("#") and (found := pattern.search(line)):
                return UnreadableError(f"not YAML; {hint}", (number + 1, found.start(1) + 1))
    return UnreadableError(f"not YAML: {problem}", (mark.line + 1, mark.column + 1))
