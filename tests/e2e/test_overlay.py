"""The stream overlay: ready, told, waited for, cut off, and back again."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal

import pytest

from tests.heard import Heard
from wrappy import (
    AuthRejectedError,
    BookGapError,
    ConfigError,
    InvalidOrderError,
    StreamClosedError,
    UsageError,
    WsInfo,
)
from wrappy._core.stream import StreamSession, StreamState
from wrappy.lighter.logs import as_sink
from wrappy.lighter.streaming.stream import SupervisedStream
from wrappy.lighter.wire.token import TokenSource
from wrappy.lighter.wire.transport import StreamDoor
from wrappy.signing.sdk import SdkSigner
from wrappy.signing.worker import signing_thread
from wrappy.venue import Venue, VenueSettings

SEND = "/api/v1/sendTx"
ENDED = "/api/v1/accountInactiveOrders"


# ---------------------------------------------------------------------- starting


async def test_run_overlay_returns_when_everything_is_there(venue, ws):
    overlay = await ws(venue)
    assert overlay.state is StreamState.READY
    assert overlay.connects == 1
    assert overlay.book().is_valid
    assert overlay.book().best_bid.price < overlay.book().best_ask.price
    assert overlay.market.symbol == "ETH"
    assert overlay.positions == {}
    assert "OrderBook" in repr(overlay.book())


async def test_run_overlay_from_config_takes_a_file_and_overrides(
    venue, tmp_path, config_for
):
    owner = venue.accounts[0]
    file = tmp_path / "config.json"
    settings = {
        "base_url": venue.base_url,
        "account_index": owner.account_index,
        "api_key_index": owner.api_keys[0].api_key_index,
        "api_key_private_key": owner.api_keys[0].api_key_private_key,
        "symbol": "ETH",
    }
    file.write_text(json.dumps(settings))
    file.chmod(0o600)
    async with await WsInfo.run_overlay_from_config(
        file, overrides={"market_id": 1}
    ) as overlay:
        assert overlay.market.symbol == "BTC"


async def test_public_trades_need_no_key(venue, eventually):
    async with await WsInfo.run_public_trades_simple(
        "ETH", base_url=venue.base_url
    ) as overlay:
        told = []

        async def on_public_trades(rows):
            told.extend(rows)

        overlay.on_public_trades = on_public_trades
        await eventually(lambda: told, 20.0)
        assert overlay.get_ltp() == Decimal(told[-1]["price"])
        assert overlay.get_recent_trades(public=True)
        assert overlay.get_recent_trades() == []
        with pytest.raises(UsageError, match="no book"):
            overlay.book()
        assert await overlay.wait_order_by_coi(5, timeout=0.01) is None


async def test_a_stream_without_an_address_says_how_to_give_one():
    with pytest.raises(ConfigError, match="LIGHTER_BASE_URL"):
        await WsInfo.run_public_trades_simple("ETH")


async def test_a_refused_subscription_raises_at_the_start(venue, ws):
    foreign = venue.accounts[1].api_keys[0]
    with pytest.raises(AuthRejectedError) as caught:
        await WsInfo.run_overlay(
            venue.accounts[0].account_index,
            foreign.api_key_index,
            foreign.api_key_private_key,
            symbol="ETH",
            base_url=venue.base_url,
        )
    assert caught.value.code == 20013
    assert caught.value.outcome == "refused"


async def test_no_snapshot_in_time_raises_at_the_start(venue, ws, relay_to):
    relay = await relay_to(venue)
    relay.down = lambda _: []
    with pytest.raises(StreamClosedError, match=r"no snapshot within 0\.2 s"):
        await ws(relay, ready_timeout=0.2)
    relay.door_open = False
    with pytest.raises(StreamClosedError, match="no snapshot"):
        await ws(relay, ready_timeout=0.2)


# ----------------------------------------------------------------------- waiting


async def test_an_order_that_has_ended_is_answered_at_once(
    quiet_venue, dealer, ws, eventually
):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    answer = await trader.create_limit_order(1000, 0.05)
    coi = answer["client_order_index"]
    await trader.flush()
    await overlay.wait_order_by_coi(coi)
    # The stream may tell of the end before the answer to the flush is here.
    told = []
    overlay.on_orders = told.extend
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    await eventually(lambda: told)
    assert quiet_venue.ledger.orders()[0].status == "canceled"
    order = await overlay.wait_order_by_coi(coi, timeout=0.0)
    assert order["status"] == "canceled"


async def test_waiting_ends_without_an_order_when_the_time_is_over(quiet_venue, ws):
    overlay = await ws(quiet_venue)
    started = time.monotonic()
    assert await overlay.wait_order_by_coi(4711, timeout=0.05) is None
    assert time.monotonic() - started < 2.0
    assert await overlay.get_order_by_coi(4711) is None
    with pytest.raises(InvalidOrderError, match="client_order_index"):
        await overlay.wait_order_by_coi(-1)


async def test_several_may_wait_for_one_order(quiet_venue, dealer, ws):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    answer = await trader.create_limit_order(1000, 0.05)
    coi = answer["client_order_index"]
    waiting = [
        asyncio.create_task(overlay.wait_order_by_coi(coi, timeout=5.0))
        for _ in range(3)
    ]
    await trader.flush()
    rows = await asyncio.gather(*waiting)
    assert [row["status"] for row in rows] == ["open"] * 3
    rows[0]["status"] = "changed by a caller"
    assert (await overlay.get_order_by_coi(coi))["status"] == "open"


async def test_closing_releases_who_waits(quiet_venue, ws):
    overlay = await ws(quiet_venue)
    waiting = [asyncio.create_task(overlay.wait_order_by_coi(coi)) for coi in (1, 2, 2)]
    await asyncio.wait(waiting, timeout=0.01)
    await overlay.aclose()
    await overlay.aclose()
    for waiter in waiting:
        with pytest.raises(StreamClosedError, match="closed"):
            await waiter
    with pytest.raises(UsageError, match="closed"):
        await overlay.wait_order_by_coi(3)
    assert overlay.state is StreamState.CLOSED


# ------------------------------------------------------------------------- hooks


async def test_a_hook_that_raises_is_logged_and_the_others_go_on(
    quiet_venue, dealer, ws, eventually, caplog
):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    other = await dealer(quiet_venue, account=1)
    orders, trades = [], []

    async def on_orders(rows):
        orders.extend(rows)
        raise ValueError("the bot is at fault")

    overlay.on_orders = on_orders
    overlay.on_trades = trades.extend
    await other.create_limit_order(2000, -0.05)
    await other.flush()
    await trader.create_limit_order(2000, 0.05)
    await trader.flush()
    await eventually(lambda: trades)
    await eventually(lambda: overlay.hook_failures >= 1)
    assert "on_orders raised" in caplog.text
    assert "the bot is at fault" in caplog.text
    before = len(orders)
    await trader.create_limit_order(1000, 0.05)
    await trader.flush()
    await eventually(lambda: len(orders) > before)
    assert [row["price"] for row in trades] == ["2000.00"]
    assert overlay.get_recent_trades() == trades
    assert overlay.state is StreamState.READY


# --------------------------------------------------------------------- reconnect


@pytest.fixture
async def outage(quiet_venue, dealer, ws, relay_to):
    """A dealer straight at the venue, and an overlay behind a relay."""
    relay = await relay_to(quiet_venue)
    return relay, await dealer(quiet_venue), await ws(relay)


async def test_what_ended_during_an_outage_is_known_after_it(
    outage, quiet_venue, dealer, eventually
):
    relay, trader, overlay = outage
    other = await dealer(quiet_venue, account=1)
    trades = []
    overlay.on_trades = trades.extend

    resting = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    taken = (await trader.create_limit_order(1900, 0.05))["client_order_index"]
    await trader.flush()
    await other.create_limit_order(1900, -0.02)
    await other.flush()
    await overlay.wait_order_by_coi(resting, timeout=5.0)
    await eventually(lambda: trades)
    assert overlay.book().is_valid

    relay.door_open = False
    relay.cut()
    await eventually(lambda: overlay.state is not StreamState.READY)
    with pytest.raises(BookGapError, match="the stream ended with 1006"):
        _ = overlay.book().best_bid
    await trader.cancel_order_by_coi(resting)
    short_lived = (await trader.create_limit_order(1001, 0.05))["client_order_index"]
    await trader.cancel_order_by_coi(short_lived)
    await trader.flush()
    await other.create_limit_order(1900, -0.03)
    await other.flush()
    waiting = asyncio.create_task(overlay.wait_order_by_coi(short_lived, timeout=10.0))

    relay.door_open = True
    await eventually(lambda: overlay.state is StreamState.READY, 10.0)
    assert overlay.connects == 2
    assert overlay.book().is_valid
    assert (await waiting)["status"] == "canceled"
    assert (await overlay.wait_order_by_coi(resting, timeout=5.0))[
        "status"
    ] == "canceled"
    assert (await overlay.wait_order_by_coi(taken, timeout=5.0))["status"] == "filled"
    mine = quiet_venue.ledger.trades(quiet_venue.accounts[0].account_index)
    await eventually(lambda: len(trades) == len(mine))
    assert [row["trade_id"] for row in trades] == [t.trade_id for t in mine]
    assert overlay.get_recent_trades() == trades
    assert relay.paths().count(ENDED) >= 1


async def test_ended_orders_that_cannot_be_read_are_logged(
    outage, quiet_venue, eventually, caplog
):
    relay, trader, overlay = outage
    coi = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    await overlay.wait_order_by_coi(coi, timeout=5.0)
    relay.answer(ENDED, {"code": 20001, "message": "no"}, status=400)
    relay.door_open = False
    relay.cut()
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    relay.door_open = True
    await eventually(lambda: "ended orders could not be fetched" in caplog.text, 10.0)


async def test_a_stream_that_announces_its_end_is_left_and_joined_again(
    outage, eventually
):
    relay, trader, overlay = outage
    told = []

    def shut_down(frame):
        relay.down = None
        told.append(frame)
        return [frame, {"type": "shutdown"}]

    relay.down = shut_down
    await trader.create_limit_order(1000, 0.05)
    await trader.flush()
    await eventually(lambda: overlay.connects == 2, 10.0)
    await eventually(lambda: overlay.state is StreamState.READY)
    assert told


async def test_frames_that_cannot_be_read_do_not_end_the_stream(
    outage, eventually, caplog
):
    relay, trader, overlay = outage

    def spoil(frame):
        relay.down = None
        bad_orders = {
            "type": "update/account_all_orders",
            "channel": frame["channel"] if "orders" in frame["channel"] else "",
            "orders": 7,
        }
        return ["no object", {"no": "type"}, bad_orders, frame]

    def when_orders(frame):
        if frame.get("type") == "update/account_all_orders":
            return spoil(frame)
        return [frame]

    relay.down = when_orders
    coi = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    assert (await overlay.wait_order_by_coi(coi, timeout=5.0))["status"] == "open"
    assert overlay.connects == 1
    assert "unreadable" in caplog.text


async def test_an_orders_snapshot_that_cannot_be_read_is_told_once(
    outage, eventually, caplog
):
    relay, _, overlay = outage

    def spoil(frame):
        if frame.get("type") == "subscribed/account_all_orders":
            return [{**frame, "orders": 7}]
        return [frame]

    relay.down = spoil
    relay.cut()
    await eventually(lambda: overlay.connects == 2, 10.0)
    await eventually(lambda: "unreadable frame of account_all_orders" in caplog.text)


async def test_a_channel_refused_later_is_logged_and_does_not_end_the_rest(
    outage, eventually, caplog
):
    relay, trader, overlay = outage

    def refuse(frame):
        if frame.get("type") == "subscribed/account_all_positions":
            words = f"no : {frame['channel']}"
            return [{"error": {"code": 20013, "message": words}}]
        return [frame]

    relay.down = refuse
    relay.cut()
    await eventually(lambda: "subscription refused: 20013" in caplog.text, 10.0)
    coi = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    assert (await overlay.wait_order_by_coi(coi, timeout=5.0))["status"] == "open"


# ---------------------------------------------------------------------- the book


async def test_between_a_gap_and_the_fresh_snapshot_there_are_no_prices(
    venue, ws, relay_to, eventually
):
    relay = await relay_to(venue)
    overlay = await ws(relay)
    seen = {"dropped": 0, "held": [], "go": False}

    def faulty(frame):
        kind = frame.get("type")
        if kind == "update/order_book" and not seen["dropped"]:
            seen["dropped"] = 1
            return []
        if seen["held"] or kind == "subscribed/order_book":
            seen["held"].append(frame)
            if not seen["go"]:
                return []
            relay.down = None
            return seen["held"]
        return [frame]

    relay.down = faulty
    await eventually(lambda: not overlay.book().is_valid)
    await eventually(lambda: seen["held"])
    for reading in ("best_bid", "best_ask", "mid_price", "micro_price"):
        with pytest.raises(BookGapError):
            getattr(overlay.book(), reading)
    with pytest.raises(BookGapError):
        overlay.book().depth(5)
    seen["go"] = True
    await eventually(lambda: overlay.book().is_valid)
    assert overlay.book().mid_price > 0
    assert overlay.connects == 1


async def test_a_book_frame_that_cannot_be_read_makes_the_book_new(
    venue, ws, relay_to, eventually, caplog
):
    relay = await relay_to(venue)
    overlay = await ws(relay)
    snapshots = []

    def faulty(frame):
        kind = frame.get("type")
        if kind == "subscribed/order_book":
            snapshots.append(kind)
        if kind == "update/order_book" and not snapshots:
            return [{**frame, "order_book": None}]
        return [frame]

    relay.down = faulty
    await eventually(lambda: snapshots)
    await eventually(lambda: overlay.book().is_valid)
    assert "unreadable frame of order_book/0" in caplog.text


# ------------------------------------------------------------------------ tokens


async def test_private_channels_outlive_their_tokens(eventually):
    settings = VenueSettings(seed=1, flow="none", expired_token="unsubscribe")
    async with Venue(settings=settings) as venue:
        owner = venue.accounts[0]
        key = owner.api_keys[0]
        signer = SdkSigner(
            key.api_key_private_key,
            account_index=owner.account_index,
            api_key_index=key.api_key_index,
            chain_id=venue.chain_id,
        )
        session = StreamSession()
        session.want(f"account_all_orders/{owner.account_index}", private=True)
        session.want("trade/0")
        heard = Heard()
        stream = SupervisedStream(
            StreamDoor(venue.ws_url),
            session,
            heard,
            tokens=TokenSource(signer, signing_thread(), clock=time.time, lifetime_s=2),
            log=as_sink(None, "wrappy.ws"),
        )
        running = asyncio.create_task(stream.run())
        await eventually(lambda: heard.snapshots("account_all_orders") >= 3, 10.0)
        assert heard.snapshots("trade") == 1, "public channels need no token"
        assert stream.connects == 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert session.state is StreamState.CLOSED
        assert "refused" not in heard.kinds


async def test_every_connection_takes_a_fresh_token(outage, eventually):
    relay, _, overlay = outage
    tokens = []

    def note(frame):
        if "auth" in frame:
            tokens.append(frame["auth"])
        return [frame]

    relay.up = note
    for number in (2, 3):
        relay.cut()
        await eventually(lambda n=number: overlay.connects == n, 10.0)
        await eventually(lambda: overlay.state is StreamState.READY)
    assert len(tokens) == 6
    assert len(set(tokens[:3])) == 1


async def test_an_overlay_that_stops_by_itself_tells_everybody(
    quiet_venue, ws, relay_to, eventually
):
    class Brittle:
        """A logger that fails when the stream tells of its end."""

        def __init__(self):
            self.errors = []

        def log_info(self, message):
            raise RuntimeError(message)

        def log_error(self, message):
            self.errors.append(message)

    relay, log = await relay_to(quiet_venue), Brittle()
    overlay = await ws(relay, logger=log)
    waiting = asyncio.create_task(overlay.wait_order_by_coi(1, timeout=10.0))
    await eventually(lambda: overlay.state is StreamState.READY)
    relay.cut()
    with pytest.raises(StreamClosedError, match="the overlay stopped"):
        await waiting
    with pytest.raises(StreamClosedError, match="the overlay stopped"):
        await overlay.wait_order_by_coi(2, timeout=1.0)
    with pytest.raises(BookGapError):
        _ = overlay.book().best_bid
    assert len(log.errors) == 1
    assert "RuntimeError" in log.errors[0]
