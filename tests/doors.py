"""Both doors of the local exchange behind one face: sockets, and inside the process.

A scenario is a coroutine function of a `Place`. On either door time stands still
unless the scenario lets it pass, so that both can be compared to the last byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from itertools import islice

from wrappy.errors import VenueError
from wrappy.lighter.environment import NATIVE
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import DEFAULT_EPOCH_S, run_virtual
from wrappy.signing.null import NullSigner
from wrappy.signing.python import PythonSigner
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.events import TxRefused
from wrappy.venue.ledger import canonical_text

DOORS = ("sockets", "in process")
DEADLINE_S = 10.0


class Place:
    """A running exchange and the way to it.

    Attributes:
        engine: the exchange's `Engine`, whose record judges.
        rest: a `RestConnection`.
        url: of the stream.
    """

    def __init__(self, engine, environment, base_url, pass_time):
        self.engine = engine
        self.environment = environment
        self.rest = environment.open_rest(base_url, timeout_s=DEADLINE_S)
        self.url = f"ws{base_url.removeprefix('http')}/stream"
        self.pass_time = pass_time
        self.now_us = DEFAULT_EPOCH_S * 1_000_000
        self._streams = []

    async def wait(self, seconds):
        """Let time pass, and everything happen that is due."""
        self.now_us += round(seconds * 1_000_000)
        await self.pass_time(seconds)

    def now_ms(self):
        """Return the exchange's time, unix milliseconds."""
        return self.now_us // 1_000

    def signer(self, account=0, key=0):
        """Return a signer of one of the exchange's accounts, on its own time."""
        owner = self.engine.accounts[account]
        slot = owner.api_keys[key]
        known = {
            "account_index": owner.account_index,
            "api_key_index": slot.api_key_index,
            "chain_id": self.engine.chain_id,
            "clock_ms": self.now_ms,
        }
        if not self.engine.settings.verify:
            return NullSigner(**known)
        return PythonSigner(slot.api_key_private_key, **known)

    def token(self, account=0, life_s=3_600):
        """Return a token of an account."""
        signer = self.signer(account)
        return signer.auth_token(deadline_s=self.now_ms() // 1_000 + life_s)

    async def get(self, path, token=None, **query):
        """Return an answer's fields, or what the refusal says."""
        try:
            return await self.rest.get(f"/api/v1/{path}", query, token=token)
        except VenueError as error:
            return told(error)

    async def post(self, path, form):
        """Send a form, urlencoded already; return the answer or the refusal."""
        try:
            return await self.rest.post_form(f"/api/v1/{path}", form)
        except VenueError as error:
            return told(error)

    async def open_stream(self, query=""):
        """Return a connected stream and its first frame."""
        url = f"{self.url}{query}"
        stream = self.environment.open_stream(url, timeout_s=DEADLINE_S)
        self._streams.append(stream)
        await stream.connect()
        return stream, json.loads(await stream.receive(DEADLINE_S))

    async def aclose(self):
        """Close what was opened here."""
        for stream in self._streams:
            await stream.aclose()
        await self.rest.aclose()


def told(error):
    """Return what a refusal says, as something that can be compared."""
    return {
        "refused": type(error).__name__,
        "code": error.code,
        "message": error.message,
    }


async def frames_until_pong(stream):
    """Return what the exchange says up to its answer to a ping."""
    await stream.send(b'{"type":"ping"}')
    frames = []
    while True:
        raw = await stream.receive(DEADLINE_S)
        assert raw is not None, f"no answer to a ping after {frames}"
        frame = json.loads(raw)
        if frame == {"type": "pong"}:
            return frames
        frames.append(frame)


def play(door, scenario, **settings):
    """Run a scenario at one of the `DOORS` and return its result."""
    chosen = VenueSettings(**{"flow": "none", "verify": False, **settings})

    async def on_sockets():
        clock = SteppedClock(DEFAULT_EPOCH_S)
        async with Venue(settings=chosen, clock=clock) as venue:
            place = Place(venue, NATIVE, venue.base_url, venue.advance)
            try:
                return await scenario(place)
            finally:
                await place.aclose()

    async def in_process():
        signer = "python" if chosen.verify else "null"
        async with InProcessExchange(chosen, signer=signer) as exchange:
            environment, url = exchange.environment, exchange.base_url
            place = Place(exchange.engine, environment, url, sleep_through)
            try:
                return await scenario(place)
            finally:
                await place.aclose()

    if door == "sockets":
        return asyncio.run(on_sockets())
    return run_virtual(in_process)


async def sleep_through(seconds):
    """Sleep, and let others finish what is due at that very moment."""
    await asyncio.sleep(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


class Digest:
    """A fingerprint of an exchange's whole state; refusals noted in its log aside."""

    def __init__(self, exchange):
        self._exchange = exchange
        self._seen = 0
        self._past = hashlib.sha256()

    def read(self):
        """Return the fingerprint as it is now."""
        exchange = self._exchange
        log = exchange.log
        fresh = list(islice(log.latest(), len(log) - self._seen))
        self._seen = len(log)
        for event in reversed(fresh):
            if not isinstance(event, TxRefused):
                self._past.update(canonical_text(event).encode())
        whole = self._past.copy()
        for index, account in sorted(exchange.accounts.items()):
            whole.update(f"{index} {account!r}".encode())
        for index, state in sorted(exchange.markets.items()):
            orders = [
                repr(order)
                for is_ask in (False, True)
                for order in state.engine.orders(is_ask=is_ask)
            ]
            facts = (
                state.engine.depth(),
                orders,
                state.index_price,
                state.mark_price,
                state.last_trade_price,
                state.open_interest,
                state.nonce,
                state.book_nonce,
                list(state.armed),
                state.funding,
                state.day,
            )
            whole.update(f"{index} {facts!r}".encode())
        facts = (exchange.nonce, exchange.height, exchange.next_due_us())
        whole.update(repr(facts).encode())
        return whole.hexdigest()
