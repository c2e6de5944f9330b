"""A desk feeds its dealer, and what the dealer placed is gone when it closes."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from wrappy import LighterDealer, UsageError
from wrappy.runner import desk
from wrappy.runner.command import OneLineParser
from wrappy.runner.desk import desk_parser, open_desk
from wrappy.runner.network import venue_configs
from wrappy.venue import Venue, VenueSettings


def statuses(venue):
    account = venue.accounts[0].account_index
    return [order.status for order in venue.ledger.orders(account)]


@pytest.fixture
async def quiet(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings = VenueSettings(seed=1, flow="none", gone_order="refuse")
    async with Venue(settings=settings) as venue:
        yield venue


async def test_a_desks_orders_are_gone_and_those_of_others_stay(quiet):
    config = venue_configs(quiet)[0]
    async with await LighterDealer.create(
        dataclasses.replace(config, symbol="ETH")
    ) as other:
        async with open_desk(config, "ETH") as (dealer, ws):
            assert ws.market.symbol == dealer.market.symbol == "ETH"
            placed = await dealer.batch_cancel_and_create(
                (), [(3000, "0.01"), (2999, "0.01")]
            )
            assert await ws.wait_order_by_coi(placed["created"][0], timeout=5.0)
            await other.create_limit_order(2998, "0.01")
            await other.flush()
            await dealer.create_limit_order(2997, "0.01")  # never flushed
        assert statuses(quiet) == ["canceled", "canceled", "open"]
        await other.cancel_all_orders()


async def test_a_desk_is_cleared_when_its_body_raises_or_is_cancelled(quiet):
    config = venue_configs(quiet)[0]
    placed = asyncio.Event()

    async def body(error=None):
        async with open_desk(config, "ETH") as (dealer, _):
            await dealer.create_limit_order(3000, "0.01")
            await dealer.flush()
            placed.set()
            if error is not None:
                raise error
            await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError):
        await body(ZeroDivisionError())
    assert statuses(quiet) == ["canceled"]
    placed.clear()
    task = asyncio.create_task(body())
    await placed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert statuses(quiet) == ["canceled", "canceled"]


async def test_an_order_that_ended_by_itself_is_no_failure(quiet):
    config = venue_configs(quiet)[0]
    async with open_desk(config, "ETH") as (dealer, _):
        placed = await dealer.create_limit_order(3000, "0.01")
        await dealer.flush()
        async with await LighterDealer.create(dealer.config) as other:
            # The desk may not have heard of it when it clears up.
            await other.cancel_order_by_coi(placed["client_order_index"])
            await other.flush()
    assert statuses(quiet) == ["canceled"]


async def test_a_silent_stream_is_made_up_for_by_a_question(
    quiet, relay_to, eventually, monkeypatch
):
    relay = await relay_to(quiet)
    config = dataclasses.replace(venue_configs(quiet)[0], base_url=relay.base_url)
    async with open_desk(config, "ETH") as (dealer, ws):
        placed = await dealer.create_limit_order(3000, "0.01")
        await dealer.flush()
        await ws.wait_order_by_coi(placed["client_order_index"], timeout=5.0)
        relay.down = lambda _: []  # nothing is told any more
    assert statuses(quiet) == ["canceled"]


async def test_what_may_still_rest_is_told(quiet, relay_to, monkeypatch):
    monkeypatch.setattr(desk, "CLEAR_TIMEOUT_S", 0.0)
    relay = await relay_to(quiet)
    config = dataclasses.replace(venue_configs(quiet)[0], base_url=relay.base_url)

    async def body():
        async with open_desk(config, "ETH") as (dealer, ws):
            placed = await dealer.create_limit_order(3000, "0.01")
            await dealer.flush()
            await ws.wait_order_by_coi(placed["client_order_index"], timeout=5.0)
            relay.down = lambda _: []

    with pytest.raises(UsageError, match="orders that may still rest"):
        await body()


def test_every_script_has_the_same_options():
    parser = desk_parser("What it does.\n\nMore of it.")
    assert isinstance(parser, OneLineParser)
    assert parser.description == "What it does."
    options = parser.parse_args(["--network", "testnet", "--seed", "7"])
    assert vars(options) == {"network": "testnet", "live": False, "seed": 7}
    assert desk_parser(None).description == ""
