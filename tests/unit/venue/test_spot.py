"""Spot markets: what orders lock, what fills move, and what there is not."""

from __future__ import annotations

import dataclasses

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import FEE_COLLECTOR, Account, ApiKey, open_accounts
from wrappy.venue.events import BalanceChanged, SetIndexPrice, SetLevel, Take
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.settings import VenueSettings
from wrappy.venue.spot_balances import SpotBalances
from wrappy.venue.spot_render import render_entry_prices, render_spot_stats
from wrappy.venue.statements import Statement

ETH = find_market(BUNDLED_MARKETS, symbol="ETH")
SPOT = find_market(BUNDLED_MARKETS, symbol="ETH/USDC")
START_US = 1_800_000_000_000_000
ALICE, BOB, PARTNER = 100, 101, 102
ASSET, USDC = SPOT.base_asset_id, SPOT.quote_asset_id
PRICE = 300_000
BUY, SELL = 0, 1
CLASSIC, UNIFIED = 0, 1
RICH = {ASSET: 50_000, USDC: 10_000_000_000}
MAKER, TAKER = 40, 280


class Desk:
    """Users with some ETH and some USDC at a perpetual and a spot market."""

    def __init__(self, *, collateral=1_000_000_000, delay_ms=0):
        settings = VenueSettings(tier="standard")
        accounts = open_accounts(settings, ())
        for index in (ALICE, BOB, PARTNER):
            accounts[index] = Account(
                index=index,
                l1_address="0x0",
                tier=dataclasses.replace(
                    TIERS["premium"], maker_delay_ms=delay_ms, taker_delay_ms=delay_ms
                ),
                api_keys={4: ApiKey(4, "", 1)},
                ledger=AccountLedger(collateral=collateral),
                spot=SpotBalances(dict(RICH)),
            )
        self.accounts = accounts
        self.alice, self.bob = accounts[ALICE], accounts[BOB]
        self.partner = accounts[PARTNER]
        self.now_us = START_US
        self.events = []
        self.exchange = Exchange(settings, (ETH, SPOT), accounts, now_us=START_US)
        self.flow(*(SetIndexPrice(m.market_id, PRICE) for m in (ETH, SPOT)))

    def flow(self, *actions):
        self.exchange.apply_flow(actions, now_us=self.now_us)
        self.events += self.exchange.drain()

    def level(self, price, lots, *, is_ask, market=SPOT):
        self.flow(SetLevel(market.market_id, is_ask, price, lots))

    def send(self, tx_type, account=ALICE, attributes=None, *, run=True, **fields):
        nonce = self.accounts[account].api_keys[4].nonce
        info = {
            "AccountIndex": account,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": nonce,
            "Sig": "",
            "L2TxAttributes": attributes,
            **fields,
        }
        tx_hash = f"{account:04x}{nonce:076x}"
        self.exchange.submit(tx_type, info, tx_hash, now_us=self.now_us)
        if run:
            self.run()
        return self.exchange.transaction(tx_hash)

    def run(self):
        self.now_us += 200_000
        self.events += self.exchange.advance(self.now_us)

    def fields(self, lots, price=PRICE, **fields):
        kind = fields.pop("kind", OrderType.LIMIT)
        force = fields.pop("force", TimeInForce.GOOD_TILL_TIME)
        immediate = force == TimeInForce.IMMEDIATE_OR_CANCEL
        return {
            "MarketIndex": fields.pop("market", SPOT).market_id,
            "ClientOrderIndex": fields.pop("coi", 0),
            "BaseAmount": abs(lots),
            "Price": price,
            "IsAsk": SELL if lots < 0 else BUY,
            "Type": int(kind),
            "TimeInForce": int(force),
            "ReduceOnly": fields.pop("reduce_only", 0),
            "TriggerPrice": fields.pop("trigger", 0),
            "OrderExpiry": 0 if immediate else self.now_us // 1_000 + 3_600_000,
            **fields,
        }

    def order(self, lots, price=PRICE, account=ALICE, attributes=None, **fields):
        run = fields.pop("run", True)
        fields = self.fields(lots, price, **fields)
        return self.send(14, account, attributes, run=run, **fields)

    def latest(self, account=ALICE):
        return self.exchange.log.orders(account)[-1]

    def refused(self, call, *args, **fields):
        with pytest.raises(Refused) as refusal:
            call(*args, **fields)
        return refusal.value.code

    def total(self, asset):
        spot = sum(account.spot.balance(asset) for account in self.accounts.values())
        if asset != USDC:
            return spot
        return spot + sum(a.ledger.collateral for a in self.accounts.values())

    def row(self, asset, account=ALICE):
        owner = self.accounts[account]
        assets = Statement(owner, self.exchange.markets).assets()
        return next(row for row in assets if row["asset_id"] == asset)


@pytest.fixture
def desk():
    return Desk()


# ------------------------------------------------------------------------ locking


def test_a_resting_buy_locks_its_value_and_the_makers_fee(desk):
    desk.order(1_000)
    value = 1_000 * PRICE
    assert desk.alice.spot.locked == {USDC: value + value * MAKER // 1_000_000}
    assert desk.row(USDC)["balance"] == "10000.000000"
    assert desk.row(USDC)["locked_balance"] == "300.012000"
    assert desk.alice.ledger.collateral == 1_000_000_000


def test_a_resting_sell_locks_what_it_sells(desk):
    desk.order(-1_000)
    assert desk.alice.spot.locked == {ASSET: 1_000}
    assert desk.row(ASSET)["balance"] == "5.0000"
    assert desk.row(ASSET)["locked_balance"] == "0.1000"
    changed = [e for e in desk.events if isinstance(e, BalanceChanged)]
    assert [(e.account, e.market_index) for e in changed] == [(ALICE, SPOT.market_id)]


@pytest.mark.parametrize("lots", [1_000, -1_000])
def test_what_was_locked_is_free_again_after_a_cancel(desk, lots):
    desk.order(lots, coi=7)
    desk.send(15, MarketIndex=SPOT.market_id, Index=7)
    assert not any(desk.alice.spot.locked.values())
    desk.order(lots)
    desk.order(lots)
    desk.send(16, TimeInForce=0, Time=0)
    assert not any(desk.alice.spot.locked.values())
    assert desk.alice.spot.held == RICH


def test_a_modify_adjusts_the_lock_and_may_use_what_the_order_had_locked(desk):
    desk.order(-50_000, coi=7)
    changes = {"MarketIndex": SPOT.market_id, "Index": 7, "TriggerPrice": 0}
    desk.send(17, BaseAmount=40_000, Price=PRICE, **changes)
    assert desk.alice.spot.locked == {ASSET: 40_000}
    desk.send(17, BaseAmount=50_000, Price=PRICE + 10, **changes)
    assert desk.alice.spot.locked == {ASSET: 50_000}
    more = {"BaseAmount": 50_001, "Price": PRICE, **changes}
    assert desk.refused(desk.send, 17, **more) == 21304
    assert desk.alice.spot.locked == {ASSET: 50_000}


def test_a_modify_that_takes_frees_what_it_does_not_need(desk):
    desk.order(1_000, PRICE - 100, coi=7)
    desk.level(PRICE, 600, is_ask=True)
    desk.send(
        17,
        MarketIndex=SPOT.market_id,
        Index=7,
        BaseAmount=600,
        Price=PRICE,
        TriggerPrice=0,
    )
    value = 600 * PRICE
    assert not any(desk.alice.spot.locked.values())
    assert desk.alice.spot.balance(ASSET) == RICH[ASSET] + 600
    fee = value * TAKER // 1_000_000
    assert desk.alice.spot.balance(USDC) == RICH[USDC] - value - fee


# -------------------------------------------------------------------------- fills


def test_a_fill_moves_both_assets_and_the_fees_to_the_collector(desk):
    before = desk.total(ASSET), desk.total(USDC)
    desk.order(-1_000)
    desk.order(1_000, account=BOB, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    value = 1_000 * PRICE
    maker_fee, taker_fee = value * MAKER // 10**6, value * TAKER // 10**6
    assert desk.alice.spot.held == {
        ASSET: RICH[ASSET] - 1_000,
        USDC: RICH[USDC] + value - maker_fee,
    }
    assert desk.bob.spot.held == {
        ASSET: RICH[ASSET] + 1_000,
        USDC: RICH[USDC] - value - taker_fee,
    }
    collector = desk.accounts[FEE_COLLECTOR]
    assert collector.spot.balance(USDC) == maker_fee + taker_fee
    assert (desk.total(ASSET), desk.total(USDC)) == before
    (trade,) = desk.exchange.log.trades()
    assert (trade.maker_fee, trade.taker_fee) == (MAKER, TAKER)
    assert not any(desk.alice.spot.locked.values())
    assert not desk.alice.ledger.positions
    assert desk.exchange.markets[SPOT.market_id].open_interest == 0


def test_a_partly_filled_order_keeps_the_lock_of_what_is_left(desk):
    desk.order(1_000)
    desk.flow(Take(SPOT.market_id, True, PRICE, 400))
    left = 600 * PRICE
    assert desk.alice.spot.locked[USDC] == left + left * MAKER // 10**6


def test_an_integrator_collects_its_share_of_a_spot_fill(desk):
    approval = {
        "IntegratorAccountIndex": PARTNER,
        "MaxPerpsTakerFee": 0,
        "MaxPerpsMakerFee": 0,
        "MaxSpotTakerFee": 0,
        "MaxSpotMakerFee": 500,
        "ApprovalExpiry": desk.now_us // 1_000 + 10**6,
    }
    desk.send(45, **approval)
    terms = {"1": PARTNER, "3": 500}
    assert desk.refused(desk.order, 100, market=ETH, attributes=terms) == 21134
    desk.order(1_000, attributes=terms)
    value = 1_000 * PRICE
    rate = MAKER + 500
    assert desk.alice.spot.locked[USDC] == value + value * rate // 10**6
    desk.flow(Take(SPOT.market_id, True, PRICE, 1_000))
    assert desk.partner.spot.balance(USDC) == RICH[USDC] + value * 500 // 10**6
    assert desk.alice.spot.balance(USDC) == RICH[USDC] - value - value * rate // 10**6


def test_a_maker_whose_balance_is_gone_is_canceled_and_the_taker_goes_on(desk):
    desk.order(-1_000)
    desk.alice.spot.add(ASSET, -RICH[ASSET])
    desk.order(-1_000, PRICE + 1, account=PARTNER)
    desk.order(1_000, PRICE + 1, account=BOB, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    assert desk.latest().status == "canceled-invalid-balance"
    assert desk.latest(PARTNER).status == "filled"
    assert not any(desk.alice.spot.locked.values())


# ------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("lots", "price"), [(-50_001, PRICE), (33_400, PRICE), (33_333, PRICE)]
)
def test_an_order_beyond_the_balance_is_refused_at_the_door(desk, lots, price):
    # The value of the last one is there, its fee is not.
    nonce = desk.alice.api_keys[4].nonce
    assert desk.refused(desk.order, lots, price) == 21304
    assert desk.alice.api_keys[4].nonce == nonce


def test_an_order_that_finds_the_balance_gone_is_canceled_when_it_is_executed():
    desk = Desk(delay_ms=100)
    desk.order(-30_000, run=False)
    desk.order(-30_000, PRICE + 1)
    first, second = desk.exchange.log.orders(ALICE)
    assert (first.status, second.status) == ("open", "canceled-invalid-balance")
    assert desk.alice.spot.locked == {ASSET: 30_000}


def test_an_immediate_order_takes_what_it_can_pay_and_no_more(desk):
    desk.level(PRICE, 20_000, is_ask=True)
    desk.level(PRICE + 1_000, 20_000, is_ask=True)
    desk.order(40_000, PRICE + 1_000, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    order = desk.latest()
    assert order.status == "canceled-invalid-balance"
    assert order.filled_base == 20_000
    assert desk.alice.spot.balance(USDC) >= 0


def test_a_market_order_buys_for_what_is_there(desk):
    desk.level(PRICE, 20_000, is_ask=True)
    desk.order(
        1_000,
        PRICE + 10_000,
        kind=OrderType.MARKET,
        force=TimeInForce.IMMEDIATE_OR_CANCEL,
    )
    assert desk.latest().status == "filled"


def test_a_twap_order_buys_in_slices(desk):
    desk.level(PRICE, 20_000, is_ask=True)
    desk.order(1_000, PRICE + 100, kind=OrderType.TWAP)
    assert not any(desk.alice.spot.locked.values())
    desk.now_us += 60_000_000
    desk.run()
    assert desk.alice.spot.balance(ASSET) > RICH[ASSET]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"reduce_only": 1}, 21740),
        (
            {
                "kind": OrderType.STOP_LOSS_LIMIT,
                "trigger": PRICE,
            },
            21618,
        ),
        (
            {
                "kind": OrderType.TAKE_PROFIT,
                "trigger": PRICE,
                "force": TimeInForce.IMMEDIATE_OR_CANCEL,
            },
            21618,
        ),
    ],
)
def test_what_needs_a_position_is_refused(desk, fields, code):
    assert desk.refused(desk.order, 1_000, **fields) == code


def test_a_group_with_children_is_refused(desk):
    parent = desk.fields(1_000)
    child = desk.fields(
        -1,
        kind=OrderType.STOP_LOSS_LIMIT,
        trigger=PRICE,
        reduce_only=1,
        BaseAmount=0,
    )
    group = {"GroupingType": 1, "Orders": [parent, child]}
    assert desk.refused(desk.send, 28, **group) == 21618


def test_there_is_no_leverage_and_no_margin(desk):
    market = {"MarketIndex": SPOT.market_id}
    leverage = {"InitialMarginFraction": 500, "MarginMode": 0, **market}
    margin = {"USDCAmount": 1, "Direction": 1, **market}
    assert desk.refused(desk.send, 20, **leverage) == 21621
    assert desk.refused(desk.send, 29, **margin) == 21621


def test_there_is_no_funding(desk):
    desk.level(PRICE + 5_000, 100_000, is_ask=True)
    desk.level(PRICE + 4_000, 100_000, is_ask=False)
    desk.now_us += 2 * 3_600_000_000
    desk.run()
    assert not desk.exchange.markets[SPOT.market_id].funding.history
    assert desk.exchange.markets[ETH.market_id].market.is_spot is False


# ------------------------------------------------------------------- trading modes


def mode(desk, wanted, **fields):
    return desk.send(41, AccountTradingMode=wanted, **fields)


def test_a_unified_account_buys_with_its_collateral(desk):
    whole = desk.total(USDC)
    mode(desk, UNIFIED)
    assert USDC not in desk.alice.spot.held
    assert desk.alice.ledger.collateral == 11_000_000_000
    row = desk.row(USDC)
    assert row["balance"] == row["margin_balance"] == "11000.000000"
    desk.order(1_000)
    value = 1_000 * PRICE
    lock = value + value * MAKER // 10**6
    statement = Statement(desk.alice, desk.exchange.markets)
    assert statement.available == 11_000_000_000 - lock
    desk.flow(Take(SPOT.market_id, True, PRICE, 1_000))
    assert desk.alice.ledger.collateral == 11_000_000_000 - lock
    assert desk.total(USDC) == whole


def test_what_spot_orders_lock_is_no_margin_in_a_unified_account(desk):
    mode(desk, UNIFIED)
    desk.order(36_000)
    # 10800 USDC are locked: 200 are left, for a position of 4000 at 5 %.
    assert desk.refused(desk.order, 14_000, market=ETH) == 21739
    desk.order(13_000, market=ETH)
    assert desk.latest().status == "open"


def test_what_spot_orders_lock_cannot_be_put_into_an_isolated_position(desk):
    mode(desk, UNIFIED)
    desk.send(20, MarketIndex=0, InitialMarginFraction=500, MarginMode=1)
    desk.level(PRICE, 1_000, is_ask=True, market=ETH)
    desk.order(1_000, market=ETH, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    desk.order(36_000)
    move = {"MarketIndex": 0, "Direction": 1}
    assert desk.refused(desk.send, 29, USDCAmount=300_000_000, **move) == 21508
    desk.send(29, USDCAmount=100_000_000, **move)


def test_the_mode_stays_while_spot_orders_rest(desk):
    desk.order(1_000, coi=7)
    assert desk.refused(mode, desk, UNIFIED) == 21132
    mode(desk, CLASSIC)
    desk.send(15, MarketIndex=SPOT.market_id, Index=7)
    mode(desk, UNIFIED)
    assert desk.alice.trading_mode == UNIFIED


def test_the_mode_stays_when_an_order_came_to_rest_before_it_was_to_change():
    desk = Desk(delay_ms=100)
    desk.order(1_000, run=False)
    record = mode(desk, UNIFIED)
    assert record.code == 21132
    assert desk.alice.trading_mode == CLASSIC


def test_back_in_classic_mode_the_collateral_keeps_what_was_joined(desk):
    mode(desk, UNIFIED)
    mode(desk, CLASSIC)
    assert desk.alice.ledger.collateral == 11_000_000_000
    assert desk.row(USDC)["balance"] == "0.000000"
    assert desk.refused(desk.order, 1_000) == 21304


@pytest.mark.parametrize(("wanted", "left"), [(CLASSIC, 1), (UNIFIED, 0)])
def test_a_liquidation_cancels_only_orders_paid_from_the_same_purse(wanted, left):
    desk = Desk(collateral=100_000_000)
    mode(desk, wanted)
    desk.order(-1_000, PRICE + 50)
    desk.level(PRICE, 10**6, is_ask=True, market=ETH)
    rich = 10_000_000_000 if wanted else 0
    lots = (rich + 90_000_000) * 99 // 100 // (PRICE // 20)
    desk.order(lots, market=ETH, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    assert desk.alice.ledger.size(0)
    desk.level(PRICE, 0, is_ask=True, market=ETH)
    low = PRICE * 85 // 100
    desk.flow(SetIndexPrice(0, low), SetLevel(0, False, low, 10**6))
    assert desk.alice.liquidations
    assert len(desk.alice.open_orders) == left


# ------------------------------------------------------------------------- figures


def test_the_average_entry_counts_what_was_bought(desk):
    desk.level(PRICE, 1_000, is_ask=True)
    desk.order(1_000, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    desk.level(PRICE + 1_000, 3_000, is_ask=True)
    desk.order(3_000, PRICE + 1_000, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    (row,) = render_entry_prices(desk.alice, (ETH, SPOT)).values()
    last = desk.exchange.log.trades(ALICE)[-1].trade_id
    assert row == {
        "asset_id": ASSET,
        "avg_entry_price": "3007.500000",
        "asset_size": "0.4000",
        "last_trade_id": last,
    }
    desk.level(PRICE, 10_000, is_ask=False)
    desk.order(-1_000, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    (row,) = render_entry_prices(desk.alice, (SPOT,)).values()
    assert (row["avg_entry_price"], row["asset_size"]) == ("3007.500000", "0.3000")
    desk.order(-5_000, force=TimeInForce.IMMEDIATE_OR_CANCEL)
    (row,) = render_entry_prices(desk.alice, (SPOT,)).values()
    assert (row["avg_entry_price"], row["asset_size"]) == ("0.000000", "0.0000")


def test_positions_tell_of_perpetuals_only(desk):
    desk.order(1_000)
    statement = Statement(desk.alice, desk.exchange.markets)
    assert [row["symbol"] for row in statement.positions()] == ["ETH"]
    assert statement.position(SPOT.market_id)["position"] == "0.0000"
    assert statement.open_positions() == {}


def test_statistics_of_an_empty_spot_book_have_no_best_prices(desk):
    state = desk.exchange.markets[SPOT.market_id]
    stats = render_spot_stats(state)
    assert (stats["best_ask_price"], stats["best_bid_price"]) == ("", "")
    desk.level(PRICE, 10, is_ask=True)
    desk.level(PRICE - 10, 10, is_ask=False)
    stats = render_spot_stats(state)
    assert (stats["best_ask_price"], stats["mid_price"]) == ("3000.00", "2999.95")
