"""Cancel-all, the dead man's switch, leverage and margin."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import pytest

from wrappy import (
    ConfigError,
    InvalidOrderError,
    LighterDealer,
    OrderRejectedError,
    ProtocolError,
    TransportError,
    UsageError,
)
from wrappy.venue import Venue
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.settings import VenueSettings

SEND = "/api/v1/sendTx"
ACCOUNT = "/api/v1/account"


@pytest.fixture(params=["replace", "refuse"])
async def either_venue(request):
    """Exchanges of both readings: a second schedule replaces, or is refused."""
    settings = VenueSettings(flow="none", second_schedule=request.param)
    async with Venue(settings=settings) as running:
        yield running


def scheduled_ms(venue, account=0):
    index = venue.accounts[account].account_index
    return venue.exchange.accounts[index].cancel_all_time_ms


def about(seconds):
    """Whether a moment in unix seconds is about so far ahead."""
    ahead = seconds - time.time()
    return lambda expected: abs(ahead - expected) < 20


async def resting(trader, price=1000):
    answer = await trader.create_limit_order(price, 0.05)
    await trader.flush()
    await trader.wait_settled(answer["client_order_index"])
    return answer["client_order_index"]


# --------------------------------------------------------------------- cancel-all


async def test_cancel_all_is_for_this_market_or_for_all(quiet_venue, dealer):
    eth, btc = await dealer(quiet_venue), await dealer(quiet_venue, symbol="BTC")
    await resting(eth)
    await resting(btc, 50_000)
    await eth.cancel_all_orders()
    assert await eth.fetch_open_orders() == []
    assert len(await btc.fetch_open_orders()) == 1
    assert len(await eth.fetch_open_orders(everywhere=True)) == 1
    await eth.cancel_all_orders(everywhere=True)
    assert await eth.fetch_open_orders(everywhere=True) == []
    with pytest.raises(InvalidOrderError, match="everywhere"):
        await eth.cancel_all_orders(everywhere="yes")
    with pytest.raises(InvalidOrderError, match="contradicts everywhere"):
        await eth.fetch_open_orders(0, everywhere=True)


async def test_a_scheduled_cancel_is_replaced_and_withdrawn(either_venue, dealer):
    trader = await dealer(either_venue)
    assert about(await trader.schedule_cancel_all(300))(305)
    until = await trader.schedule_cancel_all(900)
    assert about(until)(900)
    assert abs(scheduled_ms(either_venue) / 1000 - until) < 0.01
    await trader.abort_scheduled_cancel()
    assert not scheduled_ms(either_venue)
    for wrong in (299, 15 * 86_400 + 1, 300.5, None, True):
        with pytest.raises(InvalidOrderError, match=r"^after_s"):
            await trader.schedule_cancel_all(wrong)


# ---------------------------------------------------------- the dead man's switch


async def test_the_switch_is_armed_renewed_and_disarmed_at_the_close(
    either_venue, dealer
):
    trader = await dealer(either_venue)
    assert trader.dead_man is None
    state = await trader.arm_dead_man(600)
    assert about(state.armed_until_s)(600)
    assert (state.renewals, state.last_error) == (1, "")
    again = await trader.arm_dead_man(1200)
    assert about(again.armed_until_s)(1200)
    assert about(scheduled_ms(either_venue) / 1000)(1200)
    with pytest.raises(UsageError, match="disarm_dead_man"):
        await trader.schedule_cancel_all(600)
    with pytest.raises(UsageError, match="disarm_dead_man"):
        await trader.abort_scheduled_cancel()
    await trader.aclose()
    assert not scheduled_ms(either_venue)
    assert trader.dead_man is None


async def test_settings_arm_the_switch_at_the_start(quiet_venue, config_for):
    config = config_for(quiet_venue, dead_man_s=600)
    async with await LighterDealer.create(config) as trader:
        assert about(trader.dead_man.armed_until_s)(600)
    assert not scheduled_ms(quiet_venue)


async def test_a_close_may_leave_the_switch_armed(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    await trader.arm_dead_man(600)
    sent = len(quiet_venue.ledger.accepted())
    await trader.aclose(disarm=False)
    assert scheduled_ms(quiet_venue)
    assert len(quiet_venue.ledger.accepted()) == sent, "nothing after the close"


async def test_a_switch_that_is_disarmed_is_gone_and_twice_is_once(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    await trader.arm_dead_man(600)
    await trader.disarm_dead_man()
    assert trader.dead_man is None
    assert not scheduled_ms(quiet_venue)
    sent = len(quiet_venue.ledger.accepted())
    await trader.disarm_dead_man()
    assert len(quiet_venue.ledger.accepted()) == sent


async def test_a_horizon_that_cannot_be_is_refused(quiet_venue, dealer, config_for):
    trader = await dealer(quiet_venue)
    for wrong in (299, 86_401, "600", None, 600.0):
        with pytest.raises(InvalidOrderError, match=r"^horizon_s"):
            await trader.arm_dead_man(wrong)
    with pytest.raises(ConfigError, match="dead_man_s"):
        config_for(quiet_venue, dead_man_s=10)
    async with trader.batch():
        with pytest.raises(UsageError, match="inside batch"):
            await trader.arm_dead_man(600)
    assert not quiet_venue.ledger.accepted()


async def test_what_cannot_be_armed_is_not_armed_and_says_so(
    quiet_venue, dealer, relay_to, config_for
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    refusal = {"code": 21713, "message": "invalid cancel all mode"}
    relay.answer(SEND, refusal, status=400)
    with pytest.raises(OrderRejectedError, match="21713"):
        await trader.arm_dead_man(600)
    assert trader.dead_man is None
    relay.answer(SEND, refusal, status=400)
    with pytest.raises(OrderRejectedError, match="21713"):
        await LighterDealer.create(config_for(relay, dead_man_s=600))


async def test_a_switch_that_cannot_be_set_anew_is_kept_as_it_was(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    first = await trader.arm_dead_man(600)
    refusal = {"code": 21713, "message": "invalid cancel all mode"}
    relay.answer(SEND, refusal, status=400)
    with pytest.raises(OrderRejectedError, match="21713"):
        await trader.arm_dead_man(1200)
    assert trader.dead_man == first
    await trader.aclose()
    assert not scheduled_ms(quiet_venue), "it was still this dealer's to withdraw"


async def test_of_several_dealers_the_last_withdraws_the_schedule(either_venue, dealer):
    one = await dealer(either_venue, dead_man_s=600)
    two = await dealer(either_venue, symbol="BTC")
    await two.arm_dead_man(1200)
    assert about(scheduled_ms(either_venue) / 1000)(1200)
    await two.aclose()
    assert about(scheduled_ms(either_venue) / 1000)(600)
    assert one.dead_man.armed_until_s == pytest.approx(
        scheduled_ms(either_venue) / 1000
    )
    await one.aclose()
    assert not scheduled_ms(either_venue)


async def test_a_switch_that_cannot_be_disarmed_is_told_at_the_close(
    quiet_venue, dealer, relay_to, caplog
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    await trader.arm_dead_man(600)
    refusal = {"code": 21713, "message": "invalid cancel all mode"}
    relay.answer(SEND, refusal, status=400)
    await trader.aclose()
    assert "not disarmed" in caplog.text
    assert scheduled_ms(quiet_venue)


# ------------------------------------------------------------- leverage and margin


async def test_leverage_is_set_and_seen(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    shown = await trader.set_leverage(5)
    assert (shown.initial_margin_fraction, shown.margin_mode) == (2000, "cross")
    shown = await trader.set_leverage(initial_margin_fraction=2500)
    assert shown.initial_margin_fraction == 2500
    assert (await trader.set_leverage("3")).initial_margin_fraction == 3333
    for arguments, field in (
        ({}, "leverage"),
        ({"leverage": 5, "initial_margin_fraction": 2000}, "leverage"),
        ({"leverage": 0.5}, "leverage"),
        ({"leverage": 1000}, "leverage"),
        ({"leverage": "much"}, "leverage"),
        ({"initial_margin_fraction": 10_001}, "initial_margin_fraction"),
        ({"initial_margin_fraction": 1}, "initial_margin_fraction"),
        ({"leverage": 5, "margin_mode": "mixed"}, "margin_mode"),
        ({"leverage": 5, "timeout_s": None}, "timeout_s"),
    ):
        with pytest.raises(InvalidOrderError) as caught:
            await trader.set_leverage(**arguments)
        assert caught.value.field == field
    assert len(quiet_venue.ledger.accepted()) == 3


async def test_a_margin_mode_that_is_ignored_is_an_error(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    row = {"market_id": 0, "initial_margin_fraction": "20.00", "margin_mode": 0}
    index = trader.config.account_index
    account = {"index": index, "positions": [row]}
    relay.answer(ACCOUNT, {"code": 200, "accounts": [account]}, times=99)
    with pytest.raises(ProtocolError, match=r"set_leverage: accepted.*cross"):
        await trader.set_leverage(5, margin_mode="isolated", timeout_s=0.5)


async def test_a_setting_that_the_exchange_did_not_carry_out_is_an_error(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    index = trader.config.account_index
    account = {"index": index, "positions": []}
    relay.answer(ACCOUNT, {"code": 200, "accounts": [account]})
    words = {"ae": '{"message": "no such mode"}'}
    failed = {"code": 200, "status": 0, "event_info": json.dumps(words)}
    relay.answer("/api/v1/tx", failed)
    with pytest.raises(OrderRejectedError, match="set_leverage: no such mode"):
        await trader.set_leverage(5)


async def test_a_dry_run_changes_no_margin(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, prefer_high_level=True)
    row = {"market_id": 0, "initial_margin_fraction": "20.00", "margin_mode": 1}
    row["allocated_margin"] = "7.5"
    index = trader.config.account_index
    account = {"index": index, "positions": [row]}
    relay.answer(ACCOUNT, {"code": 200, "accounts": [account]})
    shown = await trader.change_margin(5, add=False)
    assert shown.allocated_margin == Decimal("7.5")
    assert not quiet_venue.ledger.accepted()


async def test_isolated_margin_is_put_in_and_taken_out(quiet_venue, dealer):
    quiet_venue.exchange.apply_flow(
        [SetIndexPrice(0, 400_000), SetLevel(0, True, 400_010, 1_000_000)],
        now_us=time.time_ns() // 1000,
    )
    trader = await dealer(quiet_venue)
    with pytest.raises(InvalidOrderError, match=r"^amount_usdc.*isolated"):
        await trader.change_margin(10)
    await trader.set_leverage(5, margin_mode="isolated")
    order = await trader.create_market_order(1)
    await trader.wait_settled(order["client_order_index"])
    before = await trader.set_leverage(5, margin_mode="isolated")
    more = await trader.change_margin("100.5")
    assert more.allocated_margin - before.allocated_margin == Decimal("100.5")
    less = await trader.change_margin(50, add=False)
    assert more.allocated_margin - less.allocated_margin == 50
    for arguments, field in (
        ({"amount_usdc": 0}, "amount_usdc"),
        ({"amount_usdc": "x"}, "amount_usdc"),
        ({"amount_usdc": 1e12}, "amount_usdc"),
        ({"amount_usdc": 1e8, "add": False}, "amount_usdc"),
        ({"amount_usdc": 1, "add": 1}, "add"),
    ):
        with pytest.raises(InvalidOrderError) as caught:
            await trader.change_margin(**arguments)
        assert caught.value.field == field


async def test_a_control_without_an_answer_is_in_doubt_like_everything_else(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    relay.lose_answer(SEND)
    with pytest.raises(TransportError):
        await trader.cancel_all_orders()
    await trader.cancel_all_orders()
    nonces = [tx.nonce for tx in quiet_venue.ledger.accepted()]
    assert nonces == sorted(set(nonces))
