"""Requote many orders at once, with a bound on how many changes are on their way.

Idea: each order has a task that moves it with the market. A semaphore lets only a few
of them send at a time: the others wait for their turn and then take the newest price,
instead of piling up changes at prices that are old when they arrive.

Parameters: `--symbol`, `--usdc` each, `--orders` resting, `--rounds` of changes,
`--at-a-time`. Risks: on a real network the orders rest from 2 % below the market on,
where a fall can fill all of them, and a position stays; each change spends a unit of
the volume quota.

Try it: `python examples/basics/bounded_requoting.py --orders 8 --at-a-time 2`.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import BookGapError, UsageError
from wrappy.runner.command import count, positive, run
from wrappy.runner.desk import desk_parser, open_desk
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    import argparse

    from wrappy import LighterDealer, WsInfo


@dataclass
class Turns:
    """Lets so many in at a time, and knows how many there were at most."""

    free: asyncio.Semaphore
    inside: int = 0
    most: int = 0
    moves: int = 0


def price_of(ws: WsInfo, step: int) -> Decimal:
    """Return 2 % below the market, and a tenth of a percent more for each step."""
    mid = ws.book().mid_price
    if mid is None:
        raise UsageError("the book lacks a side: there is no price to go by")
    return mid * (Decimal("0.98") - Decimal("0.001") * step)


async def keep_moving(
    dealer: LighterDealer, ws: WsInfo, coi: int, turns: Turns, *, step: int, rounds: int
) -> None:
    """Move one order with the market."""
    for _ in range(rounds):
        async with turns.free:
            known = dealer.orders.get(coi)
            if known is None or known.status.is_terminal:
                return  # filled, or taken away
            turns.inside += 1
            turns.most = max(turns.most, turns.inside)
            try:
                # Read when it is sent, not before.
                price = price_of(ws, step)
                async with dealer.batch():
                    await dealer.update_order_by_coi(coi, price=price)
                turns.moves += 1
            except BookGapError as error:
                print(f"no price now, the order stays: {error}")
            finally:
                turns.inside -= 1


async def trade(
    dealer: LighterDealer, ws: WsInfo, options: argparse.Namespace
) -> Turns:
    """Place the orders in one go and have each moved by a task of its own."""
    turns = Turns(asyncio.Semaphore(options.at_a_time))
    prices = [price_of(ws, step) for step in range(options.orders)]
    placed = await dealer.batch_cancel_and_create(
        (), [(price, options.usdc / price) for price in prices], post_only=True
    )
    tasks = [
        keep_moving(dealer, ws, coi, turns, step=step, rounds=options.rounds)
        for step, coi in enumerate(placed["created"])
    ]
    # All of them come to their end before the desk takes the orders away.
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
    return turns


async def main(options: argparse.Namespace) -> None:
    """Open the network and trade on its first account; the desk cancels in the end."""
    async with (
        open_network(options.network, live=options.live, seed=options.seed) as network,
        open_desk(network.accounts[0], options.symbol) as (dealer, ws),
    ):
        turns = await trade(dealer, ws, options)
        print(f"{turns.moves} changes, at most {turns.most} at a time")


if __name__ == "__main__":
    parser = desk_parser(__doc__)
    parser.add_argument("--symbol", default="ETH", help="market: %(default)s")
    parser.add_argument("--usdc", type=positive, default=Decimal(50))
    parser.add_argument("--orders", type=count, default=6)
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--at-a-time", type=count, default=2)
    sys.exit(run(main(parser.parse_args()), name=Path(__file__).name))
