"""Streams at their edges: cancelled, shared, refused, starved, and lied to."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from wrappy import (
    BookGapError,
    RateLimitedError,
    StaleBookError,
    StreamClosedError,
    UsageError,
    VenueError,
    WsInfo,
)
from wrappy._core.stream import StreamState
from wrappy.lighter.link import acquire_link, release_link
from wrappy.runner.in_process import TravelTimes
from wrappy.venue import FaultRule


async def place(trader, price=1000, size=0.05):
    return (await trader.create_limit_order(price, size))["client_order_index"]


async def overlay_at(exchange, account=0, **changes):
    owner = exchange.accounts[account]
    key = owner.api_keys[0]
    settings = {
        "symbol": "ETH",
        "base_url": exchange.base_url,
        "chain_id": exchange.chain_id,
        "environment": exchange.environment,
        **changes,
    }
    return await WsInfo.run_overlay(
        owner.account_index, key.api_key_index, key.api_key_private_key, **settings
    )


def our_tasks():
    names = {task.get_name() for task in asyncio.all_tasks()}
    return {n for n in names if n.startswith("wrappy") and "venue" not in n}


@pytest.fixture
async def behind(quiet_venue, dealer, ws, relay_to):
    """A dealer straight at the venue, and an overlay behind a relay."""
    relay = await relay_to(quiet_venue)
    return relay, await dealer(quiet_venue), await ws(relay)


# --------------------------------------------------------------- start and close


def test_a_start_cancelled_anywhere_leaves_nothing_behind(simulated):
    async def scenario(exchange, opened):
        for steps in range(200):
            task = asyncio.create_task(overlay_at(exchange))
            await asyncio.sleep(steps / 1000)
            if task.done():
                break
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), steps
            assert not our_tasks(), steps
            await asyncio.sleep(5.0)
            assert exchange.engine.connections == 0
        assert 5 < steps < 100
        async with await task as overlay:
            assert overlay.state is StreamState.READY
        await asyncio.sleep(1.0)
        assert exchange.engine.connections == 0
        assert not our_tasks()

    simulated(scenario, travel=TravelTimes(request_ms=(2, 2), reply_ms=(2, 2)))


def test_a_close_cancelled_anywhere_leaves_nothing_behind(simulated):
    async def scenario(exchange, opened):
        for steps in range(12):
            overlay = await overlay_at(exchange)
            overlay.on_orders = print
            task = asyncio.create_task(overlay.aclose())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await asyncio.sleep(1.0)
            if steps:
                assert not our_tasks(), steps
                assert exchange.engine.connections == 0, steps
            else:
                await overlay.aclose()

    simulated(scenario)


def test_one_overlay_may_close_at_any_moment_of_anothers_start(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        for steps in range(0, 60, 3):
            first = await overlay_at(exchange)
            starting = asyncio.create_task(overlay_at(exchange))
            for _ in range(steps):
                await asyncio.sleep(0)
            await first.aclose()
            async with await starting as second:
                assert second.state is StreamState.READY
                coi = await place(trader)
                await trader.flush()
                found = await second.wait_order_by_coi(coi, timeout=5.0)
                assert found is not None, steps
                await trader.cancel_all_orders()
            await asyncio.sleep(1.0)
            assert exchange.engine.connections == 0

    simulated(scenario)


async def test_a_hook_may_close_its_overlay(quiet_venue, dealer, ws, eventually):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    after = []

    async def close(rows):
        await overlay.aclose()
        after.append(rows)

    overlay.on_orders = close
    await place(trader)
    await trader.flush()
    await eventually(lambda: after)
    assert overlay.state is StreamState.CLOSED
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "wrappy-stream" not in names


async def test_a_closed_overlay_serves_no_prices(venue, ws):
    overlay = await ws(venue)
    book = overlay.book()
    assert book.best_bid is not None
    await overlay.aclose()
    assert not book.is_valid
    with pytest.raises(BookGapError):
        _ = book.best_bid
    with pytest.raises(BookGapError):
        _ = overlay.book().mid_price


def test_a_cancellation_that_comes_with_the_order_is_not_lost(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        async with await overlay_at(exchange) as overlay:
            coi = await place(trader)
            waiting = asyncio.create_task(overlay.wait_order_by_coi(coi, timeout=60))
            told = asyncio.Event()
            # Called in the same turn of the loop that wakes up who waits.
            overlay.on_orders = lambda _: (waiting.cancel(), told.set())
            await trader.flush()
            await told.wait()
            (ended,) = await asyncio.gather(waiting, return_exceptions=True)
            assert waiting.cancelled() or ended["client_order_index"] == coi

            late = asyncio.create_task(overlay.ready(60))
            await asyncio.sleep(0)
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)

    simulated(scenario)


async def test_a_stream_that_somebody_cancels_is_told_as_stopped(quiet_venue, ws):
    overlay = await ws(quiet_venue)
    waiting = asyncio.create_task(overlay.wait_order_by_coi(1, timeout=10.0))
    await asyncio.sleep(0)
    (stream,) = [t for t in asyncio.all_tasks() if t.get_name() == "wrappy-stream"]
    stream.cancel()
    with pytest.raises(StreamClosedError, match="stopped"):
        await waiting
    assert overlay.state is StreamState.CLOSED
    with pytest.raises(StreamClosedError, match="stopped"):
        await overlay.ready(1.0)
    again = await ws(quiet_venue)
    assert again.state is StreamState.READY


# ------------------------------------------------------------------------- hooks


async def test_a_state_hook_that_raises_stops_nothing(behind, eventually):
    relay, _, overlay = behind
    states, reconnects = [], []

    def broken(state):
        states.append(state)
        raise ValueError("a bot at fault")

    overlay.on_state = broken
    overlay.on_reconnect = reconnects.append
    relay.cut()
    await eventually(lambda: reconnects == [2], 10.0)
    await eventually(lambda: states[-1:] == [StreamState.READY])
    assert states[0] is StreamState.CONNECTING
    assert overlay.hook_failures == len(states)


async def test_a_dealer_may_be_attached_twice_and_closed_first(
    behind, quiet_venue, dealer, eventually
):
    relay, trader, overlay = behind
    for _ in range(2):
        overlay.attach(trader)
    coi = await place(trader)
    await trader.flush()
    await overlay.wait_order_by_coi(coi, timeout=5.0)
    await trader.aclose()
    other = await dealer(quiet_venue)
    later = await place(other, 1001)
    await other.flush()
    assert (await overlay.wait_order_by_coi(later, timeout=5.0))["status"] == "open"
    before = overlay.connects
    relay.cut()
    await eventually(lambda: overlay.connects > before, 10.0)
    await overlay.ready(10.0)


# --------------------------------------------------------------------- refusals


def refusing(name, code=30005, times=99):
    """Refuse every subscription of a kind in the exchange's place."""
    left = [times]

    def down(frame):
        if frame.get("type") == f"subscribed/{name}" and left[0]:
            left[0] -= 1
            words = f"Invalid Channel :  : {frame['channel']}"
            return [{"error": {"code": code, "message": words}}]
        return [frame]

    return down


async def test_what_cannot_be_watched_spoils_nothing_else(behind):
    relay, _, overlay = behind
    relay.down = refusing("ticker")
    with pytest.raises(VenueError):
        await overlay.watch("ticker", timeout=5.0)
    with pytest.raises(UsageError, match="not watched"):
        overlay.ticker()
    await overlay.ready(1.0)
    await overlay.watch("market_stats", timeout=5.0)
    relay.down = None
    await overlay.watch("ticker", timeout=5.0)
    assert overlay.ticker()
    assert overlay.state is StreamState.READY
    assert overlay.connects == 1


async def test_a_channel_refused_for_good_does_not_stop_another_from_being_watched(
    behind, eventually, caplog
):
    relay, _, overlay = behind
    relay.down = refusing("account_all_positions", code=20013)
    relay.cut()
    await eventually(lambda: "subscription refused" in caplog.text, 10.0)
    await overlay.watch("ticker", timeout=5.0)
    assert overlay.ticker()
    with pytest.raises(VenueError):
        await overlay.ready(1.0)


async def test_an_error_about_nothing_does_not_hold_up_what_comes(behind, eventually):
    relay, trader, overlay = behind
    error = {"error": {"code": 23001, "message": "Too Many Websocket Messages!"}}

    def blame(frame):
        relay.down = None
        return [error, frame]

    relay.down = blame
    coi = await place(trader)
    await trader.flush()
    assert await overlay.wait_order_by_coi(coi, timeout=5.0) is not None
    assert overlay.state is StreamState.READY
    await overlay.ready(0.0)


@pytest.mark.parametrize("code", [30009, 23001])
def test_a_crowded_exchange_is_left_alone_for_a_while(simulated, code):
    async def scenario(exchange, opened):
        rule = exchange.faults.add(
            FaultRule(act="status", code=code, path="subscribe", times=1)
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises((VenueError, RateLimitedError)):
            await overlay_at(exchange)
        assert exchange.faults.fired(rule) == 1
        assert loop.time() - began < 5.0

    simulated(scenario)


async def test_one_that_stops_watching_ends_it_for_nobody_else(quiet_venue, ws):
    overlay = await ws(quiet_venue)
    stop = await overlay.watch("ticker")
    other = await overlay.watch("ticker")
    stop()
    stop()
    assert overlay.ticker() is not None
    other()
    with pytest.raises(UsageError, match="not watched"):
        overlay.ticker()
    again = await overlay.watch("ticker")
    stop()
    other()
    assert overlay.ticker() is not None
    again()


# ------------------------------------------------------------- frames that lie


async def test_a_tap_that_raises_and_a_frame_that_is_none_cut_no_connection(
    behind, eventually, caplog
):
    relay, trader, overlay = behind

    def broken(message):
        raise ValueError("a store at fault")

    overlay.tap(broken)
    await overlay.ready(5.0)

    def bend(frame):
        if frame.get("type") == "update/account_all_orders":
            relay.down = None
            return [{**frame, "orders": 7}, frame]
        return [frame]

    relay.down = bend
    coi = await place(trader)
    await trader.flush()
    assert await overlay.wait_order_by_coi(coi, timeout=5.0) is not None
    assert "a store at fault" in caplog.text
    assert overlay.connects == 1


async def test_a_fill_whose_frame_cannot_be_read_is_told_all_the_same(
    behind, quiet_venue, dealer, eventually
):
    relay, trader, overlay = behind
    other = await dealer(quiet_venue, account=1)
    trades = []
    overlay.on_trades = trades.extend
    spoiled = []

    def spoil(frame):
        if frame.get("type") == "update/account_all_trades" and not spoiled:
            spoiled.append(frame)
            return [{**frame, "trades": {"0": [{"trade_id": "none"}]}}]
        return [frame]

    relay.down = spoil
    for price in (2000, 2001):
        await place(other, price, -0.05)
        await other.flush()
        await place(trader, price, 0.05)
        await trader.flush()
    await eventually(lambda: len(trades) == 2, 10.0)
    assert spoiled
    prices = sorted(row["price"] for row in trades)
    assert prices == ["2000.00", "2001.00"]
    assert overlay.connects == 1


async def test_a_book_that_the_exchange_stops_sending_has_no_prices(
    venue, ws, relay_to, eventually
):
    relay = await relay_to(venue)
    overlay = await ws(relay)
    gaps, withheld = [], []
    overlay.on_gap = gaps.append

    def stop(frame):
        if frame.get("type") == "update/order_book" and not withheld:
            withheld.append(frame)
            return [{"type": "unsubscribed", "channel": frame["channel"]}]
        if frame.get("type") == "subscribed/order_book" or "error" in frame:
            withheld.append(frame)
            return []
        return [frame]

    relay.down = stop
    await eventually(lambda: withheld)
    await eventually(lambda: not overlay.book().is_valid)
    with pytest.raises(BookGapError, match="ended the subscription"):
        _ = overlay.book().best_bid
    assert overlay.state is not StreamState.READY
    await eventually(lambda: gaps)


async def test_a_snapshot_that_comes_again_does_not_take_the_book_back(
    venue, ws, relay_to, eventually
):
    relay = await relay_to(venue)
    kept, again = [], []

    def repeat(frame):
        kind = frame.get("type")
        if kind == "subscribed/order_book":
            kept.append(frame)
        if kind == "update/order_book" and kept and len(kept) < 20:
            kept.append(frame)
        if kind == "update/order_book" and len(kept) == 20 and not again:
            again.append(kept[0])
            return [frame, kept[0]]
        return [frame]

    relay.down = repeat
    overlay = await ws(relay)
    gaps, nonces = [], []
    overlay.on_gap = gaps.append
    overlay.on_book = lambda book: nonces.append(book.nonce)
    await eventually(lambda: again, 20.0)
    count = len(nonces)
    await eventually(lambda: len(nonces) > count + 2, 10.0)
    assert nonces == sorted(nonces)
    assert not gaps


def test_a_book_that_is_never_sound_does_not_flood_the_exchange(simulated):
    async def scenario(exchange, opened):
        exchange.faults.add(
            FaultRule(act="nonce_gap", phase="push", path="update/order_book")
        )
        trader = await opened()
        sent = []
        native = exchange.environment.open_stream

        def counted(*given, **named):
            stream = native(*given, **named)
            send = stream.send

            async def noted(frame):
                sent.append(json.loads(frame)["type"])
                await send(frame)

            stream.send = noted
            return stream

        environment = dataclasses.replace(exchange.environment, open_stream=counted)
        async with await overlay_at(exchange, environment=environment) as overlay:
            gaps = []
            overlay.on_gap = gaps.append
            loop = asyncio.get_running_loop()
            ends = loop.time() + 60.0
            step = 0
            while loop.time() < ends:
                step += 1
                coi = await place(trader, 1000 + step % 7)
                await trader.flush()
                await overlay.wait_order_by_coi(coi, timeout=1.0)
                await trader.cancel_order_by_coi(coi)
                await trader.flush()
                await asyncio.sleep(0.2)
            assert gaps
            assert overlay.connects == 1
        return len(sent)

    assert simulated(scenario) <= 120


# ------------------------------------------------------------------ starvation


def test_a_pause_of_the_pace_costs_no_connection(simulated, config_for):
    async def scenario(exchange, opened):
        async with await overlay_at(exchange) as overlay:
            link = acquire_link(config_for(exchange))
            try:
                link.pace.throttled(60.0)
                exchange.faults.add(
                    FaultRule(
                        act="nonce_gap",
                        phase="push",
                        path="update/order_book",
                        times=1,
                    )
                )
                watching = asyncio.create_task(overlay.watch("ticker", timeout=90.0))
                await asyncio.sleep(30.0)
                assert not watching.done()
                await watching
            finally:
                release_link(link)
            assert overlay.connects == 1
            assert overlay.state is StreamState.READY

    simulated(scenario)


def test_a_snapshot_that_never_comes_makes_a_new_connection(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        async with await overlay_at(exchange) as overlay:
            gap = FaultRule(
                act="nonce_gap", phase="push", path="update/order_book", times=1
            )
            lost = FaultRule(
                act="drop", phase="push", path="subscribed/order_book", times=1
            )
            exchange.faults.add(gap)
            rule = exchange.faults.add(lost)
            await place(trader)
            await trader.flush()
            await asyncio.sleep(1.0)
            assert not overlay.book().is_valid
            await overlay.ready(30.0)
            assert exchange.faults.fired(rule) == 1
            assert overlay.connects == 2
            assert overlay.book().is_valid

    simulated(scenario)


def test_an_exchange_that_answers_no_ping_is_left_when_nothing_else_comes(simulated):
    async def scenario(exchange, opened):
        loop = asyncio.get_running_loop()
        async with await overlay_at(exchange) as overlay:
            muted = exchange.faults.add(FaultRule(act="stall", path="ping*"))
            began, states = loop.time(), []
            overlay.on_state = states.append
            await asyncio.sleep(46.0)
            with pytest.raises(StaleBookError):
                _ = overlay.book().best_bid
            while overlay.connects == 1:
                await asyncio.sleep(0.5)
            assert loop.time() - began <= 110.0
            assert exchange.faults.fired(muted)
            exchange.faults.remove(muted)
            await overlay.ready(10.0)
            assert overlay.book().is_valid
            assert states[-1] is StreamState.READY

    simulated(scenario)


def test_pings_that_stay_unanswered_do_not_matter_while_the_market_talks(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        async with await overlay_at(exchange) as overlay:
            muted = exchange.faults.add(FaultRule(act="stall", path="ping*"))
            for step in range(40):
                await place(trader, 1000 + step)
                await trader.flush()
                await asyncio.sleep(10.0)
                assert overlay.book().best_bid is not None
            assert overlay.connects == 1
            assert exchange.faults.fired(muted)

    simulated(scenario)
