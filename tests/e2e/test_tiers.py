"""Every tier costs what it costs and waits as long as it waits, seen by a client."""

from __future__ import annotations

import asyncio
import time

import pytest

from wrappy.protocol.tiers import PREMIUM_STAKES, PREMIUM_STEPS, TIERS
from wrappy.venue.events import TradeExecuted, TxAccepted, TxExecuted

CASES = [(name, 0, TIERS[name]) for name in TIERS] + [
    ("premium", staked, step)
    for staked, step in zip(PREMIUM_STAKES, PREMIUM_STEPS, strict=True)
]


def waited_ms(ledger, account, tx_type):
    """Return how long each of an account's transactions waited, in order."""
    accepted = {
        event.tx_hash: event.at_us
        for event in ledger.accepted(account)
        if event.tx_type == tx_type
    }
    return [
        (event.at_us - accepted[event.tx_hash]) // 1_000
        for event in ledger.of(TxExecuted)
        if event.tx_hash in accepted
    ]


@pytest.mark.parametrize(("name", "staked", "tier"), CASES)
def test_fees_and_delays_are_those_of_the_tier(simulated, name, staked, tier):
    async def scenario(exchange, opened):
        maker, taker = await opened(0), await opened(1)
        await maker.create_limit_order(3_000, -0.5, post_only=True)
        await maker.flush()
        await asyncio.sleep(1)
        await taker.create_market_order(0.5)
        await taker.flush()
        await asyncio.sleep(1)
        return exchange.ledger, [a.account_index for a in exchange.accounts]

    ledger, (maker, taker) = simulated(
        scenario, tier=name, staked_lit=staked, symbols=("ETH",)
    )
    [trade] = ledger.trades(taker)
    assert trade.quote == 1_500_000_000
    assert trade.taker_fee_amount == -(-trade.quote * tier.taker_fee_tick // 10**6)
    assert trade.maker_fee_amount == -(-trade.quote * tier.maker_fee_tick // 10**6)
    assert waited_ms(ledger, maker, 14) == [tier.maker_delay_ms]
    assert waited_ms(ledger, taker, 14) == [tier.taker_delay_ms]
    assert len(ledger.of(TradeExecuted)) == 1
    assert all(event.code == 0 for event in ledger.of(TxExecuted))
    assert {event.tx_type for event in ledger.of(TxAccepted)} >= {14}


async def test_a_client_waits_longer_after_its_tier_changed(
    quiet_venue, dealer, eventually
):
    venue = quiet_venue
    account = venue.accounts[0].account_index
    client = await dealer(venue)
    for tier, count in (("premium", 1), ("standard", 2)):
        if tier != "premium":
            venue.exchange.change_tier(account, tier, now_us=time.time_ns() // 1_000)
        await client.cancel_all_orders()
        await eventually(lambda n=count: len(waited_ms(venue.ledger, account, 16)) == n)
    assert waited_ms(venue.ledger, account, 16) == [0, 200]
