"""Public trades under any order and any repetition of frames."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.public_trades import PublicTrades
from wrappy.model import Side, Trade


def trade(trade_id):
    return Trade(trade_id, 0, Decimal(trade_id), Decimal(1), Side.SELL, trade_id)


frames = st.lists(st.lists(st.integers(0, 60), max_size=20), max_size=20)


@given(frames=frames, capacity=st.integers(1, 80))
def test_each_trade_is_told_once_and_the_newest_are_kept(frames, capacity):
    trades = PublicTrades(capacity)
    told = []
    sent = set()
    for frame in frames:
        fresh = [one.trade_id for one in trades.add(map(trade, frame))]
        assert fresh == sorted(fresh)
        told += fresh
        sent.update(frame)
        assert len(told) == len(set(told))
        newest = sorted(sent)[-capacity:]
        assert [one.trade_id for one in trades.recent(capacity)] == newest
        assert trades.last_traded_price == (Decimal(newest[-1]) if newest else None)
    if len(sent) <= capacity:
        assert set(told) == sent


@given(frames=frames, data=st.data())
def test_the_order_of_the_frames_makes_no_difference(frames, data):
    one, other = PublicTrades(100), PublicTrades(100)
    for frame in frames:
        one.add(map(trade, frame))
    shuffled = data.draw(st.permutations(frames + frames[:3]))
    for frame in shuffled:
        other.add(map(trade, frame))
    assert one.recent(100) == other.recent(100)


@given(frames=frames, capacity=st.integers(1, 80))
def test_the_last_price_is_that_of_the_newest_by_number_and_by_time(frames, capacity):
    trades = PublicTrades(capacity)
    seen = {}
    for frame in frames:
        trades.add(map(trade, frame))
        seen.update({number: trade(number) for number in frame})
        if seen:
            newest = max(
                seen.values(), key=lambda one: (one.timestamp_ms, one.trade_id)
            )
            assert trades.last_traded_price == newest.price


@given(snapshot=st.lists(st.integers(0, 60), min_size=1, unique=True), data=st.data())
def test_a_snapshot_repeated_after_a_reconnect_is_no_news(snapshot, data):
    trades = PublicTrades(100)
    trades.add(map(trade, snapshot))
    last = trades.last_traded_price
    assert trades.add(map(trade, data.draw(st.permutations(snapshot)))) == []
    assert trades.last_traded_price == last


def test_markets_do_not_know_each_others_trades():
    one, other = PublicTrades(), PublicTrades()
    one.add([trade(5)])
    other.add([trade(3)])
    assert (one.last_traded_price, other.last_traded_price) == (5, 3)
