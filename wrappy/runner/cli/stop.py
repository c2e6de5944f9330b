"""`wrappy stop`: ends a bot, also one that does not listen any more."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError, KeyInUseError, WrappyError
from wrappy.lighter.visit import AccountVisit, open_visit
from wrappy.runner.cli.control import ask
from wrappy.runner.cli.place import world_settings
from wrappy.runner.cli.status import files_of
from wrappy.runner.command import FAILED
from wrappy.runner.risk.flattening import flatten as cleared
from wrappy.runner.settings.reading import read_settings
from wrappy.runner.settings.sections import BotSettings
from wrappy.runner.worlds.opening import open_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.cli.bot_files import BotFacts, BotFiles
    from wrappy.runner.risk.flattening import FlattenReport
    from wrappy.runner.worlds.world import World

LOOK_AGAIN_S: Final = 0.05
DIES_WITHIN_S: Final = 5.0
FLATTEN_TAKES_S: Final = 20.0


def stop(
    config: Path | None = None,
    *,
    bot: str | None = None,
    flatten: bool = False,
    patience: float = 5.0,
) -> int:
    """End a bot: its orders are cancelled, and with --flatten its positions closed.

    A bot that does not answer is killed, and this process takes its orders away (and
    closes its positions) by itself. So it does for a bot whose process is gone without
    an end, and says what it finds. Ends with 0 when nothing is left.

    Args:
        config: the settings file it runs with.
        bot: its name, instead of the file's.
        flatten: close its markets' positions too, reduce-only; also when no bot runs.
        patience: seconds that a bot may take to answer before it is killed.
    """
    if not 0 < patience <= 600:  # noqa: PLR2004 - false for NaN too
        raise ConfigError(f"--patience: {patience} is not within 0..600 seconds")
    settings = read_settings(config)
    return _Stop(settings, files_of(settings, bot), flatten, patience).carry_out()


class _Stop:
    def __init__(
        self,
        settings: BotSettings,
        files: BotFiles,
        close: bool,  # noqa: FBT001
        patience_s: float,
    ) -> None:
        self._settings = settings
        self._files = files
        self._close = close
        self._patience_s = patience_s
        self._left_by: str | None = None

    def carry_out(self) -> int:
        files = self._files
        facts = files.read_facts()
        pid = files.holder()
        left_by = self._left_by = files.left_by()
        if pid is None and facts is None and left_by is None and not self._close:
            _say(f"{files.name} does not run")
            return FAILED
        if pid is not None:
            code = self._politely(pid)
            if code is not None:
                return code
            _say(f"{files.name} (process {pid}) does not answer; it is killed")
            if not self._kill(pid):
                _say(f"process {pid} cannot be killed; going on beside it")
        elif left_by is not None:
            _say(
                f"{files.name} does not run: {left_by}, is gone without an end; "
                "looking after what it left"
            )
        else:
            _say(f"{files.name} does not run; looking after what it left")
        return self._take_over(facts)

    # With the bot

    def _politely(self, pid: int) -> int | None:
        """Ask it to end; return the exit code, or None when it does not."""
        needs_s = self._patience_s + 3 * self._settings.engine.stop_timeout_s
        if self._close:
            needs_s += FLATTEN_TAKES_S
        question = {"do": "stop", "flatten": self._close}
        told: dict[str, Any] = {}
        try:
            for told in ask(
                self._files, question, timeout_s=self._patience_s, then_s=needs_s
            ):
                if "ended" in told:
                    break
        except OSError:
            return None
        if not self._gone(pid, DIES_WITHIN_S):
            return None
        words = told.get("report")
        _say(str(words) if words else f"{self._files.name} has ended")
        return 0 if told.get("clean") is True else FAILED

    # Without it

    def _kill(self, pid: int) -> bool:
        """End the process by force; only the very one that is the bot."""
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return self._gone(pid, 0.0)
        try:
            # The number could have become another's since it was read.
            if self._files.holder() == pid:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        except PermissionError:
            return False
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)
        return self._gone(pid, DIES_WITHIN_S)

    def _gone(self, pid: int, within_s: float) -> bool:
        """Return whether the bot's lock is free of that process in time."""
        return _until(lambda: self._files.holder() != pid, within_s)

    def _take_over(self, facts: BotFacts | None) -> int:
        if facts is not None and not facts.outlives:
            _say("its exchange was part of it: nothing is left")
            self._files.forget()
            return 0
        try:
            symbols = self._symbols(facts)
            report = asyncio.run(self._cleared(symbols))
        except WrappyError:
            if self._left_by is not None:
                _say("its orders may still be live: the exchange was not asked")
                self._advise(is_close_left=True)
            raise
        _say(f"{', '.join(symbols)}: {report}")
        if report.is_flat:
            self._files.forget()
        elif self._left_by is not None:
            if not report.is_clean:
                _say("its orders may still be live")
            self._advise(is_close_left=bool(report.left or report.unasked))
        return 0 if report.is_clean else FAILED

    def _advise(self, *, is_close_left: bool) -> None:
        """Say what to do about a bot that went without an end."""
        if is_close_left:
            _say("`wrappy stop --flatten` takes its orders away and closes positions")
        _say("`wrappy reconcile` compares what it wrote down with the exchange")
        _say("`wrappy run` starts it again; it goes on from what it wrote down")

    def _symbols(self, facts: BotFacts | None) -> tuple[str, ...]:
        if facts is not None:
            return facts.symbols
        named = (s for row in self._settings.strategies for s in row.symbols)
        symbols = tuple(dict.fromkeys(named))
        if not symbols:
            raise ConfigError(
                "strategies: the settings name no market that could be cleared; give "
                "the settings file that the bot ran with"
            )
        return symbols

    async def _cleared(self, symbols: tuple[str, ...]) -> FlattenReport:
        spare = self._settings.network.spare_key_file
        try:
            return await self._cleared_with(symbols, None)
        except KeyInUseError:
            if spare is None:
                raise
        _say("the bot's key is in use; taking the spare one")
        return await self._cleared_with(symbols, self._settings.place(spare))

    async def _cleared_with(
        self, symbols: tuple[str, ...], key_file: Path | None
    ) -> FlattenReport:
        # Whoever takes risk away need not confirm it.
        wanted = world_settings(
            self._settings,
            symbols,
            live=True,
            confirm=lambda _phrase: True,
            key_file=key_file,
        )
        if wanted.name == "paper" or (wanted.name == "venue" and wanted.url is None):
            raise WrappyError("this exchange ends with its bot: nothing can be left")
        async with open_world(wanted) as world:
            if self._left_by is not None:
                await _tell_live(world, symbols)
            return await cleared(world, symbols, close=self._close)


async def _tell_live(world: World, symbols: tuple[str, ...]) -> None:
    """Say how many orders the exchange shows before any is taken away."""
    try:
        async with open_visit(world.config, world.environment) as visit:
            if not isinstance(visit, AccountVisit):
                return
            known = {m.market_id for m in await visit.markets() if m.symbol in symbols}
            rows = await visit.account.open_orders(None)
    except WrappyError as error:
        # Taking them away is tried all the same.
        _say(f"the exchange does not say which orders are live: {error}")
        return
    live = sum(row["market_index"] in known for row in rows)
    _say(f"the exchange shows {live} live order(s) in {', '.join(symbols)}")


def _until(true: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(LOOK_AGAIN_S)
    return True


def _say(words: str) -> None:
    sys.stdout.write(f"wrappy: {words}\n")
    sys.stdout.flush()
