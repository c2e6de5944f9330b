"""Where log records go: the terminal, a file that turns over, as text or as JSON.

Whatever the form, secrets are taken out of every record before it is written.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sys
import time
from io import TextIOWrapper
from typing import TYPE_CHECKING, Final, final

from wrappy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wrappy.runner.settings.sections import LogSection

HIDDEN: Final = "***"
_SHORTEST_SECRET: Final = 8

_PATTERNS: Final = (
    # Tokens, signed and read-only.
    re.compile(r"\b\d{1,19}:\d{1,19}:\d{1,3}:[0-9a-f]{64,}"),
    re.compile(r"\bro:\d+:(?:single|all):\d+:[0-9a-fA-F]{8,}"),
    # What is called a secret where it stands.
    re.compile(
        r"(?i)(?<=[\"'\s&?,{(])((?:api_key_)?private_key|api_key|l1_key|auth|auth_token"
        r"|token|password|secret)([\"']?\s*[=:]\s*[\"']?)(?!\s)[^\s\"'&,;)}]{8,}"
    ),
    # Passwords in addresses.
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),
)
_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class Redactor:
    """Takes secrets out of text.

    Args:
        secrets: texts that are never written, such as private keys; short ones and
            empty ones are left out, since words would contain them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        bare = {secret.strip().lower().removeprefix("0x") for secret in secrets}
        known = sorted(re.escape(s) for s in bare if len(s) >= _SHORTEST_SECRET)
        self._known = re.compile("|".join(known), re.IGNORECASE) if known else None

    def clean(self, text: str) -> str:
        """Return the text with every secret replaced."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        for pattern in _PATTERNS:
            text = pattern.sub(
                lambda match: (
                    f"{match[1]}{match[2]}{HIDDEN}" if match.re.groups else HIDDEN
                ),
                text,
            )
        return text


class TextLines(logging.Formatter):
    """One record as text; a traceback follows on lines of its own."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__(_TEXT)
        self._redactor = redactor
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines."""
        return self._redactor.clean(super().format(record))


class JsonLines(logging.Formatter):
    """One record as one JSON object on one line."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line: time, level, logger, message, and an error."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        row = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": self._redactor.clean(record.getMessage()),
        }
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            row["error"] = self._redactor.clean(trace)
        return json.dumps(row, ensure_ascii=False)


def is_news(record: logging.LogRecord) -> bool:
    """Return whether a terminal has yet to show a record: it was not told there."""
    return not record.__dict__.get("told", False)


class PrivateFileHandler(logging.handlers.RotatingFileHandler):
    """A log file that its owner alone can read, turned over when it is full."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.baseFilename, flags, 0o600)
        os.fchmod(descriptor, 0o600)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding="utf-8")


class LogOutput:
    """The log of a running bot, set up for as long as it runs.

    Args:
        section: level, format and file's size.
        file: the file; None for the terminal alone.
        secrets: what is never written.

    A record with `extra={"told": True}` says what standard output says, too: where
    both go to a terminal it is left out there.

    Attributes:
        redactor: takes the same secrets out of other text.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(
        self, section: LogSection, *, file: Path | None, secrets: Iterable[str] = ()
    ) -> None:
        redactor = self.redactor = Redactor(secrets)
        kind = JsonLines if section.format == "json" else TextLines
        self._handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
        if sys.stdout.isatty() and sys.stderr.isatty():
            self._handlers[0].addFilter(is_news)
        if file is not None:
            try:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                handler = PrivateFileHandler(
                    file, maxBytes=section.max_bytes, backupCount=section.backups
                )
            except OSError as error:
                raise ConfigError(
                    f"log.file: {file} cannot be written: {error.strerror}"
                ) from error
            self._handlers.append(handler)
        for one in self._handlers:
            one.setFormatter(kind(redactor))
        self._level = section.level

    def __enter__(self) -> None:
        root = logging.getLogger()
        self._before = root.level
        root.setLevel(self._level)
        # The exchange's frames and other people's debugging are not the bot's.
        logging.getLogger("asyncio").setLevel(max(logging.INFO, root.level))
        for handler in self._handlers:
            root.addHandler(handler)

    def __exit__(self, *exc_info: object) -> None:
        root = logging.getLogger()
        root.setLevel(self._before)
        for handler in self._handlers:
            root.removeHandler(handler)
            handler.close()


@final
class BriefLog:
    """The log of a command that runs strategies as an experiment: warnings, as text.

    What is told in one line anyway, a wrong setting, is left out.
    """

    def __init__(self) -> None:
        handler = self._handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(TextLines(Redactor()))
        handler.setLevel(logging.WARNING)
        handler.addFilter(_is_no_setting)

    def __enter__(self) -> BriefLog:
        logging.getLogger().addHandler(self._handler)
        return self

    def __exit__(self, *exc_info: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._handler.close()

    def be_silent(self) -> None:
        """Leave out everything from now on: it has been said before."""
        self._handler.setLevel(logging.CRITICAL + 1)


def _is_no_setting(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], ConfigError))
