"""Questions about one account and its market, asked by REST."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wrappy.errors import AuthRejectedError, InvalidOrderError, VenueError
from wrappy.lighter.reading import (
    account_in,
    balance_in,
    decimal,
    position_of,
    rows_by_market,
    transaction_in,
)
from wrappy.protocol.markets import find_market

if TYPE_CHECKING:
    from wrappy._core.receipts import TransactionReport
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.results import BalanceResult, OrderDict, TradeDict
    from wrappy.lighter.token import TokenSource
    from wrappy.lighter.transport import RestDoor

ACTIVE_ORDERS_PATH = "/api/v1/accountActiveOrders"
INACTIVE_ORDERS_PATH = "/api/v1/accountInactiveOrders"
TRADES_PATH = "/api/v1/trades"
ACCOUNT_PATH = "/api/v1/account"
BOOK_PATH = "/api/v1/orderBookOrders"
TX_PATH = "/api/v1/tx"
TX_NOT_FOUND = 21500


class AccountReader:
    """Reads one account, paced and authenticated."""

    def __init__(
        self,
        account_index: int,
        *,
        link: ExchangeLink,
        rest: RestDoor,
        tokens: TokenSource,
    ) -> None:
        self._account_index = account_index
        self._link = link
        self._rest = rest
        self._tokens = tokens

    async def open_orders(self, market_index: int) -> list[OrderDict]:
        """Return the live orders of a market."""
        fields = {"account_index": self._account_index, "market_id": market_index}
        answer = await self._ask(ACTIVE_ORDERS_PATH, fields)
        return rows_by_market(answer.get("orders"), "orders")

    async def ended_orders(
        self, cursor: str | None = None
    ) -> tuple[list[OrderDict], str | None]:
        """Return a page of up to a hundred ended orders, newest first, and the next.

        Args:
            cursor: where the page before ended; None begins with the newest.
        """
        fields: dict[str, Any] = {"account_index": self._account_index, "limit": 100}
        if cursor:
            fields["cursor"] = cursor
        answer = await self._ask(INACTIVE_ORDERS_PATH, fields)
        following = answer.get("next_cursor")
        rows = rows_by_market(answer.get("orders"), "orders")
        return rows, following if isinstance(following, str) else None

    async def own_trades(
        self, cursor: str | None = None
    ) -> tuple[list[TradeDict], str | None]:
        """Return a page of up to a hundred own trades, newest first, and the next.

        Args:
            cursor: where the page before ended; None begins with the newest.
        """
        fields: dict[str, Any] = {
            "account_index": self._account_index,
            "sort_by": "trade_id",
            "limit": 100,
        }
        if cursor:
            fields["cursor"] = cursor
        answer = await self._ask(TRADES_PATH, fields)
        following = answer.get("next_cursor")
        rows = rows_by_market(answer.get("trades"), "trades")
        return rows, following if isinstance(following, str) else None

    async def transaction(self, tx_hash: str) -> TransactionReport | None:
        """Return what became of a transaction; None if the exchange has none such."""
        await self._link.pace.wait(TX_PATH)
        try:
            answer = await self._rest.get(TX_PATH, {"by": "hash", "value": tx_hash})
        except VenueError as error:
            if error.code == TX_NOT_FOUND:
                return None
            raise
        return transaction_in(answer)

    async def balance(self) -> BalanceResult:
        """Return the account's money in USDC."""
        return balance_in(await self._account())

    async def position(self, symbol: str) -> Decimal:
        """Return a position's signed size; 0 when flat.

        Raises:
            UnknownMarketError: no such market.
        """
        market = find_market(await self._link.markets(self._rest), symbol=symbol)
        for row in (await self._account()).get("positions") or []:
            if row.get("market_id") == market.market_id:
                return position_of(row).size
        return Decimal(0)

    async def best_price(self, market_index: int, *, of_asks: bool) -> Decimal:
        """Return the best price of one side of the book.

        Raises:
            InvalidOrderError: that side is empty.
        """
        await self._link.pace.wait(BOOK_PATH)
        answer = await self._rest.get(
            BOOK_PATH, {"market_id": market_index, "limit": 1}
        )
        levels = answer.get("asks" if of_asks else "bids") or []
        if not levels:
            raise InvalidOrderError(
                "avg_execution_price",
                None,
                "has no opposite price to take a bound from; give one",
            )
        return decimal(levels[0], "price")

    async def _account(self) -> dict[str, Any]:
        fields = {"by": "index", "value": self._account_index}
        answer = await self._ask(ACCOUNT_PATH, fields)
        return account_in(answer, self._account_index)

    async def _ask(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        await self._link.pace.wait(path)
        token = await self._tokens.get()
        try:
            return await self._rest.get(path, fields, token=token.text)
        except AuthRejectedError:
            # Made while the clock was wrong, say: the next question has a new one.
            self._tokens.drop()
            raise
