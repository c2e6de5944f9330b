"""One account's session at one market: settings, lifecycle, questions.

`LighterDealer` adds the orders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wrappy.errors import UsageError
from wrappy.lighter.assembly import assemble
from wrappy.lighter.coi_store import coi_store
from wrappy.lighter.config import DealerConfig, load_config
from wrappy.lighter.intents import IntentBuilder
from wrappy.lighter.receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from wrappy._core.orders import OrderTable
    from wrappy.lighter.assembly import DealerParts
    from wrappy.lighter.results import BalanceResult, OrderDict
    from wrappy.model import Market, Receipt


class AccountSession:
    """A session that has been checked with the exchange, to be closed in the end."""

    def __init__(self, parts: DealerParts) -> None:
        """Take over assembled parts; `create` is the way to get a dealer."""
        self._parts = parts
        self._outbox = parts.outbox
        self._account = parts.account
        self._build = IntentBuilder(
            parts.market, parts.config.price_rounding, parts.config.order_lifetime_s
        )
        self._cois = coi_store(parts.config.state_dir)
        self._receipts = Receipts(
            parts.outbox.orders, parts.account, parts.market, enter=parts.outbox.report
        )
        self._closed = False

    @property
    def config(self) -> DealerConfig:
        """The complete settings."""
        return self._parts.config

    @property
    def market(self) -> Market:
        """The market's scales and minimums, as the exchange tells them."""
        return self._parts.market

    @classmethod
    async def create(cls, config: DealerConfig, *, logger: Any = None) -> Self:
        """Check settings, market, key and chain with the exchange; return a dealer.

        Args:
            config: settings; what they lack is taken from `LIGHTER_*` variables.
            logger: a `logging.Logger`, or an object with `log_info` and the like.

        Raises:
            ConfigError, UnknownMarketError, CredentialsError: the settings do not
                fit; no order was sent.
            VenueError, TransportError: the exchange could not be asked.
        """
        return cls(await assemble(config, logger))

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
        try:
            await self._receipts.aclose()
            await self._outbox.aclose("the dealer was closed")
        finally:
            await self._parts.aclose()

    def receipt(self, client_order_index: int) -> Receipt | None:
        """Return what is known of an order now, without asking anybody.

        None for an order that this dealer does not know, or has forgotten: ended
        orders are kept a thousand long.
        """
        return self._receipts.receipt(client_order_index)

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
        return await self._receipts.wait(client_order_index, timeout)

    async def fetch_open_orders(
        self, market_index: int | None = None
    ) -> list[OrderDict]:
        """Return the account's live orders of a market, this dealer's by default."""
        self._require_open()
        market = self.market.market_id if market_index is None else market_index
        rows = await self._account.open_orders(market)
        self.feed_ws_orders(rows)
        return rows

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
        return await self._account.position(symbol or self.market.symbol)

    def feed_ws_orders(self, orders: Iterable[OrderDict]) -> None:
        """Take the exchange's word on orders, as `WsInfo.on_orders` delivers it.

        A row that cannot be read is logged and skipped; the others count.
        """
        for row in orders:
            if row.get("market_index") == self.market.market_id:
                self._outbox.report(row)

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError("the dealer is closed; make a new one")
