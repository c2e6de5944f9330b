"""Every kind of order, judged by the exchange's own record."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from wrappy import InvalidOrderError
from wrappy.model import OrderStatus, OrderType, TimeInForce
from wrappy.venue import Venue
from wrappy.venue.events import SetIndexPrice, SetLevel

pytestmark = pytest.mark.slow

MID = 4000


@pytest.fixture
def market(quiet_venue):
    """Return a function that moves the market: `market(4000)` quotes around it."""
    shown = []

    def move(middle: float, lots: int = 1_000_000) -> None:
        ticks = int(middle * 100)
        gone = [SetLevel(0, is_ask, price, 0) for is_ask, price in shown]
        shown[:] = [(False, ticks - 10), (True, ticks + 10)]
        levels = [SetLevel(0, is_ask, price, lots) for is_ask, price in shown]
        quiet_venue.exchange.apply_flow(
            [*gone, SetIndexPrice(0, ticks), *levels],
            now_us=time.time_ns() // 1000,
        )

    move(MID)
    return move


@pytest.fixture
async def desk(quiet_venue, market, dealer, ws):
    """A dealer whose orders are fed by an overlay on the same account."""
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    overlay.on_orders = trader.feed_ws_orders
    return trader


def placed(venue):
    return {order.client_order_index: order for order in venue.ledger.orders()}


async def flushed(trader, *answers):
    await trader.flush()
    return [answer["client_order_index"] for answer in answers]


async def bought(trader, size=0.1):
    answer = await trader.create_market_order(size)
    receipt = await trader.wait_settled(answer["client_order_index"])
    assert receipt.filled == Decimal(str(size))


async def ended(trader, eventually, coi):
    def is_over():
        record = trader.orders.get(coi)
        return record if record is not None and record.status.is_terminal else None

    return await eventually(is_over)


async def test_an_immediate_order_trades_and_never_rests(desk, quiet_venue, eventually):
    too_low = await desk.create_limit_order(3990, 0.1, time_in_force="ioc")
    taken = await desk.create_limit_order(4001, 0.1, time_in_force="ioc")
    low, high = await flushed(desk, too_low, taken)
    assert (await ended(desk, eventually, low)).status is OrderStatus.CANCELED
    assert (await ended(desk, eventually, high)).status is OrderStatus.FILLED
    order = placed(quiet_venue)[high]
    assert order.time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL
    assert await desk.fetch_my_position() == Decimal("0.1")


async def test_an_order_lives_as_long_as_it_was_told(desk, quiet_venue, eventually):
    before_ms = time.time() * 1000
    answer = await desk.create_limit_order(3990, 0.1, expiry_s=300)
    (coi,) = await flushed(desk, answer)
    order = await eventually(lambda: placed(quiet_venue).get(coi))
    assert 300_000 <= order.expiry_ms - before_ms <= 320_000


async def test_a_number_of_ones_own_is_kept_and_never_used_twice(
    desk, quiet_venue, eventually
):
    answer = await desk.create_limit_order(3990, 0.1, client_order_index=4711)
    assert answer["client_order_index"] == 4711
    with pytest.raises(InvalidOrderError, match=r"^client_order_index.*used before"):
        await desk.create_limit_order(3990, 0.1, client_order_index=4711)
    with pytest.raises(InvalidOrderError, match=r"^client_order_index.*used before"):
        await desk.create_market_order(0.1, client_order_index=4711)
    await desk.flush()
    await eventually(lambda: 4711 in placed(quiet_venue))
    await desk.cancel_order_by_coi(4711)
    await desk.flush()
    await ended(desk, eventually, 4711)
    with pytest.raises(InvalidOrderError, match="used before"):
        await desk.create_limit_order(3990, 0.1, client_order_index=4711)


async def test_a_market_order_is_bounded_by_its_own_slippage(desk, quiet_venue):
    answer = await desk.create_market_order(0.1, slippage_bps=10)
    assert answer["price"] == Decimal("4004.10")
    with pytest.raises(InvalidOrderError, match=r"^slippage_bps"):
        await desk.create_market_order(0.1, 4001, slippage_bps=10)
    assert len(quiet_venue.ledger.accepted()) == 1


async def test_an_attached_stream_saves_the_question_for_the_book(
    quiet_venue, market, dealer, ws, relay_to
):
    relay = await relay_to(quiet_venue)
    trader, overlay = await dealer(relay), await ws(quiet_venue)
    trader.attach_prices(overlay)
    answer = await trader.create_market_order(-0.1, slippage_bps=10)
    assert answer["price"] == Decimal("3995.90")
    assert "/api/v1/orderBookOrders" not in relay.paths()


async def test_a_stop_loss_closes_the_position_when_the_mark_price_falls(
    desk, quiet_venue, market, eventually
):
    await bought(desk)
    answer = await desk.create_stop_loss(3900, -0.1, slippage_bps=200)
    assert answer["trigger_price"] == 3900
    (coi,) = await flushed(desk, answer)
    order = await eventually(lambda: placed(quiet_venue).get(coi))
    assert order.order_type == OrderType.STOP_LOSS
    assert order.reduce_only
    (row,) = await desk.fetch_open_orders()
    assert row["status"] == "pending"
    assert Decimal(row["trigger_price"]) == 3900
    market(3899)
    assert (await ended(desk, eventually, coi)).status is OrderStatus.FILLED
    assert await desk.fetch_my_position() == 0


async def test_a_take_profit_becomes_a_limit_order_when_the_price_rises(
    desk, quiet_venue, market, eventually
):
    await bought(desk)
    answer = await desk.create_take_profit(4100, -0.1, price=4110)
    (coi,) = await flushed(desk, answer)
    await eventually(lambda: coi in placed(quiet_venue))
    market(4101)
    await eventually(lambda: placed(quiet_venue)[coi].status == "open")
    market(4111)
    assert (await ended(desk, eventually, coi)).status is OrderStatus.FILLED
    assert await desk.fetch_my_position() == 0


async def test_a_trigger_that_the_price_has_passed_is_refused_here(
    quiet_venue, market, dealer, ws
):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    trader.attach_prices(overlay)
    for call, trigger, size in (
        (trader.create_stop_loss, 4050, -0.1),
        (trader.create_stop_loss, 3950, 0.1),
        (trader.create_take_profit, 3950, -0.1),
        (trader.create_take_profit, 4050, 0.1),
    ):
        with pytest.raises(InvalidOrderError, match=r"^trigger_price.*fire at once"):
            await call(trigger, size)
    with pytest.raises(InvalidOrderError, match=r"^stop_loss.*fire at once"):
        await trader.create_oco(-0.1, take_profit=4100, stop_loss=4050)
    assert (await trader.flush())["count"] == 0


async def test_a_change_of_one_part_keeps_the_trigger_and_the_others(
    desk, quiet_venue, eventually
):
    await bought(desk)
    (coi,) = await flushed(desk, await desk.create_stop_loss(3900, -0.1, price=3890))
    await eventually(lambda: coi in placed(quiet_venue))
    changed = await desk.update_order_by_coi(coi, price=3880)
    assert changed["trigger_price"] == 3900
    await desk.flush()
    await eventually(lambda: placed(quiet_venue)[coi].price == 388_000)
    assert placed(quiet_venue)[coi].trigger_price == 390_000
    await desk.update_order_by_coi(coi, trigger_price=3910)
    await desk.flush()
    await eventually(lambda: placed(quiet_venue)[coi].trigger_price == 391_000)
    order = placed(quiet_venue)[coi]
    assert (order.price, order.initial_base) == (388_000, 1000)
    assert not quiet_venue.ledger.refused()


async def test_a_bracket_is_one_transaction_and_protects_what_was_filled(
    desk, quiet_venue, market, eventually
):
    group = await desk.create_bracket(
        4001, 0.1, take_profit=4100, stop_loss=3900, slippage_bps=200
    )
    assert len(set(group.client_order_indices)) == 3
    result = await desk.flush()
    assert result["count"] == 1
    await eventually(
        lambda: set(group.client_order_indices) <= set(placed(quiet_venue))
    )
    await eventually(lambda: placed(quiet_venue)[group.entry].status == "filled")
    assert [tx.tx_type for tx in quiet_venue.ledger.accepted()] == [28]
    assert await desk.fetch_my_position() == Decimal("0.1")
    market(4101)
    await eventually(lambda: placed(quiet_venue)[group.take_profit].status == "filled")
    await eventually(
        lambda: placed(quiet_venue)[group.stop_loss].status == "canceled-oco"
    )
    assert await desk.fetch_my_position() == 0
    record = await ended(desk, eventually, group.stop_loss)
    assert "other order of its pair" in record.reason


async def test_a_change_of_a_child_leaves_its_size_to_the_entry(
    desk, quiet_venue, eventually
):
    group = await desk.create_bracket(3990, 0.1, take_profit=4100, stop_loss=3900)
    await desk.flush()
    await eventually(lambda: group.stop_loss in placed(quiet_venue))
    await desk.update_order_by_coi(group.stop_loss, trigger_price=3910)
    await desk.flush()
    await eventually(
        lambda: placed(quiet_venue)[group.stop_loss].trigger_price == 391_000
    )
    assert quiet_venue.ledger.accepted()[-1].info["BaseAmount"] == 0
    assert not quiet_venue.ledger.refused()


async def test_triggers_of_ended_orders_are_forgotten(quiet_venue, dealer):
    trader = await dealer(quiet_venue, prefer_high_level=True)
    for _ in range(150):
        for _ in range(15):  # sixteen may wait at a time
            await trader.create_stop_loss(3900, -0.1)
        await trader.flush()
    answer = await trader.create_stop_loss(3900, -0.1)
    coi = answer["client_order_index"]
    changed = await trader.update_order_by_coi(coi, price=3890)
    assert changed["trigger_price"] == 3900


async def test_a_bracket_ends_with_its_entry(desk, quiet_venue, eventually):
    group = await desk.create_bracket(
        3990, 0.1, take_profit=4100, stop_loss=3900, take_profit_price=4099
    )
    await desk.flush()
    await eventually(lambda: group.entry in placed(quiet_venue))
    await desk.cancel_order_by_coi(group.entry)
    await desk.flush()
    for coi in (group.take_profit, group.stop_loss):
        await eventually(
            lambda coi=coi: placed(quiet_venue)[coi].status == "canceled-child"
        )


async def test_one_cancels_the_other(desk, quiet_venue, market, eventually):
    await bought(desk)
    group = await desk.create_oco(
        -0.1, take_profit=4100, stop_loss=3900, stop_loss_price=3880, slippage_bps=200
    )
    assert group.entry is None
    await desk.flush()
    await eventually(lambda: group.stop_loss in placed(quiet_venue))
    await desk.cancel_order_by_coi(group.take_profit)
    await desk.flush()
    await eventually(lambda: placed(quiet_venue)[group.take_profit].status != "pending")
    assert len(await desk.fetch_open_orders()) < 2


async def test_an_entry_with_one_protective_order(desk, quiet_venue, eventually):
    group = await desk.create_oto(4001, 0.1, stop_loss=3900)
    assert (group.take_profit, len(group.client_order_indices)) == (None, 2)
    await desk.flush()
    await eventually(lambda: group.stop_loss in placed(quiet_venue))
    await eventually(lambda: placed(quiet_venue)[group.entry].status == "filled")
    assert placed(quiet_venue)[group.stop_loss].status == "pending"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"take_profit": 3990}, "take_profit"),
        ({"stop_loss": 4010}, "stop_loss"),
        ({"stop_loss": 4000}, "stop_loss"),
        ({"take_profit": "x"}, "take_profit"),
        ({"take_profit_price": 5000}, "take_profit_price"),
        ({"stop_loss_price": 0}, "stop_loss_price"),
        ({"slippage_bps": -1}, "slippage_bps"),
        ({"expiry_s": 10}, "expiry_s"),
        ({"post_only": None}, "post_only"),
    ],
)
async def test_a_bracket_that_cannot_work_is_refused_before_it_is_queued(
    quiet_venue, dealer, changes, field
):
    trader = await dealer(quiet_venue)
    fitting = {"take_profit": 4100, "stop_loss": 3900}
    with pytest.raises(InvalidOrderError) as caught:
        await trader.create_bracket(4000, 0.1, **{**fitting, **changes})
    assert caught.value.field == field
    assert (await trader.flush())["count"] == 0


async def test_pairs_and_children_that_cannot_work_are_refused(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    with pytest.raises(InvalidOrderError, match=r"^take_profit.*fire at once"):
        await trader.create_oco(-0.1, take_profit=3900, stop_loss=4100)
    for both in ({}, {"take_profit": 4100, "stop_loss": 3900}):
        with pytest.raises(InvalidOrderError, match=r"^stop_loss.*not both"):
            await trader.create_oto(4000, 0.1, **both)
    assert (await trader.flush())["count"] == 0


async def test_a_sliced_order_reaches_the_exchange(desk, quiet_venue, eventually):
    answer = await desk.create_twap_order(1, duration_s=600, slippage_bps=100)
    assert answer["price"] == Decimal("4040.10")
    (coi,) = await flushed(desk, answer)
    order = await eventually(lambda: placed(quiet_venue).get(coi))
    assert order.order_type == OrderType.TWAP
    await desk.create_twap_order(-1, duration_s=600, price=3990)
    assert (await desk.flush())["count"] == 1


async def test_orders_and_trades_are_read_back(desk, quiet_venue, eventually):
    await bought(desk, 0.2)
    one = await desk.create_limit_order(3990, 0.1)
    two = await desk.create_limit_order(3980, 0.1)
    live, gone = await flushed(desk, one, two)
    await eventually(lambda: gone in placed(quiet_venue))
    await desk.cancel_order_by_coi(gone)
    await desk.flush()
    await ended(desk, eventually, gone)

    report = await desk.fetch_order(live)
    assert (report.status, report.is_live, report.price) == ("open", True, 3990)
    assert (report.average_price, report.trigger_price) == (None, None)
    assert (await desk.fetch_order(gone)).status == "canceled"
    assert await desk.fetch_order(1) is None
    newest, *_ = await desk.fetch_ended_orders(limit=1)
    assert newest.client_order_index == gone
    assert len(await desk.fetch_ended_orders(everywhere=True)) == 2
    (fill,) = await desk.fetch_my_trades()
    assert (fill.size, fill.price, fill.is_maker) == (
        Decimal("0.2"),
        Decimal("4000.1"),
        False,
    )
    assert fill.fee == fill.size * fill.price * 280 / 1_000_000
    assert await desk.fetch_my_trades(since_s=time.time() + 60) == []
    (position,) = await desk.fetch_positions()
    assert (position.symbol, position.size) == ("ETH", Decimal("0.2"))
    assert len(await desk.fetch_open_orders(everywhere=True)) == 1


async def test_orders_of_other_markets_and_rows_that_are_none_are_left_alone(
    quiet_venue, dealer, caplog
):
    trader = await dealer(quiet_venue)
    trader.feed_ws_orders([{"market_index": 1, "client_order_index": 5}, None, "x"])
    assert not len(trader.orders)
    assert caplog.text.count("unreadable") == 2


async def test_a_dry_run_shows_every_kind_and_sends_none(dealer, caplog):
    caplog.set_level("INFO", "LighterDealer.tx")
    async with Venue(seed=1) as venue:
        trader = await dealer(venue, prefer_high_level=True)
        best = Decimal(1000)
        await trader.create_stop_loss(best, -0.1)
        await trader.create_bracket(best, 0.1, take_profit=1100, stop_loss=900)
        await trader.create_twap_order(1, duration_s=600)
        assert (await trader.flush())["dry_run"]
        assert "CreateGroupedOrders" in caplog.text
        setting = await trader.set_leverage(5)
        assert setting.initial_margin_fraction == 2000
        state = await trader.arm_dead_man(300)
        assert state.horizon_s == 300
        await trader.disarm_dead_man()
        assert not venue.ledger.accepted()
        assert not venue.ledger.refused()
