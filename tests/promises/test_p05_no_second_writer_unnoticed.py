"""P5: on one machine a second writer cannot start; elsewhere it is noticed at once.

Two processes, one key, one venue whose ledger tells what either sent.
"""

from __future__ import annotations

import dataclasses
import logging

import pytest

from tests.promises.processes import bot
from wrappy import (
    ForeignNonceError,
    KeyInUseError,
    LighterDealer,
    NonceRejectedError,
)

INVALID_NONCE = 21104


@pytest.fixture
def one_key(quiet_venue, config_for):
    config = config_for(quiet_venue)
    return dataclasses.replace(config, api_keys=config.api_keys[:1])


def on_another_machine(config, tmp_path):
    """Return settings whose locks and journals are not seen from here."""
    return dataclasses.replace(
        config,
        state_dir=str(tmp_path / "another machine"),
        unknown_orders="adopt",
    )


async def test_the_second_process_on_a_machine_is_refused_and_told_whose_the_key_is(
    quiet_venue, one_key
):
    async with bot(one_key) as first:
        with pytest.raises(KeyInUseError) as caught:
            await LighterDealer.create(one_key)
        assert caught.value.pid == first.told["pid"] == first.process.pid
        assert str(first.process.pid) in str(caught.value)
        assert "tx_hash" in await first.place(1000), "the first one trades on"
        await first.kill()
        # The key is free as soon as its holder is gone, however it went.
        async with await LighterDealer.create(one_key) as ours:
            await ours.create_limit_order(1001, 0.05)
            await ours.flush()
    assert len(quiet_venue.ledger.accepted()) == 2
    assert quiet_venue.ledger.refused() == []


async def test_a_writer_on_another_machine_stops_us_after_one_refused_transaction(
    quiet_venue, one_key, tmp_path, caplog
):
    caplog.set_level(logging.WARNING)
    refused = []
    async with (
        bot(on_another_machine(one_key, tmp_path)) as stranger,
        await LighterDealer.create(one_key) as ours,
    ):

        async def place(price):
            order = await ours.create_limit_order(price, 0.05)
            try:
                await ours.flush()
            except NonceRejectedError:
                refused.append(order["client_order_index"])
                return False
            return True

        assert await place(1000)
        # Once may have been a tool that somebody ran: noted, and trading goes on.
        assert "tx_hash" in await stranger.place(1100)
        assert not await place(1001)
        assert "used by somebody else" in caplog.text
        assert (await ours.flush())["count"] == 1
        # Twice in a minute is a second writer: one refused transaction, then none.
        assert (await stranger.place(1101))["error"] == "NonceRejectedError"
        assert len((await stranger.place(1102))["tx_hash"]) == 2
        assert not await place(1002)
        assert len(refused) == 2
        sent = len(quiet_venue.ledger.accepted()) + len(quiet_venue.ledger.refused())
        for _ in range(3):
            with pytest.raises(ForeignNonceError, match="somebody else"):
                await ours.flush()
        told = len(quiet_venue.ledger.accepted()) + len(quiet_venue.ledger.refused())
        assert told == sent, "nothing was sent after the alarm"
        alarms = [row for row in caplog.records if row.levelno == logging.ERROR]
        assert any("no new orders are sent" in row.getMessage() for row in alarms)


async def test_cancels_pass_while_new_orders_are_stopped(quiet_venue, one_key):
    async with await LighterDealer.create(one_key) as ours:
        placed = await ours.create_limit_order(1000, 0.05)
        await ours.flush()
        slot = quiet_venue.accounts[0]
        account = quiet_venue.exchange.accounts[slot.account_index]
        key = account.api_keys[one_key.api_keys[0].api_key_index]
        for _ in range(2):
            key.nonce += 1  # as if somebody else had sent
            await ours.create_limit_order(1001, 0.05)
            with pytest.raises(NonceRejectedError):
                await ours.flush()
        await ours.cancel_order_by_coi(placed["client_order_index"])
        with pytest.raises(ForeignNonceError):
            await ours.flush()
        assert quiet_venue.ledger.accepted()[-1].tx_type == 15
        assert await ours.fetch_open_orders() == []
