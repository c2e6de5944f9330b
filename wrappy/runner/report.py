"""Tables a person can read: what a session did, on the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.session import FillLine, OrderLife, SessionRecord

WIDTH_WITHOUT_TERMINAL = 118


@dataclass(frozen=True, slots=True)
class MoneyLine:
    """An account's money and position at one moment.

    Attributes:
        collateral: in USDC.
        total: collateral and open profit, in USDC.
        position: signed, in the base asset.
    """

    collateral: Decimal
    total: Decimal
    position: Decimal


def console() -> Console:
    """Return the terminal, or a page of a fixed width where there is none."""
    terminal = Console()
    if terminal.is_terminal:
        return terminal
    return Console(width=WIDTH_WITHOUT_TERMINAL)


def orders_table(lives: Sequence[OrderLife], *, title: str) -> Table:
    """Return orders with their stages and times in seconds."""
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("order", no_wrap=True)
    table.add_column("side")
    table.add_column("type")
    for name in ("price", "size", "filled"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("stages (s since start)", ratio=1)
    for life in lives:
        table.add_row(
            f"…{life.client_order_index % 10**6:06}",
            life.side,
            life.kind,
            f"{life.price}",
            f"{life.size}",
            f"{life.filled}",
            stages_text(life),
        )
    return table


def stages_text(life: OrderLife) -> str:
    """Return `submitted 1.20 → accepted +4ms → open +1ms`."""
    parts = []
    before = None
    for stage, at in life.stages:
        if before is None:
            parts.append(f"{stage} {at:.2f}")
        else:
            parts.append(f"{stage} +{_span(at - before)}")
        before = at
    return " → ".join(parts)


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def fills_table(fills: Sequence[FillLine], *, title: str) -> Table:
    """Return executions, one a row."""
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("at", justify="right")
    table.add_column("trade")
    table.add_column("side")
    for name in ("price", "size", "fee USDC"):
        table.add_column(name, justify="right")
    table.add_column("role")
    for fill in fills:
        table.add_row(
            f"{fill.at:.2f}",
            f"{fill.trade_id}",
            fill.side,
            f"{fill.price}",
            f"{fill.size}",
            f"{fill.fee:.6f}",
            "maker" if fill.is_maker else "taker",
        )
    return table


def summary_table(
    record: SessionRecord,
    *,
    before: MoneyLine,
    after: MoneyLine,
    requests: int,
    last_traded_price: Decimal | None,
) -> Table:
    """Return the session in numbers."""
    table = Table(title="Session", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("value", justify="right")
    makers = sum(fill.is_maker for fill in record.fills)
    volume = sum((fill.price * fill.size for fill in record.fills), Decimal(0))
    fees = sum((fill.fee for fill in record.fills), Decimal(0))
    rows = (
        ("duration", f"{record.elapsed_s:.1f} s"),
        ("orders", f"{len(record.orders)}"),
        ("fills", f"{len(record.fills)} ({makers} as maker)"),
        ("volume", f"{volume:,.2f} USDC"),
        ("fees paid", f"{fees:.6f} USDC"),
        ("position", f"{before.position} → {after.position}"),
        ("collateral", f"{before.collateral:,.6f} → {after.collateral:,.6f} USDC"),
        ("profit and loss after fees", f"{after.total - before.total:+.6f} USDC"),
        ("last traded price", f"{last_traded_price}"),
        ("requests used", f"{requests}"),
    )
    for name, value in rows:
        table.add_row(name, value)
    return table
