"""Asks for what a comparison needs, and puts right what disagrees."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from wrappy import LighterDealer
from wrappy.lighter.asking.ending import reason_in
from wrappy.lighter.persistence.journal import SendStage
from wrappy.lighter.visit import TransactionFate
from wrappy.runner.reconcile.comparing import (
    Comparison,
    DriftKind,
    Fate,
    believed_live,
    compare,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.environment import Environment
    from wrappy.lighter.persistence.journal import JournalEntry
    from wrappy.lighter.persistence.journal_reading import KeptJournal
    from wrappy.lighter.visit import AccountVisit, TransactionReport

MOST_PAGES = 10
"""Pages of ended orders that are read; the exchange keeps a thousand orders."""

MOST_DOUBTS = 50
"""Transactions that are asked about one by one."""


async def look(visit: AccountVisit) -> Comparison:
    """Compare the journals of an account with the exchange; nothing is changed.

    Raises:
        JournalError: a journal cannot be read.
        VenueError, TransportError, ProtocolError: the exchange could not be asked.
    """
    # What is live now was written down before it was sent.
    live = await visit.account.open_orders(None)
    journals = await visit.journals()
    fates = await _fates(visit, journals)
    alive = {row.get("client_order_index") for row in live}
    gone = {
        number
        for entry in believed_live(journals, fates)
        for number in (entry.client_order_index, *entry.group_indices)
        if number is not None and number not in alive
    }
    return compare(
        journals,
        live,
        endings=await _endings(visit, gone),
        fates=fates,
        running=bool(visit.writers()),
    )


async def _endings(visit: AccountVisit, numbers: set[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        if found.keys() >= numbers:
            break
        rows, cursor = await visit.account.ended_orders(cursor)
        for row in rows:
            number = row.get("client_order_index")
            if number in numbers:
                reason = reason_in(row)
                status = str(row.get("status"))
                found[number] = f"{status}: {reason}" if reason else status
        if cursor is None:
            break
    return found


async def _fates(
    visit: AccountVisit, journals: Sequence[KeptJournal]
) -> dict[str, Fate]:
    doubts = [
        entry
        for journal in journals
        for entry in journal.entries
        if entry.stage is SendStage.SIGNED
    ]
    now_ms = int(visit.environment.unix_s() * 1000)
    return {
        entry.tx_hash: _fate(
            await visit.account.transaction(entry.tx_hash), entry, now_ms
        )
        for entry in doubts[:MOST_DOUBTS]
    }


def _fate(report: TransactionReport | None, entry: JournalEntry, now_ms: int) -> Fate:
    if report is None:
        left_s = (entry.expired_at_ms - now_ms) / 1000
        words = (
            f"not at the exchange; it could still arrive for {left_s:.0f} s"
            if left_s > 0
            else "never arrived, and is too old to be taken"
        )
        return Fate(is_executed=False, is_over=False, words=words)
    return Fate(
        is_executed=report.fate is TransactionFate.EXECUTED,
        is_over=report.fate is not TransactionFate.PENDING,
        words=f"the exchange has it, {report.fate.value}",
    )


async def put_right(
    config: DealerConfig,
    found: Comparison,
    *,
    symbols: dict[int, str],
    environment: Environment,
) -> None:
    """Settle what is in doubt, mark what has ended, cancel what nobody knows.

    A dealer of each market concerned does that when it starts. It holds the keys
    meanwhile, so no bot may run with them.

    Args:
        config: account and keys, without a market.
        found: what disagrees.
        symbols: names of markets by index.
        environment: clocks and connections.

    Raises:
        KeyInUseError: a bot runs with one of the keys.
        WrappyError: it could not be done; asking again tells how far it came.
    """
    strangers = {drift.market_index for drift in found.strangers}
    others = {
        drift.market_index
        for drift in found.drifts
        if drift.kind is not DriftKind.STRANGER
    }
    markets = sorted(index for index in strangers | others if index in symbols)
    for index in markets or sorted(symbols)[:1]:
        settings = dataclasses.replace(
            config,
            symbol=symbols[index],
            market_index=None,
            unknown_orders="cancel",
            # It comes and goes: a switch armed now would be left behind.
            dead_man_s=None,
        )
        async with await LighterDealer.create(settings, environment=environment):
            pass
