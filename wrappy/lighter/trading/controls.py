"""What takes orders away: cancel-all, now or scheduled, and the dead man's switch.

Each of these is sent at once, in a batch of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from wrappy._core.dead_man import (
    MAX_HORIZON_S,
    MAX_SCHEDULE_S,
    MIN_HORIZON_S,
    DeadMan,
    DeadManAction,
)
from wrappy.errors import UsageError, VenueError, WrappyError
from wrappy.lighter.persistence.state_files import origin
from wrappy.lighter.results import DeadManState
from wrappy.lighter.sending.flushing import require_no_batch
from wrappy.lighter.trading.arguments import checked_flag, checked_whole
from wrappy.lighter.trading.margin import MarginControls
from wrappy.lighter.wire.within import within
from wrappy.protocol.intents import CancelAllOrders

if TYPE_CHECKING:
    from wrappy.lighter.results import FlushResult
    from wrappy.lighter.sending.guarding import OrderGuard

logger = logging.getLogger("LighterDealer.controls")

SCHEDULE, ABORT = 1, 2
SECOND_SCHEDULE = 21712
"""Code for a schedule while one is set (official API documentation)."""

CLOSING_TAKES_S = 1.0
"""How long a renewal that is on its way may still take at the close."""


@dataclass(slots=True)
class _Switches:
    """The switches that dealers of this process keep for one account.

    Attributes:
        kept: one for each dealer that keeps one.
        leaving: held by whoever takes theirs away. Two at a time could each count on
            the other, or leave a schedule behind that nobody withdraws.
    """

    kept: list[DeadMan] = field(default_factory=list)
    leaving: asyncio.Lock = field(default_factory=asyncio.Lock)


_switches: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[str | None, int | None], _Switches]
] = weakref.WeakKeyDictionary()


class AccountControls(MarginControls):
    """A session that can also act on the account as a whole."""

    _dead_man: DeadMan | None = None
    _keeper: asyncio.Task[None] | None = None
    _enough: asyncio.Event | None = None

    def attach_guard(self, guard: OrderGuard | None) -> None:
        """Have orders and changes judged before they are queued, and as they leave.

        Args:
            guard: denies by raising; cancels are not asked about. None ends it.
        """
        self._outbox.guard = guard

    def drop_queued(self) -> None:
        """Drop what is queued and was not sent; the log tells which orders.

        What a task has in an open `batch()` stays there.
        """
        self._require_open()
        self._outbox.discard("dropped before it was sent")

    async def cancel_all_orders(self, *, everywhere: bool = False) -> FlushResult:
        """Cancel every order of the account in this market, at once.

        It goes before everything that waits for the pace. What this dealer has
        queued before the call, and not sent yet, is dropped: new orders and changes,
        also those of a flush that waits for its turn. Their receipts say `NOT_SENT`.

        Args:
            everywhere: in all markets.

        Raises:
            UsageError: called inside `batch()`.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "cancel_all_orders")
        whole_account = checked_flag(everywhere, field="everywhere")
        market = None if whole_account else self.market.market_id
        return await self._send_now(CancelAllOrders(market_index=market))

    async def schedule_cancel_all(self, after_s: int) -> float:
        """Have the exchange cancel every order of the account later, in all markets.

        An earlier schedule is replaced: there is one for the account.

        Args:
            after_s: seconds from now, 300 to 15 days.

        Returns:
            The moment, unix seconds. The exchange may take half a minute more.

        Raises:
            UsageError: the dead man's switch is armed, or inside `batch()`.
            InvalidOrderError: not such a number.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "schedule_cancel_all")
        after = checked_whole(after_s, MIN_HORIZON_S, MAX_SCHEDULE_S, field="after_s")
        if self._dead_man is not None:
            raise UsageError(
                "schedule_cancel_all while the dead man's switch is armed: both use "
                "the account's one schedule; `await dealer.disarm_dead_man()` first"
            )
        schedule = DeadMan(after, longest_s=MAX_SCHEDULE_S)
        return await self._arm(schedule)

    async def abort_scheduled_cancel(self) -> FlushResult:
        """Withdraw the account's scheduled cancel-all, if there is one.

        Raises:
            UsageError: the dead man's switch is armed, or inside `batch()`.
            VenueError, TransportError: see `flush`.
        """
        self._require_open()
        require_no_batch(self._outbox, "abort_scheduled_cancel")
        if self._dead_man is not None:
            raise UsageError(
                "abort_scheduled_cancel while the dead man's switch is armed; use "
                "`await dealer.disarm_dead_man()`"
            )
        return await self._send_now(CancelAllOrders(time_in_force=ABORT))

    @property
    def dead_man(self) -> DeadManState | None:
        """The dead man's switch as this dealer knows it; None while it keeps none."""
        switch = self._dead_man
        if switch is None:
            return None
        return DeadManState(
            horizon_s=switch.horizon_s,
            armed_until_s=switch.armed_until_s,
            renewals=switch.renewals,
            last_error=switch.last_error,
        )

    async def arm_dead_man(self, horizon_s: int | None = None) -> DeadManState:
        """Have all orders of the account canceled when this dealer falls silent.

        The dealer renews the schedule three times within each horizon, until it is
        closed or the switch is disarmed. Each renewal spends a nonce, and on a
        premium account a unit of the volume quota. The account has one schedule: one
        dealer is enough, and of several in this process the last withdraws it. It
        takes protective stops away like every other
        order.

        Args:
            horizon_s: how long the silence may last, 300 to 86400 seconds; None
                takes `dead_man_s` of the settings.

        Raises:
            InvalidOrderError: not such a number.
            UsageError: inside `batch()`.
            VenueError, TransportError: the exchange did not take it; a switch that
                was armed before is kept. After `SendOutcomeUnknownError` a schedule
                may stand all the same: arm again, or withdraw it.
        """
        self._require_open()
        require_no_batch(self._outbox, "arm_dead_man")
        given = self.config.dead_man_s if horizon_s is None else horizon_s
        horizon = checked_whole(given, MIN_HORIZON_S, MAX_HORIZON_S, field="horizon_s")
        before = self._dead_man
        await self._stop_keeper()
        switch = DeadMan(horizon)
        try:
            await self._arm(switch)
        except BaseException:
            if before is not None:
                self._keep(before)
            raise
        self._keep(switch)
        state = self.dead_man
        assert state is not None  # noqa: S101 - set just now
        return state

    async def disarm_dead_man(self) -> None:
        """Stop renewing and withdraw the schedule; nothing happens if none is kept.

        Raises:
            VenueError, TransportError: the exchange did not withdraw it: all orders
                will be canceled at the moment that was set last.
        """
        self._require_open()
        await self._disarm()

    async def aclose(self, *, disarm: bool = True) -> None:
        """Close all connections. What is still queued is dropped, with a warning.

        What is on its way gets its answer first; a flush that only waits for its
        turn sends nothing any more.

        Args:
            disarm: withdraw what the dead man's switch has scheduled. False leaves
                it: every order of the account is canceled when its time comes.
        """
        if not self._closed:
            try:
                if disarm:
                    await self._disarm_at_close()
            finally:
                await self._stop_keeper()
        await super().aclose()

    async def _begin(self) -> None:
        await super()._begin()
        if self.config.dead_man_s is not None:
            await self.arm_dead_man()

    # The dead man's switch

    async def _arm(self, switch: DeadMan) -> float:
        """Carry out steps until the first schedule stands; return its moment."""
        while not switch.renewals:
            await self._carry_out(switch, asyncio.Event())
        return switch.armed_until_s or 0.0

    async def _carry_out(self, switch: DeadMan, enough: asyncio.Event) -> None:
        """Do the switch's next step: wait, schedule or withdraw."""
        clock = asyncio.get_running_loop().time
        step = switch.step(now=clock(), unix_s=self._parts.environment.unix_s())
        if step.action is DeadManAction.WAIT:
            with contextlib.suppress(asyncio.TimeoutError):
                await within(step.wait_s, enough.wait())
        elif step.action is DeadManAction.ABORT:
            await self._send_now(CancelAllOrders(time_in_force=ABORT))
            switch.aborted()
        else:
            intent = CancelAllOrders(time_in_force=SCHEDULE, time_ms=step.time_ms)
            try:
                await self._send_now(intent)
            except VenueError as error:
                if error.code != SECOND_SCHEDULE:
                    raise
                switch.refused_second(now=clock())
            else:
                switch.scheduled(step.time_ms, now=clock())

    def _keep(self, switch: DeadMan) -> None:
        """Renew a switch from now on."""
        self._dead_man = switch
        if self.config.prefer_high_level:
            return
        self._others().kept.append(switch)
        self._enough = asyncio.Event()
        self._keeper = asyncio.create_task(
            self._keep_armed(switch, self._enough), name="wrappy dead man"
        )
        self._keeper.add_done_callback(partial(_note_end, switch))

    async def _keep_armed(self, switch: DeadMan, enough: asyncio.Event) -> None:
        while not enough.is_set():
            await self._try_step(switch, enough)

    async def _try_step(self, switch: DeadMan, enough: asyncio.Event) -> None:
        try:
            await self._carry_out(switch, enough)
        except WrappyError as error:
            switch.failed(str(error), now=asyncio.get_running_loop().time())
            logger.error(  # noqa: TRY400 - the error is in the message
                "dead man's switch not renewed (%s); armed until %s",
                error,
                switch.armed_until_s,
            )

    async def _stop_keeper(self) -> None:
        """Renew no more; what is on its way gets a moment for its answer."""
        keeper, self._keeper = self._keeper, None
        switch, self._dead_man = self._dead_man, None
        if switch in (kept := self._others().kept):
            kept.remove(switch)
        if keeper is None or self._enough is None:
            return
        self._enough.set()
        await asyncio.wait([keeper], timeout=CLOSING_TAKES_S)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    async def _disarm(self) -> None:
        if self._dead_man is None:
            return
        switches = self._others()
        async with switches.leaving:
            await self._stop_keeper()
            if not switches.kept:
                await self._send_now(CancelAllOrders(time_in_force=ABORT))
                return
            # The account has one schedule: it goes on as the other dealers want it.
            strictest = min(switches.kept, key=lambda switch: switch.horizon_s)
            successor = DeadMan(strictest.horizon_s)
            until_s = await self._arm(successor)
            now = asyncio.get_running_loop().time()
            strictest.scheduled(round(until_s * 1000), now=now)

    def _others(self) -> _Switches:
        """Return what dealers of this process keep for the account."""
        mine = _switches.setdefault(asyncio.get_running_loop(), {})
        account = (origin(self.config.base_url or ""), self.config.account_index)
        return mine.setdefault(account, _Switches())

    async def _disarm_at_close(self) -> None:
        switch = self._dead_man
        try:
            await asyncio.wait_for(self._disarm(), self.config.request_timeout_s)
        except (WrappyError, asyncio.TimeoutError) as error:
            logger.error(  # noqa: TRY400 - the error is in the message
                "dead man's switch not disarmed (%s); every order of the account "
                "is canceled at unix time %s",
                str(error) or "no answer in time",
                switch.armed_until_s if switch else None,
            )


def _note_end(switch: DeadMan, keeper: asyncio.Task[None]) -> None:
    """Tell a failure that nobody foresaw: the switch is not renewed any more."""
    error = None if keeper.cancelled() else keeper.exception()
    if error is not None:
        switch.last_error = f"stopped: {error!r}"
        logger.error(
            "dead man's switch is not renewed any more; armed until %s",
            switch.armed_until_s,
            exc_info=error,
        )
