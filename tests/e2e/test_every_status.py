"""Every status an order can have, by the smallest flow that gives it, at both doors.

And what else every order shows: its index, its trigger, whom it met.
"""

from __future__ import annotations

import json
from itertools import pairwise
from urllib.parse import urlencode

import pytest

from tests.desk import HOUR_MS, IOC, POST_ONLY, PRICE, at
from tests.doors import DOORS
from wrappy.protocol.intents import (
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
)
from wrappy.venue.events import SetIndexPrice, SetLevel, Take
from wrappy.venue.orders import LIQUIDATION_TRADE


async def pending(desk):
    await desk.long()
    stop = {"kind": 2, "tif": IOC, "reduce_only": True, "trigger_price": PRICE - 9_000}
    await desk.send(desk.wish(1, -500, PRICE - 50_000, **stop))


async def resting(desk):
    await desk.send(desk.wish(1, 500, PRICE - 2_000))


async def filled(desk):
    await desk.send(desk.wish(1, 500, PRICE + 200))


async def canceled(desk):
    await resting(desk)
    await desk.send(CancelOrder(0, 1))


async def canceled_post_only(desk):
    await desk.send(desk.wish(1, 500, PRICE + 200, tif=POST_ONLY))


async def canceled_reduce_only(desk):
    await desk.long()
    await desk.send(desk.wish(1, -500, PRICE + 9_000, reduce_only=True))
    await desk.send(desk.wish(2, -1_000, PRICE - 5_000, kind=1, tif=IOC))


async def canceled_margin_not_allowed(desk):
    desk.quote(PRICE, lots=50_000_000)
    # A limit order of that size would be refused at the door.
    await desk.send(desk.wish(1, 30_000_000, PRICE + 5_000, kind=1, tif=IOC))


async def canceled_too_much_slippage(desk):
    await desk.send(desk.wish(1, 500, PRICE - 5_000, kind=1, tif=IOC))


async def canceled_not_enough_liquidity(desk):
    await desk.send(desk.wish(1, 500, PRICE - 5_000, tif=IOC))


async def canceled_self_trade(desk):
    await desk.send(desk.wish(1, 500, PRICE - 50))
    await desk.send(desk.wish(2, -500, PRICE - 50))
    assert await desk.status(2) in ("open", "filled")


async def canceled_expired(desk):
    await desk.send(desk.wish(1, 500, PRICE - 50, life_ms=301_000))
    await desk.place.wait(302)
    await desk.send(desk.wish(2, -500, PRICE - 50), 1)


async def canceled_oco(desk):
    await desk.long()
    fixed = {"tif": IOC, "reduce_only": True}
    pair = (
        desk.wish(
            1, -500, PRICE - 50_000, kind=2, trigger_price=PRICE - 9_000, **fixed
        ),
        desk.wish(
            2, -500, PRICE - 50_000, kind=4, trigger_price=PRICE + 2_000, **fixed
        ),
    )
    assert await desk.send(CreateGroupedOrders(2, pair)) == 200
    desk.quote(PRICE + 3_000)
    await desk.place.wait(1)
    assert await desk.status(2) == "filled"


async def canceled_child(desk):
    parent = desk.wish(2, 500, PRICE - 2_000)
    child = CreateOrder(
        *(0, 1, 0, PRICE - 50_000, True, 2, IOC),
        reduce_only=True,
        trigger_price=PRICE - 9_000,
        order_expiry=parent.order_expiry,
    )
    assert await desk.send(CreateGroupedOrders(1, (parent, child))) == 200
    assert await desk.status(1) == "pending"
    await desk.send(CancelOrder(0, 2))


async def canceled_liquidation(desk):
    await desk.long(63_000)
    await desk.send(desk.wish(1, 500, PRICE - 150_000))
    desk.quote(PRICE * 94 // 100)
    await desk.place.wait(1)


STATUSES = {
    "pending": pending,
    "open": resting,
    "filled": filled,
    "canceled": canceled,
    "canceled-post-only": canceled_post_only,
    "canceled-reduce-only": canceled_reduce_only,
    "canceled-margin-not-allowed": canceled_margin_not_allowed,
    "canceled-too-much-slippage": canceled_too_much_slippage,
    "canceled-not-enough-liquidity": canceled_not_enough_liquidity,
    "canceled-self-trade": canceled_self_trade,
    "canceled-expired": canceled_expired,
    "canceled-oco": canceled_oco,
    "canceled-child": canceled_child,
    "canceled-liquidation": canceled_liquidation,
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("status", STATUSES)
def test_an_order_gets_the_status_of_its_end(door, status):
    async def flow(desk):
        await STATUSES[status](desk)
        return await desk.order(1)

    order = at(door, flow)
    assert order["status"] == status
    assert order["client_order_index"] == 1


@pytest.mark.parametrize("door", DOORS)
def test_a_spot_order_beyond_the_balance_has_a_status_of_its_own(door):
    async def flow(desk):
        bids = [SetIndexPrice(2_048, PRICE), SetLevel(2_048, False, PRICE, 1_000)]
        more = SetLevel(2_048, False, PRICE - 1, 100)
        exchange = desk.place.engine.exchange
        exchange.apply_flow([*bids, more], now_us=desk.place.now_us)
        # A limit order of that size would be refused at the door.
        wish = CreateOrder(2_048, 1, 1_100, PRICE - 9, True, 1, IOC, order_expiry=0)
        assert await desk.send(wish) == 200
        index = desk.place.engine.accounts[0].account_index
        query = {"account_index": index, "market_id": 2_048, "limit": 5}
        token = desk.place.token()
        return await desk.place.get("accountInactiveOrders", token, **query)

    settings = {"symbols": ("ETH", "ETH/USDC"), "spot_balances": ("ETH=0.1",)}
    [order] = at(door, flow, **settings)["orders"]
    assert order["status"] == "canceled-invalid-balance"
    assert order["filled_base_amount"] == "0.1000"


@pytest.mark.parametrize("door", DOORS)
def test_an_order_beyond_the_open_interest_limit_has_a_status_of_its_own(door):
    async def flow(desk):
        await desk.long(300, coi=1)
        await desk.send(desk.wish(2, 100, PRICE + 200))
        # What closes a position passes, as does what waits for somebody to trade.
        await desk.send(desk.wish(3, -300, PRICE - 200))
        await desk.send(desk.wish(4, 100, PRICE - 2_000))
        return [await desk.order(coi) for coi in (1, 2, 3, 4)]

    # 0.03 ETH at 3000 are worth 90 USDC.
    rows = at(door, flow, open_interest_limit=100_000_000)
    assert [(row["status"], row["filled_base_amount"]) for row in rows] == [
        ("filled", "0.0300"),
        ("canceled-position-not-allowed", "0.0000"),
        ("filled", "0.0300"),
        ("open", "0.0000"),
    ]


@pytest.mark.parametrize("door", DOORS)
def test_the_market_goes_on_at_its_open_interest_limit_and_resting_orders_end(door):
    async def flow(desk):
        await desk.long(300, coi=1)
        await desk.send(desk.wish(2, 100, PRICE - 50))
        await desk.send(desk.wish(3, -100, PRICE + 50))
        exchange = desk.place.engine.exchange
        takes = [Take(0, True, PRICE - 50, 100), Take(0, False, PRICE + 50, 100)]
        takes.append(Take(0, True, PRICE - 100, 5_000))
        exchange.apply_flow(takes, now_us=desk.place.now_us)
        await desk.place.wait(1)
        return [await desk.order(coi) for coi in (2, 3)], exchange.markets[0].trades[-1]

    rows, last = at(door, flow, open_interest_limit=100_000_000)
    assert [(row["status"], row["filled_base_amount"]) for row in rows] == [
        ("canceled-position-not-allowed", "0.0000"),
        ("filled", "0.0100"),
    ]
    assert last.base == 5_000


@pytest.mark.parametrize("door", DOORS)
def test_a_market_tells_its_open_interest_limit(door):
    async def flow(desk):
        stream, _ = await desk.place.open_stream()
        await stream.send(b'{"type":"subscribe","channel":"market_stats/0"}')
        return json.loads(await stream.receive(5.0))["market_stats"]

    stats = at(door, flow, open_interest_limit=100_000_000)
    assert stats["open_interest_limit"] == "100.000000"
    assert at(door, flow)["open_interest_limit"] == "72057594037927936.000000"


@pytest.mark.parametrize("door", DOORS)
def test_what_was_netted_against_an_own_order_does_not_come_back_with_a_change(door):
    async def flow(desk):
        desk.quote(PRICE, lots=0)
        await desk.send(desk.wish(1, 1_000, PRICE))
        await desk.send(desk.wish(2, -600, PRICE), extra={"6": 3})
        await desk.send(ModifyOrder(0, 1, 1_000, PRICE - 100))
        same = await desk.order(1)
        await desk.send(ModifyOrder(0, 1, 1_200, PRICE - 100))
        more = await desk.order(1)
        await desk.send(ModifyOrder(0, 1, 600, PRICE - 100))
        return [same, more, await desk.order(1)]

    rows = at(door, flow)
    told = [(row["status"], row["remaining_base_amount"]) for row in rows]
    assert told == [("open", "0.0400"), ("open", "0.0600"), ("canceled", "0.0000")]


@pytest.mark.parametrize("door", DOORS)
def test_a_change_brings_its_own_way_of_meeting_oneself(door):
    async def flow(desk):
        desk.quote(PRICE, lots=0)
        await desk.send(desk.wish(1, -600, PRICE + 500))
        await desk.send(desk.wish(2, 1_000, PRICE), extra={"6": 1})
        change = ModifyOrder(0, 2, 1_000, PRICE + 500)
        await desk.send(change, extra={"6": 3})
        assert not desk.place.engine.ledger.trades()
        return [await desk.order(coi) for coi in (1, 2)]

    rows = at(door, flow)
    told = [(row["status"], row["remaining_base_amount"]) for row in rows]
    assert told == [("canceled-self-trade", "0.0000"), ("open", "0.0400")]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("counts", "versions", "sizes"),
    [
        ("counts", [0, 1, 1, 2, 3], ["0.0500", "0.0600", "0.0600", "0.0800", "0.0900"]),
        ("zero", [0] * 5, ["0.0500", "0.0600", "0.0700", "0.0800", "0.0900"]),
    ],
)
def test_a_change_meant_for_another_version_changes_nothing(
    door, counts, versions, sizes
):
    async def flow(desk):
        await desk.send(desk.wish(1, 500, PRICE - 2_000))
        rows = [await desk.order(1)]
        guards = (None, {"8": 7}, {"8": 1}, {"8": 0})
        for number, guard in enumerate(guards):
            change = ModifyOrder(0, 1, 600 + 100 * number, PRICE - 2_000)
            assert await desk.send(change, extra=guard) == 200
            rows.append(await desk.order(1))
        return rows

    rows = at(door, flow, order_version=counts)
    assert [row["order_version"] for row in rows] == versions
    assert [row["initial_base_amount"] for row in rows] == sizes


@pytest.mark.parametrize("door", DOORS)
def test_an_order_on_its_way_has_no_status_yet(door):
    async def flow(desk):
        signer = desk.place.signer()
        signed = signer.sign(desk.wish(1, 500, PRICE + 200, tif=IOC), nonce=1)
        form = {"tx_type": int(signed.tx_type), "tx_info": signed.tx_info}
        assert (await desk.place.post("sendTx", urlencode(form)))["code"] == 200
        query = {"account_index": signer.account_index, "market_id": 0}
        token = desk.place.token()
        live = await desk.place.get("accountActiveOrders", token, **query)
        assert live["orders"] == []
        tx = await desk.place.get("tx", by="hash", value=signed.tx_hash)
        assert tx["status"] == 1  # in the queue
        await desk.place.wait(1)
        return await desk.status(1)

    assert at(door, flow) == "filled"


@pytest.mark.parametrize("door", DOORS)
def test_asks_count_up_and_bids_count_down(door):
    async def flow(desk):
        for coi in range(1, 4):
            await desk.send(desk.wish(coi, 500, PRICE - 9_000))
            await desk.send(desk.wish(10 + coi, -500, PRICE + 9_000))
        bids = [(await desk.order(coi))["order_index"] for coi in range(1, 4)]
        asks = [(await desk.order(10 + coi))["order_index"] for coi in range(1, 4)]
        return bids, asks

    bids, asks = at(door, flow)
    assert [index >> 48 for index in (*bids, *asks)] == [1] * 6
    assert asks == [asks[0], asks[0] + 1, asks[0] + 2]
    assert bids == [bids[0], bids[0] - 1, bids[0] - 2]
    assert asks[0] & (1 << 47) == 0
    assert bids[0] & (1 << 47)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        (0, ("canceled-self-trade", "0.1000"), ("open", "0.0600")),
        (1, ("open", "0.1000"), ("canceled-self-trade", "0.0600")),
        (2, ("canceled-self-trade", "0.1000"), ("canceled-self-trade", "0.0600")),
        (3, ("open", "0.0400"), ("canceled-self-trade", "0.0000")),
    ],
)
def test_who_meets_himself_does_as_he_said(door, mode, maker, taker):
    async def flow(desk):
        desk.quote(PRICE, lots=0)
        await desk.send(desk.wish(1, 1_000, PRICE))
        await desk.send(desk.wish(2, -600, PRICE), extra={"6": mode} if mode else None)
        assert not desk.place.engine.ledger.trades()
        return [await desk.order(coi) for coi in (1, 2)]

    rows = at(door, flow)
    told = [(row["status"], row["remaining_base_amount"]) for row in rows]
    assert told == [maker, taker]


@pytest.mark.parametrize("door", DOORS)
def test_price_bands_hold_for_limit_orders_and_the_flag_is_read(door):
    async def flow(desk):
        codes = [
            await desk.send(desk.wish(1, 500, PRICE * 107 // 100)),
            await desk.send(desk.wish(2, -500, PRICE * 93 // 100)),
            await desk.send(desk.wish(3, 500, PRICE * 103 // 100)),
        ]
        signer = desk.place.signer()
        for flag in ("true", "false", "perhaps"):
            nonce = desk.place.engine.exchange.accounts[signer.account_index]
            nonce = nonce.api_keys[signer.api_key_index].nonce
            signed = signer.sign(desk.wish(10, 500, PRICE - 9_000), nonce=nonce)
            form = {"tx_type": int(signed.tx_type), "tx_info": signed.tx_info}
            form["price_protection"] = flag
            answer = await desk.place.post("sendTx", urlencode(form))
            codes.append(answer["code"])
            await desk.send(CancelOrder(0, 10))
        return codes

    expected = [21733, 21733, 200, 200, 200, 20001]
    assert at(door, flow, price_bands="limit") == expected


@pytest.mark.parametrize("door", DOORS)
def test_a_sliced_order_trades_every_thirty_seconds(door):
    async def flow(desk):
        wish = desk.wish(1, 1_000, PRICE + 5_000, kind=6, life_ms=301_000)
        assert await desk.send(wish) == 200
        first = await desk.order(1)
        await desk.place.wait(310)
        return first, await desk.order(1), desk.place.engine.ledger.trades()

    first, last, trades = at(door, flow)
    assert (first["status"], first["trigger_status"]) == ("pending", "twap")
    assert (last["status"], last["filled_base_amount"]) == ("filled", "0.1000")
    times = [trade.at_us for trade in trades]
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert gaps == {30_000_000}
    assert len(trades) >= 10


@pytest.mark.parametrize("door", DOORS)
def test_a_bracket_waits_for_its_parent_and_ends_with_one_leg(door):
    async def flow(desk):
        expiry = desk.place.now_ms() + HOUR_MS
        legs = [
            CreateOrder(
                *(0, coi, 0, PRICE - 50_000, True, kind, IOC),
                reduce_only=True,
                trigger_price=trigger,
                order_expiry=expiry,
            )
            for coi, kind, trigger in ((2, 2, PRICE - 3_000), (3, 4, PRICE + 3_000))
        ]
        parent = desk.wish(1, 500, PRICE - 100)
        group = CreateGroupedOrders(3, (parent, *legs))
        assert await desk.send(group) == 200
        waiting = [await desk.order(coi) for coi in (2, 3)]
        desk.quote(PRICE - 300, gap=150)
        await desk.place.wait(1)
        armed = [await desk.order(coi) for coi in (1, 2, 3)]
        desk.quote(PRICE - 4_000)
        await desk.place.wait(1)
        return waiting, armed, [await desk.status(coi) for coi in (1, 2, 3)]

    waiting, armed, ends = at(door, flow)
    assert [row["trigger_status"] for row in waiting] == ["parent-order"] * 2
    assert [row["status"] for row in armed] == ["filled", "pending", "pending"]
    assert [row["trigger_status"] for row in armed[1:]] == ["mark-price"] * 2
    assert [row["initial_base_amount"] for row in armed[1:]] == ["0.0500"] * 2
    assert ends == ["filled", "filled", "canceled-oco"]


@pytest.mark.parametrize("door", DOORS)
def test_forced_trades_are_counted_in_the_figures_of_the_exchange(door):
    async def flow(desk):
        await desk.long(63_000)
        desk.quote(PRICE * 958 // 1_000)
        await desk.place.wait(1)
        found = {}
        for kind in ("count", "volume", "fee"):
            query = {"period": "d", "kind": f"liquidation_{kind}"}
            told = await desk.place.get("exchangeMetrics", **query)
            found[kind] = sum(row["data"] for row in told["metrics"])
        elsewhere = {"filter": "byMarket", "value": 1, "kind": "liquidation_count"}
        told = await desk.place.get("exchangeMetrics", period="d", **elsewhere)
        trades = [
            trade
            for trade in desk.place.engine.ledger.trades()
            if trade.kind == LIQUIDATION_TRADE
        ]
        return found, told["metrics"], trades

    found, elsewhere, trades = at(door, flow, symbols=("ETH", "BTC"))
    assert trades
    assert elsewhere == []
    assert found["count"] == len(trades)
    assert found["volume"] == sum(trade.quote for trade in trades) / 1_000_000
    assert 0 < found["fee"] <= found["volume"] / 100
