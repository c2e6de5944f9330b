"""A desk for scripts: a dealer and an overlay, wired, and cleared in the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Final, Protocol

from wrappy.errors import OrderNotFoundError, UsageError
from wrappy.lighter.dealer import LighterDealer
from wrappy.lighter.ws import WsInfo
from wrappy.model import OrderStatus
from wrappy.runner.command import OneLineParser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wrappy.lighter.config import DealerConfig

CLEAR_TIMEOUT_S: Final = 5.0
_LOOK_AFTER_S: Final = 1.0
"""Silence after which the account is asked what became of canceled orders."""


def desk_parser(document: str | None) -> OneLineParser:
    """Return a parser with the options of every script that trades.

    They are `--network`, `--live` and `--seed`, as `open_network` takes them.

    Args:
        document: the script's docstring; its first line is the description.
    """
    parser = OneLineParser(description=(document or "").partition("\n")[0])
    parser.add_argument(
        "--network",
        default="venue",
        help="venue (the default), testnet, mainnet, or an address",
    )
    parser.add_argument("--live", action="store_true", help="real money is meant")
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    return parser


@contextlib.asynccontextmanager
async def open_desk(
    config: DealerConfig, symbol: str
) -> AsyncIterator[tuple[LighterDealer, WsInfo]]:
    """Open a dealer and an overlay that feeds it, and cancel its orders in the end.

    What this dealer placed is canceled, also when the body raises or is cancelled;
    orders of others on the account, and positions, stay.

    Args:
        config: address, account and key.
        symbol: the market.

    Raises:
        UsageError: at the end, orders are not known to be over.
        WrappyError: as `LighterDealer.create`, `WsInfo.run_overlay` and `flush` do.
    """
    named = dataclasses.replace(config, symbol=symbol, market_index=None)
    async with await LighterDealer.create(named) as dealer:
        own = _OwnOrders(dealer)
        key = dealer.config.api_keys[0]
        async with await WsInfo.run_overlay(
            dealer.config.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol=symbol,
            base_url=dealer.config.base_url,
            chain_id=dealer.config.chain_id,
        ) as ws:
            detach = ws.attach(dealer)
            try:
                yield dealer, ws
            finally:
                try:
                    await own.clear(ws)
                finally:
                    detach()


class _Order(Protocol):
    @property
    def client_order_index(self) -> int: ...

    @property
    def status(self) -> OrderStatus: ...


class _OwnOrders:
    """Tells a dealer's own orders from those of others on its account."""

    def __init__(self, dealer: LighterDealer) -> None:
        self._dealer = dealer
        self._changed = asyncio.Event()
        # What an earlier run left has the hash that its journal knows.
        self._numbers = {
            order.client_order_index
            for order in dealer.orders.live()
            if order.tx_hash is not None
        }
        dealer.orders.tell(self._note)

    def _note(self, order: _Order) -> None:
        if order.status is OrderStatus.QUEUED:
            self._numbers.add(order.client_order_index)
        elif order.status.is_terminal:
            self._numbers.discard(order.client_order_index)
        self._changed.set()

    async def clear(self, ws: WsInfo) -> None:
        """Cancel them and see that they are gone.

        Args:
            ws: may have heard what the dealer has not been told yet.

        Raises:
            UsageError: some are not known to be.
        """
        dealer = self._dealer
        # Sent now, it would come after those who wanted it.
        dealer.drop_queued()
        for number in sorted(self._numbers):
            if (told := await ws.get_order_by_coi(number)) is not None:
                dealer.feed_ws_orders([told])
        loop = asyncio.get_running_loop()
        ends = loop.time() + CLEAR_TIMEOUT_S
        for number in sorted(self._numbers):
            await dealer.cancel_order_by_coi(number)
        # One that ended by itself needs no cancel; what is left is seen below.
        with contextlib.suppress(OrderNotFoundError):
            await dealer.flush()
        while self._numbers and loop.time() < ends:
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), _LOOK_AFTER_S)
            except asyncio.TimeoutError:
                await dealer.reconcile()
        if self._numbers:
            raise UsageError(f"orders that may still rest: {sorted(self._numbers)}")
