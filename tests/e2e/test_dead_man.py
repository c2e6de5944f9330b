"""The dead man's switch over hours: renewed while its owner lives, fired when not."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from wrappy import DealerConfig, LighterDealer
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue.faults import FaultRule
from wrappy.venue.settings import VenueSettings

HORIZON_S = 600
SCHEDULED = 1


def settings_of(exchange, tmp_path):
    owner = exchange.accounts[0]
    return DealerConfig(
        base_url=exchange.base_url,
        account_index=owner.account_index,
        api_keys=tuple(
            {
                "api_key_index": key.api_key_index,
                "api_key_private_key": key.api_key_private_key,
            }
            for key in owner.api_keys[:1]
        ),
        chain_id=exchange.chain_id,
        symbol="ETH",
        standard_account=False,
        state_dir=str(tmp_path / "state"),
        journal=False,
    )


def live(exchange, account=0):
    index = exchange.accounts[account].account_index
    return exchange.engine.exchange.accounts[index].open_orders


def schedules(exchange):
    """Return the schedules that were accepted, unix milliseconds."""
    return [
        tx.info["Time"]
        for tx in exchange.ledger.accepted()
        if tx.tx_type == 16 and tx.info["TimeInForce"] == SCHEDULED
    ]


def run(tmp_path, work, *, second_schedule="replace", **changes):
    """Run a test's own coroutine with an exchange and a dealer, in virtual time."""

    async def main():
        settings = VenueSettings(
            verify=False, flow="none", second_schedule=second_schedule
        )
        async with InProcessExchange(settings) as exchange:
            config = settings_of(exchange, tmp_path)
            dealer = await LighterDealer.create(
                config, environment=exchange.environment, **changes
            )
            try:
                await work(exchange, dealer)
            finally:
                await dealer.aclose()

    run_virtual(main)


@pytest.mark.parametrize("reading", ["replace", "refuse"])
def test_an_owner_that_lives_keeps_its_orders_for_hours(tmp_path, reading):
    async def work(exchange, dealer):
        await dealer.create_limit_order(1000, 0.05)
        await dealer.flush()
        await dealer.arm_dead_man(HORIZON_S)
        await asyncio.sleep(3 * 3600)
        assert len(live(exchange)) == 1
        moments = schedules(exchange)
        assert 3 * 3600 / 200 - 2 <= len(moments) <= 3 * 3600 / 200 + 2
        assert dealer.dead_man.renewals == len(moments)
        assert dealer.dead_man.last_error == ""

    run(tmp_path, work, second_schedule=reading)


def test_an_owner_that_falls_silent_loses_its_orders_within_the_horizon(tmp_path):
    async def work(exchange, dealer):
        await dealer.create_limit_order(1000, 0.05)
        await dealer.flush()
        await dealer.arm_dead_man(HORIZON_S)
        await asyncio.sleep(1000)
        await dealer.aclose(disarm=False)
        sent = len(exchange.ledger.accepted())
        await asyncio.sleep(HORIZON_S + 60)
        assert not live(exchange)
        assert len(exchange.ledger.accepted()) == sent, "nothing after the close"

    run(tmp_path, work)


def test_a_renewal_that_fails_is_told_tried_again_and_does_not_fire(tmp_path, caplog):
    async def work(exchange, dealer):
        await dealer.create_limit_order(1000, 0.05)
        await dealer.flush()
        first = (await dealer.arm_dead_man(HORIZON_S)).armed_until_s
        await asyncio.sleep(150)
        # For a minute and a half the exchange fails inside.
        rule = FaultRule(act="status", path="/api/v1/sendTx", code=503)
        broken = exchange.faults.add(rule)
        await asyncio.sleep(90)
        state = dealer.dead_man
        assert state.last_error
        assert state.armed_until_s == first
        exchange.faults.remove(broken)
        await asyncio.sleep(120)
        assert dealer.dead_man.last_error == ""
        assert dealer.dead_man.armed_until_s > first
        await asyncio.sleep(3600)
        assert len(live(exchange)) == 1

    run(tmp_path, work)
    assert "not renewed" in caplog.text


def test_a_failure_that_nobody_foresaw_is_told_as_well(tmp_path, caplog):
    async def main():
        settings = VenueSettings(verify=False, flow="none")
        async with InProcessExchange(settings) as exchange:
            broken = False

            def unix_s():
                if broken:
                    raise RuntimeError("the clock fell off the wall")
                return exchange.environment.unix_s()

            around = dataclasses.replace(exchange.environment, unix_s=unix_s)
            dealer = await LighterDealer.create(
                settings_of(exchange, tmp_path), environment=around
            )
            await dealer.arm_dead_man(HORIZON_S)
            broken = True
            await asyncio.sleep(250)
            assert "fell off the wall" in dealer.dead_man.last_error
            broken = False
            await dealer.aclose()

    run_virtual(main)
    assert "not renewed any more" in caplog.text
