"""P15: live orders that nobody here knows are refused, adopted or cancelled.

The orders are there before the dealer starts; the venue's ledger tells what was sent.
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from wrappy import LaneHeldError, LighterDealer, UnknownOrdersError, WrappyError
from wrappy.model import OrderStatus
from wrappy.protocol.intents import TxType

SEND = "/api/v1/sendTx"
ACTIVE = "/api/v1/accountActiveOrders"


def with_key(config, number):
    return dataclasses.replace(config, api_keys=config.api_keys[number : number + 1])


def elsewhere(config, tmp_path):
    """Return settings of a machine that has not seen this account before."""
    return dataclasses.replace(config, state_dir=str(tmp_path / "another machine"))


async def place(config, *prices):
    """Leave live orders; return their numbers."""
    async with await LighterDealer.create(config) as trader:
        made = [
            (await trader.create_limit_order(price, 0.05))["client_order_index"]
            for price in prices
        ]
        await trader.flush()
    return made


def sent(venue):
    return [tx.tx_type for tx in venue.ledger.accepted()]


@pytest.fixture
def strangers(quiet_venue, config_for, tmp_path):
    """Settings under which orders of `config_for` are unknown."""

    def made(**changes):
        return elsewhere(config_for(quiet_venue, **changes), tmp_path)

    return made


async def test_the_default_refuses_and_says_what_to_do(
    quiet_venue, config_for, strangers
):
    placed = await place(config_for(quiet_venue), 1000, 1001)
    with pytest.raises(UnknownOrdersError) as caught:
        await LighterDealer.create(strangers())
    assert [row["client_order_index"] for row in caught.value.orders] == placed
    words = str(caught.value)
    for row in caught.value.orders:
        for field in ("order_index", "client_order_index", "price"):
            assert str(row[field]) in words
    for way_out in ('unknown_orders="adopt"', 'unknown_orders="cancel"', "elsewhere"):
        assert way_out in words
    assert sent(quiet_venue) == [TxType.CREATE_ORDER] * 2
    # A refused start holds nothing: the next one may begin at once.
    async with await LighterDealer.create(strangers(unknown_orders="adopt")):
        pass


async def test_adopted_orders_are_addressed_like_our_own(
    quiet_venue, config_for, strangers
):
    (placed,) = await place(config_for(quiet_venue), 1000)
    async with await LighterDealer.create(strangers(unknown_orders="adopt")) as trader:
        assert trader.orders.get(placed).status is OrderStatus.OPEN
        await trader.update_order_by_coi(placed, price=1002)
        await trader.flush()
        await trader.cancel_order_by_coi(placed)
        await trader.flush()
        assert await trader.fetch_open_orders() == []


async def test_cancelled_ones_are_gone_before_the_dealer_is_there(
    quiet_venue, config_for, strangers
):
    await place(config_for(quiet_venue), 1000, 1001)
    async with await LighterDealer.create(strangers(unknown_orders="cancel")) as trader:
        assert sent(quiet_venue)[2:] == [TxType.CANCEL_ORDER] * 2
        assert await trader.fetch_open_orders() == []


async def test_cancels_that_do_not_help_end_in_a_refusal(
    quiet_venue, config_for, relay_to, tmp_path
):
    (placed,) = await place(config_for(quiet_venue), 1000)
    relay = await relay_to(quiet_venue)
    relay.answer(SEND, {"code": 200, "tx_hash": "ab" * 40}, times=1)
    config = elsewhere(
        config_for(relay, unknown_orders="cancel", reconcile_timeout_s=0.5), tmp_path
    )
    with pytest.raises(UnknownOrdersError) as caught:
        await LighterDealer.create(config)
    assert [row["client_order_index"] for row in caught.value.orders] == [placed]


async def test_orders_of_another_bot_on_this_machine_are_left_alone(
    quiet_venue, config_for
):
    both = config_for(quiet_venue)
    (theirs,) = await place(with_key(both, 0), 1000)
    strict = dataclasses.replace(with_key(both, 1), unknown_orders="cancel")
    async with await LighterDealer.create(strict) as trader:
        rows = await trader.fetch_open_orders()
        assert [row["client_order_index"] for row in rows] == [theirs]
    assert sent(quiet_venue) == [TxType.CREATE_ORDER]


async def test_a_bot_that_trades_meanwhile_is_never_taken_for_a_stranger(
    quiet_venue, config_for
):
    both = config_for(quiet_venue)
    strict = dataclasses.replace(with_key(both, 1), unknown_orders="cancel")
    async with await LighterDealer.create(with_key(both, 0)) as busy:

        async def trade():
            for step in range(40):
                await busy.create_limit_order(900 + step, 0.05)
                await busy.flush()

        trading = asyncio.create_task(trade())
        for _ in range(8):
            async with await LighterDealer.create(strict):
                pass
        await trading
    assert sent(quiet_venue) == [TxType.CREATE_ORDER] * 40


async def test_our_own_orders_are_not_unknown_after_a_restart(quiet_venue, config_for):
    placed = await place(config_for(quiet_venue), 1000, 1001)
    async with await LighterDealer.create(config_for(quiet_venue)) as trader:
        assert sorted(record.client_order_index for record in trader.orders.live()) == (
            placed
        )


async def test_orders_of_other_markets_are_not_looked_at(
    quiet_venue, config_for, strangers
):
    await place(config_for(quiet_venue, symbol="BTC"), 1000)
    async with await LighterDealer.create(strangers(symbol="ETH")) as trader:
        assert trader.orders.live() == []


async def test_nobody_starts_while_the_orders_cannot_be_read(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    relay.answer(ACTIVE, {"code": 29500, "message": "down"}, status=500, times=4)
    with pytest.raises(WrappyError) as caught:
        await LighterDealer.create(config_for(relay))
    assert not isinstance(caught.value, (UnknownOrdersError, LaneHeldError))
    assert quiet_venue.ledger.accepted() == []
