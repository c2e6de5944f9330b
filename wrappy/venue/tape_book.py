"""Recorded books in ticks and lots of a market of ours, exact until they are shown."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from wrappy.errors import BookGapError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wrappy.model import Market
    from wrappy.venue.tape_lines import DepthUpdate, Snapshot

FINE_DECIMALS: Final = 12
"""Decimals in which recorded numbers are kept."""


class TapeBook:
    """The recorded exchange's book, in ticks and lots of a market of ours.

    Where the market's tick is coarser than the tape's, bids round down and asks round
    up, and what falls together adds up: the spread never shrinks. Sizes round down to
    lots; a level below one lot does not show.
    """

    def __init__(self, market: Market) -> None:
        self._bids = TapeSide(market, is_ask=False)
        self._asks = TapeSide(market, is_ask=True)
        self._snapshot_id = 0
        self._last_id: int | None = None

    def load(self, snapshot: Snapshot) -> None:
        """Start from a snapshot."""
        self._snapshot_id = snapshot.last_update_id
        self._bids.update(snapshot.bids)
        self._asks.update(snapshot.asks)

    def apply(self, update: DepthUpdate) -> bool:
        """Apply the next diff; return False for one that the snapshot contains.

        The exchange documents the sequence: diffs that end before the snapshot are
        dropped, the first one applied spans it, each further one names its
        predecessor.

        Raises:
            BookGapError: the diff does not follow what was applied before.
        """
        if self._last_id is None:
            if update.last < self._snapshot_id:
                return False
            follows = update.first <= self._snapshot_id
        else:
            follows = update.previous == self._last_id
        if not follows:
            raise BookGapError(
                f"update {update.first}..{update.last} (after {update.previous}) does "
                f"not follow {self._last_id or self._snapshot_id}"
            )
        self._last_id = update.last
        self._bids.update(update.bids)
        self._asks.update(update.asks)
        return True

    def best(self, levels: int) -> tuple[dict[int, int], dict[int, int]]:
        """Return lots by tick of the best `levels` bids and asks, best first."""
        return self._bids.best(levels), self._asks.best(levels)


class TapeSide:
    """One side of a recorded book, in ticks and lots of a market of ours.

    Args:
        market: whose ticks and lots.
        is_ask: which side.
    """

    def __init__(self, market: Market, *, is_ask: bool) -> None:
        self._sign = 1 if is_ask else -1  # ranks ascend from the best price
        self._tick = int(10 ** (FINE_DECIMALS - market.price_decimals))
        self._lot = int(10 ** (FINE_DECIMALS - market.size_decimals))
        self._recorded: dict[int, int] = {}  # exact price: exact size
        self._sizes: dict[int, int] = {}  # rank: exact size of all prices in it
        self._ranks: list[int] = []

    def update(self, levels: Iterable[tuple[str, str]]) -> None:
        """Take absolute sizes by price, as decimal texts.

        Raises:
            ValueError: a text is no decimal number.
        """
        for price_text, size_text in levels:
            price, size = fine(price_text), fine(size_text)
            rank = -(-self._sign * price // self._tick)
            change = size - self._recorded.pop(price, 0)
            if size:
                self._recorded[price] = size
            if change:
                self._change(rank, change)

    def _change(self, rank: int, change: int) -> None:
        total = self._sizes.pop(rank, 0)
        if not total:
            self._ranks.insert(bisect_left(self._ranks, rank), rank)
        if total + change:
            self._sizes[rank] = total + change
        else:
            del self._ranks[bisect_left(self._ranks, rank)]

    def best(self, levels: int | None = None) -> dict[int, int]:
        """Return lots by tick of the best levels, best first; of all when None."""
        shown = (
            (self._sign * rank, lots)
            for rank in self._ranks
            if rank and (lots := self._sizes[rank] // self._lot)
        )
        return dict(islice(shown, levels))


@contextmanager
def located(path: Path, number: int) -> Iterator[None]:
    """Let what goes wrong inside name the file and the line.

    Raises:
        BookGapError: instead of one without them.
        ConfigError: instead of a `ValueError`.
    """
    try:
        yield
    except BookGapError as error:
        raise BookGapError(f"tape: {path}: line {number}: {error}") from error
    except ValueError as error:
        raise ConfigError(f"tape: {path}: line {number}: {error}") from error


def fine(text: str) -> int:
    """Return a decimal text as a count of 1e-12.

    Raises:
        ValueError: it is no plain decimal number, or finer than that.
    """
    whole, _, part = text.partition(".")
    if not (whole + part).isdecimal() or len(part) > FINE_DECIMALS:
        raise ValueError(f"{text!r} is not a decimal number")
    return int(whole + part.ljust(FINE_DECIMALS, "0"))


def rounded(exact: int, decimals: int) -> int:
    """Return a count of 1e-12 in units of so many decimals, halves up."""
    unit = int(10 ** (FINE_DECIMALS - decimals))
    return (2 * exact + unit) // (2 * unit)
