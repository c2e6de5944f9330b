"""One exchange, two doors: the same script hears the same words at both.

Every flow is played over sockets and inside the process. What the exchange said, to
the last field, its record of events and its whole state must be equal; only
signatures and the stream's own number are drawn anew each time.
"""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest

from tests.doors import DOORS, Digest, frames_until_pong, play
from wrappy.protocol.channels import RESOLUTIONS
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    UpdateLeverage,
    UpdateMargin,
)
from wrappy.signing.python import PythonSigner

pytestmark = pytest.mark.slow

SIGNATURE = re.compile(r'"(Sig|L1Sig)":\s*"[^"]*"')
IOC, GTT, POST_ONLY = 0, 1, 2
LONG = 86_400_000


def alike(value):
    """Return what was heard without what is drawn anew each time."""
    if isinstance(value, dict):
        kept = {
            k: alike(v)
            for k, v in value.items()
            if k not in ("session_id", "Sig", "auth")
        }
        return list(kept.items())  # the order of the fields counts as well
    if isinstance(value, (list, tuple)):
        return [alike(each) for each in value]
    return SIGNATURE.sub("", value) if isinstance(value, str) else value


class Script:
    """A place, and what was heard there."""

    def __init__(self, place):
        self.place = place
        self.heard = []

    def account(self, number=0):
        return self.place.engine.accounts[number].account_index

    async def get(self, path, token=None, **query):
        answer = await self.place.get(path, token, **query)
        self.heard.append((path, query, answer))
        return answer

    async def own(self, path, number=0, **query):
        token = self.place.token(number)
        return await self.get(path, token, account_index=self.account(number), **query)

    async def nonce(self, number=0, key=0):
        index = self.place.engine.accounts[number].api_keys[key].api_key_index
        query = {"account_index": self.account(number), "api_key_index": index}
        return (await self.get("nextNonce", **query))["nonce"]

    async def signed(self, *wishes, number=0):
        """Return what an account would send; nonces follow each other."""
        nonce, signer = await self.nonce(number), self.place.signer(number)
        return [signer.sign(w, nonce=nonce + at) for at, w in enumerate(wishes)]

    async def post(self, path, **form):
        answer = await self.place.post(path, urlencode(form))
        self.heard.append((path, answer))
        return answer

    async def send(self, wish, number=0, wait_s=1.0):
        [one] = await self.signed(wish, number=number)
        answer = await self.post(
            "sendTx", tx_type=int(one.tx_type), tx_info=one.tx_info
        )
        await self.place.wait(wait_s)
        return answer["code"]

    async def batch(self, *signed):
        types = json.dumps([int(one.tx_type) for one in signed])
        infos = json.dumps([one.tx_info for one in signed])
        answer = await self.post("sendTxBatch", tx_types=types, tx_infos=infos)
        await self.place.wait(1)
        return answer["code"]

    async def open(self):
        stream, first = await self.place.open_stream()
        assert first["type"] == "connected"
        self.stream = stream

    async def say(self, frame):
        """Say something on the stream; return all that is heard up to now."""
        text = frame if isinstance(frame, str) else json.dumps(frame)
        await self.stream.send(text.encode())
        return await self.listen()

    async def listen(self):
        frames = await frames_until_pong(self.stream)
        self.heard += frames
        return frames

    async def subscribe(self, channel, **more):
        frames = await self.say({"type": "subscribe", "channel": channel, **more})
        answers = [
            frame
            for frame in frames
            if "error" in frame or frame["type"].startswith("subscribed/")
        ]
        return answers[0] if answers else None

    def limit(self, coi, lots, price, *, tif=GTT, **more):
        expiry = self.place.now_ms() + LONG if tif else 0
        return CreateOrder(
            0, coi, abs(lots), price, lots < 0, 0, tif, order_expiry=expiry, **more
        )

    def market(self, coi, lots, price=None):
        price = price or (500_000 if lots > 0 else 300_000)
        return CreateOrder(0, coi, abs(lots), price, lots < 0, 1, IOC, order_expiry=0)

    def stop(self, coi, lots, trigger, *, kind=2):
        worst = trigger * (8 if lots < 0 else 12) // 10
        return CreateOrder(
            0,
            coi,
            abs(lots),
            worst,
            lots < 0,
            kind,
            IOC,
            reduce_only=True,
            trigger_price=trigger,
            order_expiry=self.place.now_ms() + LONG,
        )

    async def middle(self):
        """Return the middle of the ETH book in ticks."""
        book = await self.get("orderBookOrders", market_id=0, limit=1)
        ask, bid = book["asks"][0]["price"], book["bids"][0]["price"]
        return (int(ask.replace(".", "")) + int(bid.replace(".", ""))) // 2


async def reads(script):
    await script.place.wait(70)
    now_ms = script.place.now_ms()
    span = {"start_timestamp": 0, "end_timestamp": now_ms, "count_back": 20}
    for path, query in (
        ("orderBooks", {}),
        ("orderBookDetails", {"market_id": 0}),
        ("orderBookOrders", {"market_id": 0, "limit": 10}),
        ("recentTrades", {"market_id": 0, "limit": 10}),
        ("candles", {"market_id": 0, "resolution": "1m", **span}),
        ("fundings", {"market_id": 0, "resolution": "1h", **span}),
        ("funding-rates", {}),
        ("exchangeStats", {}),
        ("assetDetails", {}),
        ("currentHeight", {}),
        ("systemConfig", {}),
        ("account", {"by": "index", "value": script.account()}),
        ("apikeys", {"account_index": script.account(), "api_key_index": 255}),
        ("withdrawalDelay", {}),
        ("announcement", {}),
    ):
        answer = await script.get(path, **query)
        assert answer.get("code", 200) == 200, (path, answer)
    for path, query, code in (
        ("orderBookOrders", {"market_id": 77, "limit": 10}, None),
        ("orderBookOrders", {"market_id": "x", "limit": 10}, 20001),
        ("recentTrades", {"market_id": 0}, 20001),
        ("nothing", {}, 29404),
        ("account", {"by": "index", "value": 5}, 21100),
        ("tx", {"by": "hash", "value": "00"}, None),
    ):
        answer = await script.get(path, **query)
        assert answer["code"] == code or (code is None and answer["code"] != 200)


async def orders(script):
    await script.place.wait(2)
    price = await script.middle()
    assert await script.send(script.limit(1, 500, price - 4_000)) == 200
    assert await script.send(script.limit(2, -500, price + 4_000, tif=POST_ONLY)) == 200
    assert await script.send(script.market(3, 1_000)) == 200
    assert await script.send(script.limit(4, 500, price - 2_000, tif=IOC)) == 200
    assert await script.send(ModifyOrder(0, 1, 600, price - 4_100)) == 200
    assert await script.send(CancelOrder(0, 2)) == 200
    assert await script.send(script.stop(5, -1_000, price - 8_000)) == 200
    assert await script.send(UpdateLeverage(1, 1_000, 1)) == 200
    assert await script.send(CancelAllOrders(1, script.place.now_ms() + 400_000)) == 200
    assert await script.send(CancelAllOrders(2)) == 200
    live = await script.own("accountActiveOrders", market_id=0)
    assert {row["client_order_index"] for row in live["orders"]} == {1, 5}
    assert await script.send(CancelAllOrders()) == 200
    gone = await script.own("accountInactiveOrders", limit=20)
    assert len(gone["orders"]) == 5
    await script.own("trades", sort_by="timestamp", limit=20)
    await script.get("account", by="index", value=script.account())
    await script.own("accountLimits")


async def groups(script):
    await script.place.wait(2)
    price = await script.middle()
    legs = [
        script.stop(0, -1, price - 9_000),
        script.stop(0, -1, price + 9_000, kind=4),
    ]
    legs = [
        CreateOrder(
            *(0, 0, 0, leg.price, True, leg.order_type, IOC),
            reduce_only=True,
            trigger_price=leg.trigger_price,
            order_expiry=leg.order_expiry,
        )
        for leg in legs
    ]
    group = CreateGroupedOrders(3, (script.market(9, 700), *legs))
    assert await script.send(group) == 200
    live = await script.own("accountActiveOrders", market_id=0)
    assert [row["status"] for row in live["orders"]] == ["pending", "pending"]
    twap = CreateOrder(
        *(0, 10, 900, price + 9_000, False, 6, GTT),
        order_expiry=script.place.now_ms() + 600_000,
    )
    assert await script.send(twap) == 200
    await script.place.wait(130)
    assert await script.send(UpdateLeverage(1, 500, 1)) == 200
    assert await script.send(UpdateMargin(0, 5, 1)) != 200
    await script.own("accountActiveOrders", market_id=0)
    await script.own("accountInactiveOrders", limit=20)


async def batches(script):
    await script.place.wait(2)
    price = await script.middle()
    wishes = [script.limit(n, 500, price - 1_000 * n) for n in range(2, 6)]
    assert await script.batch(*await script.signed(*wishes)) == 200
    one, _, three = await script.signed(*wishes[:1] * 3)
    assert await script.batch(one, three) != 200
    cancels = [CancelOrder(0, 2), CancelOrder(0, 3)]
    assert await script.batch(*await script.signed(*cancels)) == 200
    assert await script.batch() == 21513
    answer = await script.post("sendTxBatch", tx_types="[14", tx_infos="[]")
    assert answer["code"] == 20001
    [one] = await script.signed(script.limit(7, 500, price - 1_000))
    [other] = await script.signed(script.limit(7, 500, price - 1_000), number=1)
    assert await script.batch(one, other) == 21121
    await script.own("accountActiveOrders", market_id=0)


async def refusals(script):
    await script.place.wait(2)
    price = await script.middle()
    wish = script.limit(1, 500, price - 1_000)
    [one] = await script.signed(wish)
    form = {"tx_type": int(one.tx_type), "tx_info": one.tx_info}
    assert (await script.post("sendTx", **form))["code"] == 200
    assert (await script.post("sendTx", **form))["code"] == 21104
    owner = script.place.engine.accounts[0]
    key = owner.api_keys[0]
    wrong = PythonSigner(
        key.api_key_private_key,
        account_index=owner.account_index,
        api_key_index=key.api_key_index,
        chain_id=300,
        clock_ms=script.place.now_ms,
    )
    forged = wrong.sign(wish, nonce=await script.nonce())
    form = {"tx_type": int(forged.tx_type), "tx_info": forged.tx_info}
    assert (await script.post("sendTx", **form))["code"] == 21120
    for form in (
        {},
        {"tx_type": 14},
        {"tx_type": 14, "tx_info": "{}"},
        {"tx_type": 200, "tx_info": one.tx_info},
        {"tx_type": "x", "tx_info": one.tx_info},
        {"tx_type": 14, "tx_info": one.tx_info, "price_protection": "perhaps"},
    ):
        assert (await script.post("sendTx", **form))["code"] != 200, form
    for refused in (
        script.limit(1, 500, price),
        script.limit(2, 1, price),
        script.limit(3, 500, price * 2),
        script.stop(4, -500, price),
        ModifyOrder(3, 1, 1, 1),
    ):
        assert await script.send(refused) != 200, refused


async def tokens(script):
    index = script.account()
    own, other = script.place.token(0), script.place.token(1)
    late = script.place.token(0, life_s=30)
    everlasting = script.place.token(0, life_s=9 * 3_600)
    paths = ("accountActiveOrders", "accountLimits", "tokens", "leases")
    for path in paths:
        query = {"account_index": index, "market_id": 0}
        assert (await script.get(path, own, **query)).get("code", 200) == 200
        for bad in (None, other, everlasting, "x", own[:-1], own + "0"):
            assert (await script.get(path, bad, **query))["code"] == 20013, (path, bad)
    query = {"account_index": index, "market_id": 0}
    assert (await script.get(paths[0], late, **query))["code"] == 200
    await script.place.wait(31)
    assert (await script.get(paths[0], late, **query))["code"] == 20013
    assert (await script.get(paths[0], auth=own, **query))["code"] == 200


async def streams(script):
    await script.place.wait(2)
    await script.open()
    index, token = script.account(), script.place.token()
    open_to_all = [
        "order_book/0",
        "ticker/0",
        "trade/0",
        "market_stats/0",
        "market_stats/all",
        "height",
        f"account_all/{index}",
        f"account_all_positions/{index}",
        f"account_all_trades/{index}",
        f"user_stats/{index}",
        *(f"candle/0/{resolution}" for resolution in RESOLUTIONS),
        "mark_price_candle/0/1m",
    ]
    private = [
        f"account_all_orders/{index}",
        f"account_all_assets/{index}",
        f"account_orders/0/{index}",
        f"account_market/0/{index}",
        f"account_tx/{index}",
        f"notification/{index}",
    ]
    for channel in open_to_all:
        assert "error" not in await script.subscribe(channel), channel
    for channel in private:
        assert "error" in await script.subscribe(channel)
        assert "error" in await script.subscribe(channel, auth=script.place.token(1))
        assert "error" not in await script.subscribe(channel, auth=token), channel
    assert "error" in await script.subscribe("order_book/0")
    assert "error" in await script.subscribe("order_book/77")
    assert "error" in await script.subscribe("nothing/0")
    price = await script.middle()
    before = len(script.heard)
    assert await script.send(script.market(3, 1_000)) == 200
    assert await script.send(script.limit(4, 500, price - 4_000)) == 200
    assert await script.send(script.market(5, -400)) == 200
    for _ in range(5):
        await script.place.wait(0.3)
        await script.listen()
    await script.place.wait(61)
    await script.listen()
    # The two kinds of what passed: words of the stream, and answers to requests.
    kinds = {f["type"] for f in script.heard[before:] if isinstance(f, dict)}
    names = {name.split("/")[0] for name in (*open_to_all, *private)}
    silent = {"notification", "account_all_assets"}
    assert {f"update/{name}" for name in names - silent} <= kinds
    await script.say({"type": "unsubscribe", "channel": "order_book/0"})
    await script.say({"type": "unsubscribe", "channel": "order_book/0"})
    for text in ("", "[]", "{", '{"type":"x"}', '{"type":"subscribe"}', '"x"'):
        assert any("error" in frame for frame in await script.say(text)), text


async def sending_over_streams(script):
    await script.place.wait(2)
    await script.open()
    price = await script.middle()
    wishes = [script.limit(n, 500, price - 1_000 * n) for n in range(2, 5)]
    for wish in wishes:
        [one] = await script.signed(wish)
        data = {"id": wish.client_order_index, "tx_type": int(one.tx_type)}
        data["tx_info"] = json.loads(one.tx_info)
        [frame] = await script.say({"type": "jsonapi/sendtx", "data": data})
        assert (frame["code"], frame["id"]) == (200, wish.client_order_index)
        [frame] = await script.say({"type": "jsonapi/sendtx", "data": data})
        assert frame["error"]["code"] == 21104
        await script.place.wait(1)
    signed = await script.signed(CancelOrder(0, 2), CancelOrder(0, 3))
    data = {
        "id": "both",
        "tx_types": json.dumps([int(one.tx_type) for one in signed]),
        "tx_infos": json.dumps([one.tx_info for one in signed]),
    }
    [frame] = await script.say({"type": "jsonapi/sendtxbatch", "data": data})
    assert len(frame["tx_hash"]) == 2
    await script.place.wait(1)
    live = await script.own("accountActiveOrders", market_id=0)
    assert [row["client_order_index"] for row in live["orders"]] == [4]
    for data in ({}, {"tx_type": 14}, {"tx_type": "14", "tx_info": "{}"}, 5):
        [frame] = await script.say({"type": "jsonapi/sendtx", "data": data})
        assert "error" in frame


FLOWS = (
    reads,
    orders,
    groups,
    batches,
    refusals,
    tokens,
    streams,
    sending_over_streams,
)


def played(door, flow, **settings):
    """Return what was heard, the record's hash and the state's, at one door."""

    async def scenario(place):
        digest = Digest(place.engine.exchange)
        script = Script(place)
        await flow(script)
        assert place.engine.failure is None
        return alike(script.heard), place.engine.ledger.hash(), digest.read()

    chosen = {"verify": True, "seed": 5, "flow": "synthetic", "symbols": ("ETH", "BTC")}
    return play(door, scenario, **{**chosen, **settings})


@pytest.mark.parametrize("tier", ["premium", "standard"])
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.__name__)
def test_both_doors_say_the_same(flow, tier):
    sockets, inside = (played(door, flow, tier=tier) for door in DOORS)
    assert len(sockets[0]) == len(inside[0])
    for one, other in zip(sockets[0], inside[0], strict=True):
        assert one == other
    assert sockets[1:] == inside[1:]


def test_limits_are_the_same_at_both_doors():
    async def flow(script):
        await script.place.wait(2)
        codes = [(await script.get("orderBooks")).get("code") for _ in range(220)]
        assert codes.count(23000) > 0
        await script.place.wait(61)
        assert (await script.get("orderBooks"))["code"] == 200

    sockets, inside = (
        played(door, flow, tier="standard", enforce_limits=True) for door in DOORS
    )
    assert sockets == inside
