"""Accounts worth too little: orders end, positions close, the fund takes the rest."""

from __future__ import annotations

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import INSURANCE_FUND, Account, ApiKey, open_accounts
from wrappy.venue.events import (
    Announced,
    Liquidated,
    OrderChanged,
    SetIndexPrice,
    SetLevel,
    TradeExecuted,
)
from wrappy.venue.exchange import Exchange
from wrappy.venue.margin import health_of
from wrappy.venue.money_queries import render_liquidation
from wrappy.venue.render import render_trade
from wrappy.venue.settings import VenueSettings

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
BTC = Market("BTC", 1, 1, 5, 10, 10_000_000)
START_US = 1_800_000_000_000_000
ALICE = 100
PRICE = 300_000


class Desk:
    """One user at two markets that trade where they are told to."""

    def __init__(self, collateral=200_000_000, **chosen):
        settings = VenueSettings(tier="standard", price_bands="off", **chosen)
        self.accounts = open_accounts(settings, ())
        self.accounts[ALICE] = self.alice = Account(
            index=ALICE,
            l1_address="0x0",
            tier=TIERS["standard"],
            api_keys={4: ApiKey(4, "", 1)},
            ledger=AccountLedger(collateral=collateral),
        )
        self.ledger = self.alice.ledger
        self.fund = self.accounts[INSURANCE_FUND].ledger
        self.now_us = START_US
        self.events = []
        self.exchange = Exchange(settings, (ETH, BTC), self.accounts, now_us=START_US)
        for market in (0, 1):
            self.mark(PRICE, market)

    def mark(self, price, market=0, bid=1_000_000, ask=1_000_000):
        state = self.exchange.markets[market]
        gone = [SetLevel(market, *level, 0) for level in state.flow_levels]
        new = [SetLevel(market, False, price - 1, bid)] if bid else []
        new += [SetLevel(market, True, price + 1, ask)] if ask else []
        # Old and new price never stand side by side: nothing is judged in between.
        actions = [*gone, SetIndexPrice(market, price), *new]
        self.exchange.apply_flow(actions, now_us=self.now_us)
        self.events += self.exchange.advance(self.now_us)

    def drop(self, price, market=0, **sizes):
        """Let the last trade follow the index, so that the mark does at once."""
        self.exchange.markets[market].last_trade_price = price
        self.mark(price, market, **sizes)

    def send(self, tx_type, **fields):
        key = self.alice.api_keys[4]
        info = {
            "AccountIndex": ALICE,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": key.nonce,
            "Sig": "",
            "L2TxAttributes": None,
            **fields,
        }
        self.exchange.submit(tx_type, info, f"{key.nonce:080x}", now_us=self.now_us)
        self.now_us += 1_000_000
        self.events += self.exchange.advance(self.now_us)

    def order(self, lots, price, market=0, **fields):
        expiry = self.now_us // 1_000 + 86_400_000
        body = {
            "MarketIndex": market,
            "ClientOrderIndex": 0,
            "BaseAmount": abs(lots),
            "Price": price,
            "IsAsk": int(lots < 0),
            "Type": 0,
            "TimeInForce": 1,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": expiry,
        }
        self.send(14, **{**body, **fields})

    def trade(self, lots, market=0):
        price = PRICE + (10 if lots > 0 else -10)
        self.order(lots, price, market, TimeInForce=0, OrderExpiry=0)
        assert self.ledger.size(market)

    def isolate(self, market=0):
        self.send(20, MarketIndex=market, InitialMarginFraction=500, MarginMode=1)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    def health(self, part=None):
        return health_of(self.alice, self.exchange.markets, part)

    def statuses(self):
        return {o.order.order_index: o.order.status for o in self.of(OrderChanged)}


@pytest.fixture
def desk():
    return Desk()


# 1 ETH bought at 3000 with 200 USDC: maintenance 1.2 %, close-out 0.8 %. At 2831 it
# has 31 and needs 34, at 2820 it has 20 and needs 23 not to be taken over.
PARTIAL_PRICE, FULL_PRICE = 283_100, 282_000


def test_above_maintenance_nothing_happens(desk):
    desk.trade(10_000)
    desk.order(1_000, PRICE - 50_000)
    desk.drop(283_800)
    assert not desk.health().is_partial
    assert desk.of(Liquidated) == []
    assert len(desk.alice.open_orders) == 1


def test_below_maintenance_orders_end_and_the_position_is_sold(desk):
    desk.trade(10_000)
    desk.order(1_000, PRICE - 50_000)
    desk.order(-100, PRICE + 50_000, ReduceOnly=1)
    desk.drop(PARTIAL_PRICE)
    assert list(desk.statuses().values())[1:] == [
        "canceled-liquidation",
        "canceled-liquidation",
        "filled",
    ]
    assert desk.ledger.size(0) == 0
    [event] = desk.of(Liquidated)
    assert (event.kind, event.base, event.is_ask) == ("partial", 10_000, True)
    assert not desk.alice.open_orders


def test_a_gain_over_the_zero_price_costs_one_percent_at_most(desk):
    desk.trade(10_000)
    desk.drop(PARTIAL_PRICE)
    [event] = desk.of(Liquidated)
    bid = PARTIAL_PRICE - 1
    assert event.quote == 10_000 * bid
    gain = (bid - event.price) * 10_000
    assert event.fee == min(gain, event.quote // 100)
    assert desk.fund.collateral == event.fee > 0
    assert desk.ledger.collateral >= 0
    trade = desk.of(TradeExecuted)[-1].trade
    row = render_trade(trade, ETH)
    assert row["type"] == "liquidation"
    assert row["taker_fee"] == event.fee * 1_000_000 // event.quote


def test_a_short_is_bought_back():
    desk = Desk()
    desk.trade(-10_000)
    desk.drop(316_800)
    [event] = desk.of(Liquidated)
    assert (event.kind, event.is_ask) == ("partial", False)
    assert desk.ledger.size(0) == 0


def test_a_close_that_restores_health_is_the_last_one(desk):
    desk.trade(9_000)
    desk.trade(4_000, market=1)
    desk.drop(282_500)
    # The larger requirement goes first, and the other position then stands.
    assert [event.market_index for event in desk.of(Liquidated)] == [0]
    assert desk.ledger.size(1) == 4_000
    assert not desk.health().is_partial


def test_nothing_is_sold_below_the_zero_price(desk):
    desk.trade(10_000)
    desk.order(100, PRICE - 100_000)
    desk.drop(PARTIAL_PRICE, bid=0)
    assert desk.health().is_partial
    assert desk.of(Liquidated) == []
    assert list(desk.statuses().values())[-1] == "canceled-liquidation"
    assert desk.ledger.size(0) == 10_000


def test_a_thin_book_closes_a_part(desk):
    desk.trade(10_000)
    desk.drop(PARTIAL_PRICE, bid=2_000)
    [event] = desk.of(Liquidated)
    assert event.base == 2_000
    assert desk.ledger.size(0) == 8_000
    words = list(desk.statuses().values())
    assert words[-1] == "canceled-not-enough-liquidity"


def test_below_close_out_the_fund_takes_over_everything(desk):
    desk.trade(10_000)
    desk.order(1_000, PRICE - 50_000)
    last = desk.exchange.markets[0].day.count
    desk.drop(FULL_PRICE)
    [event] = desk.of(Liquidated)
    assert (event.kind, event.fee) == ("deleverage", 0)
    assert (desk.ledger.size(0), desk.ledger.collateral) == (0, 0)
    assert desk.fund.size(0) == 10_000
    assert not desk.alice.open_orders
    trade = desk.of(TradeExecuted)[-1].trade
    assert (trade.kind, trade.bid_account) == ("deleverage", INSURANCE_FUND)
    state = desk.exchange.markets[0]
    assert state.last_trade_price == FULL_PRICE, "it happened outside the market"
    assert state.day.count == last
    lot_value = desk.exchange.lot_values[0]
    assert desk.fund.equity({0: lot_value, 1: 0}) == 200_000_000 - 180_010_000


def test_the_fund_pays_for_an_account_worth_less_than_nothing(desk):
    desk.trade(10_000)
    desk.drop(270_000)
    assert (desk.ledger.size(0), desk.ledger.collateral) == (0, 0)
    assert desk.fund.equity({0: desk.exchange.lot_values[0], 1: 0}) < 0


def test_an_isolated_position_falls_alone(desk):
    desk.isolate(0)
    desk.trade(6_000)
    desk.trade(2_000, market=1)
    desk.order(100, PRICE - 50_000, market=1)
    kept = desk.ledger.cross_part().collateral
    desk.drop(288_000)
    [event] = desk.of(Liquidated)
    assert (event.market_index, event.kind) == (0, "partial")
    assert desk.ledger.size(1) == 2_000
    assert len(desk.alice.open_orders) == 1
    assert desk.ledger.cross_part().collateral >= kept


def test_an_isolated_position_taken_over_leaves_the_rest_untouched(desk):
    desk.isolate(0)
    desk.trade(6_000)
    desk.trade(2_000, market=1)
    kept = desk.ledger.cross_part().collateral
    desk.drop(250_000)
    [event] = desk.of(Liquidated)
    assert event.kind == "deleverage"
    assert desk.ledger.cross_part().collateral == kept
    assert desk.ledger.allocated == {0: 0}
    assert desk.ledger.size(1) == 2_000


def test_a_liquidation_is_announced_and_kept(desk):
    desk.trade(10_000)
    desk.drop(PARTIAL_PRICE)
    [notice] = desk.of(Announced)
    assert (notice.kind, notice.account) == ("liquidation", ALICE)
    assert notice.content["size"] == "1.0000"
    assert notice.content["avg_price"] == "2830.99"
    [record] = desk.alice.liquidations
    row = render_liquidation(record, desk.exchange.markets)
    assert (row["type"], row["market_id"]) == ("partial", 0)
    assert row["trade"]["price"] == "2830.99"
    before = row["info"]["risk_info_before"]["cross_risk_parameters"]
    after = row["info"]["risk_info_after"]["cross_risk_parameters"]
    assert float(before["total_account_value"]) < float(
        before["maintenance_margin_req"]
    )
    assert after["maintenance_margin_req"] == "0.000000"
    assert row["info"]["positions"][0]["position"] == "1.0000"
    assert row["info"]["mark_prices"]["0"] == 2831.0


def test_a_takeover_is_announced_as_a_deleverage(desk):
    desk.isolate(0)
    desk.trade(10_000)
    desk.drop(FULL_PRICE)
    [notice] = desk.of(Announced)
    assert notice.kind == "deleverage"
    assert set(notice.content) >= {"settlement_price", "usdc_amount", "size"}
    [record] = desk.alice.liquidations
    info = render_liquidation(record, desk.exchange.markets)["info"]
    [risk] = info["risk_info_before"]["isolated_risk_parameters"]
    assert risk["market_id"] == 0


def test_waiting_stops_end_with_the_orders(desk):
    desk.trade(10_000)
    child = {"Type": 2, "TriggerPrice": 260_000, "TimeInForce": 0}
    desk.order(-10_000, 250_000, ReduceOnly=1, **child)
    desk.drop(PARTIAL_PRICE)
    words = set(desk.statuses().values())
    assert words == {"filled", "canceled-liquidation"}


def test_it_can_be_turned_off():
    desk = Desk(liquidation=False)
    desk.trade(10_000)
    desk.drop(FULL_PRICE)
    assert desk.health().is_full
    assert desk.of(Liquidated) == []
    assert desk.ledger.size(0) == 10_000
