"""The stores at work: pybotters' own client on a real socket of the local exchange."""

from __future__ import annotations

import asyncio
import time

import pybotters
import pytest

from wrappy import LighterDataStore, VenueError
from wrappy.signing import PythonSigner
from wrappy.venue.fault_rules import FaultRule

DEADLINE_S = 10.0
PUBLIC = ("order_book/0", "ticker/0", "trade/0", "market_stats/all")


@pytest.fixture
async def client():
    async with pybotters.Client() as opened:
        yield opened


def token_of(venue, account=0, life_s=600):
    owner = venue.accounts[account]
    signer = PythonSigner(
        owner.api_keys[0].api_key_private_key,
        account_index=owner.account_index,
        api_key_index=owner.api_keys[0].api_key_index,
        chain_id=venue.chain_id,
    )
    return signer.auth_token(deadline_s=int(time.time()) + life_s)


def wish(channel, token=None):
    plain = {"type": "subscribe", "channel": channel}
    return plain if token is None else {**plain, "auth": token}


async def connected(client, venue, store, *wishes):
    # The exchange wants no signed requests; asking pybotters for none also keeps
    # aiohttp from warning of the way it does them.
    socket = client.ws_connect(
        venue.ws_url, send_json=list(wishes), hdlr_json=store.onmessage, auth=None
    )
    return await asyncio.wait_for(socket, DEADLINE_S)


async def levels_by_rest(client, venue):
    url = f"{venue.base_url}/api/v1/orderBookOrders"
    async with client.get(
        url, params={"market_id": "0", "limit": "250"}, auth=None
    ) as answer:
        body = await answer.json()
    found = {}
    for side in ("asks", "bids"):
        for row in body[side]:
            lots = round(float(row["remaining_base_amount"]) * 10_000)
            found[side, row["price"]] = found.get((side, row["price"]), 0) + lots
    return found


def levels_of(store):
    return {
        (side, row["price"]): round(float(row["size"]) * 10_000)
        for side, rows in store.book.sorted({"market_id": 0}).items()
        for row in rows
    }


async def test_public_stores_fill_and_follow_a_living_market(venue, client, eventually):
    gaps = []
    store = LighterDataStore(on_gap=lambda *gap: gaps.append(gap))
    await connected(client, venue, store, *map(wish, PUBLIC))
    await eventually(lambda: all(map(len, public_stores(store))), DEADLINE_S)
    with store.book.watch() as stream:
        changes = [await asyncio.wait_for(stream.get(), DEADLINE_S) for _ in range(200)]
    assert {change.operation for change in changes} == {"insert", "update", "delete"}

    def agrees():
        best = store.book.sorted({"market_id": 0}, limit=1)
        told = store.ticker.get({"market_id": 0})
        return (
            best["asks"][0]["price"] == told["a"]["price"]
            and best["bids"][0]["price"] == told["b"]["price"]
        )

    await eventually(agrees, DEADLINE_S)
    ids = [row["trade_id"] for row in store.trades]
    assert len(ids) == len(set(ids))
    assert (store.unreadable, store.refused, gaps) == (0, 0, [])


def public_stores(store):
    return store.book, store.ticker, store.trades, store.market_stats


@pytest.mark.parametrize("act", ["drop", "reorder"])
async def test_a_missed_change_costs_one_new_subscription(
    quiet_venue, client, dealer, eventually, act
):
    gaps = []
    store = LighterDataStore(on_gap=lambda *gap: gaps.append(gap))
    trader = await dealer(quiet_venue)
    await connected(client, quiet_venue, store, wish("order_book/0"))
    await eventually(store.book.is_valid)
    quiet_venue.faults.add(
        FaultRule(act=act, phase="push", channel="order_book", times=1)
    )
    for step in range(3):
        await trader.create_limit_order(2_900 - step, 0.1)
        await trader.flush()
        # Each its own frame: changes are told together once in 50 ms.
        await asyncio.sleep(0.12)
    await eventually(lambda: gaps and store.book.is_valid(0), DEADLINE_S)
    expected = await levels_by_rest(client, quiet_venue)
    assert ("bids", "2898.00") in expected
    await eventually(lambda: levels_of(store) == expected, DEADLINE_S)
    assert {channel for channel, _ in gaps} == {"order_book/0"}
    assert store.unreadable == 0


@pytest.mark.parametrize("code", [1000, 1006, 1012])
async def test_a_closed_connection_comes_back_with_a_fresh_book(
    venue, client, eventually, code
):
    store = LighterDataStore()
    socket = await connected(
        client, venue, store, wish("order_book/0"), wish("trade/0")
    )
    await eventually(store.book.is_valid, DEADLINE_S)
    first = socket.current_ws
    venue.faults.add(
        FaultRule(act="close", phase="push", channel="order_book", code=code, times=1)
    )
    await eventually(
        lambda: socket.current_ws not in (None, first) and store.book.is_valid(0),
        DEADLINE_S,
    )
    ids = [row["trade_id"] for row in store.trades]
    assert len(ids) == len(set(ids))


async def test_an_account_is_told_of_orders_fills_and_positions(
    quiet_venue, client, dealer, eventually
):
    store = LighterDataStore()
    account = quiet_venue.accounts[0].account_index
    token = token_of(quiet_venue)
    names = ("account_all_orders", "account_all_trades", "account_all_positions")
    await connected(
        client, quiet_venue, store, *(wish(f"{n}/{account}", token) for n in names)
    )
    maker, taker = await dealer(quiet_venue), await dealer(quiet_venue, 1)
    with store.orders.watch() as stream:

        async def told():
            return await asyncio.wait_for(stream.get(), DEADLINE_S)

        placed = await maker.create_limit_order(3_050, 0.2)
        await maker.flush()
        change = await told()
        assert change.operation == "insert"
        assert change.data["client_order_index"] == placed["client_order_index"]
        await taker.create_limit_order(3_050, -0.1)
        await taker.flush()
        assert (await told()).data["filled_base_amount"] == "0.1000"
        await maker.cancel_order_by_coi(placed["client_order_index"])
        await maker.flush()
        change = await told()
    assert (change.operation, change.data["status"]) == ("delete", "canceled")
    assert store.orders.find() == []
    await eventually(lambda: len(store.fills) and len(store.positions), DEADLINE_S)
    (fill,) = store.fills
    assert (fill["size"], fill["account_index"]) == ("0.1000", account)
    held = store.positions.get({"market_id": 0})
    assert (held["sign"], held["position"]) == (1, "0.1000")
    await taker.create_limit_order(3_040, 0.1)
    await maker.create_limit_order(3_040, -0.1)
    await taker.flush()
    await maker.flush()
    await eventually(lambda: not len(store.positions), DEADLINE_S)
    assert len(store.fills) == 2
    assert (store.unreadable, store.refused) == (0, 0)


async def test_stores_are_initialized_from_rest(quiet_venue, client, dealer):
    maker = await dealer(quiet_venue)
    await maker.create_limit_order(2_900, 0.1)
    await maker.create_limit_order(3_200, -0.1)
    await maker.flush()
    account = str(quiet_venue.accounts[0].account_index)
    signed = {"headers": {"authorization": token_of(quiet_venue)}, "auth": None}
    url = f"{quiet_venue.base_url}/api/v1/"
    store = LighterDataStore()
    while len(store.orders) < 2:
        await store.initialize(
            client.get(
                url + "accountActiveOrders",
                params={"account_index": account, "market_id": "0"},
                **signed,
            ),
            client.get(
                url + "account", params={"by": "index", "value": account}, auth=None
            ),
            client.get(
                url + "recentTrades",
                params={"market_id": "0", "limit": "10"},
                auth=None,
            ),
        )
    assert sorted(row["price"] for row in store.orders) == ["2900.00", "3200.00"]
    with pytest.raises(VenueError):
        await store.initialize(
            client.get(
                url + "accountActiveOrders",
                params={"account_index": account, "market_id": "0"},
                headers={"authorization": "nonsense"},
                auth=None,
            )
        )


async def test_a_reconnect_of_pybotters_repeats_the_first_token(
    quiet_venue, client, eventually
):
    """Why private channels are better fed by a `WsInfo`."""
    store = LighterDataStore()
    account = quiet_venue.accounts[0].account_index
    wishes = wish(f"account_all_orders/{account}", token_of(quiet_venue, life_s=3))
    socket = await connected(client, quiet_venue, store, wishes)
    first = socket.current_ws
    # An expired token is refused when the connection, here closed, is made again.
    deadline = time.time() + 3.1
    await eventually(lambda: time.time() > deadline)
    await first.close()
    await eventually(lambda: store.refused, DEADLINE_S)
