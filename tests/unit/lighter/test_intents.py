"""From what a caller asks to what can be signed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy._core.coi import COI_MAX
from wrappy._core.scaling import PriceRounding
from wrappy.errors import InvalidOrderError
from wrappy.lighter.intents import (
    IntentBuilder,
    checked_coi,
    checked_order_index,
    side_of,
)
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


@pytest.mark.parametrize("value", [1, COI_MAX])
def test_a_client_order_index_passes(value):
    assert checked_coi(value) == value


@pytest.mark.parametrize("value", [0, -1, COI_MAX + 1, True, 1.0, "1", None])
def test_what_is_no_client_order_index_is_refused(value):
    with pytest.raises(InvalidOrderError, match=r"^client_order_index") as caught:
        checked_coi(value)
    assert caught.value.value is value
    with pytest.raises(InvalidOrderError, match=r"^cancels"):
        checked_coi(value, field="cancels")


@pytest.mark.parametrize("value", [COI_MAX + 1, 2**60 - 1])
def test_an_order_index_passes(value):
    assert checked_order_index(value) == value


@pytest.mark.parametrize("value", [COI_MAX, 2**60, True, 1.5, "9", None])
def test_what_is_no_order_index_is_refused(value):
    with pytest.raises(InvalidOrderError, match=r"^order_index"):
        checked_order_index(value)
