"""Volume quota and order caps through the dealer, against an exchange that counts."""

from __future__ import annotations

import asyncio

import pytest

from wrappy import DealerConfig, LighterDealer, RiskDeniedError, RiskRule
from wrappy.lighter.config import ApiKeyConfig
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import VenueSettings
from wrappy.venue.events import TxAccepted

ACTIVE = "/api/v1/accountActiveOrders"


def test_an_account_without_quota_is_slow_but_never_refused_and_never_locked(tmp_path):
    async def scenario():
        settings = VenueSettings(
            seed=3, flow="none", verify=False, enforce_limits=True, tier="premium"
        )
        async with InProcessExchange(settings) as exchange:
            owner = exchange.accounts[0]
            trader = await LighterDealer.create(
                DealerConfig(
                    base_url=exchange.base_url,
                    account_index=owner.account_index,
                    api_keys=tuple(
                        ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                        for key in owner.api_keys
                    ),
                    chain_id=exchange.chain_id,
                    symbol="ETH",
                    standard_account=False,
                    state_dir=str(tmp_path),
                    journal=False,
                ),
                environment=exchange.environment,
            )
            clock = asyncio.get_running_loop().time
            cois = []
            for price in (1000, 1001):
                placed = await trader.create_limit_order(price, 0.05)
                cois.append(placed["client_order_index"])
            await trader.flush()
            for step in range(1, 999):
                await trader.update_order_by_coi(cois[0], price=1000 + step, quantity=1)
            result = await trader.flush()
            assert result["count"] == 998
            assert trader.quota in {0, 1}, "the single send may have been free"
            began, before = clock(), len(exchange.ledger)
            await trader.update_order_by_coi(cois[0], price=1000, quantity=1)
            await trader.update_order_by_coi(cois[0], price=999, quantity=1)
            await trader.update_order_by_coi(cois[0], price=998, quantity=1)
            waiting = asyncio.create_task(trader.flush())
            await asyncio.sleep(1.0)
            await trader.cancel_order_by_coi(cois[1])
            await trader.flush()
            assert clock() - began < 5.0, "the cancel waited for nobody"
            assert not waiting.done()
            assert (await waiting)["count"] == 3
            assert 15.0 <= clock() - began <= 46.0
            sent = [
                event.tx_type
                for event in exchange.ledger.events[before:]
                if isinstance(event, TxAccepted)
            ]
            assert sorted(sent) == [15, 17, 17, 17]
            assert not exchange.ledger.refused()
            await trader.aclose()

    run_virtual(scenario)


async def test_an_order_beyond_the_cap_is_denied_with_the_numbers(quiet_venue, dealer):
    trader = await dealer(quiet_venue, standard_account=True, ip_weight_per_minute=9999)
    for step in range(30):
        await trader.create_limit_order(1000 + step, 0.05)
    for _ in range(2):
        with pytest.raises(RiskDeniedError, match="30 on market 0 and 1 more") as no:
            await trader.create_limit_order(1000, 0.05)
        assert no.value.outcome == "not_sent"
        assert no.value.rule is RiskRule.TIER
    with pytest.raises(RiskDeniedError, match="and 2 more"):
        await trader.batch_cancel_and_create(
            new_limit_orders=[(999, 0.05), (998, 0.05)]
        )
    assert (await trader.flush())["count"] == 30, "what was denied is not queued"
    assert not quiet_venue.ledger.refused()


async def test_places_are_found_again_that_nobody_has_reported_free(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue, standard_account=True, ip_weight_per_minute=9999)
    placed = [await trader.create_limit_order(1000, 0.05) for _ in range(30)]
    await trader.flush()
    for answer in placed:
        await trader.cancel_order_by_coi(answer["client_order_index"])
    await trader.flush()
    await trader.create_limit_order(1000, 0.05)
    assert (await trader.flush())["count"] == 1


async def test_a_cap_that_cannot_be_checked_denies(quiet_venue, dealer, relay_to):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, standard_account=True, ip_weight_per_minute=9999)
    for step in range(30):
        await trader.create_limit_order(1000 + step, 0.05)
    await trader.flush()
    relay.answer(ACTIVE, b"", status=400, times=9)
    with pytest.raises(RiskDeniedError, match="cap of 30 a market"):
        await trader.create_limit_order(1000, 0.05)


async def test_orders_found_at_the_start_count(quiet_venue, dealer, tmp_path):
    first = await dealer(quiet_venue, state_dir=str(tmp_path / "one"))
    for step in range(30):
        await first.create_limit_order(1000 + step, 0.05)
    await first.flush()
    await first.aclose()
    second = await dealer(
        quiet_venue,
        standard_account=True,
        ip_weight_per_minute=9999,
        unknown_orders="adopt",
        state_dir=str(tmp_path / "two"),
    )
    with pytest.raises(RiskDeniedError, match="30 on market 0"):
        await second.create_limit_order(1000, 0.05)


async def test_a_dealer_shows_what_is_left_of_the_quota(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    assert trader.quota is None
    await trader.create_limit_order(1000, 0.05)
    await trader.flush()
    assert trader.quota == 999
