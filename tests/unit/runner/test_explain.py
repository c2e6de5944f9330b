"""An order's life, told from rows and reports."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from pathlib import Path

import pytest

from wrappy._core.receipts import TransactionFate, TransactionReport
from wrappy.lighter.asking.ending import reason_in
from wrappy.lighter.environment import NATIVE
from wrappy.lighter.persistence.journal import JournalEntry, SendStage
from wrappy.lighter.persistence.journal_reading import KeptJournal
from wrappy.lighter.results import Fill
from wrappy.model import Side
from wrappy.protocol.markets import BUNDLED_MARKETS
from wrappy.runner.explain import asking, tell
from wrappy.runner.explain.asking import explain
from wrappy.runner.explain.intents import wanted
from wrappy.runner.explain.life import touching
from wrappy.runner.reconcile import reconciling
from wrappy.runner.reconcile.reconciling import look

ETH = BUNDLED_MARKETS[0]
ORDER = {
    "client_order_index": 7,
    "base_amount": 500,
    "price": 300_000,
    "is_ask": True,
    "order_type": 0,
    "time_in_force": 2,
}
LISTED = {
    "client_order_index": 7,
    "order_index": 281474976710656,
    "market_index": 0,
    "is_ask": True,
    "type": "limit",
    "price": "3000.00",
    "initial_base_amount": "0.0500",
    "filled_base_amount": "0.0000",
    "filled_quote_amount": "0",
    "created_at": 1_700_000_000,
    "status": "open",
}


def row(tx_type=14, wish=None, **changes):
    return JournalEntry(
        **{
            "nonce": 3,
            "tx_type": tx_type,
            "tx_hash": "ab" * 32,
            "tx_info": "{}",
            "expired_at_ms": 0,
            "market_index": 0,
            "client_order_index": 7,
            "group_indices": (),
            "batch": 1,
            "stage": SendStage.EXECUTED,
            "written_ms": 1_700_000_000_500,
            "intent": json.dumps(ORDER if wish is None else wish),
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("tx_type", "intent", "words"),
    [
        (14, ORDER, "create: sell 0.0500 ETH at 3000.00 (limit, post-only)"),
        (
            14,
            {**ORDER, "order_type": 2, "trigger_price": 290_000, "reduce_only": True},
            "(stop-loss, post-only, trigger 2900.00, reduce-only)",
        ),
        (14, {**ORDER, "order_type": 99}, "(number 99, post-only)"),
        (15, {"index": 7}, "cancel"),
        (16, {"time_in_force": 0}, "cancel all orders"),
        (16, {"time_in_force": 1}, "dead man's switch set"),
        (16, {"time_in_force": 2}, "dead man's switch withdrawn"),
        (17, ORDER, "modify: 0.0500 ETH in all at 3000.00"),
        (17, {"index": 7}, "modify: ? in all at ?"),
        (28, {"orders": [ORDER, {}]}, "create in a group of 2: sell 0.0500 ETH"),
        (28, {"orders": [{}]}, "create in a group of 1"),
        (28, {"grouping_type": 1}, "create in a group of 0"),
        (20, {}, "transaction of type 20"),
    ],
)
def test_what_was_wanted_is_told_in_words(tx_type, intent, words):
    assert words in wanted(row(tx_type, intent), 7, ETH)


def test_without_the_market_ticks_and_lots_stay_what_they_are():
    assert wanted(row(), 7, None).startswith("create: sell 500 lots at 300000 ticks")


@pytest.mark.parametrize("intent", ["no json", "[1]"])
def test_an_intent_that_cannot_be_read_is_no_reason_to_stop(intent):
    unreadable = dataclasses.replace(row(), intent=intent)
    assert wanted(unreadable, 7, ETH).startswith("create: buy ? at ?")


def test_cancels_of_everything_count_from_the_creation_on():
    cancel_all = {"client_order_index": None, "intent": '{"time_in_force":0}'}
    rows = [
        row(16, written_ms=1, **cancel_all),
        row(written_ms=2),
        row(16, written_ms=3, **cancel_all),
        row(16, written_ms=4, market_index=5, **cancel_all),
        row(15, written_ms=5, client_order_index=8),
    ]
    found = touching([KeptJournal(4, Path("journal"), tuple(rows))], 7)
    assert [entry.written_ms for _, entry in found] == [2, 3]
    assert touching([KeptJournal(4, Path("journal"), ())], 7) == []


def told(rows=(), **changes):
    known = {"market": ETH, "order": None, "fills": [], "reports": {}}
    return tell(7, [(4, entry) for entry in rows], **{**known, **changes})


def test_an_order_that_nobody_lists_is_what_the_journal_says():
    life = told([row(stage=SendStage.REFUSED)])
    assert "refused it, or it never left" in life.state
    assert "no journal here created it" in told([row(15)]).state


def test_a_live_order_is_told_as_it_stands():
    life = told([row()], order=LISTED, market=None)
    assert life.state == "sell 0.0500 at 3000.00: open, filled 0.0000"
    assert (life.symbol, [e.source for e in life.events]) == (
        "",
        ["exchange", "journal"],
    )
    assert life.events[0].at == "2023-11-14 22:13:20.000"


def test_a_fill_is_told_with_price_role_and_fee():
    fill = Fill(
        trade_id=9,
        market_index=0,
        client_order_index=7,
        order_index=1,
        side=Side.SELL,
        price=Decimal("3000.00"),
        size=Decimal("0.0500"),
        is_maker=False,
        fee=Decimal("0.04200"),
        timestamp_ms=1_700_000_001_000,
    )
    order = {
        **LISTED,
        "status": "filled",
        "filled_base_amount": "0.0500",
        "filled_quote_amount": "150.000000",
        "updated_at": 1_700_000_001,
    }
    life = told([row()], order=order, fills=[fill])
    assert life.state.endswith("filled 0.0500 at 3000 on average, fees 0.042 USDC")
    words = [event.words for event in life.events]
    assert "sold 0.0500 at 3000.00 as taker, fee 0.042 USDC, trade 9" in words
    assert words[-1] == "filled"


def test_a_refusal_of_the_exchange_is_told_in_its_words():
    report = TransactionReport(TransactionFate.FAILED, "invalid price", None)
    life = told([row(stage=SendStage.SIGNED)], reports={"ab" * 32: report})
    assert life.events[1].words == "transaction 3 failed: invalid price"
    assert "its answer is not on disk yet" in life.events[0].words


def test_a_cancel_of_everything_after_the_end_is_left_out():
    late = row(16, client_order_index=None, written_ms=1_700_000_009_000)
    order = {
        **LISTED,
        "status": "canceled-self-trade",
        "transaction_time": 1_700_000_002_000_000,
    }
    life = told([row(), late], order=order)
    assert [e.source for e in life.events] == ["exchange", "journal", "exchange"]
    assert life.events[-1].words == (
        "canceled-self-trade: it met an order of the same owner"
    )
    assert life.events[-1].at_ms == 1_700_000_002_000


def test_a_status_that_nobody_knows_is_told_as_it_is():
    assert "no word known here" in reason_in({"status": "vanished"})
    assert reason_in({"status": "canceled-by-magic"}) == "by magic"


class Pages:
    """An account whose lists have two pages."""

    account_index = 1

    def __init__(self, *, orders=(), trades=()):
        self.account = self
        self._orders = [*orders, []]
        self._trades = [*trades, []]
        self.environment = NATIVE

    async def journals(self):
        return [KeptJournal(4, Path("journal"), (row(),))]

    async def markets(self):
        return (ETH,)

    async def transaction(self, _):
        return None

    def writers(self):
        return {}

    async def open_orders(self, _):
        return []

    async def ended_orders(self, cursor=None):
        return self._page(self._orders, cursor)

    async def own_trades(self, cursor=None, **_):
        return self._page(self._trades, cursor)

    def _page(self, pages, cursor):
        number = int(cursor or 0)
        return pages[number], str(number + 1) if number + 2 < len(pages) else None


TRADE = {
    "trade_id": 9,
    "market_id": 0,
    "price": "3000.00",
    "size": "0.0500",
    "ask_account_id": 1,
    "ask_client_id": 7,
    "ask_id": 5,
    "bid_account_id": 2,
    "is_maker_ask": True,
    "timestamp": 1_700_000_001_000,
}


async def test_what_stands_on_a_later_page_is_found():
    filled = {**LISTED, "status": "filled", "filled_base_amount": "0.0500"}
    other = {**LISTED, "client_order_index": 8}
    orders = [[other], [filled]]
    trades = [[{**TRADE, "ask_client_id": 8}], [TRADE]]
    life = await explain(Pages(orders=orders, trades=trades), 7)
    assert life.state.startswith("sell 0.0500 at 3000.00: filled")
    assert [e.source for e in life.events].count("trade") == 1
    assert (await look(Pages(orders=orders))).drifts[0].words == "filled"


async def test_what_stands_on_no_page_is_not_found():
    life = await explain(Pages(orders=[[], []], trades=[[], []]), 7)
    assert "lists it nowhere" in life.state
    (drift,) = (await look(Pages(orders=[[], []]))).drifts
    assert drift.words == "the exchange lists it nowhere"
    assert await explain(Pages(), 99) is None


async def test_lists_are_read_to_a_bound(monkeypatch):
    for module in (asking, reconciling):
        monkeypatch.setattr(module, "MOST_PAGES", 1)
    endless = Pages(orders=[[], [], []], trades=[[], [], []])
    assert "lists it nowhere" in (await explain(endless, 7)).state
    assert len((await look(endless)).drifts) == 1
