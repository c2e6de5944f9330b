"""A market's life, looked at after each of its steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.candle_flow import CalmRun, ReachOf
    from wrappy.venue.events import FlowAction
    from wrappy.venue.flow import PassesBars


class WatchedFlow:
    """A flow of candles that tells when what it did can be seen.

    Args:
        flow: the flow.
        stepped: called with microseconds since time 0, once what the flow did then
            has happened and before anything else does.
        passed: called with candles that reach nobody, before they are played as one.
    """

    def __init__(
        self,
        flow: PassesBars,
        *,
        stepped: Callable[[int], None],
        passed: Callable[[list[CalmRun]], None],
    ) -> None:
        self._flow = flow
        self._stepped = stepped
        self._passed = passed
        self._last_us: int | None = None

    @property
    def has_candles(self) -> bool:
        """Whether there are candles in it at all."""
        return self._flow.has_candles

    def next_at_us(self) -> int | None:
        """Return when the next actions are due."""
        self._tell()
        return self._flow.next_at_us()

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions due."""
        self._tell()
        self._last_us = now_us
        return self._flow.step(now_us)

    def next_close_us(self) -> int | None:
        """Return when the candle that is next closes, or None after the last."""
        return self._flow.next_close_us()

    def calm_until_us(self, until_us: int, reach_of: ReachOf) -> int | None:
        """Return when the first point comes that has to be played as one."""
        self._tell()
        return self._flow.calm_until_us(until_us, reach_of)

    def pass_calm(self, until_us: int, reach_of: ReachOf) -> list[CalmRun]:
        """Leave out the candles that come next, close by then and reach nobody."""
        self._tell()
        runs = self._flow.pass_calm(until_us, reach_of)
        if runs:
            self._passed(runs)
        return runs

    def _tell(self) -> None:
        # Whoever runs the exchange asks for what is next right after each step.
        if self._last_us is not None:
            last_us, self._last_us = self._last_us, None
            self._stepped(last_us)
