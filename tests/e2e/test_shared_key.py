"""Several dealers and overlays of one process on one key."""

from __future__ import annotations

import asyncio

from wrappy.model import OrderStatus


async def test_three_dealers_and_overlays_interleave_sixty_orders_on_one_key(
    quiet_venue, dealer, ws
):
    symbols = ["ETH", "BTC", "ETH"]
    prices = {"ETH": 1000, "BTC": 50_000}
    dealers = [await dealer(quiet_venue, symbol=symbol) for symbol in symbols]
    overlays = [await ws(quiet_venue, symbol=symbol) for symbol in symbols]
    for trader, overlay in zip(dealers, overlays, strict=True):
        overlay.on_orders = trader.feed_ws_orders

    async def one(trader, step):
        price = prices[trader.market.symbol] + step
        answer = await trader.create_limit_order(price, 0.05)
        await trader.flush()
        return answer["client_order_index"]

    cois = await asyncio.gather(
        *(one(trader, step) for step in range(20) for trader in dealers)
    )
    assert len(set(cois)) == 60
    ledger = quiet_venue.ledger
    assert not ledger.refused()
    assert [tx.nonce for tx in ledger.accepted()] == list(range(1, 61))
    assert {o.client_order_index for o in ledger.orders()} == set(cois)
    for overlay in overlays:  # account streams tell of every market
        told = await asyncio.gather(
            *(overlay.wait_order_by_coi(coi, timeout=5.0) for coi in cois)
        )
        assert {row["status"] for row in told} == {"open"}
    for number, coi in enumerate(cois):
        known = dealers[number % 3].orders.get(coi)
        assert known.status is OrderStatus.OPEN


async def test_one_dealers_doubt_is_settled_by_another_on_the_same_key(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    first, second = await dealer(relay), await dealer(relay)
    lost = (await first.create_limit_order(1000, 0.05))["client_order_index"]
    relay.lose_answer("/api/v1/sendTx")
    outcome = await asyncio.gather(first.flush(), return_exceptions=True)
    assert outcome[0].client_order_indices == (lost,)
    kept = (await second.create_limit_order(1001, 0.05))["client_order_index"]
    await second.flush()
    assert first.orders.get(lost).status is OrderStatus.SENT
    orders = [o.client_order_index for o in quiet_venue.ledger.orders()]
    assert orders == [lost, kept]
    assert [tx.nonce for tx in quiet_venue.ledger.accepted()] == [1, 2]


async def test_two_accounts_do_not_wait_for_each_other(quiet_venue, dealer):
    one, two = await dealer(quiet_venue), await dealer(quiet_venue, account=1)
    await one.create_limit_order(1000, 0.05)
    await two.create_limit_order(1000, 0.05)
    await asyncio.gather(one.flush(), two.flush())
    accepted = quiet_venue.ledger.accepted()
    assert [tx.nonce for tx in accepted] == [1, 1]
    assert len({tx.account for tx in accepted}) == 2


async def test_the_market_list_and_each_key_are_asked_for_once(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    for _ in range(3):
        await dealer(relay)
    assert relay.paths().count("/api/v1/orderBookDetails") == 1
    keys = len(quiet_venue.accounts[0].api_keys)
    assert relay.paths().count("/api/v1/apikeys") == keys
