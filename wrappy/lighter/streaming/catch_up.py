"""Asking by REST for what the stream could not tell: ended orders, missed trades.

A snapshot of the account's orders holds live orders only, and one of its trades
holds none, so what ended or traded while nobody listened has to be asked for.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from wrappy.errors import WrappyError
from wrappy.lighter.asking.reading import rows_by_market, whole

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from wrappy.lighter.asking.account import AccountReader
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.streaming.overlay import OverlayState

MOST_ORDER_PAGES = 5
"""Pages of a hundred ended orders that one catching up may ask for."""

MOST_PAGES = 20
"""Pages of a hundred trades that one catching up may ask for."""


class CatchUp:
    """Keeps an overlay's state complete over interruptions.

    Args:
        state: what the overlay knows.
        account: reads the account.
        log: where failures are told.
    """

    def __init__(
        self, state: OverlayState, account: AccountReader, log: LogSink
    ) -> None:
        self._state = state
        self._account = account
        self._log = log
        self._baseline: int | None = None
        self._trades_began = False
        self._tasks: set[asyncio.Task[None]] = set()

    def on_snapshot(self, name: str, message: Mapping[str, Any]) -> None:
        """Note a snapshot, before the state takes it, and ask for what it lacks."""
        try:
            if name == "account_all_orders":
                listed = rows_by_market(message.get("orders"), "orders")
                if self._state.vanished(listed):
                    self._ask(partial(self._ended_orders, listed), "ended orders")
            elif name == "account_all_trades":
                if self._trades_began:
                    self._ask(self._missed_trades, "missed trades")
                self._trades_began = True
            elif name == "trade" and self._baseline is None:
                rows = rows_by_market(message.get("trades"), "trades")
                numbers = [whole(row, "trade_id") for row in rows]
                self._baseline = max(numbers, default=0)
        except WrappyError:
            return  # told when the state takes the frame

    async def aclose(self) -> None:
        """Stop asking."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(self, question: Callable[[], Awaitable[None]], what: str) -> None:
        task = asyncio.create_task(self._told(question, what), name=f"wrappy {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, question: Callable[[], Awaitable[None]], what: str) -> None:
        try:
            await question()
        except WrappyError as error:
            self._log.error("%s could not be fetched: %s", what, error)

    async def _ended_orders(self, listed: list[dict[str, Any]]) -> None:
        gone = set(self._state.missing(listed))
        cursor: str | None = None
        for _ in range(MOST_ORDER_PAGES):
            rows, cursor = await self._account.ended_orders(cursor)
            self._state.enter_orders(rows)
            gone.intersection_update(self._state.missing(listed))
            if not gone or not cursor:
                break
        if gone:
            self._log.error("orders vanished without a trace: %s", sorted(gone))

    async def _missed_trades(self) -> None:
        missed: list[dict[str, Any]] = []
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            rows, cursor = await self._account.own_trades(cursor)
            new = [row for row in rows if self._is_missed(row)]
            missed += new
            if not new or not cursor:
                break  # a page without news: everything before it is known
        else:
            self._log.error("more trades were missed than can be fetched")
        self._state.take("account_all_trades", {"trades": missed}, snapshot=False)

    def _is_missed(self, row: Mapping[str, Any]) -> bool:
        """Whether a trade is news: made since the start, and not told yet."""
        number = whole(row, "trade_id")
        if self._state.knows_trade(number):
            return False
        if self._baseline:
            return number > self._baseline
        # The market had no trades at the start, so all of its own came later.
        return row.get("market_id") == self._state.market.market_id
