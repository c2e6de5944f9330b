"""What goes wrong on purpose goes wrong on the wire, and the ledger says so."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from wrappy import SendOutcomeUnknownError
from wrappy.errors import ConfigError
from wrappy.protocol.intents import CreateOrder
from wrappy.signing.python import PythonSigner
from wrappy.venue import FaultRule, Venue
from wrappy.venue.__main__ import build, parser
from wrappy.venue.events import FaultFired

pytestmark = pytest.mark.slow

SEND = "/api/v1/sendTx"
HEIGHT = "/api/v1/currentHeight"
DEADLINE_S = 5.0
LIFETIME_S = 3_600


@pytest.fixture
async def session():
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with aiohttp.ClientSession(timeout=timeout) as made:
        yield made


def signer_of(venue, account=0):
    owner = venue.accounts[account]
    return PythonSigner(
        owner.api_keys[0].api_key_private_key,
        account_index=owner.account_index,
        api_key_index=owner.api_keys[0].api_key_index,
        chain_id=venue.chain_id,
    )


def order(venue, nonce, coi=7):
    intent = CreateOrder(
        market_index=venue.markets[0].market_id,
        client_order_index=coi,
        base_amount=1_000,
        price=290_000,
        is_ask=False,
        order_type=0,
        time_in_force=1,
        reduce_only=False,
        trigger_price=0,
        order_expiry=int(time.time() * 1_000) + 86_400_000,
    )
    return signer_of(venue).sign(intent, nonce=nonce)


def form(signed):
    return {"tx_type": int(signed.tx_type), "tx_info": signed.tx_info}


async def sent(venue, session, nonce=1, coi=7):
    url = venue.base_url + SEND
    data = form(order(venue, nonce, coi))
    async with session.post(url, data=data) as response:
        return response.status, await response.read()


async def height(venue, session):
    async with session.get(venue.base_url + HEIGHT) as response:
        return response.status, await response.read()


def accepted(venue):
    return len(venue.ledger.accepted())


def fired(venue):
    return [(e.act, e.phase, e.where) for e in venue.ledger.of(FaultFired)]


def rule(act, **fields):
    return FaultRule(act=act, **{"path": SEND, "times": 1, **fields})


@pytest.mark.parametrize(
    ("phase", "taken"), [("request", 0), ("reply", 1)], ids=["request", "reply"]
)
async def test_a_drop_closes_the_connection_before_or_after_the_exchange(
    quiet_venue, session, phase, taken
):
    quiet_venue.faults.add(rule("drop", phase=phase))
    with pytest.raises(aiohttp.ClientError):
        await sent(quiet_venue, session)
    assert accepted(quiet_venue) == taken
    assert fired(quiet_venue) == [("drop", phase, SEND)]
    status, _ = await sent(quiet_venue, session, nonce=1 + taken, coi=8)
    assert status == 200


async def test_a_stalled_request_is_never_answered_and_does_not_hold_up_the_end():
    timeout = aiohttp.ClientTimeout(total=0.2)
    async with Venue(flow="none") as venue, aiohttp.ClientSession() as session:
        venue.faults.add(rule("stall", phase="reply"))
        data = form(order(venue, 1))
        with pytest.raises(asyncio.TimeoutError):
            await session.post(venue.base_url + SEND, data=data, timeout=timeout)
        assert accepted(venue) == 1
        begun = time.monotonic()
    assert time.monotonic() - begun < 2.0


async def test_a_cut_answer_breaks_off_and_garbage_is_no_json(quiet_venue, session):
    quiet_venue.faults.add(rule("truncate", phase="reply"))
    with pytest.raises(aiohttp.ClientPayloadError):
        await sent(quiet_venue, session)
    quiet_venue.faults.add(rule("garbage", phase="reply"))
    status, body = await sent(quiet_venue, session, nonce=2, coi=8)
    assert status == 200
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever is first wrong
        json.loads(body)
    assert accepted(quiet_venue) == 2


@pytest.mark.parametrize("code", [405, 429, 500, 502, 503])
@pytest.mark.parametrize("html", [False, True])
async def test_a_status_is_answered_instead(quiet_venue, session, code, html):
    quiet_venue.faults.add(rule("status", code=code, html=html))
    url = quiet_venue.base_url + SEND
    async with session.post(url, data=form(order(quiet_venue, 1))) as response:
        assert response.status == code
        assert response.content_type == ("text/html" if html else "application/json")
        assert ("Retry-After" in response.headers) is (code == 429)
        if not html:
            number = 23000 if code == 429 else code
            assert (await response.json())["code"] == number
    assert accepted(quiet_venue) == 0


async def test_a_doubled_request_arrives_twice_and_is_carried_out_once(
    quiet_venue, session
):
    quiet_venue.faults.add(rule("dup"))
    status, _ = await sent(quiet_venue, session)
    assert status == 200
    assert accepted(quiet_venue) == 1
    assert [refused.code for refused in quiet_venue.ledger.refused()] == [21104]


async def test_delayed_and_overtaken_requests_arrive_later(quiet_venue, session):
    quiet_venue.faults.add(rule("delay", delay_ms=50))
    begun = time.monotonic()
    assert (await sent(quiet_venue, session))[0] == 200
    assert time.monotonic() - begun >= 0.05
    quiet_venue.faults.add(rule("reorder", delay_ms=4_000))
    slow = asyncio.create_task(sent(quiet_venue, session, nonce=2, coi=8))
    while len(fired(quiet_venue)) < 2:
        await asyncio.sleep(0)
    assert not slow.done()
    assert (await height(quiet_venue, session))[0] == 200
    assert (await asyncio.wait_for(slow, 2.0))[0] == 200
    quiet_venue.faults.add(rule("delay", phase="reply", delay_ms=50))
    quiet_venue.faults.add(rule("reorder", phase="reply", delay_ms=1))
    assert (await sent(quiet_venue, session, nonce=3, coi=9))[0] == 200


async def test_a_silent_drop_is_accepted_and_never_heard_of(quiet_venue, session):
    quiet_venue.faults.add(rule("silent_drop", phase="after_accept", tx_type=14))
    status, body = await sent(quiet_venue, session)
    assert status == 200
    tx_hash = json.loads(body)["tx_hash"]
    await sent(quiet_venue, session, nonce=2, coi=8)
    await height(quiet_venue, session)
    assert [order.client_order_index for order in quiet_venue.ledger.orders()] == [8]
    assert quiet_venue.exchange.transaction(tx_hash).status == 1
    # Its number is free again: the order does not exist.
    assert (await sent(quiet_venue, session, nonce=3, coi=7))[0] == 200


async def test_a_spent_nonce_is_somebody_elses(quiet_venue, session):
    quiet_venue.faults.add(rule("bump_nonce", count=3, tx_type=14))
    status, body = await sent(quiet_venue, session)
    assert (status, json.loads(body)["code"]) == (400, 21104)
    assert (await sent(quiet_venue, session, nonce=4))[0] == 200
    quiet_venue.faults.add(rule("bump_nonce", phase="after_accept", path=None))
    assert (await sent(quiet_venue, session, nonce=5, coi=8))[0] == 200
    assert (await sent(quiet_venue, session, nonce=7, coi=9))[0] == 200
    (event, _) = quiet_venue.ledger.of(FaultFired)
    owner = quiet_venue.accounts[0]
    assert event.account == owner.account_index
    assert event.api_key_index == owner.api_keys[0].api_key_index


async def test_a_token_expires_before_its_time(quiet_venue, session):
    index = quiet_venue.accounts[0].account_index
    token = signer_of(quiet_venue).auth_token(deadline_s=int(time.time()) + LIFETIME_S)
    url = f"{quiet_venue.base_url}/api/v1/accountActiveOrders"
    quiet_venue.faults.add(FaultRule(act="expire_token", account=index, nth=2))
    seen = []
    for _ in range(3):
        async with session.get(
            url,
            params={"account_index": index, "market_id": 0},
            headers={"authorization": token},
        ) as response:
            seen.append(response.status)
    assert seen == [200, 401, 401]


async def test_a_skewed_clock_lets_transactions_expire(quiet_venue, session):
    quiet_venue.faults.add(FaultRule(act="skew", path=HEIGHT, skew_ms=700_000))
    await height(quiet_venue, session)
    status, body = await sent(quiet_venue, session)
    assert status == 400
    assert "ExpiredAt" in json.loads(body)["message"]


# ----------------------------------------------------------------------- streams


async def opened(venue, session):
    socket = await session.ws_connect(venue.ws_url)
    assert (await socket.receive_json(timeout=DEADLINE_S))["type"] == "connected"
    return socket


async def told(socket):
    return await socket.receive_json(timeout=DEADLINE_S)


async def test_frames_of_a_channel_are_lost_doubled_swapped_cut_and_garbled(
    quiet_venue, session
):
    socket = await opened(quiet_venue, session)

    async def joined(act, market="0"):
        rule = FaultRule(act=act, phase="push", channel="ticker", times=1)
        quiet_venue.faults.add(rule)
        name = f"ticker/{market}"
        for kind in ("subscribe", "ping", "unsubscribe"):
            await socket.send_json({"type": kind, "channel": name})
        texts = []
        while True:
            text = await socket.receive_str(timeout=DEADLINE_S)
            if '"unsubscribed"' in text:
                return texts
            texts.append(text)

    pong = '{"type":"pong"}'
    assert await joined("drop") == [pong]
    first, second, last = await joined("dup")
    assert (first, last) == (second, pong)
    assert json.loads(first)["channel"] == "ticker:0"
    half, last = await joined("truncate")
    assert (len(half), last) == (len(first) // 2, pong)
    noise, last = await joined("garbage")
    assert (len(noise), last) == (len(first), pong)
    with pytest.raises(ValueError):  # noqa: PT011 - of whatever is first wrong
        json.loads(noise)
    assert [text == pong for text in await joined("reorder")] == [True, False]
    assert len(fired(quiet_venue)) == 5
    await socket.close()


async def test_a_late_frame_holds_up_what_comes_behind_it(quiet_venue, session):
    socket = await opened(quiet_venue, session)
    quiet_venue.faults.add(FaultRule(act="delay", phase="push", delay_ms=60))
    begun = time.monotonic()
    await socket.send_json({"type": "subscribe", "channel": "height"})
    await socket.send_json({"type": "ping"})
    assert (await told(socket))["channel"] == "height"
    assert (await told(socket))["type"] == "pong"
    assert time.monotonic() - begun >= 0.06
    await socket.close()


@pytest.mark.parametrize(
    ("fault", "message", "code"),
    [
        (FaultRule(act="close", phase="push", code=1011), "height", 1011),
        (FaultRule(act="close", code=1012, channel="height"), "height", 1012),
        (FaultRule(act="drop", path="ping"), None, 1006),
        (FaultRule(act="shutdown", path="ping", delay_ms=20), None, 1012),
    ],
    ids=["push", "subscribe", "cut", "shutdown"],
)
async def test_connections_end_with_the_code_asked_for(
    quiet_venue, session, fault, message, code
):
    quiet_venue.faults.add(fault)
    socket = await opened(quiet_venue, session)
    frame = {"type": "ping"}
    if message is not None:
        frame = {"type": "subscribe", "channel": message}
    await socket.send_json(frame)
    kinds = []
    while (answer := await socket.receive(DEADLINE_S)).type is aiohttp.WSMsgType.TEXT:
        kinds.append(json.loads(answer.data)["type"])
    assert socket.close_code == code
    assert kinds == (["shutdown", "pong"] if fault.act == "shutdown" else [])
    await socket.close()


async def test_transactions_over_the_stream_go_wrong_in_the_same_ways(
    quiet_venue, session
):
    add = quiet_venue.faults.add
    path = "jsonapi/sendtx"
    socket = await opened(quiet_venue, session)

    async def send(nonce, coi):
        signed = order(quiet_venue, nonce, coi)
        data = {"id": str(coi), **form(signed)}
        await socket.send_json({"type": path, "data": data})

    add(FaultRule(act="status", code=21104, path=path, times=1, tx_type=14))
    await send(1, 1)
    refused = await told(socket)
    assert (refused["error"]["code"], refused["id"]) == (21104, "1")
    add(FaultRule(act="stall", path=path, times=1))
    await send(1, 1)
    add(FaultRule(act="dup", path=path, times=1))
    await send(1, 2)
    assert (await told(socket))["code"] == 200
    assert (await told(socket))["error"]["code"] == 21104
    add(FaultRule(act="delay", delay_ms=1, path=path, times=1))
    add(FaultRule(act="status", phase="reply", code=29500, path=path, times=1))
    await send(2, 3)
    assert (await told(socket))["error"]["code"] == 29500
    add(FaultRule(act="dup", phase="reply", path=path, times=1))
    await send(3, 4)
    assert await told(socket) == await told(socket)
    add(FaultRule(act="stall", phase="reply", path=path, times=1))
    await send(4, 5)
    add(FaultRule(act="silent_drop", phase="after_accept", path=path, times=1))
    await send(5, 6)
    assert (await told(socket))["id"] == "6"
    assert accepted(quiet_venue) == 5
    add(FaultRule(act="drop", phase="reply", path=path, times=1))
    await send(6, 7)
    assert (await socket.receive(DEADLINE_S)).type is not aiohttp.WSMsgType.TEXT
    assert socket.close_code == 1006
    assert accepted(quiet_venue) == 6
    socket = await opened(quiet_venue, session)
    add(FaultRule(act="close", code=1011, phase="after_accept", path=path, times=1))
    await send(7, 8)
    assert (await socket.receive(DEADLINE_S)).type is not aiohttp.WSMsgType.TEXT
    assert socket.close_code == 1011
    assert accepted(quiet_venue) == 7
    await socket.close()


async def test_a_token_of_a_live_subscription_expires(quiet_venue, session):
    index = quiet_venue.accounts[0].account_index
    channel = f"account_orders/0/{index}"
    token = signer_of(quiet_venue).auth_token(deadline_s=int(time.time()) + LIFETIME_S)
    quiet_venue.faults.add(
        FaultRule(act="expire_token", phase="push", account=index, nth=2)
    )
    socket = await opened(quiet_venue, session)
    await socket.send_json({"type": "subscribe", "channel": channel, "auth": token})
    assert (await told(socket))["type"].startswith("subscribed")
    await sent(quiet_venue, session)
    kinds = [(await told(socket))["type"] for _ in range(2)]
    assert kinds == ["update/account_orders", "unsubscribed"]
    await socket.close()


# ---------------------------------------------------------------- administration


@pytest.fixture
async def administered():
    async with Venue(flow="none", admin=True) as venue:
        yield venue


async def test_faults_are_added_listed_and_cleared_over_http(administered, session):
    url = f"{administered.base_url}/admin/faults"
    handles = []
    for act in ("drop", "stall"):
        body = {"act": act, "path": SEND, "nth": 9}
        async with session.post(url, json=body) as response:
            assert response.status == 200
            handles.append((await response.json())["handle"])
    async with session.delete(url, params={"handle": handles[0]}) as response:
        left = (await response.json())["faults"]
    assert [(row["handle"], row["rule"]["act"]) for row in left] == [(2, "stall")]
    async with session.get(url) as response:
        assert (await response.json())["faults"] == left
    async with session.delete(url) as response:
        assert (await response.json())["faults"] == []


@pytest.mark.parametrize(
    ("method", "body", "headers", "status", "words"),
    [
        ("POST", b"{", {}, 400, "body"),
        ("POST", b"[]", {}, 400, "body"),
        ("POST", b'{"act":"x"}', {}, 400, "act: 'x'"),
        ("PUT", b"", {}, 400, "method"),
        ("DELETE", b"", {}, 400, "handle"),
        ("POST", b'{"act":"drop"}', {"Origin": "http://x"}, 403, "this machine"),
    ],
)
async def test_administration_refuses_what_it_cannot_use(  # noqa: PLR0917
    administered, session, method, body, headers, status, words
):
    url = f"{administered.base_url}/admin/faults"
    if method == "DELETE":
        url += "?handle=5"
    async with session.request(method, url, data=body, headers=headers) as response:
        assert response.status == status
        assert words in (await response.json())["message"]
    assert administered.faults.counts() == []


async def test_there_is_no_administration_unless_asked_for(quiet_venue, session):
    async with session.get(f"{quiet_venue.base_url}/admin/faults") as response:
        assert response.status == 404


async def test_a_storm_is_given_on_the_command_line(tmp_path):
    file = tmp_path / "storm.json"
    file.write_text('[{"act": "drop", "probability": 50000}]')
    line = ["--chaos", str(file), "--admin", "--flow", "none"]
    venue = build(parser().parse_args(line))
    assert [count.rule.probability for count in venue.faults.counts()] == [50_000]
    file.write_text('[{"act": "drop", "times": 0}]')
    with pytest.raises(ConfigError, match="fault 1: times: 0"):
        build(parser().parse_args(line))
    await venue.aclose()


async def test_a_dealer_survives_what_the_venue_does_to_it(quiet_venue, dealer):
    trader = await dealer(quiet_venue, request_timeout_s=1.0)
    quiet_venue.faults.add(rule("drop", path=SEND + "*", phase="reply", times=2))
    quiet_venue.faults.add(rule("drop", path=SEND + "*", times=2))
    made = []
    for step in range(6):
        result = await trader.create_limit_order(2000 + step, 0.05)
        made.append(result["client_order_index"])
        try:
            await trader.flush()
        except SendOutcomeUnknownError:
            await trader.flush()
    found = [order.client_order_index for order in quiet_venue.ledger.orders()]
    assert sorted(found) == sorted(made)
    assert len(quiet_venue.ledger.of(FaultFired)) == 4
