"""The local exchange as a world, and the engine at work in it, over real sockets."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError, UsageError
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.strategy.strategy import NoParameters, Strategy
from wrappy.runner.worlds.opening import open_world
from wrappy.runner.worlds.settings import WorldSettings
from wrappy.venue import FaultRule, Venue, VenueSettings
from wrappy.venue.events import OrderChanged

LONG_S = 3_600.0


class Rests(Strategy[NoParameters]):
    """Lets two orders rest far from the market, and waits."""

    def __init__(self, *, symbols=("ETH",), fails=False):
        super().__init__(symbols=symbols)
        self.fails = fails
        self.numbers = []
        self.at_work = asyncio.Event()

    async def run(self, ctx):
        for step in range(2):
            made = await ctx.dealer().create_limit_order(2_900 + step, "0.01")
            self.numbers.append(made["client_order_index"])
        await ctx.dealer().flush()
        for number in self.numbers:
            assert await ctx.ws.wait_order_by_coi(number, 5)
        self.at_work.set()
        if self.fails:
            raise RuntimeError("out of ideas")
        await ctx.sleep(LONG_S)


class Watches(Strategy[NoParameters]):
    """Uses everything that a context has, once."""

    market_data = "book"
    watch = ("ticker",)

    def __init__(self, **more):
        super().__init__(**more)
        self.told = {}

    async def run(self, ctx):
        told = self.told
        told["symbols"] = ctx.symbols
        told["tick"] = ctx.market().tick_size
        told["book"] = ctx.ws.book().best_bid
        told["ticker"] = ctx.ws.ticker()
        told["chance"] = ctx.rng.random()
        told["equity"] = await ctx.equity()
        told["position"] = ctx.position()
        told["history"] = await ctx.history("1m", 5)
        await ctx.dealer().create_market_order("0.05")
        while not ctx.position():
            await ctx.sleep(0.05)
        told["bought"] = ctx.position()
        told["trades"] = ctx.ws.get_recent_trades(10)


class Remembers(Strategy[NoParameters]):
    """Counts its own lives."""

    def __init__(self):
        super().__init__()
        self.lives = 0

    async def run(self, ctx):
        self.lives += 1
        await ctx.sleep(LONG_S)

    def save(self):
        return {"lives": self.lives}

    def load(self, state):
        self.lives = state.get("lives", 0)


def last_status(ledger):
    """Return the last status of every user's order by its number."""
    return {
        event.order.client_order_index: event.order.status
        for event in ledger.events
        if isinstance(event, OrderChanged)
    }


@pytest.fixture
async def world(quiet_venue):
    async with open_world("venue", url=quiet_venue.base_url, seed=1) as opened:
        yield opened


async def started(engine, *strategies):
    for strategy in strategies:
        engine.add_strategy(strategy)
    await engine.start()
    for strategy in strategies:
        await asyncio.wait_for(strategy.at_work.wait(), 10)


# ------------------------------------------------------------------------ the world


async def test_an_embedded_exchange_opens_with_the_world_and_ends_with_it():
    async with open_world("venue", seed=5, symbols=["ETH"]) as world:
        assert world.name == "venue"
        assert world.config.base_url.startswith("http://127.0.0.1:")
        assert world.place.startswith(world.config.base_url)
        assert not world.is_dry
        assert world.notes() == ()
        strategy = Watches()
        engine = TradingEngine(world)
        engine.add_strategy(strategy)
        await engine.start()
        await asyncio.wait_for(engine.wait(), 20)
        report = await engine.stop()
    assert not report.crashed
    told = strategy.told
    assert told["symbols"] == ("ETH",)
    assert told["tick"] == Decimal("0.01")
    assert told["equity"] == 100_000
    assert told["bought"] == Decimal("0.05")
    assert len(told["trades"]) >= 1
    assert told["book"].price == pytest.approx(
        told["ticker"].bid.price, rel=Decimal("0.01")
    )


async def test_whole_settings_of_the_exchange_can_be_given():
    settings = VenueSettings(seed=4, symbols=("BTC",), flow="none", tier="standard")
    async with open_world("venue", settings=settings) as world:
        assert world.config.standard_account is True


async def test_a_running_exchange_is_taken_by_its_address_and_seed(quiet_venue):
    async with open_world("venue", url=quiet_venue.base_url, account=1) as world:
        owner = quiet_venue.accounts[1]
        assert world.config.account_index == owner.account_index
        assert world.config.api_keys[0].api_key_private_key == (
            owner.api_keys[0].api_key_private_key
        )
        assert world.config.dead_man_s == 360
        assert world.accounts == ()


async def test_keys_of_a_running_exchange_come_from_a_file_if_one_is_named(
    quiet_venue, tmp_path
):
    owner = quiet_venue.accounts[1]
    file = tmp_path / "key.json"
    file.touch(mode=0o600)
    file.write_text(
        json.dumps(
            {
                "account_index": owner.account_index,
                "api_key_index": owner.api_keys[0].api_key_index,
                "api_key_private_key": owner.api_keys[0].api_key_private_key,
            }
        )
    )
    async with open_world("venue", url=quiet_venue.base_url, key_file=file) as world:
        assert world.config.account_index == owner.account_index


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "moon"}, "network: 'moon' is none of paper, venue, testnet, mainnet"),
        ({"name": "backtest"}, "run_backtest"),
        ({"symbols": "ETH"}, "symbols"),
        ({"account": 7}, "account: 7"),
        ({"account": -1}, "account"),
        ({"url": "http://127.0.0.1:1", "tape": "x.gz"}, "tape"),
        ({"name": "testnet", "url": "http://127.0.0.1:1"}, "url"),
        ({"name": "testnet", "networks": {}}, "networks"),
        ({"live": 1}, "live"),
        ({"url": "http://198.51.100.7", "seed": 1}, "account_index"),
    ],
)
async def test_what_cannot_be_a_world_is_told_in_one_line(more, words):
    name = more.get("name", "venue")
    rest = {key: value for key, value in more.items() if key != "name"}
    with pytest.raises(ConfigError) as caught:
        async with open_world(name, **rest):
            pass
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_settings_are_given_whole_or_one_by_one():
    with pytest.raises(UsageError, match="seed"):
        async with open_world(WorldSettings(), seed=3):
            pass
    async with open_world(WorldSettings(seed=3)) as world:
        assert world.seed == 3


# ----------------------------------------------------------------------- the engine


async def test_several_strategies_trade_one_account_and_the_status_tells_of_all(
    world, quiet_venue
):
    engine = TradingEngine(world)
    first, second = Rests(), Rests()
    await started(engine, first, second)
    status = engine.get_status()
    assert set(status) >= {
        "is_running",
        "uptime",
        "active_strategies",
        "strategies",
        "positions",
        "orders",
    }
    assert status["is_running"] is True
    assert status["uptime"] > 0
    assert status["active_strategies"] == ["rests", "rests_2"]
    assert status["strategies"] == {"rests": "running", "rests_2": "running"}
    rows = {row["client_order_index"]: row for row in status["orders"]}
    assert set(rows) == {*first.numbers, *second.numbers}
    one = rows[first.numbers[0]]
    assert (one["strategy"], one["symbol"], one["side"]) == ("rests", "ETH", "buy")
    assert (one["price"], one["size"]) == (Decimal(2900), Decimal("0.01"))
    report = await engine.stop()
    assert report.is_clean
    assert not engine.get_status()["is_running"]
    statuses = last_status(quiet_venue.ledger)
    assert {statuses[number] for number in rows} == {"canceled"}


async def test_own_orders_are_gone_within_five_seconds_of_a_stop_and_others_stay(
    world, quiet_venue, dealer
):
    somebody = await dealer(quiet_venue, state_dir=None)
    other = (await somebody.create_limit_order(2_800, 0.01))["client_order_index"]
    await somebody.flush()
    engine = TradingEngine(world)
    strategy = Rests()
    await started(engine, strategy)
    rows = engine.get_status()["orders"]
    assert {row["client_order_index"] for row in rows} == set(strategy.numbers)
    report = await engine.stop()
    assert report.is_clean
    assert report.took_s < 5
    statuses = last_status(quiet_venue.ledger)
    assert {statuses[number] for number in strategy.numbers} == {"canceled"}
    assert statuses[other] == "open"


async def test_orders_that_cannot_be_cancelled_in_time_are_named(quiet_venue):
    async with open_world("venue", url=quiet_venue.base_url) as world:
        engine = TradingEngine(world, stop_timeout_s=1)
        strategy = Rests()
        await started(engine, strategy)
        quiet_venue.faults.add(
            FaultRule(act="status", phase="request", path="/api/v1/sendTx*", code=503)
        )
        report = await engine.stop()
        assert not report.is_clean
        assert set(report.left["rests"]) == set(strategy.numbers)


async def test_strategies_come_and_go_while_the_engine_runs(world, quiet_venue):
    engine = TradingEngine(world)
    first = Rests()
    await started(engine, first)
    late = Rests()
    name = engine.add_strategy(late, name="late")
    await asyncio.wait_for(late.at_work.wait(), 10)
    assert await engine.remove_strategy(name) == ()
    statuses = last_status(quiet_venue.ledger)
    assert {statuses[number] for number in late.numbers} == {"canceled"}
    assert {statuses[number] for number in first.numbers} == {"open"}
    assert engine.get_status()["strategies"] == {"rests": "running"}
    assert (await engine.stop()).is_clean


async def test_one_crash_takes_its_own_orders_down_and_nobody_else(world, quiet_venue):
    engine = TradingEngine(world)
    sound, broken = Rests(), Rests(fails=True)
    await started(engine, sound, broken)
    await asyncio.wait_for(engine.runs["rests_2"].wait(), 10)
    assert engine.get_status()["strategies"] == {
        "rests": "running",
        "rests_2": "crashed",
    }
    statuses = last_status(quiet_venue.ledger)
    assert {statuses[number] for number in broken.numbers} == {"canceled"}
    assert {statuses[number] for number in sound.numbers} == {"open"}
    report = await engine.stop()
    assert report.is_clean
    assert str(report.crashed["rests_2"]) == "out of ideas"


async def test_a_strategy_that_cannot_be_opened_does_not_keep_the_others_from_it(
    world,
):
    engine = TradingEngine(world)
    sound = Rests()
    engine.add_strategy(Rests(symbols=["NOSUCH"]), name="lost")
    await started(engine, sound)
    report = await engine.stop()
    assert set(report.crashed) == {"lost"}
    assert "NOSUCH" in str(report.crashed["lost"])
    assert report.is_clean


async def test_what_strategies_remember_survives_a_restart(world, tmp_path):
    for life in (1, 2, 3):
        engine = TradingEngine(world, state_dir=tmp_path / "strategies")
        strategy = Remembers()
        engine.add_strategy(strategy)
        await engine.start()
        while engine.get_status()["active_strategies"] != ["remembers"]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        await engine.stop()
        assert strategy.lives == life
    saved = tmp_path / "strategies" / "remembers.json"
    assert json.loads(saved.read_text()) == {"lives": 3}
    assert saved.stat().st_mode & 0o777 == 0o600


async def test_a_strategy_that_does_not_end_is_left_behind_and_named(world, caplog):
    release = asyncio.Event()

    class Stubborn(Strategy[NoParameters]):
        async def run(self, ctx):
            try:
                await ctx.sleep(LONG_S)
            except asyncio.CancelledError:
                await release.wait()

    engine = TradingEngine(world, stop_timeout_s=0.3)
    engine.add_strategy(Stubborn())
    await engine.start()
    while not engine.get_status()["active_strategies"]:
        await asyncio.sleep(0.01)
    report = await engine.stop()
    assert report.took_s < 3
    assert "does not end" in caplog.text
    release.set()


async def test_a_strategy_removed_before_the_start_leaves_nothing(world):
    engine = TradingEngine(world)
    name = engine.add_strategy(Rests())
    assert await engine.remove_strategy(name) == ()
    await engine.start()
    await asyncio.wait_for(engine.wait(), 5)
    assert engine.get_status()["strategies"] == {}
    assert (await engine.stop()).is_clean


async def test_an_engine_refuses_what_makes_no_sense(world):
    engine = TradingEngine(world)
    strategy = Rests()
    engine.add_strategy(strategy, name="one")
    with pytest.raises(UsageError, match="already"):
        engine.add_strategy(strategy)
    with pytest.raises(ConfigError, match="'one' is taken"):
        engine.add_strategy(Rests(), name="one")
    with pytest.raises(UsageError, match="'two' is not here; there are one"):
        await engine.remove_strategy("two")
    await engine.start()
    with pytest.raises(UsageError, match="once"):
        await engine.start()
    first = await engine.stop()
    assert await engine.stop() is first
    with pytest.raises(UsageError, match="stopped"):
        engine.add_strategy(Rests())
    with pytest.raises(ConfigError, match="stop_timeout_s"):
        TradingEngine(world, stop_timeout_s=0)


# ------------------------------------------------------------------------- dry runs


async def test_a_dry_run_shows_every_order_and_sends_none(quiet_venue, caplog):
    caplog.set_level("INFO", "wrappy.dry_run")

    class Tries(Strategy[NoParameters]):
        async def run(self, ctx):
            dealer = ctx.dealer()
            await dealer.create_limit_order(2_900, "-0.01", post_only=True)
            await dealer.create_limit_order(2_950, "0.02", reduce_only=True)
            await dealer.cancel_order_by_coi(4711)
            await dealer.flush()
            await dealer.create_market_order("0.03", 3_000)
            await dealer.cancel_all_orders()

    async with open_world("venue", url=quiet_venue.base_url, dry_run=True) as world:
        assert world.is_dry
        engine = TradingEngine(world)
        engine.add_strategy(Tries())
        await engine.start()
        await asyncio.wait_for(engine.wait(), 10)
        report = await engine.stop()
        assert not report.crashed
        assert report.is_clean
        records = world.shown.records
    assert not quiet_venue.ledger.accepted()
    told = [(r.act, r.symbol, r.side, r.price, r.size) for r in records]
    assert sorted(told[:3], key=str) == sorted(
        [
            ("create", "ETH", "sell", Decimal(2900), Decimal("0.01")),
            ("create", "ETH", "buy", Decimal(2950), Decimal("0.02")),
            ("cancel", "ETH", None, None, None),
        ],
        key=str,
    )
    assert told[3] == ("create", "ETH", "buy", Decimal(3000), Decimal("0.03"))
    assert told[4][0] == "cancel all"
    assert "would send: create buy 0.0200 ETH at 2950.00 reduce-only" in caplog.text
    assert any(r.client_order_index == 4711 for r in records)


async def test_a_dry_run_shows_changes_and_groups_too(quiet_venue):
    class Tries(Strategy[NoParameters]):
        async def run(self, ctx):
            dealer = ctx.dealer()
            await dealer.update_order_by_coi(77, 2_950, 0.02)
            await dealer.flush()
            await dealer.cancel_all_orders(everywhere=True)

    async with open_world("venue", url=quiet_venue.base_url, dry_run=True) as world:
        engine = TradingEngine(world)
        engine.add_strategy(Tries())
        await engine.start()
        await asyncio.wait_for(engine.wait(), 10)
        assert not (await engine.stop()).crashed
        change, everything = world.shown.records
    assert (change.act, change.client_order_index) == ("modify", 77)
    assert (change.symbol, change.price) == ("ETH", 2_950)
    assert (everything.act, everything.symbol) == ("cancel all", "")


async def test_a_dry_run_needs_no_second_word_for_orders_but_mainnet_still_does():
    with pytest.raises(ConfigError, match="--live"):
        async with open_world("mainnet", dry_run=True):
            pass


async def test_the_embedded_exchange_is_still_there_while_the_world_is(tmp_path):
    async with (
        Venue(seed=1, flow="none") as other,
        open_world("venue", url=other.base_url) as one,
        open_world("venue", seed=2) as two,
    ):
        assert one.config.base_url != two.config.base_url
