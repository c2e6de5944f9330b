"""Overlays that share a connection, several markets, more channels, other ways in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from decimal import Decimal

import pytest

from wrappy import (
    AuthRejectedError,
    ConfigError,
    CredentialsError,
    InvalidOrderError,
    StreamClosedError,
    StreamState,
    Ticker,
    UnknownMarketError,
    UsageError,
    WsInfo,
)
from wrappy.venue import Venue, VenueSettings

pytestmark = pytest.mark.slow

WATCHED = (
    "ticker",
    "market_stats",
    "candles:1m",
    "assets",
    "user_stats",
    "transactions",
    "notifications",
)


@pytest.fixture
async def reader():
    """Return a function that opens overlays with a read-only token."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(venue, account=0, **changes):
            index = venue.accounts[account].account_index
            settings = {
                "auth_token": venue.read_only_token(index),
                "symbol": "ETH",
                "base_url": venue.base_url,
                **changes,
            }
            return await stack.enter_async_context(
                await WsInfo.run_overlay(index, **settings)
            )

        yield opened


async def public(venue, **changes):
    return await WsInfo.run_public_trades_simple(base_url=venue.base_url, **changes)


# ----------------------------------------------------------------------- sharing


async def test_overlays_of_one_account_share_a_connection(quiet_venue, ws):
    first, second = await ws(quiet_venue), await ws(quiet_venue)
    assert quiet_venue.connections == 1
    assert first.state is second.state is StreamState.READY
    assert first.book().is_valid
    assert second.book().is_valid


async def test_overlays_of_other_accounts_and_of_none_have_their_own(quiet_venue, ws):
    mine, other = await ws(quiet_venue), await ws(quiet_venue, account=1)
    async with await public(quiet_venue, symbol="ETH") as without:
        assert quiet_venue.connections == 3
        assert without.state is StreamState.READY
    assert mine.positions == other.positions == {}


async def test_who_joins_a_live_connection_is_ready_at_once(quiet_venue, ws, relay_to):
    relay = await relay_to(quiet_venue)
    first = await ws(relay)
    subscribes = []

    def count(frame):
        subscribes.append(frame)
        return [frame]

    relay.up = count
    second = await ws(relay, ready_timeout=0.001)
    assert second.state is StreamState.READY
    assert second.book().best_bid == first.book().best_bid
    assert subscribes == []
    await second.ready(timeout=0.001)


async def test_what_one_knows_who_joins_later_knows_too(quiet_venue, dealer, ws):
    trader, first = await dealer(quiet_venue), await ws(quiet_venue)
    coi = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    await first.wait_order_by_coi(coi, timeout=5.0)
    second = await ws(quiet_venue)
    assert (await second.get_order_by_coi(coi))["status"] == "open"


async def test_each_overlay_has_hooks_of_its_own(quiet_venue, dealer, ws, eventually):
    trader = await dealer(quiet_venue)
    first, second = await ws(quiet_venue), await ws(quiet_venue)
    told = []

    def broken(_):
        raise ValueError("the bot is at fault")

    async def hangs(_):
        await asyncio.Event().wait()

    first.on_orders = broken
    first.add_hook("on_orders", hangs)
    second.on_orders = told.extend
    await trader.create_limit_order(1000, 0.05)
    await trader.flush()
    await eventually(lambda: told and first.hook_failures)
    assert second.hook_failures == 0
    assert [stats.event for stats in second.hook_stats] == ["on_orders"]
    assert len(first.hook_stats) == 2


async def test_closing_one_leaves_the_other_as_it_is(
    quiet_venue, dealer, ws, eventually
):
    trader = await dealer(quiet_venue)
    first, second = await ws(quiet_venue), await ws(quiet_venue)
    told = []
    first.on_orders = second.on_orders = told.extend
    waiting = asyncio.create_task(second.wait_order_by_coi(77, timeout=20.0))
    await first.aclose()
    assert first.state is StreamState.CLOSED
    assert second.state is StreamState.READY
    assert quiet_venue.connections == 1
    await trader.create_limit_order(1000, 0.05, client_order_index=77)
    await trader.flush()
    assert (await waiting)["status"] == "open"
    await eventually(lambda: told)
    assert second.book().is_valid
    with pytest.raises(UsageError, match="closed"):
        await first.watch("ticker")
    await second.aclose()
    await eventually(lambda: not quiet_venue.connections)


async def test_an_overlay_opened_while_another_closes_is_whole(quiet_venue, ws):
    for _ in range(5):
        first = await ws(quiet_venue)
        _, second = await asyncio.gather(first.aclose(), ws(quiet_venue))
        assert second.state is StreamState.READY
        assert second.book().is_valid
        await second.aclose()


# --------------------------------------------------------------------- markets


async def test_several_markets_have_prices_of_their_own(venue, ws, eventually):
    overlay = await ws(venue, symbols=["BTC"])
    assert overlay.market.symbol == "ETH"
    await eventually(lambda: overlay.get_ltp() and overlay.get_ltp("BTC"), 20.0)
    eth, btc = overlay.book("ETH"), overlay.book("BTC")
    assert eth.mid_price * 2 < btc.mid_price
    for symbol, book in (("ETH", eth), ("BTC", btc)):
        assert book.symbol == symbol
        assert abs(overlay.get_ltp(symbol) / book.mid_price - 1) < Decimal("0.1")
        rows = overlay.get_recent_trades(public=True, symbol=symbol)
        assert {row["market_id"] for row in rows} == {
            quiet.market_id for quiet in venue.markets if quiet.symbol == symbol
        }
    assert overlay.book() is eth
    for asked in (overlay.book, overlay.get_ltp, overlay.ticker):
        with pytest.raises(UsageError, match="streams ETH, BTC, not SOL"):
            asked("SOL")


async def test_own_trades_can_be_asked_for_by_market(
    quiet_venue, dealer, ws, eventually
):
    overlay = await ws(quiet_venue, symbols=["BTC"])
    for symbol, price in (("ETH", 2000), ("BTC", 50_000)):
        maker = await dealer(quiet_venue, account=1, symbol=symbol)
        taker = await dealer(quiet_venue, symbol=symbol)
        await maker.create_limit_order(price, -0.05)
        await maker.flush()
        await taker.create_limit_order(price, 0.05)
        await taker.flush()
    await eventually(lambda: len(overlay.get_recent_trades()) == 2)
    (only,) = overlay.get_recent_trades(symbol="BTC")
    assert Decimal(only["price"]) == 50_000
    assert overlay.get_recent_trades(0) == []
    assert len(overlay.get_recent_trades(1)) == 1
    await eventually(lambda: set(overlay.positions) == {"ETH", "BTC"})


async def test_markets_can_be_named_without_a_first_one(venue):
    async with await public(venue, symbols=["BTC", "ETH", "BTC"], book=True) as overlay:
        assert overlay.market.symbol == "BTC"
        assert overlay.book("ETH").is_valid
    with pytest.raises(UnknownMarketError, match="NONE"):
        await public(venue, symbols=["ETH", "NONE"])
    assert venue.connections == 0


async def test_books_need_no_key_but_have_to_be_asked_for(venue):
    async with await public(venue, symbol="ETH", book=True) as overlay:
        assert overlay.book().best_bid.price < overlay.book().best_ask.price
    async with await public(venue, symbol="ETH") as overlay:
        with pytest.raises(UsageError, match="book=True"):
            overlay.book()


# -------------------------------------------------------------------- watching


async def test_everything_on_the_menu_can_be_watched_and_stopped(venue, ws, eventually):
    overlay = await ws(venue)
    await eventually(overlay.get_ltp, 20.0)  # a candle needs a trade
    stops = [await overlay.watch(what) for what in WATCHED]
    assert overlay.state is StreamState.READY
    readings = {
        "ticker": overlay.ticker,
        "market_stats": overlay.market_stats,
        "candles:1m": lambda: overlay.candles("1m"),
        "assets": lambda: overlay.assets,
        "user_stats": lambda: overlay.user_stats,
        "transactions": lambda: overlay.recent("transactions"),
        "notifications": lambda: overlay.recent("notifications"),
    }
    assert isinstance(readings["ticker"](), Ticker)
    assert readings["ticker"]().bid.price < readings["ticker"]().ask.price
    assert readings["market_stats"]().mark_price > 0
    assert not readings["candles:1m"]()[-1].closed
    assert readings["user_stats"]().collateral > 0
    assert "USDC" in readings["assets"]()
    assert readings["notifications"]() == []
    for stop in (*stops, *stops):
        stop()
    for what, reading in readings.items():
        with pytest.raises(UsageError, match=f"{what}.*watch"):
            reading()
    assert overlay.state is StreamState.READY


async def test_what_is_watched_from_the_start_is_there_at_the_start(venue):
    owner = venue.accounts[0]
    overlay = await WsInfo.run_overlay(
        owner.account_index,
        owner.api_keys[0].api_key_index,
        owner.api_keys[0].api_key_private_key,
        symbols=["ETH", "BTC"],
        watch=("ticker", "assets"),
        base_url=venue.base_url,
    )
    async with overlay:
        assert overlay.ticker("ETH").symbol == "ETH"
        assert overlay.ticker("BTC").symbol == "BTC"
        assert overlay.assets
        told = []
        overlay.on_ticker = told.append
        stop = await overlay.watch("ticker", "BTC")
        stop()
        assert overlay.ticker("BTC").bid, "it is still watched as from the start"


async def test_what_is_watched_twice_ends_with_the_last_one(quiet_venue, ws):
    overlay = await ws(quiet_venue)
    first, second = [await overlay.watch("ticker") for _ in range(2)]
    first()
    first()
    assert overlay.ticker().symbol == "ETH"
    second()
    with pytest.raises(UsageError, match="not watched"):
        overlay.ticker()
    await overlay.watch("ticker")
    second()
    assert overlay.ticker().symbol == "ETH"


@pytest.mark.parametrize("what", ["", "candles:2m", "book"])
async def test_what_there_is_not_cannot_be_watched(quiet_venue, ws, what):
    overlay = await ws(quiet_venue)
    with pytest.raises(UsageError, match="there is no"):
        await overlay.watch(what)
    with pytest.raises(UsageError, match="there is no"):
        await ws(quiet_venue, watch=["ticker", what])
    assert overlay.state is StreamState.READY


async def test_an_account_is_watched_only_where_there_is_one(quiet_venue):
    async with await public(quiet_venue, symbol="ETH") as overlay:
        with pytest.raises(UsageError, match="no account; give it a key"):
            await overlay.watch("assets")
        await overlay.watch("ticker")
        assert overlay.ticker().symbol == "ETH"


async def test_what_is_not_told_in_time_is_not_watched_any_more(
    quiet_venue, ws, relay_to
):
    relay = await relay_to(quiet_venue)
    overlay = await ws(relay)
    relay.down = lambda frame: [] if "ticker" in frame["type"] else [frame]
    with pytest.raises(StreamClosedError, match=r"within 0\.1 s of ticker/0"):
        await overlay.watch("ticker", timeout=0.1)
    relay.down = None
    with pytest.raises(UsageError, match="not watched"):
        overlay.ticker()
    assert overlay.state is StreamState.READY


async def test_notifications_and_transactions_are_told_as_values(
    quiet_venue, dealer, ws, eventually
):
    overlay = await ws(quiet_venue, watch=["notifications", "transactions"])
    told = []
    overlay.on_notifications = told.extend
    overlay.on_transactions = told.extend
    account = quiet_venue.accounts[0].account_index
    quiet_venue.announce(account, "liquidation", {"price": "1900.00"})
    await eventually(lambda: told)
    assert told[0].kind == "liquidation"
    assert told[0].content["price"] == "1900.00"
    assert list(overlay.recent("notifications")) == told
    told.clear()
    trader = await dealer(quiet_venue)
    await trader.create_limit_order(1000, 0.05)
    sent = await trader.flush()
    await eventually(lambda: told)
    assert {row.tx_hash for row in told} == set(sent["tx_hash"])


# ----------------------------------------------------------------- connections


async def test_states_and_the_reconnect_are_told(quiet_venue, ws, relay_to, eventually):
    relay = await relay_to(quiet_venue)
    overlay, silent = await ws(relay), await ws(relay)
    told = []
    overlay.on_state = lambda state: told.append(state.value)
    overlay.on_reconnect = told.append
    await overlay.ready(timeout=0.0)
    relay.cut()
    await eventually(lambda: overlay.state is not StreamState.READY)
    await asyncio.gather(overlay.ready(timeout=10.0), silent.ready(10.0))
    assert overlay.book().is_valid
    await eventually(lambda: 2 in told)
    assert told[0] == "connecting"
    assert "subscribing" in told
    assert told[-2:] in (["ready", 2], [2, "ready"])
    assert silent.connects == overlay.connects == 2


async def test_ready_gives_up_when_it_takes_too_long(
    quiet_venue, ws, relay_to, eventually
):
    relay = await relay_to(quiet_venue)
    overlay = await ws(relay)
    relay.door_open = False
    relay.cut()
    await eventually(lambda: overlay.state is StreamState.CONNECTING)
    started = time.monotonic()
    with pytest.raises(StreamClosedError, match=r"no snapshot within 0\.05 s"):
        await overlay.ready(timeout=0.05)
    assert time.monotonic() - started < 2.0
    waiting = asyncio.create_task(overlay.ready())
    await asyncio.sleep(0)
    await overlay.aclose()
    with pytest.raises(StreamClosedError, match="stopped"):
        await waiting


# --------------------------------------------------------------------- dealers


async def test_a_dealer_that_is_attached_hears_of_its_orders_and_prices(
    quiet_venue, dealer, ws, eventually
):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    other = await dealer(quiet_venue, account=1)
    await other.create_limit_order(2000, -0.5)
    await other.create_limit_order(1990, 0.5)
    await other.flush()
    await eventually(lambda: overlay.book().best_ask is not None)
    await eventually(lambda: overlay.book().best_bid is not None)
    detach = overlay.attach(trader)

    coi = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    await eventually(lambda: trader.receipt(coi).status.value == "open")
    bought = (await trader.create_market_order(0.05))["client_order_index"]
    await trader.flush()
    await eventually(lambda: trader.receipt(bought).status.value == "filled")

    assert [s.event for s in overlay.hook_stats] == ["on_orders", "on_reconnect"]
    detach()
    detach()
    assert overlay.hook_stats == ()


async def test_an_attached_dealer_is_reconciled_after_an_outage(
    quiet_venue, dealer, ws, relay_to, eventually
):
    relay = await relay_to(quiet_venue)
    trader, overlay = await dealer(quiet_venue), await ws(relay)
    overlay.attach(trader)
    coi = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    await eventually(lambda: trader.receipt(coi).status.value == "open")
    relay.door_open = False
    relay.cut()
    await eventually(lambda: overlay.state is not StreamState.READY)
    elsewhere = await dealer(quiet_venue, account=1)
    await elsewhere.create_limit_order(1000, -0.05)
    await elsewhere.flush()
    relay.door_open = True
    await overlay.ready(timeout=10.0)
    await eventually(lambda: trader.receipt(coi).status.value == "filled")
    await eventually(
        lambda: (
            [s.calls for s in overlay.hook_stats if s.event == "on_reconnect"] == [1]
        )
    )
    assert overlay.hook_failures == 0


async def test_a_dealer_of_any_market_streamed_gets_its_prices(
    venue, dealer, ws, eventually
):
    overlay = await ws(venue, symbols=["BTC"])
    trader = await dealer(venue, symbol="BTC")
    overlay.attach(trader)
    middle = overlay.book("BTC").mid_price
    answer = await trader.create_market_order(0.001)
    assert abs(answer["price"] / middle - 1) < Decimal("0.1")
    assert middle > 10 * overlay.book("ETH").mid_price
    coi = answer["client_order_index"]
    await trader.flush()
    await eventually(lambda: trader.receipt(coi).status.value == "filled")


async def test_a_dealer_of_a_market_not_streamed_hears_of_its_orders(
    quiet_venue, dealer, ws, eventually
):
    overlay = await ws(quiet_venue)
    trader = await dealer(quiet_venue, symbol="BTC")
    detach = overlay.attach(trader)
    coi = (await trader.create_limit_order(10_000, 0.01))["client_order_index"]
    await trader.flush()
    await eventually(lambda: trader.receipt(coi).status.value == "open")
    detach()


async def test_only_a_dealer_of_the_same_account_can_be_attached(
    quiet_venue, dealer, ws
):
    stranger, overlay = await dealer(quiet_venue, account=1), await ws(quiet_venue)
    with pytest.raises(UsageError, match=r"account is \d+, this overlay streams \d+"):
        overlay.attach(stranger)
    async with await public(quiet_venue, symbol="ETH") as without:
        with pytest.raises(UsageError, match="streams none"):
            without.attach(stranger)
    assert overlay.hook_stats == ()


# ---------------------------------------------------------------------- tokens


async def test_a_read_only_token_streams_the_account(
    quiet_venue, reader, dealer, eventually
):
    overlay = await reader(quiet_venue, watch=["assets"])
    assert overlay.assets
    trader = await dealer(quiet_venue)
    coi = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    assert (await overlay.wait_order_by_coi(coi, timeout=5.0))["status"] == "open"
    overlay.attach(trader)
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    await eventually(lambda: trader.receipt(coi).status.value == "canceled")


async def test_a_read_only_token_survives_an_outage(
    quiet_venue, reader, relay_to, dealer, eventually
):
    relay = await relay_to(quiet_venue)
    token = quiet_venue.read_only_token(quiet_venue.accounts[0].account_index)
    overlay = await reader(quiet_venue, auth_token=token, base_url=relay.base_url)
    told = []
    overlay.on_trades = told.extend
    relay.door_open = False
    relay.cut()
    await eventually(lambda: overlay.state is not StreamState.READY)
    maker, taker = await dealer(quiet_venue, account=1), await dealer(quiet_venue)
    await maker.create_limit_order(2000, -0.05)
    await maker.flush()
    await taker.create_limit_order(2000, 0.05)
    await taker.flush()
    relay.door_open = True
    await overlay.ready(timeout=10.0)
    await eventually(lambda: told)
    assert [row["price"] for row in told] == ["2000.00"]


async def test_a_revoked_token_is_refused_at_the_start(quiet_venue, reader, eventually):
    token = quiet_venue.read_only_token(quiet_venue.accounts[0].account_index)
    quiet_venue.revoke_token(token)
    with pytest.raises(AuthRejectedError) as caught:
        await reader(quiet_venue, auth_token=token)
    assert token not in str(caught.value)
    await eventually(lambda: not quiet_venue.connections)


@pytest.mark.parametrize("flaw", ["expired", "another account's", "no token"])
async def test_a_token_of_no_use_is_told_before_anything_is_sent(
    quiet_venue, reader, flaw
):
    mine, other = (owner.account_index for owner in quiet_venue.accounts[:2])
    kind, _, scope, _, secret = quiet_venue.read_only_token(mine).split(":")
    token, words = {
        "expired": (f"{kind}:{mine}:{scope}:1000000000:{secret}", "expired"),
        "another account's": (quiet_venue.read_only_token(other), f"account {other}'s"),
        "no token": ("nonsense", "auth_token: is no token"),
    }[flaw]
    with pytest.raises((CredentialsError, ConfigError), match=words) as caught:
        await reader(quiet_venue, auth_token=token)
    assert secret not in str(caught.value)
    assert quiet_venue.connections == 0


async def test_a_token_of_one_account_opens_no_channel_of_another():
    async with Venue(settings=VenueSettings(seed=1, flow="none")) as venue:
        foreign = venue.read_only_token(
            venue.accounts[1].account_index, sub_accounts=True
        )
        with pytest.raises(AuthRejectedError):
            await WsInfo.run_overlay(
                venue.accounts[0].account_index,
                auth_token=foreign,
                symbol="ETH",
                base_url=venue.base_url,
            )


async def test_a_key_and_a_token_of_one_account_have_connections_of_their_own(
    quiet_venue, reader, ws
):
    signed, given = await ws(quiet_venue), await reader(quiet_venue)
    assert quiet_venue.connections == 2
    assert signed.state is given.state is StreamState.READY


async def test_a_waiting_number_that_is_none_is_told(quiet_venue, ws):
    overlay = await ws(quiet_venue)
    with pytest.raises(InvalidOrderError, match="client_order_index"):
        await overlay.get_order_by_coi(0)


async def test_an_order_that_came_and_went_in_an_outage_is_told_after_it_and_once(
    quiet_venue, dealer, ws, relay_to, eventually
):
    relay = await relay_to(quiet_venue)
    trader, overlay = await dealer(quiet_venue), await ws(relay)
    told = []
    overlay.on_orders = lambda rows: told.extend(
        (row["client_order_index"], row["status"]) for row in rows
    )
    before = (await trader.create_limit_order(1000, 0.05))["client_order_index"]
    await trader.flush()
    await trader.cancel_order_by_coi(before)
    await trader.flush()
    await eventually(lambda: (before, "canceled") in told)

    relay.door_open = False
    relay.cut()
    await eventually(lambda: overlay.state is not StreamState.READY)
    unheard = (await trader.create_limit_order(1001, 0.05))["client_order_index"]
    await trader.flush()
    await trader.cancel_order_by_coi(unheard)
    await trader.flush()
    told.clear()
    relay.door_open = True
    await eventually(lambda: told, 10.0)
    word = await overlay.wait_order_by_coi(unheard, timeout=5.0)
    assert word["status"] == "canceled"
    assert told == [(unheard, "canceled")]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("symbols", "ETH"),
        ("watch", "ticker"),
        ("symbols", [7]),
        ("symbols", None),
        ("ping_interval", "30"),
        ("ready_timeout", None),
        ("hook_timeout", True),
        ("ping_interval", 0),
        ("ping_interval", 120),
        ("ready_timeout", -1),
        ("hook_timeout", float("nan")),
    ],
)
async def test_an_argument_that_cannot_work_is_named(quiet_venue, argument, value):
    with pytest.raises(ConfigError, match=f"^{argument}: "):
        await WsInfo.run_public_trades_simple(
            "ETH", base_url=quiet_venue.base_url, **{argument: value}
        )
    assert not quiet_venue.connections
