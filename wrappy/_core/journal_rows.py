"""What a journal of sent transactions knows by heart, and how certainty grows.

The rows themselves are on disk; this index holds just enough of each to find it, to
answer what is unresolved and to tell which rows nobody needs any more.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class SendStage(enum.IntEnum):
    """What is known of a signed transaction; a higher number is more certain.

    A positive word beats a deduction: whatever was taken for dead and is then seen
    on the exchange was executed.
    """

    SIGNED = 1
    """On disk; it may or may not have left."""

    ACCEPTED = 2
    """The exchange took it; what became of it is not known yet."""

    REFUSED = 3
    """The exchange said no, or it provably never left."""

    DEAD = 4
    """Proven never executed, and it never can be any more."""

    EXECUTED = 5
    """The exchange reported its effect."""

    ENDED = 6
    """Its orders are terminal; the row may be forgotten."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One signed transaction, as it stands in the journal.

    Attributes:
        nonce: of the API key.
        tx_type: number of the transaction type on the wire.
        tx_hash: hexadecimal; identifies the row.
        tx_info: the signed bytes, JSON; they hold a signature but no key.
        expired_at_ms: unix milliseconds after which the exchange takes it no more.
        market_index: market it touches; `None` for none.
        client_order_index: order it creates or touches; `None` for none or several.
        group_indices: orders of a grouped creation.
        batch: number that all transactions of one send share.
        stage: what is known of it.
        written_ms: unix milliseconds when it was written.
        intent: short JSON of what was wanted, for people.
    """

    nonce: int
    tx_type: int
    tx_hash: str
    tx_info: str = field(repr=False)
    expired_at_ms: int
    market_index: int | None
    client_order_index: int | None
    group_indices: tuple[int, ...]
    batch: int
    stage: SendStage
    written_ms: int
    intent: str


@dataclass(slots=True, eq=False)
class JournalRow:
    """What the index keeps of one entry.

    Attributes:
        sequence: number of the row on disk, in writing order.
        tx_hash: of the entry.
        nonce: of the entry.
        orders: client order indices it creates or touches.
        creates: whether it creates them.
        stage: what is known by now, which the disk may hear of later.
    """

    sequence: int
    tx_hash: str
    nonce: int
    orders: tuple[int, ...]
    creates: bool
    stage: SendStage

    @property
    def is_void(self) -> bool:
        """Whether it never was executed and never will be."""
        return self.stage in (SendStage.REFUSED, SendStage.DEAD)

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to be learned of it.

        Only a creation has a life after it was accepted; of a cancellation or a
        modification the order itself tells the rest.
        """
        if self.is_void or self.stage == SendStage.ENDED:
            return True
        return not self.creates and self.stage != SendStage.SIGNED


class JournalIndex:
    """Every row of one journal, in writing order."""

    def __init__(self) -> None:
        self._rows: dict[str, JournalRow] = {}
        self._by_order: dict[int, list[JournalRow]] = {}
        self._unsaved: dict[int, SendStage] = {}
        self._last_sequence = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[JournalRow]:
        return iter(self._rows.values())

    @property
    def next_sequence(self) -> int:
        """Number of the next row."""
        return self._last_sequence + 1

    @property
    def unsaved(self) -> Mapping[int, SendStage]:
        """Stages that the disk does not have yet, by sequence number."""
        return self._unsaved

    def add(self, row: JournalRow) -> None:
        """Enter a row that is on disk; one of the same hash makes way for it."""
        old = self._rows.get(row.tx_hash)
        if old is not None:
            self.remove(old)
        self._rows[row.tx_hash] = row
        self._last_sequence = max(self._last_sequence, row.sequence)
        for order in row.orders:
            self._by_order.setdefault(order, []).append(row)

    def remove(self, row: JournalRow) -> None:
        """Forget a row; one that has made way for another is forgotten already."""
        if self._rows.get(row.tx_hash) is not row:
            return
        del self._rows[row.tx_hash]
        self._unsaved.pop(row.sequence, None)
        for order in row.orders:
            rows = self._by_order[order]
            rows.remove(row)
            if not rows:
                del self._by_order[order]

    def find(self, tx_hash: str) -> JournalRow | None:
        """Return the row of a transaction."""
        return self._rows.get(tx_hash)

    def mark(self, tx_hashes: Iterable[str], stage: SendStage) -> None:
        """Note what became of transactions; what is more certain already stays.

        A hash that is not here was pruned, or never was of this key.
        """
        for tx_hash in tx_hashes:
            row = self._rows.get(tx_hash)
            if row is not None and row.stage < stage:
                row.stage = stage
                self._unsaved[row.sequence] = stage

    def saved(self, stages: Mapping[int, SendStage]) -> None:
        """Note that the disk has these stages, though newer ones may be known."""
        for sequence, stage in stages.items():
            if self._unsaved.get(sequence) == stage:
                del self._unsaved[sequence]

    def unresolved(self) -> list[JournalRow]:
        """Return the rows that may or may not have left, by nonce."""
        rows = [row for row in self if row.stage == SendStage.SIGNED]
        return sorted(rows, key=lambda row: (row.nonce, row.sequence))

    def open_orders(self) -> list[JournalRow]:
        """Return the creations that the exchange took and that have not ended."""
        stages = (SendStage.ACCEPTED, SendStage.EXECUTED)
        return [row for row in self if row.creates and row.stage in stages]

    def of_order(self, client_order_index: int) -> list[JournalRow]:
        """Return every row that creates or touches an order, in writing order."""
        return list(self._by_order.get(client_order_index, ()))

    def creates(self, client_order_index: int) -> bool:
        """Return whether a row creates the order."""
        return any(row.creates for row in self._by_order.get(client_order_index, ()))

    def last(self) -> JournalRow | None:
        """Return the row of the highest nonce that may have been used up."""
        rows = (row for row in self if not row.is_void)
        return max(rows, key=lambda row: row.nonce, default=None)

    def surplus(self, keep: int) -> list[JournalRow]:
        """Return the oldest finished rows, all but the newest `keep` of them.

        The row of the last nonce is never among them.
        """
        last = self.last()
        finished = [row for row in self if row.is_finished and row is not last]
        return finished[: max(0, len(finished) - keep)]
