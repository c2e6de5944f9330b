"""Looking for orders of ours among an account's, live and ended, by their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from wrappy._core.receipts import is_all_read, last_ms_of
from wrappy.errors import AuthRejectedError
from wrappy.lighter.asking.account import ACTIVE_ORDERS_PATH, INACTIVE_ORDERS_PATH
from wrappy.lighter.asking.reading import rows_by_market
from wrappy.lighter.wire.token import TokenSource
from wrappy.protocol.intents import TxType
from wrappy.protocol.transactions import parse_tx_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.pacing.limiter import RequestPace
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.sending.way import Way
    from wrappy.protocol.intents import SignedTx
    from wrappy.signing import Signer
    from wrappy.signing.worker import SigningThread

MOST_PAGES = 10
"""Pages of ended orders that are read."""

CREATIONS = frozenset({TxType.CREATE_ORDER, TxType.CREATE_GROUPED_ORDERS})
"""Transactions that the account shows an order of once they are executed."""


class CreatedOrder(NamedTuple):
    """An order that a transaction creates.

    Attributes:
        market_index: its market.
        client_order_index: its number.
    """

    market_index: int
    client_order_index: int


def created_orders(tx: SignedTx) -> list[CreatedOrder]:
    """Return the orders that signed bytes create."""
    if tx.tx_type not in CREATIONS:
        return []
    fields = parse_tx_info(tx.tx_info)
    return [
        CreatedOrder(order["MarketIndex"], order["ClientOrderIndex"])
        for order in fields.get("Orders", [fields])
        if order["ClientOrderIndex"]
    ]


class Shown(NamedTuple):
    """What an account shows of some orders.

    Attributes:
        orders: those that it shows, live or ended.
        is_whole: whether the others are nowhere; if not, the lists were not read
            back, or do not reach back, to when they may have ended.
    """

    orders: set[CreatedOrder]
    is_whole: bool


class OrderSearch:
    """Reads an account's orders, with a token of its own."""

    def __init__(
        self,
        *,
        signer: Signer,
        rest: RestConnection,
        pace: RequestPace,
        worker: SigningThread,
        unix_s: Callable[[], float],
    ) -> None:
        self._account_index = signer.account_index
        self._rest = rest
        self._pace = pace
        self._tokens = TokenSource(signer, worker, clock=unix_s)

    @classmethod
    def by(cls, way: Way) -> OrderSearch | None:
        """Return a search that goes a dealer's way; None where nothing is signed."""
        if way.ink is None:
            return None
        return cls(
            signer=way.ink.signer,
            rest=way.rest,
            pace=way.pace,
            worker=way.ink.worker,
            unix_s=way.unix_s,
        )

    async def shown(self, orders: Mapping[CreatedOrder, int]) -> Shown:
        """Return which orders the account shows, live or ended.

        Args:
            orders: what to look for, and the unix milliseconds since when; what was
                made before is another order that had the same number.

        Raises:
            VenueError, TransportError, ProtocolError: nobody can tell.
        """
        found: set[CreatedOrder] = set()
        for market in sorted({order.market_index for order in orders}):
            rows, _ = await self._page(ACTIVE_ORDERS_PATH, {"market_id": market})
            found |= _those_in(rows, orders)
        # Live ones first: an order that ends meanwhile is in the second list.
        fields: dict[str, Any] = {"limit": 100}
        since_ms, count = min(orders.values(), default=None), 0
        for _ in range(MOST_PAGES):
            if len(found) == len(orders):
                return Shown(found, is_whole=True)
            rows, cursor = await self._page(INACTIVE_ORDERS_PATH, fields)
            found |= _those_in(rows, orders)
            count += len(rows)
            if is_all_read(rows, since_ms, count=count, has_more=bool(cursor)):
                return Shown(found, is_whole=True)
            if not cursor:
                break
            fields["cursor"] = cursor
        return Shown(found, is_whole=len(found) == len(orders))

    async def live(
        self, markets: Iterable[int], numbers: set[int]
    ) -> dict[int, OrderDict]:
        """Return the live orders that have one of these numbers, by number.

        Raises:
            VenueError, TransportError, ProtocolError: nobody can tell.
        """
        found = {}
        for market in sorted(markets):
            rows, _ = await self._page(ACTIVE_ORDERS_PATH, {"market_id": market})
            for row in rows:
                number = row.get("client_order_index")
                if number in numbers:
                    found[number] = row
        return found

    async def ended(self, numbers: set[int], since_ms: int | None) -> set[int]:
        """Return which of these numbers are listed as ended.

        Args:
            numbers: client order indices.
            since_ms: unix milliseconds before which none of them ended.

        Raises:
            VenueError, TransportError, ProtocolError: nobody can tell.
        """
        found: set[int] = set()
        fields: dict[str, Any] = {"limit": 100}
        count = 0
        for _ in range(MOST_PAGES):
            if found == numbers:
                break
            rows, cursor = await self._page(INACTIVE_ORDERS_PATH, fields)
            found |= numbers & {row.get("client_order_index", 0) for row in rows}
            count += len(rows)
            done = is_all_read(rows, since_ms, count=count, has_more=bool(cursor))
            if done or not cursor:
                break
            fields["cursor"] = cursor
        return found

    async def _page(
        self, path: str, fields: dict[str, Any]
    ) -> tuple[list[OrderDict], str | None]:
        """Return the rows of a page, and where the next one begins."""
        await self._pace.wait(path)
        token = await self._tokens.get()
        asked = {"account_index": self._account_index, **fields}
        try:
            answer = await self._rest.get(path, asked, token=token.text)
        except AuthRejectedError:
            # Made while the clock was wrong, say: the next question has a new one.
            self._tokens.drop()
            raise
        following = answer.get("next_cursor")
        cursor = following if isinstance(following, str) and following else None
        return rows_by_market(answer.get("orders"), "orders"), cursor


def _those_in(
    rows: Iterable[OrderDict], orders: Mapping[CreatedOrder, int]
) -> set[CreatedOrder]:
    found = set()
    for row in rows:
        market, number = row.get("market_index"), row.get("client_order_index")
        if not isinstance(market, int) or not isinstance(number, int):
            continue
        order = CreatedOrder(market, number)
        if order in orders and not _is_older(row.get("created_at"), orders[order]):
            found.add(order)
    return found


def _is_older(made: object, since_ms: int) -> bool:
    """Whether an order was certainly made before; what is no time proves nothing."""
    last_ms = last_ms_of(made)
    return last_ms is not None and last_ms < since_ms
