"""Public trades: each once, newest price, bounded memory."""

from __future__ import annotations

from decimal import Decimal

from wrappy._core.public_trades import PublicTrades
from wrappy.model import Side, Trade


def trade(trade_id, price=None):
    at = Decimal(trade_id if price is None else price)
    return Trade(trade_id, 0, at, Decimal(1), Side.BUY, trade_id * 1000)


def ids(trades):
    return [one.trade_id for one in trades]


def test_there_is_no_price_before_the_first_trade():
    trades = PublicTrades()
    assert trades.last_traded_price is None
    assert trades.recent(5) == []
    assert trades.add([]) == []


def test_a_snapshot_in_any_order_comes_out_oldest_first():
    trades = PublicTrades()
    assert ids(trades.add([trade(3), trade(1), trade(2)])) == [1, 2, 3]
    assert trades.last_traded_price == 3
    assert ids(trades.recent(2)) == [2, 3]
    assert trades.recent(0) == []
    assert trades.recent(-1) == []


def test_what_was_seen_is_not_told_again():
    trades = PublicTrades()
    trades.add([trade(1), trade(2)])
    assert ids(trades.add([trade(2), trade(3), trade(3)])) == [3]
    assert trades.add([trade(1), trade(3)]) == []


def test_a_late_trade_is_told_but_is_not_the_last():
    trades = PublicTrades()
    trades.add([trade(1), trade(5)])
    assert ids(trades.add([trade(3)])) == [3]
    assert trades.last_traded_price == 5
    assert ids(trades.recent(9)) == [1, 3, 5]


def test_the_oldest_go_first_and_count_as_seen():
    trades = PublicTrades(capacity=3)
    assert ids(trades.add([trade(i) for i in range(1, 6)])) == [1, 2, 3, 4, 5]
    assert ids(trades.recent(9)) == [3, 4, 5]
    assert trades.add([trade(1), trade(2), trade(3)]) == []


def test_late_and_new_trades_together_push_out_only_the_oldest():
    trades = PublicTrades(capacity=3)
    trades.add([trade(10), trade(20), trade(30)])
    assert ids(trades.add([trade(40), trade(15)])) == [15, 40]
    assert ids(trades.recent(9)) == [20, 30, 40]
    assert trades.add([trade(15), trade(20)]) == []
