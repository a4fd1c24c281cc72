"""Every error a user can meet. Each says where, what was found, what is wanted and what to do, and has an exit code."""

from __future__ import annotations

from dataclasses import dataclass


class EngineError(Exception):
    """A failure with a cause a user can act on; never shown with a traceback."""

    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with a spec: `where` is a dotted path, line and column are 1-based (0 when unknown)."""

    where: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.where, self.message) if part)


class SpecError(EngineError):
    """A spec or command line that cannot be run; carries every problem at once."""

    exit_code = 2

    def __init__(self, problems: list[Problem] | str) -> None:
        self.problems = [Problem(where="", message=problems)] if isinstance(problems, str) else problems
        super().__init__("\n".join(map(str, self.problems)))


class StateError(EngineError):
    """A campaign folder that is finished, foreign, newer, locked, or not writable."""

    exit_code = 4


class ModelError(EngineError):
    """A model or data file that is missing, corrupt or not what its digest says; or a cluster out of reach."""

    exit_code = 5


class CandidateError(EngineError):
    """Too many candidates failed for the campaign to go on."""

    exit_code = 6


class Interrupted(EngineError):
    """Stopped from outside; every finished shard is on disk and the campaign can be resumed."""

    exit_code = 75
