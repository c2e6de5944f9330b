"""Prices for a watcher: one that cannot be had takes nothing else with it."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal

from tests.promises.places import config_at
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.monitor.price_view import AGAIN_S, PriceView
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, VenueSettings


def test_a_price_that_is_not_to_be_had_leaves_the_others_and_is_asked_for_again(caplog):
    async def main():
        settings = VenueSettings(seed=5, symbols=("ETH", "BTC"), verify=False)
        async with InProcessExchange(settings, repeats=True) as exchange:
            exchange.faults.add(
                FaultRule(
                    act="drop", phase="push", channel="market_stats/1", times=10_000
                )
            )
            view = PriceView(config_at(exchange, "unused"), exchange.environment)
            for symbol in ("ETH", "BTC", "ETH"):
                view.add(symbol)
            assert view.prices() == {}
            await asyncio.sleep(30)
            assert list(view.prices()) == ["ETH"]
            assert Decimal(2_000) < view.prices()["ETH"] < Decimal(4_000)
            exchange.faults.clear()
            await asyncio.sleep(AGAIN_S + 30)
            assert sorted(view.prices()) == ["BTC", "ETH"]
            await view.aclose()
            assert view.prices() == {}

    with caplog.at_level(logging.INFO, logger="wrappy.monitor"):
        run_virtual(main)
    assert "no price of BTC for the monitor" in caplog.text
