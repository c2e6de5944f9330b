"""Bars that wait to be put together come out as if they had been at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wrappy.venue.candle_flow import CalmRun
from wrappy.venue.candles import MINUTES_KEPT, CandleStore
from wrappy.venue.events import PassBar

MINUTE_US = 60_000_000


def run_of(first_minute, prices):
    bars = [
        (
            (first_minute + number) * MINUTE_US,
            price,
            price + 2,
            price - 2,
            price + 1,
            4 * lots,
        )
        for number, (price, lots) in enumerate(prices)
    ]
    close_us = bars[-1][0] + MINUTE_US - 1
    action = PassBar(0, 0, 1, 1, 1, 1, 1, 1, 4 * len(bars), 1, 2, 1)
    return CalmRun(close_us, action, bars, MINUTE_US, 1)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(100, 200), st.integers(0, 2)),
        st.tuples(
            st.just("run"),
            st.lists(
                st.tuples(st.integers(100, 200), st.integers(0, 3)),
                min_size=1,
                max_size=5,
            ),
        ),
    ),
    max_size=12,
)


def told(steps, *, read_each):
    store, minute = CandleStore(), 0
    for what, *rest in steps:
        if what == "trade":
            price, later = rest
            minute += later
            store.put(0, minute * 60_000 + 7, price, base=3, quote=9, last_trade_id=5)
        else:
            minute += 1
            store.add_run(0, run_of(minute, rest[0]), 10)
            minute += len(rest[0])
        if read_each:
            store.minutes(0)
    return store.minutes(0)


@given(steps=STEPS)
def test_it_does_not_matter_when_bars_are_asked_for(steps):
    assert told(steps, read_each=False) == told(steps, read_each=True)


def test_the_oldest_go_and_a_trade_among_what_waits_with_them():
    store, hour = CandleStore(), [(150, 1)] * 60
    hours = MINUTES_KEPT // 60 + 5
    for number in range(hours):
        store.add_run(0, run_of(number * 61, hour), 10)
        store.put(0, (number * 61 + 60) * 60_000, 150, base=1)
    kept = store.minutes(0)
    assert len(kept) == MINUTES_KEPT
    assert kept[-1].start_ms == (hours * 61 - 1) * 60_000
    assert kept[0].start_ms == (hours * 61 - MINUTES_KEPT) * 60_000


def test_trades_that_nobody_reads_do_not_pile_up():
    store = CandleStore()
    store.add_run(0, run_of(0, [(150, 1)]), 10)
    for number in range(10_000):
        store.put(0, 60_000 + number, 150, base=1)
    assert store.minutes(0)[-1].base == 10_000
