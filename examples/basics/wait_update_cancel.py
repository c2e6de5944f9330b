"""Wait, update, cancel: each step begins when the stream has told of the one before.

Idea: accepted is not executed. After every flush the script waits for the exchange's
own word on the order, by its client order index, before it goes on.

Parameters: `--symbol`, `--usdc`: what the order is worth. Risks: on a real network the
order rests 3 % below the market for a moment, where it can be filled; a position stays.

Try it: `python examples/basics/wait_update_cancel.py`.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrappy import UsageError
from wrappy.runner.command import positive, run
from wrappy.runner.desk import desk_parser, open_desk
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from wrappy import LighterDealer, WsInfo

PATIENCE_S = 10.0
LIVE = ("in-progress", "pending", "open")


async def told(
    ws: WsInfo, coi: int, holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """Return the order as soon as what the stream tells of it is so, or it is over."""
    changed = asyncio.Event()
    unhook = ws.add_hook("on_orders", lambda _: changed.set())
    try:
        while True:
            order = await ws.get_order_by_coi(coi)
            if order is not None and (order["status"] not in LIVE or holds(order)):
                return order
            changed.clear()
            await asyncio.wait_for(changed.wait(), PATIENCE_S)
    except asyncio.TimeoutError:
        raise UsageError(f"order {coi}: the stream does not tell of it") from None
    finally:
        unhook()


async def trade(dealer: LighterDealer, ws: WsInfo, usdc: Decimal) -> None:
    """Place, wait, update, wait, cancel, wait."""
    mid = ws.book().mid_price
    if mid is None:
        raise UsageError("the book lacks a side: there is no price to go by")
    low = mid * Decimal("0.97")
    coi = (await dealer.create_limit_order(low, usdc / low))["client_order_index"]
    await dealer.flush()
    order = await ws.wait_order_by_coi(coi, timeout=PATIENCE_S)
    print(f"placed   at {order['price'] if order else '?'}")

    wanted = await dealer.update_order_by_coi(coi, low - 1, quantity=usdc / low * 2)
    await dealer.flush()
    order = await told(ws, coi, lambda o: Decimal(o["price"]) == wanted["price"])
    print(f"updated  {order['initial_base_amount']} at {order['price']}")

    await dealer.cancel_order_by_coi(coi)
    await dealer.flush()
    order = await told(ws, coi, lambda _: False)
    print(f"ended    {order['status']}, {order['filled_base_amount']} filled")


async def main(options: argparse.Namespace) -> None:
    """Open the network and trade on its first account; the desk cancels in the end."""
    async with (
        open_network(options.network, live=options.live, seed=options.seed) as network,
        open_desk(network.accounts[0], options.symbol) as (dealer, ws),
    ):
        await trade(dealer, ws, options.usdc)


if __name__ == "__main__":
    parser = desk_parser(__doc__)
    parser.add_argument("--symbol", default="ETH", help="market: %(default)s")
    parser.add_argument("--usdc", type=positive, default=Decimal(100))
    sys.exit(run(main(parser.parse_args()), name=Path(__file__).name))
