"""Whatever a client sends, it gets an answer, and the venue goes on for the others."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from wrappy.signing.python import PythonSigner
from wrappy.venue import SteppedClock, Venue

DEADLINE_S = 10.0
START_S = 1_800_000_000
FORM = "application/x-www-form-urlencoded"
PART = b'--a\r\nContent-Disposition: form-data; name="tx_type"\r\n%s\r\n14\r\n--a--\r\n'
DIGITS = "1" * 5_000
DEPTHS = (10, 200, 499, 500, 501, 900, *range(975, 1_000), 3_000, 100_000)


def nested(depth):
    return "[" * depth + "]" * depth


# An @ stands for more digits than an integer may have.
HOSTILE_FRAMES = [
    r'{"type":"subscribe","channel":"\ud800"}',
    r'{"type":"unsubscribe","channel":"\ud800"}',
    '{"type":"subscribe","channel":"order_book/@"}',
    '{"type":"unsubscribe","channel":"account_orders/0/@"}',
    '{"type":"subscribe","channel":"account_tx/123456","auth":"@:1:4:00"}',
    '{"type":"subscribe","channel":"order_book/000"}',
    r'{"type":"jsonapi/sendtx","data":{"id":"\ud800","tx_type":14,"tx_info":{}}}',
    r'{"type":"jsonapi/sendtx","data":{"tx_type":14,"tx_info":{"\ud800":1}}}',
    '{"type":"jsonapi/sendtx","data":{"id":@,"tx_type":14}}',
    '{"type":"jsonapi/sendtx","data":{"id":NaN,"tx_type":14,"tx_info":{}}}',
    '{"type":"jsonapi/sendtxbatch","data":{"tx_types":[@],"tx_infos":[]}}',
    '{"type":["subscribe"]}',
    "5",
    "",
]

HOSTILE_BODIES = [
    (f"{FORM}; charset=no-such", b"tx_type=14&tx_info={}"),
    (f"{FORM}; charset=base64", b"tx_type=14&tx_info={}\xff"),
    (FORM, b"tx_type=14&tx_info=\xff"),
    (FORM, b"tx_type=14&tx_info=%ff"),
    (FORM, rb'tx_type=14&tx_info={"\ud800":1}'),
    (FORM, b"tx_type=14&tx_info=" + b"[" * 16_000),
    ("multipart/form-data", b"xx"),
    ("multipart/form-data; boundary=a", b"xx"),
    (
        "multipart/form-data; boundary=a",
        PART % b"Content-Type: text/plain; charset=no-such\r\n",
    ),
    (
        "multipart/form-data; boundary=a",
        PART % b"Content-Transfer-Encoding: no-such\r\n",
    ),
    (
        "multipart/form-data; boundary=a",
        PART % b"Content-Transfer-Encoding: base64\r\n",
    ),
]


@pytest.fixture
async def place():
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with (
        Venue(seed=1, flow="none", clock=SteppedClock(START_S)) as venue,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        yield venue, session


async def answer_to(place, text):
    venue, session = place
    async with session.ws_connect(venue.ws_url, max_msg_size=0) as socket:
        await socket.receive_json(timeout=DEADLINE_S)
        await socket.send_str(text)
        answer = await socket.receive_json(timeout=DEADLINE_S)
        await socket.send_str('{"type":"ping"}')
        assert await socket.receive_json(timeout=DEADLINE_S) == {"type": "pong"}
    assert venue.failure is None
    return answer


@pytest.mark.parametrize("text", HOSTILE_FRAMES, ids=lambda text: text[:70])
async def test_a_hostile_frame_is_refused_and_the_connection_goes_on(place, text):
    assert "error" in await answer_to(place, text.replace("@", DIGITS))


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"jsonapi/sendtx","data":{"tx_type":14,"tx_info":%s}}',
        '{"type":"jsonapi/sendtx","data":{"id":%s,"tx_type":14,"tx_info":{}}}',
        '{"type":"jsonapi/sendtxbatch","data":{"tx_types":%s,"tx_infos":[]}}',
    ],
    ids=["tx_info", "id", "tx_types"],
)
async def test_deep_nesting_is_refused_at_every_depth(place, frame):
    for depth in DEPTHS:
        assert "error" in await answer_to(place, frame % nested(depth)), depth


@pytest.mark.parametrize(
    ("kind", "body"), HOSTILE_BODIES, ids=[str(n) for n in range(len(HOSTILE_BODIES))]
)
async def test_a_form_that_cannot_be_read_is_refused(place, kind, body):
    venue, session = place
    url = f"{venue.base_url}/api/v1/sendTx"
    headers = {"Content-Type": kind}
    async with session.post(url, data=body, headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["code"] in (20001, 21501)
    assert venue.failure is None
    assert not venue.ledger.accepted()


async def test_a_badly_compressed_body_is_refused(place):
    venue, _ = place
    host, _, port = venue.base_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /api/v1/sendTx HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4\r\n\r\n"
        b"zzzz"
    )
    head = await asyncio.wait_for(reader.readline(), DEADLINE_S)
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in head
    assert venue.failure is None


async def test_endless_digits_in_a_private_query_are_refused(place):
    venue, session = place
    owner = venue.accounts[0]
    signer = PythonSigner(
        owner.api_keys[0].api_key_private_key,
        account_index=owner.account_index,
        api_key_index=owner.api_keys[0].api_key_index,
        chain_id=venue.chain_id,
    )
    token = signer.auth_token(deadline_s=START_S + 60)
    for path, query in (
        ("accountInactiveOrders", {"between_timestamps": f"{DIGITS}-2"}),
        ("accountInactiveOrders", {"between_timestamps": "1-٣"}),
        ("accountOrders", {"client_order_indexes": f"1,{DIGITS}"}),
        ("accountInactiveOrders", {"cursor": DIGITS}),
    ):
        parameters = {"account_index": owner.account_index, "limit": 1, **query}
        async with session.get(
            f"{venue.base_url}/api/v1/{path}",
            params=parameters,
            headers={"authorization": token},
        ) as response:
            assert response.status == 400, path
            assert json.loads(await response.text())["code"] == 20001
    assert venue.failure is None
