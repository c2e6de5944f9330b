"""Raw TCP faults: the client's word stays true, its streams come back."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.heard import Heard
from wrappy import ConfigError, SendOutcomeUnknownError, UsageError
from wrappy._core.stream import StreamSession
from wrappy.errors import TransportError
from wrappy.lighter.logs import as_sink
from wrappy.lighter.streaming.stream import SupervisedStream
from wrappy.lighter.wire.transport import StreamDoor
from wrappy.model import OrderStatus
from wrappy.venue.proxy import TcpProxy
from wrappy.venue.tcp_faults import TcpFault

pytestmark = pytest.mark.slow

ACCEPTED = {OrderStatus.SENT, OrderStatus.OPEN}


class Through:
    """A venue's facts with the proxy's address, as settings are made of."""

    def __init__(self, venue, proxy):
        self.accounts, self.chain_id = venue.accounts, venue.chain_id
        self.base_url = proxy.base_url


@pytest.fixture
async def proxied(quiet_venue):
    async with TcpProxy(quiet_venue.base_url) as proxy:
        yield quiet_venue, proxy


async def sent(trader, numbers):
    """Flush until nothing waits here, as a bot does, and settle what is in doubt."""
    for _ in range(5):
        try:
            await trader.flush()
        except SendOutcomeUnknownError:
            break
        except TransportError:
            continue  # it was not sent, and still waits
        break
    for number in numbers:
        if trader.orders.get(number).status is OrderStatus.UNKNOWN:
            await trader.wait_settled(number)


async def body_of(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


def status_url(proxy):
    return f"{proxy.base_url}/api/v1/orderBooks"


# ------------------------------------------------------------------------ orders


@pytest.mark.parametrize(
    "fault",
    [
        TcpFault(act="reset", times=1),
        TcpFault(act="reset", after_bytes=40, times=1),
        TcpFault(act="reset", direction="up", times=1),
        TcpFault(act="reset", direction="up", after_bytes=400, times=1),
        TcpFault(act="cut", times=1),
        TcpFault(act="cut", after_bytes=40, times=1),
        TcpFault(act="cut", direction="up", after_bytes=400, times=1),
        TcpFault(act="half_open", times=1),
        TcpFault(act="half_open", direction="up", times=1),
        TcpFault(act="half_open", direction="up", after_bytes=400, times=1),
        TcpFault(act="slice", times=1),
        TcpFault(act="slice", direction="up", times=1),
        TcpFault(act="delay", delay_ms=50, spread_ms=50, times=1),
        TcpFault(act="throttle", bytes_per_s=8_000, times=1),
    ],
    ids=lambda fault: f"{fault.act}-{fault.direction}-{fault.after_bytes}",
)
@pytest.mark.parametrize("size", [1, 5])
async def test_what_became_of_orders_is_told_truthfully(proxied, dealer, fault, size):
    venue, proxy = proxied
    trader = await dealer(Through(venue, proxy), request_timeout_s=0.5)
    handle = proxy.add(fault)
    numbers = [
        (await trader.create_limit_order(1000 + step, 0.05))["client_order_index"]
        for step in range(size)
    ]
    await sent(trader, numbers)
    assert proxy.fired(handle) == 1
    there = [order.client_order_index for order in venue.ledger.orders()]
    told = {number: trader.orders.get(number).status for number in numbers}
    assert set(told.values()) <= {*ACCEPTED, OrderStatus.REJECTED}, told
    assert sorted(there) == [n for n in numbers if told[n] in ACCEPTED], told
    # And the key goes on with the right nonce.
    after = (await trader.create_limit_order(999, 0.05))["client_order_index"]
    await trader.flush()
    assert trader.orders.get(after).status in ACCEPTED
    nonces = [tx.nonce for tx in venue.ledger.accepted()]
    assert nonces == list(range(nonces[0], nonces[0] + len(nonces)))


async def test_an_order_to_a_closed_door_was_not_sent(proxied, dealer):
    venue, proxy = proxied
    trader = await dealer(Through(venue, proxy), request_timeout_s=0.5)
    proxy.shut()
    proxy.add(TcpFault(act="cut", direction="up"))  # ends what is kept open
    first = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    with pytest.raises(TransportError):
        await trader.flush()
    assert not venue.ledger.orders()
    proxy.clear()
    await proxy.listen()
    await sent(trader, [first])
    told = trader.orders.get(first).status
    there = [order.client_order_index for order in venue.ledger.orders()]
    assert there == ([first] if told in ACCEPTED else []), told


# ----------------------------------------------------------------------- streams


@pytest.mark.parametrize(
    "fault",
    [
        TcpFault(act="reset", times=1),
        TcpFault(act="reset", after_bytes=700, times=1),
        TcpFault(act="cut", after_bytes=700, times=1),
    ],
    ids=lambda fault: f"{fault.act}-{fault.after_bytes}",
)
async def test_a_stream_that_broke_comes_back_with_a_right_book(
    venue, ws, eventually, fault
):
    async with TcpProxy(venue.base_url) as proxy:
        overlay = await ws(Through(venue, proxy))
        handle = proxy.add(fault)
        await eventually(lambda: overlay.connects == 2, 20.0)
        await overlay.ready(timeout=10.0)
        assert proxy.fired(handle) == 1
        await eventually(lambda: same_book(overlay.book(), venue), 10.0)
        await overlay.aclose()


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_stream_notices_that_its_connection_is_half_open(
    proxied, eventually, direction
):
    _, proxy = proxied
    session = StreamSession(ping_interval_s=0.1, idle_limit_s=0.5)
    session.want("trade/0")
    heard = Heard()
    stream = SupervisedStream(
        StreamDoor(proxy.ws_url),
        session,
        heard,
        tokens=None,
        log=as_sink(None, "wrappy.ws"),
    )
    running = asyncio.create_task(stream.run())
    await eventually(lambda: stream.connects == 1)
    handle = proxy.add(TcpFault(act="half_open", direction=direction, times=1))
    await eventually(lambda: stream.connects == 2, 10.0)
    assert proxy.fired(handle) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    "fault",
    [
        TcpFault(act="slice"),
        TcpFault(act="delay", delay_ms=30, spread_ms=30),
        TcpFault(act="throttle", bytes_per_s=60_000),
    ],
    ids=lambda fault: fault.act,
)
async def test_a_slow_stream_keeps_its_book_and_its_connection(
    venue, ws, eventually, fault
):
    async with TcpProxy(venue.base_url) as proxy:
        handle = proxy.add(fault)
        overlay = await ws(Through(venue, proxy))
        seen = overlay.book().nonce
        await eventually(lambda: overlay.book().nonce > seen, 10.0)
        assert proxy.fired(handle) >= 1
        await eventually(lambda: same_book(overlay.book(), venue), 20.0)
        assert overlay.connects == 1
        await overlay.aclose()


def same_book(book, venue):
    bids, asks = venue.exchange.markets[0].engine.depth(3)
    market = venue.markets[0]
    return [
        [(level.price, level.size) for level in side] for side in book.depth(3)
    ] == [
        [(market.price(price), market.size(base)) for price, base in side]
        for side in (bids, asks)
    ]


# ------------------------------------------------------------------- the proxy


async def test_without_rules_everything_passes(proxied):
    venue, proxy = proxied
    assert await body_of(status_url(proxy)) == await body_of(
        f"{venue.base_url}/api/v1/orderBooks"
    )
    assert proxy.connections == 1
    assert proxy.firings == ()


async def test_a_refused_connection_is_reset(proxied):
    _, proxy = proxied
    handle = proxy.add(TcpFault(act="refuse", times=1))
    reader, writer = await opened(proxy)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert await body_of(status_url(proxy))
    [firing] = proxy.firings
    assert (firing.rule, firing.act, firing.connection) == (handle, "refuse", 1)


async def test_a_shut_door_has_nobody_behind_it_and_opens_at_the_same_address(proxied):
    _, proxy = proxied
    address = proxy.base_url
    proxy.shut()
    proxy.shut()
    with pytest.raises(aiohttp.ClientConnectorError):
        await body_of(status_url(proxy))
    await proxy.listen()
    assert proxy.base_url == address
    with pytest.raises(UsageError, match="listens already"):
        await proxy.listen()
    assert await body_of(status_url(proxy))


async def test_a_reset_is_a_reset_and_a_cut_is_an_end(proxied):
    _, proxy = proxied
    question = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    proxy.add(TcpFault(act="reset", after_bytes=10, times=1))
    reader, writer = await opened(proxy)
    writer.write(question)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    proxy.clear()
    proxy.add(TcpFault(act="cut", after_bytes=10, times=1))
    reader, writer = await opened(proxy)
    writer.write(question)
    assert len(await reader.read()) == 10
    writer.close()
    assert [(f.act, f.at_bytes) for f in proxy.firings] == [("reset", 10), ("cut", 10)]


async def test_a_throttled_answer_takes_its_time_and_a_slow_one_too(proxied):
    _, proxy = proxied
    whole = await body_of(status_url(proxy))
    proxy.add(TcpFault(act="throttle", bytes_per_s=1_000, times=1))
    began = time.monotonic()
    assert await body_of(status_url(proxy)) == whole
    assert time.monotonic() - began > 0.1
    proxy.clear()
    proxy.add(TcpFault(act="delay", delay_ms=100, times=1))
    began = time.monotonic()
    assert await body_of(status_url(proxy)) == whole
    assert time.monotonic() - began > 0.1


async def test_a_half_open_connection_hears_nothing_of_the_end(proxied, eventually):
    venue, proxy = proxied
    proxy.add(TcpFault(act="half_open"))
    reader, writer = await opened(proxy)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    await eventually(lambda: proxy.firings)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.1)
    assert proxy.open_connections == 1
    writer.close()
    await eventually(lambda: not proxy.open_connections)
    assert venue.failure is None


async def test_where_nobody_listens_behind_it_the_connection_is_reset(quiet_venue):
    async with TcpProxy(quiet_venue.base_url) as proxy:
        await quiet_venue.aclose()
        with pytest.raises(aiohttp.ClientError):
            await body_of(status_url(proxy))


async def opened(proxy):
    host, port = proxy.base_url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://192.0.2.1:80", "192.0.2.1 is not this machine"),
        ("http://example.com:80", "example.com is not this machine"),
        ("127.0.0.1:80", "is no address"),
        ("http://127.0.0.1", "is no address"),
        ("http://127.0.0.1:http", "is no address"),
        ("https://127.0.0.1:443", "is no address"),
    ],
)
def test_it_stays_on_this_machine(target, words):
    with pytest.raises(ConfigError, match=words):
        TcpProxy(target)


def test_it_has_no_address_before_it_runs():
    proxy = TcpProxy("http://localhost:1234")
    for address in ("base_url", "ws_url"):
        with pytest.raises(UsageError, match="not running"):
            getattr(proxy, address)
