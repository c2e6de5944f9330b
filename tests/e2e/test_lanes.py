"""Keys, lanes and journals of a dealer, judged by the exchange's ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from wrappy import LighterDealer, NonceRejectedError
from wrappy.errors import (
    ForeignNonceError,
    KeyInUseError,
    SendOutcomeUnknownError,
    UsageError,
)
from wrappy.lighter.persistence.journal import Journal, SendStage
from wrappy.lighter.persistence.key_lock import KeyLock
from wrappy.model import OrderStatus
from wrappy.protocol.intents import CancelAllOrders
from wrappy.signing.sdk import SdkSigner

SEND = "/api/v1/sendTx"


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


def by_key(venue):
    """Return the accepted nonces of each key, in order."""
    found = {}
    for tx in venue.ledger.accepted():
        found.setdefault(tx.api_key_index, []).append(tx.nonce)
    return found


def keys_of(venue):
    return [key.api_key_index for key in venue.accounts[0].api_keys]


async def place(trader, price=1000, size=0.05):
    return (await trader.create_limit_order(price, size))["client_order_index"]


async def use_nonce(venue, nonce):
    """Consume a nonce as another program with the same key would."""
    account = venue.accounts[0]
    key = account.api_keys[0]
    signer = SdkSigner(
        key.api_key_private_key,
        account_index=account.account_index,
        api_key_index=key.api_key_index,
        chain_id=venue.chain_id,
    )
    tx = signer.sign(CancelAllOrders(market_index=0), nonce=nonce)
    form = {"tx_type": str(int(tx.tx_type)), "tx_info": tx.tx_info}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.base_url}{SEND}", data=form) as response,
    ):
        assert response.status == 200, await response.text()


# --------------------------------------------------------------------------- keys


async def test_makers_and_cancels_go_by_the_first_key_and_takers_by_the_second(
    quiet_venue, dealer
):
    main, other = keys_of(quiet_venue)
    trader = await dealer(quiet_venue)
    resting = await place(trader)
    await trader.create_market_order(0.05, 2000)
    await trader.cancel_order_by_coi(resting)
    await trader.flush()
    assert by_key(quiet_venue) == {main: [1, 2], other: [1]}
    assert not quiet_venue.ledger.refused()


async def test_one_flush_is_split_by_key_and_its_result_names_every_order(
    quiet_venue, dealer
):
    main, other = keys_of(quiet_venue)
    trader = await dealer(quiet_venue)
    async with trader.batch():
        taken = await trader.create_market_order(0.05, 2000)
        resting = [await place(trader) for _ in range(2)]
    assert by_key(quiet_venue) == {main: [1, 2], other: [1]}
    assert created(quiet_venue)[:2] == resting
    assert taken["status"] == "queued"


async def test_a_doubt_on_the_takers_key_does_not_hold_cancels_up(
    quiet_venue, dealer, relay_to
):
    main, other = keys_of(quiet_venue)
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    resting = await place(trader)
    await trader.flush()
    relay.hold_answer(SEND)
    taking = asyncio.create_task(trader.create_market_order(0.05, 2000))
    await relay.holding.wait()
    await trader.cancel_order_by_coi(resting)
    await asyncio.wait_for(trader.flush(), 1.0)
    assert by_key(quiet_venue) == {main: [1, 2], other: [1]}
    relay.release.set()
    await taking


async def test_a_key_in_use_elsewhere_is_refused_with_its_holder(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    held = KeyLock.acquire(
        Path(config.state_dir),
        base_url=config.base_url,
        account_index=config.account_index,
        api_key_index=config.api_keys[1].api_key_index,
    )
    with pytest.raises(KeyInUseError):
        await LighterDealer.create(config)
    held.release()
    async with await LighterDealer.create(config) as trader:
        await place(trader)
        await trader.flush()
    assert len(created(quiet_venue)) == 1


# ------------------------------------------------------------------- foreign nonces


async def test_a_second_writer_stops_new_orders_but_not_cancels(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    heard = []
    trader.on_foreign_nonce = heard.append
    resting = await place(trader)
    await trader.flush()
    for nonce in (2, 4):
        await use_nonce(quiet_venue, nonce)
        coi = await place(trader)
        with pytest.raises(NonceRejectedError):
            await trader.flush()
        if nonce == 2:
            await trader.flush()
            assert created(quiet_venue) == [resting, coi]
    count = len(created(quiet_venue))
    with pytest.raises(ForeignNonceError, match="somebody else"):
        await trader.flush()
    await trader.cancel_order_by_coi(resting)
    with pytest.raises(ForeignNonceError):
        await trader.flush()
    assert len(created(quiet_venue)) == count
    assert quiet_venue.ledger.accepted()[-1].tx_type == 15, "the cancel passed"
    assert heard == [1, 1]
    trader.acknowledge_foreign_nonce()
    await trader.flush()
    assert len(created(quiet_venue)) == count + 1


async def test_a_closed_dealer_hears_of_no_stranger(quiet_venue, dealer):
    first, second = await dealer(quiet_venue), await dealer(quiet_venue)
    heard = []
    first.on_foreign_nonce = heard.append
    await first.aclose()
    await place(second)
    await second.flush()
    await use_nonce(quiet_venue, 2)
    await place(second)
    with pytest.raises(NonceRejectedError):
        await second.flush()
    await second.flush()
    assert heard == []
    with pytest.raises(UsageError, match="closed"):
        first.acknowledge_foreign_nonce()


# ------------------------------------------------------------------------- pipeline


async def test_a_deep_pipeline_keeps_the_order_on_the_wire(quiet_venue, dealer):
    trader = await dealer(
        quiet_venue, use_websocket=True, pipeline_depth=4, max_ws_batch=3
    )
    cois = [await place(trader, 1000 + step) for step in range(40)]
    result = await trader.flush()
    assert result["batches"] == 14
    assert result["client_order_indices"] == cois
    assert created(quiet_venue) == cois
    assert [tx.nonce for tx in quiet_venue.ledger.accepted()] == list(range(1, 41))


async def test_what_falls_with_a_refused_batch_in_the_pipeline_is_sent_again(
    quiet_venue, dealer
):
    trader = await dealer(
        quiet_venue, use_websocket=True, pipeline_depth=4, max_ws_batch=1
    )
    await trader.create_limit_order(2000, -0.05)
    await trader.flush()
    good = [await place(trader, 1000)]
    bad = await place(trader, 4000)  # beyond the exchange's price band
    good += [await place(trader, 1001 + step) for step in range(2)]
    errors = await asyncio.gather(trader.flush(), return_exceptions=True)
    assert errors[0].outcome == "refused"
    await trader.flush()
    assert sorted(created(quiet_venue)[1:]) == good
    assert trader.orders.get(bad).status is OrderStatus.REJECTED


# -------------------------------------------------------------------------- journal


async def test_the_journal_tells_the_whole_story_and_the_next_start_knows_it(
    quiet_venue, config_for
):
    config = config_for(quiet_venue)
    async with await LighterDealer.create(config) as trader:
        kept, dropped = await place(trader), await place(trader, 1001)
        await trader.flush()
        await trader.cancel_order_by_coi(dropped)
        await trader.flush()
        await trader.fetch_open_orders()
    journal = Journal.open(
        Path(config.state_dir),
        base_url=config.base_url,
        account_index=config.account_index,
        api_key_index=config.api_keys[0].api_key_index,
    )
    assert journal.unresolved() == []
    entries = journal.by_client_order_index(kept)
    assert [entry.stage for entry in entries] == [SendStage.ACCEPTED]
    journal.close()
    async with await LighterDealer.create(config) as trader:
        assert trader.orders.get(kept).status is OrderStatus.OPEN
        await trader.cancel_order_by_coi(kept)
        await trader.flush()
    assert [tx.nonce for tx in quiet_venue.ledger.accepted()] == [1, 2, 3, 4]


async def test_without_a_journal_nothing_is_written_but_the_key_is_still_locked(
    quiet_venue, dealer, config_for
):
    trader = await dealer(quiet_venue, journal=False)
    await place(trader)
    await trader.flush()
    folder = Path(config_for(quiet_venue).state_dir)
    assert not list(folder.glob("journal-*"))
    assert list(folder.glob("key-*"))


# --------------------------------------------------------------------------- expiry


async def test_bytes_that_expire_unseen_are_dead_within_seconds(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, signer="python", maker_lifetime_ms=1_000)
    lost = await place(trader)
    relay.lose_request(SEND, times=8)
    began = asyncio.get_running_loop().time()
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    assert (await trader.flush())["count"] == 0
    assert asyncio.get_running_loop().time() - began <= 1.0 + 2.0 + 0.5
    assert trader.orders.get(lost).status is OrderStatus.REJECTED
    later = [await place(trader, 1001 + step) for step in range(2)]
    await trader.flush()
    assert created(quiet_venue) == later
    assert [tx.nonce for tx in quiet_venue.ledger.accepted()] == [1, 2]


async def test_a_second_dealer_of_the_process_takes_over_its_own_markets_orders(
    quiet_venue, config_for
):
    eth = config_for(quiet_venue)
    btc = config_for(quiet_venue, symbol="BTC")
    async with await LighterDealer.create(btc) as trader:
        kept = await place(trader, 50_000)
        await trader.flush()
    async with (
        await LighterDealer.create(eth) as first,
        await LighterDealer.create(btc) as second,
    ):
        assert first.orders.get(kept) is None
        assert second.orders.get(kept).status is OrderStatus.OPEN
