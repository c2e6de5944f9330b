"""Paper: a real market mirrored here; our orders meet it, and it knows nothing of them.

The "real" exchange is another local one with a living market. Both, and the strategy,
live in one virtual loop.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from wrappy import WsInfo
from wrappy.errors import ConfigError, StreamClosedError, VenueError
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.strategy.strategy import NoParameters, Strategy
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.opening import open_world
from wrappy.runner.worlds.settings import PaperSettings
from wrappy.venue import FaultRule, VenueSettings
from wrappy.venue.events import TradeExecuted

pytestmark = pytest.mark.slow

REAL = VenueSettings(seed=3, symbols=("ETH", "BTC"), verify=False)
NOT_ACTIVE = 21605
SAME_MS = 2
SOON = PaperSettings(stale_after_s=3.0, travel=TravelTimes())


FAR = TravelTimes(request_ms=(150, 150), reply_ms=(150, 150))


def on_paper(scenario, *, real=REAL, travel=None, symbols=("ETH",), paper=SOON, **more):
    """Play a scenario of the real exchange and the paper world, in virtual time."""

    async def main():
        async with (
            InProcessExchange(real, travel=travel, repeats=True) as exchange,
            open_world(
                "paper",
                symbols=symbols,
                url=exchange.base_url,
                environment=exchange.environment,
                paper=paper,
                **more,
            ) as world,
        ):
            return await scenario(exchange, world)

    return run_virtual(main)


class Quoter(Strategy[NoParameters]):
    """Quotes both sides at the best prices, and takes a little every so often."""

    market_data = "book"

    def __init__(self, *, rounds=60):
        super().__init__(symbols=["ETH"])
        self.rounds = rounds
        self.own = []
        self.final = None

    async def run(self, ctx):
        dealer = ctx.dealer()
        for number in range(self.rounds):
            bid, ask = ctx.ws.book().best_bid, ctx.ws.book().best_ask
            await dealer.cancel_all_orders()
            await dealer.create_limit_order(bid.price, "0.02")
            await dealer.create_limit_order(ask.price, "-0.02")
            await dealer.flush()
            if number % 10 == 5:
                await dealer.create_market_order(
                    "0.01" if number % 20 == 5 else "-0.01"
                )
            await ctx.sleep(2)
        self.own = ctx.ws.get_recent_trades(10_000)
        self.final = await dealer.fetch_my_balance()


def trades_of(ledger):
    return [e.trade for e in ledger.events if isinstance(e, TradeExecuted)]


async def run_out(world, *strategies):
    engine = TradingEngine(world)
    for strategy in strategies:
        engine.add_strategy(strategy)
    await engine.start()
    await engine.wait()
    return await engine.stop()


def test_a_strategy_trades_on_paper_and_the_real_exchange_knows_nothing_of_it():
    quoter = Quoter()

    async def scenario(real, world):
        report = await run_out(world, quoter)
        assert not report.crashed
        assert report.is_clean
        users = {account.account_index for account in real.accounts}
        assert not real.ledger.accepted()
        assert not any(
            {trade.ask_account, trade.bid_account} & users
            for trade in trades_of(real.ledger)
        )
        assert world.notes() == ()

    on_paper(scenario)
    assert len(quoter.own) > 10
    assert {row["market_id"] for row in quoter.own} == {0}


def test_paper_fills_are_those_that_the_mirrored_market_justifies():
    quoter = Quoter(rounds=120)
    levels, prints = [], []

    async def scenario(real, world):
        # A witness of its own: what the real exchange tells everybody.
        witness = await WsInfo.run_public_trades_simple(
            "ETH", book=True, base_url=real.base_url, environment=real.environment
        )

        def hear(message):
            at_ms = round(real.environment.unix_s() * 1_000)
            for name, is_ask in (("bids", False), ("asks", True)):
                for row in message.get("order_book", {}).get(name) or ():
                    told = (at_ms, is_ask, Decimal(row["price"]), Decimal(row["size"]))
                    levels.append(told)
            for row in message.get("trades") or ():
                price, size = Decimal(row["price"]), Decimal(row["size"])
                prints.append((at_ms, row["is_maker_ask"], price, size))

        witness.tap(hear)
        await run_out(world, quoter)
        await witness.aclose()
        return world.config.account_index

    ours = on_paper(scenario)
    makers = takers = 0
    for row in quoter.own:
        sold = row["ask_account_id"] == ours
        price, size = Decimal(row["price"]), Decimal(row["size"])
        now_ms = row["timestamp"]
        if bool(row["is_maker_ask"]) == sold:
            makers += 1
            # Somebody traded at that price or through it just then, or quoted right
            # into our order; and as much as that.
            justified = [
                told
                for at_ms, is_ask, tick, told in prints
                if abs(at_ms - now_ms) <= SAME_MS
                and is_ask == sold
                and (tick >= price if sold else tick <= price)
            ] + [
                told
                for at_ms, is_ask, tick, told in levels
                if abs(at_ms - now_ms) <= SAME_MS
                and is_ask is not sold
                and (tick >= price if sold else tick <= price)
            ]
        else:
            takers += 1
            # That much stood at that very price when it was told last.
            told = [
                size
                for at_ms, is_ask, tick, size in levels
                if at_ms <= now_ms + SAME_MS and is_ask is not sold and tick == price
            ]
            justified = told[-1:]
        assert max(justified, default=0) >= size, row
    assert makers > 5
    assert takers > 5


def test_the_balance_is_the_one_of_the_settings_and_pays_the_fees_of_the_tier():
    quoter = Quoter(rounds=20)

    async def scenario(real, world):
        await run_out(world, quoter)

    paper = PaperSettings(balance=Decimal(2_500), tier="premium", travel=TravelTimes())
    on_paper(scenario, paper=paper)
    value = quoter.final["total_asset_value"]
    assert 2_400 < value < 2_600
    assert value != 2_500
    assert any(row.get("taker_fee") for row in quoter.own)


def test_the_same_paper_session_is_the_same_each_time():
    def once():
        quoter = Quoter(rounds=30)

        async def scenario(real, world):
            await run_out(world, quoter)

        on_paper(scenario)
        return [(r["price"], r["size"], r["timestamp"]) for r in quoter.own]

    assert once() == once()


class Patient(Strategy[NoParameters]):
    """Sends an order every half second and notes what becomes of it."""

    market_data = "book"

    def __init__(self, *, rounds):
        super().__init__(symbols=["ETH"])
        self.rounds = rounds
        self.heard = []

    async def run(self, ctx):
        dealer = ctx.dealer()
        low = ctx.ws.book().best_bid.price * Decimal("0.97")
        for _ in range(self.rounds):
            made = await dealer.create_limit_order(low, "0.02")
            try:
                await dealer.flush()
            except VenueError as error:
                self.heard.append((ctx.now(), error.code, error.message))
            else:
                self.heard.append((ctx.now(), 200, ""))
                await dealer.cancel_order_by_coi(made["client_order_index"])
                await dealer.flush()
            await ctx.sleep(0.5)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"act": "nonce_gap", "phase": "push", "times": 1}, ""),
        ({"act": "freeze", "phase": "push", "times": 1}, "nothing was heard"),
    ],
)
def test_a_public_stream_that_fails_halts_the_paper_market(rule, words):
    strategy = Patient(rounds=300)
    notes = []

    async def scenario(real, world):
        async def watch():
            while True:
                notes.extend(world.notes())
                await asyncio.sleep(0.05)

        async def break_it():
            await asyncio.sleep(5)
            real.faults.add(FaultRule(**rule))

        side = [asyncio.ensure_future(work()) for work in (watch, break_it)]
        try:
            report = await run_out(world, strategy)
        finally:
            for task in side:
                task.cancel()
            await asyncio.gather(*side, return_exceptions=True)
        assert not report.crashed
        assert world.notes() == ()

    on_paper(scenario, travel=FAR)
    codes = [code for _, code, _ in strategy.heard]
    assert codes[0] == codes[-1] == 200
    assert notes
    assert all(note.startswith("ETH stands still: ") for note in notes)
    if words:
        refused = [text for _, code, text in strategy.heard if code == NOT_ACTIVE]
        assert refused
        assert all(text.startswith("ETH stands still: ") for text in refused)
        assert any(words in text for text in refused)


def test_cancels_pass_while_the_paper_market_stands_still():
    async def scenario(real, world):
        class Rests(Strategy[NoParameters]):
            market_data = "book"
            seen = None

            async def run(self, ctx):
                dealer = ctx.dealer()
                low = ctx.ws.book().best_bid.price * Decimal("0.97")
                made = await dealer.create_limit_order(low, "0.02")
                await dealer.flush()
                await real.aclose()
                while not world.notes():
                    await ctx.sleep(0.1)
                await dealer.cancel_order_by_coi(made["client_order_index"])
                await dealer.flush()
                await ctx.sleep(2)
                row = await ctx.ws.get_order_by_coi(made["client_order_index"])
                type(self).seen = row["status"]

        engine = TradingEngine(world)
        engine.add_strategy(Rests())
        await engine.start()
        await engine.wait()
        (note,) = engine.get_status()["notes"]
        assert note.startswith("ETH stands still: ")
        await engine.stop()
        return Rests.seen

    assert on_paper(scenario) == "canceled"


def test_candles_on_paper_are_the_real_ones_history_included():
    async def scenario(real, world):
        witness = await WsInfo.run_public_trades_simple(
            "ETH", base_url=real.base_url, environment=real.environment
        )
        trades = []
        witness.on_public_trades = trades.extend
        await asyncio.sleep(300)

        told = []

        class Reads(Strategy[NoParameters]):
            async def run(self, ctx):
                told.append(await ctx.history("1m", 3))
                async for candle in ctx.candles("1m"):
                    told.append(candle)
                    if len(told) == 3:
                        return

        report = await run_out(world, Reads())
        await witness.aclose()
        assert not report.crashed
        past, *coming = told
        assert len(past) == 3
        assert [c.start_ms for c in coming] == [
            past[-1].start_ms + 60_000,
            past[-1].start_ms + 120_000,
        ]
        for candle in (*past, *coming):
            inside = [
                Decimal(row["price"])
                for row in trades
                if candle.start_ms <= row["timestamp"] < candle.start_ms + 60_000
            ]
            assert (candle.high, candle.low) == (max(inside), min(inside))

    on_paper(scenario)


def test_several_markets_are_mirrored_with_the_scales_of_the_real_exchange():
    async def scenario(real, world):
        class Both(Strategy[NoParameters]):
            market_data = "book"

            async def run(self, ctx):
                for symbol in self.symbols:
                    await ctx.dealer(symbol).create_market_order(
                        ctx.market(symbol).size(ctx.market(symbol).min_base_amount * 20)
                    )
                await ctx.sleep(2)
                type(self).held = {s: ctx.position(s) for s in self.symbols}

        report = await run_out(world, Both(symbols=["ETH", "BTC"]))
        assert not report.crashed
        assert all(Both.held.values())

    on_paper(scenario, symbols=("ETH", "BTC"))


def test_a_public_market_that_does_not_come_is_told_in_time():
    async def scenario():
        async with InProcessExchange(REAL, repeats=True) as real:
            real.faults.add(FaultRule(act="drop", phase="push", channel="order_book/0"))
            with pytest.raises(StreamClosedError, match="order_book/0"):
                async with open_world(
                    "paper",
                    symbols=["ETH"],
                    url=real.base_url,
                    environment=real.environment,
                    paper=SOON,
                ):
                    pass

    run_virtual(scenario)


async def test_paper_needs_markets_and_an_address():
    with pytest.raises(ConfigError, match="symbols"):
        async with open_world("paper"):
            pass
    with pytest.raises(ConfigError, match="url: 'nowhere'"):
        async with open_world("paper", symbols=["ETH"], url="nowhere"):
            pass
