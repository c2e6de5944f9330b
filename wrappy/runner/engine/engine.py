"""Several strategies on one account: started, added, removed, stopped, described."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, UsageError
from wrappy.lighter.streaming.auditing import AUDIT_S
from wrappy.runner.engine.saved_state import SavedStates
from wrappy.runner.engine.strategy_run import RunState, StrategyRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wrappy.runner.engine.observing import EngineObserver
    from wrappy.runner.risk.guard import AccountGuard
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.engine")

STOP_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class StopReport:
    """What a stop came to.

    Attributes:
        left: orders that are not known to be over, by strategy; empty when all are.
            Those that were proven to be and are shown alive since are among them.
        crashed: what strategies raised, by name.
        took_s: how long it took.
    """

    left: Mapping[str, tuple[int, ...]]
    crashed: Mapping[str, BaseException]
    took_s: float

    @property
    def is_clean(self) -> bool:
        """Whether every order is known to be over."""
        return not self.left


class TradingEngine:
    """Runs strategies in one world.

        engine = TradingEngine(world)
        engine.add_strategy(MeanReversion(symbols=["ETH"]))
        await engine.start()
        await engine.wait()
        report = await engine.stop()

    A strategy that raises is taken down with its orders; the others go on. Positions
    are never closed here: what to do with them is the strategies' decision, or a
    person's.

    Args:
        world: where.
        guard: stands before every order; None for none.
        state_dir: where strategies' states are kept over a restart; None for nowhere.
        stop_timeout_s: longest wait for orders to be gone at the end, seconds.
        audit_s: seconds from one comparison of what the streams tell with what the
            account answers to the next, two requests each; 0 for none.
    """

    def __init__(
        self,
        world: World,
        *,
        guard: AccountGuard | None = None,
        state_dir: Path | None = None,
        stop_timeout_s: float = STOP_TIMEOUT_S,
        audit_s: float = AUDIT_S,
    ) -> None:
        if not 0 < stop_timeout_s < float("inf"):
            raise ConfigError(f"stop_timeout_s: {stop_timeout_s!r} is not above 0")
        if not 0 <= audit_s < float("inf"):
            raise ConfigError(f"audit_s: {audit_s!r} is below 0; 0 is never")
        self.world = world
        self.guard = guard
        self._audit_s = audit_s
        self._states = None if state_dir is None else SavedStates(state_dir)
        self._stop_timeout_s = stop_timeout_s
        self._runs: dict[str, StrategyRun] = {}
        self._observers: list[EngineObserver] = []
        self._claimed: set[int] = set()
        self._started_at: float | None = None
        self._stopping = False
        self._stopped: asyncio.Future[StopReport] | None = None

    @property
    def is_running(self) -> bool:
        """Whether strategies are, or may still be, at work."""
        return self._started_at is not None and not self._stopping

    @property
    def runs(self) -> Mapping[str, StrategyRun]:
        """Every strategy by its name, those that are over included."""
        return dict(self._runs)

    def observe(self, observer: EngineObserver) -> None:
        """Have somebody told of strategies from now on; do it before the start."""
        self._observers.append(observer)

    def add_strategy(self, strategy: Strategy[Any], *, name: str | None = None) -> str:
        """Add a strategy; it starts with the engine, or at once if that runs.

        One that trades a market which another one trades already is warned of, in the
        log and in `get_status`: see `shared_markets`.

        Args:
            strategy: what to run; one object is run once.
            name: what it is called here; None takes its own name, with a number if
                that is taken.

        Returns:
            The name.

        Raises:
            ConfigError: the name is taken.
            UsageError: the engine is stopping, or the strategy is here already.
        """
        if self._stopping:
            raise UsageError("add_strategy: the engine has stopped; make a new one")
        if any(run.strategy is strategy for run in self._runs.values()):
            raise UsageError(
                "add_strategy: this object runs here already; make another"
            )
        if name is not None and name in self._runs:
            raise ConfigError(f"name: {name!r} is taken; choose another")
        called = self._free_name(strategy.name()) if name is None else name
        run = StrategyRun(
            called,
            strategy,
            world=self.world,
            guard=self.guard,
            states=self._states,
            stop_timeout_s=self._stop_timeout_s,
            observers=self._observers,
            claimed=self._claimed,
            audit_s=self._audit_s,
        )
        self._runs[called] = run
        for symbol, names in self.shared_markets().items():
            if called in names:
                logger.warning("%s", sharing_in_words(symbol, names))
        if self.is_running:
            run.start()
        return called

    async def remove_strategy(self, name: str) -> tuple[int, ...]:
        """End a strategy, take its orders away, and forget it.

        Returns:
            Client order indices of orders that are not known to be over.

        Raises:
            UsageError: there is no such strategy.
        """
        run = self._runs.get(name)
        if run is None:
            known = ", ".join(self._runs) or "none"
            raise UsageError(f"name: {name!r} is not here; there are {known}")
        run.stop()
        await run.wait()
        if self._runs.get(name) is run:
            del self._runs[name]
        return run.left.orders

    async def start(self) -> None:
        """Start every strategy; what goes wrong with one is in its state.

        Raises:
            UsageError: the engine was started before.
        """
        if self._started_at is not None:
            raise UsageError("start: an engine is started once; make a new one")
        self._started_at = asyncio.get_running_loop().time()
        if self.guard is not None:
            await self.guard.start(self.world)
        for run in self._runs.values():
            run.start()

    async def wait(self) -> None:
        """Return when every strategy is over, or the engine was stopped.

        Raises:
            UsageError: the engine was not started.
        """
        if self._started_at is None and not self._stopping:
            raise UsageError("wait: the engine was not started; await engine.start()")
        while not self._stopping:
            busy = [run for run in self._runs.values() if not run.state.is_over]
            if not busy:
                return
            await asyncio.gather(*(run.wait() for run in busy))

    async def stop(self) -> StopReport:
        """End all strategies, take their orders away, and say what is left.

        Called again it tells the same.
        """
        if self._stopped is None:
            self._stopping = True
            self._stopped = asyncio.ensure_future(self._stop())
        return await asyncio.shield(self._stopped)

    async def _stop(self) -> StopReport:
        clock = asyncio.get_running_loop().time
        began = clock()
        # One that is removed meanwhile is told of all the same.
        runs = tuple(self._runs.values())
        for run in runs:
            run.stop()
        await asyncio.gather(*(run.wait() for run in runs))
        if self.guard is not None:
            await self.guard.aclose()
        return StopReport(
            left={run.name: run.left.orders for run in runs if run.left.orders},
            crashed={run.name: run.error for run in runs if run.error is not None},
            took_s=clock() - began,
        )

    def shared_markets(self) -> dict[str, tuple[str, ...]]:
        """Return markets that several strategies trade, with their names.

        The exchange keeps one position for each market of an account: every strategy
        sees the sum. Two that go to a position of their own undo each other, which
        no stream and no answer shows. Those that are over do not count.
        """
        names: dict[str, list[str]] = {}
        for name, run in self._runs.items():
            if not run.state.is_over:
                for symbol in dict.fromkeys(run.strategy.symbols):
                    names.setdefault(symbol, []).append(name)
        return {symbol: tuple(of) for symbol, of in names.items() if len(of) > 1}

    def get_status(self) -> dict[str, Any]:
        """Return what a person wants to see at a glance, as plain values.

        Returns:
            `is_running`, `uptime` in seconds, `active_strategies` (names),
            `strategies` (state by name), `positions` (signed size by symbol),
            `orders` (live orders, each with its strategy) and `notes` (what stands in
            the way of trading in this world, such as a stale market on paper, and
            which strategies share a market).
        """
        now = None if self._started_at is None else asyncio.get_running_loop().time()
        uptime = (
            0.0 if now is None or self._started_at is None else now - self._started_at
        )
        active = [r for r in self._runs.values() if r.state is RunState.RUNNING]
        return {
            "is_running": self.is_running,
            "uptime": uptime,
            "active_strategies": [run.name for run in active],
            "strategies": {name: run.state.value for name, run in self._runs.items()},
            "positions": {
                symbol: position.size
                for run in active
                for symbol, position in run.session.ws.positions.items()
            },
            "orders": [row for run in self._runs.values() for row in _orders(run)],
            "notes": [
                *self.world.notes(),
                *(
                    sharing_in_words(symbol, names)
                    for symbol, names in self.shared_markets().items()
                ),
            ],
        }

    def _free_name(self, wanted: str) -> str:
        numbered = (f"{wanted}_{number}" for number in itertools.count(2))
        return next(
            name
            for name in itertools.chain([wanted], numbered)
            if name not in self._runs
        )


def sharing_in_words(symbol: str, names: Sequence[str]) -> str:
    """Return what it means that several strategies trade one market."""
    return (
        f"{' and '.join(names)} trade {symbol} on one account and share its position: "
        "each sees the sum, and those that go to a target undo each other; give each "
        "a market or an account of its own"
    )


def _orders(run: StrategyRun) -> list[dict[str, Any]]:
    rows = []
    for symbol, dealer in run.session.dealers.items():
        market = dealer.market
        rows += [
            {
                "strategy": run.name,
                "symbol": symbol,
                "client_order_index": order.client_order_index,
                "side": "sell" if order.is_ask else "buy",
                "price": market.price(order.price_ticks),
                "size": market.size(order.base_amount),
                "filled": market.size(order.filled_base),
                "status": order.status.value,
            }
            for order in run.session.own_orders(dealer)
        ]
    return rows
