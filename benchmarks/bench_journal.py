"""What one write to the journal costs: of one order and of a full batch.

Every write carries the marks of the one before, as it does behind a dealer, and the
journal already has ten thousand rows.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, interleaved, main, row
from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
from wrappy.protocol.intents import TxType

ROWS = 10_000
BATCH = 15
ROUNDS, QUICK_ROUNDS = 11, 2
AMOUNT, QUICK_AMOUNT = 400, 20
POWER_AMOUNT, QUICK_POWER_AMOUNT = 20, 2
TX_INFO = "x" * 620
INTENT = "y" * 140
CASES = {
    "write 1 row": ("process", 1, "< 60 us"),
    "write 15 rows": ("process", BATCH, "< 150 us"),
    "write 1 row, sync=power": ("power", 1, None),
    "write 15 rows, sync=power": ("power", BATCH, None),
}


def entries(first: int, amount: int) -> list[JournalEntry]:
    return [
        JournalEntry(
            nonce=number,
            tx_type=TxType.CREATE_ORDER,
            tx_hash=secrets.token_hex(40),
            tx_info=TX_INFO,
            expired_at_ms=1_800_000_000_000,
            market_index=1,
            client_order_index=10**13 + number,
            group_indices=(),
            batch=first,
            stage=SendStage.SIGNED,
            written_ms=1_800_000_000_000,
            intent=INTENT,
        )
        for number in range(first, first + amount)
    ]


def cost(journal: Journal, size: int, amount: int) -> float:
    """Return microseconds that a write and the marks before it take."""
    spent = 0.0
    last: list[str] = []
    for _ in range(amount):
        batch = entries(10_000_000 + len(journal), size)
        began = time.perf_counter()
        journal.mark(last, SendStage.ENDED)
        journal.write(batch)
        spent += time.perf_counter() - began
        last = [entry.tx_hash for entry in batch]
    journal.mark(last, SendStage.ENDED)
    journal.prune(keep=ROWS)
    journal.tidy()
    return spent / amount * 1e6


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    with contextlib.ExitStack() as stack:
        cases = {}
        for number, (case, (sync, size, _)) in enumerate(CASES.items()):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            journal = Journal.open(
                Path(folder),
                base_url="http://127.0.0.1:9",
                account_index=1,
                api_key_index=number,
                sync=sync,
            )
            stack.callback(journal.close)
            full = entries(1, ROWS)
            journal.write(full)
            journal.mark([entry.tx_hash for entry in full], SendStage.ENDED)
            amount = QUICK_AMOUNT if quick else AMOUNT
            if sync == "power":
                amount = QUICK_POWER_AMOUNT if quick else POWER_AMOUNT
            cases[case] = partial(cost, journal, size, amount)
        figures = interleaved(cases, rounds=QUICK_ROUNDS if quick else ROUNDS)
    return [
        row("journal", case, figures, "us", target=target)
        for case, (_, _, target) in CASES.items()
    ]


if __name__ == "__main__":
    main(measure)
