"""Equal seed and inputs give equal ledgers: on every run, and in every process."""

from __future__ import annotations

import os
import subprocess
import sys

GOLDEN = "96c6a3196f0c68c30eef083dab6b2ec4bb8f233b4db5bff113d6cec3b3a429eb"
PROGRAM = """
import asyncio
import contextlib
import random

from wrappy.venue import SteppedClock, Venue
from wrappy.venue.exchange import Refused

START_S = 1_800_000_000


def transaction(exchange, account_index, step, dice, now_ms):
    slot = exchange.accounts[account_index].api_keys[4 + step % 3 % 2]
    state = exchange.markets[step % 3]
    market, is_ask, kind = state.market, int(dice.random() < 0.5), step % 5 % 4
    common = {
        "AccountIndex": account_index,
        "ApiKeyIndex": slot.api_key_index,
        "ExpiredAt": now_ms + 60_000,
        "Nonce": slot.nonce,
        "Sig": "",
        "L2TxAttributes": None,
        "MarketIndex": state.index,
    }
    if kind == 3:
        return 15, {**common, "Index": step - 2}
    return 14, {
        **common,
        "ClientOrderIndex": step + 1,
        "BaseAmount": 2 * market.min_base_amount + 10**market.size_decimals // 5,
        "Price": state.mark_price + (1 - 2 * is_ask) * (state.mark_price // 500),
        "IsAsk": is_ask,
        "Type": 0,
        "TimeInForce": kind,
        "ReduceOnly": 0,
        "TriggerPrice": 0,
        "OrderExpiry": now_ms + 600_000 if kind else 0,
    }


async def main():
    venue = Venue(seed=3, clock=SteppedClock(START_S))
    dice = random.Random("orders")
    for step in range(600):
        await venue.advance(0.25)
        now_us = START_S * 1_000_000 + (step + 1) * 250_000
        owner = venue.accounts[step % 2].account_index
        tx = transaction(venue.exchange, owner, step, dice, now_us // 1_000)
        with contextlib.suppress(Refused):
            venue.exchange.submit(*tx, f"{step:080x}", now_us=now_us)
    assert len(venue.ledger.trades()) > 50
    print(venue.ledger.hash())


asyncio.run(main())
"""


def test_a_ledger_is_the_same_in_every_process():
    # And on every Python version: a new value here is a change users notice.
    path = os.pathsep.join(filter(None, sys.path))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    assert [one.communicate()[0].strip() for one in processes] == [GOLDEN, GOLDEN]
    assert [one.returncode for one in processes] == [0, 0]
