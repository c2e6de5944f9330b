"""Spot markets in the official SDK's eyes: its models, and an order it signed."""

from __future__ import annotations

import time

import aiohttp
import pytest

from tests.contract.running import eventually
from tests.contract.test_official_models import OWN, PAGE, V1, Trader, validate
from wrappy.protocol.intents import CreateOrder
from wrappy.venue import Venue

lighter = pytest.importorskip("lighter", reason="lighter-sdk is not installed")

SPOT = 2048
ASKED = {
    V1 + "account": {"by": "index", "value": OWN["account_index"]},
    V1 + "accountActiveOrders": {**OWN, "market_type": "spot"},
    V1 + "accountInactiveOrders": {**PAGE, "market_type": "spot"},
    V1 + "assetDetails": {},
    V1 + "exchangeStats": {},
    V1 + "orderBookDetails": {"filter": "spot"},
    V1 + "orderBookOrders": {"market_id": SPOT, "limit": 5},
    V1 + "orderBooks": {"filter": "spot"},
    V1 + "recentTrades": {"market_id": SPOT, "limit": 5},
    V1 + "trades": {"sort_by": "trade_id", "limit": 9, "market_type": "spot"},
}


@pytest.fixture
async def trader():
    symbols = ["ETH", "ETH/USDC"]
    async with Venue(seed=3, symbols=symbols) as venue, aiohttp.ClientSession() as http:
        yield Trader(venue, http)


async def test_every_body_about_spot_satisfies_its_official_model(trader):
    market = trader.venue.exchange.markets[SPOT]
    await eventually(lambda: market.engine.best_ask)
    expiry = int(time.time() * 1000) + 3_600_000
    taken = market.mark_price * 104 // 100
    await trader.send(CreateOrder(SPOT, 1, 1000, taken, False, time_in_force=0))
    rests = market.mark_price * 96 // 100
    last = CreateOrder(SPOT, 2, 1000, rests, False, order_expiry=expiry)
    sent = await trader.send(last)
    record = trader.venue.exchange.transaction
    await eventually(lambda: record(sent["tx_hash"]).executed_us)
    bodies = {}
    for path, query in ASKED.items():
        status, bodies[path] = await trader.get(path, **query)
        assert status == 200, (path, bodies[path])
        validate(path, bodies[path])
    assert len(bodies[V1 + "accountActiveOrders"]["orders"]) == 1
    assert len(bodies[V1 + "accountInactiveOrders"]["orders"]) == 1
    details = bodies[V1 + "orderBookDetails"]["spot_order_book_details"]
    lighter.models.SpotOrderBookDetail.model_validate(details[0])
    assert len(bodies[V1 + "account"]["accounts"][0]["assets"]) == 2
    assert bodies[V1 + "trades"]["trades"][0]["market_kind"] == "spot"


async def test_the_official_signer_trades_a_spot_market(trader):
    market = trader.venue.exchange.markets[SPOT]
    await eventually(lambda: market.engine.best_ask)
    key = trader.owner.api_keys[0]
    client = lighter.SignerClient(
        url=trader.venue.base_url,
        account_index=trader.owner.account_index,
        api_private_keys={key.api_key_index: key.api_key_private_key},
    )
    try:
        _, sent, error = await client.create_order(
            market_index=SPOT,
            client_order_index=7,
            base_amount=1_000,
            price=market.mark_price * 96 // 100,
            is_ask=False,
            order_type=client.ORDER_TYPE_LIMIT,
            time_in_force=client.ORDER_TIME_IN_FORCE_GOOD_TILL_TIME,
        )
    finally:
        await client.close()
    assert error is None, error
    state = trader.venue.exchange.accounts[trader.owner.account_index]
    await eventually(lambda: 7 in state.by_coi)
    assert state.spot.locked[3] > 0
    assert sent.code == 200
