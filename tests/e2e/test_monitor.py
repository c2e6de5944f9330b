"""A bot at the local exchange and those who look at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import sys
import time
from decimal import Decimal

import aiohttp
import pytest

from wrappy.errors import ConfigError, TransportError
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.events import EventKind
from wrappy.runner.metrics import metrics_of
from wrappy.runner.monitor import EngineWatch, Monitor, MonitorSettings
from wrappy.runner.monitor.answers import ANSWERS
from wrappy.runner.monitor.server import monitor_page
from wrappy.runner.risk import AccountGuard, RiskLimits
from wrappy.runner.strategy import Strategy
from wrappy.runner.strategy.strategy import NoParameters
from wrappy.runner.watching import watch_engine
from wrappy.runner.worlds.world import World

TOKEN = "a-token-of-good-length"
ENVIRON = {"WRAPPY_MONITOR_TOKEN": TOKEN}
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
SETTINGS = MonitorSettings(enabled=True, port=0, every_s=0.05)


class RestAndTake(Strategy[NoParameters]):
    """Rests a buy far below the market, takes a little, and waits."""

    async def run(self, ctx):
        await ctx.dealer().create_limit_order(2_900, Decimal("0.05"))
        await ctx.dealer().create_market_order(Decimal("0.02"))
        await asyncio.get_running_loop().create_future()


class Rest(Strategy[NoParameters]):
    """Rests a buy, whatever comes of its sending, and waits."""

    async def run(self, ctx):
        await ctx.dealer().create_limit_order(2_900, Decimal("0.05"))
        with contextlib.suppress(TransportError):
            await ctx.dealer().flush()
        await asyncio.get_running_loop().create_future()


class Fragile(Strategy[NoParameters]):
    """Raises, with a key in its words."""

    words = "no column 'close'"

    async def run(self, _ctx):
        raise ValueError(self.words)


@pytest.fixture
def engine_at(config_for):
    """Return a function that makes an engine at a venue, its strategies added."""

    def made(venue, *strategies, guard=None, **changes):
        config = config_for(venue, symbol=None, **changes)
        engine = TradingEngine(World(name="venue", config=config), guard=guard)
        for strategy in strategies:
            engine.add_strategy(strategy)
        return engine

    return made


@contextlib.asynccontextmanager
async def working(engine, **wishes):
    """Run an engine under a monitor; stop it in the end."""
    wishes.setdefault("monitor", SETTINGS)
    async with watch_engine(engine, environ=ENVIRON, **wishes) as seen:
        await engine.start()
        try:
            yield seen
        finally:
            await engine.stop()


async def asked(seen, path, *, headers=KNOWN, method="GET", query=None):
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, seen.monitor.base_url + path, headers=headers, params=query
        ) as response,
    ):
        return response.status, await response.text(), response.headers


async def told(seen, path):
    status, text, _ = await asked(seen, path)
    assert status == 200
    return json.loads(text)


async def test_every_address_tells_of_a_bot_at_work(venue, engine_at, eventually):
    engine = engine_at(venue, RestAndTake(), Fragile())
    async with working(engine) as seen:
        look = seen.watch
        await eventually(lambda: look.latest.positions and look.latest.figures.equity)
        await eventually(lambda: look.latest.figures.live_orders == {"open": 1})
        await eventually(lambda: look.latest.figures.strategies.get("crashed"))
        answers = {path: await told(seen, path) for path in ANSWERS}
    assert all(answer["age_s"] < 5 for answer in answers.values())
    status = answers["/api/status"]
    assert status["is_running"] is True
    assert status["active_strategies"] == ["rest_and_take"]
    assert status["strategies"]["fragile"] == "crashed"
    balance = answers["/api/account/balance"]
    assert Decimal(balance["collateral"]) > 90_000
    assert Decimal(balance["available_balance"]) <= Decimal(balance["collateral"])
    (position,) = answers["/api/positions"]["positions"]
    assert (position["symbol"], Decimal(position["size"])) == ("ETH", Decimal("0.02"))
    (order,) = answers["/api/orders"]["orders"]
    assert (order["price"], order["strategy"]) == ("2900.00", "rest_and_take")
    (fill,) = answers["/api/fills"]["fills"]
    assert (fill["side"], fill["role"], fill["strategy"]) == (
        "buy",
        "taker",
        "rest_and_take",
    )
    assert answers["/api/risk"]["open_orders_count"] == 1
    assert answers["/api/curve"]["curve"]
    kinds = {event["kind"] for event in answers["/api/events"]["events"]}
    assert {"strategy_started", "strategy_crashed", "order_filled"} <= kinds
    state = answers["/api/state"]
    assert state["figures"]["fills"] == 1
    assert state["figures"]["connected"] is True
    assert state["figures"]["requests"] > 0
    assert sum(state["figures"]["latency_counts"]) == 2


async def test_without_the_token_nothing_is_told(quiet_venue, engine_at):
    engine = engine_at(quiet_venue, RestAndTake())
    async with working(engine) as seen:
        for path in (*ANSWERS, "/metrics"):
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                status, text, _ = await asked(seen, path, headers=headers)
                assert status == 401
                assert "account" not in text
            status, _, answer = await asked(
                seen, path, headers={}, query={"token": TOKEN}
            )
            assert status == 200
            assert "Access-Control-Allow-Origin" not in answer
        evil = {**KNOWN, "Host": "evil.example"}
        assert (await asked(seen, "/api/status", headers=evil))[0] == 403
        foreign = {**KNOWN, "Origin": "http://evil.example"}
        assert (await asked(seen, "/api/status", headers=foreign))[0] == 403
        assert (await asked(seen, "/", headers={"Host": "evil.example"}))[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_there_is_nothing_that_could_be_changed(quiet_venue, engine_at, method):
    engine = engine_at(quiet_venue)
    async with working(engine) as seen:
        for path in ("/", "/api/orders", "/metrics", "/nothing"):
            status, _, headers = await asked(seen, path, method=method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert (await asked(seen, "/nothing"))[0] == 404
        status, text, headers = await asked(seen, "/api/status", method="HEAD")
        assert (status, text) == (200, "")
        assert int(headers["Content-Length"]) > 0


async def test_the_page_is_one_file_that_asks_nobody_else(quiet_venue, engine_at):
    async with working(engine_at(quiet_venue)) as seen:
        status, text, headers = await asked(seen, "/", headers={})
    assert status == 200
    assert text.encode() == monitor_page()
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert policy.count("'sha256-") == 2
    assert not re.search(r"(src|href)=\"(?!data:)|@import|url\(", text)
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write", text)
    assert not re.search(r"\sstyle=|\son\w+=\"", text)


async def test_the_token_is_in_the_address_for_a_person_and_nowhere_else(
    quiet_venue, engine_at, caplog
):
    caplog.set_level(logging.DEBUG)
    async with working(engine_at(quiet_venue)) as seen:
        monitor = seen.monitor
        assert monitor.url == f"{monitor.base_url}/#token={TOKEN}"
        assert monitor.base_url.startswith("http://127.0.0.1:")
        assert TOKEN not in repr(monitor)
        assert seen.address == monitor.base_url, "who has set it need not be told"
        await asked(seen, "/api/status", headers={}, query={"token": TOKEN})
        await asked(seen, "/api/status", headers={}, query={"token": "wrong"})
        for path in ANSWERS:
            assert TOKEN not in (await asked(seen, path))[1]
    assert TOKEN not in caplog.text


async def test_no_key_is_shown_even_if_a_strategy_says_it(
    quiet_venue, engine_at, eventually
):
    key = quiet_venue.accounts[0].api_keys[0].api_key_private_key
    fragile = Fragile()
    fragile.words = f"cannot sign with {key}"
    async with working(engine_at(quiet_venue, fragile)) as seen:
        await eventually(lambda: seen.watch.events.counts[EventKind.STRATEGY_CRASHED])
        await eventually(lambda: "cannot sign" in str(seen.watch.latest.events))
        everything = [(await asked(seen, path))[1] for path in (*ANSWERS, "/metrics")]
    assert any("cannot sign with ***" in text for text in everything)
    for account in quiet_venue.accounts:
        for one in account.api_keys:
            assert not any(one.api_key_private_key in text for text in everything)


async def test_a_position_has_a_worth_though_no_strategy_streams_a_price(
    venue, engine_at, eventually
):
    assert RestAndTake.market_data == "none"
    guard = AccountGuard(RiskLimits(max_open_orders=5))
    engine = engine_at(venue, RestAndTake(), guard=guard)

    def worth():
        return seen.watch.latest.risk["exposure"]["ETH"]["notional"]

    async with working(engine) as seen:
        look = seen.watch
        await eventually(lambda: look.latest.positions and worth())
        await eventually(lambda: look.latest.figures.live_orders == {"open": 1})
        assert worth() > 0
        assert guard.get_risk_status()["exposure"]["ETH"]["notional"] is None


async def test_metrics_can_be_read_by_prometheus(venue, engine_at, eventually):
    parser = pytest.importorskip("prometheus_client.parser")
    guard = AccountGuard(RiskLimits(max_open_orders=5))
    engine = engine_at(venue, RestAndTake(), guard=guard)
    async with working(engine) as seen:
        look = seen.watch
        await eventually(lambda: look.latest.positions and look.latest.figures.equity)
        await eventually(lambda: look.latest.figures.live_orders == {"open": 1})
        _, text, headers = await asked(seen, "/metrics")
    assert headers["Content-Type"].startswith("text/plain")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["wrappy_orders", "open"] == 1
    assert found["wrappy_ended_orders_total", "filled"] == 1
    assert found["wrappy_fills_total",] == 1
    assert found["wrappy_fees_usdc",] > 0
    assert found["wrappy_equity_usdc",] > 90_000
    assert found["wrappy_drawdown_ratio",] >= 0
    assert found["wrappy_unknown_orders",] == 0
    assert found["wrappy_requests_total",] > 0
    assert found["wrappy_loop_lag_seconds",] >= 0
    assert found["wrappy_stream_reconnects_total",] == 0
    assert found["wrappy_hook_failures_total",] == 0
    assert found["wrappy_position", "ETH"] == 0.02
    assert found["wrappy_order_acceptance_seconds_count",] == 2
    assert found["wrappy_order_acceptance_seconds_bucket", "+Inf"] == 2
    states = ("ACTIVE", "REDUCING", "HALTED")
    assert sum(found["wrappy_risk_state", state] for state in states) == 1


async def test_metrics_may_be_open_while_the_rest_is_not(quiet_venue, engine_at):
    open_metrics = MonitorSettings(enabled=True, port=0, open_metrics=True)
    async with working(engine_at(quiet_venue), monitor=open_metrics) as seen:
        assert (await asked(seen, "/metrics", headers={}))[0] == 200
        assert (await asked(seen, "/api/state", headers={}))[0] == 401


async def test_a_loop_that_hangs_is_seen_while_it_hangs(quiet_venue, engine_at):
    engine = engine_at(quiet_venue, RestAndTake())
    async with working(engine) as seen:
        port = int(seen.monitor.base_url.rpartition(":")[2])
        # Asked with a plain socket, from the very loop that stands still meanwhile.
        ends = time.monotonic() + 2.3
        with socket.create_connection(("127.0.0.1", port)) as client:
            while time.monotonic() < ends:
                pass
            request = f"GET /api/status?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            client.sendall(f"{request}Connection: close\r\n\r\n".encode())
            answer = b""
            while part := client.recv(65_536):
                answer += part
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["age_s"] > 2
        await asyncio.sleep(0.3)
        assert seen.watch.events.counts[EventKind.LOOP_BLOCKED] == 1
        assert seen.watch.latest.figures.longest_lag_s > 2


async def test_an_outage_is_told_when_it_begins_and_when_it_is_over(
    quiet_venue, relay_to, engine_at, eventually
):
    relay = await relay_to(quiet_venue)
    async with working(engine_at(relay, RestAndTake())) as seen:
        counts, watch = seen.watch.events.counts, seen.watch
        await eventually(lambda: counts[EventKind.STREAM_BACK] == 1)
        relay.door_open = False
        relay.cut()
        await eventually(lambda: counts[EventKind.STREAM_LOST] == 1)
        await eventually(lambda: watch.latest.figures.outage_s > 0.1)
        assert (await told(seen, "/api/state"))["figures"]["connected"] is False
        relay.door_open = True
        await eventually(lambda: counts[EventKind.STREAM_BACK] == 2, 15.0)
        await eventually(lambda: watch.latest.figures.connects > 1)
        assert watch.latest.figures.outage_s == 0


async def test_an_order_in_doubt_is_counted_until_it_is_known(
    quiet_venue, relay_to, engine_at, eventually
):
    relay = await relay_to(quiet_venue)
    relay.lose_request("/api/v1/sendTx", times=3)
    async with working(engine_at(relay, Rest())) as seen:
        watch = seen.watch
        await eventually(lambda: watch.events.counts[EventKind.ORDER_UNKNOWN])
        await eventually(lambda: watch.events.counts[EventKind.ORDER_KNOWN_AGAIN], 10)
        await eventually(lambda: watch.latest.figures.unknown_orders == 0)


async def test_a_client_that_does_not_read_is_cut_off_and_others_are_served(
    quiet_venue, engine_at, monkeypatch, eventually
):
    monkeypatch.setattr("wrappy.runner.monitor.server.WRITE_WITHIN_S", 0.2)
    async with working(engine_at(quiet_venue)) as seen:
        port = int(seen.monitor.base_url.rpartition(":")[2])
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.connect(("127.0.0.1", port))
            client.settimeout(5)
            request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            with contextlib.suppress(OSError):
                client.sendall(request * 1_000)
            await eventually(lambda: seen.monitor.cut_off)
            assert (await asked(seen, "/api/status"))[0] == 200


async def test_a_port_that_is_taken_is_named(quiet_venue, engine_at):
    engine = engine_at(quiet_venue)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port: {port} cannot be listened on"):
            async with working(
                engine, monitor=MonitorSettings(enabled=True, port=port)
            ):
                pass


async def test_looking_costs_the_loop_little(quiet_venue, engine_at, eventually):
    class Many(Strategy[NoParameters]):
        async def run(self, ctx):
            for number in range(200):
                price = Decimal(2_000) + number
                await ctx.dealer().create_limit_order(price, Decimal("0.05"))
            await asyncio.get_running_loop().create_future()

    engine = engine_at(quiet_venue, Many())
    async with working(engine, monitor=MonitorSettings(enabled=True, port=0)) as seen:
        await eventually(lambda: len(engine.get_status()["orders"]) == 200)
        watch = seen.watch
        began = time.perf_counter()
        looks = [watch.look() for _ in range(20)]
        took_s = (time.perf_counter() - began) / len(looks)
        assert looks[-1].orders_total == 200
    # Once a second: five hundredths of the time at the very most.
    assert took_s < 0.05


async def test_a_second_writer_is_told_and_the_strategys_own_hook_is_kept(
    quiet_venue, engine_at, eventually
):
    engine, heard = engine_at(quiet_venue, Rest()), []
    async with working(engine) as seen:
        counts = seen.watch.events.counts
        await eventually(lambda: counts[EventKind.STRATEGY_STARTED])
        session = engine.runs["rest"].session
        dealer = session.dealers["ETH"]
        dealer.on_foreign_nonce(2)
        assert counts[EventKind.FOREIGN_NONCE] == 1
        dealer.on_foreign_nonce = heard.append
        again = seen.watch.session_opened(engine.runs["rest"])
        dealer.on_foreign_nonce(3)
        assert (counts[EventKind.FOREIGN_NONCE], heard) == (2, [3])
        again()
        assert dealer.on_foreign_nonce == heard.append


async def test_a_changed_risk_state_is_an_event(quiet_venue, engine_at, eventually):
    guard = AccountGuard(RiskLimits(max_open_orders=5))
    engine = engine_at(quiet_venue, Rest(), guard=guard)
    async with working(engine) as seen:
        watch = seen.watch
        await eventually(lambda: watch.latest.figures.risk_state == "ACTIVE")
        guard.halt("somebody looked at the market")
        await eventually(lambda: watch.latest.figures.risk_state == "HALTED")
        assert (await told(seen, "/api/risk"))["state"] == "halted"
        texts = [event.text for event in watch.latest.events]
        assert any("ACTIVE → HALTED: somebody looked" in text for text in texts)


async def test_metrics_without_their_library_name_the_extra(
    quiet_venue, engine_at, monkeypatch
):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"wrappy-lighter\[bot\]"):
        async with working(engine_at(quiet_venue)):
            pass


async def test_nothing_is_watched_that_was_not_wished(quiet_venue, engine_at):
    engine = engine_at(quiet_venue)
    async with watch_engine(engine, environ={}) as seen:
        assert (seen.monitor, seen.alerts, seen.address) == (None, None, "")
    async with watch_engine(engine, monitor=SETTINGS, environ={}) as seen:
        assert seen.address == seen.monitor.url
    with pytest.raises(ConfigError, match="every_s"):
        EngineWatch(engine, every_s=0)


async def test_a_monitor_may_be_closed_twice_and_before_it_began(
    quiet_venue, engine_at
):
    watch = EngineWatch(engine_at(quiet_venue))
    monitor = Monitor(watch, SETTINGS, token=TOKEN, metrics=metrics_of(watch))
    await monitor.aclose()
    async with monitor:
        assert repr(monitor) == f"Monitor({monitor.base_url})"
    await monitor.aclose()
    await watch.aclose()
