"""Asks for snapshots of broken books through a connection that pybotters keeps.

pybotters subscribes when it connects and never again, so the store has to ask. The
exchange counts messages, 200 a minute and address, so one market is asked for once a
second at most, and with growing pauses while no sound book comes of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from pybotters.ws import ClientWebSocketResponse

logger = logging.getLogger("wrappy.datastore")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class _Request(NamedTuple):
    ws: ClientWebSocketResponse
    timer: asyncio.TimerHandle
    pause_s: float


class BookRequests:
    """What was asked for, and when to look whether it came.

    Args:
        is_valid: whether the book of a market is sound.
    """

    def __init__(self, is_valid: Callable[[int], bool]) -> None:
        self._is_valid = is_valid
        self._asked: dict[int, _Request] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def ask(self, market_id: int, ws: ClientWebSocketResponse) -> None:
        """Ask for a market's book now, or leave it to the timer of the last request."""
        asked = self._asked.get(market_id)
        if asked is not None and asked.ws is ws:
            return
        if asked is not None:
            asked.timer.cancel()
        self._request(market_id, ws, FIRST_PAUSE_S)

    def send(self, ws: ClientWebSocketResponse, *messages: dict[str, str]) -> None:
        """Send messages one after the other, away from the caller."""

        async def sent() -> None:
            try:
                for message in messages:
                    await ws.send_json(message)
            except ConnectionError as error:
                # The next connection begins with snapshots anyway.
                logger.info("not sent, the connection is closing: %s", error)

        task = asyncio.get_running_loop().create_task(sent(), name="wrappy-datastore")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _request(
        self, market_id: int, ws: ClientWebSocketResponse, pause_s: float
    ) -> None:
        channel = f"order_book/{market_id}"
        self.send(
            ws,
            {"type": "unsubscribe", "channel": channel},
            {"type": "subscribe", "channel": channel},
        )
        timer = asyncio.get_running_loop().call_later(
            pause_s, self._look_again, market_id
        )
        self._asked[market_id] = _Request(ws, timer, pause_s)

    def _look_again(self, market_id: int) -> None:
        asked = self._asked.pop(market_id)
        if not asked.ws.closed and not self._is_valid(market_id):
            pause_s = min(2 * asked.pause_s, LONGEST_PAUSE_S)
            self._request(market_id, asked.ws, pause_s)
