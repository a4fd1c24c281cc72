"""What a run says, kept in the campaign folder: `log.jsonl`, one JSON object a line, with the campaign and round it is about."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from campaigns.ledger import Ledger
from inverse_design.errors import EngineError

logger = logging.getLogger(__name__)
PACKAGES = ("campaigns", "generators", "inverse_design", "surrogates")


class Logbook(logging.Handler):
    """Writes records of our own packages; the clock in them is the machine's, and nothing is ever decided by it."""

    def __init__(self, ledger: Ledger, campaign: str, rounds: Callable[[], int]) -> None:
        super().__init__(logging.INFO)
        self._ledger, self._campaign, self._rounds = ledger, campaign, rounds
        self._where = {"host": socket.gethostname(), "pid": os.getpid()}

    def emit(self, record: logging.LogRecord) -> None:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "campaign": self._campaign,
            "round": self._rounds(),
            **self._where,
            "logger": record.name,
            "message": record.getMessage(),
        }
        with suppress(EngineError):  # a disk that is full, or a lock that is lost: the next commit says so
            self._ledger.append_log(line)


@contextmanager
def logbook(ledger: Ledger, campaign: str, rounds: Callable[[], int]) -> Iterator[None]:
    """Keep what our packages log meanwhile, and how it ends. `rounds` tells how many are finished."""
    handlers: list[logging.Handler] = [Logbook(ledger, campaign, rounds)]
    if logging.lastResort and not logging.getLogger().handlers:  # which is silent once there is another handler
        handlers.append(logging.lastResort)
    ours = [logging.getLogger(name) for name in PACKAGES]
    levels = [one.level for one in ours]
    for one in ours:
        one.setLevel(logging.INFO)
        for handler in handlers:
            one.addHandler(handler)
    try:
        yield
    except BaseException as error:
        logger.info("ended: %s: %s", type(error).__name__, error)
        raise
    finally:
        for one, level in zip(ours, levels, strict=True):
            one.setLevel(level)
            for handler in handlers:
                one.removeHandler(handler)
