"""Isolated positions: margin set aside, moved, shown, and given back."""

from __future__ import annotations

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import Account, ApiKey, open_accounts
from wrappy.venue.events import PositionChanged, SetIndexPrice, SetLevel, TxExecuted
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.settings import VenueSettings
from wrappy.venue.statements import Statement

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
BTC = Market("BTC", 1, 1, 5, 10, 10_000_000)
START_US = 1_800_000_000_000_000
ALICE = 100
CROSS, ISOLATED = 0, 1
OUT, IN = 0, 1
PRICE = 300_000


class Desk:
    """One user at two markets in which anything trades at the index price."""

    def __init__(self, collateral=100_000_000):
        settings = VenueSettings(tier="standard")
        accounts = open_accounts(settings, ())
        accounts[ALICE] = self.alice = Account(
            index=ALICE,
            l1_address="0x0",
            tier=TIERS["standard"],
            api_keys={4: ApiKey(4, "", 1)},
            ledger=AccountLedger(collateral=collateral),
        )
        self.ledger = self.alice.ledger
        self.now_us = START_US
        self.events = []
        self.exchange = Exchange(settings, (ETH, BTC), accounts, now_us=START_US)
        for market in (0, 1):
            self.mark(PRICE, market)

    def mark(self, price, market=0):
        levels = [
            SetLevel(market, False, price, 1_000_000),
            SetLevel(market, True, price + 1, 1_000_000),
        ]
        state = self.exchange.markets[market]
        gone = [
            SetLevel(market, is_ask, level, 0) for is_ask, level in state.flow_levels
        ]
        actions = [*gone, SetIndexPrice(market, price), *levels]
        self.exchange.apply_flow(actions, now_us=self.now_us)
        assert abs(state.mark_price - price) <= 1

    def send(self, tx_type, *, run=True, **fields):
        nonce = self.alice.api_keys[4].nonce
        info = {
            "AccountIndex": ALICE,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": nonce,
            "Sig": "",
            "L2TxAttributes": None,
            **fields,
        }
        self.exchange.submit(tx_type, info, f"{nonce:080x}", now_us=self.now_us)
        if run:
            self.now_us += 1_000_000
            self.events += self.exchange.advance(self.now_us)

    def trade(self, lots, market=0, **fields):
        price = self.exchange.markets[market].mark_price
        self.send(
            14,
            MarketIndex=market,
            ClientOrderIndex=0,
            BaseAmount=abs(lots),
            Price=price + 5 if lots > 0 else price - 5,
            IsAsk=int(lots < 0),
            Type=1,
            TimeInForce=0,
            ReduceOnly=0,
            TriggerPrice=0,
            OrderExpiry=0,
            **fields,
        )

    def leverage(self, fraction=500, mode=ISOLATED, market=0, **fields):
        fields |= {"InitialMarginFraction": fraction, "MarginMode": mode}
        self.send(20, MarketIndex=market, **fields)

    def margin(self, amount, direction=IN, market=0, **fields):
        self.send(
            29, MarketIndex=market, USDCAmount=amount, Direction=direction, **fields
        )

    def refused(self, call, *args, **fields):
        with pytest.raises(Refused) as refusal:
            call(*args, **fields)
        return refusal.value.code

    @property
    def statement(self):
        return Statement(self.alice, self.exchange.markets)

    def available(self):
        return self.statement.available


@pytest.fixture
def desk():
    return Desk()


def test_opening_an_isolated_position_sets_its_initial_margin_aside(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    value = 1_000 * (PRICE + 1)
    assert desk.ledger.allocated == {0: value // 10}
    position = desk.statement.position(0)
    assert position["margin_mode"] == ISOLATED
    assert position["allocated_margin"] == "30.000100"
    assert position["initial_margin_fraction"] == "10.00"
    detail = desk.statement.detailed()
    assert detail["collateral"] == "69.999900"
    assert detail["available_balance"] == "69.999900"
    assert detail["cross_initial_margin_requirement"] == "0.000000"
    assert detail["total_asset_value"] != detail["cross_asset_value"]
    assert desk.statement.position(1)["margin_mode"] == CROSS


def test_closing_an_isolated_position_gives_its_margin_back_by_share(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    whole = desk.ledger.allocated[0]
    desk.trade(-400)
    assert desk.ledger.allocated[0] == whole - whole * 400 // 1_000
    desk.trade(-600)
    assert desk.ledger.allocated == {0: 0}
    assert desk.available() == desk.ledger.collateral


def test_turning_an_isolated_position_sets_margin_aside_anew(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    desk.trade(-1_500)
    assert desk.ledger.size(0) == -500
    assert desk.ledger.allocated[0] == 500 * PRICE // 10


def test_what_isolated_positions_hold_is_not_there_for_others(desk):
    desk.leverage(5_000)
    desk.trade(600)
    assert desk.available() < 10_100_000
    desk.trade(1_000, market=1)  # a cross position of 15 needs more than 10
    assert desk.ledger.size(1) == 0
    desk.trade(300, market=1)
    assert desk.ledger.size(1) == 300
    desk.trade(200)  # thirty more than is left
    assert desk.ledger.size(0) == 600


def test_a_loss_of_an_isolated_position_does_not_touch_the_cross_markets(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    before = desk.available()
    desk.mark(280_000)
    assert desk.available() == before
    assert desk.statement.equity < desk.ledger.collateral
    stats = desk.statement.stats()
    assert stats["cross_stats"]["portfolio_value"] != stats["portfolio_value"]


def test_turning_at_a_loss_needs_the_loss_too():
    desk = Desk(collateral=31_000_000)
    desk.leverage(1_000)
    desk.trade(1_000)
    desk.mark(280_000)
    desk.trade(-2_000)  # 30 set aside less 20 lost leaves 11 for the new 28
    assert desk.ledger.size(0) == 1_000
    desk.trade(-1_300)
    assert desk.ledger.size(0) == -300


def test_margin_moves_in_and_out_and_is_told(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    before = desk.ledger.allocated[0]
    desk.events.clear()
    desk.margin(5_000_000)
    assert desk.ledger.allocated[0] == before + 5_000_000
    assert any(isinstance(event, PositionChanged) for event in desk.events)
    desk.margin(4_000_000, OUT)
    assert desk.ledger.allocated[0] == before + 1_000_000
    assert desk.ledger.collateral == 100_000_000


def test_margin_cannot_move_below_what_either_side_needs(desk):
    assert desk.refused(desk.margin, 1, 2) == 21615
    assert desk.refused(desk.margin, 0) == 21501
    assert desk.refused(desk.margin, 1) == 21614
    assert desk.refused(desk.margin, 1, market=9) == 21602
    desk.trade(100, market=1)
    assert desk.refused(desk.margin, 1, market=1) == 21613
    desk.leverage(1_000)
    desk.trade(1_000)
    assert desk.refused(desk.margin, desk.available() + 1) == 21508
    assert desk.refused(desk.margin, 1_000_000, OUT) == 21508
    desk.mark(320_000)  # twenty won: its own need grew by two only
    assert desk.refused(desk.margin, 19_000_000, OUT) == 21508
    desk.margin(17_000_000, OUT)


def test_a_profit_does_not_let_more_out_than_was_set_aside(desk):
    desk.leverage(1_000)
    desk.trade(100)
    desk.mark(500_000)
    assert desk.refused(desk.margin, desk.ledger.allocated[0] + 1, OUT) == 21508


def test_the_margin_mode_changes_only_while_nothing_is_there(desk):
    desk.trade(100)
    assert desk.refused(desk.leverage) == 21613
    desk.trade(-100)
    desk.send(
        14,
        MarketIndex=0,
        ClientOrderIndex=7,
        BaseAmount=100,
        Price=PRICE - 1_000,
        IsAsk=0,
        Type=0,
        TimeInForce=1,
        ReduceOnly=0,
        TriggerPrice=0,
        OrderExpiry=desk.now_us // 1_000 + 600_000,
    )
    assert desk.refused(desk.leverage) == 21613
    assert desk.statement.summary()["total_isolated_order_count"] == 0
    desk.send(15, MarketIndex=0, Index=7)
    desk.leverage()
    assert desk.ledger.allocated == {0: 0}
    desk.leverage(mode=CROSS)
    assert desk.ledger.allocated == {}


def test_leverage_of_an_isolated_position_is_judged_by_its_own_margin(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    assert desk.refused(desk.leverage, 2_000) == 21508
    desk.margin(40_000_000)
    desk.leverage(2_000)
    assert desk.alice.initial_margin_fractions[0] == 2_000


def test_what_the_queue_before_it_moved_is_seen_when_margin_is_due(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    spare = desk.available()
    desk.margin(spare - 5, run=False)
    desk.margin(10)
    desk.leverage(CROSS + 1_000)
    executed = [event.code for event in desk.events if isinstance(event, TxExecuted)]
    assert executed[-3:] == [0, 21508, 0]


def test_a_leverage_that_no_longer_holds_when_it_is_due_changes_nothing(desk):
    desk.leverage(1_000, run=False)
    desk.leverage(1_000, mode=CROSS, run=False)
    desk.trade(1_000)
    events = [event for event in desk.events if isinstance(event, TxExecuted)]
    assert [event.code for event in events] == [0, 0, 0]
    desk.trade(-400, market=1)
    assert desk.ledger.allocated == {}


def test_the_liquidation_price_of_an_isolated_position_is_its_own(desk):
    desk.leverage(1_000)
    desk.trade(1_000)
    near = float(desk.statement.position(0)["liquidation_price"])
    assert 2_700 < near < 2_750
    desk.margin(20_000_000)
    far = float(desk.statement.position(0)["liquidation_price"])
    assert 2_500 < far < near
