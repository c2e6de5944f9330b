"""Feeds of money, transactions and notifications."""

from __future__ import annotations

import json
import pathlib
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ProtocolError, StreamClosedError
from wrappy.lighter.streaming.account_feeds import (
    AssetsFeed,
    NotificationFeed,
    TransactionFeed,
    UserStatsFeed,
)

PAYLOADS = pathlib.Path(__file__).resolve().parents[3] / "../shared/payloads"
SAMPLES = PAYLOADS / "nautilus_test_data"
PENDING, EXECUTED, PROVEN = 1, 2, 3

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


def assets(**balances):
    rows = {
        str(index): {
            "symbol": symbol,
            "asset_id": index,
            "balance": balance,
            "locked_balance": "0",
        }
        for index, (symbol, balance) in enumerate(balances.items())
    }
    return json.dumps({"assets": rows}).encode()


def renamed(asset_id, symbol):
    row = {"symbol": symbol, "asset_id": asset_id, "balance": "1", "locked_balance": 0}
    return json.dumps({"assets": {"x": row}}).encode()


def user_stats(collateral):
    figures = {"portfolio_value": "1", "available_balance": "1"}
    return json.dumps({"stats": {"collateral": collateral, **figures}}).encode()


def transactions(*rows):
    told = [{"hash": name, "status": status} for name, status in rows]
    return json.dumps({"txs": told}).encode()


def notifications(*names, ack=False):
    told = [{"id": name, "kind": "liquidation", "ack": ack} for name in names]
    return json.dumps({"notifs": told}).encode()


def test_a_snapshot_replaces_the_assets_and_an_update_changes_what_it_names(told):
    feed = AssetsFeed(7, told)
    assert feed.take(assets(USDC="10", ETH="1"), snapshot=True)
    assert feed.take(assets(USDC="10"), snapshot=False)
    assert feed.take(assets(USDC="12"), snapshot=False)
    assert feed.current()["USDC"].balance == 12
    assert feed.current()["ETH"].balance == 1
    feed.take(assets(USDC="12"), snapshot=True)
    assert list(feed.current()) == ["USDC"]
    assert [event for event, _ in told] == ["on_assets"] * 3
    assert [sorted(value) for value in told.values()] == [
        ["ETH", "USDC"],
        ["ETH", "USDC"],
        ["USDC"],
    ]


def test_an_asset_with_a_new_name_leaves_no_double(told):
    feed = AssetsFeed(7, told)
    feed.take(renamed(5, "OLD"), snapshot=True)
    feed.take(renamed(5, "NEW"), snapshot=False)
    assert list(feed.current()) == ["NEW"]


def test_assets_are_not_readable_without_a_snapshot(told):
    feed = AssetsFeed(7, told)
    assert not feed.take(assets(USDC="1"), snapshot=False)
    feed.take(assets(USDC="1"), snapshot=True)
    feed.lost("the connection closed")
    assert not feed.take(assets(USDC="2"), snapshot=False)
    with pytest.raises(StreamClosedError, match=r"account_all_assets/7.*closed"):
        feed.current()
    feed.take(assets(), snapshot=True)
    assert feed.current() == {}
    assert feed.is_live


def test_user_stats_are_told_when_a_figure_changes(told):
    feed = UserStatsFeed(7, told)
    for collateral in ("1", "1", "2"):
        assert feed.take(user_stats(collateral), snapshot=False)
    assert [value.collateral for value in told.values()] == [Decimal(1), Decimal(2)]
    feed.lost("gone")
    with pytest.raises(StreamClosedError, match=r"user_stats/7.*gone"):
        feed.current()


def test_an_unreadable_frame_leaves_no_money_readable(told):
    for feed, good in (
        (AssetsFeed(7, told), assets(USDC="1")),
        (UserStatsFeed(7, told), user_stats("1")),
    ):
        feed.take(good, snapshot=True)
        with pytest.raises(ProtocolError):
            feed.take(b'{"assets":1,"stats":1}', snapshot=False)
        with pytest.raises(StreamClosedError, match="could not be read"):
            feed.current()


def test_a_transaction_is_told_once_and_once_more_when_it_is_decided(told):
    feed = TransactionFeed(told)
    assert not feed.is_live
    feed.take(transactions(("a", PENDING), ("b", EXECUTED)), snapshot=True)
    feed.take(transactions(("a", PENDING), ("b", EXECUTED)), snapshot=False)
    feed.take(transactions(("a", EXECUTED), ("b", PENDING)), snapshot=False)
    feed.take(transactions(("a", PROVEN), ("c", EXECUTED)), snapshot=False)
    assert [event for event, _ in told] == ["on_transactions"] * 3
    seen = [[(tx.tx_hash, tx.status) for tx in value] for value in told.values()]
    assert seen == [
        [("a", PENDING), ("b", EXECUTED)],
        [("a", EXECUTED)],
        [("c", EXECUTED)],
    ]
    assert feed.get("a").status == PROVEN
    assert feed.get("b").status == EXECUTED
    assert feed.get("x") is None


def test_facts_survive_an_interruption_and_bad_frames(told):
    for feed, good, name in (
        (TransactionFeed(told), transactions(("a", EXECUTED)), "a"),
        (NotificationFeed(told), notifications("a"), "a"),
    ):
        feed.take(good, snapshot=True)
        assert feed.is_live
        feed.lost("gone")
        assert not feed.is_live
        with pytest.raises(ProtocolError):
            feed.take(b'{"txs":1,"notifs":1}', snapshot=False)
        assert len(feed.recent()) == 1
        told.clear()
        feed.take(good, snapshot=True)
        assert feed.is_live
        assert feed.get(name) is not None
        assert not told


def test_facts_are_bounded_and_the_oldest_make_room(told):
    feed = TransactionFeed(told, kept=3)
    for number in range(10):
        feed.take(transactions((str(number), EXECUTED)), snapshot=False)
    assert [tx.tx_hash for tx in feed.recent()] == ["7", "8", "9"]
    notices = NotificationFeed(told, kept=2)
    notices.take(notifications("a", "b", "c"), snapshot=True)
    assert [row.notification_id for row in notices.recent()] == ["b", "c"]


def test_a_notification_is_told_once_and_its_acknowledgement_is_no_news(told):
    feed = NotificationFeed(told)
    feed.take(notifications("a", "a"), snapshot=True)
    feed.take(notifications("a", ack=True), snapshot=False)
    feed.take(notifications(), snapshot=False)
    assert [event for event, _ in told] == ["on_notifications"]
    (told_rows,) = told.values()
    assert [row.notification_id for row in told_rows] == ["a"]
    assert feed.get("a").acked


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abc"), st.sampled_from([0, 1, 2, 3])),
            max_size=4,
        )
    )
)
def test_a_decided_transaction_is_told_decided_exactly_once(frames):
    told = Told()
    feed = TransactionFeed(told)
    decided = set()
    for frame in frames:
        feed.take(transactions(*frame), snapshot=False)
        decided |= {name for name, status in frame if status != PENDING}
    rows = [tx for value in told.values() for tx in value]
    final = Counter(tx.tx_hash for tx in rows if tx.is_final)
    assert final == Counter(decided)
    assert max(Counter(tx.tx_hash for tx in rows).values(), default=0) <= 2
    assert {tx.tx_hash for tx in feed.recent() if tx.is_final} == decided


@needs_payloads
def test_recorded_frames_are_read(told):
    money = AssetsFeed(1234, told)
    for name in ("ws_account_all_assets_update", "ws_account_all_assets_with_position"):
        money.take(sample(name), snapshot=True)
    assert money.current()["USDC"].margin_balance == Decimal("39.995369556")
    figures = UserStatsFeed(1234, told)
    figures.take(sample("ws_user_stats_update"), snapshot=True)
    figures.take(sample("ws_user_stats_with_position"), snapshot=True)
    assert figures.current().cross.leverage == Decimal("0.41")
