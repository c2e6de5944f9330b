"""Tables that a person can read, with a terminal and without."""

from __future__ import annotations

import io
from decimal import Decimal

from rich.console import Console

from wrappy.runner.report import (
    WIDTH_WITHOUT_TERMINAL,
    MoneyLine,
    console,
    fills_table,
    orders_table,
    stages_text,
    summary_table,
)
from wrappy.runner.session import FillLine, OrderLife, SessionRecord


def printed(table):
    page = Console(file=io.StringIO(), width=WIDTH_WITHOUT_TERMINAL)
    page.print(table)
    return page.file.getvalue()


def fill(**changes):
    fields = {
        "trade_id": 5,
        "at": 1.5,
        "side": "buy",
        "price": Decimal(2000),
        "size": Decimal("0.05"),
        "is_maker": True,
        "fee": Decimal("0.004"),
    }
    return FillLine(**{**fields, **changes})


def test_stages_show_when_the_first_came_and_what_each_took():
    life = OrderLife(1)
    assert stages_text(life) == ""
    life.stages += [("submitted", 1.2), ("accepted", 1.204), ("open", 3.704)]
    assert stages_text(life) == "submitted 1.20 → accepted +4ms → open +2.5s"


def test_orders_are_shown_by_the_end_of_their_number():
    life = OrderLife(123_456_789, side="sell", price=Decimal("2000.5"))
    text = printed(orders_table([life], title="Orders"))
    assert "…456789" in text
    assert "sell" in text
    assert "2000.5" in text


def test_fills_show_their_role():
    text = printed(fills_table([fill(), fill(is_maker=False)], title="Fills"))
    assert "maker" in text
    assert "taker" in text
    assert "0.004000" in text


def test_the_summary_adds_up():
    record = SessionRecord(1, clock=lambda: 0.0)
    record.fills += [fill(), fill(is_maker=False, fee=Decimal("0.028"))]
    before = MoneyLine(Decimal(1000), Decimal(1000), Decimal(0))
    after = MoneyLine(Decimal("999.5"), Decimal("1001.25"), Decimal("0.1"))
    text = printed(
        summary_table(
            record, before=before, after=after, requests=9, last_traded_price=None
        )
    )
    assert "2 (1 as maker)" in text
    assert "200.00 USDC" in text
    assert "0.032000 USDC" in text
    assert "+1.250000 USDC" in text
    assert "0 → 0.1" in text
    assert "None" in text


def test_without_a_terminal_the_page_has_a_fixed_width(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert console().width == WIDTH_WITHOUT_TERMINAL


def test_a_terminal_keeps_its_own_width(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "77")
    assert console().width == 77
