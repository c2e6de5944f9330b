"""Candles out of recorded rows: what is over by now, never anything later."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from wrappy.errors import UsageError
from wrappy.runner.history.values import ResolutionError, resolution_ms
from wrappy.runner.indicators.resample import Resampler
from wrappy.runner.virtual_time import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from wrappy.model import Candle


class TapeCandles:
    """Candles of recorded markets, each told at the moment it is over.

    Longer candles are put together out of the recorded ones; shorter ones do not
    exist.

    Args:
        rows: recorded candles by symbol, oldest first.
        resolution: length of the recorded candles.
        unix_s: the world's clock.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[Candle]],
        *,
        resolution: str,
        unix_s: Callable[[], float],
    ) -> None:
        self._rows = rows
        self._resolution = resolution
        self._length = resolution_ms(resolution)
        self._unix_s = unix_s

    async def history(self, symbol: str, resolution: str, count: int) -> list[Candle]:
        """Return up to `count` candles that are over by now, oldest first."""
        over = self._over(symbol)
        self._check(resolution)
        if resolution == self._resolution:
            known = self._rows[symbol][max(0, over - count) : over]
            return [_closed(row) for row in known]
        kept: deque[Candle] = deque(maxlen=count)
        per = resolution_ms(resolution) // self._length
        first = max(0, over - (count + 2) * max(1, per))
        for made in self._joined(resolution, self._rows[symbol][first:over]):
            kept.append(made)
        return list(kept)

    async def follow(self, symbol: str, resolution: str) -> AsyncIterator[Candle]:
        """Yield each candle that ends from now on; the last one ends it."""
        rows, length, unix_s = self._rows[symbol], self._length, self._unix_s
        over = self._over(symbol)
        self._check(resolution)
        join = None
        if resolution != self._resolution:
            join = Resampler(self._resolution, resolution)
            # What the candle in the making has seen so far.
            since = unix_s() * 1_000 // resolution_ms(resolution)
            begin_ms = int(since) * resolution_ms(resolution)
            for row in rows[:over]:
                if row.start_ms >= begin_ms - length:
                    join.update(_closed(row))
        loop = asyncio.get_running_loop()
        virtual = loop if isinstance(loop, VirtualLoop) else None
        zero_ms = 0 if virtual is None else virtual.epoch_s * 1_000 - length
        for at in range(over, len(rows)):
            row = rows[at]
            if virtual is not None:
                # Exactly: unix seconds have no room for microseconds.
                at_s = (row.start_ms - zero_ms) / 1_000
                waits = at_s > virtual.time() and not virtual.try_jump(at_s)
            else:
                at_s = loop.time() + (row.start_ms + length) / 1_000 - unix_s()
                waits = at_s > loop.time()
            if waits:
                waiter = loop.create_future()
                loop.call_at(at_s, _wake, waiter)
                await waiter
            closed = row if row.closed else _closed(row)
            if join is None:
                yield closed
            else:
                for made in join.update(closed):
                    yield made

    def _check(self, resolution: str) -> None:
        if resolution_ms(resolution) % self._length:
            raise ResolutionError(resolution, self._resolution)

    def _over(self, symbol: str) -> int:
        rows = self._rows.get(symbol)
        if rows is None:
            raise UsageError(
                f"symbol: there are candles of {', '.join(self._rows)}, not {symbol}"
            )
        now_ms = round(self._unix_s() * 1_000)
        return bisect_right(rows, now_ms - self._length, key=lambda row: row.start_ms)

    def _joined(self, resolution: str, rows: Iterable[Candle]) -> list[Candle]:
        join = Resampler(self._resolution, resolution)
        return [made for row in rows for made in join.update(_closed(row))]


def _closed(row: Candle) -> Candle:
    return row if row.closed else replace(row, closed=True)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
