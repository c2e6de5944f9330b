"""D1 to D8: it runs at all, with today's official library, on any machine."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from wrappy import SendOutcomeUnknownError, WsInfo

ROOT = Path(__file__).resolve().parents[2]
CREATE, CANCEL, CANCEL_ALL, MODIFY = 14, 15, 16, 17


async def place(trader, price=1000, size=0.05):
    return (await trader.create_limit_order(price, size))["client_order_index"]


def types(venue):
    return [tx.tx_type for tx in venue.ledger.accepted()]


async def overlay_at(exchange):
    owner = exchange.accounts[0]
    key = owner.api_keys[0]
    return await WsInfo.run_overlay(
        owner.account_index,
        key.api_key_index,
        key.api_key_private_key,
        symbol="ETH",
        base_url=exchange.base_url,
        chain_id=exchange.chain_id,
        environment=exchange.environment,
    )


async def test_d01_every_signed_call_works_with_the_installed_official_library(
    quiet_venue, dealer, eventually
):
    maker = await dealer(quiet_venue, account=1)
    await place(maker, 3000, -1)
    await maker.flush()

    trader = await dealer(quiet_venue, signer="official")
    changed, canceled = await place(trader), await place(trader, 1001)
    await trader.flush()
    await trader.update_order_by_coi(changed, price=1002)
    await trader.cancel_order_by_coi(canceled)
    await trader.flush()
    await trader.create_market_order(0.05, 3100)
    await trader.set_leverage(5)
    await trader.cancel_all_orders()
    assert await trader.fetch_open_orders() is not None, "a signed token was taken"

    ledger = quiet_venue.ledger
    assert not ledger.refused(), "the exchange checks every signature"
    ours = ledger.orders(quiet_venue.accounts[0].account_index)
    await eventually(
        lambda: (
            {o.status for o in ledger.orders(ours[0].owner)} == {"canceled", "filled"}
        )
    )


async def test_d02_bytes_and_hash_are_known_before_the_exchange_answers(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    coi = await place(trader)
    relay.lose_answer("/api/v1/sendTx")
    with pytest.raises(SendOutcomeUnknownError) as caught:
        await trader.flush()
    (accepted,) = quiet_venue.ledger.accepted()
    assert caught.value.tx_hashes == (accepted.tx_hash,)
    assert caught.value.client_order_indices == (coi,)


async def test_d03_each_call_sends_its_own_kind_of_transaction(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    coi = await place(trader)
    await trader.flush()
    await trader.update_order_by_coi(coi, price=1001, quantity=0.06)
    await trader.flush()
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    await trader.cancel_all_orders()
    assert types(quiet_venue) == [CREATE, MODIFY, CANCEL, CANCEL_ALL]


async def test_d04_a_scheduled_cancel_all_carries_its_moment(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    moment_s = await trader.schedule_cancel_all(300)
    await trader.abort_scheduled_cancel()
    scheduled, aborted = quiet_venue.ledger.accepted()
    assert scheduled.info["Time"] == pytest.approx(moment_s * 1000, abs=1)
    assert scheduled.info["Time"] * 1000 - scheduled.at_us >= 299e6
    assert aborted.info["Time"] == 0


async def test_d05_an_order_is_fetched_from_the_accounts_own_not_from_the_book(
    quiet_venue, dealer, eventually
):
    trader, other = await dealer(quiet_venue), await dealer(quiet_venue, account=1)
    live, ended = await place(trader), await place(trader, 1001)
    foreign = await place(other, 1002)
    await asyncio.gather(trader.flush(), other.flush())
    await trader.cancel_order_by_coi(ended)
    await trader.flush()
    await eventually(
        lambda: "canceled" in {o.status for o in quiet_venue.ledger.orders()}
    )
    report = await trader.fetch_order(live)
    assert (report.status, report.price) == ("open", Decimal(1000))
    assert (await trader.fetch_order(ended)).status == "canceled"
    assert await trader.fetch_order(foreign) is None, "it stands in the public book"


def test_d06_a_quiet_stream_keeps_its_one_connection(simulated):
    async def hours(exchange, opened):
        async with await overlay_at(exchange) as overlay:
            await asyncio.sleep(2 * 3600)
            return overlay.connects, overlay.state.name

    # The exchange drops a connection that is silent for two minutes.
    assert simulated(hours) == (1, "READY")


def test_d07_a_renewed_token_reaches_the_exchange_in_time(simulated):
    async def a_day(exchange, opened):
        trader = await opened()
        async with await overlay_at(exchange) as overlay:
            told = []
            for _ in range(4):
                await asyncio.sleep(7 * 3600)
                coi = await place(trader)
                await trader.flush()
                order = await overlay.wait_order_by_coi(coi, timeout=5.0)
                told.append(order and order["status"])
            return told, overlay.connects

    # Here a subscription ends with the token it was made with.
    told, connects = simulated(a_day, expired_token="unsubscribe")
    assert told == ["open"] * 4
    assert connects == 1


def test_d08_the_package_is_found_by_its_name_and_needs_what_it_says():
    assert importlib.import_module("wrappy.lighter.ws").WsInfo is WsInfo
    assert "polars" not in sys.modules
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    name = re.search(r'^name = "(.+)"$', text, re.MULTILINE)[1]
    assert name == "wrappy-lighter", "the plain name belongs to somebody else"
    listed = re.search(r"^dependencies = \[(.*?)\]", text, re.DOTALL | re.MULTILINE)[1]
    needed = {re.match(r"[\w-]+", item)[0] for item in re.findall(r'"(.+?)"', listed)}
    assert {"lighter-sdk", "aiohttp", "msgspec"} <= needed
    assert not needed & {"asyncio", "polars", "matplotlib"}
