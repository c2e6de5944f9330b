"""Close everything: cancel every order of the account and close every position.

Idea: for the moment when a person takes over. It shows what there is, asks, cancels in
all markets at once, closes each position with reduce-only orders, and looks again.

Parameters: `--yes` does not ask. Risks: it does what it says, also to the orders of
bots that still run (stop them first); closing pays spread and fee, within
`slippage_bps` of the settings.

Try it: `python examples/basics/close_everything.py --yes`; the local exchange, which
begins empty, gets an order and a position to close first.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import LighterDealer, UsageError
from wrappy.runner.command import run
from wrappy.runner.desk import desk_parser
from wrappy.runner.network import open_network
from wrappy.runner.side_thread import SideThread

if TYPE_CHECKING:
    import argparse

    from wrappy import DealerConfig

LOOKS = 10
ANSWER_WITHIN_S = 600.0


async def answer(question: str) -> str:
    """Ask the person at the keyboard; Ctrl-C still ends the program meanwhile."""
    print(question)
    said: list[str] = []
    thread = SideThread(
        lambda: said.append(os.read(sys.stdin.fileno(), 1024).decode()), name="question"
    )
    await thread.ended(ANSWER_WITHIN_S)
    return said[0].strip() if said else ""


async def left_over(dealer: LighterDealer) -> tuple[int, dict[str, Decimal]]:
    """Return how many orders rest, and the positions by symbol."""
    orders = await dealer.fetch_open_orders(everywhere=True)
    positions = await dealer.fetch_positions()
    return len(orders), {held.symbol: held.size for held in positions}


async def close_all(config: DealerConfig, *, ask: bool) -> None:
    """Show, ask, cancel, close, look again."""
    # Orders that nobody knows are what this is for: they must not stop it.
    config = dataclasses.replace(config, symbol="ETH", unknown_orders="adopt")
    async with await LighterDealer.create(config) as dealer:
        orders, positions = await left_over(dealer)
        held = ", ".join(f"{size} {symbol}" for symbol, size in positions.items())
        print(f"{orders} orders, positions: {held or 'none'}")
        if not (orders or positions):
            return
        if ask and await answer("Cancel and close all of it? Type yes:") != "yes":
            raise UsageError("not confirmed; nothing was sent")
        await dealer.cancel_all_orders(everywhere=True)
        for symbol in positions:
            settings = dataclasses.replace(config, symbol=symbol)
            async with await LighterDealer.create(settings) as closer:
                closed = await closer.close_position()
                print(f"{symbol}: {closed.before} is now {closed.after}")
        for _ in range(LOOKS):
            orders, positions = await left_over(dealer)
            if not (orders or positions):
                print("no order and no position is left")
                return
            await asyncio.sleep(0.5)  # a cancel may still be on its way
        raise UsageError(f"{orders} orders and positions in {list(positions)} are left")


async def open_something(config: DealerConfig) -> None:
    """Make work: an order and a position."""
    async with await LighterDealer.create(config) as dealer:
        await dealer.create_limit_order(3000, Decimal("0.05"), post_only=True)
        bought = await dealer.create_market_order(Decimal("0.1"))
        await dealer.wait_settled(bought["client_order_index"])


async def main(options: argparse.Namespace) -> None:
    """Open the network and clear its first account."""
    async with open_network(
        options.network, live=options.live, seed=options.seed
    ) as network:
        config = network.accounts[0]
        if network.venue is not None:
            await open_something(dataclasses.replace(config, symbol="ETH"))
        await close_all(config, ask=not options.yes)


if __name__ == "__main__":
    parser = desk_parser(__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    sys.exit(run(main(parser.parse_args()), name=Path(__file__).name))
