"""D50 to D68: a stream that says what it knows, and knows when it knows nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import itertools
import json
import logging
import time
from decimal import Decimal

import pytest

from wrappy import AuthRejectedError, StreamClosedError, WsInfo
from wrappy._core.stream import StreamState
from wrappy.lighter.config import ws_url_for
from wrappy.lighter.streaming.order_feed import ENDED_ORDERS_KEPT, OrderFeed
from wrappy.signing.read_only_token import token_scope
from wrappy.venue import FaultRule

LOG = logging.getLogger("wrappy.ws")


async def place(trader, price=1000, size=0.05, **kind):
    answer = await trader.create_limit_order(price, size, **kind)
    return answer["client_order_index"]


async def overlay_at(exchange, **changes):
    owner = exchange.accounts[0]
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


def order(coi, status="open", at=1):
    return {
        "client_order_index": coi,
        "order_index": (1 << 50) + coi,
        "market_index": 0,
        "is_ask": False,
        "status": status,
        "base_price": 100_000,
        "initial_base_amount": "0.0500",
        "filled_base_amount": "0.0000",
        "nonce": at,
        "transaction_time": at,
    }


def orders_frame(*rows):
    message = {"channel": "account_all_orders:1", "orders": {"0": list(rows)}}
    return json.dumps({"type": "update/account_all_orders", **message}).encode()


def order_feed():
    told = []
    return OrderFeed(lambda _, rows: told.extend(rows), LOG), told


class Spied:
    """The streams of an exchange, with what leaves noted; doors can be locked.

    Attributes:
        moments: when each connection was asked for, seconds.
        tokens: the token of each private subscribe, one list a connection.
        locked: whether no connection comes about.
        brief: whether each connection ends as soon as it is there.
    """

    def __init__(self, exchange):
        self._native = exchange.environment
        self.environment = dataclasses.replace(self._native, open_stream=self._open)
        self.moments = []
        self.tokens = []
        self.locked = self.brief = False

    def _open(self, *given, **named):
        return _SpiedStream(self._native.open_stream(*given, **named), self)


class _SpiedStream:
    def __init__(self, inner, spied):
        self._inner, self._spied = inner, spied
        self.disconnect, self.aclose = inner.disconnect, inner.aclose

    @property
    def is_open(self):
        return self._inner.is_open

    async def connect(self):
        self._spied.moments.append(asyncio.get_running_loop().time())
        self._spied.tokens.append([])
        if self._spied.locked:
            raise StreamClosedError("locked")
        await self._inner.connect()

    async def send(self, frame):
        token = json.loads(frame).get("auth")
        if token is not None:
            self._spied.tokens[-1].append(token)
        await self._inner.send(frame)

    async def receive(self, timeout_s):
        if self._spied.brief:
            raise StreamClosedError("over already")
        return await self._inner.receive(timeout_s)


@pytest.fixture
async def outage(quiet_venue, dealer, ws, relay_to):
    """A dealer straight at the venue, and an overlay behind a relay."""
    relay = await relay_to(quiet_venue)
    return relay, await dealer(quiet_venue), await ws(relay)


async def cut_and_back(relay, overlay, eventually):
    before = overlay.connects
    relay.cut()
    await eventually(lambda: overlay.connects > before, 10.0)
    await overlay.ready(10.0)


async def test_d50_the_stream_is_where_the_base_url_says(quiet_venue, ws, relay_to):
    relay = await relay_to(quiet_venue)
    await ws(relay)
    assert relay.connects == 1
    testnet = "https://testnet.zklighter.elliot.ai"
    assert ws_url_for(testnet) == "wss://testnet.zklighter.elliot.ai/stream"


async def test_d51_every_way_to_be_canceled_is_an_end(outage, eventually):
    relay, trader, overlay = outage
    ways = (
        "canceled-margin-not-allowed",
        "canceled-too-much-slippage",
        "canceled-post-only",
        "canceled-a-way-that-comes-next-year",
    )
    feed, _ = order_feed()
    for coi, way in enumerate(ways, 1):
        feed.take(orders_frame(order(coi)), snapshot=False)
        assert feed.live()
        feed.take(orders_frame(order(coi, way, at=2)), snapshot=False)
        assert not feed.live(), way
        assert feed.order(coi)["status"] == way

    asker = await place(trader, 1000, -0.05, post_only=True)
    maker = await place(trader, 999, 0.05)
    del asker
    await trader.flush()
    await overlay.wait_order_by_coi(maker, timeout=5.0)

    def refused(frame):
        if frame.get("type") != "update/account_all_orders":
            return [frame]
        text = json.dumps(frame).replace('"canceled"', f'"{ways[0]}"')
        return [json.loads(text)]

    relay.down = refused
    await trader.cancel_order_by_coi(maker)
    await trader.flush()
    await eventually(lambda: ws_status(overlay, maker) == ways[0])


def ws_status(overlay, coi):
    """Return what a wait that may not last gives."""
    waiting = overlay.get_order_by_coi(coi)
    try:
        waiting.send(None)
    except StopIteration as answer:
        return answer.value and answer.value["status"]
    raise AssertionError("a known order was waited for")


async def test_d52_what_ended_during_an_outage_is_not_live_after_it(outage, eventually):
    relay, trader, overlay = outage
    coi = await place(trader)
    await trader.flush()
    await overlay.wait_order_by_coi(coi, timeout=5.0)
    told = []
    overlay.on_orders = told.extend
    relay.door_open = False
    relay.cut()
    await eventually(lambda: overlay.state is not StreamState.READY)
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    relay.door_open = True
    await eventually(lambda: ws_status(overlay, coi) == "canceled", 10.0)
    await eventually(lambda: [r["status"] for r in told][-1:] == ["canceled"])


def test_d53_a_reconnect_takes_a_fresh_token(simulated):
    async def scenario(exchange, opened):
        spied = Spied(exchange)
        async with await overlay_at(exchange, environment=spied.environment) as overlay:
            await asyncio.sleep(3600)
            exchange.faults.add(
                FaultRule(act="close", phase="tick", code=1006, times=1)
            )
            await asyncio.sleep(60)
            assert overlay.state is StreamState.READY
        first, second = map(set, spied.tokens)
        assert len(first) == len(second) == 1
        (old,), (new,) = first, second
        assert token_scope(new).deadline_s - token_scope(old).deadline_s >= 3600

    simulated(scenario)


async def test_d54_the_exchanges_errors_are_heard(outage, quiet_venue, eventually):
    relay, trader, overlay = outage
    foreign = quiet_venue.accounts[1].api_keys[0]
    with pytest.raises(AuthRejectedError):
        await WsInfo.run_overlay(
            quiet_venue.accounts[0].account_index,
            foreign.api_key_index,
            foreign.api_key_private_key,
            symbol="ETH",
            base_url=quiet_venue.base_url,
        )

    refused = []

    def already(frame):
        if frame.get("type") == "subscribed/account_all_orders" and not refused:
            refused.append(frame)
            words = f"Already Subscribed to Channel : {frame['channel']}"
            return [{"error": {"code": 30003, "message": words}}]
        return [frame]

    relay.down = already
    await cut_and_back(relay, overlay, eventually)
    assert refused
    coi = await place(trader)
    await trader.flush()
    assert (await overlay.wait_order_by_coi(coi, timeout=5.0))["status"] == "open"


async def test_d55_a_ping_of_the_exchange_is_answered(outage, eventually):
    relay, trader, overlay = outage
    said = []

    def note(frame):
        said.append(frame["type"])
        return [frame]

    def ping(frame):
        relay.down = None
        return [frame, {"type": "ping"}]

    relay.up, relay.down = note, ping
    await place(trader)
    await trader.flush()
    await eventually(lambda: "pong" in said)
    assert overlay.connects == 1


async def test_d56_an_order_that_has_ended_is_not_waited_for(
    quiet_venue, dealer, ws, eventually
):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    other = await dealer(quiet_venue, account=1)
    await place(other, 2000, -0.05)
    await other.flush()
    coi = await place(trader, 2000, 0.05)
    await trader.flush()
    await eventually(lambda: ws_status(overlay, coi) == "filled")
    began = time.monotonic()
    order = await asyncio.wait_for(overlay.wait_order_by_coi(coi, timeout=None), 1.0)
    assert time.monotonic() - began < 0.1
    assert order["status"] == "filled"
    assert await overlay.wait_order_by_coi(coi + 1, timeout=0.01) is None


def test_d57_no_moment_to_begin_waiting_is_a_bad_one(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        async with await overlay_at(exchange) as overlay:
            for step in range(100):
                coi = await place(trader)
                sending = asyncio.create_task(trader.flush())
                for _ in range(step):
                    await asyncio.sleep(0)
                found = await overlay.wait_order_by_coi(coi, timeout=5.0)
                assert found is not None, step
                await sending
                await trader.cancel_all_orders()

    simulated(scenario)


async def test_d58_what_has_ended_and_who_waited_leave_nothing(quiet_venue, ws):
    feed, _ = order_feed()
    for coi in range(1, ENDED_ORDERS_KEPT + 1001):
        feed.take(orders_frame(order(coi)), snapshot=False)
        feed.take(orders_frame(order(coi, "canceled", at=2)), snapshot=False)
    assert len(feed.orders) <= ENDED_ORDERS_KEPT

    overlay = await ws(quiet_venue)
    gc.collect()
    before = sum(isinstance(found, asyncio.Future) for found in gc.get_objects())
    for coi in range(1, 501):
        assert await overlay.wait_order_by_coi(coi, timeout=0.0) is None
    gc.collect()
    after = sum(isinstance(found, asyncio.Future) for found in gc.get_objects())
    assert after <= before + 5


def test_d59_a_busy_order_does_not_push_out_another():
    feed, _ = order_feed()
    feed.take(orders_frame(order(2)), snapshot=False)
    for at in range(1, 2 * ENDED_ORDERS_KEPT):
        feed.enter([order(1, at=at)])
    assert feed.order(2)["status"] == "open"
    assert [row["client_order_index"] for row in feed.live()] == [2, 1]


def test_d60_a_reconnect_builds_nothing_anew(simulated):
    async def scenario(exchange, opened):
        made = []

        def counted(kind, make):
            def made_one(*given, **named):
                made.append(kind)
                return make(*given, **named)

            return made_one

        native = exchange.environment
        environment = dataclasses.replace(
            native,
            open_rest=counted("rest", native.open_rest),
            open_stream=counted("stream", native.open_stream),
            make_signer=counted("signer", native.make_signer),
        )
        async with await overlay_at(exchange, environment=environment) as overlay:
            for _ in range(5):
                exchange.faults.add(
                    FaultRule(act="close", phase="tick", code=1006, times=1)
                )
                await asyncio.sleep(60)
            assert overlay.connects == 6
            assert overlay.state is StreamState.READY
        return sorted(made)

    assert simulated(scenario) == ["rest", "signer", "stream"]


def test_d61_a_connection_that_dies_at_once_is_not_tried_in_a_tight_loop(simulated):
    async def scenario(exchange, opened):
        spied = Spied(exchange)
        async with await overlay_at(exchange, environment=spied.environment) as overlay:
            spied.brief = True
            exchange.faults.add(
                FaultRule(act="close", phase="tick", code=1006, times=1)
            )
            await asyncio.sleep(600)
            tries = len(spied.moments)
            spied.brief = False
            await overlay.ready(60.0)
        return tries

    assert 10 < simulated(scenario) < 60


async def test_d62_a_start_returns_with_data_and_a_stop_is_told(
    quiet_venue, ws, relay_to, eventually, caplog
):
    relay = await relay_to(quiet_venue)
    overlay = await ws(relay)
    assert overlay.state is StreamState.READY
    assert overlay.book().is_valid
    await overlay.ready(0.0)

    relay.cut()
    await eventually(lambda: overlay.state is not StreamState.READY)
    assert "stream closed" in caplog.text or overlay.state.name == "CONNECTING"
    await overlay.ready(10.0)


async def test_d63_the_last_price_is_that_of_the_highest_trade_number(
    quiet_venue, dealer, ws, relay_to, eventually
):
    trader, other = await dealer(quiet_venue), await dealer(quiet_venue, account=1)
    for price in (2001, 2002, 2003):
        await place(other, price, -0.05)
        await other.flush()
        await place(trader, price, 0.05)
        await trader.flush()
    tape = []
    relay = await relay_to(quiet_venue)
    for newest_first in (False, True):

        def ordered(frame, newest_first=newest_first):
            if frame.get("type") == "subscribed/trade":
                rows = sorted(frame["trades"], key=lambda row: row["trade_id"])
                frame["trades"] = rows[::-1] if newest_first else rows
                tape.append([row["trade_id"] for row in frame["trades"]])
            return [frame]

        relay.down = ordered
        overlay = await ws(relay)
        assert overlay.get_ltp() == Decimal(2003)
        await overlay.aclose()
    assert tape[0] == tape[1][::-1]
    assert len(tape[0]) >= 3


async def test_d64_markets_do_not_mix_and_what_is_left_out_is_flat(
    quiet_venue, dealer, ws, relay_to, eventually
):
    relay = await relay_to(quiet_venue)
    overlay = await ws(relay, symbols=["BTC"])
    trader, other = await dealer(quiet_venue), await dealer(quiet_venue, account=1)
    bitcoin = await dealer(quiet_venue, market_index=1)
    bitcoiner = await dealer(quiet_venue, account=1, market_index=1)
    for price, takes, makes in ((2000, trader, other), (60000, bitcoin, bitcoiner)):
        await place(makes, price, -0.01)
        await makes.flush()
        await place(takes, price, 0.01)
        await takes.flush()
    await eventually(lambda: set(overlay.positions) == {"ETH", "BTC"})
    await eventually(lambda: overlay.get_ltp("BTC") is not None)
    assert overlay.get_ltp() == overlay.get_ltp("ETH") == Decimal(2000)
    assert overlay.get_ltp("BTC") == Decimal(60000)

    def without_bitcoin(frame):
        if frame.get("type") == "subscribed/account_all_positions":
            frame["positions"].pop("1")
        return [frame]

    relay.down = without_bitcoin
    await cut_and_back(relay, overlay, eventually)
    assert set(overlay.positions) == {"ETH"}


async def test_d65_a_hook_that_raises_is_an_error_with_its_name(
    quiet_venue, dealer, ws, eventually, caplog
):
    overlay, trader = await ws(quiet_venue), await dealer(quiet_venue)

    def my_strategy(rows):
        raise ZeroDivisionError("a bot at fault")

    overlay.on_orders = my_strategy
    await place(trader)
    await trader.flush()
    await eventually(lambda: overlay.hook_failures)
    (told,) = [r for r in caplog.records if "a bot at fault" in r.getMessage()]
    assert told.levelno == logging.ERROR
    assert "my_strategy" in told.getMessage()


async def test_d66_a_hook_that_hangs_holds_up_nobody(
    quiet_venue, dealer, ws, eventually
):
    overlay, trader = await ws(quiet_venue), await dealer(quiet_venue)
    calls, told = [], []

    async def hangs(rows):
        calls.append(rows)
        await asyncio.Event().wait()

    overlay.add_hook("on_orders", hangs)
    overlay.add_hook("on_orders", told.extend)
    for step in range(5):
        coi = await place(trader, 1000 + step)
        await trader.flush()
        assert await overlay.wait_order_by_coi(coi, timeout=5.0) is not None
    await eventually(lambda: len({r["client_order_index"] for r in told}) == 5)
    assert len(calls) == 1
    assert overlay.connects == 1


def test_d67_a_token_lasts_for_hours_and_tries_are_not_in_step(simulated):
    async def scenario(exchange, opened):
        spied = Spied(exchange)
        async with await overlay_at(exchange, environment=spied.environment):
            await asyncio.sleep(4 * 3600)
            assert len({token for tokens in spied.tokens for token in tokens}) == 1
            spied.locked = True
            exchange.faults.add(
                FaultRule(act="close", phase="tick", code=1006, times=1)
            )
            await asyncio.sleep(600)
        moments = spied.moments[1:]
        return [after - before for before, after in itertools.pairwise(moments)]

    pauses = simulated(scenario)
    assert pauses[0] <= 1.0
    assert max(pauses) <= 31.0
    late = [round(pause, 3) for pause in pauses[-8:]]
    assert len(set(late)) > 4, "chance keeps many clients out of step"


async def test_d68_a_reconnect_tells_no_trade_again(
    outage, quiet_venue, dealer, eventually
):
    relay, trader, overlay = outage
    other = await dealer(quiet_venue, account=1)
    public, own = [], []
    overlay.on_public_trades = public.extend
    overlay.on_trades = own.extend

    async def trade(price):
        await place(other, price, -0.05)
        await other.flush()
        await place(trader, price, 0.05)
        await trader.flush()

    await trade(2000)
    await eventually(lambda: public and own)
    for price in (2001, 2002):
        await cut_and_back(relay, overlay, eventually)
        await trade(price)
        await eventually(lambda p=price: own[-1]["price"] == f"{p}.00")
    await eventually(lambda: len(public) >= 3)
    for told in (public, own):
        assert [row["price"] for row in told] == ["2000.00", "2001.00", "2002.00"]
    assert overlay.get_recent_trades(public=True) == public
    assert overlay.get_recent_trades() == own
