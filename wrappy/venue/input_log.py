"""Everything an exchange was given, written to a file as it comes.

An exchange is a pure function of what stands here: how it was set up, market life,
transactions with their time of arrival, and what the doors told it. One JSON list a
line; `venue.replay` reads it.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from typing import IO, TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.venue.events import (
    HaltMarket,
    PassBar,
    PathPoint,
    PrintTrade,
    SetIndexPrice,
    SetLevel,
    Take,
)
from wrappy.venue.exchange import Exchange
from wrappy.venue.settings_file import settings_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from wrappy.model import Market
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event, FlowAction
    from wrappy.venue.exchange import Receipt
    from wrappy.venue.settings import VenueSettings

FORMAT: Final = 1
"""Number in the first line; another one is another format."""
ACTIONS: Final[dict[str, type[FlowAction]]] = {
    "level": SetLevel,
    "take": Take,
    "index": SetIndexPrice,
    "print": PrintTrade,
    "point": PathPoint,
    "bar": PassBar,
    "halt": HaltMarket,
}
"""Acts of market life by their word in the file."""
_WORDS: Final = {kind: word for word, kind in ACTIONS.items()}


class InputLog:
    """The file. A name that ends in `.gz` makes it a packed one.

    Args:
        path: where; what was there is overwritten.
        settings: how the exchange is set up.
        now_us: when it opens, unix microseconds.

    Raises:
        ConfigError: it cannot be written there.
    """

    def __init__(self, path: Path, settings: VenueSettings, *, now_us: int) -> None:
        try:
            self._file: IO[str] = _open(path)
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"save_log: {path} cannot be written: {why}") from error
        # The market's life is in the file itself: the tape is not needed again.
        told = {**settings_table(settings), "format": FORMAT, "now_us": now_us}
        told.pop("tape", None)
        self.write("venue", told)

    def write(self, kind: str, *what: Any) -> None:
        """Add one line."""
        text = json.dumps([kind, *what], separators=(",", ":"))
        self._file.write(text + "\n")

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


class RecordedExchange(Exchange):
    """An exchange that writes down whatever it is given.

    Args:
        inputs: where.
    """

    def __init__(
        self,
        settings: VenueSettings,
        markets: Sequence[Market],
        accounts: dict[int, Account],
        *,
        now_us: int,
        inputs: InputLog,
    ) -> None:
        super().__init__(settings, markets, accounts, now_us=now_us)
        self._inputs = inputs
        self._reached_us = now_us
        self._owes = False
        self._finished = False

    def submit(
        self,
        tx_type: int,
        info: Mapping[str, Any],
        tx_hash: str,
        *,
        now_us: int,
        protected: bool = True,
    ) -> Receipt:
        """Check one transaction and queue it; its nonce is consumed.

        Raises:
            Refused: stage one said no; nothing was consumed.
        """
        without = () if protected else (protected,)
        self._write("tx", now_us, tx_type, dict(info), tx_hash, *without)
        return super().submit(
            tx_type, info, tx_hash, now_us=now_us, protected=protected
        )

    def submit_batch(
        self, items: Sequence[tuple[int, Mapping[str, Any], str]], *, now_us: int
    ) -> list[Receipt]:
        """Check (type, info, hash) triples of one key, then queue all or none.

        Raises:
            Refused: nothing was consumed.
        """
        told = [(kind, dict(info), tx_hash) for kind, info, tx_hash in items]
        self._write("batch", now_us, told)
        return super().submit_batch(items, now_us=now_us)

    def apply_flow(self, actions: Iterable[FlowAction], *, now_us: int) -> None:
        """Carry out market life at `now_us`, after what was due before it."""
        actions = list(actions)
        told = [(_WORDS[type(action)], *action) for action in actions]
        self._write("flow", now_us, told)
        super().apply_flow(actions, now_us=now_us)

    def advance(self, now_us: int) -> list[Event]:
        """Execute what is due up to `now_us`; return all events since the last call."""
        # Written only once it matters: what is due then happens before all else that
        # comes with a time of its own anyway.
        self._reached_us = max(self._reached_us, now_us)
        self._owes = True
        return super().advance(now_us)

    def note(self, event: Event) -> None:
        """Write something into the log that happened outside."""
        self._reach()
        told = (
            event._asdict() if isinstance(event, tuple) else dataclasses.asdict(event)
        )
        self._inputs.write("note", type(event).__name__, told)
        super().note(event)

    def skip_nonces(self, account: int, api_key_index: int, count: int) -> None:
        """Consume nonces of a key as if somebody else had used it."""
        self._reach()
        self._inputs.write("skip", account, api_key_index, count)
        super().skip_nonces(account, api_key_index, count)

    def withhold(self, tx_hash: str) -> None:
        """Never execute an accepted transaction that waits; no event tells of it."""
        self._reach()
        self._inputs.write("withhold", tx_hash)
        super().withhold(tx_hash)

    def change_tier(self, account: int, name: str, *, now_us: int) -> None:
        """Move all accounts of that account's owner to another tier, at once.

        Raises:
            Refused: 62002 to 62006, it may not be.
        """
        self._write("tier", now_us, account, name)
        super().change_tier(account, name, now_us=now_us)

    def set_maker_only(
        self, account: int, api_key_indexes: Sequence[int], *, now_us: int
    ) -> None:
        """Say which keys of an account may only make; all others may do everything.

        Raises:
            Refused: it may not be.
        """
        self._write("maker_only", now_us, account, list(api_key_indexes))
        super().set_maker_only(account, api_key_indexes, now_us=now_us)

    def finish(self) -> None:
        """Write what came of it all, and close the file; once."""
        if not self._finished:
            self._finished = True
            self._reach()
            told = {"hash": self.log.hash(), "events": len(self.log)}
            self._inputs.write("end", told)
            self._inputs.close()

    def _write(self, kind: str, now_us: int, *what: Any) -> None:
        if self._reached_us >= now_us:
            self._reach()
        self._inputs.write(kind, now_us, *what)
        self._reached_us = max(self._reached_us, now_us)
        self._owes = False

    def _reach(self) -> None:
        # Also when no time has passed: what came last may be due at once.
        if self._owes:
            self._inputs.write("until", self._reached_us)
            self._owes = False


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        # Lightly packed: it is written between two answers.
        return gzip.open(path, "wt", compresslevel=1, encoding="ascii")
    return path.open("w", encoding="ascii")
