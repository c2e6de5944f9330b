"""One strategy at work: from opening its session to the last of its orders."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wrappy.lighter.streaming.auditing import AUDIT_S
from wrappy.runner.engine.session import StrategySession
from wrappy.runner.strategy.context import Context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.runner.engine.observing import EngineObserver
    from wrappy.runner.engine.saved_state import SavedStates
    from wrappy.runner.risk.guard import AccountGuard
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.engine")

SAVE_EVERY_S: Final = 30.0


class RunState(enum.Enum):
    """Where a strategy is in its life."""

    WAITING = "waiting"
    """The engine has not started it yet."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    """Its orders are being taken away."""

    STOPPED = "stopped"
    """It was told to end."""

    FINISHED = "finished"
    """It returned by itself."""

    CRASHED = "crashed"
    """It raised; its orders were taken away all the same."""

    @property
    def is_over(self) -> bool:
        """Whether nothing happens any more."""
        return self in (RunState.STOPPED, RunState.FINISHED, RunState.CRASHED)


@dataclass(frozen=True, slots=True)
class Left:
    """What a strategy left behind.

    Attributes:
        name: the strategy.
        orders: client order indices of orders not known to be over.
    """

    name: str
    orders: tuple[int, ...]


class StrategyRun:
    """A strategy and what belongs to it while it runs.

    Args:
        name: its name in the engine.
        strategy: what runs.
        world: where.
        guard: stands before every order; None for none.
        states: where `save` goes; None for nowhere.
        stop_timeout_s: longest wait for its orders to be gone.
        observers: hear of it.
        claimed, audit_s: as `StrategySession` takes them.
    """

    def __init__(
        self,
        name: str,
        strategy: Strategy[Any],
        *,
        world: World,
        guard: AccountGuard | None,
        states: SavedStates | None,
        stop_timeout_s: float,
        observers: Sequence[EngineObserver] = (),
        claimed: set[int] | None = None,
        audit_s: float = AUDIT_S,
    ) -> None:
        self.name = name
        self.strategy = strategy
        self._state = RunState.WAITING
        self._observers = observers
        self.error: BaseException | None = None
        self.started_s: float | None = None
        self.left = Left(name, ())
        self._ended_as = RunState.STOPPED
        self.session = StrategySession(world, strategy, guard, claimed, audit_s=audit_s)
        self._world = world
        self._states = states
        self._stop_timeout_s = stop_timeout_s
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._saving: asyncio.TimerHandle | None = None

    @property
    def state(self) -> RunState:
        """Where it is in its life."""
        return self._state

    def _enter(self, state: RunState) -> None:
        self._state = state
        for observer in self._observers:
            observer.strategy_changed(self)

    def start(self) -> None:
        """Begin; nothing happens if it has begun already."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._live())
            self._task.add_done_callback(self._over)

    def stop(self) -> None:
        """Ask it to end; `wait` tells when it has."""
        self._stop.set()
        if self._task is None:
            self._enter(RunState.STOPPED)

    async def wait(self) -> None:
        """Return when it is over and everything of it is closed."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash(error)
        self._enter(self._ended_as)

    async def _live(self) -> None:
        self._enter(RunState.STARTING)
        # Each of these is done in the end, whatever fails before it.
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.session.aclose)
            if not await self._opened():
                return
            undo.push_async_callback(self._leave)
            undo.callback(self._enter, RunState.STOPPING)
            for observer in self._observers:
                undo.callback(observer.session_opened(self))
            if not self._stop.is_set():
                await self._run()

    async def _opened(self) -> bool:
        """Open the session; return False when it was told to end before that."""
        opening = asyncio.ensure_future(self.session.open())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (opening, stopping):
                task.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)
        if opening.cancelled():
            return False
        opening.result()
        return True

    async def _run(self) -> None:
        world, strategy = self._world, self.strategy
        context = Context(
            self.name,
            dealers=self.session.dealers,
            ws=self.session.ws,
            candles=world.candles(self.session.dealers, self.session.ws),
            unix_s=world.environment.unix_s,
            # A text seeds alike in every process, whatever hashes there.
            rng=random.Random(f"{world.seed}/{self.name}"),
            log=logging.getLogger(f"wrappy.strategy.{self.name}"),
        )
        if self._states is not None:
            strategy.load(self._states.read(self.name))
            # Only from here on: what could not be taken must not be written over.
            self._save_later()
        self.started_s = world.environment.unix_s()
        self._enter(RunState.RUNNING)
        trading = asyncio.ensure_future(strategy.run(context))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait([trading, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (stopping, trading):
                task.cancel()
            # A strategy may clean up after itself, but not for ever.
            await asyncio.wait([trading, stopping], timeout=self._stop_timeout_s)
        self._conclude(trading)

    def _conclude(self, trading: asyncio.Future[None]) -> None:
        if not trading.done():
            logger.error("%s: does not end; it is left behind", self.name)
        elif trading.cancelled():
            if not self._stop.is_set():
                self._crash(asyncio.CancelledError("cancelled from within"))
        elif (error := trading.exception()) is not None:
            self._crash(error)
        elif not self._stop.is_set():
            self._ended_as = RunState.FINISHED

    def _crash(self, error: BaseException) -> None:
        self.error = error
        self._ended_as = RunState.CRASHED
        logger.error("%s crashed: %s", self.name, error, exc_info=error)

    async def _leave(self) -> None:
        numbers = await self.session.take_away(self._stop_timeout_s)
        self.left = Left(self.name, numbers)
        if numbers:
            logger.error("%s: orders that may still rest: %s", self.name, numbers)
        if self._saving is not None:
            self._saving.cancel()
            self._save()

    def _save_later(self) -> None:
        clock = asyncio.get_running_loop()
        self._saving = clock.call_later(SAVE_EVERY_S, self._save_now)

    def _save_now(self) -> None:
        # First: one that cannot be saved, which the loop tells, is tried again.
        self._save_later()
        self._save()

    def _save(self) -> None:
        if self._states is not None:
            self._states.write(self.name, self.strategy.save())
