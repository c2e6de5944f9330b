"""Loggers: our own names, or whatever object the caller brought along."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class LogSink(Protocol):
    """The methods that this package logs with; `logging.Logger` has them."""

    def debug(self, msg: str, *args: Any) -> None:
        """Log for the developer."""

    def info(self, msg: str, *args: Any) -> None:
        """Log for the record."""

    def warning(self, msg: str, *args: Any) -> None:
        """Log for attention."""

    def error(self, msg: str, *args: Any) -> None:
        """Log a failure."""


SAID_IN_FULL = 20
"""Complaints of one kind that are all written."""

QUIET_S = 1.0
"""Seconds from one to the next after that."""


class Complaints:
    """Complaints that somebody else can cause in any number: the log stays readable.

    Args:
        log: where they are told.
        clock: seconds, monotone.
    """

    def __init__(self, log: LogSink, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._count = self._unsaid = 0
        self._said_at = 0.0

    def error(self, msg: str, *args: Any) -> None:
        """Log a failure; one of many is only counted, and the next tells how many."""
        now = self._clock()
        self._count += 1
        if self._count > SAID_IN_FULL and now - self._said_at < QUIET_S:
            self._unsaid += 1
            return
        self._said_at = now
        if self._unsaid:
            msg += " (%d more like this were not logged)"
            args = (*args, self._unsaid)
            self._unsaid = 0
        self._log.error(msg, *args)


class NamedMethodSink:
    """Passes our messages to an object with `log_info`, `log_warning`, ..."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def debug(self, msg: str, *args: Any) -> None:
        """Log for the developer."""
        self._pass("log_debug", msg, args)

    def info(self, msg: str, *args: Any) -> None:
        """Log for the record."""
        self._pass("log_info", msg, args)

    def warning(self, msg: str, *args: Any) -> None:
        """Log for attention."""
        self._pass("log_warning", msg, args)

    def error(self, msg: str, *args: Any) -> None:
        """Log a failure."""
        self._pass("log_error", msg, args)

    def _pass(self, name: str, msg: str, args: tuple[Any, ...]) -> None:
        method = getattr(self._target, name, None)
        if callable(method):
            method(msg % args if args else msg)


def as_sink(logger: Any, name: str) -> LogSink:
    """Return where to log: the caller's logger, or the one called `name`."""
    if logger is None:
        return logging.getLogger(name)
    if isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        return logger
    return NamedMethodSink(logger)
