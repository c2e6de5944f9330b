"""From the exchange's objects to ours."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy._core.orders import OrderTable
from wrappy.errors import ProtocolError
from wrappy.lighter.asking.reading import (
    account_in,
    balance_in,
    decimal,
    fill_in,
    order_report,
    position_of,
    position_rows_in,
    positions_in,
    public_trade,
    report_order,
    rows_by_market,
    transaction_in,
    whole,
)
from wrappy.model import OrderStatus, Side

ORDER = {
    "client_order_index": 77,
    "order_index": 2**48 + 5,
    "market_index": 3,
    "status": "open",
    "is_ask": True,
    "initial_base_amount": "0.1000",
    "filled_base_amount": "0.0250",
    "base_price": 405_000,
    "nonce": 12,
}
TRADE = {
    "trade_id": 9,
    "market_id": 3,
    "price": "4050.10",
    "size": "0.1",
    "is_maker_ask": True,
    "timestamp": 1_800_000_000_000,
}
POSITION = {
    "market_id": 3,
    "symbol": "ETH",
    "sign": -1,
    "position": "0.5000",
    "avg_entry_price": "4000.00",
    "realized_pnl": "-1.5",
    "unrealized_pnl": "2.5",
}


def test_whole_numbers_only():
    assert whole({"n": 7}, "n") == 7
    for row in ({}, {"n": "7"}, {"n": 7.0}, {"n": True}, {"n": None}):
        with pytest.raises(ProtocolError, match=r"^n: .* is not a whole number"):
            whole(row, "n")


def test_finite_decimals_only_and_absent_ones_are_zero():
    assert decimal({"n": "1.50"}, "n") == Decimal("1.50")
    assert decimal({"n": 2}, "n") == 2
    for row in ({}, {"n": ""}, {"n": None}):
        assert decimal(row, "n") == 0
    for text, words in (("x", "not a number"), ("NaN", "finite"), ("inf", "finite")):
        with pytest.raises(ProtocolError, match=words):
            decimal({"n": text}, "n")


def test_rows_come_as_a_list_or_by_market():
    assert rows_by_market(None, "orders") == []
    assert rows_by_market([{"a": 1}], "orders") == [{"a": 1}]
    by_market = {"0": [{"a": 1}], "1": None, "2": [{"a": 2}, {"a": 3}]}
    assert rows_by_market(by_market, "orders") == [{"a": 1}, {"a": 2}, {"a": 3}]


@pytest.mark.parametrize(
    ("value", "words"), [("rows", "a str holds no rows"), ([1], "a row is no object")]
)
def test_what_holds_no_rows_is_named(value, words):
    with pytest.raises(ProtocolError, match=f"^orders: {words}"):
        rows_by_market(value, "orders")


def test_an_order_is_entered_in_lots_and_ticks():
    table = OrderTable()
    record = report_order(table, ORDER)
    assert record is table.get(77)
    assert record.status is OrderStatus.PARTIALLY_FILLED
    assert (record.base_amount, record.filled_base) == (1000, 250)
    assert (record.price_ticks, record.is_ask, record.market_index) == (
        405_000,
        True,
        3,
    )
    assert (record.order_index, record.version) == (2**48 + 5, 12)
    assert record.report == ORDER


def test_a_changed_bid_is_newer_although_its_number_fell():
    table = OrderTable()
    bid = {**ORDER, "is_ask": False, "nonce": 2**48 - 1, "transaction_time": 1}
    report_order(table, bid)
    filled = {**bid, "filled_base_amount": "0.0500", "transaction_time": 2}
    assert report_order(table, filled).report == filled
    changed = {**filled, "nonce": 2**48 - 2, "base_price": 9, "transaction_time": 3}
    record = report_order(table, changed)
    assert (record.report, record.price_ticks) == (changed, 9)
    assert report_order(table, filled).report == changed, "an older word"


def test_absent_amounts_are_zero():
    row = {**ORDER, "initial_base_amount": None, "filled_base_amount": ""}
    assert report_order(OrderTable(), row).filled_base == 0


def test_an_order_without_a_number_of_its_own_is_not_kept():
    table = OrderTable()
    assert report_order(table, {**ORDER, "client_order_index": 0}) is None
    assert len(table) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"status": "lost"},
        {"status": None},
        {"filled_base_amount": "x"},
        {"initial_base_amount": "0.1.0"},
        {"base_price": "405000"},
        {"nonce": None},
        {"client_order_index": None},
    ],
)
def test_an_unreadable_order_leaves_the_table_alone(change):
    table = OrderTable()
    with pytest.raises(ProtocolError):
        report_order(table, {**ORDER, **change})
    assert len(table) == 0


def test_the_takers_side_is_the_other_one_than_the_makers():
    trade = public_trade(TRADE)
    assert trade.side is Side.BUY
    assert (trade.trade_id, trade.market_id) == (9, 3)
    assert (trade.price, trade.size) == (Decimal("4050.10"), Decimal("0.1"))
    assert trade.timestamp_ms == 1_800_000_000_000
    assert public_trade({**TRADE, "is_maker_ask": False}).side is Side.SELL
    with pytest.raises(ProtocolError, match="trade_id"):
        public_trade({**TRADE, "trade_id": "9"})


def test_a_short_position_is_negative():
    position = position_of(POSITION)
    assert (position.size, position.symbol) == (Decimal("-0.5"), "ETH")
    assert position.average_entry_price == 4000
    assert (position.realized_pnl, position.unrealized_pnl) == (
        Decimal("-1.5"),
        Decimal("2.5"),
    )
    assert position_of({**POSITION, "sign": 1}).size == Decimal("0.5")
    assert position_of({"market_id": 3}).symbol == ""


def test_flat_positions_are_left_out():
    flat = {**POSITION, "position": "0.0000", "market_id": 4}
    assert [p.market_id for p in positions_in([POSITION, flat])] == [3]


def test_the_account_asked_for_is_found():
    answer = {"accounts": [7, {"index": 1}, {"index": 7, "collateral": "5"}]}
    assert account_in(answer, 7)["collateral"] == "5"
    for empty in ({}, {"accounts": None}, {"accounts": [{"index": 1}]}):
        with pytest.raises(ProtocolError, match="lacks account 7"):
            account_in(empty, 7)


def test_the_money_is_read_as_decimals():
    balance = balance_in({"collateral": "10.5", "available_balance": "8"})
    assert balance == {
        "collateral": Decimal("10.5"),
        "available_balance": 8,
        "total_asset_value": 0,
    }


@pytest.mark.parametrize("group", [5, {"0": {}}, "rows", True])
def test_a_market_whose_rows_are_no_list_cannot_be_read(group):
    with pytest.raises(ProtocolError, match="no list"):
        rows_by_market({"0": group}, "orders")


@pytest.mark.parametrize(
    ("answer", "fate", "reason"),
    [
        ({"status": 1}, "pending", ""),
        ({"status": 2, "event_info": '{"m":0}'}, "executed", ""),
        ({"status": 3, "event_info": ""}, "executed", ""),
        ({"status": 0, "message": "failed"}, "failed", "failed"),
        ({"status": 0, "event_info": '{"ae":"plain words"}'}, "failed", "plain words"),
        ({"status": 0, "event_info": '{"ae":{"message":"m"}}'}, "failed", "m"),
        (
            {
                "status": 0,
                "event_info": '{"ae":"{\\"code\\":1,\\"message\\":\\"m\\"}"}',
            },
            "failed",
            "m",
        ),
        ({"status": 0, "event_info": '{"ae":{"message":5}}'}, "failed", ""),
        ({"status": 0, "event_info": "[1]"}, "failed", ""),
    ],
)
def test_a_transactions_answer_is_read_with_its_objection(answer, fate, reason):
    told = transaction_in(answer)
    assert told.fate.value == fate
    assert told.reason == reason
    assert told.queued_at_ms is None


def test_a_transaction_tells_when_it_was_queued():
    assert transaction_in({"status": 2, "queued_at": 5}).queued_at_ms == 5


@pytest.mark.parametrize("status", [None, "2", True, 4, -1])
def test_a_transaction_without_a_status_is_not_read(status):
    with pytest.raises(ProtocolError, match="status"):
        transaction_in({"status": status})


def test_the_exchanges_word_on_an_order_is_read_whole():
    told = {
        **ORDER,
        "type": "stop-loss",
        "price": "4050.00",
        "filled_quote_amount": "101.250000",
        "trigger_price": "4060.00",
        "reduce_only": True,
        "parent_order_index": 9,
    }
    report = order_report(told)
    assert (report.client_order_index, report.market_index) == (77, 3)
    assert (report.side, report.status, report.is_live) == (Side.SELL, "open", True)
    assert (report.price, report.size, report.filled) == (
        Decimal("4050.00"),
        Decimal("0.1"),
        Decimal("0.025"),
    )
    assert (report.average_price, report.trigger_price) == (4050, 4060)
    assert (report.reduce_only, report.parent_order_index) == (True, 9)
    ended = order_report({**ORDER, "status": "canceled-oco", "parent_order_index": 0})
    assert (ended.is_live, ended.trigger_price, ended.parent_order_index) == (
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("account", "side", "is_maker", "coi", "fee"),
    [
        (5, Side.SELL, True, 11, "0.016200"),
        (6, Side.BUY, False, 12, "0.113400"),
    ],
)
def test_a_trade_is_read_from_the_accounts_own_side(account, side, is_maker, coi, fee):
    row = {
        **TRADE,
        "price": "4050.00",
        "ask_account_id": 5,
        "bid_account_id": 6,
        "ask_client_id": 11,
        "bid_client_id": 12,
        "ask_id": 2**48 + 1,
        "bid_id": 2**48 + 2,
        "maker_fee": 40,
        "taker_fee": 280,
    }
    fill = fill_in(row, account)
    assert (fill.side, fill.is_maker, fill.client_order_index) == (side, is_maker, coi)
    assert fill.fee == Decimal(fee)
    assert (fill.trade_id, fill.market_index) == (9, 3)
    with pytest.raises(ProtocolError, match="not this account's"):
        fill_in(row, 7)


def test_a_flat_position_is_a_plain_zero():
    assert str(position_of({**POSITION, "position": "0.0000"}).size) == "0"


@pytest.mark.parametrize("told", [None, [], {}])
def test_an_account_that_holds_nothing_may_say_so_in_each_of_these_ways(told):
    assert position_rows_in({"positions": told}) == []


def test_an_account_without_a_word_on_its_positions_is_not_flat():
    with pytest.raises(ProtocolError, match="positions: missing"):
        position_rows_in({"collateral": "1.0"})
