"""Funding: from the book's premium to what longs pay to shorts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import (
    FLOW_MAKER,
    FLOW_TAKER,
    INSURANCE_FUND,
    Account,
    ApiKey,
    open_accounts,
)
from wrappy.venue.events import FundingPaid, PositionChanged, SetIndexPrice, SetLevel
from wrappy.venue.exchange import Exchange
from wrappy.venue.funding import MarketFunding, hourly_rate, premium_of
from wrappy.venue.market_state import MarketState
from wrappy.venue.render import percent_text, render_market_stats
from wrappy.venue.settings import VenueSettings
from wrappy.venue.statements import Statement

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
START_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000
ALICE, BOB = 100, 101
PRICE = 300_000
WHOLE = 1_000_000_000


class Desk:
    """Two users at one market around an index of 3000 USDC."""

    def __init__(self, **chosen):
        settings = VenueSettings(tier="standard", price_bands="off", **chosen)
        accounts = open_accounts(settings, ())
        for index in (ALICE, BOB):
            accounts[index] = Account(
                index=index,
                l1_address="0x0",
                tier=TIERS["standard"],
                api_keys={4: ApiKey(4, "", 1)},
                ledger=AccountLedger(collateral=10**12),
            )
        self.accounts = accounts
        self.now_us = START_US
        self.events = []
        self.exchange = Exchange(settings, (ETH,), accounts, now_us=START_US)
        self.eth = self.exchange.markets[0]
        self.flow(SetIndexPrice(0, PRICE))

    def flow(self, *actions):
        self.exchange.apply_flow(actions, now_us=self.now_us)

    def order(self, owner, lots, price=PRICE, **fields):
        key = self.accounts[owner].api_keys[4]
        info = {
            "AccountIndex": owner,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": key.nonce,
            "Sig": "",
            "L2TxAttributes": None,
            "MarketIndex": 0,
            "ClientOrderIndex": 0,
            "BaseAmount": abs(lots),
            "Price": price,
            "IsAsk": int(lots < 0),
            "Type": 0,
            "TimeInForce": 1,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_us // 1_000 + 86_400_000,
            **fields,
        }
        self.exchange.submit(
            14, info, f"{owner:040x}{key.nonce:040x}", now_us=self.now_us
        )
        self.run(1)

    def swap(self, lots, price=PRICE):
        """Alice buys from Bob; nothing is left on the book."""
        self.order(ALICE, lots, price)
        self.order(BOB, -lots, price)

    def run(self, seconds):
        self.now_us += round(seconds * 1_000_000)
        self.events += self.exchange.advance(self.now_us)

    def to_the_hour(self, hours=1):
        target = (self.now_us // HOUR_US + hours) * HOUR_US
        self.run((target - self.now_us) / 1_000_000)

    def paid(self, owner):
        return [
            event.change
            for event in self.events
            if isinstance(event, FundingPaid) and event.account == owner
        ]


@pytest.mark.parametrize(
    ("premium", "percent"),
    [
        # interest - premium within the small clamp: interest over eight hours
        ("0.0000", "0.0012"),
        ("0.0600", "0.0012"),
        ("-0.0400", "0.0012"),
        # beyond it: what is left of the premium, 0.1 % - 0.05 %
        ("0.1000", "0.0062"),
        ("-0.1000", "-0.0062"),
        # the big clamp: 4 % over eight hours
        ("9.0000", "0.5000"),
        ("-9.0000", "-0.5000"),
    ],
)
def test_a_premium_is_clamped_twice_and_paid_over_eight_hours(premium, percent):
    one = round(float(premium) * 1e7)
    assert percent_text(hourly_rate(one, 1)) == percent
    assert hourly_rate(60 * one, 60) == hourly_rate(one, 1)


@given(
    premiums=st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=60),
    more=st.integers(0, 10**9),
)
def test_a_rate_stays_within_the_big_clamp_and_follows_the_premium(premiums, more):
    count, total = len(premiums), sum(premiums)
    rate = hourly_rate(total, count)
    assert abs(rate) <= 5_000
    assert hourly_rate(total + more, count) >= rate


def test_no_samples_give_no_rate_and_the_last_one_is_kept():
    assert hourly_rate(0, 0) == 0
    assert MarketFunding(rate=12).current_rate == 12


def book(bids, asks, index=PRICE):
    state = MarketState(ETH, index_price=index, mark_price=index)
    desk = Desk()
    desk.flow(*(SetLevel(0, False, price, lots) for price, lots in bids))
    desk.flow(*(SetLevel(0, True, price, lots) for price, lots in asks))
    state.engine = desk.eth.engine
    return state


def test_a_premium_is_what_the_impact_amount_gains_over_the_index():
    # 500 USDC / 5 % = 10,000 USDC: 3.3 ETH
    above = book([(PRICE + 300, 100_000)], [(PRICE + 400, 100_000)])
    assert premium_of(above) == WHOLE // 1_000
    below = book([(PRICE - 400, 100_000)], [(PRICE - 300, 100_000)])
    assert premium_of(below) == -WHOLE // 1_000
    around = book([(PRICE - 1, 100_000)], [(PRICE + 1, 100_000)])
    assert premium_of(around) == 0


def test_a_premium_averages_over_the_levels_it_takes():
    # Ten ETH would do at either price: a sixth of the amount comes from the first.
    state = book([(PRICE + 600, 5_551), (PRICE, 100_000)], [])
    first = 5_551 * (PRICE + 600)
    rest = -(-(10_000_000_000 - first) // PRICE)
    assert premium_of(state) == 5_551 * 600 * WHOLE // ((5_551 + rest) * PRICE)


def test_a_thin_book_or_an_unknown_index_says_nothing():
    assert premium_of(book([(PRICE + 300, 10)], [])) == 0
    assert premium_of(book([], [])) == 0
    assert premium_of(book([], [], index=0)) is None


def test_longs_pay_shorts_at_the_hour_and_only_then():
    desk = Desk()
    desk.swap(10_000)
    desk.to_the_hour()
    # 1 ETH at 3000 USDC, 0.0012 %
    assert desk.paid(ALICE) == [-36_000]
    assert desk.paid(BOB) == [36_000]
    assert desk.accounts[ALICE].ledger.collateral == 10**12 - 36_000
    assert desk.accounts[BOB].ledger.collateral == 10**12 + 36_000
    desk.run(3_599)
    assert len(desk.paid(ALICE)) == 1
    desk.run(1)
    assert desk.paid(ALICE) == [-36_000] * 2
    told = [event for event in desk.events if isinstance(event, PositionChanged)]
    assert told[-1].at_us == START_US + 2 * HOUR_US
    assert len(desk.accounts[ALICE].fundings) == 2


def test_shorts_pay_while_the_book_lies_below_the_index():
    desk = Desk()
    desk.swap(10_000)
    desk.flow(
        SetLevel(0, False, PRICE - 1_000, 100_000),
        SetLevel(0, True, PRICE - 900, 90_000),
    )
    desk.to_the_hour()
    assert desk.eth.funding.rate < 0
    assert desk.paid(ALICE)[0] > 0 > desk.paid(BOB)[0]


def test_what_rounding_leaves_goes_to_the_insurance_fund():
    desk = Desk()
    desk.flow(SetIndexPrice(0, 299_999))
    desk.swap(7_777, 299_999)
    desk.to_the_hour()
    changes = [desk.paid(ALICE)[0], desk.paid(BOB)[0]]
    fund = desk.accounts[INSURANCE_FUND].ledger.collateral
    assert sum(changes) + fund == 0
    assert fund == 1


def test_an_isolated_position_pays_out_of_its_own_margin():
    desk = Desk()
    desk.accounts[ALICE].ledger.allocated[0] = 0
    desk.swap(10_000)
    margin = desk.accounts[ALICE].ledger.allocated[0]
    cross = desk.accounts[ALICE].ledger.cross_part().collateral
    desk.to_the_hour()
    assert desk.accounts[ALICE].ledger.allocated[0] == margin - 36_000
    assert desk.accounts[ALICE].ledger.cross_part().collateral == cross


def test_the_flow_pays_too_and_is_not_written_down():
    desk = Desk()
    desk.flow(SetLevel(0, True, PRICE, 10_000))
    desk.order(ALICE, 10_000)
    desk.to_the_hour()
    assert desk.accounts[FLOW_MAKER].ledger.collateral == 36_000
    assert desk.accounts[FLOW_TAKER].ledger.collateral == 0
    assert not desk.accounts[FLOW_MAKER].fundings
    assert [event.account for event in desk.exchange.log.of(FundingPaid)] == [ALICE]


def test_a_market_without_an_index_price_pays_nothing():
    desk = Desk()
    desk.eth.index_price = 0
    desk.swap(10_000)
    desk.to_the_hour(3)
    assert desk.paid(ALICE) == []
    assert not desk.eth.funding.history


def test_funding_can_be_turned_off():
    desk = Desk(funding=False)
    desk.swap(10_000)
    desk.to_the_hour(3)
    assert desk.paid(ALICE) == []
    assert desk.eth.funding.samples == 0


def test_the_statistics_tell_the_last_rate_and_the_coming_one():
    desk = Desk()
    before = render_market_stats(desk.eth, desk.now_us)
    assert (before["funding_rate"], before["current_funding_rate"]) == ("0.0000",) * 2
    desk.run(60)
    assert desk.eth.funding.samples == 1
    soon = render_market_stats(desk.eth, desk.now_us)
    assert (soon["funding_rate"], soon["current_funding_rate"]) == ("0.0000", "0.0012")
    desk.to_the_hour()
    assert desk.eth.funding.samples == 0
    paid = render_market_stats(desk.eth, desk.now_us)
    assert (paid["funding_rate"], paid["current_funding_rate"]) == ("0.0012",) * 2
    assert paid["funding_timestamp"] * 1_000 == START_US + HOUR_US


def test_a_position_tells_what_it_paid_so_far():
    desk = Desk()
    desk.swap(10_000)
    desk.to_the_hour(2)
    rows = [
        Statement(desk.accounts[owner], desk.exchange.markets).position(0)
        for owner in (ALICE, BOB)
    ]
    told = [row["total_funding_paid_out"] for row in rows]
    assert told == ["0.072000", "-0.072000"]
