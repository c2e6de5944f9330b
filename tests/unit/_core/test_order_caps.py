"""Orders counted against the caps of a tier."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.order_caps import OrderCapsCount
from wrappy.protocol.tiers import STANDARD_CAPS, OrderCaps

SMALL = OrderCaps(3, 4, 1, 2)


def test_room_is_what_the_market_and_the_account_leave():
    count = OrderCapsCount(SMALL)
    assert count.room(0) == 3
    for order in (1, 2):
        count.hold(order, 0)
    assert (count.room(0), count.room(1)) == (1, 2)
    count.hold(3, 1)
    count.hold(4, 1)
    assert (count.room(0), count.room(1)) == (0, 0)
    assert repr(count) == "OrderCapsCount(active=4, pending=0)"


def test_an_order_held_twice_counts_once_and_one_released_twice_leaves_once():
    count = OrderCapsCount(SMALL)
    count.hold(1, 0)
    count.hold(1, 0)
    assert (len(count), count.count(0), count.count()) == (1, 1, 1)
    count.release(1)
    count.release(1)
    assert (len(count), count.count(0), count.count()) == (0, 0, 0)


def test_a_pending_order_whose_trigger_was_met_counts_as_active():
    count = OrderCapsCount(SMALL)
    count.hold(1, 0, pending=True)
    assert (count.room(0, pending=True), count.room(0)) == (0, 3)
    count.hold(1, 0)
    assert (count.room(0, pending=True), count.room(0)) == (1, 2)


def test_a_refusal_names_the_cap_and_what_counts_against_it():
    count = OrderCapsCount(SMALL)
    for order in (1, 2):
        count.hold(order, 0)
    assert count.refuse(0) is None
    assert count.refuse(0, wanted=2) == (
        "active orders: 2 on market 0 and 2 more are above the cap of 3 a market; "
        "cancel some first"
    )
    assert count.refuse(1, wanted=3) == (
        "active orders: 2 on the account and 3 more are above the cap of 4 an "
        "account; cancel some first"
    )
    assert "pending orders: 0 on market 0" in (
        count.refuse(0, wanted=2, pending=True) or ""
    )


def test_caps_may_change_while_orders_live():
    count = OrderCapsCount(OrderCaps(100, 100, 10, 10))
    for order in range(60):
        count.hold(order, 0)
    count.caps = STANDARD_CAPS
    assert count.room(0) == 0
    assert "60 on market 0 and 1 more are above the cap of 30" in (
        count.refuse(0) or ""
    )


STEP = st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 2), st.booleans())


@given(st.lists(STEP, max_size=60))
def test_the_count_is_that_of_the_orders_held(steps):
    count, model = OrderCapsCount(SMALL), {}
    for is_hold, order, market, pending in steps:
        if is_hold:
            count.hold(order, market, pending=pending)
            model[order] = (market, pending)
        else:
            count.release(order)
            model.pop(order, None)
        for kind in (False, True):
            held = [place for place in model.values() if place[1] is kind]
            assert count.count(pending=kind) == len(held)
            for place in range(3):
                here = sum(market == place for market, _ in held)
                assert count.count(place, pending=kind) == here
