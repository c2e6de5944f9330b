"""The WebSocket door through real sockets: channels, continuity, transactions."""

from __future__ import annotations

import asyncio
import json
import pathlib
from decimal import Decimal
from itertools import pairwise

import aiohttp
import pytest

from wrappy.protocol.intents import CancelOrder, CreateOrder
from wrappy.signing.python import PythonSigner
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.events import SetIndexPrice, SetLevel, Take

DEADLINE_S = 10.0
START_S = 1_800_000_000
TAPE = (
    pathlib.Path(__file__).resolve().parents[2]
    / "../shared/data/binance_usdm_l2/usdm_ethusdt_20240808.gz"
)
ACCOUNT = 123_456


class Script:
    """Market life written by the test: (offset in ms, actions)."""

    def __init__(self, *steps):
        self._steps = list(steps)

    def next_at_us(self):
        return self._steps[0][0] * 1_000 if self._steps else None

    def step(self, now_us):
        actions = []
        while self._steps and self._steps[0][0] * 1_000 <= now_us:
            actions += self._steps.pop(0)[1]
        return actions


OPENING = (
    0,
    [
        SetIndexPrice(0, 320_000),
        SetLevel(0, False, 319_900, 5_000),
        SetLevel(0, True, 320_100, 5_000),
        Take(0, False, 320_100, 100),
        Take(0, True, 319_900, 200),
    ],
)


class Socket:
    """One WebSocket with deadlines on everything."""

    def __init__(self, raw):
        self.raw = raw

    async def next(self):
        message = await self.raw.receive(DEADLINE_S)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return json.loads(message.data)

    async def until(self, kind):
        while True:
            frame = await self.next()
            if frame.get("type") == kind or (kind == "error" and "error" in frame):
                return frame

    async def send(self, **message):
        await self.raw.send_str(json.dumps(message))

    async def subscribe(self, channel, **more):
        await self.send(type="subscribe", channel=channel, **more)
        return await self.until("subscribed/" + channel.split("/")[0])

    async def closed(self):
        """Read on to the end and return the close code."""
        while True:
            message = await self.raw.receive(DEADLINE_S)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return self.raw.close_code


class World:
    """A venue whose time stands still, with a signer and sockets."""

    def __init__(self, venue, session):
        self.venue, self.session = venue, session
        key = venue.accounts[0].api_keys[0]
        self.signer = PythonSigner(
            key.api_key_private_key,
            account_index=ACCOUNT,
            api_key_index=key.api_key_index,
            chain_id=venue.chain_id,
            clock_ms=lambda: START_S * 1_000,
        )
        self.token = self.signer.auth_token(deadline_s=START_S + 600)
        self._sockets = []
        self._nonce = 0

    async def connect(self, query="", **options):
        raw = await self.session.ws_connect(self.venue.ws_url + query, **options)
        self._sockets.append(raw)
        socket = Socket(raw)
        first = await socket.next()
        assert first["type"] == "connected"
        assert first["session_id"]
        return socket

    def order(self, coi, price, *, ask=False, base=1_000):
        self._nonce += 1
        intent = CreateOrder(
            0, coi, base, price, ask, order_expiry=(START_S + 7_200) * 1_000
        )
        return self.signer.sign(intent, nonce=self._nonce)

    def cancel(self, coi):
        self._nonce += 1
        return self.signer.sign(CancelOrder(0, coi), nonce=self._nonce)

    async def post(self, signed):
        form = {"tx_type": str(int(signed.tx_type)), "tx_info": signed.tx_info}
        url = f"{self.venue.base_url}/api/v1/sendTx"
        async with self.session.post(url, data=form) as response:
            assert response.status == 200, await response.text()

    async def close(self):
        for raw in self._sockets:
            await raw.close()


async def world_with(*steps, **choices):
    settings = VenueSettings(seed=4, symbols=("ETH",), **choices)
    venue = Venue(settings=settings, flow=Script(*steps), clock=SteppedClock(START_S))
    await venue.start()
    return World(venue, aiohttp.ClientSession())


async def end(world):
    await world.close()
    await world.session.close()
    await world.venue.aclose()


@pytest.fixture
async def world():
    steps = [OPENING]
    steps += [
        (
            step * 10,
            [
                SetLevel(0, False, 319_800 + step % 7, 1_000 * (step % 5)),
                SetLevel(0, True, 320_200 + step % 11, 1_000 * (step % 3)),
            ],
        )
        for step in range(1, 500)
    ]
    made = await world_with(*steps)
    yield made
    await end(made)


async def test_updates_continue_the_snapshot_for_every_reader(world):
    async def follow(start_after):
        await world.venue.advance(start_after)
        socket = await world.connect()
        frame = await socket.subscribe("order_book/0")
        assert frame["channel"] == "order_book:0"
        assert frame["order_book"]["begin_nonce"] == 0
        return socket, frame["order_book"]

    def levels(body):
        return {
            (side, row["price"]): Decimal(row["size"])
            for side in ("asks", "bids")
            for row in body[side]
        }

    followed = [await follow(delay) for delay in (0, 0.013, 0.095, 0.4)]
    await world.venue.advance(6)  # beyond the script's end: nothing is held back
    depth = world.venue.exchange.markets[0].engine.depth()
    market = world.venue.markets[0]
    truth = {
        (side, f"{market.price(price)}"): market.size(base)
        for side, rows in zip(("bids", "asks"), depth, strict=True)
        for price, base in rows
    }
    final = world.venue.exchange.markets[0].book_nonce
    for socket, body in followed:
        book, nonce = levels(body), body["nonce"]
        while nonce != final:
            update = (await socket.until("update/order_book"))["order_book"]
            assert update["begin_nonce"] == nonce
            nonce = update["nonce"]
            book.update(levels(update))
        assert {level: size for level, size in book.items() if size} == truth


async def test_book_updates_come_in_batches_of_fifty_milliseconds(world):
    socket = await world.connect()
    await socket.subscribe("order_book/0")
    await world.venue.advance(1)
    stamps = [
        (await socket.until("update/order_book"))["last_updated_at"] for _ in range(10)
    ]
    assert all(stamp % 50_000 == 0 for stamp in stamps)
    assert {b - a for a, b in pairwise(stamps)} == {50_000}


async def test_ticker_trades_statistics_and_height(world):
    socket = await world.connect()
    ticker = await socket.subscribe("ticker/0")
    assert ticker["ticker"]["b"] == {"price": "3199.00", "size": "0.4800"}
    trades = await socket.subscribe("trade/0")
    ids = [trade["trade_id"] for trade in trades["trades"]]
    assert len(ids) == 2
    assert ids == sorted(ids, reverse=True)
    stats = await socket.subscribe("market_stats/0")
    assert stats["market_stats"]["index_price"] == "3200.00"
    everything = await socket.subscribe("market_stats/all")
    assert list(everything["market_stats"]) == ["0"]
    height = await socket.subscribe("height")
    await world.post(world.order(5, 321_000))
    await world.venue.advance(0.6)
    update = await socket.until("update/trade")
    assert update["trades"][0]["bid_client_id"] == 5
    changed = await socket.until("update/ticker")
    assert changed["ticker"]["a"]["size"] == "0.3900"
    single = await socket.until("update/market_stats")
    assert single["market_stats"]["last_trade_price"] == "3201.00"
    assert (await socket.until("update/height"))["height"] == height["height"] + 1


async def test_an_empty_book_has_an_empty_ticker():
    world = await world_with()
    try:
        socket = await world.connect()
        frame = await socket.subscribe("ticker/0")
        assert frame["ticker"]["a"] == frame["ticker"]["b"] == {"price": "", "size": ""}
        book = await socket.subscribe("order_book/0")
        assert book["order_book"]["asks"] == book["order_book"]["bids"] == []
    finally:
        await end(world)


async def test_an_accounts_life_on_its_channels(world):
    socket = await world.connect()
    for channel in ("account_all", "account_all_positions", "account_all_trades"):
        frame = await socket.subscribe(f"{channel}/{ACCOUNT}")
        assert frame["channel"] == f"{channel}:{ACCOUNT}"
    await socket.subscribe(f"user_stats/{ACCOUNT}")
    for channel in (
        f"account_all_orders/{ACCOUNT}",
        f"account_orders/0/{ACCOUNT}",
        f"account_market/0/{ACCOUNT}",
        f"account_tx/{ACCOUNT}",
        f"account_all_assets/{ACCOUNT}",
    ):
        await socket.subscribe(channel, auth=world.token)
    await world.post(world.order(5, 310_000))
    await world.venue.advance(0)
    frame = await socket.until("update/account_all_orders")
    assert [row["status"] for row in frame["orders"]["0"]] == ["open"]
    frame = await socket.until("update/account_orders")
    assert frame["account"] == ACCOUNT
    frame = await socket.until("update/account_tx")
    assert frame["txs"][0]["status"] == 2
    assert json.loads(frame["txs"][0]["event_info"])["to"]["u"] == 5
    again = await world.connect()
    snapshot = await again.subscribe(f"account_all_orders/{ACCOUNT}", auth=world.token)
    assert [row["client_order_index"] for row in snapshot["orders"]["0"]] == [5]
    snapshot = await again.subscribe(f"account_market/0/{ACCOUNT}", auth=world.token)
    assert [row["client_order_index"] for row in snapshot["orders"]] == [5]
    await world.post(world.cancel(5))
    await world.post(world.order(6, 321_000))
    await world.venue.advance(0)
    statuses = {}
    while 6 not in statuses:
        frame = await socket.until("update/account_all_orders")
        for row in frame["orders"]["0"]:
            statuses[row["client_order_index"]] = row["status"]
    assert statuses == {5: "canceled", 6: "filled"}
    frame = await socket.until("update/account_all_trades")
    assert frame["trades"]["0"][0]["bid_client_id"] == 6
    frame = await socket.until("update/account_all_positions")
    assert frame["positions"]["0"]["position"] == "0.1000"
    frame = await socket.until("update/account_all_assets")
    assert Decimal(frame["assets"]["3"]["margin_balance"]) < 100_000, "less the fee"
    frame = await socket.until("update/user_stats")
    assert Decimal(frame["stats"]["margin_usage"]) > 0
    frame = await socket.until("update/account_all")
    assert frame["positions"]["0"]["sign"] == 1
    frame = await socket.until("update/account_market")
    assert frame["position"]["market_id"] == 0
    await world.post(world.cancel(77))
    await world.venue.advance(0)


async def test_errors_have_the_documented_codes_and_the_socket_stays_open(world):
    socket = await world.connect()

    async def refusal(**message):
        await socket.send(**message)
        return (await socket.until("error"))["error"]

    await socket.raw.send_str("{nonsense")
    assert (await socket.until("error"))["error"]["code"] == 30000
    await socket.raw.send_bytes(b"\x00")
    assert (await socket.until("error"))["error"]["code"] == 30000
    await socket.raw.send_str("[]")
    assert (await socket.until("error"))["error"]["code"] == 30001
    assert (await refusal(type="dance"))["code"] == 30001
    assert (await refusal(type="subscribe"))["code"] == 30005
    error = await refusal(type="subscribe", channel="order_book/9")
    assert error == {"code": 30005, "message": "Invalid Channel:  (order_book/9)"}
    assert (await refusal(type="unsubscribe", channel="x"))["code"] == 30005
    error = await refusal(type="unsubscribe", channel="order_book/0")
    assert error == {"code": 30002, "message": "Not Subscribed to : order_book:0"}
    await socket.subscribe("market_stats/all")
    error = await refusal(type="subscribe", channel="market_stats/all")
    assert error == {
        "code": 30003,
        "message": "Already Subscribed to : market_stats:all",
    }
    await socket.send(type="unsubscribe", channel="market_stats/all")
    frame = await socket.until("unsubscribed")
    assert frame == {"type": "unsubscribed", "channel": "market_stats:all"}
    await socket.subscribe("market_stats/all")


async def test_private_channels_need_a_token_of_the_account(world):
    socket = await world.connect()
    stale = world.signer.auth_token(deadline_s=START_S - 1)
    for token in ({}, {"auth": 5}, {"auth": stale}, {"auth": "x"}):
        await socket.send(
            type="subscribe", channel=f"account_all_orders/{ACCOUNT}", **token
        )
        assert (await socket.until("error"))["error"]["code"] == 20013
    await socket.send(
        type="subscribe", channel=f"account_all_orders/{ACCOUNT + 1}", auth=world.token
    )
    assert (await socket.until("error"))["error"]["code"] == 20013


async def test_pings_are_answered_both_ways(world):
    socket = await world.connect(autoping=False)
    await socket.send(type="ping")
    assert await socket.next() == {"type": "pong"}
    await socket.send(type="pong")
    await socket.raw.ping(b"are you there")
    answer = await socket.raw.receive(DEADLINE_S)
    assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"are you there")
    await socket.raw.pong()
    await socket.subscribe("height")


async def test_a_silent_client_is_closed_after_two_minutes(world):
    socket = await world.connect()
    lively = await world.connect()
    await world.venue.advance(119)
    await lively.send(type="ping")
    await lively.until("pong")
    await world.venue.advance(3)
    assert await socket.closed() == 1008
    await lively.subscribe("height")


async def test_a_token_that_expires_ends_the_subscription_if_set_so():
    world = await world_with(OPENING, expired_token="unsubscribe")
    try:
        socket = await world.connect()
        token = world.signer.auth_token(deadline_s=START_S + 30)
        await socket.subscribe(f"account_all_orders/{ACCOUNT}", auth=token)
        await socket.subscribe("height")
        await world.venue.advance(40)
        frame = await socket.until("unsubscribed")
        assert frame["channel"] == f"account_all_orders:{ACCOUNT}"
    finally:
        await end(world)


async def test_account_channels_can_be_set_to_need_a_token():
    world = await world_with(OPENING, public_account_channels=False)
    try:
        socket = await world.connect()
        await socket.send(type="subscribe", channel=f"account_all/{ACCOUNT}")
        assert (await socket.until("error"))["error"]["code"] == 20013
        await socket.subscribe(f"account_all/{ACCOUNT}", auth=world.token)
    finally:
        await end(world)


async def test_transactions_over_the_stream_are_answered_with_their_id(world):
    socket = await world.connect()
    first, second = world.order(1, 310_000), world.order(2, 310_100)
    info = json.loads(first.tx_info)
    data = {"id": "a-1", "tx_type": 14, "tx_info": info}
    await socket.send(type="jsonapi/sendtx", data=data)
    reply = await socket.until("jsonapi/sendtx")
    assert (reply["code"], reply["id"]) == (200, "a-1")
    assert reply["tx_hash"] == first.tx_hash
    data = {"tx_type": 14, "tx_info": second.tx_info}
    await socket.send(type="jsonapi/sendtx", data=data)
    assert "id" not in await socket.until("jsonapi/sendtx")
    batch = [world.order(3, 310_200), world.cancel(1)]
    data = {
        "id": 7,
        "tx_types": json.dumps([14, 15]),
        "tx_infos": json.dumps([tx.tx_info for tx in batch]),
    }
    await socket.send(type="jsonapi/sendtxbatch", data=data)
    reply = await socket.until("jsonapi/sendtxbatch")
    assert (reply["id"], len(reply["tx_hash"])) == (7, 2)
    data["id"] = "again"
    await socket.send(type="jsonapi/sendtxbatch", data=data)
    frame = await socket.until("error")
    assert (frame["error"]["code"], frame["id"]) == (21104, "again")
    for data, code in (
        (None, 30007),
        ({"tx_type": "14", "tx_info": "{}"}, 21505),
        ({"tx_type": 14}, 21501),
    ):
        await socket.send(type="jsonapi/sendtx", data=data)
        assert (await socket.until("error"))["error"]["code"] == code
    await socket.send(type="jsonapi/sendtxbatch", data={"tx_types": 3})
    assert (await socket.until("error"))["error"]["code"] == 20001


async def test_a_read_only_connection_sends_nothing(world):
    socket = await world.connect("?readonly=true")
    data = {"id": "r", "tx_type": 14, "tx_info": "{}"}
    await socket.send(type="jsonapi/sendtx", data=data)
    frame = await socket.until("error")
    assert (frame["error"]["code"], frame["id"]) == (30006, "r")
    assert world.venue.ledger.refused() == []


async def test_frames_are_compressed_for_whoever_offers_it(world):
    socket = await world.connect(compress=15)
    assert socket.raw.compress
    frame = await socket.subscribe("order_book/0")
    assert frame["order_book"]["asks"]


def masked(**message):
    """Return one client frame as bytes, with a mask of zeros."""
    payload = json.dumps(message).encode()
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


HANDSHAKE = (
    b"GET /stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_a_reader_that_reads_nothing_is_dropped_and_stalls_nobody():
    wide = (0, [SetLevel(0, True, 320_000 + level, 7) for level in range(900)])
    world = await world_with(wide)
    try:
        host, port = world.venue.base_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, port, limit=1_024)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"connected")
        again = masked(type="subscribe", channel="order_book/0")
        again += masked(type="unsubscribe", channel="order_book/0")
        lively = await world.connect()
        await lively.subscribe("order_book/0")
        for _ in range(1_000):
            writer.write(again)
            if world.venue.connections == 1:
                break
            await lively.send(type="ping")
            await lively.until("pong")
        await eventually(lambda: world.venue.connections == 1)
        await lively.send(type="ping")
        await lively.until("pong")
        assert world.venue.failure is None
        writer.close()
    finally:
        await end(world)


async def test_fast_time_drops_a_reader_that_never_reads():
    book = (0, [SetLevel(0, True, 320_000 + level, 7) for level in range(60)])
    steps = [(step * 50, [SetLevel(0, True, 320_000, step)]) for step in range(1, 999)]
    world = await world_with(book, *steps)
    try:
        host, port = world.venue.base_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, port, limit=1_024)
        writer.write(HANDSHAKE)
        await reader.readuntil(b"connected")
        again = masked(type="subscribe", channel="order_book/0")
        again += masked(type="unsubscribe", channel="order_book/0")
        for _ in range(200):
            writer.write(again * 100)
            await writer.drain()
            await world.venue.advance(0.05)
            if not world.venue.connections:
                break
        await eventually(lambda: not world.venue.connections)
        writer.close()
    finally:
        await end(world)


async def test_fast_time_loses_no_frame_for_a_reader_that_reads():
    steps = [
        (step * 50, [SetLevel(0, True, 320_000 + step % 2, step)])
        for step in range(1, 3_000)
    ]
    world = await world_with(OPENING, *steps)
    try:
        frames = []
        socket = await world.connect()
        await socket.subscribe("order_book/0")

        async def read():
            while len(frames) < 2_999:
                frames.append(await socket.until("update/order_book"))

        reading = asyncio.create_task(read())
        for _ in range(2):  # an answer between, or the client counts as silent
            await world.venue.advance(75)
            await socket.send(type="pong")
        await reading
        assert len(frames) == 2_999
        assert world.venue.connections == 1
    finally:
        await end(world)


async def eventually(condition):
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while not condition():
        assert loop.time() < deadline
        await asyncio.sleep(0)


async def test_closing_the_venue_closes_every_client_with_1001(world):
    sockets = [await world.connect() for _ in range(3)]
    closing = asyncio.create_task(world.venue.aclose())
    assert [await socket.closed() for socket in sockets] == [1001] * 3
    await closing


async def test_messages_and_connections_are_limited_when_asked():
    world = await world_with(OPENING, enforce_limits=True)
    try:
        socket = await world.connect()
        for _ in range(200):
            await socket.send(type="ping")
            assert await socket.next() == {"type": "pong"}
        await socket.send(type="ping")
        assert (await socket.next())["error"]["code"] == 30009
        for _ in range(79):
            await world.connect()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await world.connect()
    finally:
        await end(world)


@pytest.mark.skipif(not TAPE.is_file(), reason="no tape beside the checkout")
async def test_a_recorded_market_is_replayed():
    clock = SteppedClock(START_S)
    venue = Venue(tape=TAPE, symbols=["SOL"], clock=clock)
    async with venue, aiohttp.ClientSession() as session:
        assert [market.symbol for market in venue.markets] == ["ETH", "SOL"]
        raw = await session.ws_connect(venue.ws_url)
        socket = Socket(raw)
        await socket.subscribe("trade/0")
        await venue.advance(5)
        trade = (await socket.until("update/trade"))["trades"][0]
        assert 2_677 < Decimal(trade["price"]) < 2_685
        await raw.close()


async def test_a_client_may_leave_without_a_word(world):
    socket = await world.connect()
    await socket.subscribe("order_book/0")
    await socket.raw.close()
    await eventually(lambda: world.venue.connections == 0)
    await world.venue.advance(1)
    assert world.venue.failure is None


@pytest.mark.parametrize("compress", [0, 9, 15])
async def test_frames_of_every_size_arrive_as_they_were_sent(world, compress):
    socket = await world.connect(compress=compress)
    empty = len(json.dumps({"type": "size", "text": ""}))
    for size in (60, 125, 126, 65_535, 65_536, 200_000):
        frame = json.dumps({"type": "size", "text": "x" * (size - empty)})
        assert len(frame) == size
        for session in world.venue.sessions.sessions:
            session.say(frame)
        assert await socket.until("size") == json.loads(frame)
