"""Comparing what an account's streams tell with what it answers, now and then."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from wrappy._core.coi import COI_MAX
from wrappy._core.stream import StreamState
from wrappy._core.stream_audit import Finding, Look, StreamAudit
from wrappy.errors import UsageError, WrappyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.ws import WsInfo
    from wrappy.model import Position

logger = logging.getLogger("wrappy.ws")

AUDIT_S: Final = 60.0
"""From one comparison to the next."""

AGAIN_S: Final = 10.0
"""To the second look at a difference: so long the account's answers may lag."""

LONGEST_S: Final = 3_600.0
"""Between comparisons when subscribing anew has changed nothing again and again."""

MOST_DOUBLINGS: Final = 16


class Auditor:
    """Has an account told anew where its stream has fallen silent.

    From within the running loop, until it is closed or a dealer is. Two requests for
    each comparison, and two more ten seconds later where something differs. What
    differs still when it was subscribed anew is no silence: each such time doubles the
    pause, up to an hour.

    Args:
        ws: streams of the account.
        dealers: of the same account, by symbol; their orders are looked through too.
        every_s: seconds from one comparison to the next.
    """

    def __init__(
        self, ws: WsInfo, dealers: Mapping[str, LighterDealer], *, every_s: float
    ) -> None:
        self._ws = ws
        self._dealers = dealers
        self._every_s = every_s
        self._audit = StreamAudit()
        self._alarms = self._connects = 0
        self._sizes: dict[str, Decimal] = _sizes_in(ws.positions)
        self._moved: set[str] = set()
        self._unhook = ws.add_hook("on_positions", self._hear)
        self._task = asyncio.ensure_future(self._run())
        self._task.set_name("wrappy audit")
        self._task.add_done_callback(_see)

    async def aclose(self) -> None:
        """Compare no more."""
        self._unhook()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause_s, is_second = self._every_s, False
        while True:
            await asyncio.sleep(pause_s)
            pause_s, was_second, is_second = self._every_s, is_second, False
            try:
                finding, words = await self._compared()
            except UsageError:
                return  # somebody has closed a dealer
            except WrappyError as error:
                self._audit.forget()
                logger.info("the account could not be compared: %s", error)
                continue
            if finding is Finding.SOUND:
                self._alarms = 0
            elif finding is Finding.BEHIND:
                pause_s = min(pause_s * 2**self._alarms, max(LONGEST_S, pause_s))
                self._alarms = min(self._alarms + 1, MOST_DOUBLINGS)
                logger.warning(
                    "the stream is silent on what happens to the account (%s): its "
                    "channels are subscribed anew",
                    words,
                )
                self._ws.refresh_account()
                await self._look_through()
            elif not was_second:
                # Where it differs every time, in another way, that is no hurry.
                pause_s, is_second = min(AGAIN_S, pause_s), True

    async def _compared(self) -> tuple[Finding, str]:
        if self._ws.state is not StreamState.READY:
            self._audit.forget()
            return Finding.SOUND, ""
        if self._ws.connects != self._connects:
            # There was an outage, however short.
            self._connects = self._ws.connects
            self._audit.forget()
        dealer = next(iter(self._dealers.values()))
        live = self._live()
        rows = await dealer.fetch_open_orders(everywhere=True)
        listed = {row.get("client_order_index") for row in rows}
        # Those without a number of their own are somebody else's.
        numbers = {n for n in listed if isinstance(n, int) and 1 <= n <= COI_MAX}
        unheard = [
            number
            for number in numbers | self._audit.awaited
            if await self._ws.get_order_by_coi(number) is None
        ]
        answered = {one.symbol: one.size for one in await dealer.fetch_positions()}
        told = _sizes_in(self._ws.positions)
        gone = frozenset(live & self._live() - listed)
        moved, self._moved = frozenset(self._moved), set()
        look = Look(told, answered, gone, frozenset(unheard), moved)
        return self._audit.judge(look)

    def _hear(self, positions: Mapping[str, Position]) -> None:
        before, self._sizes = self._sizes, _sizes_in(positions)
        names = before.keys() | self._sizes.keys()
        self._moved |= {n for n in names if before.get(n) != self._sizes.get(n)}

    def _live(self) -> set[int]:
        """Return the orders that the exchange has told to be live."""
        return {
            order.client_order_index
            for dealer in self._dealers.values()
            for order in dealer.orders.live()
            if order.reported is not None
        }

    async def _look_through(self) -> None:
        for symbol, dealer in self._dealers.items():
            try:
                await dealer.reconcile()
            except WrappyError as error:  # noqa: PERF203 - one must not keep the others
                logger.warning("%s: looking for orders: %s", symbol, error)


def _sizes_in(positions: Mapping[str, Position]) -> dict[str, Decimal]:
    return {symbol: position.size for symbol, position in positions.items()}


def _see(task: asyncio.Task[None]) -> None:
    """Tell of an end that nobody foresaw: nothing would be compared from then on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("nothing is compared with the account any more", exc_info=error)
