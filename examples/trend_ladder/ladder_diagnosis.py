"""What both diagnosis scripts share: an account's orders beside its position."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wrappy import LighterDealer
from wrappy.lighter.ws import WsInfo
from wrappy.runner.command import OneLineParser
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Iterable, Mapping

DEMO_SIZE = Decimal("0.05")
DEMO_COVERED = Decimal("0.03")


@dataclass(frozen=True, slots=True)
class OrderSums:
    """Sums of open orders beside a position, in the base asset.

    Attributes:
        position: signed.
        closing: orders on the side that closes it.
        reduce_only: those of them that cannot turn it over.
        loose: numbers of the orders on that side that are not reduce-only.
    """

    position: Decimal
    closing: Decimal
    reduce_only: Decimal
    loose: tuple[int, ...]

    @property
    def gap(self) -> Decimal:
        """What is held and not covered; below 0 when too much is covered."""
        return abs(self.position) - self.reduce_only


def summed(position: Decimal, orders: Iterable[Mapping[str, Any]]) -> OrderSums:
    """Add up the open orders that would close a position."""
    closing = reduce_only = Decimal(0)
    loose = []
    for order in orders:
        if not position or bool(order["is_ask"]) != (position > 0):
            continue
        left = Decimal(str(order["remaining_base_amount"]))
        closing += left
        if order["reduce_only"]:
            reduce_only += left
        else:
            loose.append(int(order["client_order_index"]))
    return OrderSums(position, closing, reduce_only, tuple(loose))


def parser_of(description: str) -> OneLineParser:
    """Return a parser with what both scripts take; each adds its network."""
    parser = OneLineParser(description=description)
    parser.add_argument("--live", action="store_true", help="mean it on mainnet")
    parser.add_argument("--symbol", default=None, help="market; ETH")
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    return parser


@contextlib.asynccontextmanager
async def opened(
    options: argparse.Namespace,
) -> AsyncIterator[tuple[LighterDealer, WsInfo]]:
    """Open an account to look at; nothing is sent to a real one.

    The local exchange begins empty, so that there something to see is made first: a
    position, a take profit for a part of it, and an order that only looks like one.
    """
    async with open_network(
        options.network, live=options.live, seed=options.seed
    ) as network:
        config = dataclasses.replace(
            network.accounts[0], symbol=options.symbol or network.symbol
        )
        if network.venue is None:
            # What rests there is what we came to see.
            config = dataclasses.replace(config, unknown_orders="adopt")
        key = config.api_keys[0]
        async with (
            await LighterDealer.create(config) as dealer,
            await WsInfo.run_overlay(
                config.account_index,
                key.api_key_index,
                key.api_key_private_key,
                symbol=dealer.market.symbol,
                base_url=config.base_url,
                chain_id=config.chain_id,
            ) as ws,
        ):
            ws.attach(dealer)
            if network.venue is not None:
                await _set_the_stage(dealer, ws)
            yield dealer, ws


async def _set_the_stage(dealer: LighterDealer, ws: WsInfo) -> None:
    bought = await dealer.create_market_order(DEMO_SIZE)
    await dealer.wait_settled(bought["client_order_index"])
    price = (ws.get_ltp() or Decimal(3_000)) * Decimal("1.03")
    made = [
        await dealer.create_limit_order(price, -DEMO_COVERED, reduce_only=True),
        await dealer.create_limit_order(price, -(DEMO_SIZE - DEMO_COVERED)),
    ]
    await dealer.flush()
    for order in made:
        await ws.wait_order_by_coi(order["client_order_index"], timeout=5.0)
