"""The feeds of trades: each is told once, in order, and memory is bounded."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ProtocolError
from wrappy.lighter.streaming.trade_feeds import (
    IDS_KEPT,
    ROWS_KEPT,
    OwnTradesFeed,
    PublicTradesFeed,
)


def trade(trade_id):
    return {
        "trade_id": trade_id,
        "market_id": 0,
        "price": str(4000 + trade_id),
        "size": "0.1",
        "is_maker_ask": True,
        "timestamp": 1_800_000_000_000 + trade_id,
    }


def frame(*numbers):
    return json.dumps({"trades": [trade(number) for number in numbers]}).encode()


def ids(rows):
    return [row["trade_id"] for row in rows]


class Told(list):
    """Numbers of the trades told, call by call."""

    def __call__(self, event, rows):
        self.append((event, ids(rows)))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def tape(told):
    return PublicTradesFeed(told)


@pytest.fixture
def own(told):
    return OwnTradesFeed(told)


def test_public_trades_are_told_once_oldest_first(tape, told):
    assert tape.last_traded_price is None
    assert tape.take(frame(3, 1, 3), snapshot=True)
    assert tape.take(frame(3, 4), snapshot=False)
    assert tape.take(frame(4), snapshot=False)
    assert told == [("on_public_trades", [1, 3]), ("on_public_trades", [4])]
    assert tape.last_traded_price == Decimal(4004)
    assert ids(tape.rows) == [1, 3, 4]


def test_late_trades_go_where_they_belong(tape):
    tape.take(frame(1, 5), snapshot=True)
    tape.take(frame(3), snapshot=False)
    assert tape.last_traded_price == Decimal(4005)
    tape.take(frame(2, 6), snapshot=False)
    assert ids(tape.rows) == [1, 2, 3, 5, 6]
    assert tape.last_traded_price == Decimal(4006)


def test_the_baseline_is_that_of_the_first_snapshot(tape):
    assert tape.baseline is None
    tape.take(frame(9), snapshot=False)
    assert tape.baseline is None
    tape.take(frame(4, 7, 2), snapshot=True)
    tape.lost("the line is cut")
    tape.take(frame(50), snapshot=True)
    assert tape.baseline == 7


def test_a_market_without_trades_has_a_baseline_too(tape, told):
    tape.take(frame(), snapshot=True)
    assert tape.baseline == 0
    assert tape.last_traded_price is None
    assert told == []


@pytest.mark.parametrize(
    "raw", [b"{", b'{"trades": 7}', b'{"trades": [{"trade_id": "x"}]}']
)
def test_a_frame_that_cannot_be_read_changes_nothing(tape, own, told, raw):
    for feed in (tape, own):
        feed.take(frame(1), snapshot=True)
        told.clear()
        with pytest.raises(ProtocolError):
            feed.take(raw, snapshot=False)
        assert ids(feed.rows) == [1]
        assert told == []


def test_own_trades_are_told_once_oldest_first(own, told):
    by_market = {"trades": {"0": [trade(2), trade(1)], "1": [trade(2)]}}
    assert own.newest is None
    assert own.take(json.dumps(by_market).encode(), snapshot=True)
    assert own.take(frame(2), snapshot=False)
    assert own.take(b'{"trades": null}', snapshot=False)
    assert told == [("on_trades", [1, 2])]
    assert ids(own.rows) == [1, 2]
    assert own.newest == 2
    assert own.knows(1)
    assert not own.knows(3)


def test_own_trades_that_were_missed_go_where_they_belong(own, told):
    own.take(frame(1, 7), snapshot=True)
    own.lost("the line is cut")
    own.enter([trade(3), trade(2), trade(7)])
    assert told[-1] == ("on_trades", [2, 3])
    assert ids(own.rows) == [1, 2, 3, 7]


def test_each_snapshot_of_own_trades_is_noted(own):
    seen = []
    own.take(frame(1), snapshot=True)
    own.on_snapshot = lambda: seen.append(own.newest)
    own.take(frame(2), snapshot=False)
    own.take(frame(3), snapshot=True)
    assert seen == [2]


def test_memory_of_own_trades_is_bounded(own, told):
    last = IDS_KEPT + ROWS_KEPT
    for start in range(0, last, ROWS_KEPT):
        own.take(frame(*range(start, start + ROWS_KEPT)), snapshot=False)
    told.clear()
    own.take(frame(0, last - 1), snapshot=False)
    assert told == []
    assert len(own.rows) == ROWS_KEPT
    assert own.rows[-1]["trade_id"] == last - 1


@given(st.lists(st.lists(st.integers(0, 40), max_size=8), max_size=12))
def test_however_they_come_each_trade_is_told_once_and_kept_in_order(batches):
    for feed in (PublicTradesFeed, OwnTradesFeed):
        told = Told()
        made = feed(told)
        for batch in batches:
            made.take(frame(*batch), snapshot=False)
        numbers = [number for _, batch in told for number in batch]
        everything = sorted({number for batch in batches for number in batch})
        assert sorted(numbers) == everything
        assert ids(made.rows) == everything
        assert all(batch == sorted(batch) for _, batch in told)
