"""Funding and liquidation as clients see them, through real sockets."""

from __future__ import annotations

import aiohttp
import pytest

from wrappy.protocol.intents import CreateOrder
from wrappy.signing.python import PythonSigner
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.events import SetIndexPrice, SetLevel, Take

DEADLINE_S = 10.0
START_S = 1_800_000_000
ACCOUNT = 123_456
PRICE, FALLEN = 300_000, 283_100
HOURS = 26
DEEP = 10_000_000
ALL_TIME = {"start_timestamp": 0, "end_timestamp": 5_000_000_000_000, "count_back": 0}


class Script:
    """A market at 3000 USDC that falls after some hours."""

    def __init__(self):
        quiet = [
            SetIndexPrice(0, PRICE),
            SetLevel(0, False, PRICE - 1, DEEP),
            SetLevel(0, True, PRICE + 1, DEEP),
        ]
        fall = [
            SetLevel(0, False, PRICE - 1, 0),
            SetLevel(0, True, PRICE + 1, 0),
            SetIndexPrice(0, FALLEN),
            SetLevel(0, False, FALLEN - 1, DEEP),
            SetLevel(0, True, FALLEN + 1, DEEP),
            Take(0, True, FALLEN - 1, 100),
        ]
        self.steps = [(0, quiet), ((HOURS * 3_600 + 100) * 1_000_000, fall)]

    def next_at_us(self):
        return self.steps[0][0] if self.steps else None

    def step(self, _):
        return self.steps.pop(0)[1]


class Client:
    """One account with 200 USDC, its requests and one socket."""

    def __init__(self, venue, session, socket):
        self.venue, self.session, self.socket = venue, session, socket
        key = venue.accounts[0].api_keys[0]
        self.signer = PythonSigner(
            key.api_key_private_key,
            account_index=ACCOUNT,
            api_key_index=key.api_key_index,
            chain_id=venue.chain_id,
            clock_ms=lambda: START_S * 1_000,
        )
        self.token = self.signer.auth_token(deadline_s=START_S + 3_600)

    async def get(self, path, **query):
        # By the token of the moment: hours pass here.
        now_s = self.venue.exchange.height // 2 + START_S
        token = self.signer.auth_token(deadline_s=now_s + 3_600)
        url = f"{self.venue.base_url}/api/v1/{path}"
        headers = {"authorization": token}
        async with self.session.get(url, params=query, headers=headers) as response:
            return await response.json()

    async def own(self, path, **query):
        return await self.get(path, account_index=ACCOUNT, **query)

    async def buy(self, lots):
        nonce = (await self.get("nextNonce", account_index=ACCOUNT, api_key_index=4))[
            "nonce"
        ]
        order = CreateOrder(
            0, 1, lots, PRICE + 10, False, order_type=1, time_in_force=0, order_expiry=0
        )
        signed = self.signer.sign(order, nonce=nonce)
        form = {"tx_type": str(int(signed.tx_type)), "tx_info": signed.tx_info}
        url = f"{self.venue.base_url}/api/v1/sendTx"
        async with self.session.post(url, data=form) as response:
            assert response.status == 200, await response.text()
        await self.venue.advance(1)

    async def subscribe(self, *channels):
        for channel in channels:
            body = {"type": "subscribe", "channel": channel, "auth": self.token}
            await self.socket.send_json(body)
            await self.until(f"subscribed/{channel.split('/')[0]}")

    async def until(self, kind, wanted=bool):
        while True:
            frame = await self.socket.receive_json(timeout=DEADLINE_S)
            if frame["type"] == "ping":
                await self.socket.send_json({"type": "pong"})
            if frame["type"] == kind and wanted(frame):
                return frame


@pytest.fixture
async def client():
    settings = VenueSettings(
        seed=2, symbols=("ETH",), collateral=200_000_000, price_bands="off"
    )
    venue = Venue(settings=settings, flow=Script(), clock=SteppedClock(START_S))
    async with venue, aiohttp.ClientSession() as session:
        await venue.advance(0)
        async with session.ws_connect(venue.ws_url) as socket:
            yield Client(venue, session, socket)


def model(name):
    models = pytest.importorskip("lighter.models", reason="lighter-sdk is missing")
    return getattr(models, name)


async def test_an_hour_of_funding_is_told_everywhere(client):
    await client.buy(10_000)
    await client.subscribe(f"account_all/{ACCOUNT}", "market_stats/0")
    await client.venue.advance(60)
    early = await client.until("update/market_stats")
    assert early["market_stats"]["current_funding_rate"] == "0.0012"
    assert early["market_stats"]["funding_rate"] == "0.0000"
    for _ in range(59):
        await client.socket.send_json({"type": "ping"})
        await client.until("pong")
        await client.venue.advance(60)
    frame = await client.until(
        "update/account_all", lambda frame: frame["funding_histories"]
    )
    [row] = frame["funding_histories"]["0"]
    position = frame["positions"]["0"]
    assert (row["change"], row["rate"]) == ("-0.036000", "0.0012")
    assert position["total_funding_paid_out"] == "0.036000"
    stats = await client.until("update/market_stats")
    assert stats["market_stats"]["funding_rate"] == "0.0012"
    assert stats["market_stats"]["funding_timestamp"] == (START_S + 3_600) * 1_000
    body = await client.own("positionFunding", limit=10)
    assert body["position_fundings"] == [row]
    model("PositionFundings").model_validate(body)
    rates = await client.get("funding-rates")
    assert rates["funding_rates"][0]["rate"] == 12 * 8 / 1_000_000


async def test_payments_are_listed_by_hour_and_by_day(client):
    await client.buy(10_000)
    await client.venue.advance(25 * 3_600)
    query = {"market_id": 0, **ALL_TIME}
    hours = await client.get("fundings", resolution="1h", **query)
    model("Fundings").model_validate(hours)
    assert len(hours["fundings"]) == 25
    assert hours["fundings"][0] == {
        "timestamp": START_S + 3_600,
        "value": "0.03600000",
        "rate": "0.0012",
        "direction": "long",
    }
    days = (await client.get("fundings", resolution="1d", **query))["fundings"]
    assert sum(round(float(day["rate"]) * 10_000) for day in days) == 25 * 12
    newest = await client.get("fundings", resolution="1h", **{**query, "count_back": 2})
    assert newest["fundings"] == hours["fundings"][-2:]
    # Seconds and milliseconds alike: clients send both.
    for unit in (1, 1_000):
        some = await client.get(
            "fundings",
            market_id=0,
            resolution="1h",
            start_timestamp=(START_S + 3_600) * unit,
            end_timestamp=(START_S + 7_200) * unit,
            count_back=0,
        )
        assert len(some["fundings"]) == 2
    first = await client.own("positionFunding", limit=20, side="long")
    rest = await client.own("positionFunding", limit=20, cursor=first["next_cursor"])
    assert (len(first["position_fundings"]), len(rest["position_fundings"])) == (20, 5)
    none = await client.own("positionFunding", limit=20, side="short", market_id=0)
    assert none["position_fundings"] == []


async def test_a_liquidation_is_told_everywhere(client):
    await client.buy(10_000)
    await client.venue.advance(HOURS * 3_600)
    async with client.session.ws_connect(client.venue.ws_url) as socket:
        client.socket = socket
        now_s = START_S + HOURS * 3_600
        client.token = client.signer.auth_token(deadline_s=now_s + 3_600)
        await client.subscribe("trade/0", f"account_all/{ACCOUNT}")
        await client.subscribe(f"notification/{ACCOUNT}")
        await client.venue.advance(100)
        notice = await client.until("update/notification")
        frame = await client.until(
            "update/trade", lambda frame: frame["liquidation_trades"]
        )
        [trade] = frame["liquidation_trades"]
        assert (trade["type"], trade["size"]) == ("liquidation", "1.0000")
        assert trade["ask_account_id"] == ACCOUNT
    [row] = notice["notifs"]
    assert row["kind"] == "liquidation"
    assert row["content"]["size"] == "1.0000"
    body = await client.own("liquidations", limit=10)
    model("LiquidationInfos").model_validate(body)
    [told] = body["liquidations"]
    assert (told["type"], told["trade"]["size"]) == ("partial", "1.0000")
    assert (await client.own("liquidations", limit=1, market_id=0))["next_cursor"] == ""
    query = {"sort_by": "trade_id", "limit": 10}
    forced = await client.own("trades", type="liquidation", **query)
    assert [one["trade_id"] for one in forced["trades"]] == [trade["trade_id"]]
    free = await client.own("trades", type="trade", **query)
    assert len(free["trades"]) == 1
    orders = (await client.own("accountInactiveOrders", limit=10))["orders"]
    assert [order["type"] for order in orders] == ["liquidation", "market"]
    account = (await client.get("account", by="index", value=ACCOUNT))["accounts"][0]
    assert account["positions"][0]["position"] == "0.0000"
