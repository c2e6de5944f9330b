"""What is shared: one link for each address and loop, one lane for each key."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wrappy import CredentialsError, LighterDealer, VenueUnavailableError, WsInfo
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.link import (
    LARGEST_BATCH,
    ExchangeLink,
    KeyLane,
    acquire_link,
    release_link,
)

DETAILS, KEYS = "/api/v1/orderBookDetails", "/api/v1/apikeys"


async def test_a_link_lives_as_long_as_somebody_uses_it():
    config = DealerConfig(base_url="http://127.0.0.1:1")
    other = DealerConfig(base_url="http://127.0.0.1:2")
    first, second = acquire_link(config), acquire_link(config)
    stranger = acquire_link(other)
    assert first is second
    assert first is not stranger
    assert first.lane(5, 4) is second.lane(5, 4)
    assert first.lane(5, 4) is not first.lane(5, 6)
    release_link(first)
    assert acquire_link(config) is first
    release_link(first)
    release_link(first)
    fresh = acquire_link(config)
    assert fresh is not first
    release_link(fresh)
    release_link(stranger)


def test_a_lane_takes_the_largest_batch_there_may_be():
    lane = KeyLane()
    lane.nonces.sync(1)
    assert len(lane.nonces.take(LARGEST_BATCH)) == LARGEST_BATCH
    DealerConfig(max_ws_batch=LARGEST_BATCH)


def test_a_link_counts_for_the_tier_of_its_first_user():
    link = ExchangeLink(DealerConfig(base_url="http://127.0.0.1:1"))
    assert link.pace.requests == 0


async def test_a_slot_without_a_key_is_named(quiet_venue, config_for, relay_to):
    relay = await relay_to(quiet_venue)
    relay.answer(KEYS, {"code": 200, "api_keys": []})
    with pytest.raises(CredentialsError, match="no such key at account"):
        await LighterDealer.create(config_for(relay))


async def test_the_bundled_table_stands_in_only_where_that_is_safe(
    quiet_venue, config_for, relay_to, caplog
):
    caplog.set_level(logging.WARNING)
    relay = await relay_to(quiet_venue)
    relay.answer(DETAILS, b"", status=503, times=3)
    with pytest.raises(VenueUnavailableError):
        await LighterDealer.create(config_for(relay))
    market = quiet_venue.markets[0]
    scales = {"price_scale": market.price_scale, "size_scale": market.size_scale}
    async with await LighterDealer.create(config_for(relay, **scales)) as trader:
        assert trader.market.market_id == market.market_id
    assert "the bundled table stands in" in caplog.text
    async with await WsInfo.run_public_trades_simple(
        "ETH", base_url=relay.base_url
    ) as overlay:
        assert overlay.market.symbol == "ETH"
    assert len(relay.fired) == 3


async def test_a_dealers_pace_counts_whatever_an_overlay_began_with(caplog):
    overlay = DealerConfig(base_url="http://127.0.0.1:1")
    link = acquire_link(overlay)
    premium = DealerConfig(base_url="http://127.0.0.1:1", standard_account=False)
    assert acquire_link(premium) is link
    link.pace_for(premium)
    for _ in range(100):  # a standard account's burst is twelve
        await asyncio.wait_for(link.pace.wait("/api/v1/sendTx"), 1.0)
    assert "hold for all" not in caplog.text
    link.pace_for(overlay)
    assert "standard_account=False" in caplog.text
    release_link(link)
    release_link(link)
