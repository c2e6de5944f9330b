"""One budget for several processes, against a real Redis and without one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import subprocess
import sys

import pytest

pytest.importorskip("redis", reason="the Redis client comes with an extra")

from wrappy.errors import ConfigError
from wrappy.lighter.pacing.limiter import RequestPace
from wrappy.lighter.pacing.shared_budget import SLOTS, SharedBudget

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
needs_server = pytest.mark.skipif(
    SERVER is None, reason="no redis-server on this machine"
)
DEADLINE_S = 10.0
HOST = "http://127.0.0.1:1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A Redis of this test's own, without files."""

    def __init__(self, folder):
        self.port = free_port()
        self.folder = folder
        self.process = None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    async def start(self):
        self.process = subprocess.Popen(
            [SERVER, "-"],  # its settings come by the standard input
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        self.process.stdin.write(
            f"port {self.port}\nbind 127.0.0.1\nsave ''\ndir {self.folder}\n".encode()
        )
        self.process.stdin.close()
        ends = asyncio.get_running_loop().time() + DEADLINE_S
        while not listens(self.port):
            assert asyncio.get_running_loop().time() < ends
            await asyncio.sleep(0.02)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)
            self.process = None


@pytest.fixture
async def server(tmp_path):
    if SERVER is None:
        pytest.skip("no redis-server on this machine")
    made = Server(tmp_path)
    await made.start()
    yield made
    made.stop()


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def budgets():
    """Return a function that makes budgets as processes would, and closes them."""
    async with contextlib.AsyncExitStack() as stack:

        def make(url, *, owner="0xAB", **settings):
            settings = {"clock": Clock(), **settings}
            made = SharedBudget(url, host=HOST, owner=owner, **settings)
            stack.push_async_callback(made.aclose)
            return made

        yield make


async def passes(budget, *, urgent=False, limit=20, most=100, kind="all"):
    """Return how many requests pass at once."""
    for count in range(most):
        answer = await budget.admit(kind, 1, limit=limit, urgent=urgent)
        if answer.wait_s > 0:
            return count
    return most


@needs_server
async def test_two_processes_together_pass_what_one_may(server, budgets):
    one, other = budgets(server.url), budgets(server.url, owner="0xab")
    for _ in range(8):
        for budget in (one, other):
            assert await budget.admit("all", 1, limit=20, urgent=False) == (0.0, False)
    waits = [await b.admit("all", 1, limit=20, urgent=False) for b in (one, other)]
    assert all(SLOTS - 3 < wait.wait_s <= SLOTS for wait in waits)
    assert one.processes == other.processes == 4


@needs_server
async def test_cancels_have_a_fifth_that_orders_cannot_take(server, budgets):
    one, other = budgets(server.url), budgets(server.url)
    assert await passes(one) == 16
    assert await passes(other, urgent=True) == 4
    assert await passes(one, limit=5, kind="tiny") == 2
    assert await passes(other, limit=5, kind="tiny", urgent=True) == 3


@needs_server
async def test_owners_and_kinds_have_budgets_of_their_own(server, budgets):
    assert await passes(budgets(server.url)) == 16
    assert await passes(budgets(server.url), kind="send") == 16
    assert await passes(budgets(server.url, owner="0xcd")) == 16


@needs_server
async def test_a_weight_above_the_limit_is_asked_for_again_later(server, budgets):
    answer = await budgets(server.url).admit("read", 900, limit=20, urgent=True)
    assert answer == (60.0, False)


@needs_server
async def test_a_pause_of_one_process_is_everybodys(server, budgets):
    loop = asyncio.get_running_loop()
    one, other = (budgets(server.url, clock=loop.time) for _ in range(2))
    settings = {"standard": True, "weight_per_minute": None, "clock": loop.time}
    first = RequestPace(**settings, shared=one)
    second = RequestPace(**settings, shared=other)
    await first.wait("/api/v1/sendTx")
    await second.wait("/api/v1/sendTx")
    first.throttled(30.0)
    await one.aclose()  # the pause has been told when this returns
    waiting = asyncio.create_task(second.wait("/api/v1/sendTx", urgent=True))
    ends = loop.time() + DEADLINE_S
    while second.state().paused_for_s <= 0.0:
        assert loop.time() < ends
        await asyncio.sleep(0.01)
    assert second.state().paused_for_s > 25.0
    assert second.state().waiting == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@needs_server
async def test_a_shared_budget_holds_up_the_pace_that_has_room_itself(server, budgets):
    loop = asyncio.get_running_loop()
    budget = budgets(server.url, clock=loop.time)
    assert await passes(budget, limit=60) == 48
    pace = RequestPace(
        standard=True, weight_per_minute=None, clock=loop.time, shared=budget
    )
    waiting = asyncio.create_task(pace.wait("/api/v1/account"))
    await asyncio.wait_for(pace.wait("/api/v1/sendTx", urgent=True), DEADLINE_S)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


@needs_server
async def test_when_redis_goes_the_rest_is_shared_out_and_told_once(
    server, budgets, caplog
):
    clock = Clock()
    budget = budgets(server.url, clock=clock)
    for _ in range(8):
        assert (await budget.admit("all", 1, limit=60, urgent=False)).wait_s == 0.0
    server.stop()
    with caplog.at_level(logging.WARNING, "wrappy.budget"):
        # A fourth of 60 is 15, of which 3 are for cancels; a fourth of the 8 that
        # are used counts against it. What the last answer did not see does not.
        assert await passes(budget, limit=60) in (10, 11)
        assert await passes(budget, limit=60, urgent=True) == 3
        clock.now += 30.0
        assert await passes(budget, limit=60) == 0
    assert budget.is_alone
    assert caplog.text.count("does not answer") == 1
    clock.now += SLOTS
    assert await passes(budget, limit=60) == 12


@needs_server
async def test_redis_that_forgot_is_not_trusted_for_a_minute(server, budgets, caplog):
    clock = Clock()
    budget = budgets(server.url, clock=clock)
    assert await passes(budget, limit=60) == 48
    server.stop()
    await server.start()
    with caplog.at_level(logging.INFO, "wrappy.budget"):
        # The first answers may come over the broken connection.
        again = await passes(budget, limit=60)
        clock.now += 6.0
        again += await passes(budget, limit=60)
        assert again <= 12
    clock.now += 2 * SLOTS
    assert await passes(budget, limit=60) >= 30
    assert not budget.is_alone
    assert ("lost its counts" in caplog.text) or ("answers again" in caplog.text)


async def test_a_redis_that_is_not_there_lets_cancels_through(budgets, caplog):
    clock = Clock()
    url = f"redis://someone:s3cret@127.0.0.1:{free_port()}/0?password=s3cret"
    budget = budgets(url, clock=clock)
    with caplog.at_level(logging.DEBUG, "wrappy"):
        assert await passes(budget, limit=60) == 12
        assert await passes(budget, limit=60, urgent=True) == 3
        clock.now += SLOTS
        assert await passes(budget, limit=60, urgent=True) == 15
    assert "going on with 1/4 of every limit" in caplog.text
    assert "s3cret" not in caplog.text + repr(budget)


async def test_a_redis_that_never_answers_holds_nobody_up_for_long(budgets):
    async def mute(reader, writer):
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    budget = budgets(f"redis://127.0.0.1:{port}/0")
    answer = budget.admit("all", 1, limit=60, urgent=True)
    assert (await asyncio.wait_for(answer, DEADLINE_S)).wait_s == 0.0
    assert budget.is_alone
    await budget.aclose()
    listener.close()
    await listener.wait_closed()


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:6379/0", "s3cret", "redis://u:s3cret@127.0.0.1:port/0"],
)
def test_an_address_that_is_none_is_refused_without_its_secrets(url):
    with pytest.raises(ConfigError, match=r"^budget_redis_url: ") as caught:
        SharedBudget(url, host=HOST, owner="0x", clock=Clock())
    assert caught.value.__cause__ is None
    assert "s3cret" not in str(caught.value)


def test_a_share_needs_a_process():
    with pytest.raises(ConfigError, match="processes: 0"):
        SharedBudget(
            "redis://127.0.0.1/0", host=HOST, owner="0x", clock=Clock(), processes=0
        )


def test_without_the_client_the_extra_is_named():
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from wrappy.lighter.pacing.shared_budget import SharedBudget\n"
        "SharedBudget('redis://127.0.0.1/0', host='h', owner='o', clock=lambda: 0.0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert 'pip install "wrappy-lighter[bot]"' in done.stderr
