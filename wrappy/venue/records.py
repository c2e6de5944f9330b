"""What becomes of each accepted transaction."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED: Final = 0
PENDING: Final = 1
EXECUTED: Final = 2
RECORDS_KEPT: Final = 200_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """Stage one passed.

    Attributes:
        tx_hash: hash of the transaction.
        execute_at_us: when it will be executed, unix microseconds.
    """

    tx_hash: str
    execute_at_us: int


@dataclass(slots=True)
class TxRecord:
    """One accepted transaction and what became of it.

    Attributes:
        info: the transaction as it was sent.
        queued_us: when stage one passed, unix microseconds.
        execute_at_us: when stage two is due.
        held_us: how much of that is waiting for a recorded market's next price.
        executed_us: when stage two was over; 0 before.
        status: 0 failed, 1 pending, 2 executed.
        sequence_index: place in the order of execution; 0 before.
        block_height: block of the execution; 0 before.
        code: why it failed or did nothing; 0 when there is nothing to say.
        message: words of `code`.
        order_index: the order it made, changed or canceled; 0 when none.
    """

    tx_hash: str
    tx_type: int
    account: int
    api_key_index: int
    nonce: int
    info: Mapping[str, Any]
    queued_us: int
    execute_at_us: int
    held_us: int = 0
    executed_us: int = 0
    status: int = PENDING
    sequence_index: int = 0
    block_height: int = 0
    code: int = 0
    message: str = ""
    order_index: int = 0


class RecordTable:
    """Accepted transactions by hash; the oldest go when there are too many."""

    def __init__(self, limit: int = RECORDS_KEPT) -> None:
        self._limit = limit
        self._records: dict[str, TxRecord] = {}
        self._by_sequence: dict[int, TxRecord] = {}
        self._order: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: TxRecord) -> None:
        """Keep a record."""
        if len(self._order) >= self._limit:
            oldest = self._records.pop(self._order.popleft(), record)
            self._by_sequence.pop(oldest.sequence_index, None)
        self._order.append(record.tx_hash)
        self._records[record.tx_hash] = record

    def executed(self, record: TxRecord) -> None:
        """Let a record be found by its sequence index, which it has by now."""
        if record.tx_hash in self._records:
            self._by_sequence[record.sequence_index] = record

    def by_sequence(self, sequence_index: int) -> TxRecord | None:
        """Return the executed transaction of a sequence index, or None."""
        return self._by_sequence.get(sequence_index)

    def of_block(self, height: int) -> list[TxRecord]:
        """Return what was executed in one block, in the order of execution."""
        # Executed in the order of sequence, and so in that of blocks.
        records = list(self._by_sequence.values())
        heights = [record.block_height for record in records]
        first, end = bisect_left(heights, height), bisect_right(heights, height)
        return records[first:end]

    def newest(self, skip: int, limit: int) -> list[TxRecord]:
        """Return up to `limit` records, newest first, after leaving out `skip`."""
        hashes = islice(reversed(self._order), skip, skip + limit)
        return [self._records[tx_hash] for tx_hash in hashes]

    def get(self, tx_hash: str) -> TxRecord | None:
        """Return the record of a hash, or None."""
        return self._records.get(tx_hash)
