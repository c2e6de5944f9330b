"""Every REST body the local exchange writes is what the official SDK's models demand.

The SDK itself validates nothing when it reads: its models are asked here instead, for
every method of its Api classes.
"""

from __future__ import annotations

import inspect
import json
import pathlib
import re
import time

import aiohttp
import pytest

from tests.contract.running import eventually
from wrappy.protocol.intents import CancelAllOrders, CreateOrder, UpdateLeverage
from wrappy.signing.python import PythonSigner
from wrappy.venue import Venue

lighter = pytest.importorskip("lighter", reason="lighter-sdk is not installed")

OPENAPI = pathlib.Path(__file__).parents[3] / "shared" / "payloads" / "openapi.json"
ACCOUNT = 123_456
V1 = "/api/v1/"
ALL_TIME = {"start_timestamp": 0, "end_timestamp": 5_000_000_000_000, "count_back": 9}
OWN = {"account_index": ACCOUNT}
PAGE = {**OWN, "limit": 9}

ASKED = {
    "/": {},
    "/info": {},
    V1 + "account": {"by": "index", "value": ACCOUNT},
    V1 + "accountActiveOrders": OWN,
    V1 + "accountInactiveOrders": PAGE,
    V1 + "accountLimits": OWN,
    V1 + "accountMetadata": {"by": "index", "value": ACCOUNT},
    V1 + "accountOrders": OWN,
    V1 + "accountTxs": {"by": "account_index", "value": ACCOUNT, "limit": 9},
    V1 + "accountsByL1Address": {"l1_address": "its own"},
    V1 + "announcement": {},
    V1 + "apikeys": OWN,
    V1 + "assetDetails": {},
    V1 + "block": {"by": "height", "value": 1},
    V1 + "blocks": {"limit": 5, "sort": "desc"},
    V1 + "blockTxs": {"by": "block_height", "value": 1},
    V1 + "candles": {"market_id": 0, "resolution": "1m", **ALL_TIME},
    V1 + "currentHeight": {},
    V1 + "deposit/history": {**OWN, "l1_address": "its own"},
    V1 + "deposit/networks": {},
    V1 + "events": {},
    V1 + "exchangeMetrics": {"period": "d", "kind": "volume"},
    V1 + "exchangeStats": {},
    V1 + "executeStats": {"period": "d"},
    V1 + "export": {**OWN, "type": "trade"},
    V1 + "export/historicalTrades": {"l1_address": "its own", "date": "2026-01-31"},
    V1 + "fastbridge/info": {},
    V1 + "fastwithdraw/info": OWN,
    V1 + "feeTiers": {},
    V1 + "funding-rates": {},
    V1 + "fundings": {"market_id": 0, "resolution": "1h", **ALL_TIME},
    V1 + "getMakerOnlyApiKeys": OWN,
    V1 + "l1Metadata": {"l1_address": "its own"},
    V1 + "layer1BasicInfo": {},
    V1 + "leaderboard": {"type": "all"},
    V1 + "leaseOptions": {},
    V1 + "leases": OWN,
    V1 + "liquidations": PAGE,
    V1 + "livePoints/total": OWN,
    V1 + "markPriceCandles": {"market_id": 0, "resolution": "1m", **ALL_TIME},
    V1 + "marketPriceCharts": {"market_ids": "0"},
    V1 + "nextNonce": {**OWN, "api_key_index": 4},
    V1 + "orderBookDetails": {},
    V1 + "orderBookOrders": {"market_id": 0, "limit": 5},
    V1 + "orderBooks": {},
    V1 + "partnerStats": OWN,
    V1 + "pnl": {"by": "index", "value": ACCOUNT, "resolution": "1h", **ALL_TIME},
    V1 + "pnlLeaderboard": {},
    V1 + "portfolio/boPnl": OWN,
    V1 + "positionFunding": PAGE,
    V1 + "priceOracleInfo": {"symbol": "ETH"},
    V1 + "publicPoolsMetadata": {"index": 0, "limit": 9},
    V1 + "recentTrades": {"market_id": 0, "limit": 5},
    V1 + "referral/get": OWN,
    V1 + "referral/points": OWN,
    V1 + "referral/stats": {"l1_address": "its own"},
    V1 + "referral/userReferrals": {"l1_address": "its own"},
    V1 + "rfq/list": OWN,
    V1 + "syntheticSpotInfo": {"symbol": "ETH"},
    V1 + "systemConfig": {},
    V1 + "tokenlist": {},
    V1 + "tokens": OWN,
    V1 + "trades": {"sort_by": "trade_id", "limit": 9},
    V1 + "transfer/history": OWN,
    V1 + "transferFeeInfo": OWN,
    V1 + "tx": {"by": "sequence_index", "value": 1},
    V1 + "txs": {"limit": 9},
    V1 + "upDownCandles": {"symbol": "ETH", "duration": "5m", "resolution": "1m"},
    V1 + "withdraw/history": OWN,
    V1 + "withdrawalDelay": {},
}
"""What each GET is asked; every other GET is in `REFUSED`."""

POSTED = {
    V1 + "changeAccountTier",
    V1 + "fastwithdraw",
    V1 + "notification/ack",
    V1 + "referral/create",
    V1 + "referral/kickback/update",
    V1 + "referral/update",
    V1 + "referral/use",
    V1 + "sendTx",
    V1 + "sendTxBatch",
    V1 + "setMakerOnlyApiKeys",
    V1 + "tokens/create",
    V1 + "tokens/revoke",
}
REFUSED = {
    V1 + "createIntentAddress": (
        {"chain_id": 1, "from_addr": "0x", "amount": 1},
        21515,
    ),
    V1 + "deposit/latest": ({"l1_address": "its own"}, 29404),
    V1 + "litLease": ({"tx_info": "", "lease_amount": 1, "duration_days": 1}, 21515),
    V1 + "rfq/create": ({"market_index": 0, "direction": 1}, 21515),
    V1 + "rfq/get": ({"rfq_id": 1}, 29404),
    V1 + "rfq/respond": ({"rfq_id": 1, "status": "acknowledged"}, 29404),
    V1 + "rfq/update": ({"rfq_id": 1, "status": "closed"}, 29404),
    V1 + "setAccountMetadata": ({"target_account_index": 1, "metadata": "{}"}, 21515),
    V1 + "txFromL1TxHash": ({"hash": "0x00"}, 21500),
}
"""What is refused however it is asked: there is no such thing here."""

BESIDES = {
    "GET": {
        V1 + "airdrop": ({"l1_address": "its own"}, 200),
        V1 + "atomic-orders/get": ({"id": 1}, 29404),
        V1 + "atomic-orders/list": ({}, 200),
        V1 + "bridges": ({"l1_address": "its own"}, 200),
        V1 + "bridges/isNextBridgeFast": ({"l1_address": "its own"}, 200),
        V1 + "equity_history/pnl": (
            {"by": "index", "value": ACCOUNT, "resolution": "1h", **ALL_TIME},
            200,
        ),
        V1 + "faucet": ({"l1_address": "its own"}, 21515),
        V1 + "gecko/contracts": ({"auth": "x"}, 20013),
        V1 + "gecko/orderbook": ({"auth": "x", "ticker_id": "ETH"}, 20013),
        V1 + "gecko/tickers": ({"auth": "x"}, 20013),
        V1 + "geoLocation": ({}, 200),
        V1 + "isWhitelisted": ({"l1_address": "its own"}, 200),
        V1 + "marketMetrics": ({"timestamp": 1, "kind": "x"}, 200),
        V1 + "pushnotif/settings": (OWN, 200),
        V1 + "rollingInfo": ({"symbol": "ETH"}, 29404),
        V1 + "stockFinancials": ({"market_id": 0}, 29404),
        V1 + "upcomingEarnings": ({}, 200),
    },
    "POST": {
        V1 + "airdrop/create": ({"l1_address": "its own"}, 21515),
        V1 + "atomic-orders/create": ({"name": "x", "legs": "[]"}, 21515),
        V1 + "atomic-orders/delete": ({"id": 1}, 29404),
        V1 + "atomic-orders/update": ({"id": 1, "name": "x", "legs": "[]"}, 29404),
        V1 + "pushnotif/register": ({"expo_token": "x", "platform": "ios"}, 21515),
        V1 + "pushnotif/settings": ({**OWN, "enabled": "true"}, 21515),
        V1 + "pushnotif/unregister": ({"expo_token": "x"}, 29404),
    },
}
"""Paths of the official OpenAPI file that the official SDK does not ask."""


def endpoints():
    """Return path -> (HTTP method, model) of everything the official SDK can ask."""
    found = {}
    for name in dir(lighter.api):
        api = getattr(lighter.api, name)
        if not inspect.isclass(api):
            continue
        for method, function in inspect.getmembers(api, inspect.isfunction):
            serialize = getattr(api, f"_{method}_serialize", None)
            if serialize is None:
                continue
            source = inspect.getsource(serialize)
            path = re.search(r"resource_path='([^']+)'", source)[1]
            verb = re.search(r"method='(\w+)'", source)[1]
            model = inspect.signature(function, eval_str=False).return_annotation
            found[path] = (verb, getattr(model, "__name__", model))
    return found


OFFICIAL = endpoints()


def validate(path, body):
    getattr(lighter.models, OFFICIAL[path][1]).model_validate(body)


class Trader:
    """One account with a token and a door."""

    def __init__(self, venue, session, account=0):
        self.venue, self.session = venue, session
        self.owner = venue.accounts[account]
        key = self.owner.api_keys[0]
        self.signer = PythonSigner(
            key.api_key_private_key,
            account_index=self.owner.account_index,
            api_key_index=key.api_key_index,
            chain_id=venue.chain_id,
        )
        self.headers = {
            "authorization": self.signer.auth_token(deadline_s=int(time.time()) + 600)
        }
        self.nonce = 1

    def signed(self, intent):
        made = self.signer.sign(intent, nonce=self.nonce)
        self.nonce += 1
        return made

    async def post(self, path, **form):
        url = self.venue.base_url + path
        if form.get("l1_address") == "its own":
            form["l1_address"] = self.owner.l1_address
        async with self.session.post(url, data=form, headers=self.headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path, **query):
        url = self.venue.base_url + path
        if query.get("l1_address") == "its own":
            query["l1_address"] = self.owner.l1_address
        async with self.session.get(url, params=query, headers=self.headers) as answer:
            return answer.status, await answer.json()

    async def send(self, intent):
        made = self.signed(intent)
        form = {"tx_type": int(made.tx_type), "tx_info": made.tx_info}
        status, body = await self.post(V1 + "sendTx", **form)
        assert status == 200, body
        return body

    async def order(self, coi, percent, *, tif=1):
        price = self.venue.exchange.markets[0].mark_price * percent // 100
        expiry = int(time.time() * 1000) + 3_600_000 if tif else 0
        order = CreateOrder(
            0, coi, 1000, price, False, time_in_force=tif, order_expiry=expiry
        )
        return await self.send(order)


@pytest.fixture
async def trader():
    async with Venue(seed=3, symbols=["ETH"]) as venue, aiohttp.ClientSession() as http:
        yield Trader(venue, http)


async def lived(trader):
    """Leave a position, trades, open and ended orders behind."""
    await trader.send(UpdateLeverage(0, 1000, 0))
    await trader.order(1, 104, tif=0)
    await trader.order(2, 94)
    await trader.send(CancelAllOrders())
    last = await trader.order(3, 96)
    record = trader.venue.exchange.transaction
    await eventually(lambda: record(last["tx_hash"]).executed_us)


def test_every_endpoint_of_the_official_sdk_is_accounted_for():
    assert set(OFFICIAL) == set(ASKED) | POSTED | set(REFUSED)
    assert all(OFFICIAL[path][0] == "POST" for path in POSTED)


@pytest.mark.skipif(not OPENAPI.exists(), reason="the official OpenAPI file is absent")
def test_every_path_of_the_official_file_is_accounted_for():
    paths = json.loads(OPENAPI.read_text(encoding="utf-8"))["paths"]
    besides = {(verb, path) for verb, asked in BESIDES.items() for path in asked}
    assert besides == {
        (verb.upper(), path)
        for path, verbs in paths.items()
        for verb in verbs
        if path not in OFFICIAL
    }


async def test_every_body_that_is_read_satisfies_its_official_model(trader):
    await lived(trader)
    for path, query in ASKED.items():
        status, body = await trader.get(path, **query)
        assert status == 200, (path, body)
        validate(path, body)
    _, body = await trader.get(V1 + "trades", sort_by="trade_id", limit=9, **OWN)
    validate(V1 + "trades", body)
    assert body["trades"]
    _, body = await trader.get(V1 + "tx", by="hash", value="0" * 80)
    assert body["code"] == 21500


async def test_what_is_written_satisfies_its_official_model(trader):
    validate(V1 + "sendTx", await trader.order(1, 94))
    both = [trader.signed(CancelAllOrders()), trader.signed(UpdateLeverage(0, 1000, 0))]
    status, body = await trader.post(
        V1 + "sendTxBatch",
        tx_types=str([int(made.tx_type) for made in both]),
        tx_infos="[" + ", ".join(_quoted(made.tx_info) for made in both) + "]",
    )
    assert status == 200, body
    validate(V1 + "sendTxBatch", body)


async def test_a_read_only_token_is_made_listed_used_and_revoked(trader):
    expiry = int(time.time()) + 2 * 86_400
    status, made = await trader.post(
        V1 + "tokens/create",
        name="my dashboard",
        account_index=ACCOUNT,
        expiry=expiry,
        sub_account_access="false",
    )
    assert status == 200, made
    validate(V1 + "tokens/create", made)
    assert (made["name"], made["scopes"]) == ("my dashboard", "read.*")
    _, listed = await trader.get(V1 + "tokens", **OWN)
    validate(V1 + "tokens", listed)
    assert [row["api_token"] for row in listed["api_tokens"]] == [made["api_token"]]

    full, trader.headers = trader.headers, {"authorization": made["api_token"]}
    status, _ = await trader.get(V1 + "accountActiveOrders", **OWN)
    assert status == 200
    status, body = await trader.post(
        V1 + "tokens/revoke", token_id=made["token_id"], account_index=ACCOUNT
    )
    assert (status, body["code"]) == (401, 20013), "it only reads"

    trader.headers = full
    status, body = await trader.post(
        V1 + "tokens/revoke", token_id=made["token_id"], account_index=ACCOUNT
    )
    assert status == 200, body
    validate(V1 + "tokens/revoke", body)
    _, again = await trader.post(
        V1 + "tokens/revoke", token_id=made["token_id"], account_index=ACCOUNT
    )
    assert again["code"] == 61006
    _, listed = await trader.get(V1 + "tokens", **OWN)
    assert [row["revoked"] for row in listed["api_tokens"]] == [True]
    trader.headers = {"authorization": made["api_token"]}
    status, _ = await trader.get(V1 + "accountActiveOrders", **OWN)
    assert status == 401


async def test_a_bad_token_request_names_its_fault(trader):
    good = {
        "name": "x",
        "account_index": ACCOUNT,
        "expiry": int(time.time()) + 2 * 86_400,
        "sub_account_access": "true",
    }
    for change, code, words in (
        ({"name": "x" * 51}, 61008, "50 characters"),
        ({"name": ""}, 61007, "empty"),
        ({"name": "x/y"}, 61009, "letters"),
        ({"scopes": "trade.*"}, 61004, "scopes"),
        ({"expiry": "soon"}, 20001, "expiry"),
        ({"expiry": 1}, 61001, ""),
        ({"account_index": 123_457}, 20013, "another account"),
    ):
        _, body = await trader.post(V1 + "tokens/create", **{**good, **change})
        assert body["code"] == code, change
        assert words in body["message"]


async def test_an_account_has_ten_tokens_and_no_others(trader):
    form = {
        "name": "x",
        "account_index": ACCOUNT,
        "expiry": int(time.time()) + 2 * 86_400,
        "sub_account_access": "true",
    }
    made = [(await trader.post(V1 + "tokens/create", **form))[0] for _ in range(10)]
    assert made == [200] * 10
    _, body = await trader.post(V1 + "tokens/create", **form)
    assert body["code"] == 61003
    _, body = await trader.post(V1 + "tokens/revoke", token_id=99, **OWN)
    assert body["code"] == 61005


async def test_a_notification_is_acknowledged_by_its_own_account_only(trader):
    told = trader.venue.announce(ACCOUNT, "announcement", {"text": "hello"})
    status, body = await trader.post(
        V1 + "notification/ack", notif_id=told, account_index=ACCOUNT
    )
    assert status == 200
    validate(V1 + "notification/ack", body)
    stranger = Trader(trader.venue, trader.session, account=1)
    status, body = await stranger.post(
        V1 + "notification/ack",
        notif_id=told,
        account_index=stranger.owner.account_index,
    )
    assert (status, body["code"]) == (400, 20001)


async def test_what_is_not_here_says_so(trader):
    for path, (query, code) in REFUSED.items():
        ask = trader.post if OFFICIAL[path][0] == "POST" else trader.get
        status, body = await ask(path, **query)
        assert (status, body["code"]) == (400, code), path
        status, body = await ask(path)
        assert (status, body["code"]) == (400, 20001), path


async def test_what_the_official_sdk_does_not_ask_is_answered_too(trader):
    for verb, asked in BESIDES.items():
        ask = trader.post if verb == "POST" else trader.get
        for path, (query, code) in asked.items():
            status, body = await ask(path, **query)
            assert status == {200: 200, 20013: 401}.get(code, 400), (path, body)
            assert body.get("code", 200) == code, path


async def test_a_referral_code_is_made_renamed_and_used(trader):
    async def post(who, path, **form):
        index = who.owner.account_index
        return await who.post(V1 + path, account_index=index, **form)

    status, made = await post(trader, "referral/create")
    assert status == 200
    validate(V1 + "referral/create", made)
    assert (await post(trader, "referral/create"))[1]["code"] == 41001
    status, body = await post(trader, "referral/update", new_referral_code="MINE99")
    validate(V1 + "referral/update", body)
    for word, code in (("x", 41010), ("OTHER1", 41009)):
        _, body = await post(trader, "referral/update", new_referral_code=word)
        assert body["code"] == code
    for share, code in (("12.5", 200), ("1", 41008), ("x", 20001), ("101", 20001)):
        form = {"kickback_percentage": share}
        _, body = await post(trader, "referral/kickback/update", **form)
        assert body["code"] == code, share

    friend = Trader(trader.venue, trader.session, account=1)
    profile = trader.venue.exchange.accounts[friend.owner.account_index].profile
    profile.master = ACCOUNT
    assert (await post(friend, "referral/create"))[1]["code"] == 41011
    profile.master = None
    for who, word, code in (
        (trader, "MINE99", 41012),
        (friend, "", 41007),
        (friend, "NOBODY", 41006),
        (friend, "MINE99", 200),
        (friend, "MINE99", 41003),
    ):
        form = {"l1_address": who.owner.l1_address, "referral_code": word, "x": "me"}
        _, body = await who.post(V1 + "referral/use", **form)
        assert body["code"] == code, word
    _, told = await trader.get(V1 + "referral/userReferrals", l1_address="its own")
    validate(V1 + "referral/userReferrals", told)
    assert [r["l1_address"] for r in told["referrals"]] == [friend.owner.l1_address]
    _, code = await trader.get(V1 + "referral/get", **OWN)
    assert (code["referral_code"], code["remaining_usage"]) == ("MINE99", 99)
    _, told = await friend.get(V1 + "referral/userReferrals", l1_address="its own")
    assert (told["used_code"], told["referrals"]) == ("MINE99", [])
    _, body = await friend.get(V1 + "l1Metadata", l1_address=trader.owner.l1_address)
    assert body["code"] == 20013, "another owner's"


def _quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
