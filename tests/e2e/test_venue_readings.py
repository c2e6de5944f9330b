"""Settings of the doors: limits as data, and both readings of what is left open."""

from __future__ import annotations

import base64
import json
from urllib.request import urlopen

import aiohttp
import pytest

from tests.e2e.test_venue_rest import DEADLINE_S, START_S, Client, order
from tests.e2e.test_venue_stream import OPENING, end, world_with
from wrappy.protocol.intents import CancelAllOrders, CancelOrder
from wrappy.venue import SteppedClock, Venue, VenueSettings
from wrappy.venue.account_events import Transferred, Withdrawn
from wrappy.venue.events import SetIndexPrice, SetLevel, Take
from wrappy.venue.limit_settings import QuotaRules, StreamLimits

ACCOUNT = 123_456
ALL_TIME = {"start_timestamp": 0, "end_timestamp": 5_000_000_000_000, "count_back": 0}


class Place:
    """A venue with settings and a plain client, for an `async with`."""

    def __init__(self, **settings):
        chosen = {"seed": 2, "symbols": ("ETH",), "flow": "none", **settings}
        clock = SteppedClock(START_S)
        self.venue = Venue(settings=VenueSettings(**chosen), clock=clock)

    async def __aenter__(self):
        await self.venue.start()
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        self.session = aiohttp.ClientSession(timeout=timeout)
        return Client(self.venue, self.session)

    async def __aexit__(self, *_):
        await self.session.close()
        await self.venue.aclose()


async def raw(client, path, **query):
    url = f"{client.venue.base_url}/api/v1/{path}"
    async with client.session.get(url, params=query) as found:
        return found.status, found.content_type, await found.read()


@pytest.mark.parametrize("status", [429, 405])
@pytest.mark.parametrize("look", ["json", "html", "empty"])
async def test_too_many_requests_look_as_they_are_set(status, look):
    settings = {"throttle_status": status, "throttle_body": look}
    async with Place(tier="standard", enforce_limits=True, **settings) as client:
        for _ in range(60):
            assert (await client.get("currentHeight"))[0] == 200
        found, kind, body = await raw(client, "currentHeight")
        assert found == status
        if look == "json":
            assert json.loads(body) == {"code": 23000, "message": "Too Many Requests!"}
        elif look == "html":
            assert kind == "text/html"
            assert str(status).encode() in body
        else:
            assert body == b""


@pytest.mark.parametrize("pause_ms", [0, 60_000])
async def test_whoever_was_too_fast_may_be_shut_out_for_a_while(pause_ms):
    settings = {"enforce_limits": True, "throttle_pause_ms": pause_ms}
    async with Place(tier="standard", **settings) as client:
        for _ in range(60):
            await client.get("currentHeight")
        await client.venue.advance(30)
        assert (await client.get("currentHeight"))[0] == 429
        await client.venue.advance(31)
        # The minute of the first sixty is over; that of the firewall is not.
        assert (await client.get("currentHeight"))[0] == (429 if pause_ms else 200)
        await client.venue.advance(30)
        assert (await client.get("currentHeight"))[0] == 200


@pytest.mark.parametrize("counts", ["one", "each"])
async def test_a_batch_counts_once_or_for_each_of_its_transactions(counts):
    settings = {"enforce_limits": True, "batch_counts": counts}
    async with Place(tier="standard", **settings) as client:
        statuses = []
        for turn in range(6):
            made = [
                client.signer.sign(CancelOrder(0, 7), nonce=turn * 15 + number)
                for number in range(1, 16)
            ]
            statuses.append((await client.send_batch(made))[0])
        assert statuses == [200] * 6 if counts == "one" else [200] * 4 + [429] * 2


@pytest.mark.parametrize("status", [400, 200])
async def test_a_refusal_has_the_status_that_is_set(status):
    async with Place(refusal_status=status) as client:
        found, body = await client.get("recentTrades", market_id=9, limit=1)
        assert (found, body["code"]) == (status, 21602)
        assert (await client.get("accountLimits", account_index=ACCOUNT))[0] == 401


@pytest.mark.parametrize(("reading", "nothing"), [("empty", []), ("null", None)])
async def test_lists_with_nothing_in_them_are_empty_or_null(reading, nothing):
    async with Place(empty_lists=reading) as client:
        _, book = await client.get("orderBookOrders", market_id=0, limit=1)
        assert book["asks"] == book["bids"] == nothing
        _, trades = await client.get("recentTrades", market_id=0, limit=1)
        assert trades["trades"] == nothing
        asked = {"market_id": 0, "resolution": "1m", **ALL_TIME}
        assert (await client.get("candles", **asked))[1]["c"] == nothing


async def test_the_range_of_a_question_for_candles_can_be_limited():
    asked = {"market_id": 0, "resolution": "1m", "count_back": 0}
    async with Place(candle_range=60) as client:
        hour = {"start_timestamp": 0, "end_timestamp": 3_600_000}
        assert (await client.get("candles", **asked, **hour))[0] == 200
        never = {"start_timestamp": 0, "end_timestamp": 5_000_000_000_001}
        assert (await client.get("candles", **asked, **never))[1]["code"] == 22401
        longer = {"start_timestamp": 0, "end_timestamp": 3_660_000}
        assert (await client.get("candles", **asked, **longer))[1]["code"] == 22403


async def test_weights_are_what_is_set():
    weights = (("/api/v1/currentHeight", 12_000),)
    async with Place(enforce_limits=True, weights=weights) as client:
        statuses = [(await client.get("currentHeight"))[0] for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_the_volume_quota_follows_its_rules():
    rules = QuotaRules(at_start=1, free_every_ms=0, code=21_506)
    async with Place(enforce_limits=True, volume_quota=rules) as client:
        _, body = await client.send(client.signer.sign(order(1), nonce=1))
        assert body["volume_quota_remaining"] == 0
        status, body = await client.send(client.signer.sign(order(2), nonce=2))
        assert (status, body["code"]) == (400, 21_506)
        assert body["message"] == "Not enough volume quota remaining"


@pytest.mark.parametrize("shown", [False, True])
async def test_accounts_without_a_quota_are_told_one_if_it_is_set_so(shown):
    rules = QuotaRules(shown_to_all=shown)
    async with Place(tier="standard", volume_quota=rules) as client:
        _, body = await client.send(client.signer.sign(order(1), nonce=1))
        assert ("volume_quota_remaining" in body) == shown


@pytest.mark.parametrize("reading", ["bands", "nothing"])
async def test_a_sender_may_do_without_price_protection(reading):
    async with Place(price_protection_off=reading) as client:
        crowd = [SetIndexPrice(0, 300_000), SetLevel(0, True, 300_100, 10)]
        client.venue.exchange.apply_flow(crowd, now_us=START_S * 1_000_000)
        signed = client.signer.sign(order(1, price=600_000), nonce=1)
        assert (await client.send(signed))[1]["code"] == 21733
        found = await client.send(signed, price_protection="false")
        assert found[1]["code"] == (200 if reading == "bands" else 21733)


# ------------------------------------------------------------------------- streams


async def test_the_limits_of_the_stream_are_what_is_set():
    limits = StreamLimits(
        connections=1, subscriptions=2, accounts=1, messages_per_minute=6
    )
    world = await world_with(OPENING, enforce_limits=True, stream_limits=limits)
    socket = await world.connect()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await world.connect()
    assert refusal.value.status == 429
    await socket.subscribe(f"user_stats/{ACCOUNT}")
    for channel, code in (
        (f"user_stats/{ACCOUNT + 1}", 23002),
        ("ticker/0", None),
        ("trade/0", 23001),
        ("order_book/0", 23001),
        ("height", 23001),
        ("height", 30009),
    ):
        if code is None:
            await socket.subscribe(channel)
            continue
        await socket.send(type="subscribe", channel=channel)
        assert (await socket.until("error"))["error"]["code"] == code, channel
    await end(world)


@pytest.mark.parametrize("life_s", [0, 60])
async def test_a_connection_may_have_a_longest_life(life_s):
    world = await world_with(stream_limits=StreamLimits(connection_life_s=life_s))
    socket = await world.connect()
    await world.venue.advance(59)
    await socket.send(type="ping")
    assert (await socket.next())["type"] == "pong"
    await world.venue.advance(3)
    if life_s:
        assert await socket.closed() == 1001
    else:
        await socket.send(type="ping")
        assert (await socket.next())["type"] == "pong"
    await end(world)


@pytest.mark.parametrize("reading", ["map", "single"])
async def test_statistics_of_all_markets_begin_with_a_map_or_with_one(reading):
    world = await world_with(OPENING, all_stats=reading)
    socket = await world.connect()
    frame = await socket.subscribe("market_stats/all")
    assert ("symbol" in frame["market_stats"]) == (reading == "single")
    await end(world)


@pytest.mark.parametrize("reading", ["full", "partial"])
async def test_frames_of_positions_are_full_or_partial(reading):
    settings = {"account_frames": reading, "seed": 4, "symbols": ("ETH", "BTC")}
    async with Place(**settings) as client:
        exchange = client.venue.exchange
        account = exchange.accounts[ACCOUNT]
        prices = {0: 300_000, 1: 600_000}
        steps = [SetIndexPrice(index, price) for index, price in prices.items()]
        steps += [SetLevel(i, True, p + 10, 9_000) for i, p in prices.items()]
        exchange.apply_flow(steps, now_us=START_S * 1_000_000)
        url = client.venue.ws_url
        async with client.session.ws_connect(url) as socket:
            await socket.receive_json()
            channel = f"account_all_positions/{ACCOUNT}"
            await socket.send_json({"type": "subscribe", "channel": channel})
            await socket.receive_json()
            shown = []
            for nonce, index in ((1, 0), (2, 1)):
                intent = order(nonce, prices[index] + 10)
                intent = type(intent)(
                    index,
                    nonce,
                    1_000,
                    prices[index] + 20,
                    is_ask=False,
                    order_expiry=intent.order_expiry,
                )
                await client.send(client.signer.sign(intent, nonce=nonce))
                await client.venue.advance(1)
                frame = await socket.receive_json(timeout=DEADLINE_S)
                shown.append(sorted(frame["positions"]))
        assert set(account.ledger.positions) == {0, 1}
        assert shown == [["0"], ["0", "1"] if reading == "full" else ["1"]]


# ------------------------------------------------------------- what the past was


async def lived(client):
    """Trade at once, wait, and trade back."""
    exchange = client.venue.exchange
    now_us = START_S * 1_000_000
    opening = [SetIndexPrice(0, 300_000), SetLevel(0, True, 300_000, 9_000)]
    exchange.apply_flow([*opening, SetLevel(0, False, 299_000, 9_000)], now_us=now_us)
    await client.send(client.signer.sign(order(1, 300_000), nonce=1))
    await client.venue.advance(590)
    sold = order(2, 299_000, ask=True)
    await client.send(client.signer.sign(sold, nonce=2))
    await client.venue.advance(1)


async def test_profit_over_time_is_what_the_ledger_says():
    async with Place(funding=False) as client:
        await lived(client)
        account = client.venue.exchange.accounts[ACCOUNT]
        query = {"by": "index", "value": ACCOUNT, "resolution": "5m", **ALL_TIME}
        _, body = await client.own("pnl", **query)
        last = body["pnl"][-1]
        assert round(last["trade_pnl"] * 1_000_000) == (
            account.ledger.collateral - 100_000_000_000
        )
        traded = sum(trade.quote for trade in account.trades)
        assert round(last["volume"] * 1_000_000) == traded
        assert len(body["pnl"]) == 2
        assert body["pnl"][0]["volume"] < last["volume"]
        _, one = await client.own("pnl", **{**query, "count_back": 1})
        assert one["pnl"] == [last]
        wrong = {**query, "resolution": "2h"}
        assert (await client.own("pnl", **wrong))[1]["code"] == 22402


async def test_money_that_came_and_went_stands_beside_the_profit():
    async with Place() as client:
        profile = client.venue.exchange.accounts[ACCOUNT].profile
        at_us = START_S * 1_000_000
        for sender, receiver, asset, amount in (
            (ACCOUNT, 5, 3, 2_000_000),
            (5, ACCOUNT, 3, 7_000_000),
            (ACCOUNT, ACCOUNT, 3, 99_000_000),
            (5, ACCOUNT, 1, 99_000_000),
        ):
            moved = Transferred(
                at_us, 1, "", sender, receiver, asset, 0, 0, amount, fee=0
            )
            profile.transfers.append(moved)
        profile.withdrawals.append(Withdrawn(at_us, 1, "", ACCOUNT, 3, 0, 500_000))
        query = {"by": "index", "value": ACCOUNT, "resolution": "1d", **ALL_TIME}
        _, body = await client.own("pnl", **query)
        assert (body["pnl"][0]["inflow"], body["pnl"][0]["outflow"]) == (7.0, 2.5)
        _, body = await client.own("pnl", **query, ignore_transfers="true")
        assert body["pnl"][0]["inflow"] == 0


async def test_a_token_that_only_reads_changes_nothing_of_its_owner():
    async with Place() as client:
        client.token = client.venue.read_only_token(ACCOUNT)
        _, body = await client.call(
            "POST", "/api/v1/litLease", headers={"authorization": client.token}
        )
        assert body == {"code": 20013, "message": "invalid auth: this token only reads"}


async def test_an_export_is_an_address_that_holds_the_rows():
    async with Place(funding=False) as client:
        await lived(client)
        _, body = await client.own("export", type="trade")
        with urlopen(body["data_url"]) as file:  # noqa: S310 - it holds its own data
            head, *rows = file.read().decode().splitlines()
        assert head.split(",")[:3] == ["trade_id", "timestamp", "market"]
        assert [row.split(",")[3:6] for row in rows] == [
            ["buy", "taker", "trade"],
            ["sell", "taker", "trade"],
        ]
        for query, count in (
            ({"side": "short"}, 1),
            ({"role": "maker"}, 0),
            ({"trade_type": "liquidation"}, 0),
            ({"market_id": 0}, 2),
        ):
            _, body = await client.own("export", type="trade", **query)
            text = base64.b64decode(body["data_url"].partition(",")[2]).decode()
            assert len(text.splitlines()) == count + 1, query
        _, body = await client.own("export", type="funding")
        assert body["data_url"].startswith("data:text/csv;base64,")
        for query, word in (
            ({"type": "orders"}, "type"),
            ({"type": "trade", "start_timestamp": 1}, "start_timestamp"),
        ):
            _, body = await client.own("export", **query)
            assert body["code"] == 20001
            assert word in body["message"]
        day = {"l1_address": client.venue.accounts[0].l1_address, "date": "2027-01-15"}
        _, body = await client.own("export/historicalTrades", **day)
        text = base64.b64decode(body["data_url"].partition(",")[2]).decode()
        assert len(text.splitlines()) == 3
        _, body = await client.own("export/historicalTrades", **{**day, "date": "x"})
        assert body["code"] == 20001


async def test_blocks_hold_what_was_executed_in_them():
    async with Place() as client:
        await client.send(client.signer.sign(order(1), nonce=1))
        await client.venue.advance(2)
        await client.send(client.signer.sign(CancelAllOrders(), nonce=2))
        await client.venue.advance(2)
        own = await client.own("accountTxs", by="account_index", value=ACCOUNT, limit=9)
        heights = [row["block_height"] for row in own[1]["txs"]]
        assert len(set(heights)) == 2
        for row in own[1]["txs"]:
            named = {"by": "height", "value": row["block_height"]}
            _, body = await client.get("block", **named)
            [block] = body["blocks"]
            assert [tx["hash"] for tx in block["txs"]] == [row["hash"]]
            named["by"] = "block_height"
            _, body = await client.get("blockTxs", **named)
            assert body["txs"] == block["txs"]
        _, only = await client.own(
            "accountTxs", by="account_index", value=ACCOUNT, limit=9, types=16
        )
        assert [row["type"] for row in only["txs"]] == [16]
        height = (await client.get("currentHeight"))[1]["height"]
        _, rising = await client.get("blocks", limit=100)
        _, falling = await client.get("blocks", limit=100, sort="desc")
        assert rising["blocks"] == falling["blocks"][::-1]
        assert [block["height"] for block in rising["blocks"]] == [*range(height + 1)]
        for named, code in (
            ({"by": "height", "value": height + 1}, 21400),
            ({"by": "commitment", "value": "00"}, 21400),
            ({"by": "height", "value": -1}, 21401),
        ):
            assert (await client.get("block", **named))[1]["code"] == code


@pytest.mark.parametrize("kind", ["volume", "taker_fee", "maker_fee", "trade_count"])
async def test_the_exchanges_sums_are_those_of_its_trades(kind):
    async with Place(funding=False) as client:
        await lived(client)
        trades = client.venue.ledger.trades()
        _, body = await client.get("exchangeMetrics", period="h", kind=kind)
        total = sum(row["data"] for row in body["metrics"])
        wanted = {
            "volume": sum(trade.quote for trade in trades) / 1_000_000,
            "taker_fee": sum(trade.taker_fee_amount for trade in trades) / 1_000_000,
            "maker_fee": sum(trade.maker_fee_amount for trade in trades) / 1_000_000,
            "trade_count": len(trades),
        }
        assert total == pytest.approx(wanted[kind])
        assert len(body["metrics"]) == 2, "minutes apart"


async def test_the_exchanges_sums_of_now_and_of_one_market():
    async with Place(funding=False, symbols=("ETH", "BTC")) as client:
        await lived(client)
        for kind, amount in (
            ("account_count", 2),
            ("active_account_count", 1),
            ("open_interest", 0),
        ):
            _, body = await client.get("exchangeMetrics", period="all", kind=kind)
            assert [row["data"] for row in body["metrics"]] == [amount], kind
        for market, count in ((0, 2), (1, 0)):
            _, body = await client.get(
                "exchangeMetrics",
                period="w",
                kind="trade_count",
                filter="byMarket",
                value=market,
            )
            assert sum(row["data"] for row in body["metrics"]) == count
        for kind in ("liquidation_count", "tps"):
            _, body = await client.get("exchangeMetrics", period="h", kind=kind)
            assert body["metrics"] == []


async def test_charts_of_prices_follow_the_market():
    async with Place(funding=False) as client:
        await lived(client)
        client.venue.exchange.apply_flow(
            [Take(0, True, 299_000, 5)], now_us=(START_S + 592) * 1_000_000
        )
        await client.venue.advance(2)
        _, chart = await client.get("marketPriceCharts", market_ids="0")
        [prices] = [row["prices"] for row in chart["price_charts"]]
        assert prices[-1] == "2990.00"
        asked = {"market_id": 0, "resolution": "1m", **ALL_TIME}
        _, marks = await client.get("markPriceCandles", **asked)
        assert marks["c"]
        _, bars = await client.get("candles", **asked)
        _, ends = await client.get("candles", **asked, set_timestamp_to_end="true")
        assert [row["t"] + 59_999 for row in bars["c"]] == [r["t"] for r in ends["c"]]
        assert (await client.get("marketPriceCharts", market_ids="9"))[0] == 400
        _, oracle = await client.get("priceOracleInfo", symbol="eth")
        assert [row["symbol"] for row in oracle["markets"]] == ["ETH"]
        assert (await client.get("priceOracleInfo", symbol="XYZ"))[0] == 400


async def test_announcements_are_listed():
    async with Place() as client:
        client.venue.announce(ACCOUNT, "announcement", {"title": "T", "text": "x"})
        client.venue.announce(ACCOUNT, "liquidation", {})
        _, body = await client.get("announcement")
        assert [(row["title"], row["content"]) for row in body["announcements"]] == [
            ("T", "x")
        ]
