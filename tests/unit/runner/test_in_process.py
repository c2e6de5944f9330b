"""The door inside the process fails as the network does."""

from __future__ import annotations

import asyncio

import pytest

from wrappy.errors import (
    ConfigError,
    ConnectError,
    ProtocolError,
    RateLimitedError,
    RequestTimeoutError,
    StreamClosedError,
    TransportError,
    UsageError,
    VenueUnavailableError,
)
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, VenueSettings

HEIGHT = "/api/v1/currentHeight"
TIMEOUT_S = 4.0


def virtually(play, *, travel=None, **settings):
    """Run `play(exchange, rest, stream)` in virtual time and return its result."""

    async def main():
        chosen = VenueSettings(verify=False, flow="none", **settings)
        async with InProcessExchange(chosen, travel=travel) as exchange:
            environment = exchange.environment
            rest = environment.open_rest(exchange.base_url, timeout_s=TIMEOUT_S)
            url = f"ws{exchange.base_url.removeprefix('http')}/stream"
            stream = environment.open_stream(url, timeout_s=TIMEOUT_S)
            try:
                return await play(exchange, rest, stream)
            finally:
                await stream.aclose()
                await rest.aclose()

    return run_virtual(main)


async def everything(stream):
    while True:
        await stream.receive(TIMEOUT_S)


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (FaultRule(act="drop"), TransportError),
        (FaultRule(act="drop", phase="reply"), TransportError),
        (FaultRule(act="truncate", phase="reply"), TransportError),
        (FaultRule(act="garbage", phase="reply"), ProtocolError),
        (FaultRule(act="status", code=503, html=True), VenueUnavailableError),
        (FaultRule(act="status", code=405, html=True), RateLimitedError),
        (FaultRule(act="stall"), RequestTimeoutError),
        (FaultRule(act="delay", delay_ms=4_001), RequestTimeoutError),
    ],
    ids=lambda value: value.act if isinstance(value, FaultRule) else value.__name__,
)
def test_a_loss_has_the_exception_of_the_network(rule, error):
    async def play(exchange, rest, stream):
        exchange.faults.add(rule)
        with pytest.raises(error) as caught:
            await rest.get(HEIGHT)
        assert isinstance(caught.value, error)
        return now()

    waited = virtually(play)
    assert waited == (TIMEOUT_S if error is RequestTimeoutError else 0)


def test_a_throttled_request_is_told_with_its_pause():
    pauses = []

    async def play(exchange, rest, stream):
        own = exchange.environment.open_rest(
            exchange.base_url, timeout_s=1.0, on_throttled=pauses.append
        )
        exchange.faults.add(FaultRule(act="status", code=429))
        with pytest.raises(RateLimitedError):
            await own.get(HEIGHT)
        with pytest.raises(RateLimitedError):
            await rest.get(HEIGHT)

    virtually(play)
    assert pauses == [60.0]


def test_a_request_goes_on_when_its_client_has_given_up():
    async def play(exchange, rest, stream):
        exchange.faults.add(FaultRule(act="expire_token", nth=1))
        exchange.faults.add(FaultRule(act="skew", skew_ms=1, nth=2))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(rest.get(HEIGHT), 0.5)
        before = len(exchange.ledger)
        await asyncio.sleep(1)
        return before, len(exchange.ledger)

    travel = TravelTimes(request_ms=(1_000, 1_000))
    assert virtually(play, travel=travel) == (0, 1)


def test_requests_and_answers_take_their_time():
    async def play(exchange, rest, stream):
        times = []
        for _ in range(20):
            begun = now()
            await rest.get(HEIGHT)
            times.append(now() - begun)
        return times

    travel = TravelTimes(request_ms=(10, 20), reply_ms=(1, 2))
    times = virtually(play, travel=travel)
    assert all(0.011 <= each <= 0.022 for each in times)
    assert len(set(times)) > 10
    assert times == virtually(play, travel=travel)


def test_nobody_answers_at_an_exchange_that_is_closed():
    async def play(exchange, rest, stream):
        await exchange.aclose()
        with pytest.raises(ConnectError, match="nobody there"):
            await rest.get(HEIGHT)
        with pytest.raises(ConnectError, match="nobody there"):
            await stream.connect()
        await rest.aclose()
        with pytest.raises(ConnectError, match="closed here"):
            await rest.get(HEIGHT)

    virtually(play)


def test_frames_keep_their_order_whatever_their_time_on_the_way():
    async def play(exchange, rest, stream):
        await stream.connect()
        for _ in range(30):
            await stream.send(b'{"type":"ping"}')
            await stream.send(b"{}")
        kinds = [await stream.receive(TIMEOUT_S) for _ in range(61)]
        assert b'"connected"' in kinds[0]
        assert [b"pong" in kind for kind in kinds[1:]] == [True, False] * 30

    virtually(play, travel=TravelTimes(request_ms=(0, 50), reply_ms=(0, 50)))
    virtually(play)


def test_a_stream_waits_as_long_as_asked_and_no_longer():
    async def play(exchange, rest, stream):
        await stream.connect()
        await stream.receive(None)
        assert await stream.receive(1.5) is None
        return now()

    assert virtually(play) == 1.5


def test_a_stream_that_is_not_connected_says_so():
    async def play(exchange, rest, stream):
        assert not stream.is_open
        with pytest.raises(StreamClosedError, match="not connected"):
            await stream.send(b"{}")
        with pytest.raises(StreamClosedError, match="not connected"):
            await stream.receive(None)

    virtually(play)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (FaultRule(act="close", code=1011), 1011),
        (FaultRule(act="drop"), 1006),
        (FaultRule(act="shutdown", delay_ms=500), 1012),
    ],
    ids=["closed", "cut", "shutdown"],
)
def test_a_stream_ends_with_the_code_of_its_end(rule, code):
    async def play(exchange, rest, stream):
        await stream.connect()
        exchange.faults.add(rule)
        await stream.send(b'{"type":"ping"}')
        with pytest.raises(StreamClosedError, match=f"ended with {code}"):
            await everything(stream)
        assert not stream.is_open
        with pytest.raises(StreamClosedError, match="gone"):
            await stream.send(b"{}")
        exchange.faults.clear()
        await stream.connect()
        assert stream.is_open
        await stream.disconnect()
        await asyncio.sleep(0.1)
        return exchange.engine.connections

    assert virtually(play) == 0


def test_a_handshake_can_be_too_late_or_refused():
    async def late(exchange, rest, stream):
        with pytest.raises(ConnectError, match="in time"):
            await stream.connect()

    virtually(late, travel=TravelTimes(request_ms=(5_000, 5_000)))

    async def refused(exchange, rest, stream):
        for _ in range(80):
            await stream.connect()
        with pytest.raises(ConnectError, match="23003"):
            await stream.connect()

    virtually(refused, enforce_limits=True)


def test_a_failure_inside_is_an_answer_and_comes_out_at_the_end():
    class Broken:
        armed = False

        def next_at_us(self):
            return 0 if self.armed else None

        def step(self, now_us):
            raise ZeroDivisionError(now_us)

    async def main():
        flow = Broken()
        settings = VenueSettings(verify=False)
        async with InProcessExchange(settings, flow=flow) as exchange:
            rest = exchange.environment.open_rest(exchange.base_url)
            flow.armed = True
            with pytest.raises(VenueUnavailableError):
                await rest.get(HEIGHT)

    with pytest.raises(ZeroDivisionError):
        run_virtual(main)


def test_what_cannot_work_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="event loop"):
        InProcessExchange()
    for bounds in ((-1, 5), (5, 1), (0, 600_001)):
        with pytest.raises(ConfigError, match="request_ms"):
            TravelTimes(request_ms=bounds)

    async def main():
        with pytest.raises(ConfigError, match="signer='python'"):
            InProcessExchange(VenueSettings(verify=True))
        exchange = InProcessExchange()
        for opened in (
            exchange.environment.open_rest,
            exchange.environment.open_stream,
        ):
            with pytest.raises(ConfigError, match="base_url: http://elsewhere"):
                opened("http://elsewhere")
        await exchange.aclose()

    run_virtual(main)


async def test_it_works_in_an_ordinary_loop_as_well():
    async with InProcessExchange() as exchange:
        rest = exchange.environment.open_rest(exchange.base_url)
        assert (await rest.get(HEIGHT))["code"] == 200
        assert exchange.ledger is exchange.engine.ledger
