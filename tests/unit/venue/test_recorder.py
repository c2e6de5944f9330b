"""From frames to lines: continuity is checked, and what was lost is said."""

from __future__ import annotations

import json

import pytest

from wrappy.errors import ProtocolError
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.recorder import PONG, Recorder
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedEnd,
    RecordedGap,
    RecordedTrade,
)

ETH = find_market(BUNDLED_MARKETS, symbol="ETH")
BTC = find_market(BUNDLED_MARKETS, symbol="BTC")


def frame(kind, channel, **body):
    return json.dumps({"type": kind, "channel": channel, **body}).encode()


def book(kind, nonce, begin=0, *, bids=(), asks=(), market=0):
    change = {
        "nonce": nonce,
        "begin_nonce": begin,
        "bids": [{"price": p, "size": s} for p, s in bids],
        "asks": None if asks is None else [{"price": p, "size": s} for p, s in asks],
    }
    return frame(f"{kind}/order_book", f"order_book:{market}", order_book=change)


def trades(*rows, forced=None, kind="update"):
    def row(trade_id, maker_sold):
        told = {"trade_id": trade_id, "price": "100.1", "size": "2"}
        return told | {"is_maker_ask": maker_sold, "type": "trade"}

    told = {"trades": [row(*one) for one in rows]}
    told["liquidation_trades"] = forced and [row(*one) for one in forced]
    return frame(f"{kind}/trade", "trade:0", **told)


@pytest.fixture
def recorder():
    return Recorder((ETH, BTC))


def test_it_asks_for_books_and_trades_of_every_market(recorder):
    wishes = [json.loads(text) for text in recorder.opening()]
    assert {wish["type"] for wish in wishes} == {"subscribe"}
    assert [wish["channel"] for wish in wishes] == [
        "order_book/0",
        "trade/0",
        "order_book/1",
        "trade/1",
    ]


def test_a_book_and_the_changes_that_follow_it_are_written(recorder):
    heard = recorder.hear(book("subscribed", 5, bids=[("99", "1")], asks=None), 1)
    assert heard.rows == (RecordedBook(1, 0, 5, [("99", "1")], []),)
    heard = recorder.hear(book("update", 8, 5, asks=[("101", "2")]), 2)
    assert heard.rows == (RecordedDelta(2, 0, 5, 8, [], [("101", "2")]),)
    assert not heard.say
    assert not recorder.complete()
    recorder.hear(book("subscribed", 5, market=1), 3)
    assert recorder.complete()
    assert (recorder.changes, recorder.gaps) == (3, 0)


def test_a_change_before_the_book_is_passed_over(recorder):
    assert recorder.hear(book("update", 8, 5), 1).rows == ()


@pytest.mark.parametrize("begin", [4, 6, 8, None])
def test_a_change_that_does_not_follow_is_a_gap_and_the_book_is_asked_for(
    recorder, begin
):
    recorder.hear(book("subscribed", 5), 1)
    heard = recorder.hear(book("update", 9, begin), 2)
    assert heard.rows == (RecordedGap(2, 0, f"change of {begin} after 5"),)
    said = [json.loads(text) for text in heard.say]
    assert [one["type"] for one in said] == ["unsubscribe", "subscribe"]
    assert {one["channel"] for one in said} == {"order_book/0"}
    assert recorder.hear(book("update", 10, 9), 3).rows == ()
    (again,) = recorder.hear(book("subscribed", 12), 4).rows
    assert again.after_gap
    (later,) = recorder.hear(book("subscribed", 13), 5).rows
    assert not later.after_gap
    assert recorder.gaps == 1


def test_a_lost_connection_is_a_gap_in_every_known_market(recorder):
    recorder.hear(book("subscribed", 5), 1)
    assert recorder.lost(2, "reset") == (RecordedGap(2, 0, "reset"),)
    assert recorder.lost(3, "reset") == ()
    recorder.hear(book("subscribed", 5, market=1), 4)
    assert recorder.lost(5, "again") == (RecordedGap(5, 1, "again"),)


def test_trades_come_in_their_order_and_once(recorder):
    heard = recorder.hear(trades((8, True), (7, False), forced=[(9, False)]), 1)
    assert heard.rows == (
        RecordedTrade(1, 0, 7, "100.1", "2", True),
        RecordedTrade(1, 0, 8, "100.1", "2", False),
        RecordedTrade(1, 0, 9, "100.1", "2", True),
    )
    assert recorder.hear(trades((9, True), (10, True)), 2).rows == (
        RecordedTrade(2, 0, 10, "100.1", "2", False),
    )
    assert recorder.trades == 4


def test_trades_that_were_before_the_recording_are_left_out(recorder):
    assert recorder.hear(trades((8, True), kind="subscribed"), 1).rows == ()


def test_a_ping_is_answered_and_other_frames_are_passed_over(recorder):
    assert recorder.hear(b'{"type":"ping"}', 1).say == (PONG,)
    for other in (
        frame("connected", None),
        frame("update/height", "height", height=1),
        frame("update/order_book", "order_book:9"),
        frame("unsubscribed", "order_book:0"),
        frame("subscribed/order_book", "garbage", error=None),
    ):
        assert recorder.hear(other, 1) == ((), ())


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"no json", "no JSON object"),
        (b'{"error":{"code":30005,"message":"Invalid Channel"}}', "Invalid Channel"),
        (frame("subscribed/order_book", "order_book:0"), "order_book frame"),
        (frame("update/trade", "trade:0", trades=[{}]), "trade frame"),
    ],
)
def test_what_the_protocol_does_not_say_is_refused(recorder, raw, words):
    with pytest.raises(ProtocolError, match=words):
        recorder.hear(raw, 1)


def test_the_last_line_says_that_nothing_is_missing(recorder):
    assert recorder.end(7) == (RecordedEnd(7),)
