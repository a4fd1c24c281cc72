"""The command line: `inverse-design run spec.yaml`. Data goes to stdout, talk to stderr; exit codes are in README."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as package_version
from types import FrameType
from typing import Annotated

import typer

from campaigns.commands import app, health, laboratory, modelling, models, plugins, predicting, reading, running
from inverse_design.errors import EngineError, Interrupted, SpecError

# Importing them adds their commands.
__all__ = ["health", "laboratory", "main", "modelling", "models", "plugins", "predicting", "reading", "running"]


def main() -> None:
    """Run the command line; a failure with a known cause is one message and its exit code, never a traceback."""
    as_json = "--json" in sys.argv[1:]
    try:
        with _signals():
            try:
                app()
            finally:
                sys.stdout.flush()  # here, and not when the interpreter ends, a reader that left can be told from a failure
    except SystemExit as end:
        # Typer makes a 1 of a reader that left.
        sys.exit(0 if isinstance(end.__context__, BrokenPipeError) else end.code)
    except EngineError as error:
        if as_json:
            problems = [str(problem) for problem in error.problems] if isinstance(error, SpecError) else [str(error)]
            print(json.dumps({"error": type(error).__name__, "problems": problems, "exit_code": error.exit_code}))
        else:
            print(f"inverse-design: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output left, which is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@contextmanager
def _signals() -> Iterator[None]:
    """First Ctrl-C, SIGTERM or SIGUSR1: stop resumably. A second one: at once."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            os._exit(130)
        stopped = True
        raise Interrupted(f"stopped by {signal.Signals(number).name}; every finished shard is kept")

    names = [name for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more of what happens.")] = False,
) -> None:
    """Find polymers that have the properties you ask for."""
    # The level is the handler's: a campaign's own log takes more than is said here.
    talk = logging.StreamHandler()
    talk.setLevel(logging.INFO if verbose else logging.WARNING)
    logging.basicConfig(handlers=[talk], format="%(levelname)s %(name)s: %(message)s")


@app.command()
def version() -> None:
    """Print the version."""
    print(package_version("inverse-design"))


if __name__ == "__main__":
    main()
