"""The REST door through real sockets: sending, refusing, reading, limits."""

from __future__ import annotations

import dataclasses
import json

import aiohttp
import pytest

from wrappy.errors import ConfigError, UnknownMarketError, UsageError
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateOrder,
    ModifyOrder,
    UpdateLeverage,
)
from wrappy.signing.python import PythonSigner
from wrappy.venue import SteppedClock, Venue, VenueSettings

DEADLINE_S = 10.0
START_S = 1_800_000_000


def signer_of(venue, *, account=0, key=0, chain_id=None):
    owner = venue.accounts[account]
    slot = owner.api_keys[key]
    return PythonSigner(
        slot.api_key_private_key,
        account_index=owner.account_index,
        api_key_index=slot.api_key_index,
        chain_id=venue.chain_id if chain_id is None else chain_id,
        clock_ms=lambda: START_S * 1_000,
    )


class Client:
    """Plain HTTP against one venue whose time stands still."""

    def __init__(self, venue, session):
        self.venue, self.session = venue, session
        self.signer = signer_of(venue)
        self.token = self.signer.auth_token(deadline_s=START_S + 3_600)

    async def call(self, method, path, **options):
        url = f"{self.venue.base_url}{path}"
        async with self.session.request(method, url, **options) as response:
            return response.status, await response.json()

    async def get(self, path, **query):
        return await self.call("GET", f"/api/v1/{path}", params=query)

    async def own(self, path, **query):
        query = {"account_index": self.venue.accounts[0].account_index, **query}
        return await self.call(
            "GET",
            f"/api/v1/{path}",
            params=query,
            headers={"authorization": self.token},
        )

    async def send(self, signed, **extra):
        form = {"tx_type": str(int(signed.tx_type)), "tx_info": signed.tx_info}
        return await self.call("POST", "/api/v1/sendTx", data={**form, **extra})

    async def send_batch(self, signed):
        form = {
            "tx_types": json.dumps([int(tx.tx_type) for tx in signed]),
            "tx_infos": json.dumps([tx.tx_info for tx in signed]),
        }
        return await self.call("POST", "/api/v1/sendTxBatch", data=form)


def order(coi, price=250_000, *, ask=False, base=1_000, **extra):
    fields = {"order_expiry": (START_S + 7_200) * 1_000, **extra}
    return CreateOrder(0, coi, base, price, ask, **fields)


def opened(**options):
    return Venue(seed=2, symbols=["ETH"], clock=SteppedClock(START_S), **options)


@pytest.fixture
async def client():
    async with opened() as venue:
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Client(venue, session)


async def test_an_accepted_order_is_queued_then_executed(client):
    signed = client.signer.sign(order(7), nonce=1)
    status, body = await client.send(signed)
    assert (status, body["code"]) == (200, 200)
    assert body["tx_hash"] == signed.tx_hash
    assert body["predicted_execution_time_ms"] == START_S * 1_000
    assert json.loads(body["message"]) == {"ratelimit": "didn't use volume quota"}
    assert body["volume_quota_remaining"] == 999
    _, pending = await client.get("tx", by="hash", value=signed.tx_hash)
    assert pending["status"] == 1
    await client.venue.advance(0)
    _, executed = await client.get("tx", by="hash", value="0x" + signed.tx_hash)
    assert executed["status"] == 2
    _, by_sequence = await client.get(
        "tx", by="sequence_index", value=executed["sequence_index"]
    )
    assert by_sequence["hash"] == signed.tx_hash
    _, orders = await client.own("accountActiveOrders")
    assert [row["client_order_index"] for row in orders["orders"]] == [7]
    assert client.venue.ledger.accepted()[0].tx_hash == signed.tx_hash


async def test_the_nonce_moves_with_acceptance_only(client):
    async def nonce():
        query = {"account_index": 123_456, "api_key_index": 4}
        return (await client.get("nextNonce", **query))[1]["nonce"]

    assert await nonce() == 1
    status, body = await client.send(client.signer.sign(order(7), nonce=5))
    assert (status, body) == (400, {"code": 21104, "message": "invalid nonce"})
    assert await nonce() == 1
    await client.send(client.signer.sign(order(7), nonce=1))
    assert await nonce() == 2


async def test_a_changed_field_or_chain_is_an_invalid_signature(client):
    signed = client.signer.sign(order(7), nonce=1)
    changed = signed.tx_info.replace('"BaseAmount":1000', '"BaseAmount":9000')
    assert changed != signed.tx_info
    status, body = await client.send(dataclasses.replace(signed, tx_info=changed))
    assert (status, body["code"]) == (400, 21120)
    elsewhere = signer_of(client.venue, chain_id=300).sign(order(7), nonce=1)
    status, body = await client.send(elsewhere)
    assert (status, body["code"]) == (400, 21120)
    refused = client.venue.ledger.refused()
    assert [event.code for event in refused] == [21120, 21120]


@pytest.mark.parametrize(
    ("tx_type", "tx_info", "code", "words"),
    [
        ("14", "{", 21501, "JSON"),
        ("14", "[]", 21501, "object"),
        ("14", "{}", 21501, "is missing"),
        ("14", '{"Nonce":NaN}', 21501, "NaN"),
        ("99", "{}", 21505, "unsupported"),
        ("x", "{}", 20001, "tx_type"),
        ("300", "{}", 20001, "tx_type"),
    ],
)
async def test_what_is_no_transaction_is_refused_with_the_reason(
    client, tx_type, tx_info, code, words
):
    form = {"tx_type": tx_type, "tx_info": tx_info}
    status, body = await client.call("POST", "/api/v1/sendTx", data=form)
    assert (status, body["code"]) == (400, code)
    assert words in body["message"]


async def test_an_unknown_account_or_key_is_named(client):
    stranger = PythonSigner(
        client.venue.accounts[0].api_keys[0].api_key_private_key,
        account_index=999,
        api_key_index=4,
        chain_id=304,
    )
    assert (await client.send(stranger.sign(order(7), nonce=1)))[1]["code"] == 21100
    unknown_key = PythonSigner(
        client.venue.accounts[0].api_keys[0].api_key_private_key,
        account_index=123_456,
        api_key_index=77,
        chain_id=304,
    )
    assert (await client.send(unknown_key.sign(order(7), nonce=1)))[1]["code"] == 21109


async def test_missing_fields_and_multipart_forms(client):
    status, body = await client.call("POST", "/api/v1/sendTx", data={"tx_type": "14"})
    assert (status, body["code"]) == (400, 20001)
    assert "tx_info" in body["message"]
    signed = client.signer.sign(order(7), nonce=1)
    with aiohttp.MultipartWriter("form-data") as parts:
        for name, value in (("tx_type", "14"), ("tx_info", signed.tx_info)):
            parts.append(value).set_content_disposition("form-data", name=name)
    status, body = await client.call("POST", "/api/v1/sendTx", data=parts)
    assert (status, body["tx_hash"]) == (200, signed.tx_hash)


async def test_a_body_that_is_too_large_is_refused(client):
    form = {"tx_type": "14", "tx_info": "x" * 300_000}
    status, body = await client.call("POST", "/api/v1/sendTx", data=form)
    assert (status, body["code"]) == (413, 20001)


async def test_a_batch_is_accepted_whole_or_not_at_all(client):
    good = client.signer.sign_many([order(1), order(2), order(3)], first_nonce=1)
    status, body = await client.send_batch(good)
    assert status == 200
    assert body["tx_hash"] == [tx.tx_hash for tx in good]
    mixed = [
        client.signer.sign(order(4), nonce=4),
        client.signer.sign(order(0, base=1), nonce=5),
    ]
    status, _ = await client.send_batch(mixed)
    assert status == 400
    assert len(client.venue.ledger.accepted()) == 3
    gap = [client.signer.sign(order(n), nonce=n) for n in (4, 6)]
    assert (await client.send_batch(gap))[1]["code"] == 21105
    many = client.signer.sign_many([order(n) for n in range(10, 26)], first_nonce=4)
    assert (await client.send_batch(many))[1]["code"] == 21514
    assert (await client.send_batch([]))[1]["code"] == 21513


@pytest.mark.parametrize(
    "form",
    [
        {"tx_types": "[14]", "tx_infos": "nonsense"},
        {"tx_types": "{}", "tx_infos": "[]"},
        {"tx_types": '["14"]', "tx_infos": '["{}"]'},
        {"tx_types": "[14]", "tx_infos": "[{}]"},
    ],
)
async def test_malformed_batches_are_invalid_parameters(client, form):
    status, body = await client.call("POST", "/api/v1/sendTxBatch", data=form)
    assert (status, body["code"]) == (400, 20001)


async def test_cancel_and_modify_by_client_order_index(client):
    steps = [order(7), ModifyOrder(0, 7, 2_000, 249_000), CancelOrder(0, 7)]
    for nonce, intent in enumerate(steps, start=1):
        status, body = await client.send(client.signer.sign(intent, nonce=nonce))
        assert status == 200, body
        await client.venue.advance(0)
    _, body = await client.own("accountInactiveOrders", limit=5)
    [closed] = body["orders"]
    assert (closed["status"], closed["price"]) == ("canceled", "2490.00")
    _, body = await client.own("accountOrders", client_order_indexes="7,8")
    assert [row["order_id"] for row in body["orders"]] == [closed["order_id"]]


async def test_private_reads_need_a_token_of_that_account(client):
    path = {"account_index": 123_456}
    other = signer_of(client.venue, account=1)
    tokens = {
        "authorization is required": "",
        "malformed": "nonsense",
        "another account": other.auth_token(deadline_s=START_S + 60),
        "expired": client.signer.auth_token(deadline_s=START_S - 1),
        "8 hours": client.signer.auth_token(deadline_s=START_S + 9 * 3_600),
        "signature": client.token[:-4]
        + ("0000" if client.token[-4:] != "0000" else "1"),
    }
    for words, token in tokens.items():
        for endpoint in ("accountActiveOrders", "accountLimits"):
            status, body = await client.get(endpoint, **path, auth=token)
            assert (status, body["code"]) == (401, 20013)
            assert words in body["message"]
    status, _ = await client.get("accountLimits", **path, auth=client.token)
    assert status == 200
    status, body = await client.get("trades", **path, sort_by="trade_id", limit=1)
    assert status == 401


async def test_a_token_is_checked_once_and_remembered(client):
    for _ in range(2):
        assert (await client.own("accountLimits"))[0] == 200


@pytest.mark.parametrize(
    ("path", "query", "word"),
    [
        ("nextNonce", {"account_index": "x", "api_key_index": 4}, "account_index"),
        ("nextNonce", {"api_key_index": 4}, "account_index"),
        (
            "nextNonce",
            {"account_index": 123_456, "api_key_index": 255},
            "api_key_index",
        ),
        ("account", {"by": "name", "value": 1}, "by"),
        ("account", {"by": "index", "value": 123_456, "active_only": 3}, "active_only"),
        ("recentTrades", {"market_id": 0, "limit": 101}, "limit"),
        ("recentTrades", {"market_id": 0}, "limit"),
        ("trades", {"limit": 1}, "sort_by"),
        ("trades", {"limit": 1, "sort_by": "trade_id", "cursor": "x"}, "cursor"),
    ],
)
async def test_bad_parameters_are_named(client, path, query, word):
    status, body = await client.get(path, **query)
    assert (status, body["code"]) == (400, 20001)
    assert word in body["message"]


async def test_bad_parameters_of_private_reads_are_named(client):
    for query, word in (
        ({"limit": 1, "between_timestamps": "now"}, "between_timestamps"),
        ({"limit": 0}, "limit"),
    ):
        status, body = await client.own("accountInactiveOrders", **query)
        assert (status, body["code"]) == (400, 20001)
        assert word in body["message"]
    status, body = await client.own("accountOrders", client_order_indexes="a")
    assert (status, body["code"]) == (400, 20001)


async def test_unknown_things_have_their_own_codes(client):
    assert (await client.get("nothing"))[1] == {"code": 29404, "message": "not found"}
    assert (await client.call("DELETE", "/api/v1/sendTx"))[0] == 404
    assert (await client.get("orderBookDetails", market_id=9))[1]["code"] == 21602
    assert (await client.get("tx", by="hash", value="00"))[1]["code"] == 21500
    assert (await client.get("tx", by="sequence_index", value=77))[0] == 400
    assert (await client.get("account", by="index", value=3))[1]["code"] == 21100
    assert (await client.get("account", by="l1_address", value="0x"))[0] == 400
    query = {"account_index": 123_456, "api_key_index": 99}
    assert (await client.get("nextNonce", **query))[1]["nonce"] == 1
    assert (await client.get("apikeys", **query))[1]["code"] == 21109
    assert (await client.call("GET", "/stream"))[0] == 400
    wrong = {"market_id": 0, "resolution": "2m"}
    assert (await client.get("candles", **wrong))[1]["code"] == 22402


async def test_filters_and_pages_of_lists(client):
    assert (await client.get("orderBooks", filter="spot"))[1]["order_books"] == []
    assert (await client.get("apikeys", account_index=123_456))[1]["code"] == 200
    for coi in range(1, 4):
        signed = client.signer.sign(order(coi, ask=coi == 2, price=340_000), nonce=coi)
        if coi != 2:
            signed = client.signer.sign(order(coi), nonce=coi)
        assert (await client.send(signed))[0] == 200
    for nonce, coi in ((4, 1), (5, 2), (6, 3)):
        await client.send(client.signer.sign(CancelOrder(0, coi), nonce=nonce))
    await client.venue.advance(1)
    _, body = await client.own("accountInactiveOrders", limit=2)
    assert [row["client_order_index"] for row in body["orders"]] == [3, 2]
    _, body = await client.own(
        "accountInactiveOrders", limit=2, cursor=body["next_cursor"]
    )
    assert [row["client_order_index"] for row in body["orders"]] == [1]
    assert body["next_cursor"] == ""
    _, asks = await client.own(
        "accountInactiveOrders", limit=9, ask_filter=1, market_id=0
    )
    assert [row["client_order_index"] for row in asks["orders"]] == [2]
    _, none = await client.own(
        "accountInactiveOrders", limit=9, between_timestamps="1-2"
    )
    assert none["orders"] == []
    query = {"by": "account_index", "value": 123_456, "limit": 2, "index": 1}
    _, txs = await client.own("accountTxs", **query)
    assert [tx["nonce"] for tx in txs["txs"]] == [5, 4]
    assert len((await client.get("txs", limit=100))[1]["txs"]) == 6


async def test_own_trades_by_role_and_positions_after_a_fill(client):
    through = client.venue.exchange.markets[0].mark_price * 104 // 100
    taker = order(7, through, time_in_force=0, order_expiry=0, order_type=1)
    assert (await client.send(client.signer.sign(taker, nonce=1)))[0] == 200
    await client.venue.advance(0.2)
    roles = {}
    for role in ("all", "taker", "maker"):
        query = {"sort_by": "trade_id", "limit": 5, "role": role}
        roles[role] = len((await client.own("trades", **query))[1]["trades"])
    assert roles["all"] == roles["taker"] > 0
    assert roles["maker"] == 0
    query = {"by": "index", "value": 123_456, "active_only": "true"}
    _, body = await client.get("account", **query)
    [position] = body["accounts"][0]["positions"]
    assert (position["sign"], position["position"]) == (1, "0.1000")
    assert position["liquidation_price"] == "0"
    assert position["initial_margin_fraction"] == "5.00"
    leverage = client.signer.sign(UpdateLeverage(0, 1_000, 0), nonce=2)
    assert (await client.send(leverage))[0] == 200
    await client.venue.advance(0)
    _, body = await client.get("account", **query)
    [position] = body["accounts"][0]["positions"]
    assert position["initial_margin_fraction"] == "10.00"


async def test_candles_follow_the_trades(client):
    await client.venue.advance(200)
    query = {"start_timestamp": 0, "end_timestamp": 5_000_000_000_000, "count_back": 2}
    for resolution in ("1m", "5m"):
        _, body = await client.get(
            "candles", market_id=0, resolution=resolution, **query
        )
        assert body["r"] == resolution
        assert 1 <= len(body["c"]) <= 2
        last = body["c"][-1]
        assert last["l"] <= min(last["o"], last["c"]) <= last["h"]
    _, trades = await client.get("recentTrades", market_id=0, limit=1)
    assert last["i"] == trades["trades"][0]["trade_id"]
    query["count_back"] = 0
    _, body = await client.get("candles", market_id=0, resolution="1m", **query)
    assert len(body["c"]) == 4, "a count of zero asks for all in the time between"
    backwards = {**query, "start_timestamp": 2, "end_timestamp": 1}
    for path, resolution in (("candles", "1m"), ("fundings", "1h")):
        status, body = await client.get(
            path, market_id=0, resolution=resolution, **backwards
        )
        assert (status, body["code"]) == (400, 22400)


async def test_what_clients_ask_at_their_start_is_answered(client):
    _, body = await client.get("assetDetails")
    [asset] = body["asset_details"]
    assert (asset["symbol"], asset["asset_id"]) == ("USDC", 3)
    assert asset["total_supplied"] == "200000.000000"
    assert (await client.get("assetDetails", asset_id=1))[1]["code"] == 21809
    for path in ("systemConfig", "withdrawalDelay", "announcement"):
        assert (await client.get(path))[0] == 200, path
    assert (await client.get("referral/get", account_index=1))[0] == 200
    assert (await client.get("publicPoolsMetadata", index=0, limit=1))[0] == 200
    owner = (await client.get("account", by="index", value=123_456))[1]["accounts"][0]
    address = {"l1_address": owner["l1_address"]}
    assert (await client.own("deposit/history", **address))[0] == 200
    own = (
        "withdraw/history",
        "transfer/history",
        "liquidations",
        "positionFunding",
        "tokens",
        "getMakerOnlyApiKeys",
        "transferFeeInfo",
    )
    for path in own:
        assert (await client.own(path))[0] == 200, path
        bare = await client.get(path, account_index=123_456)
        assert bare[0] == 401, f"{path} needs a token"


async def test_a_standard_account_is_told_of_no_volume_quota():
    async with (
        opened(tier="standard", verify=False) as venue,
        aiohttp.ClientSession() as session,
    ):
        client = Client(venue, session)
        unsigned = client.signer.sign(order(7), nonce=1)
        forged = unsigned.tx_info.replace('"Sig":"', '"Sig":"AAAA')
        status, body = await client.send(dataclasses.replace(unsigned, tx_info=forged))
        assert status == 200
        assert "volume_quota_remaining" not in body
        assert body["predicted_execution_time_ms"] == START_S * 1_000 + 200
        assert body["tx_hash"] == unsigned.tx_hash


@pytest.mark.parametrize(("tier", "allowed"), [("standard", 60), ("premium", 80)])
async def test_limits_count_a_rolling_minute(tier, allowed):
    clock = SteppedClock(START_S)
    settings = VenueSettings(
        seed=2, symbols=("ETH",), tier=tier, enforce_limits=True, flow="none"
    )
    async with (
        Venue(settings=settings, clock=clock) as venue,
        aiohttp.ClientSession() as session,
    ):
        client = Client(venue, session)
        for _ in range(allowed):
            assert (await client.get("currentHeight"))[0] == 200
        status, body = await client.get("currentHeight")
        assert (status, body) == (
            429,
            {"code": 23000, "message": "Too Many Requests!"},
        )
        # Whoever authenticates is counted as owner, not as address.
        assert (await client.own("accountLimits"))[0] == 200
        await venue.advance(61)
        assert (await client.get("currentHeight"))[0] == 200


async def test_sending_has_a_limit_of_its_own():
    clock = SteppedClock(START_S)
    settings = VenueSettings(
        seed=2,
        symbols=("ETH",),
        tier="standard",
        enforce_limits=True,
        flow="none",
        verify=False,
    )
    async with (
        Venue(settings=settings, clock=clock) as venue,
        aiohttp.ClientSession() as session,
    ):
        client = Client(venue, session)
        signed = client.signer.sign(order(7), nonce=99)
        codes = [(await client.send(signed))[1]["code"] for _ in range(61)]
        assert codes == [21104] * 60 + [23000]


async def test_without_volume_quota_a_send_every_15_s_passes_and_cancels_are_free():
    clock = SteppedClock(START_S)
    settings = VenueSettings(
        seed=2, symbols=("ETH",), enforce_limits=True, flow="none", verify=False
    )
    async with (
        Venue(settings=settings, clock=clock) as venue,
        aiohttp.ClientSession() as session,
    ):
        client = Client(venue, session)
        sign = client.signer.sign
        nonce, left = 1, 1_000
        first = sign(order(7), nonce=nonce)
        _, body = await client.send(first)
        assert "volume_quota_remaining" not in body, "a send alone is free"
        while left:  # mass cancels spend too, and leave no order
            count = min(15, left)
            batch = [sign(CancelAllOrders(), nonce=nonce + 1 + n) for n in range(count)]
            nonce, left = nonce + count, left - count
            _, body = await client.send_batch(batch)
            assert body["volume_quota_remaining"] == left
        modify = sign(ModifyOrder(0, 7, 1_000, 250_000), nonce=nonce + 1)
        status, body = await client.send(modify)
        assert (status, body["code"]) == (429, 23000)
        assert body["message"] == "Not enough volume quota remaining"
        cancels = [sign(CancelOrder(0, 7), nonce=nonce + 1 + n) for n in range(2)]
        _, body = await client.send_batch(cancels)
        assert (body["code"], body["volume_quota_remaining"]) == (200, 0)
        nonce += 2
        await venue.advance(15)
        _, body = await client.send(sign(order(8), nonce=nonce + 1))
        assert (body["code"], "volume_quota_remaining" in body) == (200, False)
        two = [sign(order(9 + n), nonce=nonce + 2 + n) for n in range(2)]
        assert (await client.send_batch(two))[1]["code"] == 23000
        await venue.advance(15)
        assert (await client.send_batch(two))[1]["code"] == 23000, "two are no single"
        _, body = await client.send(sign(order(9), nonce=nonce + 2))
        assert body["code"] == 200


async def test_a_failure_inside_is_answered_recorded_and_raised_at_the_end():
    class Broken:
        armed = False

        def next_at_us(self):
            return 0 if self.armed else None

        def step(self, now_us):
            raise ZeroDivisionError(f"at {now_us}")

    flow = Broken()
    venue = Venue(seed=2, symbols=["ETH"], flow=flow)
    await venue.start()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(venue.ws_url) as socket,
    ):
        await socket.receive(DEADLINE_S)
        flow.armed = True
        for _ in range(2):
            url = f"{venue.base_url}/api/v1/currentHeight"
            async with session.get(url) as response:
                assert response.status == 500
                assert (await response.json())["code"] == 29500
        assert isinstance(venue.failure, ZeroDivisionError)
        await socket.send_json({"type": "subscribe", "channel": "height"})
        frame = json.loads((await socket.receive(DEADLINE_S)).data)
        assert frame["error"]["code"] == 29500
    with pytest.raises(ZeroDivisionError):
        await venue.aclose()
    await venue.aclose()


async def test_equal_steps_give_equal_ledgers():
    hashes = set()
    for _ in range(2):
        async with opened() as venue, aiohttp.ClientSession() as session:
            client = Client(venue, session)
            for nonce in (1, 2):
                await client.send(client.signer.sign(order(nonce), nonce=nonce))
                await venue.advance(5)
            hashes.add(venue.ledger.hash())
    assert len(hashes) == 1


async def test_a_venue_is_used_as_it_is_meant_to_be():
    with pytest.raises(UnknownMarketError, match="ETH"):
        Venue(symbols=["NOPE"])
    with pytest.raises(ConfigError, match="list"):
        Venue(symbols="ETH")
    venue = Venue(flow="none")
    with pytest.raises(UsageError, match="not running"):
        assert venue.base_url
    async with venue:
        assert venue.base_url.startswith("http://127.0.0.1:")
        assert venue.connections == 0
        with pytest.raises(UsageError, match="once"):
            await venue.start()
        with pytest.raises(UsageError, match="SteppedClock"):
            await venue.advance(1)
    clock = SteppedClock(5)
    with pytest.raises(ValueError, match="before"):
        clock.move_to(1)
