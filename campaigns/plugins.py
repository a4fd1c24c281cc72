"""A user's own models: an installed Python package that declares an entry point, or a program that talks JSON lines.

A program gets one line a batch on its standard input, a JSON list of rows, and answers with one line, a JSON list of as
many rows in the same order. It is started once per worker, from an argument list and never through a shell.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata, util
from pathlib import Path
from typing import Any, Final

from campaigns.store import sha256
from inverse_design.errors import ModelError
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row, Worker
from inverse_design.spec import nearest

PREFIX: Final = "plugin:"
GROUPS: Final = {"generator": "inverse_design.generators", "surrogate": "inverse_design.surrogates"}
LONGEST: Final = 1 << 26
"""Bytes of an answer; a longer one is taken for a program out of control."""


def command_digest(command: Sequence[str], base: Path) -> str:
    """Return a SHA-256 over a command and the content of every file and folder it names, the program included.

    Raises ModelError where there is no such program.
    """
    program = shutil.which(command[0]) or shutil.which(base / command[0])
    if program is None:
        raise ModelError(f"{command[0]}: no such program; wanted a list of arguments, as in [python, my_model.py]")
    return _digest([list(command), _content(Path(program)), [_named(argument, base) for argument in command[1:]]])


def plugin_digest(name: str, role: str, options: Mapping[str, Any], base: Path) -> str:
    """Return a SHA-256 over a plug-in's release, its package's source, its options and the files they name; raises ModelError."""
    entry = _entry(name, role)
    package = util.find_spec(entry.value.partition(":")[0].partition(".")[0])
    if package is None:
        raise ModelError(f"{PREFIX}{name}: its package {entry.value!r} cannot be found; install it again")
    places = package.submodule_search_locations or [package.origin or ""]
    release = [entry.value, entry.dist.name, entry.dist.version] if entry.dist else [entry.value]
    files = [_named(value, base) for value in options.values() if isinstance(value, str)]
    return _digest([release, [_content(Path(place)) for place in places], dict(options), files])


def _named(argument: str, base: Path) -> list[list[str]] | None:
    """Return the content of what an argument names, unless it is the folder of the spec itself, where campaigns are kept too."""
    path = base / argument
    return None if not argument or base.resolve().is_relative_to(path.resolve()) else _content(path)


def _content(path: Path) -> list[list[str]] | None:
    """Return (name, SHA-256) of a file, or of every file of a folder but compiled ones; None for what is neither."""
    try:
        if path.is_file():
            return [[path.name, sha256(path)]]
        if path.is_dir():
            inside = (file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts)
            return [[str(file.relative_to(path)), sha256(file)] for file in inside]
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}), but what is run must be known") from error
    return None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _entry(name: str, role: str) -> metadata.EntryPoint:
    installed = {entry.name: entry for entry in metadata.entry_points(group=GROUPS[role])}
    if name not in installed:
        hint = nearest(name, installed) or f"; installed: {', '.join(installed) or 'none'}"
        raise ModelError(f"{PREFIX}{name}: no package here declares this {role} (entry points {GROUPS[role]}){hint}")
    return installed[name]


class _NoAnswer(Exception):
    """A program that gave none, or one that is not what it should be."""


@dataclass(slots=True, kw_only=True, weakref_slot=True)
class Program:
    """A program that runs until it fails, is too slow, or is no longer needed."""

    command: Sequence[str]
    folder: Path
    timeout: float
    retries: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _errors: Any = field(default=None, init=False)
    _stop: Callable[[], object] = field(default=lambda: None, init=False)

    def ask(self, rows: list[Row], read: Callable[[object, list[Row]], list[Row]]) -> list[Row]:
        """Return what `read` makes of the answer to `rows`; a program that fails is started again, `retries` times.

        Raises ModelError with the last failure and the end of what the program wrote to standard error.
        """
        failure = ""
        for _ in range(self.retries + 1):
            try:
                return read(json.loads(self._exchange(json.dumps(rows).encode() + b"\n")), rows)
            except (_NoAnswer, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                failure = str(error) or type(error).__name__
                if said := self._said():
                    failure += f"; it wrote: {said}"
                self.close()
        shown = " ".join(self.command)
        raise ModelError(f"{shown}: {failure} ({self.retries + 1} tries); try it with: inverse-design check-plugin SPEC")

    def _exchange(self, line: bytes) -> bytes:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout
        answers: queue.Queue[bytes] = queue.Queue()

        def talk() -> None:
            answer = b""
            with suppress(OSError, ValueError):
                stdin.write(line)
                stdin.flush()
                answer = stdout.readline(LONGEST)
            answers.put(answer)

        threading.Thread(target=talk, daemon=True).start()
        try:
            answer = answers.get(timeout=self.timeout)
        except queue.Empty:
            raise _NoAnswer(f"no answer in {self.timeout:g} s; it must write one line a batch, and flush it") from None
        if not answer.endswith(b"\n"):
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            raise _NoAnswer(f"it ended without an answer (exit status {process.poll()})")
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            errors = tempfile.TemporaryFile()  # noqa: SIM115  a pipe that nobody reads would stop it
            try:
                self._process = subprocess.Popen(
                    list(self.command), cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                errors.close()
                raise _NoAnswer(f"cannot be started ({error})") from error
            self._stop = weakref.finalize(self, _end, self._process, errors)
            self._errors = errors
        return self._process

    def _said(self) -> str:
        if self._errors is None:
            return ""
        with suppress(OSError, ValueError):
            self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 400))
            return str(self._errors.read().decode(errors="replace").strip())
        return ""

    def close(self) -> None:
        """End the program and what it started."""
        self._stop()  # which works once
        self._process = self._errors = None


def _end(process: subprocess.Popen[bytes], errors: Any) -> None:
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, errors):
        with suppress(OSError):
            if pipe is not None:
                pipe.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandGenerator:
    """A worker: {"prompt", "seed"} in, {"text"} out, by a program."""

    program: Program

    def work(self, rows: list[Row]) -> list[Row]:
        """Generate one text per row."""
        return self.program.ask([{"prompt": row["prompt"], "seed": row["seed"]} for row in rows], _texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSurrogate:
    """A worker: {"psmiles", "properties"} goes to a program, {property: {mean, std, in_domain} or null} comes back."""

    program: Program
    name: str
    properties: tuple[str, ...]

    def work(self, rows: list[Row]) -> list[Row]:
        """Predict every property of every row; a property without a valid answer is left out."""
        asked = [{"psmiles": row["psmiles"], "properties": list(self.properties)} for row in rows]

        def read(answer: object, rows: list[Row]) -> list[Row]:
            found = _rows(answer, rows)
            return sound(
                [{"predictions": [{"surrogate": self.name, "property": name, **_three(row[name])} for name in self.properties if row[name] is not None]} for row in found]
            )  # fmt: skip

        return self.program.ask(asked, read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A surrogate's worker whose answers are looked at before they are kept."""

    worker: Worker

    def work(self, rows: list[Row]) -> list[Row]:
        return sound(self.worker.work(rows))


def sound(rows: list[Row]) -> list[Row]:
    """Return predictions without those outside the physical range; ValueError for what is no number or no error bar."""
    for row in rows:
        for one in row["predictions"]:
            if not (_number(one["mean"]) and _number(one["std"]) and one["std"] > 0 and isinstance(one["in_domain"], bool)):
                raise ValueError(f"{one} is no prediction; wanted finite mean and std, std above 0, in_domain true or false")
        row["predictions"] = [
            one
            for one in row["predictions"]
            if PROPERTIES[one["property"]].low <= one["mean"] <= PROPERTIES[one["property"]].high
        ]
    return rows


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _three(answer: Row) -> Row:
    return {"mean": answer["mean"], "std": answer["std"], "in_domain": answer["in_domain"]}


def _rows(answer: object, rows: list[Row]) -> list[Row]:
    if not isinstance(answer, list) or len(answer) != len(rows) or not all(isinstance(row, dict) for row in answer):
        found = f"{len(answer)} rows" if isinstance(answer, list) else type(answer).__name__
        raise ValueError(f"it answered {found} to {len(rows)} rows; wanted a list of as many objects, in the same order")
    return answer


def _texts(answer: object, rows: list[Row]) -> list[Row]:
    found = _rows(answer, rows)
    if not all(isinstance(row.get("text"), str) for row in found):
        raise ValueError('an answer without a text; wanted {"text": "*CC*"} for every row')
    return [{"text": row["text"]} for row in found]


def command_generator(command: list[str], folder: str, timeout: float, retries: int) -> Worker:
    """Build the worker of a generator that is a program."""
    return CommandGenerator(program=Program(command=command, folder=Path(folder), timeout=timeout, retries=retries))


def command_surrogate(name: str, properties: list[str], command: list[str], folder: str, timeout: float, retries: int) -> Worker:
    """Build the worker of a surrogate that is a program."""
    program = Program(command=command, folder=Path(folder), timeout=timeout, retries=retries)
    return CommandSurrogate(program=program, name=name, properties=tuple(properties))


def plugin_generator(plugin: str, folder: str, options: dict[str, Any]) -> Worker:
    """Build the worker of an installed generator: its factory is called with the options of the spec."""
    from inverse_design.workers import GeneratorWorker

    return GeneratorWorker(generator=_entry(plugin, "generator").load()(**_placed(options, Path(folder))))


def plugin_surrogate(name: str, properties: list[str], plugin: str, folder: str, options: dict[str, Any]) -> Worker:
    """Build the worker of an installed surrogate: its factory is called with the options of the spec."""
    from inverse_design.workers import SurrogateWorker

    model = _entry(plugin, "surrogate").load()(**_placed(options, Path(folder)))
    return Sound(worker=SurrogateWorker(name=name, surrogate=model, properties=tuple(properties)))


def _placed(options: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return options with the paths of files made relative to the spec, as they are in its digest."""
    return {
        name: str(base / value) if isinstance(value, str) and (base / value).exists() and value else value
        for name, value in options.items()
    }
