"""Whatever comes, and whatever is told meanwhile: no window has more than it may."""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.quota import RollingWindow
from wrappy.lighter.pacing.limiter import SEND_PATHS, RequestPace
from wrappy.protocol.tiers import TIERS, WINDOW_S, weight_of

SEND = "/api/v1/sendTxBatch"
PATHS = (SEND, "/api/v1/account", "/api/v1/trades", "/api/v1/nextNonce")
SMALL = replace(
    TIERS["premium"], name="small", sends_per_minute=25, weight_per_minute=6_000
)
KNOWN = (TIERS["standard"], SMALL, TIERS["premium"])


class JumpingSelector(selectors.SelectSelector):
    """Never waits: tells the loop's clock to jump instead."""

    now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0.0
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop in which every timer comes at once."""

    def __init__(self):
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self):
        return self.selector.now


class Judge:
    """Counts as the exchange does, one window for each budget of each tier."""

    def __init__(self):
        self.windows = {}
        for tier in KNOWN:
            sends = tier.sends_per_minute
            read = RollingWindow(tier.weight_per_minute, WINDOW_S)
            send = RollingWindow(sends, WINDOW_S) if tier.weighted else read
            self.windows[tier.name] = {True: send, False: read}

    def departs(self, path, now, in_force):
        for tier in KNOWN:
            is_send = path in SEND_PATHS
            cost = 1 if is_send or not tier.weighted else weight_of(path)
            window = self.windows[tier.name][is_send]
            window.count(cost, now)
            if tier.name in in_force:
                assert window.used(now) <= window.limit, (tier.name, path, now)


ARRIVE = st.tuples(
    st.just("arrive"), st.sampled_from(PATHS), st.integers(1, 40), st.booleans()
)
THROTTLE = st.tuples(st.just("throttle"), st.sampled_from([None, 2.0, 30.0]))
ADOPT = st.tuples(st.just("adopt"), st.sampled_from(KNOWN))
GIVE_UP = st.tuples(st.just("give up"), st.integers(1, 20))
STEPS = st.lists(
    st.tuples(st.floats(0, 45), st.one_of(ARRIVE, ARRIVE, THROTTLE, ADOPT, GIVE_UP)),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(STEPS, st.sampled_from([True, False, None]))
def test_no_rolling_minute_ever_exceeds_the_limit(steps, standard):
    loop = JumpingLoop()
    judge = Judge()
    told = {True: "standard", False: "premium"}.get(standard)
    present, retired = told or "standard", {}
    paused_until = 0.0
    waiting = []

    async def one(the_pace, path, urgent):
        await the_pace.wait(path, urgent=urgent)
        now = loop.time()
        assert now >= paused_until - 1e-9
        in_force = {name for name, until in retired.items() if now < until}
        judge.departs(path, now, {present, *in_force})

    async def scenario():
        nonlocal present, told, paused_until
        the_pace = RequestPace(
            standard=standard, weight_per_minute=None, clock=loop.time
        )
        for pause_s, (what, *details) in steps:
            await asyncio.sleep(pause_s)
            if what == "arrive":
                path, count, urgent = details
                waiting.extend(
                    loop.create_task(one(the_pace, path, urgent)) for _ in range(count)
                )
            elif what == "throttle":
                the_pace.throttled(*details)
                paused_until = loop.time() + the_pace.state().paused_for_s
            elif what == "adopt":
                (tier,) = details
                if told is not None and tier.name != present:
                    retired[present] = loop.time() + WINDOW_S
                the_pace.adopt(tier)
                told = present = tier.name
            else:
                for task in waiting[-details[0] :]:
                    task.cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, Exception):
                raise outcome
        assert the_pace.state().waiting == 0

    try:
        loop.run_until_complete(scenario())
    finally:
        loop.close()
