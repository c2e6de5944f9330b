"""Runs a strategy over recorded markets, in time that does not wait."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.runner.backtest.candle_play import CandlePlay
from wrappy.runner.backtest.collector import Collector
from wrappy.runner.backtest.data import CandleData
from wrappy.runner.backtest.doubts import DoubtWatch
from wrappy.runner.backtest.settings import BacktestSettings
from wrappy.runner.backtest.simulated_account import SimulatedAccount
from wrappy.runner.backtest.tape_data import TapeData
from wrappy.runner.backtest.tape_play import TapePlay
from wrappy.runner.backtest.watched_flow import WatchedFlow
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.performance.baselines import BuyAndHold, no_trade
from wrappy.runner.performance.recorder import PerformanceRecorder
from wrappy.runner.performance.results import About
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.strategy.parameters import written
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue.bundled import market_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.runner.backtest.play import Play
    from wrappy.runner.performance.fills import Fill
    from wrappy.runner.performance.results import Baseline, Results
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.venue.candle_flow import CalmRun
    from wrappy.venue.events import TxAccepted
    from wrappy.venue.orders import VenueOrder

_MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestRun:
    """One run and everything it left.

    Attributes:
        results: the figures.
        fills: executions, oldest first.
        orders: the strategy's orders as they ended, oldest first.
        sent: what the exchange accepted of the strategy, oldest first.
        ledger_hash: of everything that happened at the exchange.
        crashed: what the strategy raised, or None.
        data: what it ran on.
    """

    results: Results
    fills: tuple[Fill, ...]
    orders: tuple[VenueOrder, ...]
    sent: tuple[TxAccepted, ...]
    ledger_hash: str
    crashed: BaseException | None
    data: tuple[CandleData | TapeData, ...]


def run_backtest(
    make_strategy: Callable[[], Strategy[Any]],
    data: CandleData | TapeData | Sequence[CandleData | TapeData],
    settings: BacktestSettings | None = None,
) -> BacktestRun:
    """Run a new strategy over recorded markets and return what it came to.

    The strategy meets the same dealer, overlay and exchange rules as anywhere; only
    time and the door differ. The same strategy, data and settings give the same
    ledger hash on every machine.

    Args:
        make_strategy: makes the strategy; its class, or a function.
        data: candles of each market it trades, all of the same length; or a tape of
            each.
        settings: what is assumed.

    Raises:
        ConfigError: data and strategy do not fit, or a tape is damaged.
        BookGapError: a change is missing from a tape.
        UsageError: called while an event loop runs.
    """
    settings = settings or BacktestSettings()
    play = _play(data, settings)

    async def main() -> BacktestRun:
        return await _Backtest(make_strategy(), play, settings).run()

    # The data stays for the whole run: the garbage collector need not go through
    # some hundred thousand rows again and again.
    freezes = not gc.get_freeze_count()
    if freezes:
        gc.freeze()
    try:
        return run_virtual(main, epoch_s=play.begin_us // _MICRO)
    finally:
        if freezes:
            gc.unfreeze()
        play.close()


def _play(
    data: CandleData | TapeData | Sequence[CandleData | TapeData],
    settings: BacktestSettings,
) -> Play:
    given = (data,) if isinstance(data, (CandleData, TapeData)) else tuple(data)
    candles = [one for one in given if isinstance(one, CandleData)]
    tapes = [one for one in given if isinstance(one, TapeData)]
    if not given:
        raise ConfigError("data: there is none; give candles of at least one market")
    if candles and tapes:
        raise ConfigError("data: candles and tapes do not go together")
    return TapePlay(tapes, settings) if tapes else CandlePlay(candles, settings)


class _Backtest:
    def __init__(
        self,
        strategy: Strategy[Any],
        play: Play,
        settings: BacktestSettings,
    ) -> None:
        self._strategy = strategy
        self._play = play
        self._settings = settings
        self._begin_us = play.begin_us
        self._end_ms = -(-play.end_us // 1_000)
        missing = sorted(set(strategy.symbols) - {one.symbol for one in play.data})
        if missing:
            raise ConfigError(
                f"data: {strategy.name()} trades {', '.join(missing)}, of which there "
                f"{'is no tape' if _is_taped(play) else 'are no candles'}"
            )
        self._recorder = PerformanceRecorder(
            start_ms=self._begin_us // 1_000, capital=settings.capital_micro
        )
        self._collector: Collector | None = None

    async def run(self) -> BacktestRun:
        settings = self._settings
        exchange = InProcessExchange(
            self._play.venue(),
            travel=settings.travel(),
            flow=WatchedFlow(
                self._play.flow(), stepped=self._stepped, passed=self._passed
            ),
            repeats=True,
            keeps_alive=False,
            epoch_s=self._begin_us / _MICRO,
        )
        owner = exchange.accounts[0]
        collector = Collector(
            exchange.engine.exchange,
            owner.account_index,
            self._recorder,
            prices=self._play,
            travel_us=settings.request_ms[0] * 1_000,
        )
        self._collector = collector
        exchange.ledger.listen(collector.hear)
        async with exchange:
            account = SimulatedAccount(exchange.engine, collector)
            crashed = await self._trade(exchange, account)
            exchange.engine.catch_up()
            collector.sample(self._now_ms())
        return self._concluded(exchange, collector, crashed)

    def _stepped(self, at_us: int) -> None:
        if self._collector is not None:
            self._collector.sample((self._begin_us + at_us) // 1_000)

    def _passed(self, runs: list[CalmRun]) -> None:
        if self._collector is not None:
            self._collector.passed(runs, begin_ms=self._begin_us // 1_000)

    async def _trade(
        self, exchange: InProcessExchange, account: SimulatedAccount
    ) -> BaseException | None:
        """Let the strategy live as long as the data, and return what it raised."""
        settings, owner = self._settings, exchange.accounts[0]
        environment = exchange.environment
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
            candles=self._play.candles(environment),
            seed=settings.seed,
            watches_risk=False,
            simulation=account,
        )
        limits = self._play.limits()
        guard = None if limits is None else AccountGuard(limits)
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
            [ending], timeout=self._play.end_us / _MICRO - environment.unix_s()
        )
        report = await engine.stop()
        await ending
        if guard is not None:
            self._recorder.risk_blocked(guard.get_risk_status()["denied_orders"])
        return next(iter(report.crashed.values()), None)

    def _now_ms(self) -> int:
        loop = asyncio.get_running_loop()
        now_us = self._begin_us + round(loop.time() * _MICRO)
        return max(-(-now_us // 1_000), self._end_ms)

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
                models=self._play.models(),
                data=self._play.described(),
                seed=settings.seed,
                ledger_hash=ledger_hash,
            ),
            baselines=self._baselines(exchange),
        )
        warnings = (*results.warnings, *self._loosened())
        if crashed is not None:
            warnings = (f"the strategy crashed: {crashed!r}", *warnings)
        results = replace(results, warnings=warnings)
        return BacktestRun(
            results=results,
            fills=tuple(collector.fills),
            orders=tuple(exchange.ledger.orders(exchange.accounts[0].account_index)),
            sent=tuple(exchange.ledger.accepted(exchange.accounts[0].account_index)),
            ledger_hash=ledger_hash,
            crashed=crashed,
            data=self._play.data,
        )

    def _loosened(self) -> tuple[str, ...]:
        """Return which limit could not be judged as it was given, in words."""
        given, kept = self._settings.limits, self._play.limits()
        if given is None or kept is None or given == kept:
            return ()
        length = self._play.data[0].resolution
        told = (
            f"max_trades_age_s: {given.max_trades_age_s} s is less than a candle of "
            f"{length}, within which nobody knows of trades: only longer silences than "
            "a candle denied orders"
        )
        return (told,)

    def _baselines(self, exchange: InProcessExchange) -> tuple[Baseline, ...]:
        settings = self._settings
        symbol = self._strategy.symbols[0]
        tier = exchange.engine.settings.tier_named(settings.tier)
        hold = BuyAndHold(
            market_named(symbol),
            start_ms=self._begin_us // 1_000,
            capital=settings.capital_micro,
            taker_fee=tier.taker_fee_tick,
        )
        for now_ms, price in self._play.prices(symbol):
            hold.price(now_ms, price)
        return (
            no_trade(
                start_ms=self._begin_us // 1_000,
                end_ms=self._end_ms,
                capital=settings.capital_micro,
            ),
            hold.finish(self._end_ms),
        )


def _is_taped(play: Play) -> bool:
    return any(isinstance(one, TapeData) for one in play.data)
