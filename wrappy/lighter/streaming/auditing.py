"""Comparing what an account's streams tell with what it answers, now and then."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from wrappy._core.stream import StreamState
from wrappy._core.stream_audit import Finding, Look, StreamAudit
from wrappy.errors import UsageError, WrappyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.ws import WsInfo

logger = logging.getLogger("wrappy.ws")

AUDIT_S: Final = 60.0
"""From one comparison to the next."""

AGAIN_S: Final = 10.0
"""To the second look at a difference: so long the account's answers may lag."""


class Auditor:
    """Has an account told anew where its stream has fallen silent.

    From within the running loop, until it is closed or a dealer is. Two requests for
    each comparison, and two more ten seconds later where something differs.

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
        self._task = asyncio.ensure_future(self._run())
        self._task.set_name("wrappy audit")

    async def aclose(self) -> None:
        """Compare no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause_s = self._every_s
        while True:
            await asyncio.sleep(pause_s)
            pause_s = self._every_s
            try:
                finding, words = await self._compared()
            except UsageError:
                return  # somebody has closed a dealer
            except WrappyError as error:
                self._audit.forget()
                logger.info("the account could not be compared: %s", error)
                continue
            if finding is Finding.DOUBTFUL:
                pause_s = min(AGAIN_S, self._every_s)
            elif finding is Finding.BEHIND:
                logger.warning(
                    "the stream is silent on what happens to the account (%s): its "
                    "channels are subscribed anew",
                    words,
                )
                self._ws.refresh_account()
                await self._look_through()

    async def _compared(self) -> tuple[Finding, str]:
        if self._ws.state is not StreamState.READY:
            self._audit.forget()
            return Finding.SOUND, ""
        dealer = next(iter(self._dealers.values()))
        live = self._live()
        rows = await dealer.fetch_open_orders(everywhere=True)
        listed = {row.get("client_order_index") for row in rows}
        # Those without a number of their own are somebody else's.
        heard = [await self._ws.get_order_by_coi(one) for one in listed if one]
        answered = {one.symbol: one.size for one in await dealer.fetch_positions()}
        told = {name: one.size for name, one in self._ws.positions.items()}
        gone = frozenset(live & self._live() - listed)
        return self._audit.judge(Look(told, answered, gone, heard.count(None)))

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
