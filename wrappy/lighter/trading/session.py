"""One account's session at one market: settings, lifecycle, questions.

`LighterDealer` adds the orders.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

from wrappy.errors import (
    InvalidOrderError,
    ProtocolError,
    RiskDeniedError,
    RiskRule,
    TransportError,
    UsageError,
    VenueError,
)
from wrappy.lighter.asking.reading import fill_in, order_report
from wrappy.lighter.config import DealerConfig, load_config
from wrappy.lighter.environment import NATIVE, Environment
from wrappy.lighter.sending.receipts import Receipts
from wrappy.lighter.trading.arguments import (
    checked_coi,
    checked_flag,
    checked_seconds,
    checked_whole,
)
from wrappy.lighter.trading.assembly import assemble
from wrappy.lighter.trading.intents import IntentBuilder
from wrappy.lighter.trading.prices import ReferencePrices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from wrappy._core.orders import OrderTable
    from wrappy.lighter.results import BalanceResult, Fill, OrderDict, OrderReport
    from wrappy.lighter.trading.assembly import DealerParts
    from wrappy.lighter.trading.prices import PriceSource
    from wrappy.model import Market, Position, Receipt
    from wrappy.protocol.intents import Intent

logger = logging.getLogger("wrappy.session")

MOST_ROWS = 10_000
"""Rows that one call may page through."""

LOOK_EVERY_S = 5.0
"""Seconds between two looks at the account because a cap is reached."""

LAST_MARKET = 254
"""Perpetual markets end there (official signer constants)."""


class AccountSession:
    """A session that has been checked with the exchange, to be closed in the end.

    Attributes:
        on_foreign_nonce: a plain function, called with a count whenever somebody
            else has used that many nonces of one of our API keys; None for none.
    """

    def __init__(self, parts: DealerParts) -> None:
        """Take over assembled parts; `create` is the way to get a dealer."""
        self._parts = parts
        self._outbox = parts.outbox
        self._account = parts.account
        self._build = IntentBuilder(
            parts.market,
            parts.config.price_rounding,
            parts.config.order_lifetime_s,
            clock=parts.environment.unix_s,
        )
        self._cois = parts.environment.order_numbers(parts.config.state_dir)
        self._receipts = Receipts(
            parts.outbox.orders,
            parts.account,
            parts.market,
            enter=parts.outbox.report,
            hurry=parts.lapses.hurry,
            unix_s=parts.environment.unix_s,
        )
        self._prices = ReferencePrices(parts.account, parts.market)
        self.on_foreign_nonce: Callable[[int], object] | None = None
        self._looked_at = -math.inf
        self._closed = False
        parts.watch_foreign_nonces(self._tell_foreign_nonce)

    @property
    def config(self) -> DealerConfig:
        """The complete settings."""
        return self._parts.config

    @property
    def market(self) -> Market:
        """The market's scales and minimums, as the exchange tells them."""
        return self._parts.market

    @classmethod
    async def create(
        cls,
        config: DealerConfig,
        *,
        logger: Any = None,
        environment: Environment = NATIVE,
    ) -> Self:
        """Check settings, market, key and chain with the exchange; return a dealer.

        Args:
            config: settings; what they lack is taken from `LIGHTER_*` variables.
            logger: a `logging.Logger`, or an object with `log_info` and the like.
            environment: clocks, connections and signers; a simulation brings its
                own.

        Raises:
            ConfigError, UnknownMarketError, CredentialsError: the settings do not
                fit; no order was sent.
            VenueError, TransportError: the exchange could not be asked.
        """
        dealer = cls(await assemble(config, logger, environment))
        try:
            await dealer._begin()
        except BaseException:
            await dealer.aclose()
            raise
        return dealer

    @classmethod
    async def from_config(
        cls,
        path: str | Path = "config.json",
        *,
        symbol: str | None = None,
        logger: Any = None,
        **overrides: Any,
    ) -> Self:
        """Return a dealer set up from arguments, environment and a JSON file.

        Args:
            path: the file, with or without a `Lighter` section; it may be absent
                when the environment gives what is needed.
            symbol: market by name.
            logger: as in `create`.
            **overrides: any field of `DealerConfig`.

        Raises:
            ConfigError: a setting is wrong, unknown or missing; the message names it.
        """
        config = load_config(path, {**overrides, "symbol": symbol})
        return await cls.create(config, logger=logger)

    @property
    def orders(self) -> OrderTable:
        """What is known of every order of this dealer."""
        return self._outbox.orders

    @property
    def quota(self) -> int | None:
        """What is left of the account's volume quota, less what is on its way.

        None while the exchange has told no number, as for most tiers. With nothing
        left, one order every 15 s goes; cancels are free.
        """
        return self._parts.allowance.quota.left

    @property
    def requests_used(self) -> int:
        """Requests made to this exchange by everybody in the process so far."""
        return self._parts.link.pace.requests

    async def __aenter__(self) -> Self:
        self._require_open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. What is still queued is dropped, with a warning.

        What is on its way gets its answer first; a flush that only waits for its
        turn sends nothing any more.
        """
        if self._closed:
            return
        self._closed = True
        self._parts.unwatch_foreign_nonces(self._tell_foreign_nonce)
        self._account.close()
        try:
            await self._receipts.aclose()
            await self._outbox.aclose("the dealer was closed")
        finally:
            await self._parts.aclose()

    def acknowledge_foreign_nonce(self) -> None:
        """Let new orders out again that the alarm for foreign nonces has stopped.

        Twice within a minute nonces of our key that we did not use are a second
        writer: new orders then raise `ForeignNonceError`, and cancels go on. Find
        out who it is first; a key is for one process.
        """
        self._require_open()
        self._parts.acknowledge_foreign_nonces()

    def receipt(self, client_order_index: int) -> Receipt | None:
        """Return what is known of an order now, without asking anybody.

        None for an order that this dealer does not know, or has forgotten: ended
        orders are kept a thousand long.
        """
        return self._receipts.receipt(checked_coi(client_order_index))

    async def wait_settled(
        self, client_order_index: int, timeout: float = 5.0
    ) -> Receipt:
        """Wait until an order's first transaction is executed or rejected.

        Whatever tells first counts: orders fed by `feed_ws_orders`, or, when nothing
        came for half a second, questions by REST, one round a second.

        Args:
            client_order_index: an order that was flushed.
            timeout: seconds to wait at most.

        Returns:
            The receipt. When the time is over it is the receipt as it stands then,
            `ACCEPTED` or `UNKNOWN`, and nothing is concluded from the silence.

        Raises:
            UsageError: the order still waits for a flush, this dealer does not know
                it, or the dealer is closed, also meanwhile.
        """
        self._require_open()
        return await self._receipts.wait(
            checked_coi(client_order_index),
            checked_seconds(timeout, field="timeout"),
        )

    def attach_prices(self, source: PriceSource | None) -> None:
        """Take bounds and checks from a stream, instead of asking for the book.

        Args:
            source: a `WsInfo` of this dealer's market; None ends it.

        Raises:
            ConfigError: it streams another market.
        """
        self._prices.attach(source)

    async def fetch_open_orders(
        self, market_index: int | None = None, *, everywhere: bool = False
    ) -> list[OrderDict]:
        """Return the account's live orders, waiting ones included.

        Args:
            market_index: a market; this dealer's by default.
            everywhere: those of all markets.

        Raises:
            InvalidOrderError: no market index, or both arguments are given.
            UnknownMarketError: the exchange has no such market.
        """
        self._require_open()
        market: int | None = self.market.market_id
        if market_index is not None:
            market = checked_whole(market_index, 0, LAST_MARKET, field="market_index")
            await self._account.check_market(market)
        if checked_flag(everywhere, field="everywhere"):
            if market_index is not None:
                raise InvalidOrderError(
                    "market_index", market_index, "contradicts everywhere=True"
                )
            market = None
        rows = await self._account.open_orders(market)
        self.feed_ws_orders(rows)
        return rows

    async def fetch_order(self, client_order_index: int) -> OrderReport | None:
        """Return the exchange's word on an order, live or ended, in any market.

        Returns:
            None when it is neither among the live orders nor among the account's
            ten thousand latest ended ones.
        """
        self._require_open()
        coi = checked_coi(client_order_index)
        # Live ones first: an order that ends meanwhile is in the second list.
        rows = await self.fetch_open_orders(everywhere=True)
        cursor: str | None = None
        read = 0
        while True:
            for row in rows:
                if row.get("client_order_index") == coi:
                    self.feed_ws_orders([row])
                    return order_report(row)
            if read >= MOST_ROWS or (read and cursor is None):
                return None
            rows, cursor = await self._account.ended_orders(cursor)
            read += max(1, len(rows))

    async def fetch_ended_orders(
        self, limit: int = 100, *, everywhere: bool = False
    ) -> list[OrderReport]:
        """Return the latest ended orders, newest first.

        Args:
            limit: how many at most, 1..10000; a hundred are one request.
            everywhere: those of all markets, not only this dealer's.
        """
        self._require_open()
        most = checked_whole(limit, 1, MOST_ROWS, field="limit")
        market = self._market_unless(everywhere)
        found: list[OrderReport] = []
        cursor: str | None = None
        while len(found) < most:
            rows, cursor = await self._account.ended_orders(cursor, market_index=market)
            self.feed_ws_orders(rows)
            found += map(order_report, rows)
            if cursor is None:
                break
        return found[:most]

    async def fetch_my_trades(
        self,
        limit: int = 100,
        *,
        since_s: float | None = None,
        everywhere: bool = False,
    ) -> list[Fill]:
        """Return the account's latest trades, newest first.

        Args:
            limit: how many at most, 1..10000; a hundred are one request.
            since_s: none before this moment, unix seconds.
            everywhere: those of all markets, not only this dealer's.
        """
        self._require_open()
        most = checked_whole(limit, 1, MOST_ROWS, field="limit")
        market = self._market_unless(everywhere)
        since_ms = None
        if since_s is not None:
            latest = checked_seconds(since_s, field="since_s", most=1e11)
            since_ms = int(latest * 1000)
        found: list[Fill] = []
        cursor: str | None = None
        while len(found) < most:
            rows, cursor = await self._account.own_trades(
                cursor, market_index=market, since_ms=since_ms
            )
            found += (fill_in(row, self._account.account_index) for row in rows)
            if cursor is None:
                break
        return found[:most]

    async def fetch_my_balance(self) -> BalanceResult:
        """Return the account's money in USDC."""
        self._require_open()
        return await self._account.balance()

    async def fetch_my_position(self, symbol: str | None = None) -> Decimal:
        """Return a position's signed size; 0 when flat.

        Args:
            symbol: market by name; this dealer's if None.

        Raises:
            UnknownMarketError: no such market.
        """
        self._require_open()
        if symbol is not None and not isinstance(symbol, str):
            raise InvalidOrderError("symbol", symbol, "is no market's name")
        return await self._account.position(symbol or self.market.symbol)

    async def fetch_positions(self) -> list[Position]:
        """Return the account's positions in all markets, flat ones left out."""
        self._require_open()
        return await self._account.positions()

    def feed_ws_orders(self, orders: Iterable[OrderDict]) -> None:
        """Take the exchange's word on orders, as `WsInfo.on_orders` delivers it.

        Orders of other markets are left alone. A row that cannot be read is logged
        and skipped; the others count.
        """
        for row in orders:
            if not isinstance(row, dict):
                logger.error("unreadable order report: a %s", type(row).__name__)
            elif row.get("market_index") == self.market.market_id:
                self._outbox.report(row)

    async def reconcile(self) -> None:
        """Look up what became of the live orders, as after an outage of the stream.

        Raises:
            UsageError: the dealer is closed.
            VenueError, TransportError, ProtocolError: the lists could not be read.
        """
        self._require_open()
        await self._parts.sweep.look()

    async def _begin(self) -> None:
        """Do what a new dealer does before anybody has it."""

    def _market_unless(self, everywhere: bool) -> int | None:  # noqa: FBT001 - passed on
        whole_account = checked_flag(everywhere, field="everywhere")
        return None if whole_account else self.market.market_id

    async def _require_room(self, intents: Sequence[Intent]) -> None:
        """Raise if the exchange's caps leave no place for new orders.

        What nobody has reported may be over by now, so the account is looked at
        before anything is denied.
        """
        why = self._outbox.refusal(intents)
        now = asyncio.get_running_loop().time()
        if why is not None and now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            try:
                await self._parts.sweep.look()
            except (VenueError, TransportError, ProtocolError) as error:
                raise RiskDeniedError(why, rule=RiskRule.TIER) from error
            self._require_open()
            why = self._outbox.refusal(intents)
        if why is not None:
            raise RiskDeniedError(why, rule=RiskRule.TIER)

    def _tell_foreign_nonce(self, count: int) -> None:
        if self.on_foreign_nonce is not None:
            self.on_foreign_nonce(count)

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError("the dealer is closed; make a new one")
