"""What time it is at the exchange: asked now and then, carried on by our own clock."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from wrappy._core.token_life import ClockSkew
from wrappy.errors import ProtocolError, WrappyError
from wrappy.lighter.wire.within import within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wrappy.lighter.environment import RestConnection
    from wrappy.lighter.pacing.limiter import RequestPace

logger = logging.getLogger("wrappy.clock")

STATUS_PATH = "/"
PATIENCE_S = 5.0
"""Longest wait for the exchange's clock, the pace included; ours stands in then."""


async def ask_venue_s(rest: RestConnection, pace: RequestPace) -> int:
    """Ask for the exchange's clock; return unix seconds, rounded down.

    Raises:
        ProtocolError: the answer has no time.
        VenueError, TransportError: it could not be asked.
    """
    await pace.wait(STATUS_PATH, urgent=True)
    told = (await rest.get(STATUS_PATH)).get("timestamp")
    if isinstance(told, bool) or not isinstance(told, int) or told <= 0:
        raise ProtocolError(f"{STATUS_PATH}: timestamp {told!r} is no time")
    return told


class VenueTime:
    """The exchange's clock, as well as it is known.

    Several token sources may share one.

    Args:
        ask: asks for it, unix seconds; None leaves it at our own clock.
        unix_s: our own clock.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[int]] | None,
        *,
        unix_s: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._unix_s = unix_s
        self._skew = ClockSkew()
        self._asking = asyncio.Lock()

    @property
    def skew_s(self) -> float | None:
        """Seconds the exchange's clock is ahead of ours, None while not known."""
        return self._skew.skew_s

    def now_s(self) -> float:
        """Return the exchange's unix seconds, ours while they are not known."""
        return self._skew.venue_s(now=_now(), unix_s=self._unix_s())

    def seconds_to_look(self) -> float | None:
        """Return how long until `look` asks again; None if there is nobody to ask."""
        return None if self._ask is None else self._skew.seconds_to_look(now=_now())

    def doubt(self) -> None:
        """Have `look` ask again soon: the exchange judged a time otherwise."""
        self._skew.doubt(now=_now())

    async def look(self) -> None:
        """Ask for the exchange's clock if that is due; a failure is only logged."""
        ask = self._ask
        if ask is None or not self._is_due():
            return
        async with self._asking:
            if not self._is_due():
                return  # somebody else has asked meanwhile
            asked_at = _now()
            try:
                told = await within(PATIENCE_S, ask())
            except (WrappyError, asyncio.TimeoutError) as error:
                self._skew.failed(now=_now(), unix_s=self._unix_s())
                logger.info("the exchange's clock is not known: %r", error)
                return
            is_news = self._skew.read(
                told, asked_at=asked_at, now=_now(), unix_s=self._unix_s()
            )
            if is_news:
                logger.warning(
                    "this machine's clock is %+.0f s off the exchange's; tokens are "
                    "made by the exchange's, but set the clock (NTP)",
                    -(self._skew.skew_s or 0.0),
                )

    def _is_due(self) -> bool:
        return self._skew.is_due(now=_now(), unix_s=self._unix_s())


def _now() -> float:
    return asyncio.get_running_loop().time()
