"""Feeds of prices, figures and candles: nothing old is ever served."""

from __future__ import annotations

import json
import pathlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ProtocolError, StreamClosedError
from wrappy.lighter.streaming.market_feeds import (
    MOST_OLD_FRAMES,
    AllMarketStatsFeed,
    CandleFeed,
    MarketStatsFeed,
    TickerFeed,
)

PAYLOADS = pathlib.Path(__file__).resolve().parents[3] / "../shared/payloads"
SAMPLES = PAYLOADS / "nautilus_test_data"

needs_payloads = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="recorded payloads are not beside the checkout"
)


class Told(list):
    """What a feed told, in order."""

    def __call__(self, event, value):
        self.append((event, value))

    def values(self):
        taken = [value for _, value in self]
        self.clear()
        return taken


@pytest.fixture
def told():
    return Told()


def sample(name):
    return (SAMPLES / f"{name}.json").read_bytes()


def ticker(bid, nonce=None):
    side = {"price": bid, "size": "1" if bid else ""}
    body = {"s": "ETH", "a": {"price": "", "size": ""}, "b": side}
    return json.dumps({"ticker": body, "nonce": nonce}).encode()


def stats(mark, market_id=0, timestamp=1):
    return {"market_id": market_id, "symbol": f"M{market_id}", "mark_price": mark}


def stats_frame(mark, timestamp=1):
    return json.dumps({"market_stats": stats(mark), "timestamp": timestamp}).encode()


def all_stats(**marks):
    rows = {key[1:]: stats(mark, int(key[1:])) for key, mark in marks.items()}
    return json.dumps({"market_stats": rows}).encode()


def candles(*rows):
    told = [
        {"t": start, "o": 1, "h": 2, "l": 1, "c": close, "v": 1, "V": 1, "i": trade}
        for start, close, trade in rows
    ]
    return json.dumps({"candles": told}).encode()


def test_a_ticker_is_told_when_it_changes_and_readable_at_once(told):
    feed = TickerFeed(0, told)
    with pytest.raises(StreamClosedError, match=r"ticker/0.*not told it yet"):
        feed.current()
    assert feed.take(ticker("2000.5"), snapshot=True)
    assert feed.take(ticker("2000.5"), snapshot=False)
    assert feed.take(ticker(""), snapshot=False)
    events = [event for event, _ in told]
    first, second = told.values()
    assert events == ["on_ticker"] * 2
    assert first.bid.price == Decimal("2000.5")
    assert second.bid is None
    assert feed.current() is second
    assert feed.is_live


def test_a_lost_ticker_is_not_readable_until_the_exchange_speaks_again(told):
    feed = TickerFeed(0, told)
    feed.take(ticker("1"), snapshot=True)
    feed.lost("the connection closed")
    assert not feed.is_live
    assert "the connection closed" in repr(feed)
    with pytest.raises(StreamClosedError, match="the connection closed"):
        feed.current()
    feed.take(ticker("1"), snapshot=True)
    assert feed.current().bid.price == 1
    assert "live" in repr(feed)
    assert len(told.values()) == 2


def test_repeated_and_late_tickers_are_left_out(told):
    feed = TickerFeed(0, told)
    feed.take(ticker("3", 30), snapshot=True)
    assert feed.take(ticker("2", 20), snapshot=False)
    assert feed.take(ticker("4", 40), snapshot=False)
    assert feed.take(ticker("3", 30), snapshot=False)
    assert feed.take(ticker("5"), snapshot=False)
    assert [int(value.bid.price) for value in told.values()] == [3, 4, 5]


def test_an_exchange_that_counts_anew_is_believed(told):
    feed = TickerFeed(0, told)
    feed.take(ticker("9", 1_000), snapshot=True)
    for nonce in range(MOST_OLD_FRAMES):
        feed.take(ticker("1", nonce), snapshot=False)
    assert feed.current().bid.price == 9
    feed.take(ticker("1", MOST_OLD_FRAMES), snapshot=False)
    assert feed.current().bid.price == 1
    feed.take(ticker("2", 3), snapshot=True)
    assert feed.current().nonce == 3


def make_feeds(told):
    return [
        (TickerFeed(0, told), ticker("1")),
        (MarketStatsFeed(0, told), stats_frame("1")),
        (AllMarketStatsFeed(told), all_stats(m0="1")),
        (CandleFeed(0, "1m", told), candles((0, 1, 1))),
    ]


def test_an_unreadable_frame_leaves_nothing_readable(told):
    for feed, good in make_feeds(told):
        feed.take(good, snapshot=True)
        assert feed.current()
        with pytest.raises(ProtocolError):
            feed.take(b'{"ticker":1,"market_stats":1,"candles":1}', snapshot=False)
        assert not feed.is_live
        with pytest.raises(StreamClosedError, match="could not be read"):
            feed.current()
        feed.take(good, snapshot=True)
        assert feed.is_live


def test_market_stats_are_told_when_a_figure_changes(told):
    feed = MarketStatsFeed(0, told)
    for mark, timestamp in (("1", 1), ("1", 2), ("2", 3)):
        assert feed.take(stats_frame(mark, timestamp), snapshot=False)
    assert [str(value.mark_price) for value in told.values()] == ["1", "2"]
    assert feed.current().timestamp_ms == 3


def test_an_update_of_all_stats_changes_what_it_names(told):
    feed = AllMarketStatsFeed(told)
    assert not feed.take(all_stats(m0="1"), snapshot=False)
    assert not feed.is_live
    feed.take(all_stats(m0="1", m1="1"), snapshot=True)
    before = feed.current()
    feed.take(all_stats(m0="1", m1="2"), snapshot=False)
    assert [(s.market_id, str(s.mark_price)) for s in told.values()] == [
        (0, "1"),
        (1, "1"),
        (1, "2"),
    ]
    assert feed.current()[1].mark_price == 2
    assert before[1].mark_price == 1
    feed.take(all_stats(m1="2"), snapshot=True)
    assert list(feed.current()) == [1]


def test_stats_of_one_market_cannot_come_back_by_an_update_of_another(told):
    feed = AllMarketStatsFeed(told)
    feed.take(all_stats(m0="1", m1="1"), snapshot=True)
    feed.lost("gone")
    assert not feed.take(all_stats(m1="2"), snapshot=False)
    with pytest.raises(StreamClosedError, match="gone"):
        feed.current()


def test_a_candle_is_told_while_it_grows_and_once_when_it_is_over(told):
    feed = CandleFeed(0, "1m", told)
    feed.take(candles((0, 1, 1)), snapshot=True)
    feed.take(candles((0, 1, 1)), snapshot=False)
    feed.take(candles((0, 2, 2)), snapshot=False)
    feed.take(candles((60, 3, 3)), snapshot=False)
    seen = [(c.start_ms, int(c.close), c.closed) for c in told.values()]
    assert seen == [(0, 1, False), (0, 2, False), (0, 2, True), (60, 3, False)]
    assert [c.start_ms for c in feed.closed()] == [0]
    assert feed.current().start_ms == 60
    assert "1 closed" in repr(feed)


def test_last_changes_of_a_candle_that_come_with_the_next_count(told):
    feed = CandleFeed(0, "1m", told)
    feed.take(candles((0, 1, 1)), snapshot=True)
    told.clear()
    feed.take(candles((60, 3, 3), (0, 2, 2)), snapshot=False)
    seen = [(c.start_ms, int(c.close), c.closed) for c in told.values()]
    assert seen == [(0, 2, True), (60, 3, False)]


def test_late_candles_mend_the_history_and_older_ones_change_nothing(told):
    feed = CandleFeed(0, "1m", told)
    feed.take(candles((0, 1, 5), (60, 1, 6), (120, 1, 9)), snapshot=True)
    told.clear()
    feed.take(candles((0, 7, 5)), snapshot=False)
    feed.take(candles((60, 8, 5)), snapshot=False)
    feed.take(candles((60, 1, 6)), snapshot=False)
    feed.take(candles((120, 9, 8)), snapshot=False)
    feed.take(candles((30, 9, 8)), snapshot=False)
    assert [(c.start_ms, int(c.close)) for c in told.values()] == [(0, 7)]
    assert [int(c.close) for c in feed.closed()] == [7, 1]
    feed.lost("gone")
    feed.take(candles((0, 6, 6)), snapshot=False)
    assert [int(c.close) for c in feed.closed()] == [6, 1]
    assert not feed.is_live


def test_a_candle_interrupted_in_the_making_is_not_closed_with_old_figures(told):
    feed = CandleFeed(0, "1m", told)
    feed.take(candles((0, 1, 1), (60, 1, 2)), snapshot=True)
    feed.lost("gone")
    with pytest.raises(StreamClosedError, match=r"candle/0/1m.*gone"):
        feed.current()
    feed.take(candles((180, 1, 9)), snapshot=True)
    assert [c.start_ms for c in feed.closed()] == [0]
    assert feed.current().start_ms == 180


def test_candles_kept_are_bounded(told):
    feed = CandleFeed(0, "1m", told, kept=3)
    for start in range(10):
        feed.take(candles((start, 1, start)), snapshot=False)
    assert [c.start_ms for c in feed.closed()] == [6, 7, 8]


@given(
    st.lists(
        st.none()
        | st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=3)
    )
)
def test_candles_stay_in_order_whatever_comes(frames):
    told = Told()
    feed = CandleFeed(0, "1m", told)
    for frame in frames:
        if frame is None:
            feed.lost("gone")
            continue
        known = {c.start_ms: c for c in feed.closed()}
        feed.take(candles(*((t, i, i) for t, i in frame)), snapshot=False)
        starts = [c.start_ms for c in feed.closed()]
        assert starts == sorted(set(starts))
        assert all(c.closed for c in feed.closed())
        if feed.is_live:
            assert not feed.current().closed
            assert starts[-1:] < [feed.current().start_ms]
        for candle in told.values():
            now = known.get(candle.start_ms)
            assert now is None or (candle.closed and candle != now)


@needs_payloads
def test_recorded_frames_are_read(told):
    feed = TickerFeed(0, told)
    feed.take(sample("ws_ticker_subscribed"), snapshot=True)
    assert feed.current().ask.price > feed.current().bid.price
    feed.take(sample("ws_ticker_update"), snapshot=False)
    feed.take(sample("ws_ticker_subscribed_empty"), snapshot=True)
    assert (feed.current().bid, feed.current().ask) == (None, None)
    one = MarketStatsFeed(1, told)
    one.take(sample("ws_market_stats_subscribed_single"), snapshot=True)
    assert one.current().funding_rate < 0
    everything = AllMarketStatsFeed(told)
    everything.take(sample("ws_market_stats_update_all"), snapshot=True)
    assert everything.current()[0].daily_low > 0
    spot = MarketStatsFeed(2048, told, channel="spot_market_stats")
    spot.take(sample("ws_spot_market_stats_subscribed_single"), snapshot=True)
    spot.take(sample("ws_spot_market_stats_update_single"), snapshot=False)
    assert spot.current().mark_price is None
    spots = AllMarketStatsFeed(told, channel="spot_market_stats")
    spots.take(sample("ws_spot_market_stats_update_all"), snapshot=True)
    assert spots.current()[2048] == spot.current()
    minute = CandleFeed(0, "1m", told)
    minute.take(sample("ws_candle_subscribed"), snapshot=True)
    minute.take(sample("ws_candle_update"), snapshot=False)
    assert str(minute.current().base_volume) == "13.224299999999998"
