"""Runs a strategy over recorded candles, in time that does not wait."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError
from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.runner.backtest.collector import Collector
from wrappy.runner.backtest.data import CandleData
from wrappy.runner.backtest.doubts import DoubtWatch
from wrappy.runner.backtest.path_prices import PathPrices
from wrappy.runner.backtest.settings import BacktestSettings
from wrappy.runner.backtest.watched_flow import WatchedFlow
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.history.values import resolution_ms
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.performance.baselines import BuyAndHold, no_trade
from wrappy.runner.performance.recorder import PerformanceRecorder
from wrappy.runner.performance.results import About
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.strategy.parameters import written
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.tape_candles import TapeCandles
from wrappy.runner.worlds.world import World
from wrappy.venue.bundled import market_named
from wrappy.venue.candle_flow import CandleFlow
from wrappy.venue.flow import MergedFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.runner.performance.fills import Fill
    from wrappy.runner.performance.results import Baseline, Results
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.venue.candle_flow import CalmRun
    from wrappy.venue.orders import VenueOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRun:
    """One run and everything it left.

    Attributes:
        results: the figures.
        fills: executions, oldest first.
        orders: the strategy's orders as they ended, oldest first.
        ledger_hash: of everything that happened at the exchange.
        crashed: what the strategy raised, or None.
        data: what it ran on.
    """

    results: Results
    fills: tuple[Fill, ...]
    orders: tuple[VenueOrder, ...]
    ledger_hash: str
    crashed: BaseException | None
    data: tuple[CandleData, ...]


def run_backtest(
    make_strategy: Callable[[], Strategy[Any]],
    data: CandleData | Sequence[CandleData],
    settings: BacktestSettings | None = None,
) -> BacktestRun:
    """Run a new strategy over candles and return what it came to.

    The strategy meets the same dealer, overlay and exchange rules as anywhere; only
    time and the door differ. The same strategy, data and settings give the same
    ledger hash on every machine.

    Args:
        make_strategy: makes the strategy; its class, or a function.
        data: candles of each market it trades, all of the same length.
        settings: what is assumed.

    Raises:
        ConfigError: data and strategy do not fit.
        UsageError: called while an event loop runs.
    """
    settings = settings or BacktestSettings()
    tapes = (data,) if isinstance(data, CandleData) else tuple(data)
    begin_ms = _begin_ms(tapes, settings)

    async def main() -> BacktestRun:
        return await _Backtest(make_strategy(), tapes, settings, begin_ms).run()

    return run_virtual(main, epoch_s=begin_ms // 1_000)


def _begin_ms(tapes: Sequence[CandleData], settings: BacktestSettings) -> int:
    """Return when trading begins: after the warm-up of every market."""
    if not tapes:
        raise ConfigError("data: there is none; give candles of at least one market")
    if len({tape.resolution for tape in tapes}) > 1:
        raise ConfigError("data: all candles have to be of one length")
    if len({tape.symbol for tape in tapes}) < len(tapes):
        raise ConfigError("data: two sets of candles of one market; join them first")
    for tape in tapes:
        if settings.warm_up >= len(tape.rows):
            raise ConfigError(
                f"warm_up: {settings.warm_up} candles, but there are only "
                f"{len(tape.rows)} of {tape.symbol}"
            )
    begin_ms = max(tape.rows[settings.warm_up].start_ms for tape in tapes)
    if begin_ms % 1_000:
        raise ConfigError(f"data: a candle begins within a second, at {begin_ms}")
    return begin_ms


def _first_of(tape: CandleData, begin_ms: int) -> int:
    return bisect_left(tape.rows, begin_ms, key=lambda row: row.start_ms)


class _Backtest:
    def __init__(
        self,
        strategy: Strategy[Any],
        tapes: Sequence[CandleData],
        settings: BacktestSettings,
        begin_ms: int,
    ) -> None:
        self._strategy = strategy
        self._tapes = {tape.symbol: tape for tape in tapes}
        self._settings = settings
        self._begin_ms = begin_ms
        self._end_ms = max(tape.end_ms for tape in tapes)
        missing = sorted(set(strategy.symbols) - set(self._tapes))
        if missing:
            raise ConfigError(
                f"data: {strategy.name()} trades {', '.join(missing)}, of which there "
                "are no candles"
            )
        self._recorder = PerformanceRecorder(
            start_ms=begin_ms, capital=settings.capital_micro
        )
        self._collector: Collector | None = None

    async def run(self) -> BacktestRun:
        settings = self._settings
        exchange = InProcessExchange(
            settings.venue(tuple(self._tapes)),
            travel=settings.travel(),
            flow=WatchedFlow(
                MergedFlow([self._flow(tape) for tape in self._tapes.values()]),
                stepped=self._stepped,
                passed=self._passed,
            ),
            repeats=True,
            keeps_alive=False,
        )
        owner = exchange.accounts[0]
        collector = Collector(
            exchange.engine.exchange,
            owner.account_index,
            self._recorder,
            prices=PathPrices(
                {market_named(t.symbol).market_id: t for t in self._tapes.values()},
                points=settings.points,
            ),
            travel_us=settings.request_ms[0] * 1_000,
        )
        self._collector = collector
        exchange.ledger.listen(collector.hear)
        async with exchange:
            crashed = await self._trade(exchange)
            exchange.engine.catch_up()
            collector.sample(self._now_ms())
        return self._concluded(exchange, collector, crashed)

    def _flow(self, tape: CandleData) -> CandleFlow:
        settings = self._settings
        return CandleFlow(
            islice(tape.rows, _first_of(tape, self._begin_ms), None),
            market_named(tape.symbol),
            resolution_ms=resolution_ms(tape.resolution),
            points=settings.points,
            spread_ticks=settings.spread_ticks,
            slippage_ticks=settings.slippage_ticks,
            fill_on_touch=settings.fill_on_touch,
            hold_takers=settings.hold_takers,
            index=True,
            begin_ms=self._begin_ms,
        )

    def _stepped(self, at_us: int) -> None:
        if self._collector is not None:
            self._collector.sample(self._begin_ms + at_us // 1_000)

    def _passed(self, runs: list[CalmRun]) -> None:
        if self._collector is not None:
            self._collector.passed(runs, begin_ms=self._begin_ms)

    async def _trade(self, exchange: InProcessExchange) -> BaseException | None:
        """Let the strategy live as long as the data, and return what it raised."""
        settings, owner = self._settings, exchange.accounts[0]
        environment = exchange.environment
        resolution = next(iter(self._tapes.values())).resolution
        source = TapeCandles(
            {symbol: tape.rows for symbol, tape in self._tapes.items()},
            resolution=resolution,
            unix_s=environment.unix_s,
        )
        world = World(
            name="backtest",
            config=DealerConfig(
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                account_index=owner.account_index,
                api_keys=tuple(
                    ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                    for key in owner.api_keys
                ),
                standard_account=settings.tier == "standard",
            ),
            environment=environment,
            candles=lambda _, __: source,
            seed=settings.seed,
            watches_risk=False,
        )
        guard = None if settings.limits is None else AccountGuard(settings.limits)
        engine = TradingEngine(
            world, guard=guard, stop_timeout_s=settings.stop_timeout_s
        )
        engine.observe(
            DoubtWatch(self._recorder, lambda: round(environment.unix_s() * 1_000))
        )
        engine.add_strategy(self._strategy)
        await engine.start()
        ending = asyncio.ensure_future(engine.wait())
        await asyncio.wait(
            [ending], timeout=self._end_ms / 1_000 - environment.unix_s()
        )
        report = await engine.stop()
        await ending
        if guard is not None:
            self._recorder.risk_blocked(guard.get_risk_status()["denied_orders"])
        return next(iter(report.crashed.values()), None)

    def _now_ms(self) -> int:
        loop = asyncio.get_running_loop()
        return max(self._begin_ms + round(loop.time() * 1_000), self._end_ms)

    def _concluded(
        self,
        exchange: InProcessExchange,
        collector: Collector,
        crashed: BaseException | None,
    ) -> BacktestRun:
        settings, strategy = self._settings, self._strategy
        ledger_hash = exchange.ledger.hash()
        results = self._recorder.finish(
            self._recorder.curve.end_ms,
            about=About(
                strategy=strategy.name(),
                world="backtest",
                symbols=strategy.symbols,
                parameters=written(strategy.parameters),
                models=settings.models(),
                data=tuple(
                    f"{tape.symbol} {tape.resolution}: {note}"
                    for tape in self._tapes.values()
                    for note in (f"{len(tape.rows)} candles", *tape.notes)
                ),
                seed=settings.seed,
                ledger_hash=ledger_hash,
            ),
            baselines=self._baselines(exchange),
        )
        if crashed is not None:
            told = f"the strategy crashed: {crashed!r}"
            results = replace(results, warnings=(told, *results.warnings))
        return BacktestRun(
            results=results,
            fills=tuple(collector.fills),
            orders=tuple(exchange.ledger.orders(exchange.accounts[0].account_index)),
            ledger_hash=ledger_hash,
            crashed=crashed,
            data=tuple(self._tapes.values()),
        )

    def _baselines(self, exchange: InProcessExchange) -> tuple[Baseline, ...]:
        settings = self._settings
        first = self._tapes[self._strategy.symbols[0]]
        tier = exchange.engine.settings.tier_named(settings.tier)
        hold = BuyAndHold(
            market_named(first.symbol),
            start_ms=self._begin_ms,
            capital=settings.capital_micro,
            taker_fee=tier.taker_fee_tick,
        )
        length = resolution_ms(first.resolution)
        begin = _first_of(first, self._begin_ms)
        hold.price(first.rows[begin].start_ms, first.rows[begin].open)
        for row in islice(first.rows, begin, None):
            hold.price(row.start_ms + length, row.close)
        return (
            no_trade(
                start_ms=self._begin_ms,
                end_ms=self._end_ms,
                capital=settings.capital_micro,
            ),
            hold.finish(self._end_ms),
        )
