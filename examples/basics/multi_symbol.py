"""Several markets: one configuration, one small bot each, told apart by arguments.

Idea: account, key and address are shared; symbol and size are arguments. The bots run
side by side on one key, one connection and one request budget. Each buys at the market,
looks at what it has, and sells it again.

Parameters: `SYMBOL=USDC` for each bot. Risks: each bot pays the spread and the fee
twice; it does not start where the account has a position, because it closes it in the
end.

Try it: `python examples/basics/multi_symbol.py ETH=100 BTC=200 SOL=50`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import UsageError
from wrappy.runner.command import positive, run
from wrappy.runner.desk import desk_parser, open_desk
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    from wrappy import DealerConfig


def bot_arguments(text: str) -> tuple[str, Decimal]:
    """Read `ETH=100`."""
    symbol, equals, usdc = text.partition("=")
    if not (symbol and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not like ETH=100")
    return symbol, positive(usdc)


async def round_trip(config: DealerConfig, symbol: str, usdc: Decimal) -> None:
    """Buy in one market for so much, and be flat again."""
    async with open_desk(config, symbol) as (dealer, ws):
        if await dealer.fetch_my_position():
            raise UsageError(f"{symbol}: there is a position, which would be closed")
        ask = ws.book().best_ask
        if ask is None:
            raise UsageError(f"{symbol}: nobody sells")
        try:
            bought = await dealer.create_market_order(usdc / ask.price)
            receipt = await dealer.wait_settled(bought["client_order_index"])
            print(f"{symbol}: bought {receipt.filled} of {receipt.size}")
        finally:
            closed = await dealer.close_position()
        print(f"{symbol}: closed {closed.before}, {closed.after} left")
        if not closed.is_flat:
            raise UsageError(f"{symbol}: a position of {closed.after} is left")


async def main(options: argparse.Namespace) -> None:
    """Run the bots side by side; one that fails does not stop the others."""
    async with open_network(
        options.network, live=options.live, seed=options.seed
    ) as network:
        bots = [
            round_trip(network.accounts[0], symbol, usdc)
            for symbol, usdc in options.bots
        ]
        for outcome in await asyncio.gather(*bots, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome


if __name__ == "__main__":
    parser = desk_parser(__doc__)
    default = [("ETH", Decimal(100)), ("BTC", Decimal(200)), ("SOL", Decimal(50))]
    parser.add_argument("bots", type=bot_arguments, nargs="*", default=default)
    sys.exit(run(main(parser.parse_args()), name=Path(__file__).name))
