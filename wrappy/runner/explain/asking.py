"""Collects what is known of one order, from the journals and from the exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.lighter.asking.reading import fill_in
from wrappy.runner.explain.life import OrderLife, tell, touching

if TYPE_CHECKING:
    from wrappy.lighter.results import Fill, OrderDict
    from wrappy.lighter.visit import AccountVisit

MOST_PAGES: Final = 10
"""Pages of a list that are read; the exchange keeps a thousand orders."""

MOST_TRANSACTIONS: Final = 20
EARLIER_MS: Final = 60_000
"""Room for a clock that differs from the exchange's."""


async def explain(visit: AccountVisit, number: int) -> OrderLife | None:
    """Return the life of an order; None when nobody knows of it.

    Nothing is locked or sent, so a bot may run with the same keys.

    Raises:
        JournalError: a journal cannot be read.
        VenueError, TransportError, ProtocolError: the exchange could not be asked.
    """
    rows = touching(await visit.journals(), number)
    order = await _order(visit, number)
    if order is None and not rows:
        return None
    index = _market_index(order, [entry.market_index for _, entry in rows])
    known = {market.market_id: market for market in await visit.markets()}
    reports = {}
    for _, entry in rows[:MOST_TRANSACTIONS]:
        report = await visit.account.transaction(entry.tx_hash)
        if report is not None:
            reports[entry.tx_hash] = report
    since_ms = min((entry.written_ms for _, entry in rows), default=None)
    traded = order is None or order.get("filled_base_amount") not in (None, "", "0")
    return tell(
        number,
        rows,
        market=known.get(-1 if index is None else index),
        order=order,
        fills=await _fills(visit, number, index, since_ms) if traded else [],
        reports=reports,
    )


async def _order(visit: AccountVisit, number: int) -> OrderDict | None:
    for row in await visit.account.open_orders(None):
        if row.get("client_order_index") == number:
            return row
    # Live ones first: an order that ends meanwhile is in the second list.
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        rows, cursor = await visit.account.ended_orders(cursor)
        for row in rows:
            if row.get("client_order_index") == number:
                return row
        if cursor is None:
            break
    return None


async def _fills(
    visit: AccountVisit, number: int, market_index: int | None, since_ms: int | None
) -> list[Fill]:
    found: list[Fill] = []
    cursor: str | None = None
    since = None if since_ms is None else since_ms - EARLIER_MS
    for _ in range(MOST_PAGES):
        rows, cursor = await visit.account.own_trades(
            cursor, market_index=market_index, since_ms=since
        )
        fills = [fill_in(row, visit.account_index) for row in rows]
        found += [fill for fill in fills if fill.client_order_index == number]
        if cursor is None:
            break
    return sorted(found, key=lambda fill: fill.trade_id)


def _market_index(order: dict[str, Any] | None, told: list[int | None]) -> int | None:
    if order is not None and isinstance(order.get("market_index"), int):
        return int(order["market_index"])
    return next((index for index in told if index is not None), None)
