"""One bot at work: opened, running, asked to stop, and what its end came to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrappy.runner.cli.bot_files import BotFiles
from wrappy.runner.cli.control import ControlServer
from wrappy.runner.cli.place import facts_of, open_place
from wrappy.runner.command import FAILED
from wrappy.runner.engine.engine import StopReport, TradingEngine
from wrappy.runner.risk.flattening import flatten
from wrappy.runner.risk.guard import AccountGuard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from wrappy.runner.cli.stop_signals import StopSignals
    from wrappy.runner.risk.flattening import FlattenReport
    from wrappy.runner.settings.sections import BotSettings
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.runner.watching import Watching
    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.bot")


@dataclass(frozen=True, slots=True, kw_only=True)
class BotOptions:
    """What the command line says besides the settings.

    Attributes:
        live: real money is meant.
        confirm: is asked about it.
        dry_run: nothing is sent.
        duration_s: ends by itself after so long; None does not.
    """

    live: bool = False
    confirm: Callable[[str], bool] | None = None
    dry_run: bool = False
    duration_s: float | None = None


class Bot:
    """Runs the strategies of a settings file until something ends them.

    Args:
        settings: the file's.
        strategies: what runs, by name.
        options: what the command line says.
        tell: takes a line for whoever watches.
        clean: takes secrets out of what strategies say.
    """

    def __init__(
        self,
        settings: BotSettings,
        strategies: Sequence[tuple[str, Strategy[Any]]],
        options: BotOptions,
        *,
        tell: Callable[[str], object],
        clean: Callable[[str], str],
    ) -> None:
        self._clean = clean
        self._settings = settings
        self._strategies = strategies
        self._options = options
        self._tell = tell
        self._files = BotFiles.of(settings)
        self._engine: TradingEngine | None = None
        self._guard: AccountGuard | None = None
        self._why = ""
        self._flatten = False
        self._enough = asyncio.Event()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every market of every strategy, each once."""
        named = (s for _, strategy in self._strategies for s in strategy.symbols)
        return tuple(dict.fromkeys(named))

    async def run(self, signals: StopSignals) -> int:
        """Run until the end and return the exit code.

        Raises:
            WrappyError: it could not begin.
        """
        task = asyncio.current_task()

        def polite() -> None:
            self._why = self._why or (signals.received or "")
            if self._engine is None and task is not None:
                task.cancel()  # nothing is open that could be left behind
            self._enough.set()

        signals.tell(asyncio.get_running_loop(), polite)
        options = self._options
        with self._files.hold():
            try:
                async with open_place(
                    self._settings,
                    self.symbols,
                    live=options.live,
                    confirm=options.confirm,
                    dry_run=options.dry_run,
                ) as world:
                    return await self._work(world)
            except asyncio.CancelledError:
                if signals.received is None:
                    raise
                self._tell(f"stopped by {signals.received} before anything was sent")
                return 0

    async def _work(self, world: World) -> int:
        settings = self._settings
        facts = facts_of(settings, world, self.symbols)
        # What ends with this process is not gone on with.
        states = self._files.states if facts.outlives else None
        if settings.limits is not None:
            # In a folder of its own: a strategy may be called anything.
            kept = None if states is None else states / "risk"
            self._guard = AccountGuard(settings.limits, state_dir=kept)
        engine = TradingEngine(
            world,
            guard=self._guard,
            state_dir=states,
            stop_timeout_s=settings.engine.stop_timeout_s,
            audit_s=settings.engine.audit_s,
        )
        for name, strategy in self._strategies:
            engine.add_strategy(strategy, name=name)
        self._files.write_facts(facts)
        control = ControlServer(
            self._files, status=self.status, stop=self.ask_stop, resume=self.resume
        )
        async with watched(engine, settings) as seen, control:
            self._engine = engine
            await engine.start()
            try:
                self._tell(
                    f"{settings.bot_name} runs {', '.join(engine.runs)} on "
                    f"{'(dry run) ' if world.is_dry else ''}{world.name} "
                    f"({world.config.base_url}, account {world.config.account_index})"
                )
                if seen is not None and seen.monitor is not None:
                    # Told once and never logged: it may have the token in it.
                    self._tell(f"look at it: {seen.address}")
                await self._wait(engine)
            finally:
                code, words = await self._end(world, engine)
                control.tell_end({"ended": True, "clean": code == 0, "report": words})
        return code

    async def _wait(self, engine: TradingEngine) -> None:
        ended = asyncio.ensure_future(engine.wait())
        enough = asyncio.ensure_future(self._enough.wait())
        try:
            done, _ = await asyncio.wait(
                [ended, enough],
                timeout=self._options.duration_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for task in (ended, enough):
                task.cancel()
            await asyncio.gather(ended, enough, return_exceptions=True)
        if not done:
            self._why = "the end of its time"
        elif not self._why:
            self._why = "the end of its strategies"

    async def _end(self, world: World, engine: TradingEngine) -> tuple[int, str]:
        last = engine.get_status()
        report = await engine.stop()
        flat = None
        if self._flatten and not world.is_dry:
            flat = await flatten(world, self.symbols)
        words = self._clean(_in_words(self._why, last, report, flat))
        self._tell(words)
        logger.info("%s", words, extra={"told": True})
        clean = report.is_clean and not report.crashed
        if flat is not None:
            clean = flat.is_clean and not report.crashed
        return (0 if clean else FAILED), words

    def ask_stop(self, flatten: bool = False) -> None:  # noqa: FBT001, FBT002
        """End the bot; with `flatten` its positions are closed as well."""
        self._flatten = self._flatten or flatten
        self._why = self._why or "wrappy stop"
        self._enough.set()

    def resume(self) -> dict[str, str]:
        """End a halt of the risk guard; return its state before and after.

        Without a guard there is neither.
        """
        guard = self._guard
        if guard is None:
            return {}
        before, why = guard.state.value, guard.reason
        guard.resume()
        return {
            "before": before,
            "reason": why,
            "state": guard.state.value,
            "still": guard.reason,
        }

    def status(self) -> dict[str, Any]:
        """Return what `wrappy status` shows."""
        engine, guard = self._engine, self._guard
        return {
            "bot": self._settings.bot_name,
            "network": self._settings.network.name,
            "status": {} if engine is None else engine.get_status(),
            "risk": {} if guard is None else guard.get_risk_status(),
        }


@contextlib.asynccontextmanager
async def watched(
    engine: TradingEngine, settings: BotSettings
) -> AsyncIterator[Watching | None]:
    """Open the monitor and the alerts that the settings want; None for neither."""
    if settings.monitor is None and settings.alerts is None:
        yield None
        return
    # A page and its server are loaded only by those who want one.
    from wrappy.runner.watching import watch_engine  # noqa: PLC0415

    async with watch_engine(
        engine, monitor=settings.monitor, alerts=settings.alerts
    ) as seen:
        yield seen


def _in_words(
    why: str,
    last: Mapping[str, Any],
    report: StopReport,
    flat: FlattenReport | None,
) -> str:
    resting = len(last["orders"])
    words = [f"stopped by {why} after {last['uptime']:.0f} s"]
    left = sum(len(numbers) for numbers in report.left.values())
    if left:
        words.append(
            f"{left} of {resting} orders are NOT known to be gone: "
            + "; ".join(
                f"{name}: {', '.join(map(str, numbers))}"
                for name, numbers in report.left.items()
            )
        )
    elif resting:
        words.append(f"{resting} order(s) cancelled, none left")
    else:
        words.append("no orders were left")
    words += [
        f"{name} crashed: {type(error).__name__}: {error}"
        for name, error in report.crashed.items()
    ]
    held = [f"{size} {symbol}" for symbol, size in last["positions"].items() if size]
    if flat is not None:
        words.append(f"flattened: {flat}")
    elif held:
        words.append(f"left as it is: {', '.join(held)}")
    words.append(f"took {report.took_s:.1f} s")
    return "; ".join(words)
