"""When a dead man's switch is renewed, and what the next step is.

The exchange cancels every order of an account at a scheduled moment unless that is
moved on. Sources differ on moving it: the official API documentation names a code
for a second schedule while one is set, the prover circuits replace the first. So a
plain renewal is tried, and once it was refused, the old schedule is withdrawn first.

Pacing takes `now` from a monotone clock; the moment itself is in unix time, which
the caller's clock tells.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from wrappy.errors import ConfigError

MIN_HORIZON_S = 300
MAX_HORIZON_S = 86_400
"""Who is silent for a day is not coming back."""

MAX_SCHEDULE_S = 15 * 86_400
"""As far ahead as the exchange takes a schedule (official API documentation)."""

SLACK_S = 5
"""Room for the way to the exchange, which refuses less than 300 s ahead."""

RENEWALS_IN_A_HORIZON = 3
FIRST_RETRY_S = 1.0
SLOWEST_RETRY_S = 30.0


class DeadManAction(enum.Enum):
    """What to do next."""

    WAIT = "wait"
    SCHEDULE = "schedule"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class DeadManStep:
    """One decision.

    Attributes:
        action: what to do.
        wait_s: seconds to wait, with `WAIT`.
        time_ms: unix milliseconds to schedule for, with `SCHEDULE`.
    """

    action: DeadManAction
    wait_s: float = 0.0
    time_ms: int = 0


class DeadMan:
    """Keeps one account's switch renewed.

    Attributes:
        horizon_s: how long the owner may be silent, 300..86400 seconds.
        armed_until_s: unix seconds of the schedule that holds; None while none does.
            A renewal that failed leaves the earlier one standing.
        renewals: schedules that were accepted.
        last_error: why the latest try failed; empty when it did not.
    """

    __slots__ = (
        "_abort_first",
        "_due_at",
        "_must_abort",
        "_retry_s",
        "_withdrawn",
        "armed_until_s",
        "horizon_s",
        "last_error",
        "renewals",
    )

    def __init__(self, horizon_s: int, *, longest_s: int = MAX_HORIZON_S) -> None:
        """Be due at once.

        Raises:
            ConfigError: the horizon is out of range.
        """
        if not MIN_HORIZON_S <= horizon_s <= longest_s:
            raise ConfigError(
                f"horizon_s: {horizon_s} is outside {MIN_HORIZON_S}..{longest_s}"
            )
        self.horizon_s = horizon_s
        self.armed_until_s: float | None = None
        self.renewals = 0
        self.last_error = ""
        self._abort_first = False
        self._must_abort = False
        self._withdrawn = False
        self._due_at: float | None = None
        self._retry_s = FIRST_RETRY_S

    def step(self, *, now: float, unix_s: float) -> DeadManStep:
        """Return what to do at this moment.

        Args:
            now: monotone seconds.
            unix_s: unix seconds.
        """
        if self._due_at is not None and now < self._due_at:
            return DeadManStep(DeadManAction.WAIT, wait_s=self._due_at - now)
        if self._must_abort:
            return DeadManStep(DeadManAction.ABORT)
        ahead_s = max(self.horizon_s, MIN_HORIZON_S + SLACK_S)
        ahead_s = min(ahead_s, MAX_SCHEDULE_S - SLACK_S)
        return DeadManStep(
            DeadManAction.SCHEDULE, time_ms=int((unix_s + ahead_s) * 1000)
        )

    def scheduled(self, time_ms: int, *, now: float) -> None:
        """Note that the exchange accepted a schedule."""
        self.armed_until_s = time_ms / 1000
        self.renewals += 1
        self._must_abort = self._abort_first
        self._withdrawn = False
        self._rest(now)

    def refused_second(self, *, now: float) -> None:
        """Note that one schedule stands and a second is not taken.

        Right after a withdrawal, that one is on its way still: it gets a moment.
        """
        if self._withdrawn:
            self._withdrawn = False
            self.failed("the earlier schedule is not withdrawn yet", now=now)
            return
        self._abort_first = self._must_abort = True
        self._due_at = None

    def aborted(self) -> None:
        """Note that the exchange withdrew the schedule; a new one is due at once."""
        self.armed_until_s = None
        self._must_abort = False
        self._withdrawn = True
        self._due_at = None

    def failed(self, reason: str, *, now: float) -> None:
        """Note that a try failed; it comes again soon, and ever more slowly."""
        self.last_error = reason
        self._due_at = now + self._retry_s
        self._retry_s = min(self._retry_s * 2, SLOWEST_RETRY_S)

    def _rest(self, now: float) -> None:
        self.last_error = ""
        self._retry_s = FIRST_RETRY_S
        self._due_at = now + self.horizon_s / RENEWALS_IN_A_HORIZON
