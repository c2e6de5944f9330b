"""A start whose questions get no answer: asked again, a few times, and then told.

In virtual time, so the bounds are exact; the connection loses chosen answers of
requests that did reach the exchange.
"""

from __future__ import annotations

import asyncio
import dataclasses
from functools import partial

import pytest

from tests.promises.places import config_at, in_process, trader_at
from wrappy import (
    ConnectError,
    LighterDealer,
    ProtocolError,
    RequestTimeoutError,
    TransportError,
    VenueUnavailableError,
    WsInfo,
)
from wrappy.lighter.link import (
    AGAIN_AFTER_S,
    AGAIN_WITHIN_S,
    DETAILS_PATH,
    MARKETS_FRESH_S,
)
from wrappy.runner.virtual_time import run_virtual

LOST = {
    "closed": lambda: TransportError("the connection was closed"),
    "late": lambda: RequestTimeoutError("no answer in time"),
    "502": lambda: VenueUnavailableError(502, "bad gateway"),
    "garbled": lambda: ProtocolError("the answer is not a JSON object"),
}


class Losing:
    """Loses the answers to chosen requests.

    Args:
        exchange: whose environment is used.
        error: makes what a lost answer raises.
        lost: numbers of the requests, from 0, and paths.
        takes_s: seconds until that is noticed.

    Attributes:
        asked: paths, in order.
        lost: as given; it may be changed.
    """

    def __init__(self, exchange, error, lost, takes_s=0.0):
        self.asked = []
        self.lost = lost
        losing = self

        class Rest:
            def __init__(self, inner):
                self.post_form, self.aclose = inner.post_form, inner.aclose
                self._get = inner.get

            async def get(self, path, params=None, *, token=None):
                number = len(losing.asked)
                losing.asked.append(path)
                answer = await self._get(path, params, token=token)
                if path in losing.lost or number in losing.lost:
                    await asyncio.sleep(takes_s)
                    raise error()
                return answer

        native = exchange.environment
        self.environment = dataclasses.replace(
            native,
            open_rest=lambda *given, **named: Rest(native.open_rest(*given, **named)),
        )


async def started(state, error, lost):
    """Start a dealer; return what was asked, and how many orders it could place."""
    async with in_process() as exchange:
        wire = Losing(exchange, error, lost)
        async with await trader_at(
            exchange, state, keys=2, environment=wire.environment
        ) as trader:
            asked = list(wire.asked)
            await trader.create_limit_order(2700, 0.05)
            await trader.flush()
        return asked, len(exchange.ledger.orders())


def test_a_dealer_starts_whichever_of_its_answers_is_lost(tmp_path):
    whole, _ = run_virtual(partial(started, tmp_path, LOST["closed"], ()))
    assert len(whole) >= 4, whole
    for number, path in enumerate(whole):
        lost = (number, number + 1)
        for name, error in LOST.items():
            asked, orders = run_virtual(
                partial(started, tmp_path / f"{number}{name}", error, lost)
            )
            assert orders == 1, (name, path)
            assert asked.count(path) > whole.count(path)


@pytest.mark.parametrize("kind", LOST)
def test_an_overlay_starts_whichever_of_its_answers_is_lost(kind):
    async def main(lost):
        async with in_process() as exchange:
            key = config_at(exchange, "").api_keys[0]
            wire = Losing(exchange, LOST[kind], lost)
            async with await WsInfo.run_overlay(
                exchange.accounts[0].account_index,
                key.api_key_index,
                key.api_key_private_key,
                symbol="ETH",
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=wire.environment,
            ) as ws:
                await ws.ready()
            return wire.asked

    whole = run_virtual(partial(main, ()))
    assert DETAILS_PATH in whole
    # What the connection itself asks once it is up is asked again in its own time.
    for number, path in enumerate(whole):
        asked = run_virtual(partial(main, (number,)))
        assert asked.count(path) == whole.count(path) + (path == DETAILS_PATH)


def test_who_goes_without_an_answer_is_told_so(tmp_path):
    async def main(error, takes_s):
        loop = asyncio.get_running_loop()
        async with in_process() as exchange:
            wire = Losing(exchange, error, range(99), takes_s)
            config = config_at(exchange, tmp_path)
            began = loop.time()
            with pytest.raises(TransportError):
                await LighterDealer.create(config, environment=wire.environment)
            return len(wire.asked), loop.time() - began

    times, took_s = run_virtual(partial(main, LOST["closed"], 0.0))
    assert times == 1 + len(AGAIN_AFTER_S)
    assert took_s < sum(AGAIN_AFTER_S) + 1.0
    # One that takes long to fail is not asked as often.
    times, took_s = run_virtual(partial(main, LOST["late"], 10.0))
    assert times == 2
    assert took_s < AGAIN_WITHIN_S + 10.0


def test_where_nobody_is_that_is_told_at_once(tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        async with in_process() as exchange:
            wire = Losing(exchange, lambda: ConnectError("nobody there"), range(99))
            with pytest.raises(ConnectError):
                await LighterDealer.create(
                    config_at(exchange, tmp_path), environment=wire.environment
                )
            return wire.asked, loop.time()

    asked, took_s = run_virtual(main)
    assert len(asked) == 1
    assert took_s < 1.0


def test_the_bundled_table_stands_in_only_where_that_is_safe(tmp_path, caplog):
    async def main():
        async with in_process() as exchange:
            wire = Losing(exchange, LOST["502"], [DETAILS_PATH])
            config = config_at(exchange, tmp_path)
            with pytest.raises(VenueUnavailableError):
                await LighterDealer.create(config, environment=wire.environment)
            assert "stands in" not in caplog.text
            (market,) = (one for one in exchange.engine.markets if one.symbol == "ETH")
            scales = {
                "price_scale": market.price_scale,
                "size_scale": market.size_scale,
            }
            async with await trader_at(
                exchange, tmp_path, environment=wire.environment, **scales
            ) as trader:
                assert trader.market.market_id == market.market_id
            assert caplog.text.count("the bundled table stands in") == 1
            async with await WsInfo.run_public_trades_simple(
                "ETH", base_url=exchange.base_url, environment=wire.environment
            ) as overlay:
                assert overlay.market.symbol == "ETH"
            assert caplog.text.count("the bundled table stands in") == 2
            assert wire.asked.count(DETAILS_PATH) == 3 * (1 + len(AGAIN_AFTER_S))

    run_virtual(main)


@pytest.mark.parametrize("kind", LOST)
def test_once_the_markets_are_known_nobody_waits_for_them(tmp_path, kind, caplog):
    async def main():
        loop = asyncio.get_running_loop()
        async with in_process() as exchange:
            wire = Losing(exchange, LOST[kind], ())
            async with await trader_at(
                exchange, tmp_path, environment=wire.environment
            ) as trader:
                await asyncio.sleep(2 * MARKETS_FRESH_S)
                wire.lost = [DETAILS_PATH]
                began = loop.time()
                assert await trader.fetch_my_position("BTC") == 0
                assert loop.time() - began < 1.0
                assert "markets: the list stays as it was" in caplog.text
                wire.lost = ()
                await asyncio.sleep(2 * MARKETS_FRESH_S)
                asked = wire.asked.count(DETAILS_PATH)
                assert await trader.fetch_my_position("BTC") == 0
                assert wire.asked.count(DETAILS_PATH) == asked + 1

    run_virtual(main)
