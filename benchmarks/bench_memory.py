"""Whether a dealer's memory stays where it is over a hundred thousand orders.

One dealer quotes and cancels with a stream that tells it what became of its orders,
another sends orders that end at once and hears nothing. Each is a process of its own
beside a local exchange in another one; orders, nonces, journal and receipts are all
as a user has them. What counts is how much the process grows after the first thirty
thousand, when tables and journal have reached the size that they keep.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Player, Row, main, play, players, row

ORDERS, QUICK_ORDERS = 100_000, 1_500
STEPS = 20
SETTLED_AFTER = 6
"""Steps until everything that keeps a bounded history has filled it."""
BATCH = 15
QUOTES = 7
MOST_GROWTH_MIB = 5.0
CASES = {
    "quoting with a stream": "quotes",
    "orders that end at once, no stream": "silent",
}


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    orders = QUICK_ORDERS if quick else ORDERS
    rows = []
    for case, kind in CASES.items():
        # A tier whose rate limit is above what is measured.
        venue = ["wrappy.venue", "--json", "--symbols", "ETH", "--tier", "plus"]
        with (
            players([*venue, "--flow", "none", "--verify", "none"]) as (exchange,),
            players(command(exchange, kind)) as (client,),
        ):
            sizes = [client.ask(orders // STEPS)["rss_mib"] for _ in range(STEPS)]
            objects = client.ask(0)
        print(f"{case}: {sizes} {objects}", file=sys.stderr)
        kept = sizes[SETTLED_AFTER - 1 :]
        first, last = (
            f"{case}: after {orders * SETTLED_AFTER // STEPS:,}",
            f"{case}: after {orders:,}",
        )
        growth = f"{case}: growth from there"
        figures = {first: kept[:1], last: sizes[-1:], growth: [kept[-1] - kept[0]]}
        rows += [
            row("memory", first, figures, "MiB"),
            row("memory", last, figures, "MiB"),
            row("memory", growth, figures, "MiB", target=f"< {MOST_GROWTH_MIB:g} MiB"),
        ]
    return rows


def command(exchange: Player, kind: str) -> list[str]:
    account = exchange.told["accounts"][0]
    key = account["api_keys"][0]
    words = (
        exchange.told["base_url"],
        exchange.told["chain_id"],
        account["account_index"],
        key["api_key_index"],
        key["api_key_private_key"],
    )
    return ["benchmarks.bench_memory", kind, *map(str, words)]


# What follows runs in the measuring process.


def resident_mib() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def quotes(dealer: Any, amount: int) -> None:
    """Replace all quotes with every request."""
    living: list[int] = []
    for number in range(-(-amount // QUOTES)):
        price = 2_000 + number % 500
        result = await dealer.batch_cancel_and_create(
            cancel_client_order_indices=living,
            new_limit_orders=[(price, "0.1")] * QUOTES,
        )
        living = result["created"]
    await dealer.batch_cancel_and_create(cancel_client_order_indices=living)


async def silent(dealer: Any, amount: int) -> None:
    """Send orders that find nobody to trade with and end."""
    for _ in range(amount // BATCH):
        for _ in range(BATCH):
            await dealer.create_limit_order("3000.00", "0.1", time_in_force="ioc")
        await dealer.flush()


async def ready(kind: str, words: list[str], folder: str) -> tuple[Any, Any]:
    from wrappy import DealerConfig, LighterDealer  # noqa: PLC0415 - for this process
    from wrappy.lighter.ws import WsInfo  # noqa: PLC0415 - as above

    url, chain_id, account_index, api_key_index, private_key = words
    key = {"api_key_index": int(api_key_index), "api_key_private_key": private_key}
    dealer = await LighterDealer.create(
        DealerConfig(
            base_url=url,
            chain_id=int(chain_id),
            account_index=int(account_index),
            api_keys=(key,),
            symbol="ETH",
            use_websocket=True,
            state_dir=folder,
        )
    )
    if kind == "silent":
        return dealer, None
    overlay = await WsInfo.run_overlay(
        int(account_index),
        int(api_key_index),
        private_key,
        symbol="ETH",
        base_url=url,
        chain_id=int(chain_id),
    )
    overlay.on_orders = dealer.feed_ws_orders
    return dealer, overlay


def run_client(kind: str, words: list[str]) -> None:
    loop = asyncio.new_event_loop()
    trade = {"quotes": quotes, "silent": silent}[kind]
    with tempfile.TemporaryDirectory() as folder:
        dealer, overlay = loop.run_until_complete(ready(kind, words, folder))

        async def step(amount: int) -> dict[str, Any]:
            await trade(dealer, amount)
            return {"rss_mib": resident_mib(), "orders_kept": len(dealer.orders)}

        play(lambda amount: loop.run_until_complete(step(amount)))
        if overlay is not None:
            loop.run_until_complete(overlay.aclose())
        loop.run_until_complete(dealer.aclose())


if __name__ == "__main__":
    if len(sys.argv) > 2:
        run_client(sys.argv[1], sys.argv[2:])
    else:
        main(measure)
