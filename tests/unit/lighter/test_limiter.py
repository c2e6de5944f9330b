"""The pace, on a loop whose clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import itertools
import logging
import selectors
from dataclasses import replace

import pytest

from wrappy.errors import ConfigError, UsageError
from wrappy.lighter.pacing.limiter import RequestPace
from wrappy.protocol.tiers import TIERS, tier_of

SEND = "/api/v1/sendTx"
READ = "/api/v1/account"


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


def test_cancels_never_wait_while_orders_saturate_the_budget(play):
    """A cancel every seven seconds is within the fifth that is kept."""

    async def scenario():
        the_pace = pace()
        orders = asyncio.create_task(departures(the_pace, SEND, 600))
        waits = []
        for _ in range(80):
            await asyncio.sleep(7.0)
            asked = asyncio.get_running_loop().time()
            await the_pace.wait(SEND, urgent=True)
            waits.append(asyncio.get_running_loop().time() - asked)
        assert not orders.done()
        assert the_pace.state().waiting > 100
        await orders
        return waits

    assert max(play(scenario())) == 0.0


def test_even_the_smallest_budget_keeps_two_cancels(play):
    async def scenario():
        the_pace = pace(weight_per_minute=6)
        orders = asyncio.create_task(departures(the_pace, SEND, 30))
        cancels = await departures(the_pace, SEND, 4, urgent=True)
        times = [*await orders, *cancels]
        return cancels, times

    cancels, times = play(scenario())
    assert cancels[1] < 61.0
    assert most_in_a_minute(times) <= 6


def test_requests_go_in_the_order_in_which_they_came(play):
    async def scenario():
        the_pace, gone = pace(standard=False), []

        async def one(number, path):
            await the_pace.wait(path)
            gone.append(number)

        # Light ones that come later do not pass a heavy one for ever.
        paths = ["/api/v1/trades" if n % 2 else "/api/v1/nextNonce" for n in range(99)]
        await asyncio.gather(*(one(n, path) for n, path in enumerate(paths)))
        return gone

    assert play(scenario()) == list(range(99))


def test_after_a_pause_one_goes_and_the_others_follow_evenly(play):
    async def scenario():
        the_pace = pace()
        the_pace.throttled(60.0)
        return await departures(the_pace, SEND, 20)

    times = play(scenario())
    assert times[0] == 60.0
    gaps = [late - early for early, late in itertools.pairwise(times)]
    assert min(gaps) > 1.5


@pytest.mark.parametrize(
    ("asked_s", "kept_s"), [(None, 60.0), (0.0, 60.0), (0.1, 1.0), (90.0, 90.0)]
)
def test_a_pause_is_as_told_but_not_below_the_documented_cool_down(
    play, asked_s, kept_s
):
    async def scenario():
        the_pace = pace()
        the_pace.throttled(asked_s)
        assert the_pace.state().throttled == 1
        return the_pace.state().paused_for_s

    assert play(scenario()) == kept_s


def test_no_answer_can_make_us_pause_for_ever(play):
    async def scenario():
        the_pace = pace()
        the_pace.throttled(1e12)
        return the_pace.state().paused_for_s

    assert play(scenario()) == 3600.0


def test_an_assumed_tier_gives_way_at_once_and_wakes_who_waits(play):
    async def scenario():
        the_pace = pace(standard=None)
        assert the_pace.state().assumed
        waiting = asyncio.create_task(departures(the_pace, SEND, 200))
        await asyncio.sleep(1.0)
        assert the_pace.state().waiting > 180
        the_pace.adopt(TIERS["premium"])
        state = the_pace.state()
        assert (state.tier, state.assumed, state.limit) == ("premium", False, 4000)
        return await waiting

    assert max(play(scenario())) < 10.0


def test_what_left_before_counts_in_the_budget_of_the_new_tier(play):
    async def scenario():
        the_pace = pace(standard=False)
        await departures(the_pace, SEND, 100)
        the_pace.adopt(TIERS["standard"])
        assert the_pace.state().used == 100
        await asyncio.sleep(1.0)
        return await departures(the_pace, READ, 1)

    (time,) = play(scenario())
    assert 60.0 < time < 63.0


def test_for_a_minute_after_a_change_the_stricter_of_two_told_tiers_decides(play):
    async def scenario():
        the_pace = pace()
        the_pace.adopt(TIERS["premium"])
        return await departures(the_pace, SEND, 400)

    times = play(scenario())
    assert most_in_a_minute([time for time in times if time < 60.0]) <= 60
    assert max(times) < 70.0


def test_the_same_tier_again_changes_nothing_but_what_is_known(play):
    async def scenario():
        the_pace = pace(standard=None)
        await departures(the_pace, SEND, 12)
        the_pace.adopt(TIERS["standard"])
        assert not the_pace.state().assumed
        return await departures(the_pace, SEND, 1)

    assert play(scenario())[0] > 0.0


def test_an_unknown_tier_is_told_and_paced_as_the_slowest(play, caplog):
    async def scenario():
        the_pace = pace(standard=None)
        the_pace.adopt(tier_of({"user_tier": "Diamond"}))
        return the_pace.state()

    with caplog.at_level(logging.WARNING, "wrappy.pace"):
        state = play(scenario())
    assert (state.tier, state.limit) == ("diamond", 60)
    assert "unknown account tier 'diamond'" in caplog.text


def test_a_budget_of_ones_own_that_the_new_tier_cannot_have_changes_nothing(play):
    async def scenario():
        the_pace = pace(weight_per_minute=60)
        with pytest.raises(ConfigError, match="ip_weight_per_minute: 60"):
            the_pace.adopt(TIERS["premium"])
        return the_pace.state().tier

    assert play(scenario()) == "standard"


def test_messages_have_a_window_of_their_own_and_pause_too(play):
    async def scenario():
        the_pace, loop = pace(), asyncio.get_running_loop()
        the_pace.throttled(5.0)
        times = []
        for _ in range(201):
            await the_pace.wait_message()
            times.append(loop.time())
        assert the_pace.state().messages_used == 1
        assert the_pace.state().used == 0
        return times

    times = play(scenario())
    assert (times[0], times[199]) == (5.0, 5.0)
    assert times[200] > 65.0


def test_who_gives_up_waiting_holds_nobody_up(play):
    async def scenario():
        the_pace = pace()
        await departures(the_pace, SEND, 12)
        first = asyncio.create_task(departures(the_pace, SEND, 1))
        second = asyncio.create_task(departures(the_pace, SEND, 1))
        await asyncio.sleep(0.5)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert the_pace.state().waiting == 1
        times = await second
        assert the_pace.state().waiting == 0
        return times

    assert play(scenario())[0] < 2.0


def test_a_request_that_can_never_pass_is_refused(play):
    async def scenario():
        with pytest.raises(UsageError, match="/api/v1/tokens/create: weight 23000"):
            await pace(standard=False).wait("/api/v1/tokens/create")

    play(scenario())


def test_many_changes_of_tier_leave_no_old_budget_behind(play):
    async def scenario():
        the_pace = pace()
        for sends in range(100, 110):
            the_pace.adopt(replace(TIERS["premium"], sends_per_minute=sends))
            await the_pace.wait(SEND)
        await asyncio.sleep(70.0)
        await the_pace.wait(SEND)
        return the_pace.state()

    state = play(scenario())
    assert (state.used, state.limit) == (1, 109)


def test_sitting_out_tells_whether_there_was_a_pause(play):
    async def scenario():
        the_pace = pace()
        assert await the_pace.sit_out() is False
        the_pace.throttled(5.0)
        assert await the_pace.sit_out() is True
        return asyncio.get_running_loop().time()

    assert play(scenario()) == 5.0
