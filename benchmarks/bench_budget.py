"""The request budget: what waiting costs when there is room, and how full it runs.

The hours are simulated on a loop whose clock jumps to the next timer: more requests
than may leave wait all the time, a fifth of them cancels. What left is counted again
by the rolling window of the local exchange; a single request too many fails the run.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from functools import partial

from benchmarks.measure import Row, interleaved, main, row
from wrappy._core.quota import RollingWindow
from wrappy.lighter.pacing.limiter import RequestPace
from wrappy.protocol.tiers import TIERS, WINDOW_S

SEND = "/api/v1/sendTxBatch"
ROUNDS, CALLS, MINUTES = 11, 700, 60
QUICK_ROUNDS, QUICK_CALLS, QUICK_MINUTES = 2, 100, 3
WORKERS = 50
WAIT = "wait() with room, premium"
WAIT_ADOPTED = "wait() with room, for a minute after a change of tier"
HOUR = "a simulated hour of saturation, {}: left of what is allowed"


class JumpingSelector(selectors.SelectSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list:
        self.now += timeout or 0.0
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.now


def microseconds(calls: int, *, adopted: bool) -> float:
    async def some() -> float:
        pace = RequestPace(standard=False, weight_per_minute=None, clock=time.monotonic)
        if adopted:
            pace.adopt(TIERS["plus"])
            # The new bucket begins full; it has drained enough when this returns.
            await asyncio.sleep(calls / TIERS["plus"].sends_per_minute * 100)
        began = time.perf_counter()
        for _ in range(calls):
            await pace.wait(SEND)
        return (time.perf_counter() - began) / calls * 1e6

    return asyncio.run(some())


def share_used(name: str, minutes: int) -> float:
    tier = TIERS[name]
    loop = JumpingLoop()
    judge = RollingWindow(tier.sends_per_minute, WINDOW_S)
    ends = minutes * 60.0
    left = 0

    async def worker(*, urgent: bool) -> None:
        nonlocal left
        while loop.time() < ends:
            await pace.wait(SEND, urgent=urgent)
            assert judge.offer(1, loop.time()) == 0.0, "too many in a minute"
            left += loop.time() < ends

    async def hour() -> None:
        await asyncio.gather(
            *(worker(urgent=number % 5 == 0) for number in range(WORKERS))
        )

    pace = RequestPace(
        standard=not tier.weighted, weight_per_minute=None, clock=loop.time
    )
    try:
        loop.run_until_complete(hour())
    finally:
        loop.close()
    return left / (tier.sends_per_minute * minutes)


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    rounds, calls, minutes = (
        (QUICK_ROUNDS, QUICK_CALLS, QUICK_MINUTES)
        if quick
        else (ROUNDS, CALLS, MINUTES)
    )
    figures = interleaved(
        {
            WAIT: partial(microseconds, calls, adopted=False),
            WAIT_ADOPTED: partial(microseconds, min(calls, 20), adopted=True),
        },
        rounds=rounds,
    )
    rows = [
        row("budget", WAIT, figures, "us", target="<= 20"),
        row("budget", WAIT_ADOPTED, figures, "us"),
    ]
    for name in ("standard", "premium"):
        case = HOUR.format(name)
        used = {case: [share_used(name, minutes)]}
        rows.append(row("budget", case, used, "of the limit", target="<= 1"))
    return rows


if __name__ == "__main__":
    main(measure)
