"""`python -m wrappy.venue replay`: do once more what a saved input log tells.

The exchange is a pure function of that log, so the ledger comes out the same: on
another machine, under another Python, as often as you like.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, WrappyError
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.accounts import make_accounts, open_accounts
from wrappy.venue.events import Announced, FaultFired, TxRefused
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.input_log import ACTIONS, FORMAT
from wrappy.venue.one_line import BAD_ARGUMENTS, OneLineParser
from wrappy.venue.settings_file import settings_from

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from io import BufferedReader

    from wrappy.venue.events import Event

DIFFERENT: Final = 1
_PROGRAM: Final = "python -m wrappy.venue replay"
_NOTES: Final[dict[str, type[Event]]] = {
    kind.__name__: kind for kind in (Announced, FaultFired, TxRefused)
}
_DAMAGE: Final = (
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
    WrappyError,
)
"""What a line raises that was not written by an exchange."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay.

    Attributes:
        exchange: as it stands after the last input.
        inputs: lines that were carried out.
        saved_hash: hash of the ledger that was saved; None where the log has no end,
            because whoever wrote it was killed.
    """

    exchange: Exchange
    inputs: int
    saved_hash: str | None

    @property
    def hash(self) -> str:
        """Hash of the ledger now."""
        return self.exchange.log.hash()

    @property
    def is_same(self) -> bool | None:
        """Whether it is the saved one; None where none was saved."""
        return None if self.saved_hash is None else self.hash == self.saved_hash


def replay(path: Path) -> Replay:
    """Give an exchange everything that a saved log tells, in order.

    Args:
        path: the log, as `save_log` wrote it; packed if it ends in `.gz`.

    Raises:
        ConfigError: it cannot be read, or a line makes no sense; the message tells
            which. A last line that was cut off is left out.
    """
    exchange: Exchange | None = None
    saved_hash, inputs = None, 0
    for number, (kind, *what) in _lines(path):
        try:
            if exchange is None:
                exchange = _opened(kind, *what)
            elif kind == "end":
                saved_hash = str(what[0]["hash"])
            else:
                _carry_out(exchange, kind, what)
                inputs += 1
        except _DAMAGE as error:
            why = f"{type(error).__name__}: {error}"
            raise ConfigError(f"log: {path} line {number}: {why}") from error
        exchange.drain()  # nobody listens
    if exchange is None:
        raise ConfigError(f"log: {path} is empty")
    return Replay(exchange, inputs, saved_hash)


def _opened(kind: str, told: dict[str, Any]) -> Exchange:
    version = told.pop("format", None)
    if kind != "venue" or version != FORMAT:
        raise ConfigError(f"is no log of format {FORMAT}; save it with --save-log")
    now_us = told.pop("now_us")
    settings = settings_from(told)
    markets = [find_market(BUNDLED_MARKETS, symbol=name) for name in settings.symbols]
    users = make_accounts(settings)
    accounts = open_accounts(settings, users)
    return Exchange(settings, markets, accounts, now_us=now_us)


def _carry_out(exchange: Exchange, kind: str, what: list[Any]) -> None:
    if kind == "flow":
        now_us, told = what
        actions = [ACTIONS[word](*fields) for word, *fields in told]
        exchange.apply_flow(actions, now_us=now_us)
    elif kind == "until":
        exchange.advance(*what)
    elif kind == "tx":
        now_us, *item = what
        protected = item.pop() if item[3:] else True
        with contextlib.suppress(Refused):  # the log has the refusal, then as now
            exchange.submit(*item, now_us=now_us, protected=protected)
    elif kind == "batch":
        now_us, items = what
        with contextlib.suppress(Refused):
            exchange.submit_batch([tuple(item) for item in items], now_us=now_us)
    elif kind == "tier":
        now_us, account, tier = what
        with contextlib.suppress(Refused):
            exchange.change_tier(account, tier, now_us=now_us)
    elif kind == "maker_only":
        now_us, account, slots = what
        with contextlib.suppress(Refused):
            exchange.set_maker_only(account, slots, now_us=now_us)
    elif kind == "note":
        name, fields = what
        exchange.note(_NOTES[name](**fields))
    elif kind == "skip":
        exchange.skip_nonces(*what)
    elif kind == "withhold":
        exchange.withhold(*what)
    else:
        raise ConfigError(f"{kind!r} is no input")


def _lines(path: Path) -> Iterator[tuple[int, list[Any]]]:
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # cut off in the middle
                row = json.loads(line)
                if not isinstance(row, list) or not row:
                    raise ConfigError(f"log: {path} line {number}: is no JSON list")
                yield number, row
    except EOFError:
        return  # a packed file of somebody who was killed
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"log: {path} line {number}: {error}") from error
    except (OSError, zlib.error) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise ConfigError(f"log: {path} cannot be read: {why}") from error


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = OneLineParser(
        prog=_PROGRAM,
        description="Do once more what a saved input log tells, compare the ledgers.",
    )
    found.add_argument("log", type=Path, help="written with --save-log")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 the same ledger, 1 another one, 2 a log that is none."""
    arguments = parser().parse_args(argv)
    try:
        done = replay(arguments.log)
    except ConfigError as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        return BAD_ARGUMENTS
    sys.stdout.write(f"{done.hash}\n{_verdict(done)}\n")
    return DIFFERENT if done.is_same is False else 0


def _verdict(done: Replay) -> str:
    told = f"{done.inputs} inputs, {len(done.exchange.log)} events"
    if done.is_same is None:
        return f"{told}; the log has no end, so there is nothing to compare with"
    if done.is_same:
        return f"{told}; the same ledger"
    return f"{told}; ANOTHER LEDGER, the saved one was {done.saved_hash}"
