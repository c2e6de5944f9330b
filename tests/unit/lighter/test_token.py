"""Auth tokens: made early, shared, never shown."""

from __future__ import annotations

import asyncio

import pytest

from wrappy.errors import SignerError
from wrappy.lighter.wire.token import LIFETIME_S, Token, TokenSource


class Signer:
    """Signs tokens with a counter, and can be told to fail."""

    def __init__(self):
        self.made = []
        self.broken = False

    def auth_token(self, *, deadline_s):
        if self.broken:
            raise SignerError("no key")
        self.made.append(deadline_s)
        return f"secret {len(self.made)}"


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
    return Clock(1_000.7)


@pytest.fixture
def signer():
    return Signer()


@pytest.fixture
def source(signer, clock):
    return TokenSource(signer, Worker(), clock=clock)


async def test_a_token_is_kept_until_half_an_hour_before_its_end(source, clock, signer):
    first = await source.get()
    assert first == Token("secret 1", 1_000 + LIFETIME_S)
    clock.now = first.deadline_s - 1_801
    assert await source.get() is first
    clock.now = first.deadline_s - 1_800
    second = await source.get()
    assert second.text == "secret 2"
    assert second.deadline_s == clock.now + LIFETIME_S
    assert len(signer.made) == 2


async def test_a_short_token_is_renewed_in_its_last_quarter(signer, clock):
    source = TokenSource(signer, Worker(), clock=clock, lifetime_s=100)
    first = await source.get()
    clock.now = first.deadline_s - 26
    assert await source.get() is first
    clock.now = first.deadline_s - 25
    assert await source.get() is not first


async def test_many_who_ask_at_once_share_one_token(source, signer):
    tokens = await asyncio.gather(*(source.get() for _ in range(5)))
    assert len({token.text for token in tokens}) == 1
    assert len(signer.made) == 1


async def test_a_dropped_token_is_made_anew(source):
    first = await source.get()
    source.drop()
    assert (await source.get()).text != first.text


async def test_a_failed_signature_leaves_the_source_usable(source, signer):
    signer.broken = True
    with pytest.raises(SignerError):
        await source.get()
    signer.broken = False
    assert (await source.get()).text == "secret 1"


def test_a_token_is_never_shown():
    token = Token("secret", 5)
    assert repr(token) == "Token(deadline_s=5)"
    assert "secret" not in str(token)
