"""Which orders and changes may go, and in which state."""

from __future__ import annotations

import pytest

from wrappy._core.exposure import LiveOrder, OrderKey
from wrappy._core.judging import OrderJudge, Wanted
from wrappy._core.risk import ACCOUNT, LOOP, AccountRisk, RiskMarket, RiskRules
from wrappy._core.risk_states import TradingState
from wrappy.errors import RiskRule as Rule

USDC = 1_000_000
MARK = 100
DAY = 86_400


class Desk:
    """An account at two markets; a lot at one tick is worth 1 USDC."""

    def __init__(self, *, position=0, most_lots=None, spot=False, mark=MARK, **rules):
        self.risk = AccountRisk(RiskRules(**rules))
        self.judge = OrderJudge(self.risk)
        self.now = 0.0
        self.rule = None
        for index, symbol in enumerate(("ETH", "BTC")):
            market = RiskMarket(
                index=index,
                symbol=symbol,
                lot_value=USDC,
                most_lots=most_lots,
                is_spot=spot,
                mark=mark,
            )
            self.risk.add_market(market)
            self.risk.book.anchor(index, 0)
        self.risk.book.has_begun = True
        self.hold(position)
        self.look()

    def hold(self, lots, market=0):
        self.risk.book.anchor(market, lots)
        self.risk.book.position(market, lots)

    def look(self):
        self.risk.look(self.now, self.now)
        return self.risk.log.state

    def asks(self, *orders, market=0, near=0):
        wanted = [Wanted(order, near) for order in orders]
        return self.told(self.judge.refusal(market, wanted, self.now))

    def told(self, denial):
        self.rule = None if denial is None else denial.rule
        return None if denial is None else denial.words

    def enter(self, number, order, market=0):
        key = OrderKey(market, number)
        self.risk.book.order(key, order, order.filled, is_ask=order.is_ask)
        return key

    def change(self, key, ticks, lots, near=0):
        return self.told(
            self.judge.change_refusal(key, ticks, lots, self.now, near=near)
        )


def buy(lots, ticks=MARK, **more):
    return LiveOrder(is_ask=False, lots=lots, ticks=ticks, **more)


def sell(lots, ticks=MARK, **more):
    return LiveOrder(is_ask=True, lots=lots, ticks=ticks, **more)


def test_without_limits_everything_goes():
    desk = Desk(mark=None)
    assert desk.asks(buy(10**9, ticks=1)) is None
    assert desk.judge.denied == 0


def test_the_position_limit_counts_everything_that_may_still_fill():
    desk = Desk(position=4, most_lots=10)
    desk.enter(1, buy(3))
    desk.enter(2, buy(2, is_unknown=True))
    assert desk.asks(buy(1)) is None
    why = desk.asks(buy(2))
    assert why == "position: ETH could get long by 11 lots, 10 are allowed"
    assert desk.asks(sell(14)) is None
    assert "short by 11" in desk.asks(sell(15))
    assert desk.asks(buy(2, reduce_only=True)) is None
    assert (desk.judge.denied, desk.judge.last_denial[:8]) == (2, "position")


def test_beyond_a_limit_what_leads_back_goes():
    desk = Desk(position=20, most_lots=10)
    assert desk.asks(sell(5)) is None
    assert desk.asks(sell(30)) is None
    assert desk.asks(sell(31)) is not None
    desk.hold(-20)
    assert desk.asks(buy(20)) is None


def test_a_position_that_is_not_known_cannot_be_judged():
    desk = Desk(most_lots=10)
    desk.risk.book.markets[0].told = desk.risk.book.markets[0].implied = None
    assert "not known yet" in desk.asks(buy(1))
    assert desk.asks(buy(1, reduce_only=True)) is None


def test_notional_limits_need_a_price():
    desk = Desk(market_value=1_000 * USDC, mark=None)
    assert "no price of ETH" in desk.asks(buy(1))
    desk = Desk(order_value=1_000 * USDC, mark=None)
    assert "no price of ETH" in desk.asks(buy(1))
    assert desk.asks(buy(1, reduce_only=True)) is None
    desk = Desk(total_value=1_000 * USDC, mark=None)
    assert "no price of ETH" in desk.asks(buy(1))


def test_notional_is_limited_in_a_market_on_either_side():
    desk = Desk(market_value=1_000 * USDC)
    assert desk.asks(buy(10)) is None
    assert "long by 1100.00 USDC" in desk.asks(buy(11))
    assert "short by 1100.00 USDC" in desk.asks(sell(11))
    assert desk.asks(sell(10, ticks=50)) is None


def test_notional_is_limited_over_all_markets():
    desk = Desk(total_value=1_000 * USDC, position=4)
    desk.hold(-3, market=1)
    desk.risk.book.other(7, 100 * USDC)
    assert desk.asks(buy(2)) is None
    assert "all markets could get to 1100.00" in desk.asks(buy(3))
    # What makes no side worse may go although the total is used up.
    desk.risk.book.other(7, 900 * USDC)
    assert desk.asks(sell(8)) is None
    desk.risk.markets[1].mark = None
    assert "no price of BTC" in desk.asks(buy(1))
    desk.hold(0, market=1)
    desk.risk.book.other(7, 0)
    assert desk.asks(buy(1)) is None


def test_one_order_may_be_worth_so_much():
    desk = Desk(order_value=500 * USDC)
    assert desk.asks(buy(5)) is None
    assert "worth 600.00" in desk.asks(buy(6))
    assert "worth 600.00" in desk.asks(sell(6, ticks=1))
    assert "worth 600.00" in desk.asks(buy(0, least=6))
    assert desk.asks(sell(60, reduce_only=True)) is None


def test_a_price_has_to_be_near_the_mark_or_its_trigger():
    desk = Desk(band=50_000)
    for ticks in (95, 105):
        assert desk.asks(buy(1, ticks=ticks)) is None
    for ticks in (94, 106):
        assert "5.00%" in desk.asks(buy(1, ticks=ticks))
    assert desk.asks(sell(1, ticks=51), near=50) is None
    assert "trigger" in desk.asks(sell(1, ticks=40), near=50)
    desk = Desk(band=50_000, mark=None)
    assert "no price" in desk.asks(buy(1))
    assert desk.asks(buy(1, reduce_only=True)) is None


def test_orders_that_may_trade_are_counted_here_and_everywhere():
    desk = Desk(market_orders=2, open_orders=3)
    desk.enter(1, buy(1))
    assert desk.asks(buy(1)) is None
    assert "1 orders may trade in ETH, 2 are allowed" in desk.asks(buy(1), sell(1))
    desk.enter(2, buy(1), market=1)
    desk.enter(3, buy(1), market=1)
    assert "3 orders may trade, 3 are allowed" in desk.asks(buy(1))


def test_orders_and_changes_may_come_so_fast():
    desk = Desk(per_second=2, per_minute=3)
    key = desk.enter(1, buy(1))
    assert desk.asks(buy(1)) is None
    assert desk.change(key, 99, 1) is None
    assert "2 orders within a second" in desk.asks(buy(1))
    assert "within a second" in desk.change(key, 98, 1)
    desk.now = 1.0
    assert desk.asks(buy(1)) is None
    desk.now = 5.0
    assert "3 orders within a minute" in desk.asks(buy(1))
    desk.now = 60.0
    assert desk.asks(buy(1)) is None


def test_a_change_counts_with_the_larger_of_both_sizes():
    desk = Desk(most_lots=10)
    key = desk.enter(1, buy(5))
    desk.enter(2, buy(2))
    assert desk.change(key, MARK, 8) is None
    assert desk.asks(buy(1)) is not None
    assert "long by 11" in desk.change(key, MARK, 9)
    assert desk.risk.book.market(0).orders[key].aims == [(MARK, 8)]
    # Back to less: still the larger one, until the exchange shows it.
    assert desk.change(key, MARK, 1) is None
    assert "long by 11" in desk.asks(buy(1))
    assert desk.change(OrderKey(0, 99), MARK, 1).startswith("order 99 is not known")


def test_a_change_is_judged_by_price_and_worth_too():
    desk = Desk(order_value=500 * USDC, band=50_000, market_value=600 * USDC)
    key = desk.enter(1, sell(5))
    assert "5.00%" in desk.change(key, 90, 5)
    assert "worth 600.00" in desk.change(key, MARK, 6)
    assert desk.change(key, 200, 5) is None, "away from the market is no risk"
    desk = Desk(band=50_000)
    key = desk.enter(1, sell(5))
    assert desk.change(key, 90, 5, near=91) is None


def test_reducing_lets_pass_only_what_cannot_grow_whatever_fills():
    desk = Desk(position=5)
    desk.risk.see(ACCOUNT, "deaf", desk.now)
    assert desk.look() is TradingState.REDUCING
    assert "reducing: deaf" in desk.asks(buy(1))
    assert desk.asks(sell(5)) is None
    assert desk.asks(sell(6)) is not None
    assert desk.asks(sell(9, reduce_only=True), buy(9, reduce_only=True)) is None
    desk.enter(1, sell(3, is_unknown=True))
    assert desk.asks(sell(2)) is None
    assert desk.asks(sell(3)) is not None
    desk.risk.book.markets[0].told = desk.risk.book.markets[0].implied = None
    assert desk.asks(sell(1)) is not None


def test_while_reducing_a_change_may_retreat_and_not_come_nearer():
    desk = Desk(position=5)
    bid, ask = desk.enter(1, buy(3, ticks=90)), desk.enter(2, sell(9, ticks=110))
    desk.risk.see(ACCOUNT, "deaf", desk.now)
    desk.look()
    assert desk.change(bid, 89, 2) is None
    assert desk.change(bid, 91, 2) is not None
    assert desk.change(bid, 89, 4) is not None
    assert desk.change(ask, 111, 9) is None
    assert desk.change(ask, 109, 9) is not None
    assert desk.judge.change_stop(bid, 88, 2) is None
    assert desk.judge.change_stop(ask, 112, 9) is None
    assert "reducing" in desk.judge.change_stop(bid, 95, 3)


def test_one_market_that_is_stale_stops_only_its_own_growth():
    desk = Desk()
    desk.risk.see("ETH", "old", desk.now)
    assert desk.look() is TradingState.ACTIVE
    assert "reducing: old" in desk.asks(buy(1))
    assert desk.asks(buy(1), market=1) is None
    assert desk.risk.stale() == {"ETH": "old"}


def test_in_a_spot_market_a_sale_grows_nothing():
    desk = Desk(spot=True, most_lots=3)
    assert desk.asks(sell(100)) is None
    assert desk.asks(buy(4)) is not None
    desk.risk.see("ETH", "old", desk.now)
    assert desk.asks(sell(100)) is None


def test_halted_lets_nothing_pass():
    desk = Desk(position=5)
    key = desk.enter(1, buy(1, ticks=90))
    desk.risk.halt("person", "enough")
    assert desk.look() is TradingState.HALTED
    assert desk.asks(sell(1, reduce_only=True)) == "halted: enough"
    assert desk.change(key, 80, 1) == "halted: enough"
    assert desk.judge.stop_reason(0, [sell(1)]) == "halted: enough"
    assert desk.judge.change_stop(key, 80, 1) == "halted: enough"
    assert desk.risk.halts() == {"person": ("enough", None)}
    desk.risk.lift()
    assert desk.look() is TradingState.ACTIVE
    assert desk.judge.change_stop(OrderKey(0, 9), 1, 1) is None


def test_what_was_let_in_is_stopped_when_the_account_is_beyond_a_limit_meanwhile():
    desk = Desk(most_lots=10, total_value=10_000 * USDC)
    order = buy(5)
    desk.enter(1, order)
    assert desk.judge.stop_reason(0, [order]) is None
    desk.hold(6)  # somebody else traded
    assert "long by 11" in desk.judge.stop_reason(0, [order])
    desk.hold(0)
    desk.risk.book.other(9, 9_600 * USDC)
    assert "all markets" in desk.judge.stop_reason(0, [order])


def test_a_day_s_loss_halts_until_the_day_is_over_or_a_person_resumes():
    desk = Desk(daily_loss=100 * USDC)
    assert desk.look() is TradingState.REDUCING
    desk.risk.equity.note(1_000 * USDC, 0, 0)
    assert desk.look() is TradingState.ACTIVE
    desk.risk.equity.note(900 * USDC, 1, 1)
    desk.now = 1
    assert desk.look() is TradingState.HALTED
    desk.risk.equity.note(1_000 * USDC, 2, 2)
    assert desk.look() is TradingState.HALTED
    desk.risk.equity.note(1_000 * USDC, DAY, DAY)
    desk.now = DAY
    assert desk.look() is TradingState.ACTIVE
    desk.risk.equity.note(800 * USDC, DAY + 1, DAY + 1)
    assert desk.look() is TradingState.HALTED
    desk.risk.lift()
    assert desk.look() is TradingState.ACTIVE


def test_a_drawdown_halts_for_good():
    desk = Desk(drawdown=100_000)
    desk.risk.equity.note(1_000 * USDC, 0, 0)
    desk.risk.equity.note(900 * USDC, 1, 1)
    assert desk.look() is TradingState.HALTED
    desk.now = 3 * DAY
    desk.risk.equity.note(2_000 * USDC, desk.now, desk.now)
    assert desk.look() is TradingState.HALTED


def test_too_many_orders_of_unknown_fate_reduce():
    desk = Desk(unknown_orders=1)
    desk.enter(1, buy(1, is_unknown=True))
    assert desk.look() is TradingState.ACTIVE
    desk.enter(2, buy(1, is_unknown=True))
    assert desk.look() is TradingState.REDUCING
    assert "2 orders of unknown fate, 1 are allowed" in desk.risk.log.reason


def test_nothing_grows_before_the_positions_are_known():
    risk = AccountRisk(RiskRules())
    risk.look(0, 0)
    assert risk.log.state is TradingState.REDUCING
    assert "positions are not known" in risk.log.reason


@pytest.mark.parametrize("blocked_s", [1.9, 2.5])
def test_a_loop_that_stood_still_makes_stale_until_all_was_fresh_for_a_while(blocked_s):
    desk = Desk(blocked_s=2.0, fresh_for_s=1.0)
    desk.look()
    desk.risk.beat(0.0)
    desk.now = blocked_s  # whoever asks first, before the next beat
    stale = blocked_s > 2.0
    assert (desk.look() is TradingState.REDUCING) == stale
    assert ("stood still for 2.5 s" in desk.risk.log.reason) == stale
    assert (desk.asks(buy(1)) is not None) == stale
    for after in (0.1, 0.6, 1.0):
        desk.now = blocked_s + after
        desk.risk.beat(desk.now)
        assert (desk.look() is TradingState.REDUCING) == stale
    desk.now = blocked_s + 1.2
    desk.risk.beat(desk.now)
    assert desk.look() is TradingState.ACTIVE
    assert desk.risk.problem(LOOP) is None


def test_a_position_without_exits_reduces_after_a_while():
    desk = Desk(position=5, needs_exits=True, exits_within_s=5.0)
    assert desk.look() is TradingState.ACTIVE
    assert desk.risk.uncovered(0) == 5
    desk.now = 5.0
    assert desk.look() is TradingState.REDUCING
    assert "ETH: 5 lots without" in desk.risk.log.reason
    assert "reduce_only: 6 lots" in desk.asks(sell(6, reduce_only=True))
    assert desk.asks(sell(5, reduce_only=True)) is None
    desk.enter(1, sell(5, reduce_only=True))
    assert desk.look() is TradingState.ACTIVE
    desk.hold(-5)
    assert "at most 0" in desk.asks(sell(1, reduce_only=True))


@pytest.mark.parametrize(
    ("rules", "needs"), [({}, False), ({"band": 1}, True), ({"total_value": 1}, True)]
)
def test_prices_are_needed_only_where_a_limit_depends_on_them(rules, needs):
    assert RiskRules(**rules).needs_prices is needs


def test_the_amounts_that_change_nothing_are_those_of_the_limits_that_hold_yet():
    desk = Desk(daily_loss=100, drawdown=None)
    desk.risk.equity.note(1_000, 0.0, 0.0)
    lowest, highest = desk.risk.calm_equity()
    assert highest == 1_000
    desk.risk.equity.note(lowest - 1, 0.0, 0.0)
    assert desk.look() is TradingState.HALTED
    assert desk.risk.calm_equity()[0] < lowest, "it halts already"


@pytest.mark.parametrize(
    ("rules", "needs"),
    [({}, False), ({"daily_loss": 1}, True), ({"drawdown": 1}, True)],
)
def test_what_the_account_is_worth_matters_where_a_limit_asks_for_it(rules, needs):
    assert RiskRules(**rules).needs_equity is needs


def stale(desk):
    desk.risk.see("ETH", "the book of ETH is not sound", 0.0)


@pytest.mark.parametrize(
    ("limits", "happens", "order", "rule"),
    [
        ({}, lambda desk: desk.risk.halt("me", "lunch"), buy(1), Rule.HALTED),
        (
            {},
            lambda desk: desk.risk.see(ACCOUNT, "the stream is not up", 0.0),
            buy(1),
            Rule.REDUCING,
        ),
        ({}, stale, buy(1), Rule.STALE_DATA),
        ({"most_lots": 5}, None, buy(6), Rule.MAX_POSITION),
        ({"market_value": 100 * USDC}, None, buy(2), Rule.MAX_POSITION_NOTIONAL),
        ({"total_value": 100 * USDC}, None, buy(2), Rule.MAX_TOTAL_NOTIONAL),
        ({"order_value": 100 * USDC}, None, buy(2), Rule.MAX_ORDER_NOTIONAL),
        ({"order_value": 1, "mark": None}, None, buy(2), Rule.UNKNOWN_PRICE),
        ({"open_orders": 0}, None, buy(1), Rule.MAX_OPEN_ORDERS),
        ({"market_orders": 0}, None, buy(1), Rule.MAX_OPEN_ORDERS_PER_SYMBOL),
        ({"per_second": 0}, None, buy(1), Rule.MAX_ORDERS_PER_SECOND),
        ({"per_minute": 0}, None, buy(1), Rule.MAX_ORDERS_PER_MINUTE),
        ({"band": 1}, None, buy(1, ticks=90), Rule.PRICE_BAND),
        ({"needs_exits": True}, None, sell(1, reduce_only=True), Rule.REQUIRE_EXITS),
    ],
    ids=lambda value: value.value if isinstance(value, Rule) else "",
)
def test_a_denial_names_its_rule(limits, happens, order, rule):
    desk = Desk(**limits)
    if happens is not None:
        happens(desk)
        desk.look()
    assert desk.asks(order) == desk.judge.last_denial
    assert desk.rule is rule


def test_a_change_of_an_unheard_order_and_an_unknown_position_name_their_rules():
    desk = Desk(most_lots=5)
    assert "not known to be live" in desk.change(OrderKey(0, 9), 100, 1)
    assert desk.rule is Rule.UNKNOWN_ORDER
    desk.risk.book.market(0).told = desk.risk.book.market(0).implied = None
    assert "not known yet" in desk.asks(buy(1))
    assert desk.rule is Rule.UNKNOWN_POSITION


def test_states_pass_and_limits_stay():
    passing = {rule for rule in Rule if rule.is_passing}
    assert {Rule.HALTED, Rule.REDUCING, Rule.STALE_DATA} <= passing
    assert not passing & {rule for rule in Rule if rule.value.startswith("max_")}
    assert not passing & {Rule.TIER, Rule.PRICE_BAND, Rule.OTHER}
