"""Candles, notifications, tokens, limits and faults of the streams, over sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from itertools import pairwise

import aiohttp
import pytest

from wrappy.errors import ConfigError
from wrappy.protocol.intents import CreateOrder
from wrappy.signing.python import PythonSigner
from wrappy.venue import FaultRule, SteppedClock, Venue, VenueSettings
from wrappy.venue.events import Announced, FaultFired, SetIndexPrice, SetLevel, Take

DEADLINE_S = 10.0
START_S = 1_800_000_000
ACCOUNT = 123_456
DAY_S = 86_400


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
        SetLevel(0, False, 319_900, 50_000),
        SetLevel(0, True, 320_100, 50_000),
        Take(0, False, 320_100, 100),
    ],
)


class World:
    """A venue whose time stands still, with sockets that have deadlines."""

    def __init__(self, *steps, admin=False, **choices):
        settings = VenueSettings(seed=4, symbols=("ETH",), **choices)
        self.clock = SteppedClock(START_S)
        self.venue = Venue(
            settings=settings,
            flow=Script(*steps),
            clock=self.clock,
            admin=admin,
        )
        key = self.venue.accounts[0].api_keys[0]
        self.signer = PythonSigner(
            key.api_key_private_key,
            account_index=ACCOUNT,
            api_key_index=key.api_key_index,
            chain_id=self.venue.chain_id,
            clock_ms=lambda: START_S * 1_000,
        )
        self.sockets = []

    async def __aenter__(self):
        await self.venue.start()
        connector = aiohttp.TCPConnector(limit=0)
        self.session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *error):
        for socket in self.sockets:
            await socket.close()
        await self.session.close()
        await self.venue.aclose()

    def token(self, life_s=600):
        return self.signer.auth_token(deadline_s=START_S + life_s)

    async def connect(self, **options):
        options = {"max_msg_size": 0, **options}
        socket = await self.session.ws_connect(self.venue.ws_url, **options)
        self.sockets.append(socket)
        assert (await told(socket))["type"] == "connected"
        return socket

    async def stay_awake(self):
        """Have every connection heard of at this moment."""
        for socket in self.sockets:
            await socket.ping()
        now_us = self.clock.now_us()
        while any(s.heard_us < now_us for s in self.venue.sessions.sessions):
            await asyncio.sleep(0)

    async def get(self, path, token="", **query):
        headers = {"authorization": token} if token else {}
        url = f"{self.venue.base_url}/api/v1/{path}"
        async with self.session.get(url, params=query, headers=headers) as response:
            return await response.json()

    def fired(self):
        return [event.act for event in self.venue.ledger.of(FaultFired)]


async def told(socket):
    return await socket.receive_json(timeout=DEADLINE_S)


async def until(socket, kind):
    while True:
        frame = await told(socket)
        if frame.get("type") == kind or (kind == "error" and "error" in frame):
            return frame


async def subscribe(socket, channel, **more):
    await socket.send_json({"type": "subscribe", "channel": channel, **more})
    return await until(socket, "subscribed/" + channel.split("/")[0])


async def refused(socket, channel, **more):
    await socket.send_json({"type": "subscribe", "channel": channel, **more})
    return (await until(socket, "error"))["error"]


async def answers(socket):
    """Return whether the other side still answers a ping."""
    await socket.send_json({"type": "ping"})
    await until(socket, "pong")
    return True


async def quiet(socket):
    """Read what is there until nothing comes any more."""
    with contextlib.suppress(asyncio.TimeoutError):
        while True:
            await socket.receive(0.2)


async def ended(socket):
    """Read on to the end and return the close code."""
    while (await socket.receive(DEADLINE_S)).type in (
        aiohttp.WSMsgType.TEXT,
        aiohttp.WSMsgType.BINARY,
    ):
        pass
    return socket.close_code


# ------------------------------------------------------------------------ channels


def take(at_ms, base, *, is_ask=False):
    return at_ms, [Take(0, is_ask, 319_900 if is_ask else 320_100, base)]


async def test_the_live_candle_has_the_numbers_of_the_candles_endpoint():
    steps = [take(100, 10), take(130, 20), take(2_000, 30, is_ask=True)]
    async with World(OPENING, *steps) as world:
        socket = await world.connect()
        first = await subscribe(socket, "candle/0/1m")
        assert first["channel"] == "candle:0:1m"
        assert [bar["v"] for bar in first["candles"]] == [0.01]
        await world.venue.advance(3)
        frames = [await until(socket, "update/candle") for _ in range(2)]
        stamps = [frame["timestamp"] - START_S * 1_000 for frame in frames]
        assert stamps == [500, 2_500]
        rest = await world.get(
            "candles",
            market_id=0,
            resolution="1m",
            start_timestamp=START_S * 1_000,
            end_timestamp=(START_S + 60) * 1_000,
            count_back=5,
        )
        assert frames[-1]["candles"] == rest["c"]
        assert [bar["c"] for bar in rest["c"]] == [3_199.0]


async def test_a_finished_bar_is_told_before_the_next_one_begins():
    async with World(OPENING, take(59_700, 10), take(60_100, 20)) as world:
        socket = await world.connect()
        for resolution in ("1m", "5m"):
            await subscribe(socket, f"candle/0/{resolution}")
        await world.venue.advance(61)
        starts = {"candle:0:1m": [], "candle:0:5m": []}
        for _ in range(6):
            frame = await until(socket, "update/candle")
            (bar,) = frame["candles"]
            starts[frame["channel"]].append(bar["t"] // 1_000 - START_S)
        assert starts == {"candle:0:1m": [0, 0, 60], "candle:0:5m": [0, 0, 0]}


async def test_a_market_without_trades_has_no_candle():
    async with World() as world:
        socket = await world.connect()
        assert (await subscribe(socket, "candle/0/1h"))["candles"] == []


async def test_mark_price_candles_count_their_samples():
    steps = [(at, [SetIndexPrice(0, 320_000 + at)]) for at in range(100, 1_000, 100)]
    async with World(OPENING, *steps) as world:
        socket = await world.connect()
        await world.venue.advance(0.01)
        (bar,) = (await subscribe(socket, "mark_price_candle/0/5m"))["candles"]
        assert set(bar) == {"t", "o", "h", "l", "c", "sc"}
        await world.venue.advance(2)
        (later,) = (await until(socket, "update/mark_price_candle"))["candles"]
        assert later["sc"] > bar["sc"]
        assert later["l"] <= later["o"] <= later["h"]


async def test_channels_of_nothing_here_are_invalid():
    async with World(OPENING) as world:
        socket = await world.connect()
        for name in ("spot_market_stats/all", "spot_market_stats/0", "candle/0/3m"):
            error = await refused(socket, name)
            assert error == {"code": 30005, "message": f"Invalid Channel:  ({name})"}
        assert (await refused(socket, "candle/7/1m"))["code"] == 30005


async def test_notifications_reach_their_account_alone():
    async with World(OPENING) as world:
        socket, other = await world.connect(), await world.connect()
        name = f"notification/{ACCOUNT}"
        assert (await refused(socket, name))["code"] == 20013
        assert (await subscribe(socket, name, auth=world.token()))["notifs"] == []
        content = {"title": "restart", "at": 5}
        number = world.venue.announce(ACCOUNT, "announcement", content)
        content["at"] = 6
        frame = await until(socket, "update/notification")
        (told_of,) = frame["notifs"]
        assert (told_of["id"], told_of["kind"]) == (number, "announcement")
        assert told_of["content"] == {"title": "restart", "at": 5}
        assert (told_of["account_index"], told_of["ack"]) == (ACCOUNT, False)
        assert told_of["created_at"] == "2027-01-15T08:00:00Z"
        assert [event.account for event in world.venue.ledger.of(Announced)] == [
            ACCOUNT
        ]
        assert await answers(other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((5, "announcement", {}), "account: 5"),
        ((ACCOUNT, "", {}), "kind: ''"),
        ((ACCOUNT, "announcement", [1]), "content: list"),
        ((ACCOUNT, "announcement", {"x": object()}), "content: JSON"),
    ],
)
def test_an_announcement_that_cannot_be_made_is_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        World().venue.announce(*arguments)


async def test_an_administrator_announces_over_http():
    async with World(OPENING, admin=True) as world:
        socket = await world.connect()
        await subscribe(socket, f"notification/{ACCOUNT}", auth=world.token())
        url = f"{world.venue.base_url}/admin/announce"
        body = {"account": ACCOUNT, "kind": "liquidation", "content": {"size": "1.0"}}
        async with world.session.post(url, json=body) as response:
            number = (await response.json())["id"]
        (told_of,) = (await until(socket, "update/notification"))["notifs"]
        assert told_of["id"] == number
        for wrong in ({}, {**body, "account": 5}, {**body, "content": 5}):
            async with world.session.post(url, json=wrong) as response:
                assert response.status == 400
        async with world.session.get(url) as response:
            assert response.status == 400


async def test_nobody_has_entry_prices_where_there_are_no_spot_markets():
    async with World(OPENING) as world:
        socket = await world.connect()
        name = f"account_spot_avg_entry_prices/{ACCOUNT}"
        frame = await subscribe(socket, name, auth=world.token())
        assert frame["avg_entry_prices"] == {}


# -------------------------------------------------------------------------- tokens


@pytest.mark.parametrize("way", ["keep", "unsubscribe", "error", "close"])
async def test_a_token_that_expires_under_a_subscription(way):
    async with World(OPENING, expired_token=way, stream_auth_code=30012) as world:
        socket = await world.connect()
        name = f"account_all_orders/{ACCOUNT}"
        await subscribe(socket, name, auth=world.token(30))
        await subscribe(socket, "height")
        await world.venue.advance(40)
        if way == "close":
            assert await ended(socket) == 1008
        elif way == "error":
            frame = await until(socket, "error")
            assert frame["error"]["code"] == 30012
            assert "expired token" in frame["error"]["message"]
            assert frame["channel"] == f"account_all_orders:{ACCOUNT}"
        elif way == "unsubscribe":
            frame = await until(socket, "unsubscribed")
            assert frame["channel"] == f"account_all_orders:{ACCOUNT}"
        else:
            assert (await refused(socket, name))["code"] == 30003
        if way in ("error", "unsubscribe"):
            error = await refused(socket, name, auth=world.token(30))
            assert "expired" in error["message"]
            await subscribe(socket, name, auth=world.token(90))


@pytest.mark.parametrize("code", [20013, 30004, 30012])
async def test_a_refused_token_has_the_code_that_is_set(code):
    async with World(OPENING, stream_auth_code=code) as world:
        socket = await world.connect()
        name = f"account_tx/{ACCOUNT}"
        for token in ({}, {"auth": "x"}, {"auth": world.token(-1)}, {"auth": 5}):
            error = await refused(socket, name, **token)
            assert error["code"] == code
            assert "invalid auth" in error["message"]


async def test_a_read_only_token_reads_one_account_over_both_doors():
    async with World(OPENING) as world:
        other = world.venue.accounts[1].account_index
        token = world.venue.read_only_token(ACCOUNT, life_s=DAY_S)
        kind, account, scope, expiry, secret = token.split(":")
        assert (kind, int(account), scope) == ("ro", ACCOUNT, "single")
        assert int(expiry) == START_S + DAY_S
        assert len(secret) == 64
        socket = await world.connect()
        await subscribe(socket, f"account_all_orders/{ACCOUNT}", auth=token)
        query = {"account_index": ACCOUNT, "market_id": 0}
        assert (await world.get("accountActiveOrders", token, **query))["code"] == 200
        query["account_index"] = other
        assert (await world.get("accountActiveOrders", token, **query))["code"] == 20013
        for wrong, index in (
            (token, other),
            (f"{token[:-1]}{'0' if token[-1] != '0' else '1'}", ACCOUNT),
            (token.replace("single", "all"), ACCOUNT),
        ):
            error = await refused(socket, f"account_tx/{index}", auth=wrong)
            assert error["code"] == 20013
        every = world.venue.read_only_token(ACCOUNT, sub_accounts=True)
        error = await refused(socket, f"account_tx/{other}", auth=every)
        assert "another account" in error["message"]
        world.venue.revoke_token(every)
        error = await refused(socket, f"account_tx/{ACCOUNT}", auth=every)
        assert "revoked" in error["message"]


async def test_a_read_only_token_ends_like_any_other():
    async with World(OPENING, expired_token="unsubscribe") as world:
        token = world.venue.read_only_token(ACCOUNT, life_s=DAY_S)
        await world.venue.advance(DAY_S - 10)
        socket = await world.connect()
        name = f"account_all_orders/{ACCOUNT}"
        await subscribe(socket, name, auth=token)
        await world.venue.advance(20)
        await until(socket, "unsubscribed")
        assert "expired" in (await refused(socket, name, auth=token))["message"]
        fresh = world.venue.read_only_token(ACCOUNT, life_s=DAY_S)
        world.venue.faults.add(
            FaultRule(act="expire_token", path="subscribe", channel="account_tx")
        )
        error = await refused(socket, f"account_tx/{ACCOUNT}", auth=fresh)
        assert "expired" in error["message"]


def test_read_only_tokens_have_bounds():
    venue = World().venue
    with pytest.raises(ConfigError, match="minimum"):
        venue.read_only_token(ACCOUNT, life_s=DAY_S - 1)
    with pytest.raises(ConfigError, match="maximum allowed"):
        venue.read_only_token(ACCOUNT, life_s=DAY_S * 3_651)
    made = {venue.read_only_token(ACCOUNT, life_s=DAY_S) for _ in range(10)}
    assert len(made) == 10
    with pytest.raises(ConfigError, match="maximum number"):
        venue.read_only_token(ACCOUNT)
    with pytest.raises(ConfigError, match="token:"):
        venue.revoke_token("ro:1:all:5:ab")


# -------------------------------------------------------------------------- limits


async def test_more_than_fifty_messages_in_flight_are_refused():
    async with World(OPENING, enforce_limits=True) as world:
        world.venue.faults.add(
            FaultRule(act="delay", path="subscribe", delay_ms=200, times=1)
        )
        socket = await world.connect()
        for _ in range(60):
            await socket.send_json({"type": "subscribe", "channel": "height"})
        codes = []
        for _ in range(60):
            frame = await told(socket)
            codes.append(frame.get("error", {}).get("code", frame.get("type")))
        assert codes[:10] == [30010] * 10
        assert codes[10:] == ["subscribed/height"] + [30003] * 49
        assert await answers(socket)


async def test_connections_of_one_address_share_their_messages():
    async with World(OPENING, enforce_limits=True) as world:
        first, second = await world.connect(), await world.connect()
        for _ in range(100):
            assert await answers(first)
            assert await answers(second)
        await second.send_json({"type": "ping"})
        assert (await told(second))["error"]["code"] == 30009


async def test_an_address_has_two_hundred_connections_at_most():
    async with World(OPENING, enforce_limits=True) as world:
        for count in (80, 80, 40):
            for _ in range(count):
                await world.connect(compress=0)
            await world.venue.advance(61)
            await world.stay_awake()
        url = world.venue.ws_url
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await world.session.ws_connect(url)
        assert caught.value.status == 429
        await world.sockets.pop().close()
        while world.venue.connections == 200:
            await asyncio.sleep(0)
        await world.connect()


# -------------------------------------------------------------------------- faults


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008, 1011, 1012])
async def test_the_venue_closes_whatever_has_lived_for_five_seconds(code):
    rule = FaultRule(act="close", phase="tick", code=code, after_ms=5_000)
    async with World(OPENING) as world:
        world.venue.faults.add(rule)
        for _ in range(3):
            socket = await world.connect()
            await world.venue.advance(4.5)
            younger = await world.connect()
            await world.venue.advance(0.6)
            assert await ended(socket) == code
            assert await answers(younger)
            await younger.close()
        assert world.fired() == ["close"] * 3


def moving_book():
    return [
        (at, [SetLevel(0, False, 319_800, 1_000 + at)]) for at in range(50, 2_000, 50)
    ]


async def books(world, rule, count=6):
    """Return so many frames of a book that a rule meddles with."""
    world.venue.faults.add(rule)
    socket = await world.connect()
    frames = [await subscribe(socket, "order_book/0")]
    await world.venue.advance(1)
    while len(frames) < count:
        frames.append(await until(socket, "update/order_book"))
    return frames


def gaps(frames):
    told_of = [frame["order_book"] for frame in frames]
    return [
        number
        for number, (before, after) in enumerate(pairwise(told_of), 1)
        if after["begin_nonce"] != before["nonce"]
    ]


async def test_a_swallowed_update_leaves_a_gap():
    rule = FaultRule(act="drop", phase="push", path="update/order_book", nth=2)
    async with World(OPENING, *moving_book()) as world:
        assert gaps(await books(world, rule)) == [2]


async def test_a_wrong_begin_nonce_is_a_gap_although_nothing_is_missing():
    rule = FaultRule(act="nonce_gap", phase="push", nth=3, count=7)
    async with World(OPENING, *moving_book()) as world:
        frames = await books(world, rule)
        assert gaps(frames) == [3]
        wrong = frames[3]["order_book"]["begin_nonce"]
        assert wrong == frames[2]["order_book"]["nonce"] + 7


async def test_offsets_jump_for_good_and_leave_no_gap():
    rule = FaultRule(act="offset_jump", phase="push", nth=3, count=500)
    async with World(OPENING, *moving_book()) as world:
        frames = await books(world, rule)
        assert gaps(frames) == []
        ahead = [frame["offset"] - frame["order_book"]["nonce"] for frame in frames]
        assert ahead == [0, 0, 500, 500, 500, 500]
        assert all(frame["offset"] == frame["order_book"]["offset"] for frame in frames)
        socket = await world.connect()
        fresh = await subscribe(socket, "order_book/0")
        assert fresh["offset"] == fresh["order_book"]["nonce"]


async def test_a_huge_frame_is_the_frame_with_ten_million_characters_more():
    rule = FaultRule(act="huge", phase="push", channel="height")
    async with World(OPENING) as world:
        world.venue.faults.add(rule)
        socket = await world.connect()
        await socket.send_json({"type": "subscribe", "channel": "height"})
        text = await socket.receive_str(timeout=DEADLINE_S)
        assert len(text) > 10_000_000
        frame = json.loads(text)
        assert (frame["type"], frame["channel"]) == ("subscribed/height", "height")


async def test_garbage_may_be_bytes_that_are_no_text():
    rule = FaultRule(act="garbage", phase="push", binary=True)
    async with World(OPENING) as world:
        world.venue.faults.add(rule)
        socket = await world.connect()
        await socket.send_json({"type": "subscribe", "channel": "height"})
        noise = await socket.receive_bytes(timeout=DEADLINE_S)
        with pytest.raises(UnicodeDecodeError):
            noise.decode()


async def test_pings_go_unanswered_of_either_kind():
    async with World(OPENING) as world:
        socket = await world.connect(autoping=False)
        for path, kinds in (
            ("ping", [aiohttp.WSMsgType.PONG]),
            ("ping/frame", [aiohttp.WSMsgType.TEXT]),
            ("ping*", []),
        ):
            handle = world.venue.faults.add(FaultRule(act="stall", path=path))
            await socket.send_json({"type": "ping"})
            await socket.ping(b"there?")
            await socket.send_json({"type": "unsubscribe", "channel": "height"})
            heard = []
            while "30002" not in str((message := await socket.receive(5)).data):
                heard.append(message.type)
            assert heard == kinds
            world.venue.faults.remove(handle)


async def test_a_subscription_is_never_acknowledged():
    async with World(OPENING) as world:
        world.venue.faults.add(FaultRule(act="stall", path="subscribe", times=1))
        world.venue.faults.add(
            FaultRule(act="drop", phase="push", path="subscribed/*", times=1)
        )
        socket = await world.connect()
        await socket.send_json({"type": "subscribe", "channel": "height"})
        assert await answers(socket)
        await socket.send_json({"type": "subscribe", "channel": "height"})
        assert await answers(socket)
        assert (await refused(socket, "height"))["code"] == 30003
        assert world.fired() == ["stall", "drop"]


@pytest.mark.parametrize(
    "rule",
    [
        FaultRule(act="freeze", phase="push", channel="height", nth=2),
        FaultRule(act="freeze", phase="tick", after_ms=1_000),
        FaultRule(act="freeze", path="ping"),
    ],
    ids=["push", "tick", "request"],
)
async def test_a_frozen_connection_says_nothing_and_stays_open(rule):
    async with World(OPENING, expired_token="close") as world:
        world.venue.faults.add(rule)
        socket = await world.connect()
        await subscribe(socket, f"account_tx/{ACCOUNT}", auth=world.token(60))
        await subscribe(socket, "height")
        if rule.path:
            await socket.send_json({"type": "ping"})
            await asyncio.sleep(0)
        while not world.fired():
            await world.venue.advance(0.6)
        await quiet(socket)
        await world.venue.advance(300)
        await socket.ping()
        await socket.send_json({"type": "subscribe", "channel": "trade/0"})
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(0.2)
        assert not socket.closed
        assert world.fired() == ["freeze"]
        fresh = await world.connect()
        if not rule.path:
            assert await answers(fresh)


async def test_every_token_can_expire_at_a_time():
    rule = FaultRule(act="expire_token", phase="tick", after_ms=2_000, times=1)
    async with World(OPENING) as world:
        world.venue.faults.add(rule)
        socket = await world.connect()
        await subscribe(socket, f"account_tx/{ACCOUNT}", auth=world.token())
        await world.venue.advance(3)
        frame = await until(socket, "unsubscribed")
        assert frame["channel"] == f"account_tx:{ACCOUNT}"


async def test_the_same_faults_of_the_streams_leave_the_same_ledger():
    async def course():
        rules = [
            FaultRule(act="drop", phase="push", probability=300_000),
            FaultRule(act="garbage", phase="push", binary=True, every=5),
            FaultRule(act="nonce_gap", phase="push", probability=400_000),
            FaultRule(act="close", phase="tick", code=1006, after_ms=1_500),
        ]
        async with World(OPENING, *moving_book()) as world:
            for rule in rules:
                world.venue.faults.add(rule)
            socket = await world.connect()
            for name in ("order_book/0", "ticker/0", "candle/0/1m"):
                await socket.send_json({"type": "subscribe", "channel": name})
            await socket.send_json({"type": "ping"})
            while '"pong"' not in str((await socket.receive(5)).data):
                pass
            signed = world.signer.sign(
                CreateOrder(
                    0,
                    7,
                    1_000,
                    310_000,
                    is_ask=False,
                    order_expiry=(START_S + 7_200) * 1_000,
                ),
                nonce=1,
            )
            await world.venue.advance(1)
            form = {"tx_type": int(signed.tx_type), "tx_info": signed.tx_info}
            url = f"{world.venue.base_url}/api/v1/sendTx"
            async with world.session.post(url, data=form) as response:
                assert response.status == 200
            world.venue.announce(ACCOUNT, "announcement", {"n": 1})
            await world.venue.advance(2)
            assert await ended(socket) == 1006
            assert len(world.fired()) > 5
            return world.venue.ledger.hash()

    assert await course() == await course()
