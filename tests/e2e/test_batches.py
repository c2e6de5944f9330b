"""What goes out together, in which order, and what never goes out."""

from __future__ import annotations

import asyncio

import pytest

from wrappy import InvalidOrderError, OrderRejectedError, UsageError
from wrappy.model import OrderStatus

CREATE, CANCEL, CANCEL_ALL, MODIFY = 14, 15, 16, 17
BATCH = "/api/v1/sendTxBatch"
SINGLE = "/api/v1/sendTx"


def types(venue):
    return [accepted.tx_type for accepted in venue.ledger.accepted()]


def nonces(venue):
    return [accepted.nonce for accepted in venue.ledger.accepted()]


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


async def test_forty_orders_leave_in_three_requests_with_consecutive_nonces(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    for step in range(40):
        await trader.create_limit_order(1000 + step, 0.05)
    result = await trader.flush()
    assert (result["count"], result["batches"]) == (40, 3)
    assert len(set(result["tx_hash"])) == 40
    assert [p for p in relay.paths() if "sendTx" in p] == [BATCH] * 3
    accepted = quiet_venue.ledger.accepted()
    assert [tx.nonce for tx in accepted] == list(range(1, 41))
    assert [tx.tx_hash for tx in accepted] == result["tx_hash"]
    assert created(quiet_venue) == result["client_order_indices"]
    assert not quiet_venue.ledger.refused()
    assert result["predicted_execution_time_ms"] is not None


async def test_one_order_alone_is_no_batch(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, max_ws_batch=2)
    for _ in range(3):
        await trader.create_limit_order(1000, 0.05)
    assert (await trader.flush())["batches"] == 2
    assert [p for p in relay.paths() if "sendTx" in p] == [BATCH, SINGLE]


async def test_a_batch_larger_than_the_exchange_takes_is_refused_whole(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue, max_ws_batch=50)
    cois = [
        (await trader.create_limit_order(1000, 0.05))["client_order_index"]
        for _ in range(20)
    ]
    with pytest.raises(OrderRejectedError, match="21514"):
        await trader.flush()
    assert not quiet_venue.ledger.accepted()
    assert all(trader.orders.get(c).status is OrderStatus.REJECTED for c in cois)


async def test_cancels_go_first_but_never_before_the_create_they_follow(
    quiet_venue, dealer, eventually
):
    trader = await dealer(quiet_venue)
    resting = await trader.create_limit_order(1000, 0.05)
    await trader.flush()

    fresh = await trader.create_limit_order(1001, 0.05)
    await trader.cancel_order_by_coi(fresh["client_order_index"])
    await trader.cancel_order_by_coi(resting["client_order_index"])
    await trader.flush()
    assert types(quiet_venue) == [CREATE, CANCEL, CREATE, CANCEL]
    indices = [
        tx.info["Index"] for tx in quiet_venue.ledger.accepted() if tx.tx_type == CANCEL
    ]
    assert indices == [resting["client_order_index"], fresh["client_order_index"]]
    await eventually(
        lambda: {o.status for o in quiet_venue.ledger.orders()} == {"canceled"}
    )


async def test_a_batch_is_sent_at_the_end_of_its_block(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    async with trader.batch() as same:
        assert same is trader
        await trader.create_limit_order(1000, 0.05)
        await trader.create_limit_order(1001, 0.05)
        assert not quiet_venue.ledger.accepted()
    assert types(quiet_venue) == [CREATE, CREATE]


async def test_a_market_order_inside_a_batch_waits_for_its_end(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    async with trader.batch():
        answer = await trader.create_market_order(0.05, 2000)
        assert answer["status"] == "queued"
        assert not quiet_venue.ledger.accepted()
    assert types(quiet_venue) == [CREATE]


async def test_a_batch_whose_body_raises_sends_nothing(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    kept = await trader.create_limit_order(999, 0.05)
    cois = []

    async def change_my_mind():
        async with trader.batch():
            answer = await trader.create_limit_order(1000, 0.05)
            cois.append(answer["client_order_index"])
            raise LookupError("changed my mind")

    with pytest.raises(LookupError, match="changed my mind"):
        await change_my_mind()
    assert not quiet_venue.ledger.accepted()
    record = trader.orders.get(cois[0])
    assert record.status is OrderStatus.REJECTED
    assert record.reason == "not sent: its batch raised"
    await trader.flush()
    assert created(quiet_venue) == [kept["client_order_index"]]
    assert nonces(quiet_venue) == [1]


async def test_tasks_do_not_sweep_each_others_batches(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    inside, outside_done = asyncio.Event(), asyncio.Event()

    async def slow():
        async with trader.batch():
            first = await trader.create_limit_order(1000, 0.05)
            inside.set()
            await outside_done.wait()
            second = await trader.create_limit_order(1001, 0.05)
        return [first["client_order_index"], second["client_order_index"]]

    async def other():
        await inside.wait()
        loose = await trader.create_limit_order(1002, 0.05)
        swept = await trader.flush()
        async with trader.batch():
            own = await trader.create_limit_order(1003, 0.05)
        outside_done.set()
        assert swept["client_order_indices"] == [loose["client_order_index"]]
        return [loose["client_order_index"], own["client_order_index"]]

    slowly, others = await asyncio.gather(slow(), other())
    assert created(quiet_venue) == [*others, *slowly]
    assert [p for p in relay.paths() if "sendTx" in p] == [SINGLE, SINGLE, BATCH]


async def test_flush_and_batch_inside_a_batch_are_refused(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    async with trader.batch():
        with pytest.raises(UsageError, match="flush inside batch"):
            await trader.flush()
        with pytest.raises(UsageError, match="cancel_all_orders inside batch"):
            await trader.cancel_all_orders()
        with pytest.raises(UsageError, match=r"batch\(\) inside batch"):
            async with trader.batch():
                pass
    assert not quiet_venue.ledger.accepted()


async def test_cancel_all_goes_out_at_once_and_drops_what_was_queued_before_it(
    quiet_venue, dealer, eventually
):
    trader = await dealer(quiet_venue)
    for step in range(3):
        await trader.create_limit_order(1000 + step, 0.05)
    await trader.flush()
    waiting = await trader.create_limit_order(1010, 0.05)
    result = await trader.cancel_all_orders()
    assert result["count"] == 1
    assert types(quiet_venue) == [CREATE, CREATE, CREATE, CANCEL_ALL]
    await eventually(
        lambda: {o.status for o in quiet_venue.ledger.orders()} == {"canceled"}
    )
    assert trader.receipt(waiting["client_order_index"]).stage.value == "not_sent"
    later = await trader.create_limit_order(1010, 0.05)
    await trader.flush()
    assert created(quiet_venue)[3:] == [later["client_order_index"]]


async def test_one_bad_order_of_a_batch_keeps_all_of_it_back(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    with pytest.raises(InvalidOrderError, match="price"):
        await trader.batch_cancel_and_create(
            new_limit_orders=[(1000, 0.05), (float("nan"), 0.05)]
        )
    with pytest.raises(InvalidOrderError, match="cancel_client_order_indices"):
        await trader.batch_cancel_and_create([0], [(1000, 0.05)])
    assert (await trader.flush())["count"] == 0
    assert not quiet_venue.ledger.accepted()


async def test_a_dealer_that_is_closed_tells_what_it_dropped(
    quiet_venue, dealer, caplog
):
    trader = await dealer(quiet_venue)
    answer = await trader.create_limit_order(1000, 0.05)
    await trader.aclose()
    assert "the dealer was closed: 1 unsent" in caplog.text
    assert str(answer["client_order_index"]) in caplog.text
    status = trader.orders.get(answer["client_order_index"]).status
    assert status is OrderStatus.REJECTED


async def test_a_pause_before_sending_can_be_asked_for(quiet_venue, dealer):
    trader = await dealer(quiet_venue, jitter_ms=(0, 1))
    await trader.create_limit_order(1000, 0.05)
    assert (await trader.flush())["count"] == 1


async def test_the_callers_logger_hears_of_it(quiet_venue, dealer):
    class Notebook:
        def __init__(self):
            self.lines = []

        def log_warning(self, text):
            self.lines.append(text)

    notebook = Notebook()
    trader = await dealer(quiet_venue, logger=notebook)
    await trader.create_limit_order(1000, 0.05)
    await trader.aclose()
    assert len(notebook.lines) == 1
