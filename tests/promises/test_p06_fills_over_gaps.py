"""P6: every fill of an outage is told, each once, within five seconds of the return."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.promises.places import in_process, trader_at
from tests.promises.streams import (
    MIDDLE,
    OURS,
    HeavyMarket,
    Witness,
    judge_fills,
    overlay_at,
    own_trades,
)
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, Venue

AFTER_THE_RETURN_S = 5.0
CODES = (1000, 1001, 1006, 1008, 1011, 1012)


@pytest.fixture(autouse=True)
def silenced():
    logging.disable(logging.WARNING)  # it is an outage, and says so
    yield
    logging.disable(logging.NOTSET)


async def stand(trader):
    """Place the two large orders that every taker meets."""
    for sign in (1, -1):
        await trader.create_limit_order((MIDDLE - sign * OURS) / 100, sign * 90)
    await trader.flush()


async def outage(
    state,
    seconds,
    *,
    faults,
    tier="premium",
    every_us=400_000,
    within_s=AFTER_THE_RETURN_S,
):
    """Trade, have the stream away for so long, trade on; return what was seen."""
    loop, market = asyncio.get_running_loop(), HeavyMarket(every_us)
    async with in_process(flow=market, tier=tier) as exchange:
        trader = await trader_at(exchange, state, keys=1)
        overlay = await overlay_at(exchange, environment=exchange.environment)
        async with trader, overlay:
            witness = Witness(overlay)
            await stand(trader)
            await asyncio.sleep(5)
            armed = [exchange.faults.add(rule) for rule in faults]
            before, began = len(own_trades(exchange)), loop.time()
            await asyncio.sleep(seconds)
            assert all(map(exchange.faults.fired, armed)), "nothing went wrong"
            for handle in armed:
                exchange.faults.remove(handle)
            while not witness.backs or witness.backs[-1] < began + seconds:
                assert loop.time() < began + seconds + 120, "it never came back"
                await asyncio.sleep(0.01)
            back = witness.backs[-1]
            missed = own_trades(exchange)
            assert len(missed) - before >= seconds, "nothing was missed"
            while not all(witness.told[number] for number in missed):
                assert loop.time() < back + within_s, "it took too long"
                await asyncio.sleep(0.01)
            await asyncio.sleep(5)
            market.trades = False
            await asyncio.sleep(5)
            judge_fills(witness, exchange)
            assert overlay.get_recent_trades(5) == sorted(
                overlay.get_recent_trades(5), key=lambda row: row["trade_id"]
            )
            return witness, exchange


@pytest.mark.parametrize("tier", ["premium", "standard"])
@pytest.mark.parametrize("seconds", [1, 10, 60, 120])
def test_no_fill_of_an_outage_is_lost(tmp_path, seconds, tier):
    away = FaultRule(act="close", phase="tick", code=1006)
    run_virtual(lambda: outage(tmp_path, seconds, faults=[away], tier=tier))


def test_no_fill_is_lost_when_two_thousand_were_missed(tmp_path):
    # Their pages weigh more than a minute's budget: all of them come, if later.
    away = FaultRule(act="close", phase="tick", code=1006)
    run_virtual(
        lambda: outage(tmp_path, 120, faults=[away], every_us=100_000, within_s=240.0)
    )


def test_no_fill_is_lost_when_many_come_live_before_the_others_are_fetched(tmp_path):
    # More than a page of them: the newest page has no news then.
    away = FaultRule(act="close", phase="tick", code=1006)
    late = FaultRule(act="delay", phase="request", path="/api/v1/trades", delay_ms=5000)

    async def scenario():
        market = HeavyMarket(80_000)
        async with in_process(flow=market) as exchange:
            trader = await trader_at(exchange, tmp_path, keys=1)
            overlay = await overlay_at(exchange, environment=exchange.environment)
            async with trader, overlay:
                witness = Witness(overlay)
                await stand(trader)
                await asyncio.sleep(2)
                cut = exchange.faults.add(away)
                await asyncio.sleep(2)
                exchange.faults.remove(cut)
                slow = exchange.faults.add(late)
                await asyncio.sleep(30)
                assert exchange.faults.fired(slow)
                exchange.faults.remove(slow)
                market.trades = False
                await asyncio.sleep(30)
                judge_fills(witness, exchange)

    run_virtual(scenario)


def test_no_fill_is_lost_when_the_questions_fail_at_first(tmp_path):
    faults = [
        FaultRule(act="close", phase="tick", code=1006),
        FaultRule(act="status", phase="reply", path="/api/v1/trades", code=502),
    ]

    async def scenario():
        market = HeavyMarket()
        async with in_process(flow=market) as exchange:
            trader = await trader_at(exchange, tmp_path, keys=1)
            overlay = await overlay_at(exchange, environment=exchange.environment)
            async with trader, overlay:
                witness = Witness(overlay)
                await stand(trader)
                await asyncio.sleep(2)
                cut, deny = map(exchange.faults.add, faults)
                await asyncio.sleep(10)
                exchange.faults.remove(cut)
                await asyncio.sleep(30)
                assert exchange.faults.fired(deny)
                exchange.faults.remove(deny)
                await asyncio.sleep(60)
                market.trades = False
                await asyncio.sleep(10)
                judge_fills(witness, exchange)

    run_virtual(scenario)


def test_no_fill_is_lost_on_a_connection_that_only_seems_open(tmp_path):
    frozen = FaultRule(act="freeze", phase="tick", times=1)
    run_virtual(lambda: outage(tmp_path, 60, faults=[frozen]))


@pytest.mark.parametrize("code", CODES)
async def test_no_fill_is_lost_over_a_real_socket(dealer, ws, eventually, code):
    market = HeavyMarket(20_000)
    async with Venue(seed=1, flow=market) as venue:
        trader, overlay = await dealer(venue), await ws(venue)
        witness = Witness(overlay)
        await stand(trader)
        await eventually(lambda: len(witness.told) > 10)
        kill = venue.faults.add(FaultRule(act="close", phase="tick", code=code))
        before = len(own_trades(venue))
        await eventually(lambda: len(own_trades(venue)) > before + 60)
        assert venue.faults.fired(kill)
        venue.faults.remove(kill)
        await eventually(lambda: witness.backs, 30.0)
        missed = own_trades(venue)
        await eventually(
            lambda: all(witness.told[number] for number in missed), AFTER_THE_RETURN_S
        )
        market.trades = False
        await eventually(lambda: len(witness.told) == len(own_trades(venue)))
        judge_fills(witness, venue)


@pytest.mark.parametrize(
    "fault",
    [
        FaultRule(act="dup", phase="push", channel="account_all_trades"),
        FaultRule(act="reorder", phase="push", channel="account_all_trades", every=2),
        FaultRule(act="shutdown", phase="tick", delay_ms=300, times=1),
        FaultRule(act="garbage", phase="push", channel="account_all_trades", nth=3),
        FaultRule(act="truncate", phase="push", channel="account_all_trades", nth=3),
        FaultRule(act="garbage", phase="push", channel="order_book", every=3),
        FaultRule(
            act="delay", phase="push", channel="account_all_trades", spread_ms=40
        ),
    ],
    ids=lambda rule: f"{rule.act}-{rule.channel}",
)
async def test_every_fill_is_told_once_whatever_happens_to_frames(
    dealer, ws, eventually, fault
):
    market = HeavyMarket(20_000)
    async with Venue(seed=1, flow=market) as venue:
        trader, overlay = await dealer(venue), await ws(venue)
        witness = Witness(overlay)
        await stand(trader)
        broken = venue.faults.add(fault)
        await asyncio.sleep(1.5)
        assert venue.faults.fired(broken)
        venue.faults.remove(broken)
        market.trades = False
        await overlay.ready(10)
        await eventually(lambda: len(witness.told) == len(own_trades(venue)))
        judge_fills(witness, venue)
