"""The session's record: stages in order, fills with their fees."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy.runner.session import OrderLife, SessionRecord

ACCOUNT = 7


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def record(clock):
    return SessionRecord(ACCOUNT, clock=clock)


def row(coi=1, status="open", *, price="2000.00", filled="0.0000", **changes):
    return {
        "client_order_index": coi,
        "is_ask": False,
        "type": "limit",
        "price": price,
        "initial_base_amount": "0.0500",
        "filled_base_amount": filled,
        "status": status,
        **changes,
    }


def trade(**changes):
    return {
        "trade_id": 11,
        "ask_account_id": 1,
        "bid_account_id": ACCOUNT,
        "is_maker_ask": True,
        "price": "2000.00",
        "size": "0.0500",
        "usd_amount": "100.000000",
        "taker_fee": 280,
        "maker_fee": 40,
        **changes,
    }


def test_an_orders_stages_carry_seconds_since_the_session_began(record, clock):
    clock.now = 101.0
    coi = record.submitted(
        {
            "client_order_index": 5,
            "side": "sell",
            "price": Decimal(2000),
            "size": Decimal("-0.05"),
        }
    )
    clock.now = 101.25
    record.accepted([coi, None])
    clock.now = 102.0
    record.on_orders([row(5, is_ask=True)])
    record.on_orders([row(5, is_ask=True)])
    clock.now = 103.0
    record.on_orders([row(5, price="2001.00", is_ask=True)])
    clock.now = 104.0
    record.on_orders([row(5, price="2001.00", filled="0.0200", is_ask=True)])
    clock.now = 105.0
    record.on_orders([row(5, "filled", price="2001.00", filled="0.0500", is_ask=True)])
    life = record.orders[5]
    assert life.stages == [
        ("submitted", 1.0),
        ("accepted", 1.25),
        ("open", 2.0),
        ("updated", 3.0),
        ("partly filled", 4.0),
        ("filled", 5.0),
    ]
    assert (life.side, life.size, life.filled) == (
        "sell",
        Decimal("0.0500"),
        Decimal("0.0500"),
    )
    assert record.elapsed_s == 5.0


def test_orders_without_a_number_of_ours_are_passed_over(record):
    record.on_orders([row(0), row(None), {}])
    assert record.orders == {}


def test_an_order_that_was_not_submitted_here_is_noted_as_reported(record):
    record.on_orders([row(9, "canceled", type="market")])
    assert (record.orders[9].kind, record.orders[9].status) == ("market", "canceled")
    assert record.orders[9].stages == [("canceled", 0.0)]


def test_fills_know_their_side_role_and_fee(record):
    record.on_trades(
        [
            trade(),
            trade(trade_id=12, is_maker_ask=False),
            trade(trade_id=13, ask_account_id=ACCOUNT, bid_account_id=1),
            trade(trade_id=14, taker_fee=None),
        ]
    )
    taker, maker, sold, free = record.fills
    assert (taker.side, taker.is_maker, taker.fee) == ("buy", False, Decimal("0.028"))
    assert (maker.side, maker.is_maker, maker.fee) == ("buy", True, Decimal("0.004"))
    assert (sold.side, sold.is_maker) == ("sell", True)
    assert free.fee == 0


def test_a_stage_is_noted_once_in_a_row():
    life = OrderLife(1)
    life.reach("open", 1.0)
    life.reach("open", 2.0)
    life.reach("updated", 3.0)
    assert life.stages == [("open", 1.0), ("updated", 3.0)]
