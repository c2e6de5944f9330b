"""Spot markets through the front door: our client, the wire and its models."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal

import aiohttp
import pytest

from wrappy.errors import OrderRejectedError
from wrappy.model import OrderStatus
from wrappy.venue import Venue, VenueSettings
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.replay import replay

SPOT = 2048
PRICE = 400_000
SYMBOLS = ("ETH", "ETH/USDC", "LIT/USDC")
V1 = "/api/v1/"
DEADLINE_S = 10.0


@pytest.fixture
async def spot_venue():
    """A local exchange with a perpetual and two spot markets, where nobody trades."""
    settings = VenueSettings(symbols=SYMBOLS, flow="none")
    async with Venue(settings=settings) as running:
        quote(running, SetIndexPrice(SPOT, PRICE), SetIndexPrice(0, PRICE))
        yield running


def quote(venue, *actions):
    venue.exchange.apply_flow(actions, now_us=time.time_ns() // 1000)


def sides(lots=100_000):
    return (
        SetLevel(SPOT, False, PRICE - 10, lots),
        SetLevel(SPOT, True, PRICE + 10, lots),
    )


def state_of(venue, account=0):
    return venue.exchange.accounts[venue.accounts[account].account_index]


async def read(venue, path, token="", **query):
    headers = {"authorization": token} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.get(venue.base_url + path, params=query, headers=headers) as answer,
    ):
        return await answer.json()


async def test_a_spot_symbol_is_traded_like_any_other(spot_venue, dealer, eventually):
    quote(spot_venue, *sides())
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    assert trader.market.is_spot
    spot = state_of(spot_venue).spot

    resting = await trader.create_limit_order(3_990.0, 0.5, post_only=True)
    await trader.flush()
    coi = resting["client_order_index"]
    await eventually(lambda: any(spot.locked.values()))
    assert spot.locked[3] == 1_995_000_000 + 1_995_000_000 * 40 // 10**6
    assert len(await trader.fetch_open_orders()) == 1
    await trader.cancel_order_by_coi(coi)
    await trader.flush()
    await eventually(lambda: not any(spot.locked.values()))
    (order,) = spot_venue.ledger.orders()
    assert order.status == "canceled"

    bought = await trader.create_market_order(0.5)
    await trader.flush()
    receipt = await trader.wait_settled(bought["client_order_index"])
    assert (receipt.status, receipt.filled) == (OrderStatus.FILLED, Decimal("0.5"))
    sold = await trader.create_limit_order(3_999.9, -0.25, time_in_force="ioc")
    await trader.flush()
    await trader.wait_settled(sold["client_order_index"])
    assert spot.balance(1) == 102_500
    balance = await trader.fetch_my_balance()
    assert Decimal(str(balance["collateral"])) == 100_000


async def test_a_resting_order_is_changed_and_its_lock_with_it(
    spot_venue, dealer, eventually
):
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    coi = (await trader.create_limit_order(4_100.0, -1.0))["client_order_index"]
    await trader.flush()
    spot = state_of(spot_venue).spot
    await eventually(lambda: spot.locked.get(1) == 10_000)
    await trader.update_order_by_coi(coi, price=4_050.0, quantity=2.0)
    await trader.flush()
    await eventually(lambda: spot.locked.get(1) == 20_000)


async def test_an_order_beyond_the_balance_is_refused_with_the_exchanges_words(
    spot_venue, dealer
):
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    await trader.create_limit_order(4_000.0, -11.0)
    with pytest.raises(OrderRejectedError) as refusal:
        await trader.flush()
    assert refusal.value.code == 21304


async def test_a_perpetual_and_its_spot_market_do_not_touch_each_other(
    spot_venue, dealer
):
    quote(
        spot_venue,
        *sides(),
        SetLevel(0, True, PRICE + 10, 10**5),
        SetLevel(0, False, PRICE - 10, 10**5),
    )
    perpetual = await dealer(spot_venue)
    spot = await dealer(spot_venue, symbol="ETH/USDC")
    for trader in (perpetual, spot):
        answer = await trader.create_market_order(0.1)
        await trader.flush()
        await trader.wait_settled(answer["client_order_index"])
    assert await perpetual.fetch_my_position() == Decimal("0.1")
    state = state_of(spot_venue)
    assert state.spot.balance(1) == 101_000
    assert list(state.ledger.positions) == [0]


async def test_the_exchange_tells_of_its_spot_markets_apart(spot_venue, dealer):
    quote(spot_venue, *sides())
    whole = await read(spot_venue, V1 + "orderBookDetails")
    assert [row["symbol"] for row in whole["order_book_details"]] == ["ETH"]
    rows = whole["spot_order_book_details"]
    assert [(r["symbol"], r["market_id"]) for r in rows] == [
        ("ETH/USDC", 2048),
        ("LIT/USDC", 2049),
    ]
    assert (rows[0]["base_asset_id"], rows[0]["quote_asset_id"]) == (1, 3)
    assert "mark_price" not in rows[0]
    for wanted, symbols in (
        ("all", list(SYMBOLS)),
        ("spot", ["ETH/USDC", "LIT/USDC"]),
        ("perp", ["ETH"]),
    ):
        books = await read(spot_venue, V1 + "orderBooks", filter=wanted)
        assert [row["symbol"] for row in books["order_books"]] == symbols
    one = await read(spot_venue, V1 + "orderBooks", market_id=SPOT)
    assert [row["market_type"] for row in one["order_books"]] == ["spot"]
    wrong = await read(spot_venue, V1 + "orderBooks", filter="future")
    assert wrong["code"] == 20001
    rates = await read(spot_venue, V1 + "funding-rates")
    assert [row["market_id"] for row in rates["funding_rates"]] == [0]
    assets = await read(spot_venue, V1 + "assetDetails")
    assert [row["symbol"] for row in assets["asset_details"]] == ["USDC", "ETH", "LIT"]
    (eth,) = (await read(spot_venue, V1 + "assetDetails", asset_id=1))["asset_details"]
    assert eth["total_supplied"] == "20.0000"
    assert (await read(spot_venue, V1 + "assetDetails", asset_id=77))["code"] == 21809


async def test_orders_and_trades_are_asked_for_by_type_of_market(spot_venue, dealer):
    quote(spot_venue, *sides(), SetLevel(0, True, PRICE + 10, 10**5))
    for symbol in ("ETH", "ETH/USDC"):
        trader = await dealer(spot_venue, symbol=symbol)
        await trader.create_limit_order(3_980.0, 0.1)
        await trader.flush()
        answer = await trader.create_market_order(0.1)
        await trader.flush()
        await trader.wait_settled(answer["client_order_index"])
    index = spot_venue.accounts[0].account_index
    token = spot_venue.read_only_token(index)
    own = {"account_index": index}
    for wanted, markets in (("all", [0, 2048]), ("spot", [2048]), ("perp", [0])):
        query = {**own, "market_type": wanted}
        active = await read(spot_venue, V1 + "accountActiveOrders", token, **query)
        assert sorted({o["market_index"] for o in active["orders"]}) == markets
        query |= {"limit": 10}
        closed = await read(spot_venue, V1 + "accountInactiveOrders", token, **query)
        assert sorted({o["market_index"] for o in closed["orders"]}) == markets
        query |= {"sort_by": "trade_id"}
        trades = await read(spot_venue, V1 + "trades", token, **query)
        assert sorted({t["market_id"] for t in trades["trades"]}) == markets
    kinds = {order["market_index"]: order["market_kind"] for order in closed["orders"]}
    assert kinds == {0: "perps"}
    wrong = await read(
        spot_venue, V1 + "accountActiveOrders", token, **own, market_type="future"
    )
    assert wrong["code"] == 20001


class Listener:
    """A raw WebSocket client."""

    def __init__(self, socket):
        self._socket = socket

    async def subscribe(self, name, token=""):
        ask = {"type": "subscribe", "channel": name}
        await self._socket.send_str(json.dumps({**ask, "auth": token}))
        return await self.until(lambda f: f["type"].startswith(("subscribed", "error")))

    async def until(self, fits):
        while True:
            frame = await asyncio.wait_for(self._socket.receive_json(), DEADLINE_S)
            frame.setdefault("type", "error")
            if fits(frame):
                return frame


@pytest.fixture
async def listener(spot_venue):
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(spot_venue.ws_url) as socket,
    ):
        await socket.receive_json()
        yield Listener(socket)


async def test_statistics_of_spot_markets_have_channels_of_their_own(
    spot_venue, listener
):
    quote(spot_venue, *sides())
    first = await listener.subscribe(f"spot_market_stats/{SPOT}")
    assert first["channel"] == f"spot_market_stats:{SPOT}"
    assert set(first["spot_market_stats"]) == {
        "symbol",
        "market_id",
        "index_price",
        "mid_price",
        "best_ask_price",
        "best_bid_price",
        "last_trade_price",
        "daily_base_token_volume",
        "daily_quote_token_volume",
        "daily_price_low",
        "daily_price_high",
        "daily_price_change",
    }
    every = await listener.subscribe("spot_market_stats/all")
    assert list(every["spot_market_stats"]) == ["2048", "2049"]
    perpetual = await listener.subscribe("market_stats/all")
    assert list(perpetual["market_stats"]) == ["0"]
    for wrong in (f"market_stats/{SPOT}", "spot_market_stats/0"):
        assert (await listener.subscribe(wrong))["type"] == "error"
    quote(spot_venue, SetIndexPrice(SPOT, PRICE + 100))
    told = [
        await listener.until(lambda f: f["type"] == "update/spot_market_stats")
        for _ in range(2)
    ]
    one, both = (frame["spot_market_stats"] for frame in told)
    assert one["index_price"] == both["2048"]["index_price"] == "4001.00"


async def test_balances_and_entry_prices_are_told_as_they_change(
    spot_venue, listener, dealer
):
    quote(spot_venue, *sides())
    index = spot_venue.accounts[0].account_index
    token = spot_venue.read_only_token(index)
    first = await listener.subscribe(f"account_all_assets/{index}", token)
    assert first["assets"]["1"]["balance"] == "10.0000"
    assert first["assets"]["3"]["balance"] == "100000.000000"
    empty = await listener.subscribe(f"account_spot_avg_entry_prices/{index}", token)
    assert empty["avg_entry_prices"] == {}
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    await trader.create_limit_order(4_010.0, -1.0)
    await trader.flush()
    locked = await listener.until(lambda f: f["type"] == "update/account_all_assets")
    assert locked["assets"]["1"]["locked_balance"] == "1.0000"
    await trader.create_market_order(0.5)
    await trader.flush()
    prices = await listener.until(
        lambda f: f["type"] == "update/account_spot_avg_entry_prices"
    )
    (row,) = prices["avg_entry_prices"].values()
    assert (row["asset_id"], row["asset_size"]) == (1, "0.5000")
    assert row["avg_entry_price"] == "4000.100000"


async def test_the_overlay_reads_a_spot_market_and_its_assets(spot_venue, ws):
    quote(spot_venue, *sides())
    view = await ws(spot_venue, symbol="ETH/USDC", watch=("assets", "market_stats"))
    assert view.assets["ETH"].balance == 10
    assert view.market_stats().best_bid_price == Decimal("3999.9")
    assert view.market_stats().mark_price is None
    assert view.book().best_ask.price == Decimal("4000.1")


async def test_the_synthetic_market_trades_spot_as_well(dealer, eventually):
    settings = VenueSettings(symbols=("ETH/USDC", "ETH"), seed=3)
    async with Venue(settings=settings) as venue:
        state = venue.exchange.markets[SPOT]
        await eventually(lambda: state.day.count > 2)
        assert state.engine.best_bid < state.engine.best_ask
        candles = await read(
            venue,
            V1 + "candles",
            market_id=SPOT,
            resolution="1m",
            start_timestamp=0,
            end_timestamp=5_000_000_000_000,
            count_back=5,
        )
        assert candles["c"]
        trader = await dealer(venue, symbol="ETH/USDC")
        answer = await trader.create_market_order(0.1)
        await trader.flush()
        receipt = await trader.wait_settled(answer["client_order_index"])
        assert receipt.filled == Decimal("0.1")


async def test_a_reduce_only_order_is_refused_for_a_spot_market(spot_venue, dealer):
    quote(spot_venue, *sides())
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    await trader.create_limit_order(4_010.0, -0.1, reduce_only=True)
    with pytest.raises(OrderRejectedError) as refusal:
        await trader.flush()
    assert refusal.value.code == 21740


async def test_there_is_no_position_to_close(spot_venue, dealer):
    quote(spot_venue, *sides())
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    assert await trader.fetch_my_position() == 0
    report = await trader.close_position()
    assert (report.before, report.orders, report.is_flat) == (0, (), True)


async def test_the_market_of_an_account_tells_its_spot_orders(
    spot_venue, listener, dealer
):
    index = spot_venue.accounts[0].account_index
    token = spot_venue.read_only_token(index)
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    await listener.subscribe(f"account_market/{SPOT}/{index}", token)
    await trader.create_limit_order(4_010.0, -1.0)
    await trader.flush()
    told = await listener.until(lambda f: f["type"] == "update/account_market")
    (order,) = told["orders"]
    assert (order["market_symbol"], order["market_kind"]) == ("ETH/USDC", "spot")
    assert told["assets"]["1"]["locked_balance"] == "1.0000"
    assert told["position"]["position"] == "0.0000"


async def test_the_page_shows_spot_markets_and_balances(spot_venue, dealer):
    quote(spot_venue, *sides())
    trader = await dealer(spot_venue, symbol="ETH/USDC")
    await trader.create_limit_order(4_010.0, -1.0)
    await trader.flush()
    state = await read(spot_venue, "/venue/state", market=SPOT)
    assert [row["symbol"] for row in state["markets"]] == list(SYMBOLS)
    assert state["accounts"][0]["assets"][1]["symbol"] == "ETH"


async def test_a_saved_log_of_a_spot_market_replays_to_the_same_hash(
    tmp_path, dealer, eventually
):
    log = tmp_path / "spot.jsonl"
    settings = VenueSettings(
        symbols=("ETH/USDC",), seed=5, spot_balances=("ETH=1", "USDC=50000")
    )
    async with Venue(settings=settings, save_log=log) as venue:
        trader = await dealer(venue, symbol="ETH/USDC")
        await eventually(lambda: venue.exchange.markets[SPOT].engine.best_ask)
        for size in (0.1, -0.2):
            answer = await trader.create_market_order(size)
            await trader.flush()
            await trader.wait_settled(answer["client_order_index"])
        await trader.aclose()
    again = replay(log)
    assert again.is_same
    account = again.exchange.accounts[venue.accounts[0].account_index]
    assert account.spot.held == state_of(venue).spot.held
