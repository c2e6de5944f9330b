"""How facts are spelled: orders, trades, markets, statements, candles."""

from __future__ import annotations

import json

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import QUOTA_AT_START, TIERS
from wrappy.venue.accounts import Account
from wrappy.venue.candles import MINUTES_KEPT, CandleStore, render_candle
from wrappy.venue.events import SideBefore, Trade
from wrappy.venue.limits import VolumeQuota
from wrappy.venue.market_state import MarketState
from wrappy.venue.orders import VenueOrder
from wrappy.venue.records import TxRecord
from wrappy.venue.render import (
    error_body,
    render_details,
    render_limits,
    render_market_stats,
    render_order,
    render_trade,
)
from wrappy.venue.statements import Statement
from wrappy.venue.tx_render import event_info, render_tx

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
PEPE = Market("1000PEPE", 4, 6, 0, 3_000, 10_000_000)
FLAT = SideBefore(0, 0, 500, sign_changed=True)


def order(**changes):
    fields = {
        "order_index": 281_476_929_510_110,
        "owner": 7,
        "is_ask": True,
        "price": 235_274,
        "remaining": 30,
        "initial_base": 50,
        "filled_base": 20,
        "filled_quote": 4_705_480,
        "client_order_index": 42,
        "status": "open",
        "created_us": 1_777_941_383_576_000,
        "updated_us": 1_777_941_383_900_735,
    }
    return VenueOrder(**{**fields, **changes})


def trade(**changes):
    fields = {
        "trade_id": 9,
        "tx_hash": "ab",
        "market_index": 0,
        "price": 235_273,
        "base": 1_336,
        "quote": 314_324_728,
        "ask_order_index": 1,
        "bid_order_index": 2,
        "ask_client_order_index": 3,
        "bid_client_order_index": 4,
        "ask_account": 5,
        "bid_account": 6,
        "is_maker_ask": True,
        "taker_fee": 196,
        "maker_fee": 0,
        "taker_fee_amount": 61_607,
        "maker_fee_amount": 0,
        "taker_before": SideBefore(-760_264, 179_127_402_288, 200, sign_changed=False),
        "maker_before": FLAT,
        "ask_pnl": -1,
        "bid_pnl": 0,
        "block_height": 3,
        "at_us": 61_000_000,
    }
    return Trade(**{**fields, **changes})


def account(**positions):
    ledger = AccountLedger(collateral=1_000_000_000)
    owner = Account(7, "0xabc", TIERS["premium"], {}, ledger)
    owner.initial_margin_fractions.update({0: 500, 4: 1_000})
    for name, (is_ask, base, quote) in positions.items():
        ledger.apply_fill(int(name[1:]), is_ask=is_ask, base=base, quote=quote)
    return owner


def markets(mark=300_000):
    return {0: MarketState(ETH, mark_price=mark), 4: MarketState(PEPE, mark_price=10)}


def test_an_order_is_spelled_in_decimals_and_integers():
    row = render_order(order(), ETH)
    assert row["price"] == "2352.74"
    assert row["initial_base_amount"] == "0.0050"
    assert row["remaining_base_amount"] == "0.0030"
    assert row["filled_quote_amount"] == "4.705480"
    assert (row["base_price"], row["base_size"]) == (235_274, 50)
    assert (row["side"], row["type"]) == ("sell", "limit")
    assert row["time_in_force"] == "good-till-time"
    assert row["created_at"] == 1_777_941_383, "seconds, as the exchange prints it"
    assert row["timestamp"] == row["updated_at"] == 1_777_941_383
    assert row["transaction_time"] == 1_777_941_383_900_735


def test_a_market_without_lot_decimals_prints_whole_sizes():
    row = render_order(order(market_index=4, price=12, is_ask=False), PEPE)
    assert (row["price"], row["initial_base_amount"]) == ("0.000012", "50")
    assert row["side"] == "buy"


def test_a_trade_leaves_out_fees_of_zero():
    row = render_trade(trade(), ETH)
    assert row["taker_fee"] == 196
    assert "maker_fee" not in row
    assert row["taker_position_size_before"] == "-76.0264"
    assert row["taker_entry_quote_before"] == "179127.402288"
    assert row["ask_account_pnl"] == "-0.000001"
    assert row["usd_amount"] == "314.324728"


def test_a_market_that_never_traded_has_zeros():
    state = MarketState(ETH)
    details = render_details(state)
    assert details["last_trade_price"] == details["daily_price_change"] == 0.0
    assert details["mark_price"] == "0.00"
    stats = render_market_stats(state, 7_200_000_001)
    assert stats["mid_price"] == "0.00"
    assert stats["funding_timestamp"] == 7_200_000


def test_the_days_change_is_a_percentage():
    state = MarketState(ETH, last_trade_price=220_000)
    state.day.add(trade(price=200_000))
    details = render_details(state)
    assert details["daily_price_change"] == pytest.approx(10.0)
    assert details["daily_base_token_volume"] == pytest.approx(0.1336)


def test_an_inactive_market_says_so():
    state = MarketState(Market("OLD", 9, 2, 4, active=False))
    assert render_details(state)["status"] == "inactive"


def test_errors_carry_the_documented_words_unless_told_otherwise():
    assert error_body(21104) == {"code": 21104, "message": "invalid nonce"}
    assert error_body(21104, "no")["message"] == "no"


def test_limits_name_the_tier():
    body = render_limits(account())
    assert (body["user_tier"], body["current_taker_fee_tick"]) == ("premium", 280)


def test_a_failed_transaction_tells_its_error():
    info = {"MarketIndex": 0, "Nonce": 3, "ExpiredAt": 9, "ApiKeyIndex": 4}
    record = TxRecord("ab", 17, 7, 4, 3, info, 1_000_000, 2_000_000)
    record.status, record.code, record.message = 0, 21600, "inactive order"
    told = event_info(record, order())
    parsed = json.loads(told)
    assert json.loads(parsed["ae"])["code"] == 21600
    assert parsed["to"]["u"] == 42
    row = render_tx(record, "0xabc", told=told)
    assert (row["status"], row["nonce"], row["queued_at"]) == (0, 3, 1_000)
    assert json.loads(event_info(record, None))["m"] == 0


def test_a_long_position_is_liquidated_below_and_a_short_above_the_mark():
    long = Statement(account(m0=(False, 10_000, 3_000_000_000)), markets())
    row = long.position(0)
    assert (row["sign"], row["position"]) == (1, "1.0000")
    assert row["avg_entry_price"] == "3000.0000"
    assert row["unrealized_pnl"] == "0.000000"
    # 1000 + (P - 3000) = 0.012 P
    assert row["liquidation_price"] == "2024.2914979757086"
    short = Statement(account(m0=(True, 10_000, 3_000_000_000)), markets())
    row = short.position(0)
    assert row["sign"] == -1
    assert row["liquidation_price"] == "3952.5691699604745"


def test_a_position_that_cannot_be_liquidated_has_no_price():
    safe = Statement(account(m0=(False, 100, 30_000_000)), markets())
    assert safe.position(0)["liquidation_price"] == "0"
    assert safe.position(4)["liquidation_price"] == "0"


def test_a_statement_adds_up():
    statement = Statement(account(m0=(False, 10_000, 2_900_000_000)), markets())
    body = statement.detailed()
    assert body["total_asset_value"] == "1100.000000"
    assert body["cross_initial_margin_requirement"] == "150.000000"
    assert body["available_balance"] == "950.000000"
    assert [row["market_id"] for row in body["positions"]] == [0, 4]
    active = statement.detailed(active_only=True)["positions"]
    assert [row["market_id"] for row in active] == [0]
    assert statement.stats()["leverage"] == "2.73"
    assert statement.stats()["margin_usage"] == "13.64"


def test_a_ruined_account_has_no_ratios():
    ruined = Statement(account(m0=(False, 10_000, 9_000_000_000)), markets())
    stats = ruined.stats()
    assert (stats["leverage"], stats["margin_usage"]) == ("0.00", "0.00")
    assert stats["available_balance"] == "0.000000"


def test_candles_grow_and_are_put_together():
    store = CandleStore()
    for minute, price in ((0, 100), (0, 120), (1, 90), (5, 110)):
        store.add(trade(price=price, at_us=minute * 60_000_000, quote=1_000_000))
    span = {"start_ms": 0, "end_ms": 10**12}
    bars = store.read(0, 60_000, count=10, **span)
    assert [bar.start_ms for bar in bars] == [0, 60_000, 300_000]
    five, later = store.read(0, 300_000, count=10, **span)
    assert (five.open, five.high, five.low, five.close) == (100, 120, 90, 90)
    assert five.base == 3 * 1_336
    assert later.start_ms == 300_000
    assert store.read(0, 300_000, count=1, **span) == [later]
    assert store.read(0, 300_000, count=0, **span) == [five, later]
    assert store.read(0, 60_000, count=9, start_ms=1, end_ms=60_000)[0].open == 90
    assert store.read(7, 60_000, count=9, **span) == []
    assert render_candle(five, ETH)["o"] == 1.0
    assert render_candle(five, ETH)["V"] == 3.0


def test_the_oldest_candles_go():
    store = CandleStore()
    for minute in range(MINUTES_KEPT + 2):
        store.add(trade(price=100 + minute, at_us=minute * 60_000_000))
    whole = {"start_ms": 0, "end_ms": 5 * 60_000, "count": 10}
    assert [bar.start_ms for bar in store.read(0, 60_000, **whole)] == [
        120_000,
        180_000,
        240_000,
        300_000,
    ]


def test_volume_quota_is_spent_and_earned():
    quota = VolumeQuota()
    assert quota.spend("0xabc", 3) == QUOTA_AT_START - 3
    quota.earn("0xabc", 3_000_000)
    quota.earn("0xabc", 1_000_000)
    assert quota.spend("0xabc", 0) == QUOTA_AT_START - 1
    assert quota.spend("0xabc", 5_000) == 0
