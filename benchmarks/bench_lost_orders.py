"""What a bot believes of its orders when requests and answers get lost.

Three bots place the same orders, one after the other, over real sockets at a local
exchange that drops a share of the sends before, and as many after, they are carried
out. The exchange's ledger tells who is wrong. The bots are a user of the official SDK
who takes an error for a failure; one who then tries once more, under a new number; and
a user of the dealer, who sends nothing again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import tempfile
import threading
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Row
from wrappy import DealerConfig, LighterDealer, WrappyError
from wrappy.lighter.config import ApiKeyConfig
from wrappy.model import ReceiptStage
from wrappy.venue import FaultRule, Venue

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

ORDERS, QUICK_ORDERS = 300, 20
LOSSES = (5, 20)
PATIENCE_S = 60.0
LOTS = 500
RETRY_NUMBERS = 1_000_000
INVALID_NONCE = 21104
SENDS = "/api/v1/sendTx*"
BOTS = ("official SDK", "official SDK, naive retry", "LighterDealer")


@contextlib.contextmanager
def venue_that_loses(percent: int) -> Iterator[Venue]:
    """Run an exchange on a thread of its own: a signer may block its caller's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(PATIENCE_S)

    venue = Venue(seed=percent, symbols=["ETH"], flow="none")
    call(venue.start())
    for phase in ("request", "reply"):
        venue.faults.add(
            FaultRule(act="drop", phase=phase, path=SENDS, probability=percent * 10_000)
        )
    try:
        yield venue
    finally:
        call(venue.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


def price_of(number: int) -> int:
    """Return the price of an order, ticks; none of them trades."""
    return 200_000 + number


async def with_sdk(venue: Venue, count: int, *, retry: bool) -> set[int]:
    """Place orders as the SDK's examples do; return those that it says succeeded."""
    import lighter  # noqa: PLC0415 - slow, and only this bot needs it

    owner = venue.accounts[0]
    key = owner.api_keys[0]
    client = lighter.SignerClient(
        url=venue.base_url,
        account_index=owner.account_index,
        api_private_keys={key.api_key_index: key.api_key_private_key},
    )

    async def place(number: int, coi: int) -> bool:
        try:
            _, _, error = await client.create_order(
                market_index=0,
                client_order_index=coi,
                base_amount=LOTS,
                price=price_of(number),
                is_ask=False,
                order_type=client.ORDER_TYPE_LIMIT,
                time_in_force=client.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
            )
        except Exception:  # noqa: BLE001 - whatever it raises is a failure to its user
            return False
        return error is None

    placed = set()
    try:
        for number in range(1, count + 1):
            done = await place(number, number)
            if not done and retry:
                done = await place(number, RETRY_NUMBERS + number)
            if done:
                placed.add(number)
    finally:
        await client.close()
    return placed


async def with_dealer(venue: Venue, count: int) -> set[int]:
    """Place orders with the dealer; return those that its receipts call accepted."""
    owner = venue.accounts[0]
    key = owner.api_keys[0]
    with tempfile.TemporaryDirectory() as folder:
        config = DealerConfig(
            base_url=venue.base_url,
            account_index=owner.account_index,
            api_keys=(ApiKeyConfig(key.api_key_index, key.api_key_private_key),),
            chain_id=venue.chain_id,
            symbol="ETH",
            standard_account=False,
            signer="python",
            state_dir=folder,
        )
        async with await LighterDealer.create(config) as dealer:
            for number in range(1, count + 1):
                await dealer.create_limit_order(
                    price_of(number) / 100, LOTS / 10_000, client_order_index=number
                )
                with contextlib.suppress(WrappyError):
                    await dealer.flush()
            left = 1
            while left or dealer.orders.unknown():
                with contextlib.suppress(WrappyError):
                    left = (await dealer.flush())["count"]
            found = [dealer.receipt(number) for number in range(1, count + 1)]
    good = (ReceiptStage.ACCEPTED, ReceiptStage.EXECUTED)
    return {
        one.client_order_index for one in found if one is not None and one.stage in good
    }


def judged(venue: Venue, count: int, told: set[int]) -> dict[str, int]:
    """Hold what a bot believes against the exchange's ledger."""
    there = Counter(
        tx.info["ClientOrderIndex"] % RETRY_NUMBERS for tx in venue.ledger.accepted()
    )
    codes = [tx.code for tx in venue.ledger.refused()]
    return {
        "believed failed, yet there": len(there.keys() - told),
        "believed there, yet not": len(told - there.keys()),
        "carried out twice": sum(times > 1 for times in there.values()),
        "not there": count - len(there),
        "refused for the nonce": codes.count(INVALID_NONCE),
    }


def trial(bot: str, percent: int, count: int) -> dict[str, int]:
    """Let one bot trade at one rate of loss."""
    with venue_that_loses(percent) as venue:
        if bot == "LighterDealer":
            told = asyncio.run(with_dealer(venue, count))
        else:
            told = asyncio.run(with_sdk(venue, count, retry="retry" in bot))
        assert any(found.firings for found in venue.faults.counts()), "nothing was lost"
        return judged(venue, count, told)


def measure(*, quick: bool) -> list[Row]:
    """Return a line for each bot, rate and kind of mistake."""
    logging.disable(logging.CRITICAL)
    count = QUICK_ORDERS if quick else ORDERS
    rows = []
    for percent in LOSSES:
        for bot in BOTS:
            for what, number in trial(bot, percent, count).items():
                rows.append(
                    Row(
                        "lost_orders",
                        f"{bot}, {percent} % lost each way: {what}",
                        *(number, number, number),
                        f"of {count}",
                        1,
                        target="0" if "believed" in what or "twice" in what else None,
                    )
                )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    found = measure(quick=parser.parse_args().quick)
    print(json.dumps([asdict(one) for one in found]))
