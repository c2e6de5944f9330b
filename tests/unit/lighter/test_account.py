"""Questions about an account, with answers made up by a relay."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from wrappy import (
    AuthRejectedError,
    ConnectError,
    OrderNotFoundError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    TransportError,
    UnknownMarketError,
    VenueError,
    VenueUnavailableError,
    WrappyError,
)
from wrappy.lighter.asking.account import AccountReader
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.link import ExchangeLink
from wrappy.lighter.wire.token import TokenSource
from wrappy.signing.null import NullSigner
from wrappy.signing.worker import signing_thread

ACCOUNT = "/api/v1/account"


@pytest.fixture
async def wire(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    return relay, await dealer(relay)


async def test_a_market_the_account_never_held_is_flat(wire):
    relay, trader = wire
    index = trader.config.account_index
    rows = [{"market_id": 1, "position": "3", "sign": 1}]
    for positions, size in ((None, 0), ([], 0), (rows, 0)):
        account = {"index": index, "positions": positions}
        relay.answer(ACCOUNT, {"code": 200, "accounts": [account]})
        assert await trader.fetch_my_position() == size
    short = {"market_id": 0, "position": "0.5", "sign": -1}
    account = {"index": index, "positions": [short]}
    relay.answer(ACCOUNT, {"code": 200, "accounts": [account]})
    assert await trader.fetch_my_position("ETH") == Decimal("-0.5")


async def test_an_answer_about_somebody_else_is_not_read(wire):
    relay, trader = wire
    relay.answer(ACCOUNT, {"code": 200, "accounts": [{"index": 1}]})
    with pytest.raises(ProtocolError, match="lacks account"):
        await trader.fetch_my_balance()


async def test_the_position_of_an_unknown_market_is_an_error(wire):
    _, trader = wire
    with pytest.raises(UnknownMarketError):
        await trader.fetch_my_position("NOSUCH")


def reader(answers, *, now=lambda: 1_800_000_000.0):
    """Return a reader whose questions are answered from a list, and the questions."""
    asked = []

    class Rest:
        async def get(self, path, params=None, *, token=None):
            asked.append((path, dict(params or {}), token))
            answer = answers[min(len(asked), len(answers)) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer

    signer = NullSigner(account_index=5, api_key_index=4, chain_id=304)
    made = AccountReader(
        5,
        link=ExchangeLink(DealerConfig(base_url="http://127.0.0.1:1")),
        rest=Rest(),
        tokens=TokenSource(signer, signing_thread(), clock=now),
    )
    return made, asked


@pytest.fixture
def pauses(monkeypatch):
    """Time passes at once; the pauses are told."""
    told = []
    real = asyncio.sleep

    async def at_once(delay):
        told.append(delay)
        await real(0)

    monkeypatch.setattr("wrappy.lighter.asking.account.asyncio.sleep", at_once)
    return told


async def test_own_trades_come_in_pages():
    account, asked = reader([{"trades": [{"trade_id": 1}], "next_cursor": "more"}])
    rows, cursor = await account.own_trades()
    assert (rows, cursor) == ([{"trade_id": 1}], "more")
    await account.own_trades(cursor, market_index=3, since_ms=7)
    (path, first, token), (_, second, _) = asked
    assert path == "/api/v1/trades"
    assert token
    assert "cursor" not in first
    assert (second["cursor"], second["market_id"], second["from"]) == ("more", 3, 7)


async def test_live_orders_are_read_to_the_last_page_and_never_in_a_circle():
    pages = [
        {"orders": [{"order_index": 1}], "next_cursor": "a"},
        {"orders": [{"order_index": 2}], "next_cursor": "b"},
        {"orders": [{"order_index": 3}], "next_cursor": "a"},
    ]
    account, asked = reader(pages)
    rows = await account.open_orders(None)
    assert [row["order_index"] for row in rows] == [1, 2, 3]
    assert [fields.get("cursor") for _, fields, _ in asked] == [None, "a", "b"]
    assert "market_id" not in asked[0][1]


async def test_a_token_that_was_refused_is_made_anew_once():
    # Made while the clock ran ahead it would count as good for days.
    now = [1_900_000_000.0]
    refused = AuthRejectedError(20013, "invalid auth", "")
    account, asked = reader(
        [refused, {"orders": [{"order_index": 1}], "next_cursor": "more"}],
        now=lambda: now.pop() if len(now) > 1 else now[0],
    )
    now.append(1_800_000_000.0)
    assert await account.ended_orders("older") == ([{"order_index": 1}], "more")
    assert asked[0][2] != asked[1][2]
    account, asked = reader([refused])
    with pytest.raises(AuthRejectedError):
        await account.ended_orders()
    assert len(asked) == 2


@pytest.mark.parametrize(
    "failure",
    [
        RequestTimeoutError("late"),
        ConnectError("nobody there"),
        TransportError("reset"),
        VenueUnavailableError(502, "bad gateway"),
    ],
)
async def test_what_failed_on_the_way_is_asked_three_times_more(failure, pauses):
    body = {"accounts": [{"index": 5, "collateral": "7"}]}
    account, asked = reader([failure, failure, failure, body])
    assert (await account.balance())["collateral"] == 7
    assert len(asked) == 4
    assert len(pauses) == 3
    assert all(0.1 < pause <= 2.0 for pause in pauses)
    account, asked = reader([failure])
    with pytest.raises(type(failure)):
        await account.balance()
    assert len(asked) == 4


@pytest.mark.parametrize(
    "answer",
    [
        RateLimitedError(23000, "Too Many Requests!"),
        OrderNotFoundError(21600, "no such order"),
        VenueError(20001, "invalid param"),
        {"accounts": []},
    ],
)
async def test_an_answer_is_never_asked_for_twice(answer, pauses):
    account, asked = reader([answer])
    with pytest.raises(WrappyError):
        await account.balance()
    assert len(asked) == 1
    assert not pauses


async def test_who_is_closing_asks_nothing_again(pauses):
    account, asked = reader([ConnectError("closed here")])
    account.close()
    with pytest.raises(ConnectError):
        await account.balance()
    assert len(asked) == 1


async def test_a_transaction_that_is_not_known_is_none():
    account, _ = reader([VenueError(21500, "transaction not found")])
    assert await account.transaction("ab") is None
    account, _ = reader([VenueError(21501, "invalid tx info")])
    with pytest.raises(VenueError, match="21501"):
        await account.transaction("ab")


async def test_margin_is_read_from_the_markets_row():
    row = {
        "market_id": 3,
        "initial_margin_fraction": "33.33",
        "margin_mode": 1,
        "allocated_margin": "12.5",
    }
    account, _ = reader([{"accounts": [{"index": 5, "positions": [row]}]}])
    shown = await account.margin_setting(3)
    assert (shown.initial_margin_fraction, shown.margin_mode) == (3333, "isolated")
    assert shown.allocated_margin == Decimal("12.5")
    assert await account.margin_setting(4) is None
