"""Unmodified ccxt, REST and pro, against the local exchange: addresses and keys only.

ccxt pins its dependencies to single versions that `lighter-sdk` refuses, so no extra of
this project can name both; `clients.txt` beside this file says how both are installed.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.running import Books, ThreadedVenue, eventually, signer_library

lighter = pytest.importorskip("lighter", reason="lighter-sdk is not installed")
ccxt = pytest.importorskip("ccxt.pro", reason="ccxt is not installed")

SYMBOL = "ETH/USDC:USDC"
INTEGRATOR = 718_718
"""Whom ccxt names on its orders once it could have that approved."""
ETHEREUM_KEY = "0x" + "11" * 32
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def venue():
    with ThreadedVenue() as running:
        yield running.venue


@pytest.fixture
def books(venue):
    return Books(venue)


@pytest.fixture
async def client(venue):
    """Return a function that opens ccxt clients, with addresses and credentials."""
    opened = []

    def made(**credentials):
        owner = venue.accounts[0]
        key = owner.api_keys[0]
        account, slot = owner.account_index, key.api_key_index
        private = {"lighterPrivateKey": key.api_key_private_key}
        exchange = ccxt.lighter(
            {
                "enableRateLimit": False,
                "options": {
                    "accountIndex": account,
                    "apiKeyIndex": slot,
                    "libraryPath": str(signer_library(lighter)),
                    "auths": {str(account): {str(slot): private}},
                },
                **credentials,
            }
        )
        addresses = dict.fromkeys(("root", "public", "private"), venue.base_url)
        exchange.urls["api"] = {**addresses, "ws": venue.ws_url}
        opened.append(exchange)
        return exchange

    yield made
    for exchange in opened:
        await exchange.close()


@pytest.fixture
async def exchange(client):
    opened = client()
    await opened.load_markets()
    # Asks for the integrator's approval, and without an Ethereum key goes without.
    assert await opened.pre_load_lighter_library()
    return opened


def dollars(books, percent):
    return books.price(percent) / 100


# ----------------------------------------------------------------------- reading


async def test_status_and_time_are_the_exchanges(exchange, venue):
    assert (await exchange.fetch_status())["status"] == "ok"
    assert abs(await exchange.fetch_time() - exchange.milliseconds()) < HOUR_MS


async def test_the_market_has_its_steps_and_limits(exchange, venue):
    market, ours = exchange.market(SYMBOL), venue.exchange.markets[0].market
    assert market["swap"]
    assert market["id"] == str(ours.market_id)
    assert market["precision"]["price"] == pytest.approx(10**-ours.price_decimals)
    assert market["precision"]["amount"] == pytest.approx(10**-ours.size_decimals)
    least = ours.min_base_amount / 10**ours.size_decimals
    assert market["limits"]["amount"]["min"] == pytest.approx(least)


async def test_book_ticker_trades_and_candles_agree(exchange, venue):
    def traded():
        return any(trade.base for trade in venue.exchange.markets[0].trades)

    await eventually(traded)
    book = await exchange.fetch_order_book(SYMBOL)
    assert book["bids"][0][0] < book["asks"][0][0]
    bids = [price for price, _ in book["bids"]]
    assert bids == sorted(bids, reverse=True)
    trades = await exchange.fetch_trades(SYMBOL, limit=50)
    known = {str(trade.trade_id): trade for trade in venue.exchange.markets[0].trades}
    for trade in trades:
        ours = known[trade["id"]]
        assert trade["price"] == pytest.approx(ours.price / 100)
        assert trade["amount"] == pytest.approx(ours.base / 10_000)
        assert trade["side"] == ("buy" if ours.is_maker_ask else "sell")
    ticker = await exchange.fetch_ticker(SYMBOL)
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    candles = await exchange.fetch_ohlcv(SYMBOL, "1m", limit=5)
    _, opened, high, low, closed, volume = candles[-1]
    assert low <= min(opened, closed) <= max(opened, closed) <= high
    assert volume > 0
    rates = await exchange.fetch_funding_rates()
    assert SYMBOL in rates
    assert "USDC" in await exchange.fetch_currencies()


async def test_balance_and_accounts_are_the_ledgers(exchange, books):
    balance = await exchange.fetch_balance()
    assert balance["USDC"]["total"] == pytest.approx(
        books.state.ledger.collateral / 1_000_000, abs=1
    )
    accounts = await exchange.fetch_accounts()
    assert [account["id"] for account in accounts] == [str(books.index)]


async def test_histories_of_money_tell_what_there_was(exchange, books):
    address = {"address": books.owner.l1_address}
    [deposit] = await exchange.fetch_deposits(params=address)
    assert (deposit["amount"], deposit["status"]) == (100_000, "ok")
    assert await exchange.fetch_withdrawals() == []
    assert await exchange.fetch_transfers() == []


# ----------------------------------------------------------------------- trading


async def test_an_order_rests_is_edited_and_cancelled(exchange, books):
    price = dollars(books, 97)
    await exchange.create_order(
        SYMBOL, "limit", "buy", 0.1, price, {"clientOrderId": 111}
    )
    placed = await books.when(111, "open")
    assert (placed.price, placed.initial_base, placed.is_ask) == (
        books.price(97),
        1000,
        False,
    )
    [shown] = await exchange.fetch_open_orders(SYMBOL)
    assert shown["id"] == str(placed.order_index)
    assert shown["clientOrderId"] == "111"
    assert shown["price"] == pytest.approx(price)

    lower = dollars(books, 96)
    await exchange.edit_order(shown["id"], SYMBOL, "limit", "buy", 0.2, lower)
    await eventually(lambda: books.order(111).initial_base == 2000)
    assert books.order(111).order_index == placed.order_index

    await exchange.cancel_order(shown["id"], SYMBOL)
    await books.when(111, "canceled")
    closed = await exchange.fetch_closed_orders(SYMBOL)
    assert closed[0]["id"] == shown["id"]
    assert closed[0]["status"] == "canceled"


async def test_a_post_only_order_rests_and_one_that_would_take_is_cancelled(
    exchange, books
):
    for coi, percent, status in (
        (121, 96, "open"),
        (122, 104, "canceled-post-only"),
    ):
        await exchange.create_order(
            SYMBOL,
            "limit",
            "buy",
            0.1,
            dollars(books, percent),
            {"clientOrderId": coi, "postOnly": True},
        )
        await books.when(coi, status)
    await exchange.cancel_order(str(books.order(121).order_index), SYMBOL)
    await books.when(121, "canceled")


async def test_market_and_immediate_orders_trade_and_make_a_position(exchange, books):
    held = books.state.ledger.size(0)
    await exchange.create_order(
        SYMBOL, "market", "buy", 0.2, dollars(books, 103), {"clientOrderId": 131}
    )
    await exchange.create_order(
        SYMBOL,
        "limit",
        "buy",
        0.1,
        dollars(books, 102),
        {"clientOrderId": 132, "timeInForce": "IOC"},
    )
    for coi, base in ((131, 2000), (132, 1000)):
        assert (await books.when(coi, "filled")).filled_base == base
    ours = {str(t.trade_id): t for t in books.venue.ledger.trades(books.index)}
    trades = await exchange.fetch_my_trades(SYMBOL, limit=50)
    told = {t["id"]: t for t in trades if t["id"] in ours}
    filled = [t for t in ours.values() if t.bid_client_order_index in (131, 132)]
    assert sum(t.base for t in filled) == 3000
    for trade in filled:
        row = told[str(trade.trade_id)]
        assert row["side"] == "buy"
        assert row["price"] == pytest.approx(trade.price / 100)
    position = await exchange.fetch_position(SYMBOL)
    assert books.state.ledger.size(0) == held + 3000
    assert position["contracts"] == pytest.approx((held + 3000) / 10_000)
    assert position["side"] == "long"


async def test_a_stop_waits_for_the_mark_price(exchange, books):
    await exchange.create_order(
        SYMBOL, "market", "buy", 0.1, dollars(books, 103), {"clientOrderId": 141}
    )
    await books.when(141, "filled")
    await exchange.create_order(
        SYMBOL,
        "market",
        "sell",
        0.1,
        dollars(books, 90),
        {
            "clientOrderId": 142,
            "stopLossPrice": dollars(books, 93),
            "reduceOnly": True,
            "orderExpiry": -1,
        },
    )
    stop = await books.when(142, "pending")
    assert (stop.trigger_price, stop.trigger_status) == (books.price(93), "mark-price")
    await exchange.cancel_order(str(stop.order_index), SYMBOL)
    await books.when(142, "canceled")


async def test_a_bracket_holds_its_children_and_all_is_cancelled(exchange, books):
    await exchange.create_order(
        SYMBOL,
        "limit",
        "buy",
        0.1,
        dollars(books, 97),
        {
            "stopLoss": {
                "triggerPrice": dollars(books, 90),
                "price": dollars(books, 88),
            },
            "takeProfit": {
                "triggerPrice": dollars(books, 110),
                "price": dollars(books, 109),
            },
        },
    )
    await eventually(lambda: len(books.state.open_orders) == 3)
    parent, *children = books.state.open_orders.values()
    parent = next(o for o in (parent, *children) if not o.parent_index)
    assert set(parent.to_trigger) < set(books.state.open_orders)
    await exchange.cancel_all_orders()
    await eventually(lambda: not books.state.open_orders)
    await exchange.cancel_all_orders_after(10 * 60_000)
    await eventually(lambda: books.state.cancel_all_time_ms)


async def test_leverage_is_the_accounts(exchange, books):
    await exchange.set_leverage(5, SYMBOL, {"marginMode": "cross"})
    await eventually(lambda: books.state.initial_margin_fractions[0] == 2000)
    [position] = await exchange.fetch_positions([SYMBOL])
    assert position["leverage"] == pytest.approx(5)


async def test_a_refusal_is_the_error_ccxt_has_for_its_code(exchange, books):
    with pytest.raises(ccxt.InvalidOrder, match=r"2173[28]"):
        await exchange.create_order(
            SYMBOL,
            "limit",
            "buy",
            0.1,
            dollars(books, 97),
            {"reduceOnly": True, "clientOrderId": 151},
        )
    assert books.order(151) is None


# ------------------------------------------------------------------- integrators


async def test_an_integrator_that_nobody_approved_is_refused(client, books):
    exchange = client()
    with pytest.raises(ccxt.ExchangeError, match="21149"):
        await exchange.create_order(
            SYMBOL, "limit", "buy", 0.1, dollars(books, 97), {"clientOrderId": 160}
        )
    assert books.order(160) is None


async def test_an_integrator_is_approved_on_the_start_and_paid(client, books):
    exchange = client(privateKey=ETHEREUM_KEY)
    before = books.state.api_keys[4].nonce
    await exchange.load_markets()
    assert await exchange.pre_load_lighter_library()
    await eventually(lambda: INTEGRATOR in books.state.integrators)
    approval = books.state.integrators[INTEGRATOR]
    assert approval["max_perps_taker_fee"] == approval["max_perps_maker_fee"] == 1000
    assert books.state.api_keys[4].nonce == before + 1
    await exchange.create_order(
        SYMBOL, "market", "sell", 0.1, dollars(books, 97), {"clientOrderId": 161}
    )
    order = await books.when(161, "filled")
    assert order.integrator.account == INTEGRATOR
    shares = [
        (trade.taker_integrator, trade.quote)
        for trade in books.venue.ledger.trades(books.index)
        if trade.ask_client_order_index == 161
    ]
    assert shares
    assert all(
        (share.fee, share.amount) == (1000, (quote + 500) // 1000)
        for share, quote in shares
    )


# ---------------------------------------------------------------------- watching


async def test_book_ticker_and_trades_are_watched(exchange, venue):
    state = venue.exchange.markets[0]
    for _ in range(3):
        book = await exchange.watch_order_book(SYMBOL)
        assert book["bids"][0][0] < book["asks"][0][0]
    ticker = await exchange.watch_ticker(SYMBOL)
    assert ticker["last"] > 0
    assert SYMBOL in await exchange.watch_tickers([SYMBOL])
    trades = await exchange.watch_trades(SYMBOL)
    known = {str(trade.trade_id) for trade in state.trades}
    assert {trade["id"] for trade in trades} <= known


async def test_orders_own_trades_and_balance_are_watched(exchange, books):
    price = dollars(books, 103)
    balance = await exchange.watch_balance()
    assert balance["USDC"]["total"] > 0
    watching = [
        asyncio.ensure_future(exchange.watch_orders(SYMBOL)),
        asyncio.ensure_future(exchange.watch_my_trades(SYMBOL)),
    ]
    await exchange.create_order(
        SYMBOL, "market", "buy", 0.1, price, {"clientOrderId": 171}
    )
    filled = await books.when(171, "filled")

    def told(rows, **wanted):
        found = (
            row
            for row in rows or ()
            if all(row[name] == value for name, value in wanted.items())
        )
        return next(found, None)

    # What comes while nobody waits is kept: the next word would come too late.
    order = await eventually(
        lambda: told(exchange.orders, clientOrderId="171", status="closed")
    )
    trade = await eventually(
        lambda: told(exchange.myTrades, order=str(filled.order_index))
    )
    assert order["id"] == str(filled.order_index)
    assert (trade["side"], trade["symbol"]) == ("buy", SYMBOL)
    for rows in await asyncio.wait_for(asyncio.gather(*watching), 10):
        assert {row["symbol"] for row in rows} == {SYMBOL}
