"""Ending in bulk what nobody reports, so that the order table does not grow for ever.

A dealer without a stream hears of an order's end only when somebody asks. When many
orders count as live, the account's own lists are read: what they show is entered, and
what has been on none of them for long is forgotten. Who sends faster than the list of
ended orders can be read has the oldest forgotten when two looks have not found them
although younger ones had been carried out before.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING

from wrappy.errors import WrappyError
from wrappy.model import OrderStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy._core.orders import OrderRecord, OrderTable
    from wrappy.lighter.asking.account import AccountReader
    from wrappy.lighter.results import OrderDict

logger = logging.getLogger("LighterDealer.receipts")

SWEEP_AT = 500
"""Live orders from which on a look is taken; so many more than the last look left."""

MOST_PAGES = 15
"""Pages of a hundred ended orders that one look may read."""

LONG_S = 900.0
"""No transaction waits longer for its execution; what no list shows then is over."""

BEHIND_S = 5.0
"""The exchange carries out in the order of arrival, but for delays of less than a
second: whatever left so long before one that is carried out is carried out as well."""

_NOT_OUT = frozenset({OrderStatus.QUEUED, OrderStatus.UNKNOWN})


class OrderSweep:
    """Reads the account's lists when the table holds many live orders.

    Args:
        orders: the order table, whose changes are listened to from now on.
        account: reads the account.
        market_index: the market that is swept.
        enter: enters the exchange's word on an order into the table.
        forget: drops an order.
        sweep_at: live orders from which on a look is taken.
    """

    def __init__(
        self,
        orders: OrderTable,
        account: AccountReader,
        market_index: int,
        *,
        enter: Callable[[OrderDict], None],
        forget: Callable[[int], None],
        sweep_at: int = SWEEP_AT,
    ) -> None:
        self._orders = orders
        self._account = account
        self._market_index = market_index
        self._enter = enter
        self._forget = forget
        self._least = self._threshold = sweep_at
        self._since: dict[int, float] = {}
        # When the youngest order left that the exchange has reported.
        self._carried_out = -math.inf
        # What the look before showed on no list: reads may lag behind.
        self._missing: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        orders.tell(self._note)

    async def aclose(self) -> None:
        """Look no more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _note(self, record: OrderRecord) -> None:
        coi = record.client_order_index
        if record.reported is not None and coi in self._since:
            self._carried_out = max(self._carried_out, self._since[coi])
        if record.status.is_terminal or record.status in _NOT_OUT:
            self._since.pop(coi, None)
            return
        self._since.setdefault(coi, asyncio.get_running_loop().time())
        idle = self._task is None or self._task.done()
        if len(self._since) >= self._threshold and idle and not self._closed:
            self._task = asyncio.create_task(self._sweep(), name="wrappy-sweep")

    async def _sweep(self) -> None:
        try:
            await self.look()
        except WrappyError as error:
            logger.warning("the account's orders could not be read: %s", error)
        self._threshold = self._least + len(self._since)

    async def look(self) -> None:
        """Enter what the account's lists show, now.

        Raises:
            VenueError, TransportError, ProtocolError: they could not be read.
        """
        began, carried_out = asyncio.get_running_loop().time(), self._carried_out
        missing, self._missing = self._missing, set()
        silent = set(self._since)
        # Live ones first: an order that ends meanwhile is in the second list.
        for row in await self._account.open_orders(self._market_index):
            coi = row.get("client_order_index")
            if coi in silent:
                self._enter(row)
                silent.discard(coi)
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            if not silent:
                return
            rows, cursor = await self._account.ended_orders(cursor)
            for row in rows:
                coi = row.get("client_order_index")
                if coi in silent and row.get("market_index") == self._market_index:
                    self._enter(row)
                    silent.discard(coi)
            if not cursor:
                break
        left = [(coi, at) for coi, at in self._since.items() if coi in silent]
        surplus = len(left) - self._least
        gone = [
            coi
            for place, (coi, at) in enumerate(left)
            if began - at >= LONG_S
            or (place < surplus and coi in missing and at + BEHIND_S <= carried_out)
        ]
        self._missing = {coi for coi, _ in left}.difference(gone)
        for coi in gone:
            del self._since[coi]
            self._forget(coi)
        if gone:
            logger.info("forgotten: %d order(s) that no list shows", len(gone))
