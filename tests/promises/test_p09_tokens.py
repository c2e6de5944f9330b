"""P9: tokens are renewed long before they expire, and nothing is ever without one.

Three virtual days of an account's stream, judged at the exchange's side of the
connection: what each private channel was opened with, and when that runs out by the
exchange's clock. The exchange ends a subscription the second its token expires, so a
gap would show there too.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os

import pytest

from wrappy import CredentialsError, DealerConfig, LighterDealer, WsInfo
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.signing.read_only_token import token_scope
from wrappy.venue import VenueSettings

HOURS = 72
"""Three days; the clocks that are off, and the drops, get them where that is asked."""
ALSO_HOURS = int(os.environ.get("WRAPPY_TOKEN_HOURS", "16"))
LEAST_LEFT_S = 15 * 60
LONGEST_LIFE_S = 8 * 3600
RESUBSCRIBED_WITHIN_S = 1.0


class Wiretap:
    """A connection that notes which token each channel lives on."""

    def __init__(self, connection, now_s):
        self._connection = connection
        self._now_s = now_s
        self.connects = 0
        self.refused = []
        self.asked = {}
        """Deadline of the token in the last request, by channel."""
        self.live = {}
        """Deadline of the token a channel lives on."""
        self.left_at = {}
        self.gaps_s = []
        self.left_s = []
        """Life that a token had left when the channel it opened was let go."""
        self.lives_s = []
        """Life that a token had when a channel was asked for with it."""
        self.tokens = {}
        """Channels that were asked for, by the token they were asked for with."""

    @property
    def is_open(self):
        return self._connection.is_open

    async def connect(self):
        self.connects += 1
        self._end_all()
        await self._connection.connect()

    async def send(self, frame):
        message = json.loads(frame)
        if message["type"] == "subscribe" and "auth" in message:
            channel = message["channel"].replace("/", ":")
            deadline_s = token_scope(message["auth"]).deadline_s
            self.asked[channel] = deadline_s
            self.lives_s.append(deadline_s - self._now_s())
            self.tokens.setdefault(message["auth"], []).append(channel)
        await self._connection.send(frame)

    async def receive(self, timeout_s):
        raw = await self._connection.receive(timeout_s)
        if raw is not None:
            self._note(json.loads(raw))
        return raw

    async def disconnect(self):
        self._end_all()
        await self._connection.disconnect()

    async def aclose(self):
        await self._connection.aclose()

    def _note(self, message):
        kind, channel = message.get("type", ""), message.get("channel")
        if "error" in message:
            self.refused.append(message["error"])
        if kind == "unsubscribed":
            self._end(channel)
        if kind.startswith("subscribed/") and channel in self.asked:
            self.live[channel] = self.asked[channel]
            if channel in self.left_at:
                self.gaps_s.append(self._now_s() - self.left_at.pop(channel))

    def _end_all(self):
        for channel in list(self.live):
            self._end(channel)

    def _end(self, channel):
        if channel in self.live:
            self.left_s.append(self.live.pop(channel) - self._now_s())
            self.left_at[channel] = self._now_s()


async def watched(exchange, skew_s, look, hours):
    """Stream an account with a clock that is off; call `look` every ten minutes."""
    taps = []

    def open_stream(*args, **kwargs):
        connection = exchange.environment.open_stream(*args, **kwargs)
        taps.append(Wiretap(connection, exchange.environment.unix_s))
        return taps[-1]

    owner = exchange.accounts[0]
    overlay = await WsInfo.run_overlay(
        owner.account_index,
        owner.api_keys[0].api_key_index,
        owner.api_keys[0].api_key_private_key,
        symbol="ETH",
        base_url=exchange.base_url,
        chain_id=exchange.chain_id,
        environment=dataclasses.replace(
            exchange.environment,
            open_stream=open_stream,
            unix_s=lambda: exchange.environment.unix_s() + skew_s,
        ),
    )
    async with overlay:
        for _ in range(hours * 6):
            await asyncio.sleep(600)
            (tap,) = taps
            look(tap)
    return tap


@pytest.mark.parametrize(
    ("skew_s", "expired_token", "hours"),
    [
        (0, "unsubscribe", HOURS),
        (0, "error", ALSO_HOURS),
        (300, "close", ALSO_HOURS),
        (-300, "close", ALSO_HOURS),
    ],
)
def test_for_three_days_no_channel_is_without_a_good_token(
    skew_s, expired_token, hours, caplog
):
    async def scenario():
        settings = VenueSettings(
            flow="none",
            verify=False,
            expired_token=expired_token,
            public_account_channels=False,
        )
        async with InProcessExchange(settings) as exchange:

            def look(tap):
                now_s = exchange.environment.unix_s()
                assert len(tap.live) >= 3, "a private channel is not subscribed"
                assert min(tap.live.values()) - now_s >= LEAST_LEFT_S

            return await watched(exchange, skew_s, look, hours)

    with caplog.at_level(logging.WARNING):
        tap = run_virtual(scenario)
    assert tap.refused == []
    assert tap.connects == 1, "the exchange closed the connection, or we had to"
    assert min(tap.left_s[:-3]) >= LEAST_LEFT_S
    assert max(tap.lives_s) <= LONGEST_LIFE_S
    assert max(tap.gaps_s) <= RESUBSCRIBED_WITHIN_S
    assert all(len(set(c)) == len(c) for c in tap.tokens.values()), "a fresh one each"
    # A token lives six hours, of which five and a half are used.
    assert hours / 6 <= len(tap.tokens) <= hours / 5 + 1
    told = [r.getMessage() for r in caplog.records if "clock" in r.getMessage()]
    assert len(told) == (1 if skew_s else 0), "said once, with the number"
    assert all(f"{skew_s:+d} s off" in words for words in told)


def test_connections_that_drop_take_a_fresh_token_each_time():
    async def scenario():
        settings = VenueSettings(flow="none", verify=False, expired_token="unsubscribe")
        async with InProcessExchange(settings) as exchange:
            taps = []

            def look(tap):
                taps[:] = [tap]
                exchange.engine.sessions.announce_shutdown(1.0)

            await watched(exchange, 0, look, ALSO_HOURS)
            return taps[0]

    tap = run_virtual(scenario)
    assert tap.refused == []
    assert tap.connects >= ALSO_HOURS * 6 - 1
    assert len(tap.tokens) == tap.connects
    assert min(tap.lives_s) >= LONGEST_LIFE_S - 2 * 3600 - 1


# ---------------------------------------------------------------- read-only tokens


def test_a_read_only_token_streams_an_account_until_it_ends(caplog):
    async def scenario():
        settings = VenueSettings(
            flow="none", verify=False, public_account_channels=False
        )
        async with InProcessExchange(settings) as exchange:
            account = exchange.accounts[0].account_index
            text = exchange.engine.read_only_token(account, life_s=86_400)
            taps = []

            def open_stream(*args, **kwargs):
                connection = exchange.environment.open_stream(*args, **kwargs)
                taps.append(Wiretap(connection, exchange.environment.unix_s))
                return taps[-1]

            overlay = await WsInfo.run_overlay(
                auth_token=text,
                symbol="ETH",
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=dataclasses.replace(
                    exchange.environment, open_stream=open_stream
                ),
            )
            async with overlay:
                await asyncio.sleep(86_400 - 3_700)
                assert "auth_token" not in caplog.text
                await asyncio.sleep(3_600)
                (tap,) = taps
                assert (tap.connects, tap.refused) == (1, [])
                assert len(tap.live) >= 3
                assert set(tap.tokens) == {text}
            return text

    with caplog.at_level(logging.DEBUG):
        text = run_virtual(scenario)
    assert caplog.text.count("auth_token: ends in 60 minutes") == 1
    assert text.rpartition(":")[2] not in caplog.text


@pytest.mark.parametrize("fault", ["expired", "of another account"])
def test_a_read_only_token_that_cannot_work_is_refused_at_once(fault):
    async def scenario():
        settings = VenueSettings(flow="none", verify=False)
        async with InProcessExchange(settings) as exchange:
            one, other = (owner.account_index for owner in exchange.accounts[:2])
            text = exchange.engine.read_only_token(one, life_s=86_400)
            if fault == "expired":
                await asyncio.sleep(86_401)
            with pytest.raises(CredentialsError, match=r"^auth_token: ") as caught:
                await WsInfo.run_overlay(
                    one if fault == "expired" else other,
                    auth_token=text,
                    symbol="ETH",
                    base_url=exchange.base_url,
                    chain_id=exchange.chain_id,
                    environment=exchange.environment,
                )
            assert text.rpartition(":")[2] not in str(caught.value)

    run_virtual(scenario)


def test_a_dealer_needs_a_key(tmp_path):
    async def scenario():
        async with InProcessExchange(
            VenueSettings(flow="none", verify=False)
        ) as exchange:
            account = exchange.accounts[0].account_index
            config = DealerConfig(
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                account_index=account,
                auth_token=exchange.engine.read_only_token(account),
                symbol="ETH",
                state_dir=str(tmp_path),
            )
            with pytest.raises(CredentialsError, match="auth_token only reads"):
                await LighterDealer.create(config, environment=exchange.environment)

    run_virtual(scenario)
