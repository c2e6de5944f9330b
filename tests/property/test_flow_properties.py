"""Whatever the market, seed and stepping: positive integers and no crossed book."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy.model import Market
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.flow import SyntheticFlow, merge

markets = st.builds(
    Market,
    symbol=st.sampled_from(["ETH", "BTC", "SOL", "OTHER"]),
    market_id=st.integers(0, 254),
    price_decimals=st.integers(0, 6),
    size_decimals=st.integers(0, 6),
    min_base_amount=st.integers(0, 5_000),
)


@st.composite
def flows(draw):
    market = draw(markets)
    ticks = draw(st.integers(100, 2**31))
    return SyntheticFlow(
        market,
        seed=draw(st.integers()),
        start_price=Decimal(ticks).scaleb(-market.price_decimals),
        events_per_s=draw(st.floats(0.001, 1_000_000)),
        volatility=draw(st.floats(0, 10)),
    )


@given(flows())
@settings(max_examples=150, deadline=None)
def test_actions_are_positive_integers_and_the_book_never_crosses(flow):
    sides = ({}, {})
    last_us = -1
    for _ in range(40):
        at_us = flow.next_at_us()
        assert at_us > last_us
        last_us = at_us
        for action in flow.step(at_us):
            assert type(action.price) is int
            assert 0 < action.price < 2**32
            if isinstance(action, SetIndexPrice):
                continue
            assert type(action.base) is int
            if not isinstance(action, SetLevel):
                assert action.base > 0
                continue
            side = sides[action.is_ask]
            if action.base:
                side[action.price] = action.base
            else:
                del side[action.price]
            assert max(sides[0], default=0) < min(sides[1], default=2**32)


@given(
    st.integers(),
    st.lists(st.integers(0, 400_000), min_size=1, max_size=20),
)
@settings(max_examples=40, deadline=None)
def test_how_a_flow_is_stepped_does_not_matter(seed, waits):
    def build():
        return merge(
            SyntheticFlow(Market(symbol, number, 2, 4), seed=seed)
            for number, symbol in enumerate(("ETH", "SOL"))
        )

    flow, stepped, now_us = build(), [], 0
    for wait_us in waits:
        now_us += wait_us
        stepped += flow.step(now_us)
        assert flow.next_at_us() > now_us
    assert stepped == build().step(now_us)
