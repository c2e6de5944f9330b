"""A journal against a dictionary, over restarts and crashes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from wrappy.lighter.persistence.journal import (
    Journal,
    JournalEntry,
    SendStage,
    known_client_order_indices,
)
from wrappy.protocol.intents import TxType

URL = "http://127.0.0.1:9000"
STAGES = st.sampled_from(list(SendStage))
CREATIONS = (TxType.CREATE_ORDER, TxType.CREATE_GROUPED_ORDERS)
VOID = (SendStage.REFUSED, SendStage.DEAD)
ORDERS = st.integers(1, 12)
ENTRIES = st.builds(
    JournalEntry,
    nonce=st.integers(0, 30),
    tx_type=st.sampled_from([*CREATIONS, TxType.CANCEL_ORDER]),
    tx_hash=st.integers(0, 40).map(lambda number: f"{number:080x}"),
    tx_info=st.text(max_size=30),
    expired_at_ms=st.integers(0, 2**48),
    market_index=st.none() | st.integers(0, 4095),
    client_order_index=st.none() | ORDERS,
    group_indices=st.lists(ORDERS, unique=True, max_size=3).map(tuple),
    batch=st.integers(0, 5),
    stage=st.just(SendStage.SIGNED),
    written_ms=st.integers(0, 2**48),
    intent=st.text(max_size=10),
)


def orders_of(entry):
    return {entry.client_order_index, *entry.group_indices} - {None}


class JournalMachine(RuleBasedStateMachine):
    """`rows` is what must be known, by hash, in writing order."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.runs = 0
        self.rows: dict[str, JournalEntry] = {}

    @initialize()
    def start(self):
        self.open()

    def open(self):
        self.journal = Journal.open(
            self.root / str(self.runs), base_url=URL, account_index=1, api_key_index=2
        )

    def teardown(self):
        self.journal.close()
        shutil.rmtree(self.root)

    @rule(batch=st.lists(ENTRIES, max_size=6, unique_by=lambda entry: entry.tx_hash))
    def write(self, batch):
        self.journal.write(batch)
        for entry in batch:
            self.rows.pop(entry.tx_hash, None)
            self.rows[entry.tx_hash] = entry

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), stage=STAGES)
    def mark(self, data, stage):
        hashes = data.draw(st.lists(st.sampled_from(sorted(self.rows)), max_size=4))
        self.journal.mark([*hashes, "of another key"], stage)
        for tx_hash in hashes:
            row = self.rows[tx_hash]
            self.rows[tx_hash] = replace(row, stage=max(row.stage, stage))

    @rule()
    def tidy(self):
        self.journal.tidy()

    @rule(keep=st.integers(0, 6))
    def prune(self, keep):
        last = self.journal.last_nonce()
        dropped = self.journal.prune(keep=keep)
        gone = [
            row for row in self.rows.values() if not self.journal.entry(row.tx_hash)
        ]
        assert len(gone) == dropped
        for row in gone:
            del self.rows[row.tx_hash]
            assert row.stage != SendStage.SIGNED
            live = (SendStage.ACCEPTED, SendStage.EXECUTED)
            assert row.tx_type not in CREATIONS or row.stage not in live
        ended = (*VOID, SendStage.ENDED)
        finished = [row for row in self.rows.values() if row.stage in ended]
        assert len(finished) <= keep + 1
        assert self.journal.last_nonce() == last

    @rule()
    def restart(self):
        self.journal.close()
        self.open()

    @rule()
    def crash(self):
        """Go on with the files as they are now; marks may be lost, rows may not."""
        before = self.root / str(self.runs)
        self.runs += 1
        shutil.copytree(before, self.root / str(self.runs))
        self.journal.close()
        self.open()
        for tx_hash, row in self.rows.items():
            found = self.journal.entry(tx_hash)
            assert found.stage <= row.stage
            self.rows[tx_hash] = replace(row, stage=found.stage)

    @invariant()
    def everything_is_known(self):
        journal, rows = self.journal, list(self.rows.values())
        assert len(journal) == len(rows)
        assert [journal.entry(row.tx_hash) for row in rows] == rows
        signed = [row for row in rows if row.stage == SendStage.SIGNED]
        assert journal.unresolved() == sorted(signed, key=lambda row: row.nonce)
        created = [row for row in rows if row.tx_type in CREATIONS]
        live = (SendStage.ACCEPTED, SendStage.EXECUTED)
        assert journal.open_orders() == [row for row in created if row.stage in live]
        known = set().union(*map(orders_of, created))
        for order in range(1, 13):
            assert journal.knows(order) == (order in known)
            touching = [row for row in rows if order in orders_of(row)]
            assert journal.by_client_order_index(order) == touching
        used = [row.nonce for row in rows if row.stage not in VOID]
        assert journal.last_nonce() == max(used, default=None)

    @rule()
    def look_from_outside(self):
        folder = self.root / str(self.runs)
        seen = known_client_order_indices(folder, base_url=URL, account_index=1)
        created = [row for row in self.rows.values() if row.tx_type in CREATIONS]
        assert seen == set().union(*map(orders_of, created))


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
