"""Public trades: the last traded price of a market as it happens, without a key.

Idea: the trades come by stream, so the last price costs no request; `get_ltp` reads it
at any time, a hook hears of each.

Parameters: `--symbol`, `--count` of trades to see. Risks: none, nothing is sent. A
quiet market may keep you waiting; Ctrl-C ends it.

Try it: `python examples/basics/public_trades.py`, or with `--network mainnet`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wrappy import WsInfo
from wrappy.runner.command import count, run
from wrappy.runner.desk import desk_parser
from wrappy.runner.network import address_of
from wrappy.venue import Venue

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def somewhere(network: str, seed: int) -> AsyncIterator[str]:
    """Give an address to read from: a local exchange's unless a network is named."""
    if network != "venue":
        yield address_of(network)
        return
    async with Venue(seed=seed) as venue:
        yield venue.base_url


async def show(base_url: str, symbol: str, wanted: int) -> None:
    """Print trades as they come, so many of them."""
    async with await WsInfo.run_public_trades_simple(symbol, base_url=base_url) as ws:
        print(f"last price of {symbol}: {ws.get_ltp()}")
        seen = 0
        enough = asyncio.Event()

        def on_trades(trades: list[dict[str, Any]]) -> None:
            nonlocal seen
            for trade in trades[: wanted - seen]:
                seen += 1
                side = "sell" if trade["is_maker_ask"] is False else "buy"
                number, size = trade["trade_id"], trade["size"]
                print(f"trade {number}: {side} {size} at {trade['price']}")
            if seen >= wanted:
                enough.set()

        ws.add_hook("on_public_trades", on_trades)
        await enough.wait()
        kept = ws.get_recent_trades(wanted, public=True)
        print(f"last price {ws.get_ltp()}, {len(kept)} of the latest trades kept")


async def main(options: argparse.Namespace) -> None:
    """Find the place and read there."""
    async with somewhere(options.network, options.seed) as base_url:
        await show(base_url, options.symbol, options.count)


if __name__ == "__main__":
    parser = desk_parser(__doc__)
    parser.add_argument("--symbol", default="ETH", help="market: %(default)s")
    parser.add_argument("--count", type=count, default=5, help="trades: %(default)s")
    sys.exit(run(main(parser.parse_args()), name=Path(__file__).name))
