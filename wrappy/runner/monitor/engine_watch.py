"""Looks at an engine once a second and keeps what it saw; takes no part in trading.

It runs in the trading's event loop, where looking is safe, and publishes each look as
one object that never changes. Whoever shows it does so in a thread of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections import Counter, deque
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, UsageError
from wrappy.model import OrderStatus
from wrappy.runner.engine.engine import sharing_in_words
from wrappy.runner.engine.strategy_run import RunState
from wrappy.runner.events import EventKind, EventRing
from wrappy.runner.monitor.account_view import AccountView
from wrappy.runner.monitor.equity_curve import EquityTrail
from wrappy.runner.monitor.order_tally import OrderTally
from wrappy.runner.monitor.price_view import PriceView
from wrappy.runner.monitor.snapshot import Figures, Snapshot, plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.runner.engine.engine import TradingEngine
    from wrappy.runner.engine.strategy_run import StrategyRun
    from wrappy.runner.monitor.order_tally import OrderFacts

LOOK_EVERY_S: Final = 1.0
BEAT_S: Final = 0.1
"""Pause between two signs of life of the event loop."""

BLOCKED_S: Final = 2.0
"""A delay of the event loop that is an event; strategies' data count as stale then."""

MOST_ORDERS: Final = 250
"""Live orders that are shown one by one."""

MOST_EVENTS: Final = 200
MINUTE_S: Final = 60.0

_ENDS: Final = {
    RunState.RUNNING: EventKind.STRATEGY_STARTED,
    RunState.FINISHED: EventKind.STRATEGY_FINISHED,
    RunState.STOPPED: EventKind.STRATEGY_STOPPED,
    RunState.CRASHED: EventKind.STRATEGY_CRASHED,
}


class EngineWatch:
    """Looks on while an engine runs; the source of monitor, metrics and alerts.

        async with EngineWatch(engine) as watch:
            await engine.start()
            print(watch.latest.figures.equity)

    Begin it before the engine starts, so that it misses nothing, and end it after.

    Args:
        engine: what is watched.
        every_s: pause between two looks, seconds.
        clock: seconds, monotone, the same in every thread.

    Attributes:
        events: what happened.

    Raises:
        ConfigError: a pause outside 0.05..60.
    """

    def __init__(
        self,
        engine: TradingEngine,
        *,
        every_s: float = LOOK_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0.05 <= every_s <= MINUTE_S:  # noqa: PLR2004 - told in the message
            raise ConfigError(f"every_s: {every_s!r} is not within 0.05..60 seconds")
        world = engine.world
        self._unix_s = world.environment.unix_s
        self.events = EventRing(
            self._unix_s,
            secrets=[key.api_key_private_key for key in world.config.api_keys],
        )
        self._engine = engine
        self._every_s = every_s
        self._clock = clock
        self._tally = OrderTally()
        self._trail = EquityTrail()
        self._view: AccountView | None = None
        self._prices: PriceView | None = None
        self._owners: dict[int, str] = {}
        self._requests: deque[tuple[float, int]] = deque()
        self._requests_told = 0
        self._quota: int | None = None
        self._risk_state = ""
        self._lag_s = self._longest_lag_s = 0.0
        self._failures: dict[str, int] = {}
        self._first: LighterDealer | None = None
        self._met = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._began_s = self._unix_s()
        engine.observe(self)
        self._latest = self.look()

    # ---------------------------------------------------------------- for readers

    @property
    def latest(self) -> Snapshot:
        """The latest look; may be read from any thread."""
        return self._latest

    def age_s(self) -> float:
        """Return how old the latest look is; a loop that hangs lets it grow."""
        return max(0.0, self._clock() - self._latest.taken_clock_s)

    # ------------------------------------------------------------------- lifetime

    async def __aenter__(self) -> EngineWatch:  # noqa: PYI034 - typing.Self needs 3.11
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def start(self) -> None:
        """Begin to look, in the running event loop; a second call does nothing."""
        if not self._tasks:
            for work in (self._beat(), self._keep_looking(), self._watch_account()):
                self._tasks.append(asyncio.ensure_future(work))

    async def aclose(self) -> None:
        """Look a last time and end."""
        tasks, self._tasks = self._tasks, []
        if tasks:
            self._latest = self.look()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _beat(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + BEAT_S
            await asyncio.sleep(BEAT_S)
            late_s = clock() - due
            self._lag_s = max(self._lag_s, late_s)
            if late_s >= BLOCKED_S:
                self.events.note(
                    EventKind.LOOP_BLOCKED, f"the event loop stood for {late_s:.1f} s"
                )

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self._latest = self.look()

    async def _watch_account(self) -> None:
        await self._met.wait()
        dealer = self._first
        assert dealer is not None  # noqa: S101 - set before the event
        # What the dealers know by now is complete: addresses, chain, a market.
        config = dataclasses.replace(
            dealer.config, symbol=dealer.market.symbol, market_index=None
        )
        self._view = AccountView(
            config,
            self._engine.world.environment,
            self.events,
            strategy_of=self._strategy_of,
        )
        self._prices = prices = PriceView(config, self._engine.world.environment)
        for run in self._engine.runs.values():
            for other in run.session.dealers.values():
                self._name_market(other)
        try:
            await self._view.keep()
        finally:
            await prices.aclose()

    def _name_market(self, dealer: LighterDealer) -> None:
        market = dealer.market
        if self._view is not None:
            self._view.name_market(market.market_id, market.symbol)
        if self._prices is not None and self._engine.guard is not None:
            self._prices.add(market.symbol)

    # ------------------------------------------------------ told by the strategies

    def strategy_changed(self, run: StrategyRun) -> None:
        """Note a strategy's new state, if it is one to tell."""
        if run.state is RunState.STARTING:
            self._note_sharing(run)
        kind = _ENDS.get(run.state)
        if kind is EventKind.STRATEGY_CRASHED:
            error = run.error
            text = f"crashed: {type(error).__name__}: {error}"
        elif kind is not None:
            text = run.state.value
        else:
            return
        self.events.note(kind, text, strategy=run.name)

    def _note_sharing(self, run: StrategyRun) -> None:
        for symbol, names in self._engine.shared_markets().items():
            # Once for all of them, with the last that came.
            if run.name == names[-1]:
                words = sharing_in_words(symbol, names)
                self.events.note(EventKind.MARKET_SHARED, words, strategy=run.name)

    def session_opened(self, run: StrategyRun) -> Callable[[], None]:
        """Look at a strategy's dealers from now on; return what ends it."""
        ends = [
            self._watch_dealer(run.name, symbol, dealer)
            for symbol, dealer in run.session.dealers.items()
        ]
        for dealer in run.session.dealers.values():
            self._first = self._first or dealer
            self._name_market(dealer)
        self._met.set()

        def end() -> None:
            for one in ends:
                one()

        return end

    def _watch_dealer(
        self, strategy: str, symbol: str, dealer: LighterDealer
    ) -> Callable[[], None]:
        # Keys may come from the environment, so that the world's settings lack them.
        self.events.hide(key.api_key_private_key for key in dealer.config.api_keys)
        on_change = partial(self._order_changed, strategy, symbol)
        for record in dealer.orders.live():
            on_change(record)
        dealer.orders.tell(on_change)
        before = dealer.on_foreign_nonce
        told = partial(self._foreign_nonce, strategy, before)
        dealer.on_foreign_nonce = told

        def end() -> None:
            if dealer.on_foreign_nonce is told:
                dealer.on_foreign_nonce = before

        return end

    def _order_changed(self, strategy: str, symbol: str, record: OrderFacts) -> None:
        coi = record.client_order_index
        if record.status is OrderStatus.QUEUED:
            self._owners[coi] = strategy
            if len(self._owners) > 10 * MOST_ORDERS:
                del self._owners[next(iter(self._owners))]
        news = self._tally.changed(coi, record.status, self._clock())
        if news is None:
            return
        number = f"order {coi}"
        if news is OrderStatus.UNKNOWN:
            kind, text = EventKind.ORDER_UNKNOWN, f"{number}: no answer, it may exist"
        elif news is OrderStatus.REJECTED:
            why = record.reason or "no reason told"
            kind, text = EventKind.ORDER_REJECTED, f"{number} rejected: {why}"
        else:
            kind = EventKind.ORDER_KNOWN_AGAIN
            text = f"{number} is known again: {news.value}"
        self.events.note(kind, text, strategy=strategy, symbol=symbol)

    def _foreign_nonce(
        self, strategy: str, before: Callable[[int], object] | None, count: int
    ) -> None:
        self.events.note(
            EventKind.FOREIGN_NONCE,
            f"somebody else used {count} nonce(s) of our API key",
            strategy=strategy,
        )
        if before is not None:
            before(count)

    def _strategy_of(self, client_order_index: int) -> str:
        return self._owners.get(client_order_index, "")

    # -------------------------------------------------------------------- looking

    def _any_dealer(self) -> LighterDealer | None:
        for run in self._engine.runs.values():
            if run.state is RunState.RUNNING:
                return next(iter(run.session.dealers.values()))
        return None

    def look(self) -> Snapshot:
        """Look now, in the trading's event loop; what is published stays."""
        now, now_s = self._clock(), self._unix_s()
        view = self._view
        if view is not None:
            view.look()
        status = self._engine.get_status()
        orders = sorted(
            status["orders"], key=lambda row: row["client_order_index"], reverse=True
        )
        risk = self._risk()
        self._note_risk(risk)
        balance = None if view is None else view.balance()
        equity = _number(risk.get("current_equity"))
        if equity is None and balance is not None:
            equity = balance.total_asset_value
        if equity is not None:
            self._trail.sample(now_s, equity)
        figures = self._figures(now, risk, orders, equity)
        self._lag_s = 0.0
        return Snapshot(
            taken_at_s=now_s,
            taken_clock_s=now,
            world=self._engine.world.name,
            account_index=self._engine.world.config.account_index,
            started_at_s=self._began_s,
            status=plain({**status, "orders": orders[:MOST_ORDERS]}),
            orders_total=len(orders),
            risk=risk,
            balance=balance,
            positions=() if view is None else view.positions(),
            fills=() if view is None else tuple(view.fills),
            events=self.events.latest(MOST_EVENTS)[::-1],
            curve=self._trail.points(),
            figures=figures,
        )

    def _risk(self) -> dict[str, Any]:
        guard = self._engine.guard
        if guard is not None:
            # A guard tells nothing before the engine has started it.
            with contextlib.suppress(UsageError):
                prices = {} if self._prices is None else self._prices.prices()
                told: dict[str, Any] = plain(guard.get_risk_status(prices))
                return told
        return {}

    def _figures(
        self,
        now: float,
        risk: dict[str, Any],
        orders: list[dict[str, Any]],
        equity: Decimal | None,
    ) -> Figures:
        view, tally = self._view, self._tally
        self._longest_lag_s = max(self._longest_lag_s, self._lag_s)
        drawdown, daily = _number(risk.get("drawdown")), _number(risk.get("daily_pnl"))
        self._count_requests(now)
        runs = self._engine.runs.values()
        loop_now = 0.0 if not self._tasks else asyncio.get_running_loop().time()
        return Figures(
            equity=equity,
            drawdown=self._trail.drawdown if drawdown is None else drawdown,
            daily_pnl=self._trail.daily_pnl if daily is None else daily,
            risk_state=self._risk_state,
            live_orders=Counter(row["status"] for row in orders),
            ended_orders={state.value: n for state, n in tally.ended.items()},
            unknown_orders=tally.unknown,
            oldest_unknown_s=tally.oldest_doubt_s(now),
            fills=0 if view is None else view.fill_count,
            volume=Decimal(0) if view is None else view.volume,
            fees=Decimal(0) if view is None else view.fees,
            requests=self._requests_told,
            requests_last_minute=self._requests_told - self._requests[0][1],
            quota=self._quota,
            connected=view is not None and view.is_live,
            outage_s=0.0 if view is None else view.outage_s(loop_now),
            connects=0 if view is None else view.connects,
            hook_failures=self._hook_failures(),
            loop_lag_s=self._lag_s,
            longest_lag_s=self._longest_lag_s,
            latency_counts=tuple(tally.accepted.counts),
            latency_total_s=tally.accepted.total_s,
            strategies=Counter(run.state.value for run in runs),
            events={kind.value: n for kind, n in self.events.counts.items()},
        )

    def _hook_failures(self) -> int:
        # What a strategy that is over has failed at still counts.
        told = self._failures
        if self._view is not None:
            told[""] = max(told.get("", 0), self._view.hook_failures)
        for run in self._engine.runs.values():
            if run.state is RunState.RUNNING:
                told[run.name] = max(
                    told.get(run.name, 0), run.session.ws.hook_failures
                )
        return sum(told.values())

    def _count_requests(self, now: float) -> None:
        dealer = self._any_dealer()
        if dealer is not None:
            self._requests_told = max(self._requests_told, dealer.requests_used)
            self._quota = dealer.quota
        seen = self._requests
        seen.append((now, self._requests_told))
        while seen[0][0] < now - MINUTE_S:
            seen.popleft()

    def _note_risk(self, risk: dict[str, Any]) -> None:
        state = str(risk.get("state") or "").upper()
        before, self._risk_state = self._risk_state, state
        if state and before and state != before:
            why = risk.get("reason")
            self.events.note(
                EventKind.RISK_STATE,
                f"risk: {before} → {state}" + (f": {why}" if why else ""),
            )


def _number(value: object) -> Decimal | None:
    if isinstance(value, (Decimal, int, str, float)) and not isinstance(value, bool):
        number = Decimal(str(value)) if value != "" else Decimal("NaN")
        return number if number.is_finite() else None
    return None
