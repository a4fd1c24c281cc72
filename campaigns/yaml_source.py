"""A campaign file to a spec, or to everything that is wrong with it, each with its line and column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from campaigns import spec_messages, yaml_tree
from campaigns.reference import problem_with_reference, problem_with_stock
from campaigns.yaml_tree import KeyPath, Place, UnreadableError
from inverse_design.errors import Problem, SpecError
from inverse_design.spec import CampaignSpec

MAX_BYTES: Final = 2**20


def load_spec(path: Path, overrides: Sequence[str] = (), base: Path | None = None) -> tuple[CampaignSpec, str]:
    """Return the spec in a campaign file, with `a.b=c` overrides applied, and the file's text as it is.

    Raises SpecError with every problem found, in the order of the file. Paths in the file are relative to `base`, its folder if not given.
    """
    text = _read(path)
    return parse_spec(text, str(path), overrides, base or path.parent), text


def parse_spec(text: str, file: str, overrides: Sequence[str] = (), base: Path = Path()) -> CampaignSpec:
    """Return the spec in the text of a campaign file, as `load_spec` does; `file` names it in messages."""
    source = _Source.of(text, file)
    for override in overrides:
        source.override(override)
    source.check_reference(base)
    spec = source.validate()
    if spec is None or source.problems:
        raise SpecError(source.ordered())
    return spec


def located(found: Sequence[Problem], text: str, file: str, overrides: Sequence[str] = ()) -> list[Problem]:
    """Return problems that were found after reading, each with its place in the text, or `--set` where that is its source."""
    source = _Source.of(text, file)
    for override in overrides:
        source.override(override)
    for problem in found:
        path = tuple(int(step) if step.isdecimal() else step for step in problem.where.split("."))
        source.report(path, problem.message)
    return source.ordered()


def problems(path: Path, overrides: Sequence[str] = ()) -> list[Problem]:
    """Return everything that is wrong with a campaign file; empty when it can be run."""
    try:
        load_spec(path, overrides)
    except SpecError as error:
        return error.problems
    return []


def _read(path: Path) -> str:
    def refuse(message: str, line: int = 0, column: int = 0) -> SpecError:
        return SpecError([Problem(file=str(path), where="", message=message, line=line, column=column)])

    try:
        if path.is_dir():
            raise refuse("is a folder; give the campaign file itself")
        if path.exists() and not path.is_file():
            raise refuse("is not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise refuse("no such file") from error
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}") from error
    if len(data) > MAX_BYTES:
        raise refuse(f"is larger than {MAX_BYTES} bytes, which no campaign needs")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # the codec counts from behind a byte order mark
        before = data.removeprefix(b"\xef\xbb\xbf")[: error.start].decode("utf-8", "replace")
        place = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise refuse("is not UTF-8 text; save it as UTF-8", *place) from error


_SET: Final = "--set"


@dataclass(slots=True)
class _Source:
    """What a file says, with overrides applied, and what is wrong with it so far."""

    file: str
    tree: dict[str, Any]
    values: dict[KeyPath, Place]
    keys: dict[KeyPath, Place]
    unknown: set[KeyPath]
    overridden: set[KeyPath] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, text: str, file: str) -> _Source:
        try:
            tree = yaml_tree.read(text)
        except UnreadableError as error:
            raise SpecError(
                [Problem(file=file, where="", message=error.message, line=error.place[0], column=error.place[1])]
            ) from error
        found = [
            Problem(file=file, where=_dotted(path), message=message, line=place[0], column=place[1])
            for path, message, place in tree.refused
        ]
        if isinstance(tree.root, dict):
            return cls(file, tree.root, tree.values, tree.keys, tree.unknown, problems=found)
        line, column = tree.values.get((), (0, 0))
        what = "is empty" if tree.root is None else "is not a mapping"
        message = f"{what}; a campaign file is made of key: value lines, the first one schema: 1"
        raise SpecError(found or [Problem(file=file, where="", message=message, line=line, column=column)])

    def override(self, text: str) -> None:
        """Apply one `a.b=c`, its value read as YAML; the path's unknown names are left for validation to refuse."""
        name, equals, value = text.partition("=")
        if not equals or not all(name.split(".")):
            self._refuse(text, "write path=value, as in targets.0.min=320")
            return
        try:
            read = yaml_tree.read(value)
        except UnreadableError as error:
            self._refuse(name, error.message)
            return
        if read.refused:
            for _, message, _ in read.refused:
                self._refuse(name, message)
            return
        container: Any = self.tree
        path: KeyPath = ()
        *parents, last = name.split(".")
        for part in parents:
            step = self._step(container, path, part, name)
            if step is None:
                return
            path = (*path, step)
            if isinstance(container, dict) and container.get(part) is None:
                container[part] = {}
                self.overridden.add(path)
            container = container[step]
        step = self._step(container, path, last, name)
        if step is not None:
            container[step] = read.root
            self.overridden.add((*path, step))

    def _step(self, container: Any, path: KeyPath, part: str, name: str) -> str | int | None:
        if isinstance(container, dict):
            return part
        if not isinstance(container, list):
            self._refuse(name, f"{_dotted(path)} is a single value and has no {part!r}")
        elif not part.isdecimal() or int(part) >= len(container):
            self._refuse(
                name, f"{_dotted(path)} is a list of {len(container)}; use a number from 0 to {len(container) - 1}, not {part!r}"
            )
        else:
            return int(part)
        return None

    def _refuse(self, name: str, message: str) -> None:
        self.problems.append(Problem(file=_SET, where=name, message=message))

    def check_reference(self, folder: Path) -> None:
        """Report an own list of known polymers or of monomers that cannot be used, whatever else is wrong."""
        novelty = self.tree.get("novelty")
        reference = novelty.get("reference") if isinstance(novelty, dict) else None
        if isinstance(reference, str) and reference and (problem := problem_with_reference(reference, folder)):
            self.report(("novelty", "reference"), problem)
        structure = self.tree.get("structure")
        stock = structure.get("stock") if isinstance(structure, dict) else None
        if isinstance(stock, str) and stock and (problem := problem_with_stock(stock, folder)):
            self.report(("structure", "stock"), problem)

    def ordered(self) -> list[Problem]:
        """Return the problems in the order of the file, those of the command line last."""
        return sorted(self.problems, key=lambda problem: (problem.file == _SET, problem.line, problem.column))

    def validate(self) -> CampaignSpec | None:
        try:
            return CampaignSpec.model_validate(self.tree)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                *steps, last = item["loc"]
                path: KeyPath = (*steps,) if last == "[key]" else (*steps, last)
                while item["type"] != "missing" and not self._has(path):
                    path = path[:-1]  # one name given for a list of one
                self.report(path, spec_messages.message(item), at_key=last == "[key]" or item["type"] == "extra_forbidden")
            return None

    def _has(self, path: KeyPath) -> bool:
        value: Any = self.tree
        for step in path:
            inside = (
                step < len(value)
                if isinstance(value, list) and isinstance(step, int)
                else isinstance(value, dict) and step in value
            )
            if not inside:
                return False
            value = value[step]
        return True

    def report(self, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Add a problem at a path, unless it only follows from a value that could not be read, there, above or below."""
        if any(path[: len(other)] == other or other[: len(path)] == path for other in self.unknown):
            return
        if any(path[: len(other)] == other for other in self.overridden):
            self._refuse(_dotted(path), message)
            return
        places = (self.values.get(path[:length]) for length in range(len(path), -1, -1))
        place = (self.keys.get(path) if at_key else None) or next(place for place in places if place)
        self.problems.append(Problem(file=self.file, where=_dotted(path), message=message, line=place[0], column=place[1]))


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
