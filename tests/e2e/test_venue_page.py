"""The page to look at: what it shows, whom it is for, what it never tells."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import time

import aiohttp
import pytest

from wrappy import LighterDealer
from wrappy.errors import UsageError
from wrappy.runner.network import venue_configs
from wrappy.signing.python import PythonSigner
from wrappy.venue import FaultRule, Venue, VenueSettings
from wrappy.venue.events import FundingPaid, Liquidated
from wrappy.venue.page import is_local, names_this_machine, page
from wrappy.venue.visits import KEPT, Visits

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as opened:
        yield opened


async def state_of(venue, session, query=""):
    async with session.get(f"{venue.page_url}state{query}") as response:
        assert response.status == 200
        return await response.json()


async def traded(venue):
    config = dataclasses.replace(venue_configs(venue)[0], symbol="ETH")
    async with await LighterDealer.create(config) as dealer:
        await dealer.create_limit_order(2900, 0.01)
        await dealer.create_market_order(0.02)
        await dealer.flush()
        await dealer.fetch_open_orders()
    return config


@pytest.mark.parametrize("path", ["/venue/", "/venue"])
async def test_the_page_is_one_file_that_asks_nobody_else(quiet_venue, session, path):
    async with session.get(quiet_venue.base_url + path) as response:
        text = await response.text()
        policy = response.headers["Content-Security-Policy"]
        assert response.status == 200
        assert response.content_type == "text/html"
    assert text.encode() == page()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        (inline,) = re.findall(f"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"(src|href)=\"(?!data:)|@import|url\(", text)
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write", text)
    assert not re.search(r"\sstyle=|\son\w+=\"", text)


async def test_the_state_tells_what_a_bot_did(venue, session, eventually):
    venue.faults.add(FaultRule(act="drop", path="/api/v1/nothing"))
    config = await traded(venue)
    await eventually(venue.ledger.trades)
    state = await state_of(venue, session)
    assert state["venue"]["seed"] == 1
    assert state["venue"]["failure"] is None
    assert [market["symbol"] for market in state["markets"]] == ["ETH", "BTC", "SOL"]
    detail = state["market"]
    assert float(detail["bids"][0]["price"]) < float(detail["asks"][0]["price"])
    assert detail["bids"][-1] == {
        "price": "2900.00",
        "size": "0.0100",
        "own": "0.0100",
    }
    assert [fill[2] for fill in detail["fills"]] == ["buy"]
    assert any(trade["accounts"] for trade in detail["trades"])
    account = state["accounts"][0]
    assert account["index"] == config.account_index
    assert account["positions"][0]["position"] == "0.0200"
    (order,) = account["orders"]
    assert (order["side"], order["price"], order["status"]) == (
        "buy",
        "2900.00",
        "open",
    )
    asked = [(row["method"], row["path"], row["status"]) for row in state["requests"]]
    assert any(path.startswith("/api/v1/sendTx") for _, path, _ in asked)
    assert all(status == 200 for _, _, status in asked)
    kinds = {event["kind"] for event in state["events"]}
    assert {"accepted", "executed", "order", "trade"} <= kinds
    assert [fault["where"] for fault in state["faults"]] == ["/api/v1/nothing"]


async def test_the_state_tells_what_spot_orders_lock(session, eventually):
    settings = VenueSettings(
        symbols=("ETH", "ETH/USDC"), spot_balances=("USDC=500", "ETH=2.5")
    )
    async with Venue(settings=settings) as venue:
        config = dataclasses.replace(venue_configs(venue)[0], symbol="ETH/USDC")
        async with await LighterDealer.create(config) as dealer:
            await dealer.create_limit_order(2900, 0.01)
            await dealer.flush()
            account = venue.exchange.accounts[config.account_index]
            await eventually(lambda: account.open_orders)
        state = await state_of(venue, session)
    held = {row["symbol"]: row for row in state["accounts"][0]["assets"]}
    assert held["ETH"]["balance"] == "2.5000"
    assert held["USDC"]["balance"] == "500.000000"
    # The value, and the maker's fee on it.
    assert held["USDC"]["locked_balance"] == "29.001160"
    assert b"locked_balance" in page()


async def test_another_market_is_shown_when_asked_for(venue, session):
    assert (await state_of(venue, session, "?market=2"))["market"]["symbol"] == "SOL"
    assert (await state_of(venue, session, "?market=99"))["market"]["symbol"] == "ETH"
    async with session.get(f"{venue.page_url}state?market=x") as response:
        assert response.status == 400
        assert "market" in (await response.json())["message"]


async def test_an_empty_exchange_has_a_page_too(quiet_venue, session):
    state = await state_of(quiet_venue, session)
    assert state["market"]["bids"] == state["market"]["course"] == []
    assert state["events"] == state["requests"] == state["faults"] == []


async def test_no_key_and_no_token_is_ever_shown(venue, session):
    config = await traded(venue)
    key = config.api_keys[0]
    token = PythonSigner(
        key.api_key_private_key,
        account_index=config.account_index,
        api_key_index=key.api_key_index,
        chain_id=venue.chain_id,
    ).auth_token(deadline_s=int(time.time()) + 3_600)
    url = f"{venue.base_url}/api/v1/account"
    await (await session.get(url, params={"by": "index", "auth": token})).read()
    async with session.ws_connect(venue.ws_url) as stream:
        await stream.receive()
        channel = f"account_all_orders/{config.account_index}"
        await stream.send_json({"type": "subscribe", "channel": channel, "auth": token})
        await stream.receive()
        await stream.send_json({"type": "ping"})
        await stream.receive()
        text = json.dumps(await state_of(venue, session))
    assert f"subscribe {channel}" in text
    assert '"ping"' not in text
    for account in venue.accounts:
        for key in account.api_keys:
            assert key.api_key_private_key not in text
    assert token not in text
    assert "Sig" not in text


async def test_what_clients_send_is_shown_as_data(quiet_venue, session):
    url = f"{quiet_venue.base_url}/{EVIL}/%3Cscript%3E"
    assert (await session.get(url)).status == 404
    await session.get(f"{quiet_venue.base_url}/{'x' * 5000}")
    rows = (await state_of(quiet_venue, session))["requests"]
    assert rows[1]["path"] == f"/{EVIL}/<script>"
    assert (rows[1]["status"], rows[1]["code"]) == (404, 29404)
    assert len(rows[0]["path"]) == 160


async def test_watching_is_no_request_and_spends_no_limit(quiet_venue, session):
    for _ in range(3):
        state = await state_of(quiet_venue, session)
    assert state["venue"]["requests"] == 0


@pytest.mark.parametrize("path", ["/venue/", "/venue/state"])
async def test_a_site_that_was_pointed_here_gets_nothing(quiet_venue, session, path):
    headers = {"Host": "evil.example:80"}
    async with session.get(quiet_venue.base_url + path, headers=headers) as response:
        assert response.status == 403
        assert "this machine" in (await response.json())["message"]


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:80", True),
        ("127.0.0.1", True),
        ("localhost:8080", True),
        ("LOCALHOST", True),
        ("[::1]:8080", True),
        ("[::1]", True),
        ("", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example:80", False),
        ("10.0.0.5:80", False),
    ],
)
def test_only_names_of_this_machine_are_its_own(host, is_ours):
    assert names_this_machine(host) is is_ours


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.0.2.1", False),
        ("x", False),
        (None, False),
    ],
)
def test_only_loopback_is_this_machine(address, expected):
    assert is_local(address) is expected


async def test_requests_without_an_answer_and_broken_exchanges_are_shown(
    quiet_venue, session
):
    quiet_venue.faults.add(FaultRule(act="drop", path="/api/v1/sendTx", times=1))
    with pytest.raises(aiohttp.ClientError):
        await session.post(f"{quiet_venue.base_url}/api/v1/sendTx")
    state = await state_of(quiet_venue, session)
    assert [row["status"] for row in state["requests"]] == [None]
    assert [event["kind"] for event in state["events"]] == ["fault"]
    quiet_venue.announce(quiet_venue.accounts[0].account_index, "announcement", {})
    await session.post(
        f"{quiet_venue.base_url}/api/v1/sendTx", data={"tx_type": 14, "tx_info": "{"}
    )
    state = await state_of(quiet_venue, session)
    assert [event["kind"] for event in state["events"]] == [
        "refused",
        "notice",
        "fault",
    ]
    assert state["events"][0]["text"].startswith("21501 ")


async def test_the_ledger_is_read_by_programs_that_may_administer(session):
    async with Venue(flow="none", admin=True) as venue:
        venue.announce(venue.accounts[0].account_index, "first", {})
        venue.announce(venue.accounts[0].account_index, "second", {})
        url = f"{venue.page_url}ledger"
        told = await (await session.get(url, params={"limit": 1})).json()
        assert told["hash"] == venue.ledger.hash()
        assert (told["events"], told["flow_trades"]) == (2, 0)
        (line,) = told["latest"]
        assert "second" in line
        assert (await session.post(url)).status == 400
        assert (await session.get(url, params={"limit": 0})).status == 400
        assert (await session.get(url, headers={"Origin": "http://x"})).status == 403
        faults = f"{venue.page_url}faults"
        added = await session.post(faults, json={"act": "drop", "path": "/x"})
        assert (await added.json())["handle"] == 1
        assert len(venue.faults.counts()) == 1


async def test_without_administration_the_ledger_is_no_path(quiet_venue, session):
    assert (await session.get(f"{quiet_venue.page_url}ledger")).status == 404


async def test_what_happens_to_a_position_is_told_in_words(quiet_venue, session):
    owner = quiet_venue.accounts[0].account_index
    exchange = quiet_venue.exchange
    exchange.note(FundingPaid(1, owner, 0, 1, 12, 5_000, -1_500_000))
    exchange.note(FundingPaid(1, owner, 0, 1, 12, -5_000, 1_500_000))
    exchange.note(Liquidated(1, 1, owner, 0, "partial", True, 270_000, 5_000, 1, 0))
    rows = (await state_of(quiet_venue, session))["events"]
    assert [(row["kind"], row["text"], row["tone"]) for row in rows] == [
        ("liquidated", "partial: long 0.5000 ETH at 2700.00", "bad"),
        ("funding", "got 1.500000 for ETH", ""),
        ("funding", "paid 1.500000 for ETH", "bad"),
    ]
    assert {row["account"] for row in rows} == {owner}


def test_the_latest_requests_are_kept_in_bounded_memory():
    visits = Visits()
    for number in range(3 * KEPT):
        visits.request("GET", f"/{number}", at_us=number, took_us=1, status=200)
        visits.message("no JSON", at_us=number)
    assert visits.count == 6 * KEPT
    rows = visits.latest()
    assert len(rows) == KEPT
    assert rows[0]["path"] == "?"
    assert rows[1]["path"] == f"/{3 * KEPT - 1}"


def test_a_page_has_an_address_only_while_it_is_served():
    with pytest.raises(UsageError):
        _ = Venue(flow="none").page_url
