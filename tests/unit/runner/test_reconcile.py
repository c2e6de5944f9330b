"""Where journal and exchange disagree."""

from __future__ import annotations

from pathlib import Path

from wrappy._core.journal_rows import JournalEntry, SendStage
from wrappy.lighter.persistence.journal_reading import KeptJournal
from wrappy.runner.reconcile import DriftKind, Fate, compare


def row(nonce, *, order=None, stage=SendStage.EXECUTED, tx_type=14, group=()):
    return JournalEntry(
        nonce=nonce,
        tx_type=tx_type,
        tx_hash=f"{nonce:064x}",
        tx_info="{}",
        expired_at_ms=0,
        market_index=0,
        client_order_index=order,
        group_indices=group,
        batch=1,
        stage=stage,
        written_ms=nonce,
        intent="{}",
    )


def compared(rows, live, **changes):
    journals = [KeptJournal(4, Path("journal"), tuple(rows))]
    orders = [{"client_order_index": n, "market_index": 0} for n in live]
    return compare(journals, orders, **{"endings": {}, "fates": {}, **changes})


def test_what_both_know_is_no_drift():
    found = compared([row(1, order=7), row(2, order=8, stage=SendStage.ENDED)], [7])
    assert found.is_clean
    assert (found.live, found.known) == (1, 1)


def test_an_order_that_is_over_is_a_drift_until_the_journal_hears_of_it():
    found = compared([row(1, order=7)], [], endings={7: "filled"})
    (drift,) = found.drifts
    assert (drift.kind, drift.client_order_index) == (DriftKind.GONE, 7)
    assert drift.words == "filled"


def test_a_running_bot_has_its_newest_marks_in_memory():
    rows = [row(1, order=7), row(2, order=8, stage=SendStage.SIGNED)]
    assert compared(rows, [], endings={7: "filled"}, running=True).is_clean
    assert not compared(rows, [], running=True).is_clean


def test_a_group_is_there_while_one_of_its_orders_is():
    rows = [row(1, group=(7, 8), tx_type=28)]
    assert compared(rows, [8]).is_clean
    (drift,) = compared(rows, []).drifts
    assert drift.words == "the exchange lists it nowhere"


def test_a_live_order_that_nobody_here_made_is_a_stranger():
    (drift,) = compared([row(1, order=7)], [7, 0]).drifts
    assert (drift.kind, drift.client_order_index) == (DriftKind.STRANGER, 0)


def test_a_transaction_without_an_end_is_told_with_what_the_exchange_says():
    doubt = row(3, order=9, stage=SendStage.SIGNED)
    fate = Fate(is_executed=False, is_over=False, words="never arrived")
    (drift,) = compared([doubt], [], fates={doubt.tx_hash: fate}).drifts
    assert drift.kind is DriftKind.UNSETTLED
    assert drift.words.endswith("never arrived")
    (drift,) = compared([doubt], []).drifts
    assert drift.words.endswith("nobody was asked")


def test_answers_that_a_killed_bot_could_not_write_down_are_the_exchanges():
    doubt = row(3, order=9, stage=SendStage.SIGNED)
    done = {doubt.tx_hash: Fate(is_executed=True, is_over=True, words="executed")}
    assert compared([doubt], [9], fates=done).is_clean
    (drift,) = compared([doubt], [], fates=done).drifts
    assert drift.kind is DriftKind.GONE
    failed = {doubt.tx_hash: Fate(is_executed=False, is_over=True, words="failed")}
    assert compared([doubt], [], fates=failed).is_clean
