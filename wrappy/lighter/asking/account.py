"""Questions about an account, each paced, retried and carrying a fresh token."""

from __future__ import annotations

import asyncio
import logging
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wrappy._core.backoff import Backoff
from wrappy.errors import (
    AuthRejectedError,
    InvalidOrderError,
    TransportError,
    VenueError,
    VenueUnavailableError,
)
from wrappy.lighter.asking.reading import (
    account_in,
    balance_in,
    candles_in,
    decimal,
    margin_in,
    position_of,
    position_rows_in,
    positions_in,
    rows_by_market,
    transaction_in,
)
from wrappy.protocol.channels import RESOLUTIONS_MS
from wrappy.protocol.markets import find_market

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy._core.receipts import TransactionReport
    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.link import ExchangeLink
    from wrappy.lighter.results import (
        BalanceResult,
        MarginSetting,
        OrderDict,
        TradeDict,
    )
    from wrappy.lighter.wire.token import AuthTokens
    from wrappy.model import Candle, Position

logger = logging.getLogger("wrappy.account")

ACTIVE_ORDERS_PATH = "/api/v1/accountActiveOrders"
INACTIVE_ORDERS_PATH = "/api/v1/accountInactiveOrders"
TRADES_PATH = "/api/v1/trades"
ACCOUNT_PATH = "/api/v1/account"
BOOK_PATH = "/api/v1/orderBookOrders"
CANDLES_PATH = "/api/v1/candles"
TX_PATH = "/api/v1/tx"
TX_NOT_FOUND = 21500
PAGE_ROWS = 100
"""Rows of a page at most (official API documentation)."""

RETRIES = 3
"""How often a question is asked again that failed for the network or inside the
exchange. An answer that says no is never asked for twice."""


class AccountReader:
    """Reads one account, paced and authenticated.

    A question that found no connection, got no answer in time or met a failure
    inside the exchange is asked up to three times more, with growing pauses. A
    token that was refused is made anew, once. Any other refusal is final.

    Attributes:
        account_index: the account.
    """

    def __init__(
        self,
        account_index: int,
        *,
        link: ExchangeLink,
        rest: RestConnection,
        tokens: AuthTokens,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.account_index = account_index
        self._link = link
        self._rest = rest
        self._tokens = tokens
        self._chance = chance
        self._closing = False

    def close(self) -> None:
        """Ask nothing a second time any more."""
        self._closing = True

    async def check_market(self, market_index: int) -> None:
        """Look whether the exchange has a market.

        Raises:
            UnknownMarketError: it has not.
        """
        find_market(await self._link.markets(self._rest), market_id=market_index)

    async def open_orders(self, market_index: int | None) -> list[OrderDict]:
        """Return the live orders of a market, or of all for None; every page."""
        fields: dict[str, Any] = {"account_index": self.account_index}
        if market_index is not None:
            fields["market_id"] = market_index
        rows: list[OrderDict] = []
        seen: set[str] = set()
        while True:
            answer = await self._ask(ACTIVE_ORDERS_PATH, fields)
            rows += rows_by_market(answer.get("orders"), "orders")
            following = _cursor(answer)
            if following is None or following in seen:
                return rows
            seen.add(following)
            fields["cursor"] = following

    async def ended_orders(
        self, cursor: str | None = None, *, market_index: int | None = None
    ) -> tuple[list[OrderDict], str | None]:
        """Return a page of up to a hundred ended orders, newest first, and the next.

        Args:
            cursor: where the page before ended; None begins with the newest.
            market_index: only this market's.
        """
        return await self._page(
            INACTIVE_ORDERS_PATH, "orders", cursor, market_index=market_index
        )

    async def own_trades(
        self,
        cursor: str | None = None,
        *,
        market_index: int | None = None,
        since_ms: int | None = None,
    ) -> tuple[list[TradeDict], str | None]:
        """Return a page of up to a hundred own trades, newest first, and the next.

        Args:
            cursor: where the page before ended; None begins with the newest.
            market_index: only this market's.
            since_ms: only from this moment on, unix milliseconds.
        """
        extra: dict[str, Any] = {"sort_by": "trade_id"}
        if since_ms is not None:
            extra["from"] = since_ms
        return await self._page(
            TRADES_PATH, "trades", cursor, market_index=market_index, **extra
        )

    async def transaction(self, tx_hash: str) -> TransactionReport | None:
        """Return what became of a transaction; None if the exchange has none such."""
        fields = {"by": "hash", "value": tx_hash}
        try:
            answer = await self._ask(TX_PATH, fields, private=False)
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
        row = await self._position_row(market.market_id)
        return position_of(row).size

    async def position_of(
        self, account_index: int, symbol: str, *, urgent: bool = False
    ) -> Decimal:
        """Return the signed size of any account's position; 0 when flat.

        What an account holds is public (official API reference).

        Raises:
            UnknownMarketError: no such market.
        """
        market = find_market(await self._link.markets(self._rest), symbol=symbol)
        fields = {"by": "index", "value": account_index}
        answer = await self._ask(ACCOUNT_PATH, fields, private=False, urgent=urgent)
        for row in position_rows_in(account_in(answer, account_index)):
            if row.get("market_id") == market.market_id:
                return position_of(row).size
        return Decimal(0)

    async def positions(self) -> list[Position]:
        """Return the positions that are not flat."""
        return positions_in(await self._position_rows())

    async def margin_setting(self, market_index: int) -> MarginSetting | None:
        """Return a market's margin setting; None while the account shows none."""
        row = await self._position_row(market_index)
        return margin_in(row) if "initial_margin_fraction" in row else None

    async def best_price(self, market_index: int, *, of_asks: bool) -> Decimal:
        """Return the best price of one side of the book.

        Raises:
            InvalidOrderError: that side is empty.
        """
        fields = {"market_id": market_index, "limit": 1}
        answer = await self._ask(BOOK_PATH, fields, private=False)
        side = "asks" if of_asks else "bids"
        levels = rows_by_market(answer.get(side), side)
        if not levels:
            raise InvalidOrderError(
                "avg_execution_price",
                None,
                "has no opposite price to take a bound from; give one",
            )
        return decimal(levels[0], "price")

    async def _position_row(self, market_index: int) -> dict[str, Any]:
        for row in await self._position_rows():
            if row.get("market_id") == market_index:
                return dict(row)
        return {"market_id": market_index}

    async def _position_rows(self) -> list[dict[str, Any]]:
        return position_rows_in(await self._account())

    async def _account(self) -> dict[str, Any]:
        fields = {"by": "index", "value": self.account_index}
        answer = await self._ask(ACCOUNT_PATH, fields)
        return account_in(answer, self.account_index)

    async def candles(
        self, market_index: int, resolution: str, *, end_ms: int, count: int
    ) -> list[Candle]:
        """Return up to 500 of a market's candles that began before `end_ms`.

        Oldest first; one that is not over yet may be among them.
        """
        length = RESOLUTIONS_MS[resolution]
        fields = {
            "market_id": market_index,
            "resolution": resolution,
            "start_timestamp": max(0, end_ms - count * length),
            # A candle that begins at the end itself would take the place of another.
            "end_timestamp": end_ms - 1,
            "count_back": count,
        }
        return candles_in(await self._ask(CANDLES_PATH, fields, private=False))

    async def _page(
        self,
        path: str,
        name: str,
        cursor: str | None,
        *,
        market_index: int | None,
        **extra: Any,
    ) -> tuple[list[dict[str, Any]], str | None]:
        fields: dict[str, Any] = {
            "account_index": self.account_index,
            "limit": PAGE_ROWS,
            **extra,
        }
        if market_index is not None:
            fields["market_id"] = market_index
        if cursor:
            fields["cursor"] = cursor
        answer = await self._ask(path, fields)
        return rows_by_market(answer.get(name), name), _cursor(answer)

    async def _ask(
        self,
        path: str,
        fields: dict[str, Any],
        *,
        private: bool = True,
        urgent: bool = False,
    ) -> dict[str, Any]:
        """Ask until there is an answer, by the rules in the class's docstring."""
        backoff, failures, renewed = Backoff(ceiling_s=2.0), 0, False
        while True:
            await self._link.pace.wait(path, urgent=urgent)
            try:
                if not private:
                    return await self._rest.get(path, fields)
                token = await self._tokens.get()
                return await self._rest.get(path, fields, token=token.text)
            except AuthRejectedError:
                if not private:
                    raise
                # Made while the clock was wrong, say.
                self._tokens.drop(refused=True)
                if renewed or self._closing:
                    raise
                renewed = True
            except (TransportError, VenueUnavailableError) as error:
                failures += 1
                if failures > RETRIES or self._closing:
                    raise
                pause_s = backoff.next(self._chance())
                logger.info("%s: asked again in %.2f s: %s", path, pause_s, error)
                await asyncio.sleep(pause_s)


def _cursor(answer: dict[str, Any]) -> str | None:
    following = answer.get("next_cursor")
    return following if isinstance(following, str) and following else None
