"""Catching up: what ended or traded while nobody listened is told, and told once."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from wrappy.errors import ProtocolError, VenueUnavailableError
from wrappy.lighter.streaming import catch_up as catch_up_module
from wrappy.lighter.streaming.catch_up import CatchUp
from wrappy.lighter.streaming.order_feed import OrderFeed
from wrappy.lighter.streaming.taps import Taps
from wrappy.lighter.streaming.trade_feeds import OwnTradesFeed

LOG = logging.getLogger("wrappy.ws")
PAGE = 3


class Account:
    """Answers with pages, newest first, of what it has.

    Attributes:
        trades: numbers; market 0 unless a pair of number and market.
        ended: orders that have ended, oldest first.
        asked: name and cursor of each question.
        failures: how many questions fail from here on.
        door: closed while answers are held back.
    """

    account_index = 7

    def __init__(self):
        self.trades = []
        self.ended = []
        self.asked = []
        self.failures = 0
        self.door = asyncio.Event()
        self.door.set()

    async def own_trades(self, cursor=None):
        return await self._page("trades", list(map(trade, self.trades)), cursor)

    async def ended_orders(self, cursor=None):
        rows = [order(coi, "canceled") for coi in self.ended]
        return await self._page("ended", rows, cursor)

    async def _page(self, name, rows, cursor):
        self.asked.append((name, cursor))
        newest_first = rows[::-1]
        await self.door.wait()
        if self.failures:
            self.failures -= 1
            raise VenueUnavailableError(503, "closed")
        start = int(cursor or 0)
        end = start + PAGE
        following = str(end) if end < len(newest_first) else None
        return newest_first[start:end], following


def trade(number, market_id=0):
    if isinstance(number, tuple):
        number, market_id = number
    return {"trade_id": number, "market_id": market_id}


def order(coi, status="open"):
    return {
        "client_order_index": coi,
        "order_index": (1 << 50) + coi,
        "market_index": 0,
        "is_ask": False,
        "status": status,
        "base_price": 100_000,
        "initial_base_amount": "0.0500",
        "filled_base_amount": "0.0000",
        "nonce": 5 if status == "open" else 6,
    }


class Desk:
    """Feeds, what they told, and what the markets began with."""

    def __init__(self):
        self.told = []
        self.orders = OrderFeed(lambda *_: None, LOG)
        self.trades = self.new_trades()
        self.baselines = {}
        self.account = Account()
        self.tapped = []
        taps = Taps(LOG)
        taps.add(lambda _, message: self.tapped.append(message))
        self.catch_up = CatchUp(self.account, LOG, lambda: self.baselines, taps)
        self.catch_up.watch(self.orders, self.trades)

    def new_trades(self):
        return OwnTradesFeed(lambda _, rows: self.told.extend(rows))

    def joined(self):
        """The stream of own trades begins, for the first time or again."""
        self.trades.take(b'{"trades": {}}', snapshot=True)

    def live(self, *numbers):
        """The account trades, and the stream tells."""
        self.account.trades += numbers
        rows = {"trades": list(map(trade, numbers))}
        self.trades.take(json.dumps(rows).encode(), snapshot=False)

    def unheard(self, *numbers):
        """The account trades while nobody listens."""
        self.account.trades += numbers

    def listed(self, *cois):
        """A snapshot lists live orders."""
        rows = {"orders": {"0": [order(coi) for coi in cois]}}
        self.orders.take(json.dumps(rows).encode(), snapshot=True)

    @property
    def numbers(self):
        return [row["trade_id"] for row in self.told]


@pytest.fixture
async def desk():
    made = Desk()
    yield made
    await made.catch_up.aclose()


# ------------------------------------------------------------------------- trades


async def test_nothing_is_asked_for_at_the_start(desk):
    desk.baselines = {0: 6}
    desk.unheard(1, 5, 6)
    desk.joined()
    assert not desk.catch_up.is_asking
    assert desk.account.asked == []


async def test_missed_trades_are_told_once_in_order_and_page_by_page(desk):
    desk.baselines = {0: 6}
    desk.unheard(1, 2, 3, 5, 6)
    desk.joined()
    desk.live(7)
    desk.unheard(9, 11, 12)
    desk.joined()
    await desk.catch_up.settled()
    assert desk.account.asked == [("trades", None), ("trades", "3")]
    assert desk.numbers == [7, 9, 11, 12]
    (message,) = desk.tapped
    assert message["channel"] == "account_all_trades:7"
    assert [row["trade_id"] for row in message["trades"]["0"]] == [12, 11, 9]


async def test_trades_told_since_the_reconnect_do_not_hide_what_was_missed(desk):
    """A page full of what the stream has told already is not the last one."""
    desk.baselines = {0: 1}
    desk.joined()
    desk.live(2)
    desk.unheard(3, 4)
    desk.account.failures = 1
    desk.joined()
    desk.live(*range(5, 5 + 3 * PAGE))
    await desk.catch_up.settled()
    assert sorted(desk.numbers) == list(range(2, 5 + 3 * PAGE))


async def test_what_one_outage_hid_is_found_though_the_next_came_first(desk):
    desk.baselines = {0: 1}
    desk.joined()
    desk.live(2)
    desk.unheard(3)
    desk.account.failures = 2
    desk.joined()
    desk.live(*range(4, 4 + 2 * PAGE))
    desk.joined()
    await desk.catch_up.settled()
    assert sorted(desk.numbers) == list(range(2, 4 + 2 * PAGE))
    assert len(desk.numbers) == len(set(desk.numbers))


async def test_a_market_streamed_later_does_not_move_the_start(desk):
    """It may begin with a trade that is newer than what an outage hid."""
    desk.baselines = {0: 5}
    desk.joined()
    desk.unheard(7, 8)
    desk.baselines = {0: 5, 1: 9}
    desk.joined()
    await desk.catch_up.settled()
    assert desk.numbers == [7, 8]


async def test_markets_that_began_after_the_account_are_counted_at_the_next_outage(
    desk,
):
    desk.unheard(1, 2)
    desk.joined()
    desk.baselines = {0: 2, 1: 4}
    desk.unheard(5)
    desk.joined()
    await desk.catch_up.settled()
    assert desk.numbers == [5]


async def test_a_market_without_trades_at_the_start_counts_its_own_only(desk):
    desk.baselines = {0: 0}
    desk.joined()
    desk.unheard((3, 1), (4, 0))
    desk.joined()
    await desk.catch_up.settled()
    assert desk.numbers == [4]


async def test_more_trades_than_can_be_fetched_are_told_and_the_rest_is_logged(
    desk, monkeypatch, caplog
):
    monkeypatch.setattr(catch_up_module, "MOST_PAGES", 2)
    desk.baselines = {0: 1}
    desk.joined()
    desk.unheard(*range(2, 2 + 3 * PAGE))
    desk.joined()
    await desk.catch_up.settled()
    assert desk.numbers == list(range(2 + PAGE, 2 + 3 * PAGE))
    assert "more trades were missed than can be fetched" in caplog.text


async def test_the_account_without_any_trades_is_asked_once(desk):
    desk.baselines = {0: 5}
    desk.joined()
    desk.joined()
    await desk.catch_up.settled()
    assert desk.account.asked == [("trades", None)]
    assert (desk.told, desk.tapped) == ([], [])


async def test_feeds_made_anew_start_anew(desk):
    desk.baselines = {0: 1}
    desk.joined()
    desk.live(2, 3)
    desk.catch_up.watch(desk.orders, desk.trades)
    desk.joined()
    await desk.catch_up.settled()
    desk.told.clear()

    desk.trades = desk.new_trades()
    desk.catch_up.watch(desk.orders, desk.trades)
    desk.baselines = {0: 3}
    desk.joined()
    desk.unheard(4)
    desk.joined()
    await desk.catch_up.settled()
    assert desk.numbers == [4]


async def test_a_trade_without_a_number_is_asked_for_again(desk, eventually, caplog):
    desk.baselines = {0: 1}
    desk.joined()
    desk.unheard("x")
    desk.joined()
    await eventually(lambda: "missed trades could not be fetched yet" in caplog.text)
    assert desk.catch_up.is_asking


# ------------------------------------------------------------------------- orders


async def test_orders_that_are_live_and_listed_need_no_question(desk):
    desk.listed(1, 2)
    desk.listed(1, 2)
    assert desk.account.asked == []


async def test_orders_that_ended_long_ago_are_looked_for_page_by_page(desk):
    desk.listed(1, 2, 3)
    desk.account.ended = [50, 1, 40, 41, 42, 2]
    desk.listed(3)
    await desk.catch_up.settled()
    assert [row["client_order_index"] for row in desk.orders.live()] == [3]
    assert desk.account.asked == [("ended", None), ("ended", "3")]
    assert {message["channel"] for message in desk.tapped} == {"account_all_orders:7"}


async def test_orders_that_vanished_without_a_trace_are_told(desk, caplog):
    desk.listed(1)
    desk.listed()
    await desk.catch_up.settled()
    assert "without a trace: [1]" in caplog.text


async def test_orders_that_ended_too_long_ago_are_told(desk, monkeypatch, caplog):
    monkeypatch.setattr(catch_up_module, "MOST_ORDER_PAGES", 1)
    desk.listed(1, 2)
    desk.account.ended = [1, 40, 41, 2]
    desk.listed()
    await desk.catch_up.settled()
    assert desk.account.asked == [("ended", None)]
    assert "without a trace: [1]" in caplog.text


async def test_orders_that_open_while_asking_have_not_vanished(
    desk, eventually, caplog
):
    desk.listed(1)
    desk.account.ended = [1]
    desk.account.door.clear()
    desk.listed()
    await eventually(lambda: desk.account.asked)
    desk.orders.enter([order(2)])
    desk.account.door.set()
    await desk.catch_up.settled()
    assert "without a trace" not in caplog.text
    assert [row["client_order_index"] for row in desk.orders.live()] == [2]


async def test_an_order_somebody_waits_for_is_looked_for(desk):
    waiter = asyncio.get_running_loop().create_future()
    desk.orders.wait_for(4, waiter)
    desk.account.ended = [4]
    desk.listed()
    await desk.catch_up.settled()
    assert waiter.result()["status"] == "canceled"


async def test_a_later_list_replaces_the_question_about_an_earlier_one(
    desk, eventually
):
    desk.listed(1, 2)
    desk.account.failures = 1
    desk.listed(1)
    await eventually(lambda: not desk.account.failures)
    desk.account.ended = [1, 2]
    desk.listed()
    await desk.catch_up.settled()
    assert desk.orders.live() == []
    assert desk.account.asked == [("ended", None)] * 2


async def test_a_snapshot_that_cannot_be_read_asks_for_nothing(desk):
    with pytest.raises(ProtocolError):
        desk.orders.take(b'{"orders": 7}', snapshot=True)
    assert desk.account.asked == []


async def test_closing_stops_the_asking(desk, eventually):
    desk.account.door.clear()
    desk.listed(1)
    desk.listed()
    desk.joined()
    desk.joined()
    await eventually(lambda: len(desk.account.asked) == 2)
    assert desk.catch_up.is_asking
    await desk.catch_up.aclose()
    assert not desk.catch_up.is_asking
    assert desk.told == []
