"""Whatever comes in at either door: a proper refusal, the state untouched, no crash.

The cases are drawn from a seed. `WRAPPY_FUZZ_CASES` asks for more of them,
`WRAPPY_FUZZ_SEED` for others; a failure shows the case.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import random
from urllib.parse import quote, urlencode

import aiohttp
import pytest
from yarl import URL

from tests.doors import DEADLINE_S, DOORS, Digest, frames_until_pong, play
from wrappy.errors import StreamClosedError
from wrappy.protocol.channels import CHANNELS
from wrappy.protocol.code_table import CODE_TABLE
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    TxType,
    UpdateLeverage,
    UpdateMargin,
)
from wrappy.protocol.transactions import (
    BODY_FIELDS,
    TransactionFieldError,
    account_field,
    hash_inputs,
    parse_tx_info,
)

ASKED = int(os.environ.get("WRAPPY_FUZZ_CASES", "800"))
CASES = min(ASKED, 800)
ROUNDS = max(1, ASKED // CASES)
"""More cases are played in rounds, each at an exchange of its own."""
SEED = os.environ.get("WRAPPY_FUZZ_SEED", "1")
CODES = frozenset(CODE_TABLE) | {21149}
"""21149, an integrator without approval, has been seen and is not in the list."""
UNSIGNED = tuple(map(TxType, (8, 9, 12, 12, 13, 41, 42, 45)))
"""Types that only an exchange which checks no signatures can be sent here."""
_drawn = itertools.count()
FORM = "application/x-www-form-urlencoded"
HUGE = "9" * 5_000

READS = (
    "account",
    "accountActiveOrders",
    "accountInactiveOrders",
    "accountLimits",
    "accountMetadata",
    "accountOrders",
    "accountTxs",
    "accountsByL1Address",
    "announcement",
    "apikeys",
    "assetDetails",
    "blockTxs",
    "candles",
    "currentHeight",
    "deposit/history",
    "exchangeMetrics",
    "exchangeStats",
    "executeStats",
    "funding-rates",
    "fundings",
    "getMakerOnlyApiKeys",
    "liquidations",
    "nextNonce",
    "orderBookDetails",
    "orderBookOrders",
    "orderBooks",
    "partnerStats",
    "positionFunding",
    "publicPoolsMetadata",
    "recentTrades",
    "referral/get",
    "rfq/list",
    "systemConfig",
    "tokens",
    "trades",
    "transfer/history",
    "transferFeeInfo",
    "tx",
    "txs",
    "withdraw/history",
    "nothing",
)
PARAMETERS = (
    "account_index",
    "api_key_index",
    "market_id",
    "limit",
    "cursor",
    "by",
    "value",
    "hash",
    "sort_by",
    "sort_dir",
    "resolution",
    "start_timestamp",
    "end_timestamp",
    "count_back",
    "order_book_id",
    "between_timestamps",
    "client_order_indexes",
    "auth",
    "filter",
    "ask_filter",
    "type",
    "role",
    "period",
    "kind",
    "index",
    "l1_address",
    "asset_id",
    "symbol",
    "timestamp",
    "from",
    "ids",
)
POSTS = (
    "sendTx",
    "sendTxBatch",
    "tokens/create",
    "tokens/revoke",
    "notification/ack",
    "changeAccountTier",
    "setMakerOnlyApiKeys",
    "nothing",
)
WEIRD_TEXTS = (
    "",
    " ",
    "-1",
    "0",
    "1",
    "4",
    "255",
    "123456",
    "281474976710654",
    "9223372036854775808",
    HUGE,
    "1e3",
    "0x10",
    "1.5",
    "NaN",
    "true",
    "null",
    "[]",
    "{}",
    "[" * 400,
    "\x00",
    "\u0663",
    "\U0001f4a5",
    "'; --",
    "all",
    "1m",
    "timestamp",
    "1-2",
    "1,2,x",
    "0" * 80,
    "../../etc",
)
WEIRD_VALUES = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    255,
    2**31,
    2**48 - 1,
    2**60,
    2**63 - 1,
    2**63,
    -(2**63),
    10**30,
    0.5,
    1e300,
    "",
    "1",
    "x" * 300,
    "\ud800",
    [],
    {},
    [1],
    {"a": 1},
    [[[[]]]],
)


def chance(name):
    return random.Random(f"{SEED}/{name}/{next(_drawn)}")


def played(door, scenario, **settings):
    for _ in range(ROUNDS):
        play(door, scenario, **settings)


def intents(rng, now_ms):
    """Well-formed wishes; most of them would be carried out."""
    later = now_ms + 3_600_000
    price, coi = rng.randint(390_000, 410_000), rng.randrange(40)
    side = rng.random() < 0.5
    kind, tif = rng.choice(((0, 1), (0, 2), (0, 0), (1, 0)))
    order = CreateOrder(
        0, coi, 500, price, side, kind, tif, order_expiry=later if tif else 0
    )
    legs = tuple(
        CreateOrder(
            0,
            0,
            0,
            price,
            not side,
            leg,
            0,
            reduce_only=True,
            trigger_price=price,
            order_expiry=later,
        )
        for leg in (2, 4)
    )
    parent = CreateOrder(0, coi, 500, price, side, 0, 1, order_expiry=later)
    return rng.choice(
        (
            order,
            order,
            CancelOrder(0, max(1, coi)),
            ModifyOrder(0, max(1, coi), 600, price),
            CancelAllOrders(),
            CancelAllOrders(1, later),
            UpdateLeverage(1, 500, rng.randrange(2)),
            UpdateMargin(0, 1_000_000, 1),
            CreateGroupedOrders(3, (parent, *legs)),
        )
    )


def signed_case(rng, place, shaken):
    """Return (type, text) of something that is well-formed and in turn."""
    signer = place.signer(rng.randrange(2))
    nonce = shaken.nonce(signer)
    if rng.random() < 0.8 or place.engine.settings.verify:
        signed = signer.sign(intents(rng, place.now_ms()), nonce=nonce)
        return int(signed.tx_type), signed.tx_info
    kind = rng.choice(UNSIGNED)
    others = [account.account_index for account in place.engine.accounts]
    values = {
        "PubKey": base64.b64encode(rng.randbytes(40)).decode(),
        "ToAccountIndex": rng.choice(others),
        "AssetIndex": rng.choice((1, 3)),
        "Amount": rng.choice((1, 1_000_000, 10**15)),
        "USDCFee": rng.choice((0, 3_000_000)),
        "Memo": [0] * 32,
        "IntegratorAccountIndex": rng.choice(others),
        "ApprovalExpiry": place.now_ms() + 3_600_000,
    }
    info = {
        account_field(kind): signer.account_index,
        "ApiKeyIndex": signer.api_key_index,
        **{name: values.get(name, rng.randrange(2)) for name in BODY_FIELDS[kind]},
        "ExpiredAt": place.now_ms() + 600_000,
        "Nonce": nonce,
        "Sig": "",
        "L2TxAttributes": None,
    }
    return int(kind), json.dumps(info)


def is_group(orders):
    """Return whether these are orders, each with its fields."""
    return (
        isinstance(orders, list)
        and bool(orders)
        and all(order and isinstance(order, dict) for order in orders)
    )


def mutated(rng, tx_type, text):
    """Return (type, text) with something wrong with it, or a second something."""
    info = json.loads(text)
    way = rng.randrange(14)
    field = rng.choice(sorted(info))
    if way < 4:
        info[field] = rng.choice(WEIRD_VALUES)
    elif way == 4:
        del info[field]
    elif way == 5:
        info[rng.choice(("x", field.lower(), "", "Index", "\u00e9"))] = 1
    elif way == 6:
        tx_type = rng.choice((*range(60), 255, 256, -1, 10**9))
    elif way == 7:
        keys = rng.choice(("1", "2", "3", "4", "5", "6", "7", "8", "9", "x"))
        info["L2TxAttributes"] = {keys: rng.choice(WEIRD_VALUES)}
    elif way == 8 and is_group(info.get("Orders")):
        order = rng.choice(info["Orders"])
        order[rng.choice(sorted(order))] = rng.choice(WEIRD_VALUES)
    elif way == 8:
        info["Orders"] = rng.choice(WEIRD_VALUES)
    elif way == 9:
        signature = str(info["Sig"])
        at = rng.randrange(len(signature) or 1)
        info["Sig"] = signature[:at] + rng.choice("Aa0+/=") + signature[at + 1 :]
    else:
        return tx_type, spoiled(rng, text)
    return tx_type, json.dumps(info)


def mutated_often(rng, case, times):
    """Return a case with several things wrong, or as many as can be told apart."""
    for _ in range(times):
        if not readable(case[1]):
            break  # wrong enough
        case = mutated(rng, *case)
    return case


def readable(text):
    try:
        return "Sig" in parse_tx_info(text)
    except TransactionFieldError:
        return False


def spoiled(rng, text):
    """Return a text with letters lost, doubled or changed, or a field given twice."""
    way, at = rng.randrange(5), rng.randrange(len(text))
    if way == 0:
        return text[:at]
    if way == 1:
        return text[:at] + rng.choice('{}[]",:0-9eE\\ \t\x00') + text[at + 1 :]
    if way == 2:
        return text[:at] + text[at : at + 20] + text[at:]
    if way == 3:
        return '{"Nonce":1,' + text[1:]
    return text * 2


class Shaken:
    """A place whose state must not move by what is refused."""

    def __init__(self, place):
        self.place = place
        self.digest = Digest(place.engine.exchange)
        self.before = self.digest.read()
        self.accepted = self.refused = 0

    def nonce(self, signer):
        account = self.place.engine.exchange.accounts[signer.account_index]
        return account.api_keys[signer.api_key_index].nonce

    async def judge(self, code, case):
        """Check one answer by its code; 200 may have changed something."""
        assert self.place.engine.failure is None, (case, self.place.engine.failure)
        assert code == 200 or code in CODES, (code, case)
        assert code not in (29500, 29501), case
        if code == 200:
            self.accepted += 1
            if self.digest.read() != self.before:
                # What was accepted is carried out, so that there is something to hit.
                await self.place.wait(1)
                self.before = self.digest.read()
        else:
            self.refused += 1
            assert self.digest.read() == self.before, (code, case)


def form_of(tx_type, text):
    pairs = {"tx_type": str(tx_type), "tx_info": text}
    return urlencode(pairs, errors="replace")


@pytest.mark.parametrize("door", DOORS)
def test_transactions_with_something_wrong_change_nothing(door):
    async def scenario(place):
        rng, shaken = chance("transactions"), Shaken(place)
        for _ in range(CASES):
            case = signed_case(rng, place, shaken)
            case = mutated_often(rng, case, rng.choice((0, 1, 1, 1, 2)))
            answer = await place.post("sendTx", form_of(*case))
            await shaken.judge(answer["code"], case)
        assert shaken.accepted > CASES // 20
        assert shaken.refused > CASES // 3

    played(door, scenario, collateral=10**12)


@pytest.mark.parametrize("door", DOORS)
def test_batches_with_something_wrong_change_nothing(door):
    async def scenario(place):
        rng, shaken = chance("batches"), Shaken(place)
        signer = place.signer(0)
        for _ in range(CASES // 4):
            nonce = shaken.nonce(signer)
            signed = [
                signer.sign(intents(rng, place.now_ms()), nonce=nonce + step)
                for step in range(rng.randrange(4))
            ]
            types = [int(each.tx_type) for each in signed]
            infos = [each.tx_info for each in signed]
            way = rng.randrange(7)
            if way == 0 and infos:
                at = rng.randrange(len(infos))
                types[at], infos[at] = mutated(rng, types[at], infos[at])
            elif way == 1:
                rng.shuffle(infos)
            elif way == 2:
                types = types[1:]
            elif way == 3:
                infos = [rng.choice(WEIRD_VALUES)] * len(infos)
            elif way == 4:
                types, infos = types * 30, infos * 30
            texts = json.dumps(types), json.dumps(infos)
            if way == 5:
                texts = spoiled(rng, texts[0]), spoiled(rng, texts[1])
            form = urlencode({"tx_types": texts[0], "tx_infos": texts[1]})
            answer = await place.post("sendTxBatch", form)
            await shaken.judge(answer["code"], texts)
        assert shaken.refused > CASES // 16

    played(door, scenario, collateral=10**12)


@pytest.mark.parametrize("door", DOORS)
def test_no_changed_transaction_passes_for_a_signed_one(door):
    async def scenario(place):
        rng, shaken = chance("signatures"), Shaken(place)
        signer, other = place.signer(0), place.signer(1)
        chain = place.engine.chain_id
        for _ in range(CASES // 8):
            wish = intents(rng, place.now_ms())
            signed = signer.sign(wish, nonce=shaken.nonce(signer))
            kind, text = int(signed.tx_type), signed.tx_info
            if rng.random() < 0.3:
                info = json.loads(text)
                forged = json.loads(other.sign(wish, nonce=info["Nonce"]).tx_info)
                case = kind, json.dumps({**info, "Sig": forged["Sig"]})
            else:
                case = mutated(rng, kind, text)
            answer = await place.post("sendTx", form_of(*case))
            await shaken.judge(answer["code"], case)
            if answer["code"] == 200:
                same = hash_inputs(kind, json.loads(text), chain)
                assert case[0] == kind
                assert hash_inputs(kind, parse_tx_info(case[1]), chain) == same

    played(door, scenario, verify=True, collateral=10**12)


@pytest.mark.parametrize("door", DOORS)
def test_any_question_gets_an_answer_and_changes_nothing(door):
    async def scenario(place):
        rng, shaken = chance("reads"), Shaken(place)
        tokens = [None, place.token(0), place.token(1), *WEIRD_TEXTS]
        if door == "sockets":
            # What no HTTP header can hold never arrives as one.
            tokens = [t for t in tokens if t is None or t.isprintable()]
        signer = place.signer(0)
        for step in range(4):
            wish = CreateOrder(0, step + 1, 500, 400_000, step > 1, 0, 1)
            signed = signer.sign(wish, nonce=shaken.nonce(signer))
            await place.post("sendTx", form_of(int(signed.tx_type), signed.tx_info))
            await shaken.judge(200, wish)
        for _ in range(CASES):
            path = rng.choice(READS)
            query = {
                rng.choice(PARAMETERS): rng.choice(WEIRD_TEXTS)
                for _ in range(rng.randrange(5))
            }
            if rng.random() < 0.5:
                query["account_index"] = str(signer.account_index)
                query.setdefault("limit", "5")
            token = rng.choice(tokens[:3] if rng.random() < 0.7 else tokens)
            if door == "sockets" and sum(map(len, query.values())) > 6_000:
                continue  # longer than a request line may be
            answer = await place.get(path, token, **query)
            if path == "nothing":
                assert answer["code"] == 29404
            case = path, query, token
            unchanged = shaken.before
            await shaken.judge(answer.get("code", 200), case)
            assert shaken.before == unchanged, case
        assert shaken.accepted > CASES // 20

    played(door, scenario)


def frame_case(rng, place, shaken):
    """Return one text for the stream, from almost right to nonsense."""
    way = rng.randrange(12)
    names = [kind.name for kind in CHANNELS.values()]
    if way < 4:
        parts = [rng.choice(names)]
        parts += [rng.choice(WEIRD_TEXTS) for _ in range(rng.randrange(3))]
        if rng.random() < 0.5:
            parts = [parts[0], "0", str(place.signer(0).account_index)]
            parts = parts[: rng.randrange(1, 4)]
        frame = {
            "type": rng.choice(("subscribe", "subscribe", "unsubscribe")),
            "channel": rng.choice("/:").join(parts),
        }
        if rng.random() < 0.5:
            frame["auth"] = rng.choice((place.token(0), place.token(1), *WEIRD_TEXTS))
        if rng.random() < 0.2:
            frame[rng.choice(("type", "channel", "auth"))] = rng.choice(WEIRD_VALUES)
        return json.dumps(frame)
    if way < 9:
        kind, text = signed_case(rng, place, shaken)
        if rng.random() < 0.8:
            kind, text = mutated(rng, kind, text)
        data = {"id": rng.choice(("a", 1, None)), "tx_type": kind, "tx_info": text}
        if way == 4:
            try:
                data["tx_info"] = json.loads(text)
            except ValueError:
                data["tx_info"] = rng.choice(WEIRD_VALUES)
        if way == 5:
            data[rng.choice(sorted(data))] = rng.choice(WEIRD_VALUES)
        if way == 6:
            batch = {"tx_types": [kind], "tx_infos": [text]}
            if rng.random() < 0.5:
                batch = {name: json.dumps(value) for name, value in batch.items()}
            return json.dumps({"type": "jsonapi/sendtxbatch", "data": batch})
        return json.dumps({"type": "jsonapi/sendtx", "data": data})
    if way == 9:
        return json.dumps({"type": rng.choice(WEIRD_VALUES)})
    if way == 10:
        return spoiled(rng, '{"type":"subscribe","channel":"order_book/0"}')
    return "".join(chr(rng.choice((0, 34, 91, 123, 44, 58, 120))) for _ in range(40))


@pytest.mark.parametrize("door", DOORS)
def test_any_frame_gets_an_answer_and_the_stream_goes_on(door):
    async def scenario(place):
        rng, shaken = chance("frames"), Shaken(place)
        stream, _ = await place.open_stream()
        for _ in range(CASES):
            case = frame_case(rng, place, shaken)
            await stream.send(case.encode())
            frames = await frames_until_pong(stream)
            errors = [frame["error"] for frame in frames if "error" in frame]
            sent = any(str(f.get("type")).startswith("jsonapi/") for f in frames)
            assert len(errors) <= 1, case
            await shaken.judge(errors[0]["code"] if errors else 200, case)
            assert errors or sent or "jsonapi" not in case, (case, frames)
            if errors:
                assert isinstance(errors[0]["message"], str), case
        assert shaken.accepted > CASES // 20
        assert shaken.refused > CASES // 3

    played(door, scenario, collateral=10**12)


def test_bytes_and_endless_frames_do_not_end_the_exchange():
    async def scenario(place):
        rng, shaken = chance("bytes"), Shaken(place)
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(place.url, max_msg_size=0) as socket,
        ):
            await socket.receive_json(timeout=DEADLINE_S)
            for _ in range(CASES // 8):
                raw = rng.randbytes(rng.choice((0, 1, 40, 3_000)))
                await socket.send_bytes(raw)
                answer = await socket.receive_json(timeout=DEADLINE_S)
                await shaken.judge(answer["error"]["code"], raw)
            await socket.send_str('{"type":"' + "a" * 200_000 + '"}')
            answer = await socket.receive_json(timeout=DEADLINE_S)
            await shaken.judge(answer["error"]["code"], "long")
            await socket.send_str("[" * 700_000)
            end = await socket.receive(timeout=DEADLINE_S)
            assert end.type is aiohttp.WSMsgType.CLOSE
            assert end.data == 1009
        stream, _ = await place.open_stream()
        assert await frames_until_pong(stream) == []
        await shaken.judge(30000, "after it")

    played("sockets", scenario)


def body_case(rng, text):  # noqa: PLR0911 - a table
    """Return (content type, body) of a form: right, cut, or of any bytes at all."""
    way = rng.randrange(9)
    form = form_of(14, text)
    raw = form.encode()
    boundary = "b" * rng.randrange(1, 40)
    part = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="tx_type"\r\n\r\n14\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="tx_info"\r\n\r\n{text}'
        f"\r\n--{boundary}--\r\n"
    ).encode()
    kind = f"multipart/form-data; boundary={boundary}"
    if way == 0:
        return FORM, rng.randbytes(rng.randrange(400))
    if way == 1:
        return FORM, raw[: rng.randrange(len(raw))]
    if way == 2:
        return FORM, raw + b"&" + raw
    if way == 3:
        return kind, part[: rng.randrange(len(part))]
    if way == 4:
        at = rng.randrange(len(part))
        return kind, part[:at] + rng.randbytes(3) + part[at:]
    if way == 5:
        return kind, part
    if way == 6:
        return rng.choice(("application/json", "text/plain", "x", "a/b; c")), raw
    if way == 7:
        letters = rng.choice(("utf-16", "latin-1", "punycode", "idna", "rot13", "hex"))
        return f"{FORM}; charset={letters}", raw
    return f"multipart/form-data; boundary={quote(text[:60])}", part


def test_any_body_and_header_is_answered():
    async def scenario(place):
        rng, shaken = chance("bodies"), Shaken(place)
        base = place.url.replace("ws", "http", 1).removesuffix("/stream")
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        signer = place.signer(0)
        # A body that cannot be read ends its connection.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector
        ) as session:
            for _ in range(CASES):
                wish = intents(rng, place.now_ms())
                signed = signer.sign(wish, nonce=shaken.nonce(signer))
                kind, body = body_case(rng, signed.tx_info)
                method = rng.choice(("POST", "POST", "POST", "GET", "PUT", "DELETE"))
                path = rng.choice(("sendTx", "sendTx", rng.choice(POSTS), "%ff%00"))
                letters = "".join(chr(rng.randrange(33, 127)) for _ in range(12))
                headers = {"Content-Type": kind, "Authorization": letters}
                if rng.random() < 0.2:
                    headers["Content-Encoding"] = rng.choice(("gzip", "deflate", "x"))
                url = URL(f"{base}/api/v1/{path}?a=%ff&a=%00&{letters}", encoded=True)
                case = method, path, headers, body
                async with session.request(
                    method, url, data=body, headers=headers
                ) as response:
                    assert response.status < 500, case
                    raw = await response.read()
                    answer = {"code": 20001}
                    if raw[:1] == b"{":
                        answer = json.loads(raw)
                    else:  # the HTTP server's own word, before any request is there
                        assert response.status == 400, case
                        assert "Content-Encoding" in headers, case
                    assert (response.status == 200) == (answer["code"] == 200), case
                await shaken.judge(answer["code"], case)
        assert shaken.refused > CASES // 2

    played("sockets", scenario)


def test_what_is_no_http_at_all_ends_with_its_own_connection():
    async def scenario(place):
        rng, shaken = chance("raw"), Shaken(place)
        host, _, port = place.url.removeprefix("ws://").partition(":")
        number = int(port.partition("/")[0])
        for _ in range(CASES // 10):
            lines = [
                rng.randbytes(rng.randrange(200)),
                (
                    b"POST /api/v1/sendTx HTTP/1.1\r\nHost: x\r\n"
                    b"Content-Length: 9999\r\n\r\nx"
                ),
                b"POST /api/v1/sendTx HTTP/1.1\r\nHost: x\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" + rng.randbytes(9),
                b"GET /stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
                b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            ]
            raw = rng.choice(lines)
            reader, writer = await asyncio.open_connection(host, number)
            writer.write(raw)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), DEADLINE_S)
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)
            await shaken.judge(29404, raw)
        assert (await place.get("currentHeight"))["code"] == 200

    played("sockets", scenario)


def test_a_stream_that_was_closed_takes_nothing_more():
    async def scenario(place):
        stream, first = await place.open_stream()
        assert first["type"] == "connected"
        await stream.aclose()
        with pytest.raises(StreamClosedError):
            await stream.send(b"{}")

    for door in DOORS:
        play(door, scenario)


def test_a_field_error_is_an_error_of_its_own():
    with pytest.raises(TransactionFieldError):
        parse_tx_info('{"Nonce":1,"Nonce":1}')
