"""A dry run signs and shows; nothing reaches the exchange."""

from __future__ import annotations

import logging

from wrappy.model import OrderStatus


async def test_a_dry_run_sends_nothing_and_shows_everything(
    venue, dealer, relay_to, caplog
):
    caplog.set_level(logging.INFO, "LighterDealer.tx")
    relay = await relay_to(venue)
    trader = await dealer(relay, prefer_high_level=True)
    answer = await trader.create_limit_order(1900, 0.05)
    coi = answer["client_order_index"]
    await trader.cancel_order_by_coi(4711)
    result = await trader.flush()
    assert result["dry_run"]
    assert (result["count"], len(result["tx_hash"])) == (2, 2)
    assert result["predicted_execution_time_ms"] is None
    assert "dry run: type 14" in caplog.text
    assert str(coi) in caplog.text
    record = trader.orders.get(coi)
    assert (record.status, record.reason) == (OrderStatus.REJECTED, "dry run")

    market = await trader.create_market_order(0.05)
    assert market["status"] == "dry_run"
    batch = await trader.batch_cancel_and_create([1], [(1900, 0.05)])
    assert batch["dry_run"]
    assert (await trader.cancel_all_orders())["dry_run"]
    assert not venue.ledger.accepted()
    assert not [path for path in relay.paths() if "sendTx" in path]


async def test_a_real_dealer_after_a_dry_one_starts_at_the_first_nonce(venue, dealer):
    dry, real = await dealer(venue, prefer_high_level=True), await dealer(venue)
    for trader in (dry, real):
        await trader.create_limit_order(1900, 0.05)
        await trader.flush()
    assert [tx.nonce for tx in venue.ledger.accepted()] == [1]
