"""Stands before every order of an account, for all its strategies.

What may pass is decided in integers by the desk; here is what it has to be told, and
what follows from its state.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import UsageError, WrappyError
from wrappy.lighter.risk_desk import RiskDesk, TradingState
from wrappy.runner.engine.saved_state import SavedStates
from wrappy.runner.risk.eyes import Eyes
from wrappy.runner.risk.flattening import flatten
from wrappy.runner.risk.memory import NAME, restore, save
from wrappy.runner.risk.settling import settle
from wrappy.runner.risk.simulated import SimulatedWorth, without_age
from wrappy.runner.risk.status import risk_status

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from decimal import Decimal
    from pathlib import Path

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.risk_desk import Seat, Transition
    from wrappy.lighter.ws import WsInfo
    from wrappy.runner.risk.flattening import FlattenReport
    from wrappy.runner.risk.limits import RiskLimits
    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.risk")

BEAT_S: Final = 0.25
"""Pause between two looks at everything, in real time."""

EQUITY_EVERY_S: Final = 10.0
"""Pause between two questions for the account's worth."""

SAVE_EVERY_S: Final = 30.0
CANCEL_ROUNDS: Final = 10
"""Quick rounds of a halt's cancels; it goes on after them, slowly."""

CANCEL_PAUSE_S: Final = 0.5
CANCEL_SLOWLY_S: Final = 5.0
_LEVELS: Final = {
    TradingState.ACTIVE: logging.INFO,
    TradingState.REDUCING: logging.WARNING,
    TradingState.HALTED: logging.ERROR,
}


class AccountGuard:
    """Keeps one account within its limits, whatever its strategies want.

        guard = AccountGuard(RiskLimits(max_position={"ETH": 2}, max_daily_loss=500))
        engine = TradingEngine(world, guard=guard)

    Everything passes while it is ACTIVE and within the limits, only what cannot grow
    a position while it is REDUCING, and nothing but cancels while it is HALTED. It
    closes no position unless `flatten` is called.

    Args:
        limits: what is allowed.
        state_dir: where the best equity and that of the day's beginning are kept over
            a restart; None for nowhere, and a restart forgets them.

    Attributes:
        limits: as given.
        on_change: a plain function, called with the `Transition` to another state;
            None for none.
    """

    def __init__(self, limits: RiskLimits, *, state_dir: Path | None = None) -> None:
        self.limits = limits
        self.on_change: Callable[[Transition], object] | None = None
        self._saved = None if state_dir is None else SavedStates(state_dir)
        self._saved_at = 0.0
        self._world: World | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._desk: RiskDesk | None = None
        self._eyes = Eyes(limits)
        self._seats: dict[Seat, LighterDealer] = {}
        self._joining = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling: asyncio.Task[None] | None = None
        self._canceling: asyncio.Task[None] | None = None
        self._minding: asyncio.Task[None] | None = None
        self._worth: SimulatedWorth | None = None

    # -------------------------------------------------------------- the engine

    async def start(self, world: World) -> None:
        """Begin to watch the account.

        Raises:
            UsageError: it was started before.
            ConfigError: what an earlier run has kept cannot be read.
        """
        if self._desk is not None:
            raise UsageError("start: a guard is started once; make a new one")
        loop = self._loop = asyncio.get_running_loop()
        self._world = world
        self._eyes.live_in(world)
        rules = self.limits.rules()
        desk = self._desk = RiskDesk(
            rules if world.simulation is None else without_age(rules),
            clock=loop.time,
            unix_s=world.environment.unix_s,
            refresh=self._refresh,
        )
        if self._saved is not None:
            restore(self._saved, desk)
            if desk.risk.halts():
                logger.error(
                    "an earlier run was halted, and so is this one: `resume` ends it, "
                    "or removing %s.json among the states before the start",
                    NAME,
                )
        if world.watches_risk:
            self._run(self._beat())
            self._run(self._ask_for_equity())
        if world.simulation is not None:
            self._worth = SimulatedWorth(
                world.simulation,
                desk,
                unix_s=world.environment.unix_s,
                clock=loop.time,
                judge=self._judge,
            )
        self._look()

    async def watch(self, dealer: LighterDealer, ws: WsInfo) -> Callable[[], None]:
        """Stand before a dealer's orders.

        Args:
            dealer: whose orders are judged from now on.
            ws: streams its account and its market.

        Returns:
            What ends it.

        Raises:
            UsageError: the guard was not started.
            VenueError, TransportError: the account's positions or a price stream
                could not be had; the dealer is not guarded then.
        """
        desk = self._started()
        async with self._joining:
            stop = await self._eyes.open(
                ws,
                dealer.market,
                on_orders=desk.take_rows,
                on_positions=self._take_positions,
                on_equity=self.take_equity,
                on_state=lambda _: self._look(),
            )
            try:
                await self._know_positions(dealer, ws)
            except BaseException:
                stop()
                raise
        seat = desk.seat(dealer)
        self._seats[seat] = dealer
        self._look()
        if self.state is TradingState.HALTED and self.limits.cancel_on_halt:
            # What it found of an earlier run goes as well.
            self._cancel_soon()

        def end() -> None:
            if self._seats.pop(seat, None) is not None:
                desk.leave(seat, dealer)
                stop()

        return end

    async def aclose(self) -> None:
        """End watching; orders under way to be canceled are given up."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._save()

    # -------------------------------------------------------------- for people

    @property
    def state(self) -> TradingState:
        """What passes at the moment."""
        return self._started().risk.log.state

    @property
    def reason(self) -> str:
        """Why not everything passes; empty when it does."""
        return self._started().risk.log.reason

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """Changes of state so far, the latest last; times are unix seconds."""
        return tuple(self._started().risk.log.transitions)

    def get_risk_status(
        self, prices: Mapping[str, Decimal] | None = None
    ) -> dict[str, Any]:
        """Return how the account stands against its limits; see `risk_status`.

        Args:
            prices: by symbol, for markets of which no strategy streams one. They tell
                what positions are worth here; nothing is judged by them.

        Raises:
            UsageError: the guard was not started.
        """
        desk = self._started()
        return risk_status(desk, self._now(), self._eyes.marks(desk, prices or {}))

    def halt(self, reason: str) -> None:
        """Let nothing but cancels pass, until `resume`.

        Raises:
            UsageError: the guard was not started.
        """
        self._started().risk.halt("person", reason)
        self._look()
        self._save()

    def resume(self) -> None:
        """End a halt, and judge losses from here on anew.

        What only reduces stays while its cause does.

        Raises:
            UsageError: the guard was not started.
        """
        self._started().risk.lift()
        self._look()
        self._save()

    async def flatten(
        self, *, slippage_bps: int | None = None, attempts: int = 5
    ) -> FlattenReport:
        """Halt, cancel every order of the account, and close all positions.

        Orders placed elsewhere go as well. The halt stays until `resume`.

        Args:
            slippage_bps: worst price of a close, 1e-4 of the best opposite price;
                None takes the settings'.
            attempts: rounds at most, a second apart.

        Raises:
            UsageError: the guard was not started, or has not seen a market yet.
            ConfigError: `attempts` is not above 0.
        """
        desk = self._started()
        self.halt("flatten was asked for")
        symbols = [market.symbol for market in desk.risk.markets.values()]
        if self._world is None or not symbols:
            raise UsageError("flatten: no market is watched yet")
        return await flatten(
            self._world,
            symbols,
            everywhere=True,
            slippage_bps=slippage_bps,
            attempts=attempts,
        )

    # ------------------------------------------------------- what it is told

    def take_equity(self, equity: Decimal) -> None:
        """Take the account's worth, in USDC, open profit included."""
        desk, world = self._started(), self._world
        now = self._now()
        if world is not None:
            desk.risk.equity.note(int(equity * 10**6), now, world.environment.unix_s())
        self._look()
        if now - self._saved_at >= SAVE_EVERY_S:
            self._saved_at = now
            self._save()

    def _take_positions(self, positions: Any) -> None:
        self._started().take_positions(positions)
        self._settle_soon()
        if self.limits.require_exits and self._worth is not None:
            # Nothing beats there: since when a position is without exits is seen here.
            self._look()

    async def _know_positions(self, dealer: LighterDealer, ws: WsInfo) -> None:
        """Take positions and orders of the account as they are, where not known."""
        desk, market = self._started(), dealer.market
        if desk.has_market(market.market_id):
            return
        asked = await dealer.fetch_positions()
        if desk.risk.book.has_begun:
            desk.take_positions(ws.positions)
            desk.add_market(market, self.limits.most_lots(market))
            desk.begin(asked, only=[market.market_id])
            return
        rows = await dealer.fetch_open_orders(everywhere=True)
        desk.add_market(market, self.limits.most_lots(market))
        desk.take_positions(ws.positions)
        desk.begin(asked)
        desk.take_rows(rows, counted=True)

    def _refresh(self, market: Any) -> None:
        """Bring prices and the age of data up to date before a judgement."""
        risk, world = self._started().risk, self._world
        now = self._now()
        if self._worth is not None:
            # First: what a loss until now has halted must not pass.
            self._worth.bring_up_to_now()
            is_idle = self._minding is None or self._minding.done()
            if is_idle and self._worth.minds:
                self._minding = self._run(self._worth.mind(self._look))
        elif world is not None and not world.watches_risk:
            # In a simulation nothing beats: what the stream told last is current.
            equity = self._eyes.equity()
            if equity is not None:
                micro = int(equity * 10**6)
                risk.equity.note(micro, now, world.environment.unix_s())
        self._eyes.look(risk, market, now)
        # Whoever judges works the state out too, and would keep it to themselves.
        self._judge()

    # ------------------------------------------------------- what it does

    def _look(self) -> None:
        """Work the state out anew."""
        if self._worth is not None:
            self._worth.bring_up_to_now()
        self._judge()

    def _judge(self) -> None:
        """Work the state out of what is known, and do what another one asks for."""
        desk = self._started()
        if desk.look():
            self._changed(desk.risk.log.transitions[-1])

    def _changed(self, transition: Transition) -> None:
        is_idle = transition.state is TradingState.REDUCING and not self._seats
        level = logging.INFO if is_idle else _LEVELS[transition.state]
        words = transition.reason or "all is well"
        logger.log(level, "%s: %s", transition.state.value, words)
        if transition.state is TradingState.HALTED:
            self._save()
            if self.limits.cancel_on_halt:
                self._cancel_soon()
        if self.on_change is not None:
            self.on_change(transition)

    def _cancel_soon(self) -> None:
        if self._canceling is None or self._canceling.done():
            self._canceling = self._run(self._cancel_own())

    async def _cancel_own(self) -> None:
        """Cancel the strategies' orders until none may trade, or the halt is over."""
        desk = self._started()
        for rounds in itertools.count(1):
            busy = [
                (dealer, numbers)
                for seat, dealer in self._seats.items()
                if (numbers := desk.numbers_of(seat))
            ]
            if not busy or self.state is not TradingState.HALTED:
                return
            await asyncio.gather(*(_cancel(*one) for one in busy))
            if rounds == CANCEL_ROUNDS:
                logger.error("halted, and orders may still rest: see the risk status")
            is_slow = rounds >= CANCEL_ROUNDS
            await asyncio.sleep(CANCEL_SLOWLY_S if is_slow else CANCEL_PAUSE_S)

    def _settle_soon(self) -> None:
        desk = self._started()
        is_idle = self._settling is None or self._settling.done()
        if is_idle and desk.risk.book.disputed():
            self._settling = self._run(settle(desk, self._seats))

    async def _beat(self) -> None:
        while True:
            risk = self._started().risk
            now = self._now()
            risk.beat(now)
            for market in risk.markets.values():
                self._eyes.look(risk, market, now)
            self._look()
            self._settle_soon()
            await asyncio.sleep(BEAT_S)

    async def _ask_for_equity(self) -> None:
        while True:
            dealer = next(iter(self._seats.values()), None)
            if dealer is not None:
                await self._ask(dealer)
            known = self._started().risk.equity.equity is not None
            await asyncio.sleep(EQUITY_EVERY_S if known else BEAT_S)

    async def _ask(self, dealer: LighterDealer) -> None:
        try:
            balance = await dealer.fetch_my_balance()
        except WrappyError as error:
            # How old the last answer is tells the rest.
            logger.warning("the account's worth: %s", error)
        else:
            self.take_equity(balance["total_asset_value"])

    # -------------------------------------------------------------------- rest

    def _started(self) -> RiskDesk:
        if self._desk is None:
            raise UsageError("the guard was not started; await guard.start(world)")
        return self._desk

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._loop is None:
            work.close()
            raise UsageError("the guard was not started; await guard.start(world)")
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the risk guard failed", exc_info=error)
            # Nobody watches any more: whoever goes on has to say so.
            with contextlib.suppress(UsageError):
                self.halt(f"the risk guard failed: {error!r}")

    def _save(self) -> None:
        if self._saved is not None and self._desk is not None:
            save(self._saved, self._desk)


async def _cancel(dealer: LighterDealer, numbers: list[int]) -> None:
    try:
        for number in numbers:
            await dealer.cancel_order_by_coi(number)
        await dealer.flush()
    except WrappyError as error:
        # The next round tells what is still there.
        logger.warning("cancelling %s: %s", dealer.market.symbol, error)
