"""One order's life as a list of events, in the order of their times."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from wrappy.lighter.asking.ending import reason_in
from wrappy.lighter.asking.reading import order_report
from wrappy.lighter.persistence.journal import SendStage
from wrappy.runner.explain.intents import (
    CANCEL_ALL,
    CREATE,
    GROUP,
    STAGES,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wrappy.lighter.persistence.journal import JournalEntry
    from wrappy.lighter.persistence.journal_reading import KeptJournal
    from wrappy.lighter.results import Fill
    from wrappy.lighter.visit import TransactionReport
    from wrappy.model import Market

_IN_SECONDS_BELOW: Final = 100_000_000_000
"""The exchange tells an order's creation in seconds, most other times in ms."""


@dataclass(frozen=True, slots=True)
class LifeEvent:
    """Something that happened to an order.

    Attributes:
        at_ms: when, unix milliseconds; journal times are by this machine's clock,
            the exchange's by its own.
        source: who says so: `journal`, `exchange` or `trade`.
        words: what.
    """

    at_ms: int
    source: str
    words: str

    @property
    def at(self) -> str:
        """When, as UTC."""
        seconds = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.at_ms / 1000))
        return f"{seconds}.{self.at_ms % 1000:03d}"


@dataclass(frozen=True, slots=True)
class OrderLife:
    """An order's life.

    Attributes:
        client_order_index: the order.
        symbol: its market; empty when that is not known.
        state: where it stands, one line.
        events: what happened, in the order of the times.
    """

    client_order_index: int
    symbol: str
    state: str
    events: tuple[LifeEvent, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "client_order_index": self.client_order_index,
            "symbol": self.symbol,
            "state": self.state,
            "events": [
                {"at_ms": e.at_ms, "source": e.source, "words": e.words}
                for e in self.events
            ],
        }


def touching(
    journals: Iterable[KeptJournal], number: int
) -> list[tuple[int, JournalEntry]]:
    """Return the rows that concern an order, each with its key, in writing order.

    Cancellations of everything count from the order's creation on.
    """
    rows = [(j.api_key_index, entry) for j in journals for entry in j.entries]
    named = [
        (key, entry)
        for key, entry in rows
        if number in (entry.client_order_index, *entry.group_indices)
    ]
    made = [entry for _, entry in named if entry.tx_type in (CREATE, GROUP)]
    if made:
        since, market = made[0].written_ms, made[0].market_index
        named += [
            (key, entry)
            for key, entry in rows
            if entry.tx_type == CANCEL_ALL
            and entry.written_ms >= since
            and entry.market_index in (None, market)
            and '"time_in_force":0' in entry.intent
        ]
    return sorted(named, key=lambda row: row[1].written_ms)


def tell(
    number: int,
    rows: Sequence[tuple[int, JournalEntry]],
    *,
    market: Market | None,
    order: Mapping[str, Any] | None,
    fills: Sequence[Fill],
    reports: Mapping[str, TransactionReport],
) -> OrderLife:
    """Return an order's life.

    Args:
        number: its client order index.
        rows: what the journals have of it, each with its key.
        market: its market.
        order: the exchange's row of it; None when it lists none.
        fills: its trades.
        reports: what the exchange says of its transactions, by hash.
    """
    ended_ms = _ended_ms(order)
    events = [
        event
        for key, entry in rows
        if not (
            entry.tx_type == CANCEL_ALL and ended_ms and entry.written_ms > ended_ms
        )
        for event in _sent(number, key, entry, market, reports.get(entry.tx_hash))
    ]
    events += [_traded(fill) for fill in fills]
    if order is not None:
        events += _listed(order)
    events.sort(key=lambda event: event.at_ms)
    return OrderLife(
        number,
        market.symbol if market else "",
        _state(order, rows, fills),
        tuple(events),
    )


def _sent(
    number: int,
    key: int,
    entry: JournalEntry,
    market: Market | None,
    report: TransactionReport | None,
) -> list[LifeEvent]:
    stage = STAGES[entry.stage]
    if report is not None and entry.stage is SendStage.SIGNED:
        stage = "its answer is not on disk yet"
    words = (
        f"{wanted(entry, number, market)}; key {key}, nonce {entry.nonce}, "
        f"hash {entry.tx_hash[:12]}: {stage}"
    )
    found = [LifeEvent(entry.written_ms, "journal", words)]
    if report is not None:
        fate = f"transaction {entry.nonce} {report.fate.value}"
        fate += f": {report.reason}" if report.reason else ""
        at_ms = report.queued_at_ms or entry.written_ms
        found.append(LifeEvent(_ms(at_ms), "exchange", fate))
    return found


def _traded(fill: Fill) -> LifeEvent:
    role = "maker" if fill.is_maker else "taker"
    words = (
        f"{'bought' if fill.side.value == 'buy' else 'sold'} {fill.size} at "
        f"{fill.price} as {role}, fee {fill.fee.normalize():f} USDC, "
        f"trade {fill.trade_id}"
    )
    return LifeEvent(fill.timestamp_ms, "trade", words)


def _listed(order: Mapping[str, Any]) -> list[LifeEvent]:
    report = order_report(dict(order))
    found = []
    made = order.get("created_at")
    if isinstance(made, int) and made:
        words = f"order {report.order_index} made: {report.order_type}"
        # Told in whole seconds, so it may seem to be before it was sent.
        found.append(LifeEvent(_ms(made), "exchange", words))
    if not report.is_live:
        reason = reason_in(dict(order))
        words = f"{report.status}: {reason}" if reason else report.status
        found.append(LifeEvent(_ended_ms(order), "exchange", words))
    return found


def _ended_ms(order: Mapping[str, Any] | None) -> int:
    """Return when an order that is over changed last, unix ms; 0 for a live one."""
    if order is None or order_report(dict(order)).is_live:
        return 0
    changed_us = order.get("transaction_time")
    if isinstance(changed_us, int) and changed_us:
        return changed_us // 1000
    updated = order.get("updated_at")
    return _ms(updated) if isinstance(updated, int) else 0


def _ms(told: int) -> int:
    return told * 1000 if told < _IN_SECONDS_BELOW else told


def _state(
    order: Mapping[str, Any] | None,
    rows: Sequence[tuple[int, JournalEntry]],
    fills: Sequence[Fill],
) -> str:
    if order is None:
        made = [e for _, e in rows if e.tx_type in (CREATE, GROUP)]
        if not made:
            return "no journal here created it, and the exchange lists it nowhere"
        stage = STAGES[made[-1].stage]
        return f"the exchange lists it nowhere; the journal says: {stage}"
    report = order_report(dict(order))
    side = report.side.value
    words = (
        f"{side} {report.size} at {report.price}: {report.status}, "
        f"filled {report.filled}"
    )
    if report.average_price is not None:
        cents = report.average_price.quantize(Decimal("0.000001")).normalize()
        fees = sum((fill.fee for fill in fills), Decimal(0))
        words += f" at {cents:f} on average, fees {fees.normalize():f} USDC"
    reason = reason_in(dict(order))
    return f"{words} ({reason})" if reason else words
