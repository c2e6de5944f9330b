"""The pace, on a loop whose clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import itertools
import selectors

import pytest

from wrappy.errors import ConfigError
from wrappy.lighter.limiter import RequestPace
from wrappy.protocol.tiers import TIERS

SEND = "/api/v1/sendTx"
READ = "/api/v1/account"


class JumpingSelector(selectors.SelectSelector):
    """Never waits: tells the loop's clock to jump instead."""

    now = 0.0
    turns = 0

    def select(self, timeout=None):
        ready = super().select(0)
        self.turns += 1
        if timeout:
            self.now += timeout
            self.turns = 0
        elif self.turns > 300:
            # A timer that is due a hair too early finds nothing changed and sets
            # itself again, for ever, unless time creeps on.
            self.now += 1e-6
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop in which every timer comes at once."""

    def __init__(self):
        self.selector = JumpingSelector()
        super().__init__(self.selector)

    def time(self):
        return self.selector.now


@pytest.fixture
def play():
    """Run a scenario in virtual time and return its result."""
    loop = JumpingLoop()
    yield loop.run_until_complete
    loop.close()


def pace(**settings):
    settings = {"standard": True, "weight_per_minute": None, **settings}
    return RequestPace(clock=asyncio.get_running_loop().time, **settings)


async def departures(the_pace, path, count, **how):
    """Return when each of `count` requests that start at once may leave."""

    async def one():
        await the_pace.wait(path, **how)
        return asyncio.get_running_loop().time()

    times = await asyncio.gather(*(one() for _ in range(count)))
    return sorted(round(time, 2) for time in times)


def most_in_a_minute(times):
    return max(sum(t <= other < t + 60 for other in times) for t in times)


def test_a_standard_account_stays_below_sixty_requests_in_any_minute(play):
    async def scenario():
        the_pace = pace()
        sends = asyncio.create_task(departures(the_pace, SEND, 60))
        reads = asyncio.create_task(departures(the_pace, READ, 60))
        cancels = asyncio.create_task(departures(the_pace, SEND, 30, urgent=True))
        times = [*await sends, *await reads, *await cancels]
        assert (the_pace.requests, the_pace.weight) == (150, 150)
        return times

    times = play(scenario())
    assert most_in_a_minute(times) <= 60
    assert max(times) < 10 * 60


def test_a_premium_account_has_sends_apart_from_weighted_reads(play):
    async def scenario():
        the_pace = pace(standard=False)
        reads = asyncio.create_task(departures(the_pace, READ, 120))
        sends = await departures(the_pace, SEND, 500)
        assert max(sends) == 0.0
        times = await reads
        assert the_pace.weight == 500 + 120 * 300
        return times

    times = play(scenario())
    budget = TIERS["premium"].weight_per_minute
    assert most_in_a_minute(times) * 300 <= budget


def test_cancels_pass_when_ordinary_requests_have_to_wait(play):
    async def scenario():
        the_pace = pace()
        ordinary = asyncio.create_task(departures(the_pace, SEND, 40))
        for _ in range(100):
            await asyncio.sleep(0)
        assert await departures(the_pace, SEND, 1, urgent=True) == [0.0]
        return await ordinary

    assert max(play(scenario())) > 0.0


def test_an_urgent_request_takes_the_ordinary_share_while_there_is_one(play):
    async def scenario():
        the_pace = pace()
        first = await departures(the_pace, SEND, 1, urgent=True)
        # The reserve is whole: three more than the ordinary burst go at once.
        rest = await departures(the_pace, SEND, 14, urgent=True)
        return [*first, *rest]

    assert play(scenario()) == [0.0] * 15


def test_after_a_refusal_everything_pauses(play):
    async def scenario():
        the_pace = pace()
        the_pace.throttled(5.0)
        first = await departures(the_pace, SEND, 1)
        urgent = await departures(the_pace, SEND, 1, urgent=True)
        the_pace.throttled()
        return [*first, *urgent, *await departures(the_pace, READ, 1)]

    assert play(scenario()) == [5.0, 5.0, 65.0]


def test_a_pause_that_grows_is_sat_out_to_its_end(play):
    async def scenario():
        the_pace = pace()
        the_pace.throttled(5.0)
        waiting = asyncio.create_task(departures(the_pace, SEND, 1))
        await asyncio.sleep(3.0)
        the_pace.throttled(10.0)
        return await waiting

    assert play(scenario()) == [13.0]


def test_who_waits_for_a_turn_when_the_pause_begins_waits_for_its_end_too(play):
    async def scenario():
        the_pace = pace()
        many = asyncio.create_task(departures(the_pace, SEND, 60))
        await asyncio.sleep(1.0)
        the_pace.throttled(60.0)
        return await many

    times = play(scenario())
    after = [time for time in times if time > 1.0]
    assert min(after) >= 61.0
    assert most_in_a_minute(after) <= 60
    gaps = [late - early for early, late in itertools.pairwise(after)]
    assert max(gaps) > 0.0


def test_an_own_budget_replaces_that_of_the_tier(play):
    async def scenario():
        the_pace = pace(weight_per_minute=20)
        return await departures(the_pace, SEND, 30)

    assert most_in_a_minute(play(scenario())) <= 20


@pytest.mark.parametrize(
    ("standard", "budget", "least"), [(True, 5, 6), (False, 3000, 3001)]
)
def test_a_budget_that_carries_nothing_is_refused_by_its_name(
    play, standard, budget, least
):
    async def scenario():
        with pytest.raises(ConfigError, match=f"^ip_weight_per_minute: {budget} .*"):
            pace(standard=standard, weight_per_minute=budget)
        pace(standard=standard, weight_per_minute=least)

    play(scenario())
