"""Transfers, tiers and keys through the front doors of the local exchange."""

from __future__ import annotations

import base64
import contextlib
import json
import time

import aiohttp
import pytest

from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue import Venue, VenueSettings
from wrappy.venue.account_events import TierChanged
from wrappy.venue.accounts import make_accounts, open_accounts
from wrappy.venue.exchange import Refused
from wrappy.venue.input_log import InputLog, RecordedExchange
from wrappy.venue.replay import replay

USDC = 1_000_000
KEY = base64.b64encode(bytes(range(1, 41))).decode()
START_US = 1_800_000_000_000_000


class Client:
    """Sends unsigned transactions to a venue that does not verify."""

    def __init__(self, venue, http):
        self.venue, self.http = venue, http
        self.index, self.other = (a.account_index for a in venue.accounts)
        deadline = int(time.time()) + 600
        self.token = f"{deadline}:{self.index}:4:{'0' * 160}"

    async def post(self, path, *, token=None, **form):
        headers = {"authorization": self.token if token is None else token}
        url = f"{self.venue.base_url}/api/v1/{path}"
        async with self.http.post(url, data=form, headers=headers) as answer:
            return await answer.json()

    async def get(self, path, **query):
        headers = {"authorization": self.token}
        url = f"{self.venue.base_url}/api/v1/{path}"
        async with self.http.get(url, params=query, headers=headers) as answer:
            return await answer.json()

    async def own(self, path, **query):
        return await self.get(path, account_index=self.index, **query)

    def info(self, **fields):
        nonce = self.venue.exchange.accounts[self.index].api_keys[4].nonce
        return {
            "ApiKeyIndex": 4,
            "ExpiredAt": int(time.time() * 1_000) + 600_000,
            "Nonce": nonce,
            "Sig": "",
            **fields,
        }

    async def send(self, tx_type, **fields):
        info = json.dumps(self.info(**fields))
        return await self.post("sendTx", tx_type=tx_type, tx_info=info)

    async def transfer(self, to, amount, fee=0, **fields):
        told = {
            "FromAccountIndex": self.index,
            "ToAccountIndex": to,
            "AssetIndex": 3,
            "FromRouteType": 0,
            "ToRouteType": 0,
            "Amount": amount,
            "USDCFee": fee,
            "Memo": [0] * 32,
        }
        return await self.send(12, **{**told, **fields})


@contextlib.asynccontextmanager
async def opened(**settings):
    quiet = {"flow": "none", "verify": False, "symbols": ("ETH",)}
    chosen = VenueSettings(**{**quiet, **settings})
    async with Venue(settings=chosen) as venue, aiohttp.ClientSession() as http:
        yield Client(venue, http)


@pytest.fixture
async def client():
    async with opened() as made:
        yield made


async def test_both_sides_of_a_transfer_are_told_on_their_streams(client):
    kinds = ("account_all", "account_all_assets", "user_stats", "account_tx")
    async with client.http.ws_connect(client.venue.ws_url) as ws:
        await ws.receive_json()  # connected
        for index in (client.index, client.other):
            for kind in kinds[:3]:
                channel = f"{kind}/{index}"
                deadline = int(time.time()) + 600
                token = f"{deadline}:{index}:4:{'0' * 160}"
                await ws.send_json(
                    {"type": "subscribe", "channel": channel, "auth": token}
                )
                assert (await ws.receive_json())["type"] == f"subscribed/{kind}"
        answer = await client.transfer(client.other, 10 * USDC, 3 * USDC)
        assert answer["code"] == 200
        frames = {}
        while len(frames) < 6:
            frame = await ws.receive_json()
            if frame["type"].startswith("update/"):
                frames[frame["channel"]] = frame
    for index, collateral in ((client.index, 99_987), (client.other, 100_010)):
        told = frames[f"user_stats:{index}"]["stats"]["collateral"]
        assert told == f"{collateral}.000000"
        for kind in ("account_all", "account_all_assets"):
            [asset] = [
                row
                for row in frames[f"{kind}:{index}"]["assets"].values()
                if row["symbol"] == "USDC"
            ]
            assert asset["margin_balance"] == f"{collateral}.000000"


async def test_histories_are_filtered_and_come_in_pages(client, eventually):
    for _ in range(3):
        assert (await client.transfer(client.other, USDC, 3 * USDC))["code"] == 200
    profile = client.venue.exchange.accounts[client.index].profile
    await eventually(lambda: len(profile.transfers) == 3)
    whole = await client.own("transfer/history")
    assert [row["id"] for row in whole["transfers"]] == ["3", "2", "1"]
    assert whole["cursor"] == ""
    assert {row["from_route"] for row in whole["transfers"]} == {"perps"}
    for kind, count in (("all", 3), ("L2Transfer", 3), ("L2MintShares", 0)):
        found = await client.own("transfer/history", type=kind)
        assert len(found["transfers"]) == count
    assert (await client.own("transfer/history", type="L3"))["code"] == 20001
    assert (await client.own("withdraw/history", filter="x"))["code"] == 20001
    address = client.venue.accounts[0].l1_address
    pending = await client.own("deposit/history", l1_address=address, filter="pending")
    assert pending["deposits"] == []
    wrong = await client.own("deposit/history", l1_address="0x00")
    assert wrong["code"] == 20001


async def test_a_transfer_to_oneself_says_so(client, eventually):
    assert (await client.transfer(client.index, USDC, ToRouteType=1))["code"] == 200
    profile = client.venue.exchange.accounts[client.index].profile
    await eventually(lambda: profile.transfers)
    [row] = (await client.own("transfer/history"))["transfers"]
    assert (row["type"], row["to_route"]) == ("L2SelfTransfer", "spot")


async def test_the_fee_depends_on_who_gets_it(client):
    for to, fee in ((-1, 3 * USDC), (client.other, 3 * USDC), (client.index, 0)):
        told = await client.own("transferFeeInfo", to_account_index=to)
        assert told["transfer_fee_usdc"] == fee
    assert (await client.own("transferFeeInfo"))["transfer_fee_usdc"] == 3 * USDC
    assert (await client.own("transferFeeInfo", to_account_index=9))["code"] == 21100


async def test_a_key_that_is_new_has_a_nonce_before(client, eventually):
    told = await client.own("nextNonce", api_key_index=77)
    assert told["nonce"] == 1
    change = {"AccountIndex": client.index, "ApiKeyIndex": 77, "PubKey": KEY}
    assert (await client.send(8, **change, Nonce=1))["code"] == 200
    await eventually(
        lambda: 77 in client.venue.exchange.accounts[client.index].api_keys
    )
    assert (await client.own("nextNonce", api_key_index=77))["nonce"] == 2
    assert (await client.own("apikeys", api_key_index=77))["api_keys"][0][
        "public_key"
    ] == base64.b64decode(KEY).hex()


async def test_a_tier_needs_the_accounts_own_token(client):
    form = {"account_index": client.index, "new_tier": "standard"}
    assert (await client.post("changeAccountTier", **form, token=""))["code"] == 20013
    wrong = client.token.replace(f":{client.index}:", f":{client.other}:")
    refused = await client.post("changeAccountTier", **form, token=wrong)
    assert refused["code"] == 20013
    assert (await client.post("changeAccountTier", **form))["code"] == 200
    [event] = client.venue.ledger.of(TierChanged)
    assert (event.account, event.tier) == (client.index, "standard")
    other = {"account_index": client.index, "new_tier": "gold"}
    assert (await client.post("changeAccountTier", **other))["code"] == 62002


async def test_limits_of_the_new_tier_hold_at_once():
    async with opened(enforce_limits=True, tier="standard") as client:
        codes = [(await client.own("accountLimits"))["code"] for _ in range(61)]
        assert codes.count(23000) == 1
    async with opened(enforce_limits=True, tier="standard") as client:
        form = {"account_index": client.index, "new_tier": "premium"}
        assert (await client.post("changeAccountTier", **form))["code"] == 200
        codes = [(await client.own("accountLimits"))["code"] for _ in range(70)]
        assert set(codes) == {200}


async def test_what_is_staked_is_shown():
    async with opened(staked_lit=1_500) as client:
        limits = await client.own("accountLimits")
        assert limits["effective_lit_stakes"] == "1000"
        assert limits["current_taker_fee_tick"] == 273


def test_changes_of_accounts_are_inputs_that_replay(tmp_path):
    path = tmp_path / "log.json"
    settings = VenueSettings(flow="none", verify=False, symbols=("ETH",))
    users = make_accounts(settings)
    accounts = open_accounts(settings, users)
    exchange = RecordedExchange(
        settings,
        [find_market(BUNDLED_MARKETS, symbol="ETH")],
        accounts,
        now_us=START_US,
        inputs=InputLog(path, settings, now_us=START_US),
    )
    index = users[0].account_index
    exchange.set_maker_only(index, [5], now_us=START_US)
    with pytest.raises(Refused):
        exchange.set_maker_only(index, [4], now_us=START_US + 1)
    info = {
        "AccountIndex": index,
        "ApiKeyIndex": 4,
        "ExpiredAt": START_US // 1_000 + 600_000,
        "Nonce": 1,
        "Sig": "",
    }
    exchange.submit(9, info, "00" * 40, now_us=START_US + 2)
    exchange.advance(START_US + 1_000_000)
    exchange.change_tier(index, "plus", now_us=START_US + 1_000_000)
    with pytest.raises(Refused):
        exchange.change_tier(index, "plus", now_us=START_US + 1_000_001)
    exchange.finish()
    done = replay(path)
    assert done.is_same
    owned = [
        account
        for account in done.exchange.accounts.values()
        if account.l1_address == users[0].l1_address
    ]
    assert [account.tier.name for account in owned] == ["plus", "plus"]
    assert owned[0].profile.maker_only == {5}


async def test_the_page_tells_what_accounts_do(client, eventually):
    assert (await client.transfer(client.other, USDC, 3 * USDC))["code"] == 200
    assert (await client.send(9, AccountIndex=client.index))["code"] == 200
    gone = {"FromAccountIndex": client.index, "AssetIndex": 3, "RouteType": 0}
    assert (await client.send(13, **gone, Amount=2 * USDC))["code"] == 200
    change = {"AccountIndex": client.index, "PubKey": KEY}
    assert (await client.send(8, **change))["code"] == 200
    key = client.venue.exchange.accounts[client.index].api_keys[4]
    await eventually(lambda: key.public_key == base64.b64decode(KEY).hex())
    form = {"account_index": client.index, "new_tier": "plus"}
    assert (await client.post("changeAccountTier", **form))["code"] == 200
    url = f"{client.venue.base_url}/venue/state"
    async with client.http.get(url) as answer:
        told = await answer.text()
    for text in (f"1.000000 to {client.other}", "2.000000 left", "opened ", "new key"):
        assert text in told


async def test_some_types_have_a_limit_of_their_own():
    async with opened(enforce_limits=True) as client:
        gone = {"FromAccountIndex": client.index, "AssetIndex": 3, "RouteType": 0}
        codes = [
            (await client.send(13, **gone, Amount=2 * USDC))["code"] for _ in range(3)
        ]
        assert codes == [200, 200, 23004]
        codes = [
            (await client.send(9, AccountIndex=client.index))["code"] for _ in range(3)
        ]
        assert codes == [200, 200, 23000]
        assert (await client.transfer(client.other, USDC, 3 * USDC))["code"] == 200
