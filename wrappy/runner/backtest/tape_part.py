"""A stretch of a tape, played as if nothing stood before or after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy.venue.events import SetIndexPrice, SetLevel

if TYPE_CHECKING:
    from wrappy.venue.events import FlowAction
    from wrappy.venue.recording_flow import RecordingFlow
    from wrappy.venue.tape import TapeFlow


class TapePart:
    """What a tape plays from one time to another; see `Flow`.

    It begins with the book that stands by then. What was traded before is left out,
    and so is everything from the end on. The file is read from its beginning.

    Args:
        tape: the whole; closed with this.
        begin_us: unix microseconds; None or an earlier time begin with the tape.
        end_us: unix microseconds; None ends with the tape.

    Attributes:
        begin_us: time 0 of the stretch, unix microseconds.
    """

    def __init__(
        self, tape: TapeFlow | RecordingFlow, begin_us: int | None, end_us: int | None
    ) -> None:
        self._tape = tape
        self.begin_us = max(tape.begin_us, begin_us or 0)
        self._skipped_us = self.begin_us - tape.begin_us
        self._end_us = None if end_us is None else end_us - self.begin_us
        self._first = _stood(tape, self._skipped_us) if self._skipped_us else None

    @property
    def goes_on(self) -> bool:
        """Whether the tape has more than what is played."""
        due = self._tape.next_at_us()
        return due is not None and self._is_over(due - self._skipped_us)

    def next_at_us(self) -> int | None:
        """Return when the next line is due, or None at the end of the stretch."""
        if self._first is not None:
            return 0
        due = self._tape.next_at_us()
        if due is None or self._is_over(due - self._skipped_us):
            return None
        return due - self._skipped_us

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the actions of all lines due up to and including `now_us`."""
        actions, self._first = self._first or [], None
        if self._end_us is not None:
            now_us = min(now_us, self._end_us - 1)
        return actions + self._tape.step(now_us + self._skipped_us)

    def close(self) -> None:
        """End the replay and close the file."""
        self._first = None
        self._tape.close()

    def _is_over(self, at_us: int) -> bool:
        return self._end_us is not None and at_us >= self._end_us


def _stood(tape: TapeFlow | RecordingFlow, until_us: int) -> list[FlowAction]:
    """Play a tape up to a time and return the book and the index price of then."""
    levels: dict[tuple[bool, int], FlowAction] = {}
    index: list[FlowAction] = []
    while (due := tape.next_at_us()) is not None and due < until_us:
        for action in tape.step(due):
            if isinstance(action, SetLevel):
                levels.pop((action.is_ask, action.price), None)
                if action.base:
                    levels[action.is_ask, action.price] = action
            elif isinstance(action, SetIndexPrice):
                index = [action]
    return [*levels.values(), *index]
