"""What paces an exchange: it goes on by itself, and a failure in it is not lost."""

from __future__ import annotations

import asyncio

import pytest

from wrappy.errors import VenueError
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue.settings import VenueSettings

SETTINGS = VenueSettings(symbols=("ETH",), flow="none", verify=False)


class Breaks:
    """A flow that raises when its third step is due."""

    def __init__(self, error):
        self.error = error
        self.steps = 0

    def next_at_us(self):
        return self.steps * 1_000_000

    def step(self, now_us):
        assert now_us >= self.next_at_us()
        self.steps += 1
        if self.steps == 3:
            raise self.error
        return []


def test_a_flow_that_raises_ends_the_exchange_with_its_error():
    flow = Breaks(ValueError("no such market"))

    async def main():
        async with InProcessExchange(SETTINGS, flow=flow) as exchange:
            await asyncio.sleep(1.5)
            assert exchange.engine.sessions.sessions == frozenset()
            await asyncio.sleep(10)
            assert flow.steps == 3
            rest = exchange.environment.open_rest(exchange.base_url)
            with pytest.raises(VenueError):
                await rest.get("/api/v1/orderBooks")

    with pytest.raises(ValueError, match="no such market"):
        run_virtual(main)


def test_an_interrupt_in_a_flow_ends_the_program():
    async def main():
        async with InProcessExchange(SETTINGS, flow=Breaks(SystemExit(3))):
            await asyncio.sleep(10)

    with pytest.raises(SystemExit):
        run_virtual(main)


def test_a_closed_exchange_does_nothing_more():
    flow = Breaks(ValueError("never"))

    async def main():
        async with InProcessExchange(SETTINGS, flow=flow) as exchange:
            await asyncio.sleep(0.5)
        exchange.engine.wake()
        await asyncio.sleep(10)

    run_virtual(main)
    assert flow.steps == 1
