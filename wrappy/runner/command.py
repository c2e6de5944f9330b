"""What commands share: arguments refused in one line, failures told in one line."""

from __future__ import annotations

import argparse
import asyncio
import io
import signal
import sys
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, NoReturn

from wrappy.errors import ConfigError, WrappyError

if TYPE_CHECKING:
    from collections.abc import Coroutine

FAILED = 1
BAD_ARGUMENTS = 2
INTERRUPTED = 130
ECHO_S: Final = 0.5
"""A signal that follows another within this time, in seconds, is the same one.

Who passes signals on often sends them twice: `timeout` signals its child and then the
group that the child is in. No person asks a second time as fast as that.
"""
"""Exit code of a program that Ctrl-C ended, as shells count it."""


class OneLineParser(argparse.ArgumentParser):
    """A parser that refuses in one line, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and end with 2."""
        self.exit(BAD_ARGUMENTS, f"{self.prog}: {message}\n")


def positive(text: str) -> Decimal:
    """Return a number above zero, as an argument's `type`.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def count(text: str) -> int:
    """Return a whole number above zero, as an argument's `type`.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    number = positive(text)
    if number != int(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(number)


def run(main: Coroutine[object, object, None], *, name: str) -> int:
    """Run a command's coroutine and return its exit code.

    Ctrl-C and SIGTERM cancel it and nothing else, so that its `finally` blocks still
    reach the exchange. Asked again later than `ECHO_S`, it cancels that too.

    Args:
        main: what the command does.
        name: stands in front of the line that tells of a failure.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whoever reads a pipe sees each line when it is told, as on a terminal.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        asyncio.run(_cancelable(main))
    except ConfigError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return BAD_ARGUMENTS
    except WrappyError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return FAILED
    except asyncio.CancelledError:
        sys.stderr.write(f"{name}: interrupted\n")
        return INTERRUPTED
    return 0


async def _cancelable(main: Coroutine[object, object, None]) -> None:
    # Left to itself, Python 3.10 cancels every task of the loop at once, also those
    # that the cleaning up needs.
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main)
    last_s: float | None = None

    def got() -> None:
        # Who passes a signal on may send it twice; that must not cancel the cleaning
        # up, which a person who asks again may.
        nonlocal last_s
        now_s = loop.time()
        if last_s is None or now_s - last_s >= ECHO_S:
            last_s = now_s
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, got)
    try:
        await task
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
