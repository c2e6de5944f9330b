"""Equity in few points, orders counted once, acceptance times in classes."""

from __future__ import annotations

import enum
from decimal import Decimal
from types import MappingProxyType

from hypothesis import given
from hypothesis import strategies as st

from wrappy.model import OrderStatus
from wrappy.runner.monitor.equity_curve import DAY_S, EquityTrail
from wrappy.runner.monitor.order_tally import (
    LATENCY_BOUNDS_S,
    MOST_WAITING,
    OrderTally,
)
from wrappy.runner.monitor.snapshot import plain


def test_nothing_is_known_before_a_sample():
    trail = EquityTrail()
    assert (trail.drawdown, trail.daily_pnl, trail.points()) == (None, None, ())


def test_drawdown_is_counted_from_the_peak_and_the_day_from_its_first_sample():
    trail = EquityTrail()
    for at_s, equity in ((0, 100), (10, 120), (20, 90)):
        trail.sample(at_s, Decimal(equity))
    assert trail.drawdown == Decimal("0.25")
    assert trail.daily_pnl == -10
    trail.sample(DAY_S + 1, Decimal(95))
    assert trail.daily_pnl == 0
    assert trail.peak == 120


def test_an_account_without_money_has_no_drawdown():
    trail = EquityTrail()
    trail.sample(1, Decimal(0))
    assert trail.drawdown == 0


@given(
    st.lists(st.floats(0.001, 10_000), min_size=1, max_size=400),
    st.integers(2, 20).map(lambda half: 2 * half),
)
def test_a_course_of_any_length_fits_and_still_spans_it(pauses, most):
    trail, now = EquityTrail(most), 0.0
    for pause in pauses:
        now += pause
        trail.sample(now, Decimal(1))
    points = trail.points()
    times = [at for at, _ in points]
    assert len(points) <= most
    assert times == sorted(times)
    assert times[0] == pauses[0]
    # What is left out at the end is less than two of the gaps that were thinned.
    assert len(points) == 1 or now - times[-1] <= 2 * (now - times[0])


def test_each_order_is_counted_once_by_its_end():
    tally = OrderTally()
    tally.changed(1, OrderStatus.QUEUED, 0.0)
    assert tally.changed(1, OrderStatus.SENT, 0.02) is None
    assert tally.changed(1, OrderStatus.OPEN, 0.03) is None
    for _ in range(2):
        assert tally.changed(1, OrderStatus.FILLED, 0.04) is None
    assert tally.ended == {OrderStatus.FILLED: 1}
    assert sum(tally.accepted.counts) == 1
    assert tally.accepted.counts[LATENCY_BOUNDS_S.index(0.025)] == 1
    assert tally.accepted.total_s == 0.02


def test_what_was_rejected_was_never_accepted():
    tally = OrderTally()
    tally.changed(1, OrderStatus.QUEUED, 0.0)
    assert tally.changed(1, OrderStatus.REJECTED, 1.0) is OrderStatus.REJECTED
    assert sum(tally.accepted.counts) == 0


def test_a_doubt_begins_once_lasts_and_ends():
    tally = OrderTally()
    assert tally.oldest_doubt_s(5.0) == 0
    tally.changed(1, OrderStatus.QUEUED, 0.0)
    assert tally.changed(1, OrderStatus.UNKNOWN, 1.0) is OrderStatus.UNKNOWN
    assert tally.changed(1, OrderStatus.UNKNOWN, 2.0) is None
    assert tally.changed(2, OrderStatus.UNKNOWN, 3.0) is OrderStatus.UNKNOWN
    assert (tally.unknown, tally.oldest_doubt_s(11.0)) == (2, 10.0)
    assert tally.changed(1, OrderStatus.OPEN, 12.0) is OrderStatus.OPEN
    assert tally.changed(2, OrderStatus.CANCELED, 12.0) is OrderStatus.CANCELED
    assert tally.unknown == 0
    # How long a doubt lasted says nothing about acceptance.
    assert sum(tally.accepted.counts) == 0


def test_a_very_slow_acceptance_is_in_the_open_class():
    tally = OrderTally()
    tally.changed(1, OrderStatus.QUEUED, 0.0)
    tally.changed(1, OrderStatus.OPEN, 99.0)
    assert tally.accepted.counts[-1] == 1


def test_what_is_remembered_of_orders_is_bounded():
    tally = OrderTally()
    for coi in range(MOST_WAITING + 10):
        tally.changed(coi, OrderStatus.QUEUED, 0.0)
    tally.changed(0, OrderStatus.OPEN, 1.0)
    assert sum(tally.accepted.counts) == 0
    for coi in range(MOST_WAITING + 10):
        tally.changed(coi, OrderStatus.CANCELED, 1.0)
    assert tally.ended[OrderStatus.CANCELED] == MOST_WAITING + 10


def test_a_copy_shares_nothing_that_can_change():
    class Word(enum.Enum):
        YES = "yes"

    inner = [1, Decimal("2.5")]
    told = {1: inner, "b": MappingProxyType({"c": Word.YES}), "d": b"x", "e": None}
    copy = plain(told)
    inner.append(3)
    assert copy == {"1": (1, Decimal("2.5")), "b": {"c": "yes"}, "d": "b'x'", "e": None}
