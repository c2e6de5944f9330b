"""What the local exchange writes has the shape of the recorded messages."""

from __future__ import annotations

import asyncio
import json
import pathlib
import time

import aiohttp
import pytest

from wrappy.protocol.intents import CancelAllOrders, CreateOrder
from wrappy.signing.python import PythonSigner
from wrappy.venue import Venue

pytestmark = pytest.mark.slow

PAYLOADS = pathlib.Path(__file__).resolve().parents[2] / "../shared/payloads"
SAMPLES = PAYLOADS / "nautilus_test_data"
DEADLINE_S = 10.0
EXECUTED = 2

needs_payloads = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="recorded payloads are not beside the checkout"
)


def sample(name):
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def assert_covers(ours, theirs, path="$"):
    """Every key of the recorded message is in ours, with a value of the same kind."""
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), path
        if theirs and all(key.isdecimal() for key in theirs):
            if ours:
                first = next(iter(ours))
                assert first.isdecimal(), path
                assert_covers(ours[first], next(iter(theirs.values())), f"{path}.*")
            return
        for key, value in theirs.items():
            assert key in ours, f"{path}.{key} is missing"
            assert_covers(ours[key], value, f"{path}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), path
        if ours and theirs:
            assert_covers(ours[0], theirs[0], f"{path}[0]")
    elif theirs is not None and ours is not None:
        number = (int, float)
        kinds = (
            number
            if isinstance(theirs, number) and not isinstance(theirs, bool)
            else type(theirs)
        )
        assert isinstance(ours, kinds), f"{path}: {ours!r} against {theirs!r}"


class Desk:
    """One trader with a signer, a token and two doors."""

    def __init__(self, venue, session):
        self.venue, self.session = venue, session
        self.account = venue.accounts[0]
        key = self.account.api_keys[0]
        self.signer = PythonSigner(
            key.api_key_private_key,
            account_index=self.account.account_index,
            api_key_index=key.api_key_index,
            chain_id=venue.chain_id,
        )
        self.token = self.signer.auth_token(deadline_s=int(time.time()) + 600)
        self.nonce = 1
        self.coi = 100

    async def send(self, intent):
        signed = self.signer.sign(intent, nonce=self.nonce)
        self.nonce += 1
        form = {"tx_type": str(int(signed.tx_type)), "tx_info": signed.tx_info}
        url = f"{self.venue.base_url}/api/v1/sendTx"
        async with self.session.post(url, data=form) as response:
            body = await response.json()
            assert response.status == 200, body
            return body

    async def order(self, percent, *, ask=False, tif=1, base=1000):
        price = self.venue.exchange.markets[0].mark_price * percent // 100
        self.coi += 1
        expiry = 0 if tif == 0 else int(time.time() * 1000) + 3_600_000
        return await self.send(
            CreateOrder(
                0,
                self.coi,
                base,
                price,
                ask,
                time_in_force=tif,
                order_expiry=expiry,
            )
        )

    async def get(self, path, **query):
        async with self.session.get(
            f"{self.venue.base_url}{path}",
            params=query,
            headers={"authorization": self.token},
        ) as response:
            body = await response.json()
            assert response.status == 200, body
            return body


@pytest.fixture
async def desk():
    async with Venue(seed=3, symbols=["ETH"]) as venue:
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Desk(venue, session)


async def traded(desk):
    """Leave a trade, an open order and a cancelled one behind."""
    await desk.order(104, tif=0)
    await desk.order(94)
    await desk.order(95)
    await desk.send(CancelAllOrders())
    last = await desk.order(96)
    deadline = time.monotonic() + DEADLINE_S
    while desk.venue.exchange.transaction(last["tx_hash"]).status < EXECUTED:
        assert time.monotonic() < deadline, "the orders were never executed"
        await asyncio.sleep(0)


ALL_TIME = {"start_timestamp": 0, "end_timestamp": 5_000_000_000_000, "count_back": 9}


@needs_payloads
@pytest.mark.parametrize(
    ("name", "path", "query"),
    [
        ("http_next_nonce", "/nextNonce", {"api_key_index": 4}),
        ("http_order_books", "/orderBooks", {}),
        ("http_order_book_details", "/orderBookDetails", {"market_id": 0}),
        ("http_order_book_orders", "/orderBookOrders", {"market_id": 0, "limit": 1}),
        ("http_recent_trades", "/recentTrades", {"market_id": 0, "limit": 5}),
        ("http_candles", "/candles", {"market_id": 0, "resolution": "1m", **ALL_TIME}),
        (
            "http_fundings",
            "/fundings",
            {"market_id": 0, "resolution": "1h", **ALL_TIME},
        ),
        ("http_account", "/account", {"by": "index", "value": 123456}),
        ("http_orders", "/accountActiveOrders", {}),
        ("http_orders", "/accountInactiveOrders", {"limit": 10}),
    ],
)
async def test_a_rest_body_has_the_recorded_fields(desk, name, path, query):
    await traded(desk)
    own = {"account_index": desk.account.account_index}
    named = "nonce" in name or "accountA" in path or "accountI" in path
    body = await desk.get(f"/api/v1{path}", **{**(own if named else {}), **query})
    recorded = sample(name)
    recorded.pop("next_cursor", None)
    for row in recorded.get("trades", ()):
        row.pop("maker_fee", None)  # left out when zero, and ours are not all ours
        row.pop("taker_fee", None)
    assert_covers(body, recorded)


@pytest.mark.parametrize(
    ("model", "path", "query"),
    [
        ("Status", "/", {}),
        ("ZkLighterInfo", "/info", {}),
        (
            "NextNonce",
            "/api/v1/nextNonce",
            {"account_index": 123456, "api_key_index": 4},
        ),
        ("AccountApiKeys", "/api/v1/apikeys", {"account_index": 123456}),
        ("DetailedAccounts", "/api/v1/account", {"by": "index", "value": 123456}),
        (
            "AccountMetadatas",
            "/api/v1/accountMetadata",
            {"by": "index", "value": 123456},
        ),
        ("OrderBooks", "/api/v1/orderBooks", {}),
        ("OrderBookDetails", "/api/v1/orderBookDetails", {}),
        ("OrderBookOrders", "/api/v1/orderBookOrders", {"market_id": 0, "limit": 5}),
        ("Trades", "/api/v1/recentTrades", {"market_id": 0, "limit": 5}),
        ("Trades", "/api/v1/trades", {"sort_by": "trade_id", "limit": 5}),
        (
            "Trades",
            "/api/v1/trades",
            {"sort_by": "trade_id", "limit": 5, "account_index": 123456},
        ),
        (
            "Candles",
            "/api/v1/candles",
            {"market_id": 0, "resolution": "1m", **ALL_TIME},
        ),
        ("FundingRates", "/api/v1/funding-rates", {}),
        ("ExchangeStats", "/api/v1/exchangeStats", {}),
        ("CurrentHeight", "/api/v1/currentHeight", {}),
        ("Orders", "/api/v1/accountActiveOrders", {"account_index": 123456}),
        (
            "Orders",
            "/api/v1/accountInactiveOrders",
            {"account_index": 123456, "limit": 9},
        ),
        ("Orders", "/api/v1/accountOrders", {"account_index": 123456}),
        ("AccountLimits", "/api/v1/accountLimits", {"account_index": 123456}),
        (
            "Txs",
            "/api/v1/accountTxs",
            {"by": "account_index", "value": 123456, "limit": 9},
        ),
        ("Txs", "/api/v1/txs", {"limit": 9}),
    ],
)
async def test_a_rest_body_satisfies_the_official_model(desk, model, path, query):
    models = pytest.importorskip("lighter.models", reason="lighter-sdk is missing")
    await traded(desk)
    body = await desk.get(path, **query)
    getattr(models, model).model_validate(body)


async def test_answers_to_sends_satisfy_the_official_models(desk):
    models = pytest.importorskip("lighter.models", reason="lighter-sdk is missing")
    body = await desk.order(94)
    models.RespSendTx.model_validate(body)
    told = await desk.get("/api/v1/tx", by="hash", value=body["tx_hash"])
    models.EnrichedTx.model_validate(told)
    owner = await desk.get(
        "/api/v1/accountsByL1Address", l1_address=desk.account.l1_address
    )
    models.SubAccounts.model_validate(owner)


@needs_payloads
@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("ws_order_book_subscribed", "order_book/0"),
        ("ws_order_book_update", "order_book/0"),
        ("ws_ticker_subscribed", "ticker/0"),
        ("ws_ticker_update", "ticker/0"),
        ("ws_trade_subscribed", "trade/0"),
        ("ws_trade_update", "trade/0"),
        ("ws_market_stats_subscribed_single", "market_stats/0"),
        ("ws_market_stats_update_all", "market_stats/all"),
        ("ws_candle_subscribed", "candle/0/1m"),
        ("ws_candle_update", "candle/0/1m"),
        ("ws_height_update", "height"),
        ("ws_account_orders_update", "account_orders/0/123456"),
        ("ws_account_all_trades_update", "account_all_trades/123456"),
        ("ws_account_all_positions_update", "account_all_positions/123456"),
        ("ws_user_stats_update", "user_stats/123456"),
        ("ws_user_stats_with_position", "user_stats/123456"),
        ("ws_market_stats_update_single", "market_stats/0"),
        ("ws_account_all_assets_update", "account_all_assets/123456"),
        ("ws_account_all_assets_with_position", "account_all_assets/123456"),
    ],
)
async def test_a_frame_has_the_recorded_fields(desk, name, channel):
    recorded = sample(name)
    for row in recorded.get("trades", ()):
        if isinstance(row, dict):
            row.pop("maker_fee", None)
            row.pop("taker_fee", None)
    for rows in recorded["trades"].values() if "all_trades" in name else ():
        for row in rows:
            row.pop("maker_fee", None)
            row.pop("taker_fee", None)
    async with desk.session.ws_connect(desk.venue.ws_url) as socket:
        await socket.send_json(
            {"type": "subscribe", "channel": channel, "auth": desk.token}
        )
        await traded(desk)
        frame = {}
        while frame.get("type") != recorded["type"]:
            frame = json.loads((await socket.receive(DEADLINE_S)).data)
    assert_covers(frame, recorded)
    name_of_ours = frame["channel"].split(":")
    assert len(name_of_ours) == len(recorded["channel"].split(":"))
