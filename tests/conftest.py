"""Fixtures that every test shares: venues, clients, a faulty relay, and guards.

The guards hold for every test: no setting leaks in from the machine, no connection
leaves it, and nothing that a test opens is still open when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import aiohttp
import hypothesis
import pytest
from aiohttp import web

from wrappy import DealerConfig, LighterDealer, WsInfo
from wrappy.lighter.config import ApiKeyConfig
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import Venue, VenueSettings

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS_MAY_TAKE_S = 1.0
LOOK_AGAIN_S = 0.005
LOOPBACK = ("127.", "::1", "localhost")

# A property is no timing test: a busy machine must not fail it. A failure prints
# what reproduces it.
hypothesis.settings.register_profile("wrappy", deadline=None, print_blob=True)
hypothesis.settings.load_profile("wrappy")

# Whoever starts the tests may have it ignored (`nohup`), and the programs that tests
# start would inherit that.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

_outside: list[object] = []


class OutsideConnectionError(AssertionError):
    """A test tried to reach an address beyond this machine."""


def _watch_connections(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
        _outside.append(address)
        raise OutsideConnectionError(f"{address} is not on this machine")


sys.addaudithook(_watch_connections)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have every coroutine test watched, and no other: that costs a loop each."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(
            item.function
        ):
            item.fixturenames.insert(0, "nothing_left_running")


def pytest_collection_finish() -> None:
    """Set aside what lives as long as the run, so that collecting stays cheap."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch, tmp_path_factory):
    """No setting of this machine reaches a test, no connection leaves it."""
    for name in [name for name in os.environ if name.startswith("LIGHTER_")]:
        monkeypatch.delenv(name)
    state = tmp_path_factory.getbasetemp() / "state-home"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    _outside.clear()
    yield
    assert not _outside, f"connections beyond this machine: {_outside}"


@pytest.fixture
async def nothing_left_running():
    """Fail a test that leaves a task running or a session or socket open."""
    yield
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, others = await asyncio.wait(others, timeout=TASKS_MAY_TAKE_S)
    assert not others, f"still running: {[task.get_name() for task in others]}"
    gc.collect()  # what was not closed warns now, and a warning is an error


# -------------------------------------------------------------------------- places


@pytest.fixture
async def venue():
    """A local exchange with a living market."""
    async with Venue(seed=1) as running:
        yield running


@pytest.fixture
async def quiet_venue():
    """A local exchange in which nobody trades but the test."""
    async with Venue(seed=1, flow="none") as running:
        yield running


@pytest.fixture
def config_for(tmp_path):
    """Return settings for an account of a venue: `config_for(venue, account=1)`."""

    def made(venue: Venue, account: int = 0, **changes: Any) -> DealerConfig:
        owner = venue.accounts[account]
        settings = {
            "base_url": venue.base_url,
            "account_index": owner.account_index,
            "api_keys": tuple(
                ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                for key in owner.api_keys
            ),
            "chain_id": venue.chain_id,
            "symbol": "ETH",
            "standard_account": False,
            "state_dir": str(tmp_path / "state"),
        }
        if {"market_index", "symbol"} & set(changes):
            del settings["symbol"]
        return DealerConfig(**{**settings, **changes})

    return made


@pytest.fixture
async def dealer(config_for):
    """Return a function that opens dealers: `await dealer(venue, account=1, ...)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(
            venue: Venue, account: int = 0, *, logger: Any = None, **changes: Any
        ) -> LighterDealer:
            config = config_for(venue, account, **changes)
            return await stack.enter_async_context(
                await LighterDealer.create(config, logger=logger)
            )

        yield opened


@pytest.fixture
async def ws():
    """Return a function that opens overlays: `await ws(venue, account=1, ...)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(venue: Venue, account: int = 0, **changes: Any) -> WsInfo:
            owner = venue.accounts[account]
            settings = {
                "symbol": "ETH",
                "base_url": venue.base_url,
                "chain_id": venue.chain_id,
                **changes,
            }
            return await stack.enter_async_context(
                await WsInfo.run_overlay(
                    owner.account_index,
                    owner.api_keys[0].api_key_index,
                    owner.api_keys[0].api_key_private_key,
                    **settings,
                )
            )

        yield opened


@pytest.fixture
def simulated(config_for):
    """Return a function that plays a scenario at an exchange in virtual time.

    The scenario is called with the exchange and with a function that opens dealers.
    """

    def played(scenario, *, travel=None, **settings: Any):
        quiet = {"flow": "none", "verify": False}

        async def main():
            async with (
                InProcessExchange(
                    VenueSettings(**{**quiet, **settings}), travel=travel
                ) as exchange,
                contextlib.AsyncExitStack() as stack,
            ):

                async def opened(account=0, *, environment=None, **changes):
                    return await stack.enter_async_context(
                        await LighterDealer.create(
                            config_for(exchange, account, **changes),
                            environment=environment or exchange.environment,
                        )
                    )

                return await scenario(exchange, opened)

        return run_virtual(main)

    return played


@pytest.fixture
def eventually():
    """Return a function that waits until something holds, with a deadline."""

    async def waited(holds: Callable[[], Any], timeout_s: float = 5.0) -> Any:
        ends = time.monotonic() + timeout_s
        while not (value := holds()):
            assert time.monotonic() < ends, "it did not happen in time"
            await asyncio.sleep(LOOK_AGAIN_S)
        return value

    return waited


# --------------------------------------------------------------------------- relay


@dataclass
class Fault:
    """What the relay does to requests of one path, a number of times."""

    path: str
    kind: str
    times: int = 1
    status: int = 500
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Relay:
    """Stands between a client and a venue, and can lose, delay and make up answers.

    Attributes:
        requests: (path, form) of everything that came in.
        fired: (kind, path) of the faults that happened.
        down: called with every frame from the venue; returns the frames to pass on.
        up: the same for frames from the client.
        holding: set when an answer is being held back.
        release: set it to let held answers go.
        door_open: whether WebSockets may connect.
        connects: WebSockets that did connect.
    """

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.fired: list[tuple[str, str]] = []
        self.down: Callable[[dict[str, Any]], list[dict[str, Any]]] | None = None
        self.up: Callable[[dict[str, Any]], list[dict[str, Any]]] | None = None
        self.holding = asyncio.Event()
        self.release = asyncio.Event()
        self.door_open = True
        self.connects = 0
        self._faults: list[Fault] = []
        self._transports: set[asyncio.Transport] = set()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    # A relay passes for a venue where settings are made from one.
    @property
    def accounts(self):
        return self.venue.accounts

    @property
    def chain_id(self):
        return self.venue.chain_id

    async def __aenter__(self) -> Relay:  # noqa: PYI034 - typing.Self needs 3.11
        self._session = aiohttp.ClientSession()
        application = web.Application()
        application.router.add_get("/stream", self._stream)
        application.router.add_route("*", "/{path:.*}", self._request)
        self._runner = web.AppRunner(application, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self.release.set()
        assert self._runner is not None
        assert self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    def lose_request(self, path: str, times: int = 1) -> None:
        """Drop requests before the venue has them."""
        self._faults.append(Fault(path, "lose_request", times))

    def lose_answer(self, path: str, times: int = 1) -> None:
        """Pass requests on, then drop the connection instead of answering."""
        self._faults.append(Fault(path, "lose_answer", times))

    def hold_answer(self, path: str, times: int = 1) -> None:
        """Pass requests on, and keep the answer until `release` is set."""
        self._faults.append(Fault(path, "hold_answer", times))

    def answer(
        self,
        path: str,
        body: Any,
        *,
        status: int = 200,
        times: int = 1,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer in the venue's place, without passing the request on."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._faults.append(Fault(path, "answer", times, status, raw, headers or {}))

    def cut(self) -> None:
        """Drop every WebSocket, as a network does: without a close frame."""
        for transport in list(self._transports):
            transport.abort()

    def paths(self) -> list[str]:
        """Return the paths that were asked, in order."""
        return [path for path, _ in self.requests]

    def _fault(self, path: str) -> Fault | None:
        for fault in self._faults:
            if fault.times > 0 and path == fault.path:
                fault.times -= 1
                self.fired.append((fault.kind, path))
                return fault
        return None

    async def _request(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        form = {k: v[0] for k, v in parse_qs(body.decode()).items()}
        self.requests.append((request.path, form))
        fault = self._fault(request.path)
        if fault is not None and fault.kind == "answer":
            return web.Response(
                body=fault.body, status=fault.status, headers=fault.headers
            )
        if fault is not None and fault.kind == "lose_request":
            return _hang_up(request)
        names = ("authorization", "content-type")
        kept = {k: v for k, v in request.headers.items() if k.lower() in names}
        assert self._session is not None
        async with self._session.request(
            request.method,
            self.venue.base_url + request.path_qs,
            data=body or None,
            headers=kept,
        ) as response:
            raw = await response.read()
            if fault is not None and fault.kind == "hold_answer":
                self.holding.set()
                await self.release.wait()
            elif fault is not None:
                return _hang_up(request)
            passed = ("content-type", "retry-after")
            headers = {k: v for k, v in response.headers.items() if k.lower() in passed}
            return web.Response(body=raw, status=response.status, headers=headers)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if not self.door_open:
            return web.Response(status=503)
        ours = web.WebSocketResponse(max_msg_size=0)
        await ours.prepare(request)
        self.connects += 1
        transport = request.transport
        assert transport is not None
        assert self._session is not None
        self._transports.add(transport)
        try:
            async with self._session.ws_connect(
                self.venue.ws_url, max_msg_size=0
            ) as theirs:
                down = asyncio.create_task(self._pump(theirs, ours, "down"))
                up = asyncio.create_task(self._pump(ours, theirs, "up"))
                await asyncio.wait([down, up], return_when=asyncio.FIRST_COMPLETED)
                for pump in (down, up):
                    pump.cancel()
                await asyncio.gather(down, up, return_exceptions=True)
        finally:
            self._transports.discard(transport)
            transport.abort()
        return ours

    async def _pump(self, source: Any, target: Any, way: str) -> None:
        async for message in source:
            change = self.down if way == "down" else self.up
            if change is None:
                await target.send_str(_text(message))
                continue
            for frame in change(json.loads(_text(message))):
                await target.send_str(json.dumps(frame))


def _text(message: aiohttp.WSMessage) -> str:
    data = message.data
    return data if isinstance(data, str) else bytes(data).decode()


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@pytest.fixture
async def relay_to():
    """Return a function that puts a relay before a venue: `await relay_to(venue)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(venue: Venue) -> Relay:
            return await stack.enter_async_context(Relay(venue))

        yield opened
