"""The account as a watcher sees it: a stream of its own beside the strategies'.

It shares their connection, so that it costs no request and one more channel. Whatever
the strategies do with theirs, the account is still seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ProtocolError, StreamClosedError, UsageError, WrappyError
from wrappy.lighter.asking.reading import fill_in
from wrappy.lighter.ws import WsInfo
from wrappy.runner.events import EventKind
from wrappy.runner.monitor.snapshot import Balance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import Environment
    from wrappy.lighter.results import Fill
    from wrappy.runner.events import EventRing

logger = logging.getLogger("wrappy.monitor")

AGAIN_S: Final = 5.0
"""Pause after a stream that could not be opened."""

MOST_FILLS: Final = 200


class AccountView:
    """Balance, positions, trades and connection of one account.

    Args:
        config: complete settings of the account, with a market.
        environment: of the world.
        events: told of trades and of the connection.
        strategy_of: names the strategy of an order by its client order index; empty
            for an order of somebody else.

    Attributes:
        fills: the latest trades, newest first.
        fill_count: trades so far.
        volume: their value in USDC.
        fees: paid for them in USDC.
    """

    def __init__(
        self,
        config: DealerConfig,
        environment: Environment,
        events: EventRing,
        *,
        strategy_of: Callable[[int], str],
    ) -> None:
        self.fills: deque[Mapping[str, Any]] = deque(maxlen=MOST_FILLS)
        self.fill_count = 0
        self.volume = Decimal(0)
        self.fees = Decimal(0)
        self._config = config
        self._environment = environment
        self._events = events
        self._strategy_of = strategy_of
        self._symbols: dict[int, str] = {}
        self._ws: WsInfo | None = None
        self._was_live = False
        self._lost_at: float | None = None

    def name_market(self, market_index: int, symbol: str) -> None:
        """Have trades of a market told with its name."""
        self._symbols[market_index] = symbol

    async def keep(self) -> None:
        """Keep a stream until cancelled; one that cannot be opened is tried again."""
        clock = asyncio.get_running_loop().time
        self._lost_at = clock()
        while True:
            try:
                self._ws = await self._opened()
            except WrappyError as error:
                logger.warning("the account cannot be watched: %s", error)
                await asyncio.sleep(AGAIN_S)
                continue
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ws, self._ws = self._ws, None
                await ws.aclose()

    async def _opened(self) -> WsInfo:
        config = self._config
        key = config.api_keys[0]
        ws = await WsInfo.run_overlay(
            config.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol=config.symbol,
            market_data="none",
            watch=("user_stats",),
            base_url=config.base_url,
            chain_id=config.chain_id,
            environment=self._environment,
        )
        self.name_market(ws.market.market_id, ws.market.symbol)
        ws.add_hook("on_trades", self._traded)
        return ws

    def look(self) -> None:
        """Note a connection that was lost or came back since the last look."""
        now = asyncio.get_running_loop().time()
        live = self.is_live
        if live == self._was_live:
            return
        outage_s = self.outage_s(now)
        self._was_live = live
        self._lost_at = None if live else now
        if not live:
            self._events.note(EventKind.STREAM_LOST, "the account's stream was lost")
        else:
            self._events.note(
                EventKind.STREAM_BACK,
                f"the account's stream is live, after {outage_s:.1f} s",
            )

    @property
    def is_live(self) -> bool:
        """Whether everything that is streamed is live."""
        return self._ws is not None and self._ws.state.value == "ready"

    def outage_s(self, now: float) -> float:
        """Return how long the stream has not been live; 0 while it is."""
        return 0.0 if self._lost_at is None else now - self._lost_at

    @property
    def connects(self) -> int:
        """Connections so far."""
        return 0 if self._ws is None else self._ws.connects

    @property
    def hook_failures(self) -> int:
        """Hooks of the watcher's own that raised."""
        return 0 if self._ws is None else self._ws.hook_failures

    def balance(self) -> Balance | None:
        """Return the account's money as the stream tells it; None while it does not."""
        if self._ws is None:
            return None
        with contextlib.suppress(StreamClosedError, UsageError):
            stats = self._ws.user_stats
            return Balance(
                collateral=stats.collateral,
                available_balance=stats.available_balance,
                total_asset_value=stats.portfolio_value,
            )
        return None

    def positions(self) -> tuple[Mapping[str, Any], ...]:
        """Return open positions, as values for JSON."""
        if self._ws is None:
            return ()
        return tuple(
            {
                "symbol": position.symbol,
                "size": position.size,
                "entry_price": position.average_entry_price,
                "unrealized_pnl": position.unrealized_pnl,
                "realized_pnl": position.realized_pnl,
            }
            for position in self._ws.positions.values()
            if position.size
        )

    def _traded(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            with contextlib.suppress(ProtocolError):
                self._filled(fill_in(row, self._config.account_index or 0))

    def _filled(self, fill: Fill) -> None:
        value = fill.price * fill.size
        self.fill_count += 1
        self.volume += value
        self.fees += fill.fee
        symbol = self._symbols.get(fill.market_index, f"market {fill.market_index}")
        strategy = self._strategy_of(fill.client_order_index)
        side = "bought" if fill.side.value == "buy" else "sold"
        self.fills.appendleft(
            {
                "trade_id": fill.trade_id,
                "at_s": fill.timestamp_ms / 1_000,
                "strategy": strategy,
                "symbol": symbol,
                "side": fill.side.value,
                "price": fill.price,
                "size": fill.size,
                "role": "maker" if fill.is_maker else "taker",
                "fee": fill.fee,
                "client_order_index": fill.client_order_index,
            }
        )
        self._events.note(
            EventKind.ORDER_FILLED,
            f"{side} {fill.size.normalize():f} {symbol} at {fill.price:f}",
            strategy=strategy,
            symbol=symbol,
        )
