"""Loggers: our own names, or whatever object the caller brought along."""

from __future__ import annotations

import logging
from typing import Any, Protocol


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
