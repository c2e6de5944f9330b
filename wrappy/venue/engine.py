"""The local exchange put together, without doors: settings, parts, pacing, end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wrappy.errors import ConfigError, UsageError
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.accounts import make_accounts, open_accounts
from wrappy.venue.answers import Answers
from wrappy.venue.clocks import LoopClock, SteppedClock, WallClock
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.faults import Faults
from wrappy.venue.floor import Floor
from wrappy.venue.input_log import InputLog, RecordedExchange
from wrappy.venue.market_life import MarketLife, open_market_life, tape_symbols
from wrappy.venue.sabotage import Sabotage
from wrappy.venue.sessions import Sessions
from wrappy.venue.settings import VenueSettings

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from types import TracebackType

    from wrappy.model import Market
    from wrappy.venue.accounts import VenueAccount
    from wrappy.venue.clocks import Clock
    from wrappy.venue.flow import Flow
    from wrappy.venue.ledger import EventLog
    from wrappy.venue.settings import FlowKind

_LONGEST_NAP_S = 1.0
_LONGEST_VIRTUAL_NAP_S = 3_600.0
_MOST_BACKLOG = 1_000
_RELIEF_S = 1.0
_EngineT = TypeVar("_EngineT", bound="Engine")


class Engine:
    """A local exchange that has no door to the network.

    Time runs while it is started; `answers` takes requests, `sessions` WebSocket
    conversations.

    Args:
        seed: seeds accounts, keys and the synthetic market.
        symbols: markets to open; ETH, BTC and SOL by default.
        tape: recorded markets that their own symbols replay; the other symbols stay
            synthetic.
        tier: tier of every account: standard, plus or premium.
        accounts: number of user accounts, at least two.
        verify: whether signatures and tokens are checked.
        flow: `"synthetic"`, `"none"`, or a flow of your own.
        clock: the world's time by default; a `SteppedClock` stands still until
            `advance` moves it, a `LoopClock` goes with the event loop.
        settings: a whole set of settings instead of the separate arguments above;
            seed, symbols, tape, tier, accounts, verify and flow are then its own.
        save_log: file to write every input to, for `python -m wrappy.venue replay`;
            packed if its name ends in `.gz`.
        markets: facts of the settings' symbols, in place of the bundled ones; such an
            exchange saves no log.

    Attributes:
        faults: what goes wrong; add rules to it.
        answers: takes REST requests.
        sessions: takes WebSocket conversations.

    Raises:
        ConfigError: a setting that cannot work.
        UnknownMarketError: a symbol that is not known.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        symbols: Sequence[str] | None = None,
        tape: str | os.PathLike[str] | None = None,
        tier: str = "premium",
        accounts: int = 2,
        verify: bool = True,
        flow: FlowKind | Flow | None = None,
        clock: Clock | None = None,
        settings: VenueSettings | None = None,
        save_log: str | os.PathLike[str] | None = None,
        markets: Sequence[Market] | None = None,
    ) -> None:
        if markets is not None and save_log is not None:
            raise ConfigError("save_log: a log knows the bundled markets only")
        own_flow = None if flow is None or isinstance(flow, str) else flow
        if settings is None:
            path = None if tape is None else Path(tape)
            named: FlowKind = "synthetic" if path is None else "tape"
            settings = VenueSettings(
                seed=seed,
                symbols=_symbols(symbols, path),
                tape=path,
                tier=tier,
                account_count=accounts,
                verify=verify,
                flow=flow if isinstance(flow, str) else named,
            )
        self._settings = settings
        self._markets = tuple(
            find_market(markets or BUNDLED_MARKETS, symbol=symbol)
            for symbol in settings.symbols
        )
        self._accounts = make_accounts(settings)
        self._clock: Clock = clock or WallClock()
        self._woken = False
        self._naps = False
        self._next: asyncio.Handle | None = None
        self._life = (
            open_market_life(settings, self._markets)
            if own_flow is None
            else MarketLife(own_flow)
        )
        self._exchange = self._open_exchange(save_log)
        self._floor = Floor(
            self._exchange,
            settings,
            clock=self._clock,
            flow=self._life.flow,
            wake=self._wake,
        )
        self.faults = Faults(
            settings.seed, record=self._exchange.note, now_us=self._floor.now_us
        )
        sabotage = Sabotage(self._floor, self.faults)
        self.answers = Answers(self._floor, sabotage)
        self.sessions = Sessions(self._floor, sabotage)
        sabotage.on_shutdown = self.sessions.announce_shutdown
        self._floor.attach(self.sessions)
        self._started = False
        self._longest_s = _LONGEST_NAP_S
        if isinstance(self._clock, LoopClock) and self._floor.follows_candles:
            # Asked in between, it wakes; and a loop's clock does not drift.
            self._longest_s = _LONGEST_VIRTUAL_NAP_S
        self._closed = False

    def _open_exchange(self, save_log: str | os.PathLike[str] | None) -> Exchange:
        settings, now_us = self._settings, self._clock.now_us()
        accounts = open_accounts(settings, self._accounts)
        if save_log is None:
            return Exchange(settings, self._markets, accounts, now_us=now_us)
        inputs = InputLog(Path(save_log), settings, now_us=now_us)
        return RecordedExchange(
            settings, self._markets, accounts, now_us=now_us, inputs=inputs
        )

    # ------------------------------------------------------------------- facts

    @property
    def settings(self) -> VenueSettings:
        """The settings in force."""
        return self._settings

    @property
    def chain_id(self) -> int:
        """Chain id that transactions must be signed for."""
        return self._settings.chain_id

    @property
    def accounts(self) -> tuple[VenueAccount, ...]:
        """User accounts with their keys."""
        return self._accounts

    @property
    def markets(self) -> tuple[Market, ...]:
        """Markets that are open."""
        return self._markets

    @property
    def exchange(self) -> Exchange:
        """The exchange itself."""
        return self._exchange

    @property
    def ledger(self) -> EventLog:
        """Everything that happened, as the exchange saw it."""
        return self._exchange.log

    @property
    def failure(self) -> BaseException | None:
        """What broke the venue, if anything did; requests are then answered 29500."""
        return self._floor.failure

    @property
    def connections(self) -> int:
        """WebSocket connections that are open now."""
        return len(self.sessions.sessions)

    @property
    def age_us(self) -> int:
        """Microseconds since the venue opened, which is what flows count."""
        return self._floor.now_us() - self._floor.opened_us

    # ------------------------------------------------------------- at the desk

    def announce(self, account: int, kind: str, content: Mapping[str, Any]) -> str:
        """Send an account a notification; return the notification's id.

        Args:
            account: index of a user's account.
            kind: such as `liquidation`, `deleverage` or `announcement` (official
                WebSocket reference).
            content: what it tells: anything that JSON can say.

        Raises:
            ConfigError: there is no such account, or JSON cannot say that.
        """
        self._check_account(account)
        return self._floor.announce(account, _kind(kind), _plain(content))

    def read_only_token(
        self, account: int, *, life_s: int = 30 * 86_400, sub_accounts: bool = False
    ) -> str:
        """Return a new token that lets its bearer read an account, and no more.

        Args:
            account: index of a user's account.
            life_s: seconds, a day to ten years (official API documentation).
            sub_accounts: whether it opens that owner's other accounts as well.

        Raises:
            ConfigError: no such account, a life out of bounds, or ten tokens already.
        """
        self._check_account(account)
        try:
            return self._floor.create_read_only_token(
                account, life_s=life_s, sub_accounts=sub_accounts
            )
        except Refused as error:
            raise ConfigError(f"life_s: {life_s}: {error.message}") from error

    def revoke_token(self, token: str) -> None:
        """Make a read-only token worthless.

        Raises:
            ConfigError: it is none of this exchange's.
        """
        try:
            self._floor.revoke_read_only_token(token)
        except Refused as error:
            raise ConfigError(f"token: {error.message}") from error

    def _check_account(self, account: int) -> None:
        if account not in [owner.account_index for owner in self._accounts]:
            known = [owner.account_index for owner in self._accounts]
            raise ConfigError(f"account: {account!r} is none of {known}")

    # ---------------------------------------------------------------- lifetime

    async def __aenter__(self: _EngineT) -> _EngineT:  # noqa: PYI019 - typing.Self needs 3.11
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Let time run.

        Raises:
            UsageError: it was started before.
        """
        if self._started or self._closed:
            raise UsageError("a venue is started once")
        self._started, opened = True, False
        try:
            self._floor.run_until(self._clock.now_us())
            await self._open()
            opened = True
        finally:
            if not opened:
                await self.aclose()
        if not isinstance(self._clock, SteppedClock):
            self._next = asyncio.get_running_loop().call_soon(self._pace)

    async def aclose(self) -> None:
        """Close every connection (1001) and end; a second call does nothing.

        Raises:
            BaseException: the first failure inside, if there was one.
        """
        if self._closed:
            return
        self._closed = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self.sessions.close()
        await self._close()
        self._floor.close()
        self._life.close()
        if isinstance(self._exchange, RecordedExchange):
            self._exchange.finish()
        if self._floor.failure is not None:
            raise self._floor.failure

    async def _open(self) -> None:
        """Open the doors, if there are any."""

    async def _close(self) -> None:
        """Close the doors, if there are any."""

    # ------------------------------------------------------------------ pacing

    def _pace(self) -> None:
        # Plain callbacks and no task: a venue with a busy market does this many
        # thousand times, and a task takes a turn of the loop more each time.
        self._next, self._naps = None, False
        try:
            nap_s = self._caught_up()
        except BaseException as error:  # the flow may be the caller's own
            if not isinstance(error, Exception):
                raise  # the end of the program
            self._floor.record_failure(error)
            return
        loop = asyncio.get_running_loop()
        if nap_s <= 0:
            self._next = loop.call_soon(self._pace)
        else:
            self._next, self._naps = loop.call_later(nap_s, self._pace), True

    def _caught_up(self) -> float:
        """Let everything happen that is due; return seconds until something is."""
        clock, run_until = self._clock, self._floor.run_until
        while True:
            self._woken = False
            due_us = run_until(clock.now_us())
            nap_s = min(self._longest_s, (due_us - clock.now_us()) / 1_000_000)
            if nap_s <= 0 or not self._woken:
                return nap_s

    def catch_up(self) -> None:
        """Let everything happen that is due by now, also what nobody noticed yet."""
        self._floor.catch_up()

    def wake(self) -> None:
        """Look at once what is due: for a flow that others fill."""
        self._wake()

    def _wake(self) -> None:
        self._woken = True
        if self._next is not None and self._naps:
            self._naps = False
            self._next.cancel()
            self._next = asyncio.get_running_loop().call_soon(self._pace)

    async def advance(self, seconds: float) -> None:
        """Move stepped time on; everything due happens in order, frames go out.

        Args:
            seconds: how far; 0 does what is due at this very moment.

        Raises:
            UsageError: the venue runs on the world's time.
        """
        clock = self._clock
        if not isinstance(clock, SteppedClock):
            raise UsageError("advance() needs a venue with clock=SteppedClock()")
        target_us = clock.now_us() + round(seconds * 1_000_000)
        while True:
            due_us = self._floor.next_due_us()
            if due_us > target_us:
                break
            clock.move_to(max(clock.now_us(), due_us))
            self._floor.run_until(clock.now_us())
            if self.sessions.sessions:
                await asyncio.sleep(0)
            if self.sessions.backlog > _MOST_BACKLOG:
                await self._relieve()
        clock.move_to(target_us)
        self._floor.run_until(target_us)

    async def _relieve(self) -> None:
        # Time moves faster than sockets: readers get a moment of the world's time.
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RELIEF_S
        while (  # noqa: ASYNC110 - the writers tell nobody when they have written
            self.sessions.backlog > _MOST_BACKLOG and loop.time() < deadline
        ):
            await asyncio.sleep(0)
        self.sessions.drop_laggards(_MOST_BACKLOG)


def _kind(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"kind: {value!r} is no text; give 'announcement'")
    return value


def _plain(content: object) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ConfigError(f"content: {type(content).__name__} is no JSON object")
    try:
        # A copy: what was announced cannot change afterwards.
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(content)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"content: JSON cannot say it: {error}") from error
    return plain


def _symbols(symbols: Sequence[str] | None, tape: Path | None) -> tuple[str, ...]:
    if isinstance(symbols, str):
        raise ConfigError(f"symbols: {symbols!r} is one text; give a list of symbols")
    names = tuple(symbols or VenueSettings().symbols)
    names = tuple(dict.fromkeys(name.upper() for name in names))
    if tape is None:
        return names
    return (*(name for name in tape_symbols(tape) if name not in names), *names)
