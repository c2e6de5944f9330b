"""Auth tokens: made early, shared, never shown; or given and watched."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wrappy.errors import (
    CredentialsError,
    ProtocolError,
    RequestTimeoutError,
    SignerError,
)
from wrappy.lighter.wire.token import LIFETIME_S, GivenToken, Token, TokenSource
from wrappy.lighter.wire.venue_time import VenueTime, ask_venue_s
from wrappy.runner.virtual_time import run_virtual

EPOCH = 1_800_000_000
DIGITS = "c0ffee" * 8


class Signer:
    """Signs tokens with a counter, and can be told to fail or to sign otherwise."""

    def __init__(self):
        self.made = []
        self.broken = False
        self.life_s = None
        self.text = None

    def auth_token(self, *, deadline_s):
        if self.broken:
            raise SignerError("no key")
        self.made.append(deadline_s)
        if self.life_s is not None:
            deadline_s = EPOCH + self.life_s
        return self.text or f"{deadline_s}:7:4:{len(self.made):0160x}"


class Worker:
    """Runs the signer after one turn of the loop, as a thread would."""

    async def auth_token(self, signer, *, deadline_s):
        await asyncio.sleep(0)
        return signer.auth_token(deadline_s=deadline_s)


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock(EPOCH + 0.7)


@pytest.fixture
def signer():
    return Signer()


@pytest.fixture
def source(signer, clock):
    return TokenSource(signer, Worker(), clock=clock)


def number(token):
    return int(token.text[-8:], 16)


# ------------------------------------------------------------------ signed tokens


async def test_a_token_is_kept_until_half_an_hour_before_its_end(source, clock, signer):
    first = await source.get()
    assert (number(first), first.deadline_s) == (1, EPOCH + LIFETIME_S)
    clock.now = first.deadline_s - 1_801
    assert await source.get() is first
    assert 0 < source.seconds_to_look(first) < 1.1
    clock.now = first.deadline_s - 1_800
    assert source.seconds_to_look(first) == 0.0
    second = await source.get()
    assert number(second) == 2
    assert second.deadline_s == clock.now + LIFETIME_S
    assert source.left_s(second) == LIFETIME_S
    assert source.seconds_to_look(first) == 0.0, "there is a newer one"
    assert len(signer.made) == 2


async def test_a_short_token_is_renewed_in_its_last_quarter(signer, clock):
    clock.now = EPOCH
    source = TokenSource(signer, Worker(), clock=clock, lifetime_s=100)
    first = await source.get()
    clock.now = first.deadline_s - 26
    assert await source.get() is first
    clock.now = first.deadline_s - 25
    assert await source.get() is not first


async def test_the_expiry_is_read_from_the_token(source, clock, signer):
    signer.life_s = 600
    first = await source.get()
    assert first.deadline_s == EPOCH + 600
    clock.now = EPOCH + 460
    assert await source.get() is not first


@pytest.mark.parametrize(
    ("life_s", "text", "words"),
    [
        (8 * 3600 + 2, None, "holds for 28801 s"),
        (-5, None, "expired 6 s ago"),
        (None, "secret", "must read deadline:"),
    ],
)
async def test_a_token_of_no_use_is_not_given_out(source, signer, life_s, text, words):
    signer.life_s, signer.text = life_s, text
    with pytest.raises(SignerError, match=words) as caught:
        await source.get()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_many_who_ask_at_once_share_one_token(source, signer):
    tokens = await asyncio.gather(*(source.get() for _ in range(5)))
    assert len({token.text for token in tokens}) == 1
    assert len(signer.made) == 1


async def test_a_dropped_token_is_made_anew(source):
    first = await source.get()
    source.drop()
    assert source.seconds_to_look(first) == 0.0
    assert (await source.get()).text != first.text


async def test_a_failed_signature_leaves_the_source_usable(source, signer):
    signer.broken = True
    with pytest.raises(SignerError):
        await source.get()
    signer.broken = False
    assert number(await source.get()) == 1


async def test_a_failed_signature_does_not_cost_a_token_that_holds(
    source, signer, clock, caplog
):
    first = await source.get()
    signer.broken = True
    clock.now = first.deadline_s - 1_000
    assert await source.get() is first
    assert "the last one still holds: no key" in caplog.text
    assert 59 < source.seconds_to_look(first) < 61
    source.drop()
    assert await source.get() is first
    clock.now = first.deadline_s
    with pytest.raises(SignerError):
        await source.get()
    signer.broken = False
    assert number(await source.get()) == 2


def test_a_token_is_never_shown():
    token = Token("secret", 5)
    assert repr(token) == "Token(deadline_s=5)"
    assert "secret" not in str(token)


# ------------------------------------------------------------ the exchange's clock


class Exchange:
    """Tells the time, `ahead_s` of ours, and counts who asks."""

    def __init__(self, ahead_s=0.0):
        self.ahead_s = ahead_s
        self.asked = 0
        self.fails = None
        self.delay_s = 0.0

    def unix_s(self):
        return EPOCH + asyncio.get_running_loop().time()

    async def ask(self):
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        if self.fails is not None:
            raise self.fails
        return int(self.unix_s() + self.ahead_s)

    def time(self):
        return VenueTime(self.ask, unix_s=self.unix_s)

    def source(self):
        return TokenSource(
            Signer(),
            Worker(),
            clock=self.unix_s,
            time=VenueTime(self.ask, unix_s=self.unix_s),
        )


@pytest.mark.parametrize("ahead_s", [300, -300, 5 * 3600])
def test_expiry_is_made_and_judged_by_the_exchanges_clock(ahead_s, caplog):
    async def scenario():
        exchange = Exchange(ahead_s)
        source = exchange.source()
        first = await source.get()
        assert first.deadline_s == EPOCH + ahead_s + LIFETIME_S
        assert source.left_s(first) == pytest.approx(LIFETIME_S, abs=1)
        for _ in range(5):
            await asyncio.sleep(source.seconds_to_look(first))
            assert await source.get() is first, "only the clock was looked at"
        await asyncio.sleep(source.seconds_to_look(first))
        assert await source.get() is not first
        loop = asyncio.get_running_loop()
        assert loop.time() == pytest.approx(LIFETIME_S - 1800, abs=2)
        assert exchange.asked == 6

    run_virtual(scenario)
    told = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == 1
    assert f"clock is {-ahead_s:+d} s off" in told[0].getMessage()


def test_a_clock_that_agrees_is_no_news(caplog):
    async def scenario():
        await Exchange(30).source().get()

    run_virtual(scenario)
    assert not caplog.records


@pytest.mark.parametrize(
    "fails", [RequestTimeoutError("late"), ProtocolError("no time"), None]
)
def test_without_the_exchanges_clock_ours_stands_in(fails):
    async def scenario():
        exchange = Exchange(300)
        exchange.fails, exchange.delay_s = fails, 0.0 if fails else 60.0
        source = exchange.source()
        loop = asyncio.get_running_loop()
        first = await source.get()
        assert loop.time() <= 5.0
        assert first.deadline_s == int(exchange.unix_s()) + LIFETIME_S
        await source.get()
        assert exchange.asked == 1, "not at every question"
        exchange.fails, exchange.delay_s = None, 0.0
        await asyncio.sleep(source.seconds_to_look(first))
        assert await source.get() is first
        assert loop.time() < 70
        assert source.left_s(first) == pytest.approx(LIFETIME_S - 300 - 60, abs=2)

    run_virtual(scenario)


def test_many_sources_ask_once_together():
    async def scenario():
        exchange = Exchange(300)
        exchange.delay_s = 1.0
        time = exchange.time()
        sources = [
            TokenSource(Signer(), Worker(), clock=exchange.unix_s, time=time)
            for _ in range(4)
        ]
        await asyncio.gather(*(source.get() for source in sources))
        assert exchange.asked == 1
        assert time.skew_s == pytest.approx(300, abs=1)

    run_virtual(scenario)


def test_a_refused_token_has_the_clock_asked_again():
    async def scenario():
        exchange = Exchange()
        source = exchange.source()
        first = await source.get()
        await asyncio.sleep(120)
        source.drop()
        await source.get()
        assert exchange.asked == 1
        exchange.ahead_s = 7200.0
        source.drop(refused=True)
        assert (await source.get()).deadline_s == first.deadline_s + 7320
        assert exchange.asked == 2

    run_virtual(scenario)


async def test_the_exchanges_clock_is_in_its_status():
    class Rest:
        def __init__(self, told):
            self.told = told

        async def get(self, path):
            assert path == "/"
            return {"timestamp": self.told}

    class Pace:
        async def wait(self, path, *, urgent=False):
            assert (path, urgent) == ("/", True)

    assert await ask_venue_s(Rest(EPOCH), Pace()) == EPOCH
    for nonsense in (None, True, "1", 0, -1, 1.5):
        with pytest.raises(ProtocolError, match="is no time"):
            await ask_venue_s(Rest(nonsense), Pace())


# ------------------------------------------------------------------- given tokens


def read_only(left_s, *, account=7, scope="single"):
    return f"ro:{account}:{scope}:{EPOCH + left_s}:{DIGITS}"


async def test_a_given_token_is_handed_out_as_it_is():
    text = read_only(86_400)
    source = GivenToken(text, account_index=7, clock=lambda: EPOCH)
    token = await source.get()
    assert (token.text, token.deadline_s) == (text, EPOCH + 86_400)
    source.drop()
    source.drop(refused=True)
    assert await source.get() is token
    assert source.left_s(token) == 86_400
    assert DIGITS not in repr(token) + repr(token.text)


async def test_a_token_signed_elsewhere_may_be_given():
    text = f"{EPOCH + 600}:7:4:{1:0160x}"
    source = GivenToken(text, account_index=7, clock=lambda: EPOCH)
    assert (await source.get()).deadline_s == EPOCH + 600


async def test_a_token_for_all_accounts_reads_a_sub_account():
    text = read_only(86_400, account=3, scope="all")
    assert GivenToken(text, account_index=7, clock=lambda: EPOCH)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (read_only(86_400, account=8), "is account 8's, not account 7's"),
        (f"{EPOCH + 600}:8:4:{1:0160x}", "is account 8's, not account 7's"),
        (read_only(-60), "expired 60 s ago; make a new one"),
        (f"{EPOCH}:7:4:{1:0160x}", "expired 0 s ago; make a new one"),
        (f"ro:7:{DIGITS}", "is no token: a read-only token reads ro:"),
        (f"ro:7:some:{EPOCH}:{DIGITS}", "is no token"),
        (f"ro:7:single:-{EPOCH}:{DIGITS}", "is no token"),
        (DIGITS, "is no token"),
    ],
)
async def test_a_given_token_that_cannot_work_is_refused_and_not_shown(text, words):
    with pytest.raises(CredentialsError, match=f"auth_token: {words}") as caught:
        GivenToken(text, account_index=7, clock=lambda: EPOCH)
    assert DIGITS not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_hour_before_its_end_a_given_token_warns_and_then_ends(caplog):
    async def scenario():
        exchange = Exchange(300)
        source = GivenToken(
            read_only(7200 + 300),
            account_index=7,
            clock=exchange.unix_s,
            time=exchange.time(),
        )

        async def watch_until(loop_s):
            while loop.time() < loop_s:
                token = await source.get()
                await asyncio.sleep(max(0.001, source.seconds_to_look(token)))

        loop = asyncio.get_running_loop()
        await watch_until(3598)
        assert "auth_token" not in caplog.text
        with pytest.raises(CredentialsError, match="expired"):
            await watch_until(10_000)
        assert loop.time() == pytest.approx(7200, abs=2)
        assert exchange.asked <= 4

    run_virtual(scenario)
    words = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(words) == 2
    assert "clock is -300 s off" in words[0] or "clock is -299 s off" in words[0]
    assert words[1].startswith("auth_token: ends in 60 minutes")
    assert DIGITS not in caplog.text


async def test_a_given_token_that_is_about_to_end_warns_at_once_and_once(caplog):
    source = GivenToken(read_only(90), account_index=7, clock=lambda: EPOCH)
    token = await source.get()
    assert await source.get() is token
    assert caplog.text.count("ends in 2 minutes") == 1
    assert 90 <= source.seconds_to_look(token) < 90.1
