"""Frames handed on as the exchange sent them, for stores that read them themselves."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from wrappy.errors import ProtocolError
from wrappy.lighter.streaming.reading_frames import message_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wrappy.lighter.logs import LogSink

    Take = Callable[[str | None, dict[str, Any]], None]


class Taps:
    """Who gets the frames of a shared connection.

    A tap that raises is logged; the connection and the others go on.

    Args:
        log: where those that raise are told.
    """

    def __init__(self, log: LogSink) -> None:
        self._log = log
        self._taps: list[Take] = []

    def __bool__(self) -> bool:
        return bool(self._taps)

    def add(self, take: Take) -> Callable[[], None]:
        """Hand frames on to a function; what is returned ends it.

        Args:
            take: called with the channel, None for what concerns all of them, and
                the content.
        """
        self._taps.append(take)

        def remove() -> None:
            if take in self._taps:
                self._taps.remove(take)

        return remove

    def frame(self, channel: str, raw: bytes) -> None:
        """Hand on a channel's frame; one that is no JSON is left out."""
        if not self._taps:
            return
        try:
            message = message_in(raw)
        except ProtocolError:
            return  # told and counted where its channel took it
        self._hand_on(channel, message)

    def lost(self) -> None:
        """Say what the exchange says first of a new connection: all starts over."""
        self._hand_on(None, {"type": "connected"})

    def recovered(
        self, name: str, account: int, field: str, rows: Iterable[Mapping[str, Any]]
    ) -> None:
        """Hand on what was asked for, in the shape of the update that was missed."""
        by_market: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            market = row.get("market_index", row.get("market_id"))
            by_market.setdefault(str(market), []).append(row)
        message = {
            "type": f"update/{name}",
            "channel": f"{name}:{account}",
            field: by_market,
        }
        if by_market:
            self._hand_on(f"{name}/{account}", message)

    def _hand_on(self, channel: str | None, message: dict[str, Any]) -> None:
        for tap in tuple(self._taps):
            try:
                tap(channel, message)
            except Exception:  # noqa: BLE001, PERF203 - the caller's code may raise
                self._log.error("a tap raised:\n%s", traceback.format_exc())
