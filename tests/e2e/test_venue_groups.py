"""Groups, triggers and isolated margin, signed and sent to the local exchange."""

from __future__ import annotations

import json

import aiohttp
import pytest

from wrappy.protocol.intents import (
    CreateGroupedOrders,
    CreateOrder,
    UpdateLeverage,
    UpdateMargin,
)
from wrappy.signing.python import PythonSigner
from wrappy.venue import SteppedClock, Venue

DEADLINE_S = 10.0
START_S = 1_800_000_000
EXPIRY_MS = (START_S + 7_200) * 1_000
PRICE, BUY, SELL = 300_000, False, True
MARKET, STOP, TAKE = 1, 2, 4
OTOCO = 3


class Client:
    """Plain HTTP and one account against a venue whose time stands still."""

    def __init__(self, venue, session, account):
        owner = venue.accounts[account]
        self.venue, self.session, self.nonce = venue, session, 0
        self.account_index = owner.account_index
        self.signer = PythonSigner(
            owner.api_keys[0].api_key_private_key,
            account_index=owner.account_index,
            api_key_index=owner.api_keys[0].api_key_index,
            chain_id=venue.chain_id,
            clock_ms=lambda: START_S * 1_000,
        )
        self.token = self.signer.auth_token(deadline_s=START_S + 3_600)

    async def get(self, path, **query):
        async with self.session.get(
            f"{self.venue.base_url}/api/v1/{path}",
            params=query,
            headers={"authorization": self.token},
        ) as response:
            return await response.json()

    async def do(self, intent):
        self.nonce += 1
        signed = self.signer.sign(intent, nonce=self.nonce)
        form = {"tx_type": str(int(signed.tx_type)), "tx_info": signed.tx_info}
        url = f"{self.venue.base_url}/api/v1/sendTx"
        async with self.session.post(url, data=form) as response:
            body = await response.json()
        assert body["code"] == 200, body
        await self.venue.advance(1)
        tx = await self.get("tx", by="hash", value=signed.tx_hash)
        assert tx["status"] == 2
        return json.loads(tx["event_info"])

    async def orders(self):
        body = await self.get(
            "accountOrders", account_index=self.account_index, limit=100
        )
        return {row["client_order_index"]: row for row in body["orders"]}

    async def position(self):
        body = await self.get("account", by="index", value=self.account_index)
        return body["accounts"][0]["positions"][0]


@pytest.fixture
async def clients():
    clock = SteppedClock(START_S)
    async with Venue(seed=2, symbols=["ETH"], flow="none", clock=clock) as venue:
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield [Client(venue, session, account) for account in (0, 1)]


def resting(coi, price, is_ask):
    return CreateOrder(0, coi, 1_000, price, is_ask, order_expiry=EXPIRY_MS)


def bracket():
    entry = CreateOrder(0, 1, 1_000, PRICE + 500, BUY, MARKET, 0)
    legs = [
        CreateOrder(
            0,
            coi,
            0,
            trigger - 3_000,
            SELL,
            kind,
            0,
            reduce_only=True,
            trigger_price=trigger,
            order_expiry=EXPIRY_MS,
        )
        for coi, kind, trigger in ((2, TAKE, PRICE + 3_000), (3, STOP, PRICE - 3_000))
    ]
    return CreateGroupedOrders(OTOCO, (entry, *legs))


async def test_a_signed_bracket_lives_from_entry_to_exit(clients):
    alice, bob = clients
    await bob.do(resting(1, PRICE, SELL))
    told = await alice.do(bracket())
    orders = await alice.orders()
    assert [orders[coi]["status"] for coi in (1, 2, 3)] == [
        "filled",
        "pending",
        "pending",
    ]
    assert told["to"]["t0"] == orders[2]["order_index"]
    assert told["to"]["t1"] == orders[3]["order_index"]
    for coi, other in ((2, 3), (3, 2)):
        assert orders[coi]["trigger_status"] == "mark-price"
        assert orders[coi]["to_cancel_order_id_0"] == orders[other]["order_id"]
        assert orders[coi]["parent_order_id"] == orders[1]["order_id"]
        assert orders[coi]["initial_base_amount"] == "0.1000"
    assert (await alice.position())["pending_order_count"] == 2
    active = await alice.get(
        "accountActiveOrders", account_index=alice.account_index, market_id=0
    )
    assert {row["client_order_index"] for row in active["orders"]} == {2, 3}
    await bob.do(resting(2, PRICE + 10_000, BUY))
    await bob.do(resting(3, PRICE + 10_010, SELL))
    orders = await alice.orders()
    assert [orders[coi]["status"] for coi in (2, 3)] == ["filled", "canceled-oco"]
    assert orders[2]["trigger_time"] > START_S * 1_000
    assert (await alice.position())["position"] == "0.0000"


async def test_isolated_margin_is_shown_and_moved(clients):
    alice, bob = clients
    await alice.do(UpdateLeverage(0, 1_000, margin_mode=1))
    await bob.do(resting(1, PRICE, SELL))
    await alice.do(CreateOrder(0, 1, 1_000, PRICE + 500, BUY, MARKET, 0))
    position = await alice.position()
    assert (position["margin_mode"], position["allocated_margin"]) == (1, "30.000000")
    await alice.do(UpdateMargin(0, 5_000_000, 1))
    assert (await alice.position())["allocated_margin"] == "35.000000"
