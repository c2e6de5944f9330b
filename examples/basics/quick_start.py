"""Quick start: place an order, change it, cancel it, by its client order index.

Idea: the overlay streams market and account, the dealer sends. An order has one number,
chosen here before it leaves, and every call goes by it.

Parameters: `--symbol`, `--usdc`: what the order is worth. Risks: on a real network the
order rests 3 % below the market for about a second, where it can be filled.

Try it: `python examples/basics/quick_start.py`, or with `--network testnet` and account
and key in `LIGHTER_*` variables.
"""

from __future__ import annotations

import dataclasses
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import LighterDealer, UsageError, WsInfo
from wrappy.runner.command import positive, run
from wrappy.runner.desk import desk_parser
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    import argparse

    from wrappy import DealerConfig


async def trade(config: DealerConfig, usdc: Decimal) -> None:
    """Take one order from its birth to its end."""
    key = config.api_keys[0]
    async with (
        await LighterDealer.create(config) as dealer,
        await WsInfo.run_overlay(
            config.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol=config.symbol,
            base_url=config.base_url,
        ) as ws,
    ):
        ws.attach(dealer)  # the dealer hears what becomes of its orders
        mid = ws.book().mid_price
        if mid is None:
            raise UsageError("the book lacks a side: there is no price to go by")
        price = mid * Decimal("0.97")
        placed = await dealer.create_limit_order(price, usdc / price, post_only=True)
        coi = placed["client_order_index"]
        try:
            await dealer.flush()
            order = await ws.wait_order_by_coi(coi, timeout=5.0)
            status = order["status"] if order else "not reported"
            print(f"placed   {placed['size']} at {placed['price']}: {status}")

            changed = await dealer.update_order_by_coi(coi, price=price * 2 - mid)
            await dealer.flush()
            print(f"changed  to {changed['price']}")
        finally:
            await dealer.cancel_order_by_coi(coi)
            await dealer.flush()
        print("cancel   accepted; wait_update_cancel.py also waits until it is done")


async def main(options: argparse.Namespace) -> None:
    """Open the network and trade on its first account."""
    async with open_network(
        options.network, live=options.live, seed=options.seed
    ) as network:
        await trade(
            dataclasses.replace(network.accounts[0], symbol=options.symbol),
            options.usdc,
        )


if __name__ == "__main__":
    parser = desk_parser(__doc__)
    parser.add_argument("--symbol", default="ETH", help="market: %(default)s")
    parser.add_argument("--usdc", type=positive, default=Decimal(100))
    sys.exit(run(main(parser.parse_args()), name=Path(__file__).name))
