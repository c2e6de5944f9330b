"""The first steps of every user, judged by the exchange's own record."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from wrappy import (
    InvalidOrderError,
    LighterDealer,
    UnknownMarketError,
    UsageError,
)
from wrappy.lighter.config import ApiKeyConfig
from wrappy.model import OrderStatus

FAR_BELOW, FAR_ABOVE = Decimal("0.97"), Decimal("1.03")


@pytest.fixture
async def desk(venue, dealer, ws):
    """A dealer whose orders are fed by an overlay on the same account."""
    trader, overlay = await dealer(venue), await ws(venue)
    overlay.on_orders = trader.feed_ws_orders
    return trader, overlay, overlay.book().mid_price


def placed_by(venue):
    return {o.client_order_index: o for o in venue.ledger.orders()}


async def test_an_order_is_placed_changed_and_canceled(desk, venue, eventually):
    dealer, ws, mid = desk
    answer = await dealer.create_limit_order(mid * FAR_BELOW, 0.05)
    coi = answer["client_order_index"]
    assert (answer["status"], answer["side"]) == ("queued", "buy")
    assert answer["size"] == Decimal("0.05")
    assert not venue.ledger.accepted()

    flushed = await dealer.flush()
    assert flushed["code"] == 200
    assert flushed["client_order_indices"] == [coi]
    order = await ws.wait_order_by_coi(coi, timeout=5.0)
    assert order["status"] == "open"
    assert Decimal(order["price"]) == answer["price"]

    changed = await dealer.update_order_by_coi(coi, quantity=0.08)
    assert changed["price"] == answer["price"]
    assert changed["size"] == Decimal("0.08")
    await dealer.flush()
    await eventually(lambda: placed_by(venue)[coi].initial_base == 800)
    assert placed_by(venue)[coi].price == dealer.market.price_scale * answer["price"]

    await dealer.cancel_order_by_coi(coi)
    await dealer.flush()
    await eventually(lambda: placed_by(venue)[coi].status == "canceled")
    await eventually(lambda: dealer.orders.get(coi).status is OrderStatus.CANCELED)
    assert (await ws.get_order_by_coi(coi))["status"] == "canceled"
    assert not venue.ledger.refused()


async def test_an_update_with_only_a_price_keeps_the_size(desk, venue, eventually):
    dealer, _, mid = desk
    answer = await dealer.create_limit_order(mid * FAR_ABOVE, -0.05)
    coi = answer["client_order_index"]
    await dealer.flush()
    changed = await dealer.update_order_by_coi(coi, price=answer["price"] + 3)
    again = await dealer.update_order_by_coi(coi, quantity=0.06)
    assert changed["size"] == Decimal("0.05")
    assert again["price"] == answer["price"] + 3, "what is queued counts"
    await dealer.flush()
    await eventually(lambda: placed_by(venue)[coi].initial_base == 600)
    assert Decimal(placed_by(venue)[coi].price) == (answer["price"] + 3) * 100


async def test_a_batch_cancels_and_creates_in_one_request(desk, venue, eventually):
    dealer, ws, mid = desk
    first = await dealer.create_limit_order(mid * FAR_BELOW, 0.05)
    await dealer.flush()
    answer = await dealer.batch_cancel_and_create(
        cancel_client_order_indices=[first["client_order_index"]],
        new_limit_orders=[(mid * FAR_BELOW, 0.05), (mid * FAR_ABOVE, -0.05)],
        post_only=True,
    )
    assert answer["batches"] == 1
    assert answer["count"] == 3
    assert answer["canceled"] == [first["client_order_index"]]
    for coi in answer["created"]:
        assert (await ws.wait_order_by_coi(coi, timeout=5.0))["status"] == "open"
    orders = placed_by(venue)
    await eventually(
        lambda: placed_by(venue)[first["client_order_index"]].status == "canceled"
    )
    assert [orders[coi].is_ask for coi in answer["created"]] == [False, True]
    assert [a.tx_type for a in venue.ledger.accepted()] == [14, 15, 14, 14]


async def test_a_market_order_fills_and_the_position_follows(desk, venue, eventually):
    dealer, ws, mid = desk
    fills = []
    ws.on_trades = fills.extend
    answer = await dealer.create_market_order(0.1)
    assert answer["status"] == "sent"
    assert len(answer["tx_hash"]) == 80
    coi = answer["client_order_index"]
    order = await ws.wait_order_by_coi(coi, timeout=5.0)
    await eventually(lambda: dealer.orders.get(coi).status is OrderStatus.FILLED)
    assert order["status"] == "filled"
    account = venue.accounts[0].account_index
    trades = venue.ledger.trades(account)
    await eventually(lambda: len(fills) == len(trades))
    assert {row["trade_id"] for row in fills} == {t.trade_id for t in trades}
    assert sum(t.base for t in trades) == 1000
    assert all(t.bid_client_order_index == coi for t in trades)

    assert await dealer.fetch_my_position() == Decimal("0.1")
    assert await dealer.fetch_my_position("BTC") == 0
    await eventually(lambda: "ETH" in ws.positions)
    assert ws.positions["ETH"].size == Decimal("0.1")
    balance = await dealer.fetch_my_balance()
    paid = Decimal(sum(t.taker_fee_amount for t in trades)).scaleb(-6)
    assert balance["collateral"] == 100_000 - paid
    assert 0 < balance["available_balance"] < balance["collateral"]
    assert ws.get_ltp() is not None

    closing = await dealer.create_market_order(
        -0.1, mid * Decimal("0.96"), reduce_only=True
    )
    await ws.wait_order_by_coi(closing["client_order_index"], timeout=5.0)
    await eventually(lambda: not ws.positions)
    assert await dealer.fetch_my_position() == 0


async def test_the_last_price_is_the_exchanges_newest_trade(venue, ws, eventually):
    overlay = await ws(venue)
    seen = []
    overlay.on_public_trades = seen.extend
    await eventually(lambda: len(seen) >= 3, 20.0)
    newest = overlay.get_recent_trades(1, public=True)[0]
    assert overlay.get_ltp() == Decimal(newest["price"])
    numbers = [row["trade_id"] for row in seen]
    assert numbers == sorted(set(numbers))
    assert overlay.get_recent_trades(0, public=True) == []


async def test_the_book_is_the_exchanges_own_at_a_quiet_moment(
    quiet_venue, dealer, ws, eventually
):
    trader, overlay = await dealer(quiet_venue), await ws(quiet_venue)
    assert overlay.book().mid_price is None
    prices = [(1900 + i, 0.05 + i / 100) for i in range(4)]
    prices += [(2100 + i, -0.05 - i / 100) for i in range(4)]
    await trader.batch_cancel_and_create((), prices)
    engine = quiet_venue.exchange.markets[trader.market.market_id].engine
    await eventually(lambda: len(overlay.book("ETH").depth(10)[1]) == 4)
    bids, asks = overlay.book().depth(10)

    def wire(levels):
        return [(int(x.price * 100), int(x.size * 10_000)) for x in levels]

    assert (wire(bids), wire(asks)) == engine.depth(10)
    assert overlay.book().best_bid.price == 1903
    assert overlay.book().best_ask.price == 2100
    assert overlay.book().mid_price == Decimal("2001.5")
    assert 1903 < overlay.book().micro_price < 2100


async def test_open_orders_are_read_and_feed_the_order_table(venue, dealer, config_for):
    first, second = await dealer(venue), await dealer(venue)
    answer = await first.create_limit_order(1900, 0.05)
    await first.flush()
    rows = await second.fetch_open_orders()
    assert [r["client_order_index"] for r in rows] == [answer["client_order_index"]]
    known = second.orders.get(answer["client_order_index"])
    assert known.status is OrderStatus.OPEN
    assert await second.fetch_open_orders(market_index=1) == []
    # An order placed elsewhere may be changed once it has been read.
    changed = await second.update_order_by_coi(
        answer["client_order_index"], price=answer["price"] - 1
    )
    assert changed["size"] == Decimal("0.05")


async def test_changing_an_order_that_nobody_knows_says_so(venue, dealer):
    trader = await dealer(venue)
    answer = await trader.update_order_by_coi(4711, price=2000)
    assert answer["error"] == "order_not_found_by_coi"
    assert (await trader.flush())["count"] == 0


async def test_an_unknown_order_is_looked_up_once_before_it_is_changed(venue, dealer):
    first, second = await dealer(venue), await dealer(venue)
    answer = await first.create_limit_order(1900, 0.05)
    await first.flush()
    changed = await second.update_order_by_coi(
        answer["client_order_index"], quantity=0.06
    )
    assert changed["price"] == 1900
    assert changed["status"] == "queued"


async def test_orders_by_the_exchanges_own_index_are_deprecated(
    venue, dealer, ws, eventually
):
    trader, overlay = await dealer(venue), await ws(venue)
    answer = await trader.create_limit_order(1900, 0.05)
    coi = answer["client_order_index"]
    await trader.flush()
    index = (await overlay.wait_order_by_coi(coi, timeout=5.0))["order_index"]
    with pytest.warns(DeprecationWarning, match="use update_order_by_coi"):
        await trader.update_order(index, 1901, 0.07)
    await trader.flush()
    await eventually(lambda: placed_by(venue)[coi].initial_base == 700)
    with pytest.warns(DeprecationWarning, match="use cancel_order_by_coi"):
        await trader.cancel_order(index)
    await trader.flush()
    await eventually(lambda: placed_by(venue)[coi].status == "canceled")


async def test_a_trigger_price_is_signed_with_the_change(venue, dealer, relay_to):
    relay = await relay_to(venue)
    trader = await dealer(relay)
    await trader.update_order_by_coi(77, price=1900, quantity=0.05, trigger_price=1899)
    # Nobody knows the order, so nothing changes; the field has arrived.
    await trader.flush()
    sent = [form for path, form in relay.requests if path == "/api/v1/sendTx"]
    assert [json.loads(f["tx_info"])["TriggerPrice"] for f in sent] == [189_900]


async def test_a_closed_dealer_refuses_every_call(venue, config_for, dealer):
    trader = await dealer(venue)
    await trader.create_limit_order(1900, 0.05)
    await trader.aclose()
    await trader.aclose()
    with pytest.raises(UsageError, match="closed"):
        await trader.flush()
    with pytest.raises(UsageError, match="closed"):
        await trader.create_limit_order(1900, 0.05)
    with pytest.raises(UsageError, match="closed"):
        async with trader:
            pass
    assert not venue.ledger.accepted()


async def test_an_overlay_knows_one_market_only(venue, ws):
    overlay = await ws(venue)
    with pytest.raises(UsageError, match="this overlay streams ETH, not BTC"):
        overlay.book("BTC")
    with pytest.raises(UnknownMarketError):
        await ws(venue, symbol="NOSUCH")
    with pytest.raises(InvalidOrderError, match="client_order_index"):
        await overlay.get_order_by_coi(0)


async def test_a_dealer_on_the_second_key_trades_as_well(venue, dealer, config_for):
    key = venue.accounts[0].api_keys[1]
    keys = (ApiKeyConfig(key.api_key_index, key.api_key_private_key),)
    trader = await dealer(venue, api_keys=keys)
    await trader.create_limit_order(1900, 0.05)
    await trader.flush()
    assert [tx.api_key_index for tx in venue.ledger.accepted()] == [key.api_key_index]


async def test_from_config_reads_a_private_file(venue, tmp_path, config_for):
    config = config_for(venue)
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps(
            {
                "Lighter": {
                    "base_url": config.base_url,
                    "account_index": config.account_index,
                    "api_keys": [
                        {
                            "api_key_index": key.api_key_index,
                            "api_key_private_key": key.api_key_private_key,
                        }
                        for key in config.api_keys
                    ],
                    "standard_account": False,
                    "state_dir": config.state_dir,
                }
            }
        )
    )
    file.chmod(0o600)
    async with await LighterDealer.from_config(file, symbol="BTC") as trader:
        assert trader.market.symbol == "BTC"
        await trader.create_limit_order(55_000, 0.01)
        await asyncio.wait_for(trader.flush(), 5.0)
        assert trader.requests_used >= 3
    assert len(venue.ledger.accepted()) == 1
