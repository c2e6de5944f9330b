"""What another account holds, asked for without its key."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.promises.places import in_process, trader_at
from wrappy import (
    InvalidOrderError,
    RequestTimeoutError,
    UnknownMarketError,
    VenueError,
)
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule


def test_the_other_accounts_position_is_told(tmp_path):
    async def main():
        async with (
            in_process() as exchange,
            await trader_at(exchange, tmp_path / "a", 0) as first,
            await trader_at(exchange, tmp_path / "b", 1) as second,
        ):
            other = exchange.accounts[1].account_index
            assert await first.fetch_position_of(other) == 0
            assert await first.fetch_position_of(other, "BTC", urgent=True) == 0
            await first.create_limit_order(3000, 0.05)
            await first.flush()
            await second.create_market_order(-0.05, 2900)
            held = Decimal(0)
            while not held:
                held = await first.fetch_position_of(other, timeout_s=4.0)
            assert held == Decimal("-0.05") == await second.fetch_my_position()

    run_virtual(main)


def test_what_cannot_be_told_is_an_error(tmp_path):
    async def main():
        async with in_process() as exchange, await trader_at(exchange, tmp_path) as d:
            for wrong in (-1, 1.5, "7", True, None):
                with pytest.raises(InvalidOrderError, match="account_index"):
                    await d.fetch_position_of(wrong)
            with pytest.raises(InvalidOrderError, match="symbol"):
                await d.fetch_position_of(1, 7)
            with pytest.raises(InvalidOrderError, match="timeout_s"):
                await d.fetch_position_of(1, timeout_s=-1)
            with pytest.raises(InvalidOrderError, match="urgent"):
                await d.fetch_position_of(1, urgent="yes")
            with pytest.raises(UnknownMarketError):
                await d.fetch_position_of(1, "NOPE")
            other = exchange.accounts[1].account_index
            exchange.faults.add(FaultRule(act="stall", path="/api/v1/account"))
            with pytest.raises(RequestTimeoutError, match=r"within 2\.0 s"):
                await d.fetch_position_of(other, timeout_s=2.0)

    run_virtual(main)


def test_an_account_that_is_not_there_is_not_flat(tmp_path):
    async def main():
        async with in_process() as exchange, await trader_at(exchange, tmp_path) as d:
            with pytest.raises(VenueError, match="account not found"):
                await d.fetch_position_of(987_654_321)
            assert await d.fetch_my_position() == 0

    run_virtual(main)
