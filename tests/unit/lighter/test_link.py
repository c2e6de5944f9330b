"""What is shared: one link for each address and loop, one lane for each key."""

from __future__ import annotations

import asyncio

import pytest

from wrappy import CredentialsError, LighterDealer, VenueUnavailableError
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.link import (
    ExchangeLink,
    acquire_link,
    release_link,
)
from wrappy.lighter.sending.lane import LARGEST_BATCH, KeyLane
from wrappy.lighter.wire.token import Token

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


async def test_a_link_counts_for_the_tier_of_its_first_user():
    link = ExchangeLink(DealerConfig(base_url="http://127.0.0.1:1"))
    assert link.pace.requests == 0


async def test_a_slot_without_a_key_is_named(quiet_venue, config_for, relay_to):
    relay = await relay_to(quiet_venue)
    relay.answer(KEYS, {"code": 200, "api_keys": []})
    with pytest.raises(CredentialsError, match="no such key at account"):
        await LighterDealer.create(config_for(relay))


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


class Limits:
    """Answers the question for the tier, or fails."""

    def __init__(self, answer, account_index=5):
        self.answer, self.account_index = answer, account_index
        self.asked = 0

    async def get(self, path, params=None, *, token=None):
        self.asked += 1
        assert (path, params, token) == (
            "/api/v1/accountLimits",
            {"account_index": self.account_index},
            "a token",
        )
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Tokens:
    async def get(self):
        return Token("a token", 0)


async def test_the_tier_is_asked_for_once_when_no_setting_tells_it():
    config = DealerConfig(base_url="http://127.0.0.1:1", account_index=5)
    link, rest = ExchangeLink(config), Limits({"user_tier": "premium"})
    assert link.pace.state().assumed
    for _ in range(2):
        await link.learn_tier(rest, config, Tokens())
    state = link.pace.state()
    assert (state.tier, state.assumed, rest.asked) == ("premium", False, 1)


async def test_without_an_answer_the_slowest_pace_stands_in(caplog):
    config = DealerConfig(base_url="http://127.0.0.1:1", account_index=5)
    link, rest = ExchangeLink(config), Limits(VenueUnavailableError(500, "oops"))
    await link.learn_tier(rest, config, Tokens())
    assert link.pace.state().assumed
    assert "slowly" in caplog.text


async def test_a_setting_that_tells_the_tier_is_believed():
    config = DealerConfig(base_url="http://127.0.0.1:1", standard_account=True)
    link, rest = ExchangeLink(config), Limits({})
    await link.learn_tier(rest, config, Tokens())
    assert rest.asked == 0
    assert link.pace.state().tier == "standard"


async def test_each_account_is_asked_for_its_tier_and_the_first_sets_the_pace():
    first = DealerConfig(base_url="http://127.0.0.1:1", account_index=5)
    link, rest = ExchangeLink(first), Limits({"user_tier": "premium"})
    await link.learn_tier(rest, first, Tokens())
    second = DealerConfig(base_url="http://127.0.0.1:1", account_index=6)
    slow = Limits({"user_tier": "standard"}, account_index=6)
    await link.learn_tier(slow, second, Tokens())
    assert link.pace.state().tier == "premium"
    assert link.allowance(5).tier.name == "premium"
    assert link.allowance(6).orders.caps.active_per_market == 30
    assert link.allowance(7).tier is None
    told = DealerConfig(
        base_url="http://127.0.0.1:1", account_index=6, standard_account=False
    )
    await link.learn_tier(slow, told, Tokens())
    assert link.allowance(6).tier.name == "standard", "the exchange knows better"
    assert (rest.asked, slow.asked) == (1, 1)
