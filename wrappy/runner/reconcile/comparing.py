"""Compares what the journals say with what the exchange says."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from wrappy.lighter.persistence.journal import SendStage
from wrappy.runner.doctor.account import known_orders

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wrappy.lighter.persistence.journal import JournalEntry
    from wrappy.lighter.persistence.journal_reading import KeptJournal

_TAKEN = frozenset({SendStage.ACCEPTED, SendStage.EXECUTED})
_CREATIONS = frozenset({14, 28})
"""Numbers of the transaction types that create orders (official signer's list)."""


class DriftKind(enum.Enum):
    """How journal and exchange disagree."""

    GONE = "gone"
    """The journal believes the order live; the exchange does not list it as live."""

    STRANGER = "stranger"
    """The order is live, and no journal of the account has created it."""

    UNSETTLED = "unsettled"
    """A transaction left, or may have left, and its end is not known."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One disagreement.

    Attributes:
        kind: which.
        market_index: market concerned; None for none.
        client_order_index: the order; None or 0 where it has none.
        order_index: the exchange's number of a live order, else None.
        words: what is known of it.
    """

    kind: DriftKind
    market_index: int | None
    client_order_index: int | None
    order_index: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of it.

    Attributes:
        drifts: where they disagree; empty when they agree.
        live: how many orders are live.
        known: how many of those a journal has created.
    """

    drifts: tuple[Drift, ...]
    live: int
    known: int

    @property
    def is_clean(self) -> bool:
        """Whether journal and exchange say the same."""
        return not self.drifts

    @property
    def strangers(self) -> tuple[Drift, ...]:
        """The live orders that nobody here has created."""
        return tuple(d for d in self.drifts if d.kind is DriftKind.STRANGER)


class Fate(NamedTuple):
    """What the exchange says of a transaction whose end the journal lacks.

    Attributes:
        is_executed: whether it was carried out.
        is_over: whether nothing can become of it any more.
        words: the same for people.
    """

    is_executed: bool
    is_over: bool
    words: str


NOBODY_ASKED = Fate(is_executed=False, is_over=False, words="nobody was asked")


def believed_live(
    journals: Iterable[KeptJournal], fates: Mapping[str, Fate]
) -> list[JournalEntry]:
    """Return the creations that the exchange took and whose orders have not ended.

    A bot that was killed has not written down every answer that it got, so what the
    exchange says of such a transaction counts as well.
    """
    return [
        entry
        for journal in journals
        for entry in journal.entries
        if entry.tx_type in _CREATIONS
        and (
            entry.stage in _TAKEN
            or (entry.stage is SendStage.SIGNED and _fate(fates, entry).is_executed)
        )
    ]


def _fate(fates: Mapping[str, Fate], entry: JournalEntry) -> Fate:
    return fates.get(entry.tx_hash, NOBODY_ASKED)


def compare(
    journals: Sequence[KeptJournal],
    live: Sequence[Mapping[str, Any]],
    *,
    endings: Mapping[int, str],
    fates: Mapping[str, Fate],
    running: bool = False,
) -> Comparison:
    """Return where the journals and the exchange disagree.

    Args:
        journals: those of the account.
        live: the account's live orders.
        endings: for orders that are over: what the exchange says of their end.
        fates: for transactions without a known end, by hash: what the exchange says.
        running: whether a bot writes the journals now. Its newest marks are in its
            memory, so that an order which the exchange lists as ended, or a
            transaction on its way, is no disagreement.
    """
    alive = {row.get("client_order_index") for row in live}
    known = known_orders(journals)
    drifts = [_stranger(row) for row in live if _number(row) not in known]
    for entry in believed_live(journals, fates):
        numbers = _numbers(entry)
        if alive.intersection(numbers) or (running and _is_over(numbers, endings)):
            continue
        # A group's orders end together, or one is live.
        number = numbers[0] if numbers else None
        drifts.append(
            Drift(
                DriftKind.GONE,
                entry.market_index,
                number,
                None,
                endings.get(number or 0, "the exchange lists it nowhere"),
            )
        )
    drifts += [
        _unsettled(entry, _fate(fates, entry).words)
        for journal in journals
        for entry in journal.entries
        if entry.stage is SendStage.SIGNED
        and not running
        and not _fate(fates, entry).is_over
    ]
    ours = sum(_number(row) in known for row in live)
    return Comparison(tuple(drifts), len(live), ours)


def _number(row: Mapping[str, Any]) -> int:
    number = row.get("client_order_index")
    return number if isinstance(number, int) else 0


def _numbers(entry: JournalEntry) -> tuple[int, ...]:
    single = entry.client_order_index
    return (*entry.group_indices, *(() if single is None else (single,)))


def _is_over(numbers: Iterable[int], endings: Mapping[int, str]) -> bool:
    return any(number in endings for number in numbers)


def _stranger(row: Mapping[str, Any]) -> Drift:
    side = "sell" if row.get("is_ask") else "buy"
    words = (
        f"{side} {row.get('remaining_base_amount')} at {row.get('price')}, "
        f"{row.get('status')}"
    )
    market, index = row.get("market_index"), row.get("order_index")
    return Drift(
        DriftKind.STRANGER,
        market if isinstance(market, int) else None,
        _number(row),
        index if isinstance(index, int) else None,
        words,
    )


def _unsettled(entry: JournalEntry, fate: str) -> Drift:
    numbers = _numbers(entry)
    return Drift(
        DriftKind.UNSETTLED,
        entry.market_index,
        numbers[0] if numbers else None,
        None,
        f"transaction {entry.nonce} ({entry.tx_hash[:12]}): {fate}",
    )
