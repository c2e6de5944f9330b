"""P25: one strategy in every world: equal words at both doors."""

from __future__ import annotations

import asyncio
import selectors

import pytest

from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.lighter.simulation import simulated_environment
from wrappy.lighter.wire.transport import RestDoor, StreamDoor
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.strategy.strategy import NoParameters, Strategy
from wrappy.runner.virtual_time import DEFAULT_EPOCH_S, run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import Venue, VenueSettings
from wrappy.venue.clocks import LoopClock
from wrappy.venue.events import OrderChanged, TradeExecuted, TxAccepted, TxRefused

pytestmark = pytest.mark.slow

SECONDS = 90
STEP_S = 0.513
"""Not a multiple of anything at the exchange: nothing happens at one moment twice."""

GRACE_S = 0.002
"""How long sockets may be silent before time goes on."""


class Trader(Strategy[NoParameters]):
    """Quotes, changes, takes and cancels, as its chance and the book tell it."""

    market_data = "book"

    async def run(self, ctx):
        dealer = ctx.dealer()
        number = None
        while True:
            await ctx.sleep(STEP_S)
            view = ctx.ws.book()
            bid, ask = view.best_bid, view.best_ask
            if bid is None or ask is None:
                continue
            if number is None:
                price = bid.price if ctx.rng.random() < 0.5 else ask.price
                size = "0.02" if price == bid.price else "-0.02"
                made = await dealer.create_limit_order(price, size)
                number = made["client_order_index"]
            elif ctx.rng.random() < 0.5:
                await dealer.cancel_order_by_coi(number)
                number = None
            await dealer.flush()
            if ctx.rng.random() < 0.2:
                side = 1 if ctx.rng.random() < 0.5 else -1
                limit = ask.price * 2 if side > 0 else bid.price / 2
                await dealer.create_market_order(f"{side * 0.01:.2f}", round(limit, 2))


def trace(ledger, account):
    """Return what the exchange was told and what it did, without what must differ."""
    names = {0: 0}

    def name(number):
        return names.setdefault(number, len(names))

    told = []
    for event in ledger.events:
        if isinstance(event, TxAccepted):
            unlike = ("Sig", "L1Sig", "ExpiredAt", "OrderExpiry")
            info = {
                key: name(value) if key in ("ClientOrderIndex", "Index") else value
                for key, value in event.info.items()
                if key not in unlike
            }
            told.append(("sent", event.tx_type, event.nonce, info))
        elif isinstance(event, TxRefused):
            told.append(("refused", event.code))
        elif isinstance(event, OrderChanged) and event.order.owner == account:
            order = event.order
            number = name(order.client_order_index)
            told.append(("order", number, order.status, order.remaining))
        elif isinstance(event, TradeExecuted):
            trade = event.trade
            if account in (trade.ask_account, trade.bid_account):
                told.append(("fill", trade.price, trade.base, trade.ask_account))
    return told


class JumpingSelector:
    """Real sockets, virtual time: it jumps as soon as the sockets have nothing."""

    def __init__(self):
        self._real = selectors.DefaultSelector()
        self.now = 0.0

    def __getattr__(self, name):
        return getattr(self._real, name)

    def select(self, timeout=None):
        found = self._real.select(0)
        if found or timeout == 0:
            return found
        found = self._real.select(GRACE_S)
        if not found and timeout is not None:
            self.now += timeout
        return found


class SocketLoop(asyncio.SelectorEventLoop):
    """An event loop on such a selector."""

    def __init__(self):
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-6

    def time(self):
        return self._jumping.now


def world_of(place, environment):
    owner = place.accounts[0]
    config = DealerConfig(
        base_url=place.base_url,
        chain_id=place.chain_id,
        account_index=owner.account_index,
        api_keys=tuple(
            ApiKeyConfig(key.api_key_index, key.api_key_private_key)
            for key in owner.api_keys
        ),
        standard_account=False,
    )
    return World(name="venue", config=config, environment=environment, seed=11)


async def traded(world, ledger):
    engine = TradingEngine(world)
    engine.add_strategy(Trader())
    await engine.start()
    await asyncio.sleep(SECONDS)
    report = await engine.stop()
    assert report.is_clean
    assert not report.crashed
    return trace(ledger, world.config.account_index)


def over_sockets(settings):
    loop = SocketLoop()

    async def main():
        clock = LoopClock(loop.time, epoch_s=DEFAULT_EPOCH_S)
        async with Venue(settings=settings, clock=clock) as venue:
            environment = simulated_environment(
                unix_s=lambda: DEFAULT_EPOCH_S + loop.time(),
                open_rest=RestDoor,
                open_stream=StreamDoor,
                seed=settings.seed,
            )
            return await traded(world_of(venue, environment), venue.ledger)

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def in_process(settings):
    async def main():
        async with InProcessExchange(settings, repeats=True) as exchange:
            return await traded(
                world_of(exchange, exchange.environment), exchange.ledger
            )

    return run_virtual(main)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_strategy_says_and_gets_the_same_at_both_doors(seed):
    settings = VenueSettings(seed=seed, symbols=("ETH",), verify=False)
    sockets, inside = over_sockets(settings), in_process(settings)
    assert [row for row in sockets if row[0] == "sent"] == [
        row for row in inside if row[0] == "sent"
    ]
    assert sockets == inside
    kinds = {row[0] for row in sockets}
    assert {"sent", "order", "fill"} <= kinds
    assert sum(row[0] == "fill" for row in sockets) > 10
