"""The program `wrappy`: finds the command, and tells what went wrong in one line."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, WrappyError
from wrappy.runner.command import BAD_ARGUMENTS, FAILED, INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

COMMANDS: Final[dict[str, str]] = {
    "init": "wrappy.runner.cli.init:init",
    "run": "wrappy.runner.cli.run:run",
    "status": "wrappy.runner.cli.status:status",
    "stop": "wrappy.runner.cli.stop:stop",
    "resume": "wrappy.runner.cli.resume:resume",
    "backtest": "wrappy.runner.cli.backtest:backtest",
    "sweep": "wrappy.runner.cli.sweep:sweep",
    "doctor": "wrappy.runner.cli.doctor:doctor",
    "reconcile": "wrappy.runner.cli.reconcile:reconcile",
    "explain": "wrappy.runner.cli.explain:explain",
    "markets": "wrappy.runner.cli.markets:markets",
}
"""Every command: the function that carries it out and returns the exit code.

A function's annotated arguments are the command's; its docstring is the help text.
"""

HANDED_OVER: Final[dict[str, str]] = {
    "record": "wrappy.runner.cli.record:record",
    "venue": "wrappy.runner.cli.venue:venue",
}
"""Commands whose arguments, `--help` among them, are read by somebody else."""

SUMMARIES: Final[dict[str, str]] = {
    "init": "Ask for network, key, strategy and market, and write a settings file.",
    "run": "Run strategies until they end or are told to.",
    "status": "Show what a running bot does: strategies, positions, orders, risk.",
    "stop": "End a bot: its orders are cancelled, and with --flatten its positions "
    "closed.",
    "resume": "End the halt of a running bot's risk guard; losses are judged anew from "
    "here.",
    "backtest": "Run strategies over recorded markets and print what it came to.",
    "sweep": "Run a strategy over recorded markets with many sets of parameters.",
    "doctor": "Look for whatever could keep a bot from trading, and say how to put it "
    "right.",
    "reconcile": "Compare the journal with the exchange; exit code 1 when they "
    "disagree.",
    "explain": "Tell the life of one order: sent, taken, traded, ended, and why.",
    "markets": "List the markets of an exchange; no account is needed.",
    "record": "Write what happens in markets to a file that a local exchange replays.",
    "venue": "Run the local exchange: real protocol, made-up money.",
}
"""The first line of every command's help: the list of them needs none of their code."""


def build(asked: Collection[str] = (*COMMANDS, *HANDED_OVER)) -> Any:
    """Return the command line.

    Args:
        asked: commands that may be called; of the others only the names are there,
            since loading them all takes longer than most of them do.

    Raises:
        ConfigError: what it needs is not installed.
    """
    try:
        # It belongs to an extra; without it this says what to install.
        from cyclopts import App, Parameter  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "the command line needs: pip install 'wrappy-lighter[bot]'"
        ) from error
    app = App(
        name="wrappy",
        help="Trade on Lighter: one strategy in backtest, on paper, and live.",
        default_parameter=Parameter(negative=()),
        version=_version,
        # It is told here, and a sweep has more to tell than that it was interrupted.
        suppress_keyboard_interrupt=False,
        help_format="markdown",
    )
    for name, place in {**COMMANDS, **HANDED_OVER}.items():
        if name not in asked:
            app.command(App(name=name, help=SUMMARIES[name]))
            continue
        module, _, attribute = place.partition(":")
        # The module's dictionary: a name that is not there is a mistake of ours.
        function = vars(importlib.import_module(module))[attribute]
        if name in COMMANDS:
            app.command(function, name=name)
            continue
        unread = Parameter(allow_leading_hyphen=True, show=False)
        other = App(
            name=name, help_flags=(), version_flags=(), default_parameter=unread
        )
        other.default(function)
        app.command(other)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 is done, 1 is failed, 2 is a wrong argument or setting, 130 is interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _carried_out(arguments)
    except ConfigError as error:
        return _told(str(error), BAD_ARGUMENTS)
    except WrappyError as error:
        return _told(str(error), FAILED)
    except BrokenPipeError:
        # Whoever read us has seen enough; nothing can be told any more.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return FAILED
    except KeyboardInterrupt as error:
        # A sweep says what it has kept.
        return _told(str(error) or "interrupted", INTERRUPTED)


def _carried_out(arguments: list[str]) -> int:
    app = build(arguments)
    from cyclopts import CycloptsError  # noqa: PLC0415 - see `build`

    try:
        code = app(
            arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        return _told(str(error), BAD_ARGUMENTS)
    return code if isinstance(code, int) else 0


def _told(words: str, code: int) -> int:
    sys.stderr.write(f"wrappy: {' '.join(words.split())}\n")
    return code


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("wrappy-lighter")
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
