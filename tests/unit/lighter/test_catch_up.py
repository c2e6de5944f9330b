"""Catching up: what ended or traded while nobody listened is asked for once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wrappy.errors import VenueUnavailableError
from wrappy.lighter.streaming import catch_up as catch_up_module
from wrappy.lighter.streaming.catch_up import CatchUp
from wrappy.lighter.streaming.overlay import OverlayState
from wrappy.protocol.markets import BUNDLED_MARKETS

LOG = logging.getLogger("wrappy.ws")


class Account:
    """Answers with pages of trades and with ended orders."""

    def __init__(self):
        self.pages = {}
        self.ended = {None: ([], None)}
        self.asked = []
        self.error = None

    async def own_trades(self, cursor=None):
        self.asked.append(cursor)
        if self.error is not None:
            raise self.error
        return self.pages[cursor]

    async def ended_orders(self, cursor=None):
        self.asked.append(("ended", cursor))
        return self.ended[cursor]


def trade(number, market_id=0):
    return {"trade_id": number, "market_id": market_id}


class Desk:
    def __init__(self):
        self.told = []
        self.state = OverlayState(
            BUNDLED_MARKETS[0], LOG, lambda _, rows: self.told.extend(rows)
        )
        self.account = Account()
        self.catch_up = CatchUp(self.state, self.account, LOG)

    def begin(self, *public):
        self.catch_up.on_snapshot("trade", {"trades": [trade(n) for n in public]})
        self.catch_up.on_snapshot("account_all_trades", {"trades": []})

    async def return_after_outage(self, eventually):
        self.catch_up.on_snapshot("trade", {"trades": [trade(10_000)]})
        self.catch_up.on_snapshot("account_all_trades", {"trades": []})
        await eventually(
            lambda: not [t for t in asyncio.all_tasks() if "missed" in t.get_name()]
        )

    @property
    def numbers(self):
        return [row["trade_id"] for row in self.told]


@pytest.fixture
async def desk():
    made = Desk()
    yield made
    await made.catch_up.aclose()


async def test_nothing_is_asked_for_at_the_start(desk):
    desk.begin(5, 6)
    assert desk.account.asked == []


async def test_missed_trades_are_told_once_in_order_and_page_by_page(desk, eventually):
    desk.begin(5, 6)
    live = {"trades": {"0": [trade(7)]}}
    desk.state.take("account_all_trades", live, snapshot=False)
    desk.account.pages = {
        None: ([trade(12), trade(11)], "second"),
        "second": ([trade(9), trade(7)], "third"),
        "third": ([trade(6), trade(3)], "fourth"),
    }
    await desk.return_after_outage(eventually)
    assert desk.account.asked == [None, "second", "third"]
    assert desk.numbers == [7, 9, 11, 12]


async def test_a_market_without_trades_at_the_start_counts_its_own_only(
    desk, eventually
):
    desk.begin()
    desk.account.pages = {None: ([trade(4), trade(3, market_id=1)], None)}
    await desk.return_after_outage(eventually)
    assert desk.numbers == [4]


async def test_more_trades_than_can_be_fetched_are_told_and_the_rest_is_logged(
    desk, eventually, monkeypatch, caplog
):
    monkeypatch.setattr(catch_up_module, "MOST_PAGES", 2)
    desk.begin(1)
    desk.account.pages = {None: ([trade(9)], "b"), "b": ([trade(8)], "c")}
    await desk.return_after_outage(eventually)
    assert desk.numbers == [8, 9]
    assert "more trades were missed than can be fetched" in caplog.text


async def test_a_failure_is_logged(desk, eventually, caplog):
    desk.begin(1)
    desk.account.error = VenueUnavailableError(503, "closed")
    await desk.return_after_outage(eventually)
    assert "missed trades could not be fetched: 503" in caplog.text


async def test_snapshots_that_cannot_be_read_are_left_to_the_state(desk):
    desk.catch_up.on_snapshot("account_all_orders", {"orders": 7})
    desk.catch_up.on_snapshot("trade", {"trades": [{"trade_id": "x"}]})
    desk.catch_up.on_snapshot("order_book", {})
    assert desk.account.asked == []


async def test_orders_that_are_live_and_listed_need_no_question(desk):
    desk.catch_up.on_snapshot("account_all_orders", {"orders": {}})
    assert desk.account.asked == []


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


async def test_orders_that_ended_long_ago_are_looked_for_page_by_page(desk, eventually):
    desk.state.enter_orders([order(1), order(2)])
    desk.account.ended = {
        None: ([order(coi, "canceled") for coi in (9, 2)], "older"),
        "older": ([order(1, "canceled")], "oldest"),
    }
    desk.catch_up.on_snapshot("account_all_orders", {"orders": {}})
    await eventually(lambda: not desk.state.orders.live())
    assert desk.account.asked == [("ended", None), ("ended", "older")]


async def test_orders_that_vanished_without_a_trace_are_told(desk, eventually, caplog):
    desk.state.enter_orders([order(1)])
    desk.account.ended = {None: ([], None)}
    desk.catch_up.on_snapshot("account_all_orders", {"orders": {}})
    await eventually(lambda: "without a trace: [1]" in caplog.text)


async def test_closing_stops_the_asking(desk):
    hang = asyncio.Event()

    async def own_trades(_=None):
        await hang.wait()

    desk.account.own_trades = own_trades
    desk.begin(1)
    desk.begin(1)
    await desk.catch_up.aclose()
    assert desk.told == []
