"""Replace quotes in one request: cancels first, new orders after them.

Idea: a quote that moves is a cancel and an order. Sent together they cost one request,
and the exchange carries the cancels out first. What is queued inside `batch()` goes out
together as well, when the block ends.

Parameters: `--symbol`, `--usdc`: what each order is worth, `--rounds`. Risks: on a real
network the quotes rest 2 to 3 % from the market, where they can be filled; a position
stays.

Try it: `python examples/basics/batch_cancel_and_create.py`.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import UsageError
from wrappy.runner.command import count, positive, run
from wrappy.runner.desk import desk_parser, open_desk
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    import argparse

    from wrappy import LighterDealer, WsInfo


async def trade(
    dealer: LighterDealer, ws: WsInfo, *, usdc: Decimal, rounds: int
) -> None:
    """Quote both sides, move the quotes, and add two orders in a batch block."""
    mid = ws.book().mid_price
    if mid is None:
        raise UsageError("the book lacks a side: there is no price to go by")
    size = usdc / mid
    resting: list[int] = []
    for step in range(rounds + 1):
        away = mid * (Decimal("0.02") + Decimal("0.001") * step)
        batch = await dealer.batch_cancel_and_create(
            cancel_client_order_indices=resting,
            new_limit_orders=[(mid - away, size), (mid + away, -size)],
            post_only=True,
        )
        canceled, created = batch["canceled"], batch["created"]
        print(
            f"{len(canceled)} canceled, {len(created)} created "
            f"in {batch['batches']} request"
        )
        resting = created

    async with dealer.batch():
        for side in (1, -1):
            price = mid * (1 - side * Decimal("0.03"))
            order = await dealer.create_limit_order(price, side * size, post_only=True)
            resting.append(order["client_order_index"])
    for coi in resting:
        receipt = await dealer.wait_settled(coi)
        print(f"{receipt.size} at {receipt.price}: {receipt.status.value}")


async def main(options: argparse.Namespace) -> None:
    """Open the network and trade on its first account; the desk cancels in the end."""
    async with (
        open_network(options.network, live=options.live, seed=options.seed) as network,
        open_desk(network.accounts[0], options.symbol) as (dealer, ws),
    ):
        await trade(dealer, ws, usdc=options.usdc, rounds=options.rounds)


if __name__ == "__main__":
    parser = desk_parser(__doc__)
    parser.add_argument("--symbol", default="ETH", help="market: %(default)s")
    parser.add_argument("--usdc", type=positive, default=Decimal(100))
    parser.add_argument("--rounds", type=count, default=2, help="of moving quotes")
    sys.exit(run(main(parser.parse_args()), name=Path(__file__).name))
