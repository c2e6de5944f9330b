"""Alerts on their way: from a bot at the local exchange to a server on loopback."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from decimal import Decimal

import pytest
from aiohttp import web

from wrappy.errors import ConfigError
from wrappy.runner.alerts import Alerts, AlertSettings
from wrappy.runner.alerts.watcher import MOST_WAITING
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.events import EventKind, Tone
from wrappy.runner.monitor import EngineWatch, MonitorSettings
from wrappy.runner.strategy import Strategy
from wrappy.runner.strategy.strategy import NoParameters
from wrappy.runner.watching import watch_engine
from wrappy.runner.worlds.world import World

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")

SECRET = "a-password-in-the-address"
QUICK = MonitorSettings(every_s=0.05)


class Fragile(Strategy[NoParameters]):
    """Raises, with a key in its words."""

    words = "no column 'close'"

    async def run(self, _ctx):
        raise ValueError(self.words)


class Sink:
    """A server that takes messages; it may be slow, or refuse."""

    def __init__(self):
        self.messages = []
        self.status = 200
        self.release = asyncio.Event()
        self.release.set()

    async def take(self, request):
        await self.release.wait()
        self.messages.append(await request.json())
        return web.Response(status=self.status)


@pytest.fixture
async def sink():
    """A server for messages on this machine, and its address for apprise."""
    taken = Sink()
    application = web.Application()
    application.router.add_post("/{path:.*}", taken.take)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    taken.url = f"json://user:{SECRET}@127.0.0.1:{port}/{SECRET}"
    yield taken
    taken.release.set()
    await runner.cleanup()


@pytest.fixture
def engine_at(config_for):
    """Return a function that makes an engine at a venue, its strategies added."""

    def made(venue, *strategies):
        engine = TradingEngine(
            World(name="venue", config=config_for(venue, symbol=None))
        )
        for strategy in strategies:
            engine.add_strategy(strategy)
        return engine

    return made


async def test_a_crash_reaches_the_server_and_no_secret_does(
    quiet_venue, engine_at, sink, caplog, eventually
):
    pytest.importorskip("apprise")
    caplog.set_level(logging.DEBUG)
    key = quiet_venue.accounts[0].api_keys[0].api_key_private_key
    fragile = Fragile()
    fragile.words = f"cannot sign with {key}"
    engine = engine_at(quiet_venue, fragile)
    async with watch_engine(
        engine,
        monitor=QUICK,
        alerts=AlertSettings(title="night bot"),
        environ={"WRAPPY_ALERT_URLS": sink.url},
    ) as seen:
        await engine.start()
        await eventually(lambda: sink.messages, 10.0)
        await engine.stop()
    (message,) = sink.messages
    assert message["title"].startswith("night bot ALERT (venue, account ")
    assert message["message"] == "fragile: crashed: ValueError: cannot sign with ***"
    assert message["type"] == "failure"
    assert (seen.alerts.sent, seen.alerts.failed) == (1, 0)
    assert SECRET not in caplog.text
    # The engine logs what a strategy raised as it is; the alert does not repeat it.
    alerted = [record for record in caplog.records if record.name == "wrappy.alerts"]
    assert not any(key in record.getMessage() for record in alerted)


async def test_a_server_that_refuses_is_counted_and_its_address_not_told(
    quiet_venue, engine_at, sink, caplog, eventually
):
    pytest.importorskip("apprise")
    caplog.set_level(logging.DEBUG)
    sink.status = 500
    engine = engine_at(quiet_venue, Fragile())
    async with watch_engine(
        engine,
        monitor=QUICK,
        alerts=AlertSettings(),
        environ={"WRAPPY_ALERT_URLS": sink.url},
    ) as seen:
        await engine.start()
        await eventually(lambda: seen.alerts.failed, 10.0)
        await engine.stop()
    assert "an alert did not reach everybody" in caplog.text
    assert SECRET not in caplog.text
    # What the library has to say afterwards is not held back.
    logging.getLogger("apprise").warning("somebody else's line")
    assert "somebody else's line" in caplog.text


async def test_addresses_that_cannot_be_are_named_by_their_place_only(
    quiet_venue, engine_at, tmp_path
):
    pytest.importorskip("apprise")
    engine = engine_at(quiet_venue)
    bad = {"WRAPPY_ALERT_URLS": f"json://127.0.0.1 nothing://{SECRET}"}
    with pytest.raises(ConfigError, match="address 2 of 2") as caught:
        async with watch_engine(engine, alerts=AlertSettings(), environ=bad):
            pass
    assert SECRET not in str(caught.value)
    empty = tmp_path / "urls"
    empty.touch(mode=0o600)
    settings = AlertSettings(urls_file=str(empty))
    with pytest.raises(ConfigError, match="has no address"):
        async with watch_engine(engine, alerts=settings, environ={}):
            pass


async def test_alerts_without_their_library_name_the_extra(
    quiet_venue, engine_at, monkeypatch
):
    monkeypatch.setitem(sys.modules, "apprise", None)
    environ = {"WRAPPY_ALERT_URLS": "json://127.0.0.1"}
    with pytest.raises(ConfigError, match=r"wrappy-lighter\[alerts\]"):
        async with watch_engine(
            engine_at(quiet_venue), alerts=AlertSettings(), environ=environ
        ):
            pass


async def test_without_an_address_nobody_is_told_and_nothing_fails(
    quiet_venue, engine_at
):
    engine = engine_at(quiet_venue)
    for settings in (AlertSettings(), AlertSettings(enabled=False)):
        async with watch_engine(engine, alerts=settings, environ={}) as seen:
            assert seen.alerts is None


class Slow:
    """Stands for a mail server that takes its time."""

    def __init__(self):
        self.release = threading.Event()
        self.begun = threading.Event()
        self.sent = []

    def __call__(self, _title, body, tone):
        self.begun.set()
        self.release.wait(10)
        self.sent.append((body, tone))
        return 0


async def test_a_slow_server_holds_up_nothing_and_the_oldest_events_go(
    quiet_venue, engine_at, eventually
):
    slow = Slow()
    async with EngineWatch(engine_at(quiet_venue)) as watch:
        alerts = Alerts(watch, watch.events, AlertSettings(), slow, every_s=0.01)
        async with alerts:
            watch.events.note(EventKind.STRATEGY_CRASHED, "first", strategy="a")
            await eventually(slow.begun.is_set)
            clock = asyncio.get_running_loop().time
            began = clock()
            for number in range(MOST_WAITING + 7):
                watch.events.note(
                    EventKind.STRATEGY_CRASHED, f"crash {number}", strategy=f"{number}"
                )
            assert clock() - began < 1
            assert alerts.dropped == 7
            slow.release.set()
        # What waited was sent before the end, as much as one hour may have.
        assert slow.sent[0] == ("a: first", Tone.BAD)
        assert slow.sent[1] == ("7: crash 7", Tone.BAD)
        assert len(slow.sent) == AlertSettings().most_per_hour - 1
        assert alerts.sent == len(slow.sent)


async def test_a_server_that_hangs_does_not_hold_up_the_end(
    quiet_venue, engine_at, monkeypatch, eventually, caplog
):
    monkeypatch.setattr("wrappy.runner.alerts.watcher.END_WITHIN_S", 0.1)
    slow = Slow()
    async with EngineWatch(engine_at(quiet_venue)) as watch:
        alerts = Alerts(watch, watch.events, AlertSettings(), slow, every_s=0.01)
        alerts.start()
        alerts.start()
        watch.events.note(EventKind.FOREIGN_NONCE, "x")
        await eventually(slow.begun.is_set)
        await alerts.aclose()
        await alerts.aclose()
        assert "left behind" in caplog.text
        slow.release.set()


async def test_a_loop_that_hangs_is_told_while_it_hangs(quiet_venue, engine_at):
    told = threading.Event()

    def notify(title, body, tone):
        if "has not moved" in body:
            told.set()
        return 0

    settings = AlertSettings(stalled_s=0.5)
    async with (
        EngineWatch(engine_at(quiet_venue), every_s=0.05) as watch,
        Alerts(watch, watch.events, settings, notify, every_s=0.02),
    ):
        # The loop stands still in here until the thread has spoken.
        assert told.wait(5)


async def test_figures_beyond_their_bounds_are_told(quiet_venue, engine_at, eventually):
    heard = []

    def notify(title, body, tone):
        heard.append((title, body))
        return 0

    settings = AlertSettings(disconnected_s=0.2, drawdown=Decimal("0.5"))
    engine = engine_at(quiet_venue, Idle())
    async with (
        EngineWatch(engine, every_s=0.05) as watch,
        Alerts(watch, watch.events, settings, notify, every_s=0.02),
    ):
        await engine.start()
        await eventually(lambda: watch.latest.figures.connected)
        heard.clear()
        await quiet_venue.aclose()
        await eventually(lambda: any("has been gone" in body for _, body in heard))
        await engine.stop()
    assert all("venue, account" in title for title, _ in heard)


class Idle(Strategy[NoParameters]):
    """Does nothing."""

    async def run(self, _ctx):
        await asyncio.get_running_loop().create_future()
