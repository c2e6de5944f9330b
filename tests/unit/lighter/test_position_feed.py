"""The feed of an account's positions."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from wrappy.errors import ProtocolError
from wrappy.lighter.streaming.position_feed import PositionFeed


def position(market_id, size, symbol, sign=1):
    return {"market_id": market_id, "position": size, "symbol": symbol, "sign": sign}


def frame(*rows, as_list=False):
    value = rows if as_list else {str(row.get("market_id")): row for row in rows}
    return json.dumps({"positions": value}).encode()


@pytest.fixture
def told():
    return []


@pytest.fixture
def feed(told):
    return PositionFeed(lambda event, value: told.append((event, value)))


def sizes(feed):
    return {symbol: found.size for symbol, found in feed.open().items()}


def test_positions_of_a_snapshot_replace_and_updates_add(feed):
    eth, btc = position(0, "1.5", "ETH"), position(1, "2", "BTC", sign=-1)
    assert feed.take(frame(eth, btc), snapshot=True)
    assert sizes(feed) == {"ETH": Decimal("1.5"), "BTC": -2}
    assert feed.take(frame(position(1, "3", "BTC")), snapshot=False)
    assert sizes(feed) == {"ETH": Decimal("1.5"), "BTC": 3}
    feed.lost("the line is cut")
    assert sizes(feed) == {"ETH": Decimal("1.5"), "BTC": 3}
    assert feed.take(frame(btc), snapshot=True)
    assert sizes(feed) == {"BTC": -2}


def test_a_position_that_was_closed_is_known_as_flat(feed, told):
    feed.take(frame(position(0, "1.5", "ETH"), as_list=True), snapshot=True)
    feed.take(frame(position(0, "0", "ETH"), as_list=True), snapshot=False)
    assert feed.open() == {}
    assert feed.positions[0].size == 0
    assert [name for name, _ in told] == ["on_positions"] * 2
    assert told[-1][1] == {}


@pytest.mark.parametrize(
    "raw",
    [b"{", b'{"positions": 7}', frame({"market_id": "x"}), b'{"positions": [7]}'],
)
def test_a_frame_that_cannot_be_read_changes_nothing(feed, told, raw):
    feed.take(frame(position(0, "1", "ETH")), snapshot=True)
    told.clear()
    with pytest.raises(ProtocolError):
        feed.take(raw, snapshot=True)
    assert sizes(feed) == {"ETH": 1}
    assert told == []
