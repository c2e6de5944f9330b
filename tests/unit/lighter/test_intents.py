"""From what a caller asks to what can be signed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy._core.scaling import PriceRounding
from wrappy.errors import InvalidOrderError
from wrappy.lighter.trading.intents import IntentBuilder, side_of
from wrappy.model import Market, OrderType, Side, TimeInForce

ETH = Market("ETH", 3, 2, 4, 50, 10_000_000)
NOW = 1_800_000_000.0


def builder(**settings):
    return IntentBuilder(ETH, clock=lambda: NOW, **settings)


def limit(price, size, build=None, **flags):
    flags = {"post_only": False, "reduce_only": False, **flags}
    return (build or builder()).limit(price, size, client_order_index=77, **flags)


def test_a_positive_size_buys_and_a_negative_one_sells():
    buy, sell = limit(4050.0, 0.1), limit("4050", Decimal("-0.1"))
    assert (buy.is_ask, buy.base_amount, buy.price) == (False, 1000, 405_000)
    assert (sell.is_ask, sell.base_amount, sell.price) == (True, 1000, 405_000)
    assert (buy.market_index, buy.client_order_index) == (3, 77)
    assert buy.order_type is OrderType.LIMIT
    assert (side_of(1), side_of(-1)) == (Side.BUY, Side.SELL)


def test_flags_reach_the_order():
    plain = limit(4050, 0.1)
    assert plain.time_in_force is TimeInForce.GOOD_TILL_TIME
    assert not plain.reduce_only
    maker = limit(4050, 0.1, post_only=True, reduce_only=True)
    assert maker.time_in_force is TimeInForce.POST_ONLY
    assert maker.reduce_only


def test_prices_are_rounded_as_the_settings_say():
    assert limit("4050.005", 0.1).price == 405_001
    passive = builder(rounding=PriceRounding.PASSIVE)
    assert limit("4050.009", 0.1, passive).price == 405_000
    assert limit("4050.001", -0.1, passive).price == 405_001
    with pytest.raises(InvalidOrderError, match="tick size"):
        limit("4050.001", 0.1, builder(rounding=PriceRounding.REFUSE))


@pytest.mark.parametrize(
    ("lifetime_s", "expected_s"),
    [(None, 28 * 86_400), (300, 305), (600, 605), (601, 601), (86_400, 86_400)],
)
def test_an_order_lives_as_long_as_the_settings_say(lifetime_s, expected_s):
    order = limit(4050, 0.1, builder(lifetime_s=lifetime_s))
    assert order.order_expiry == int((NOW + expected_s) * 1000)


@pytest.mark.parametrize(
    ("price", "size", "words"),
    [
        (0, 0.1, "^price"),
        (float("nan"), 0.1, "^price"),
        (4050, 0, "^size"),
        (4050, 0.00001, "^size"),
        (4050, "much", "^size"),
        (4050, True, "^size"),
        (4050, 0.0049, "^size.*minimum"),
        (100, 0.01, "^size.*minimum of 10"),
    ],
)
def test_a_limit_order_that_cannot_be_sent_is_refused(price, size, words):
    with pytest.raises(InvalidOrderError, match=words):
        limit(price, size)


def at_market(size, price):
    return builder().at_market(size, price, client_order_index=5, reduce_only=True)


def test_a_market_order_is_immediate_and_bounded():
    order = at_market(-0.2, 3999.999)
    assert order.order_type is OrderType.MARKET
    assert order.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL
    assert (order.is_ask, order.base_amount, order.price) == (True, 2000, 400_000)
    assert order.reduce_only
    assert order.order_expiry == 0


def test_a_market_order_names_its_own_arguments():
    with pytest.raises(InvalidOrderError, match=r"^avg_execution_price"):
        at_market(0.1, 0)
    with pytest.raises(InvalidOrderError, match=r"^size"):
        at_market(0, 4000)


def test_a_small_market_order_may_close_a_rest():
    assert at_market(0.0001, 4000).base_amount == 1


def modify(**changes):
    values = {"is_ask": False, "price": 4000, "quantity": 0.1, "trigger_price": None}
    return builder().modify(77, **{**values, **changes})


def test_a_change_carries_price_size_and_trigger():
    change = modify()
    assert (change.index, change.price, change.base_amount) == (77, 400_000, 1000)
    assert change.trigger_price == 0
    assert modify(trigger_price="3999.5").trigger_price == 399_950
    assert modify(is_ask=True, quantity=-0.1).base_amount == 1000


@pytest.mark.parametrize("field", ["price", "quantity", "trigger_price"])
def test_a_change_names_its_own_arguments(field):
    with pytest.raises(InvalidOrderError, match=f"^{field}"):
        modify(**{field: "?"})


def test_a_cancel_names_market_and_order():
    cancel = builder().cancel(77)
    assert (cancel.market_index, cancel.index) == (3, 77)


def test_the_bound_lies_beyond_the_best_price():
    assert builder().bound(Decimal(4000), buy=True, bps=100) == 4040
    assert builder().bound(Decimal(4000), buy=False, bps=100) == 3960
    assert builder().bound(Decimal(4000), buy=True, bps=0) == 4000


def limit_with(**changes):
    return limit(4050, 0.1, **changes)


def test_times_in_force_reach_the_order():
    ioc = limit_with(time_in_force="ioc")
    assert ioc.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL
    assert ioc.order_expiry == 0
    assert limit_with(time_in_force="post_only").time_in_force is TimeInForce.POST_ONLY
    both = limit_with(time_in_force="post_only", post_only=True)
    assert both.time_in_force is TimeInForce.POST_ONLY


def test_an_order_that_cannot_rest_may_be_smaller_than_the_minimum():
    assert limit(4050, 0.0001, time_in_force="ioc").base_amount == 1
    with pytest.raises(InvalidOrderError, match=r"^size.*limit of"):
        limit(40_000_000, 10_000, time_in_force="ioc")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"time_in_force": "gtc"}, "time_in_force"),
        ({"time_in_force": 1}, "time_in_force"),
        ({"time_in_force": "ioc", "post_only": True}, "time_in_force"),
        ({"time_in_force": "ioc", "expiry_s": 600}, "expiry_s"),
        ({"expiry_s": 299}, "expiry_s"),
        ({"expiry_s": 30 * 86_400 + 1}, "expiry_s"),
        ({"expiry_s": 600.0}, "expiry_s"),
        ({"post_only": 1}, "post_only"),
        ({"reduce_only": "yes"}, "reduce_only"),
    ],
)
def test_arguments_that_do_not_fit_are_named(changes, field):
    with pytest.raises(InvalidOrderError) as caught:
        limit_with(**changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("expiry_s", "lives_s"),
    [(300, 305), (3600, 3600), (30 * 86_400, 30 * 86_400 - 5)],
)
def test_a_life_of_its_own_stays_within_what_the_exchange_takes(expiry_s, lives_s):
    order = limit_with(expiry_s=expiry_s)
    assert order.order_expiry == int((NOW + lives_s) * 1000)


def test_a_market_order_above_the_limit_for_one_order_is_refused():
    with pytest.raises(InvalidOrderError, match=r"^size.*limit of"):
        at_market(10_000_000, 4000)


def trigger(kind, size_lots, price=None, **changes):
    values = {"slippage_bps": 100, "reduce_only": True, "expiry_ms": 9, **changes}
    return builder().trigger(
        kind, 4000, size_lots, client_order_index=5, price=price, **values
    )


def test_a_trigger_order_trades_at_market_or_as_a_limit_order():
    loss = trigger("stop_loss", -1000)
    assert (loss.order_type, loss.time_in_force) == (OrderType.STOP_LOSS, 0)
    assert (loss.trigger_price, loss.price) == (400_000, 396_000)
    assert (loss.is_ask, loss.base_amount, loss.order_expiry) == (True, 1000, 9)
    profit = trigger("take_profit", 1000, "3990.5")
    assert profit.order_type is OrderType.TAKE_PROFIT_LIMIT
    assert (profit.price, profit.time_in_force) == (399_050, 1)
    child = trigger("stop_loss", 1000, follows_parent=True)
    assert (child.base_amount, child.price) == (0, 404_000)


def test_a_trigger_order_names_its_own_arguments():
    with pytest.raises(InvalidOrderError, match=r"^take_profit:"):
        builder().trigger(
            "take_profit",
            0,
            1000,
            client_order_index=5,
            price=None,
            slippage_bps=1,
            reduce_only=True,
            expiry_ms=9,
            fields=("take_profit", "take_profit_price"),
        )
    with pytest.raises(InvalidOrderError, match=r"^price:"):
        trigger("stop_loss", 1000, "x")
    with pytest.raises(InvalidOrderError, match=r"^price: '4200' is 5 % or more"):
        trigger("stop_loss", 1000, "4200")
    with pytest.raises(InvalidOrderError, match=r"^size.*minimum"):
        trigger("stop_loss", 1, 4000)


@pytest.mark.parametrize(
    ("kind", "lots", "passes"),
    [
        ("stop_loss", -1000, 4001),
        ("stop_loss", 1000, 3999),
        ("take_profit", -1000, 3999),
        ("take_profit", 1000, 4001),
    ],
)
def test_a_trigger_on_the_wrong_side_would_fire_at_once(kind, lots, passes):
    order = trigger(kind, lots)
    builder().check_trigger(kind, order, passes * 100)
    for refused in (8000 - passes, 4000):
        with pytest.raises(InvalidOrderError, match=r"^trigger_price.*fire at once"):
            builder().check_trigger(kind, order, refused * 100)


def test_a_trigger_keeps_off_the_rounding_of_prices_unless_that_refuses():
    values = {"client_order_index": 5, "price": None, "slippage_bps": 0}
    values |= {"reduce_only": True, "expiry_ms": 9}
    passive = builder(rounding=PriceRounding.PASSIVE)
    assert passive.trigger("stop_loss", "4000.009", 1000, **values).trigger_price == (
        400_001
    )
    with pytest.raises(InvalidOrderError, match="tick size"):
        builder(rounding=PriceRounding.REFUSE).trigger(
            "stop_loss", "4000.009", 1000, **values
        )


def twap(size=1, price=4000, **changes):
    values = {"client_order_index": 5, "duration_s": 3600, "reduce_only": False}
    return builder().twap(size, price, **{**values, **changes})


def test_a_sliced_order_ends_with_its_duration():
    order = twap(-1)
    assert (order.order_type, order.time_in_force) == (OrderType.TWAP, 1)
    assert (order.is_ask, order.trigger_price) == (True, 0)
    assert order.order_expiry == int((NOW + 3600) * 1000)
    assert twap(duration_s=86_400).order_expiry == int((NOW + 86_395) * 1000)
    for wrong in (299, 86_401, 1.5, None):
        with pytest.raises(InvalidOrderError, match=r"^duration_s"):
            twap(duration_s=wrong)


def test_a_change_may_keep_the_size_of_an_order_with_a_trigger():
    assert modify(quantity=None, trigger_price=3999).base_amount == 0


def test_the_bound_stays_within_what_the_wire_can_carry():
    assert builder().bound(Decimal(4000), buy=False, bps=10_000) == Decimal("0.01")
    highest = builder().bound(Decimal(42_949_672), buy=True, bps=10_000)
    assert highest == Decimal("42949672.95")
