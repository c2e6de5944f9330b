"""Whoever has not the right key, token, chain or nonce gets nowhere, at either door."""

from __future__ import annotations

import base64
import dataclasses
import json
import time

import aiohttp
import pytest

from tests.contract.running import eventually
from tests.contract.test_official_models import ACCOUNT, ASKED, OWN, PAGE, V1, Trader
from wrappy.protocol.intents import CreateOrder
from wrappy.signing.keys import derive_key_pair
from wrappy.signing.python import PythonSigner
from wrappy.venue import Venue

STRANGER = 123_457
PRIVATE = sorted(
    path
    for path in ASKED
    if path.removeprefix(V1)
    in {
        "accountActiveOrders",
        "accountInactiveOrders",
        "accountLimits",
        "accountOrders",
        "accountTxs",
        "deposit/history",
        "export",
        "export/historicalTrades",
        "fastwithdraw/info",
        "getMakerOnlyApiKeys",
        "l1Metadata",
        "leases",
        "liquidations",
        "livePoints/total",
        "pnl",
        "portfolio/boPnl",
        "positionFunding",
        "referral/points",
        "referral/stats",
        "referral/userReferrals",
        "rfq/list",
        "tokens",
        "transfer/history",
        "transferFeeInfo",
        "withdraw/history",
    }
)


@pytest.fixture
async def trader():
    async with (
        Venue(seed=3, symbols=["ETH"], flow="none") as venue,
        aiohttp.ClientSession() as http,
    ):
        yield Trader(venue, http)


def signer_of(venue, *, account=ACCOUNT, slot=4, private_key=None, chain_id=None):
    owner = next(a for a in venue.accounts if a.account_index == account)
    return PythonSigner(
        private_key or owner.api_keys[0].api_key_private_key,
        account_index=account,
        api_key_index=slot,
        chain_id=venue.chain_id if chain_id is None else chain_id,
    )


def order(coi=7):
    expiry = int(time.time() * 1000) + 3_600_000
    return CreateOrder(0, coi, 1000, 310_000, is_ask=False, order_expiry=expiry)


def keys_of(venue, account):
    owner = next(a for a in venue.accounts if a.account_index == account)
    return owner.api_keys


def with_signature(signed, text):
    info = json.loads(signed.tx_info)
    return dataclasses.replace(signed, tx_info=json.dumps({**info, "Sig": text}))


def changed(signed, **fields):
    info = json.loads(signed.tx_info)
    return dataclasses.replace(signed, tx_info=json.dumps({**info, **fields}))


def forgeries(venue):
    """Return name -> (transaction, code) of what nobody may get in with."""
    good = signer_of(venue)
    honest = good.sign(order(), nonce=1)
    other = good.sign(order(8), nonce=1)
    elsewhere = derive_key_pair(b"nobody's key").private_key
    theirs = keys_of(venue, STRANGER)[0].api_key_private_key
    second = keys_of(venue, ACCOUNT)[1].api_key_private_key
    random = base64.b64encode(bytes(range(80))).decode()
    return {
        "a key nobody registered": (
            signer_of(venue, private_key=elsewhere).sign(order(), nonce=1),
            21120,
        ),
        "another account's key": (
            signer_of(venue, private_key=theirs).sign(order(), nonce=1),
            21120,
        ),
        "the key of another slot": (
            signer_of(venue, private_key=second).sign(order(), nonce=1),
            21120,
        ),
        "a slot without a key": (
            signer_of(venue, slot=9).sign(order(), nonce=1),
            21109,
        ),
        "another chain": (signer_of(venue, chain_id=300).sign(order(), nonce=1), 21120),
        "the signature of another order": (
            with_signature(honest, json.loads(other.tx_info)["Sig"]),
            21120,
        ),
        "a made-up signature": (with_signature(honest, random), 21120),
        "an empty signature": (with_signature(honest, ""), 21120),
        "a signature that is too short": (with_signature(honest, "AAAA"), 21120),
        "more than was signed": (changed(honest, BaseAmount=9000), 21120),
        "another price than was signed": (changed(honest, Price=1), 21120),
        "another nonce than was signed": (changed(honest, Nonce=2), 21120),
        "another account than was signed": (
            changed(honest, AccountIndex=STRANGER),
            21120,
        ),
        "fees that were not signed": (
            changed(honest, L2TxAttributes={"1": STRANGER, "2": 9, "3": 9}),
            21120,
        ),
        "a nonce from the past": (good.sign(order(), nonce=0), 21104),
        "a nonce from the future": (good.sign(order(), nonce=2), 21104),
        "no account": (changed(honest, AccountIndex=999_999), 21100),
    }


async def test_no_forged_transaction_gets_in_by_any_way(trader):
    venue = trader.venue
    accounts = venue.exchange.accounts
    async with trader.session.ws_connect(venue.ws_url) as socket:
        await socket.receive()
        for name, (signed, code) in forgeries(venue).items():
            kind, info = int(signed.tx_type), signed.tx_info
            status, body = await trader.post(V1 + "sendTx", tx_type=kind, tx_info=info)
            assert (status, body["code"]) == (400, code), name
            status, body = await trader.post(
                V1 + "sendTxBatch",
                tx_types=json.dumps([kind]),
                tx_infos=json.dumps([info]),
            )
            assert (status, body["code"]) == (400, code), name
            await socket.send_json(
                {
                    "type": "jsonapi/sendtx",
                    "data": {"id": name, "tx_type": kind, "tx_info": json.loads(info)},
                }
            )
            answer = json.loads((await socket.receive()).data)
            assert answer["error"]["code"] == code, name
    assert not venue.ledger.accepted()
    assert not venue.ledger.orders()
    nonces = {key.nonce for a in accounts.values() for key in a.api_keys.values()}
    assert nonces == {1}, "no nonce is consumed"


async def test_what_was_accepted_once_is_not_accepted_again(trader):
    signed = signer_of(trader.venue).sign(order(), nonce=1)
    form = {"tx_type": int(signed.tx_type), "tx_info": signed.tx_info}
    status, _ = await trader.post(V1 + "sendTx", **form)
    assert status == 200
    for _ in range(3):
        status, body = await trader.post(V1 + "sendTx", **form)
        assert (status, body["code"]) == (400, 21104)
    assert len(trader.venue.ledger.accepted()) == 1
    await eventually(lambda: trader.venue.ledger.orders(ACCOUNT))
    assert len(trader.venue.ledger.orders(ACCOUNT)) == 1


async def test_one_forged_transaction_spoils_its_whole_batch(trader):
    good = signer_of(trader.venue)
    first = good.sign(order(1), nonce=1)
    forged = changed(good.sign(order(2), nonce=2), BaseAmount=9000)
    status, body = await trader.post(
        V1 + "sendTxBatch",
        tx_types=json.dumps([14, 14]),
        tx_infos=json.dumps([first.tx_info, forged.tx_info]),
    )
    assert (status, body["code"]) == (400, 21120)
    assert not trader.venue.ledger.accepted()


# ------------------------------------------------------------------------ tokens


def bad_tokens(venue):
    now = int(time.time())
    good = signer_of(venue)
    honest = good.auth_token(deadline_s=now + 600)
    *fields, signature = honest.split(":")
    elsewhere = derive_key_pair(b"nobody's key").private_key
    longer = [str(now + 700), *fields[1:], signature]
    theirs = signer_of(venue, account=STRANGER)
    return {
        "none": "",
        "no token": "x",
        "a word where a number belongs": "soon:123456:4:00",
        "an expired one": good.auth_token(deadline_s=now - 1),
        "one that runs too long": good.auth_token(deadline_s=now + 9 * 3_600),
        "one with a later deadline than was signed": ":".join(longer),
        "another account's": theirs.auth_token(deadline_s=now + 600),
        "one signed with a key nobody registered": signer_of(
            venue, private_key=elsewhere
        ).auth_token(deadline_s=now + 600),
        "one of a slot without a key": signer_of(venue, slot=9).auth_token(
            deadline_s=now + 600
        ),
        "one with a made-up signature": ":".join([*fields, "00" * 80]),
        "a read-only one that was never made": ":".join(
            ("ro", str(ACCOUNT), "all", str(now + 99_999), "a" * 64)
        ),
        "a read-only one of another account": venue.read_only_token(STRANGER),
    }


async def test_no_bad_token_reads_anything_of_an_account(trader):
    for name, token in bad_tokens(trader.venue).items():
        trader.headers = {"authorization": token} if token else {}
        for path in PRIVATE:
            status, body = await trader.get(path, **ASKED[path])
            assert (status, body["code"]) == (401, 20013), (name, path)
            assert set(body) == {"code", "message"}
            assert not token or len(token) < 9 or token not in body["message"]


async def test_every_read_of_an_account_is_in_the_table_above(trader):
    """Without a token the rest of the endpoints answer: they are everybody's."""
    trader.headers = {}
    for path in sorted(set(ASKED) - set(PRIVATE)):
        status, body = await trader.get(path, **ASKED[path])
        assert status == 200 or body["code"] == 21500, path
    status, _ = await trader.get(V1 + "trades", sort_by="trade_id", **PAGE)
    assert status == 401


async def test_no_bad_token_changes_anything_of_an_account(trader):
    requests = {
        "tokens/create": {
            **OWN,
            "name": "x",
            "expiry": int(time.time()) + 200_000,
            "sub_account_access": "true",
        },
        "tokens/revoke": {**OWN, "token_id": 1},
        "notification/ack": {**OWN, "notif_id": "x"},
    }
    for name, token in bad_tokens(trader.venue).items():
        trader.headers = {"authorization": token} if token else {}
        for path, form in requests.items():
            status, body = await trader.post(V1 + path, **form)
            assert (status, body["code"]) == (401, 20013), (name, path)


@pytest.mark.parametrize(
    "channel",
    [
        "account_all_orders/123456",
        "account_orders/0/123456",
        "account_all_assets/123456",
        "account_tx/123456",
        "notification/123456",
    ],
)
async def test_no_bad_token_watches_anything_of_an_account(trader, channel):
    async with trader.session.ws_connect(trader.venue.ws_url) as socket:
        await socket.receive()
        for name, token in bad_tokens(trader.venue).items():
            auth = {"auth": token} if token else {}
            await socket.send_json({"type": "subscribe", "channel": channel, **auth})
            answer = json.loads((await socket.receive()).data)
            assert answer["error"]["code"] == 20013, name


async def test_a_token_works_in_the_header_the_query_and_the_form(trader):
    token = trader.headers["authorization"]
    trader.headers = {}
    for name in ("auth", "authorization"):
        status, _ = await trader.get(V1 + "accountActiveOrders", **OWN, **{name: token})
        assert status == 200
    form = {
        **OWN,
        "name": "x",
        "expiry": int(time.time()) + 200_000,
        "sub_account_access": "false",
    }
    status, body = await trader.post(V1 + "tokens/create", **form, auth=token)
    assert status == 200, body


# ---------------------------------------------------------------- administration


@pytest.mark.parametrize(
    "path", ["/admin/faults", "/admin/announce", "/venue/faults", "/venue/ledger"]
)
async def test_a_page_of_a_web_site_is_no_administrator(path):
    async with (
        Venue(flow="none", admin=True) as venue,
        aiohttp.ClientSession() as session,
        session.post(
            venue.base_url + path,
            json={"act": "drop"},
            headers={"Origin": "https://example.com"},
        ) as response,
    ):
        assert response.status == 403
        assert venue.faults.counts() == []
