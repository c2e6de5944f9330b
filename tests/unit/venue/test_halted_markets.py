"""A market that market life halts: no new orders, no changes; cancels pass."""

from __future__ import annotations

import pytest

from wrappy import DealerConfig, LighterDealer
from wrappy.errors import ConfigError, VenueError
from wrappy.lighter.config import ApiKeyConfig
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import Venue, VenueSettings
from wrappy.venue.bundled import market_named
from wrappy.venue.engine import Engine
from wrappy.venue.events import HaltMarket
from wrappy.venue.replay import replay

NOT_ACTIVE = 21605


class Told:
    """A flow that says what it is told to, at once."""

    def __init__(self):
        self.waiting = []

    def next_at_us(self):
        return 0 if self.waiting else None

    def step(self, _):
        told, self.waiting = self.waiting, []
        return told


def test_a_halted_market_takes_cancels_only_and_says_why(tmp_path):
    async def main():
        flow = Told()
        settings = VenueSettings(verify=False, flow="none")
        async with InProcessExchange(settings, flow=flow) as exchange:
            owner = exchange.accounts[0]
            config = DealerConfig(
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                account_index=owner.account_index,
                api_keys=(
                    ApiKeyConfig(
                        owner.api_keys[0].api_key_index,
                        owner.api_keys[0].api_key_private_key,
                    ),
                ),
                symbol="ETH",
                standard_account=False,
                state_dir=str(tmp_path),
            )
            async with await LighterDealer.create(
                config, environment=exchange.environment
            ) as dealer:
                resting = await dealer.create_limit_order(2_900, 0.01)
                await dealer.flush()
                flow.waiting.append(HaltMarket(0, "ETH stands still: gone fishing"))
                exchange.engine.wake()
                await dealer.create_limit_order(2_901, 0.01)
                with pytest.raises(VenueError, match="gone fishing") as caught:
                    await dealer.flush()
                assert caught.value.code == NOT_ACTIVE
                await dealer.update_order_by_coi(
                    resting["client_order_index"], 2_910, 0.02
                )
                with pytest.raises(VenueError, match="gone fishing"):
                    await dealer.flush()
                await dealer.cancel_order_by_coi(resting["client_order_index"])
                await dealer.flush()
                flow.waiting.append(HaltMarket(0, ""))
                exchange.engine.wake()
                await dealer.create_limit_order(2_902, 0.01)
                await dealer.flush()
                assert exchange.engine.age_us == 0

    run_virtual(main)


async def test_a_halt_is_in_the_input_log_and_replays(tmp_path):
    flow, path = Told(), tmp_path / "log"
    flow.waiting.append(HaltMarket(0, "closed"))
    async with Venue(flow=flow, save_log=path) as venue:
        assert venue.exchange.markets[0].halted == "closed"
    done = replay(path)
    assert done.is_same
    assert done.exchange.markets[0].halted == "closed"


def test_markets_can_be_brought_along_but_then_no_log_is_saved(tmp_path):
    eth = market_named("ETH")
    settings = VenueSettings(symbols=("ETH",), flow="none")
    assert Engine(settings=settings, markets=[eth]).markets == (eth,)
    with pytest.raises(ConfigError, match="save_log"):
        Engine(settings=settings, markets=[eth], save_log=tmp_path / "log")
