"""Whatever users, markets and time do: no money appears, and none disappears."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from tests.reaching import run_until_reached
from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import INSURANCE_FUND, Account, ApiKey, open_accounts
from wrappy.venue.events import (
    FundingPaid,
    Liquidated,
    OrderChanged,
    SetIndexPrice,
    SetLevel,
    Take,
)
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.margin import health_of
from wrappy.venue.settings import VenueSettings

MARKETS = (Market("ETH", 0, 2, 4, 1, 0), Market("BTC", 1, 1, 5, 1, 0))
START_US = 1_800_000_000_000_000
USERS = (100, 101, 102)
COLLATERAL = 30_000_000

indices = st.sampled_from((0, 1))
users = st.sampled_from(USERS)
steps = st.sampled_from((-60, -12, -4, -3, -2, 2, 3, 4, 12, 60))
sizes = st.sampled_from((-1_900, -1_600, -800, 800, 1_600, 1_900))
reach = Counter()


class Money(RuleBasedStateMachine):
    """Users with little margin at two markets whose prices jump."""

    @initialize(tier=st.sampled_from(("standard", "premium")))
    def open(self, tier):
        chosen = VenueSettings(tier=tier, price_bands="off")
        accounts = open_accounts(chosen, ())
        for index in USERS:
            accounts[index] = Account(
                index=index,
                l1_address="0x0",
                tier=TIERS[tier],
                api_keys={4: ApiKey(4, "", 1)},
                ledger=AccountLedger(collateral=COLLATERAL),
            )
        self.accounts = accounts
        self.now_us = START_US
        self.exchange = Exchange(chosen, MARKETS, accounts, now_us=START_US)
        self.price = {0: 300_000, 1: 300_000}
        self.events = []
        for market in (0, 1):
            self.quote(market, 0)

    def quote(self, market, step, base=3_000):
        """Move the index by thousandths, and the book with it."""
        price = self.price[market] = max(
            1_000, self.price[market] * (1_000 + step) // 1_000
        )
        gone = [
            SetLevel(market, *level, 0)
            for level in self.exchange.markets[market].flow_levels
        ]
        gap = price // 500
        levels = [
            SetLevel(market, is_ask, price + side * gap * (rank + 1), base)
            for is_ask, side in ((False, -1), (True, 1))
            for rank in range(3 if base else 0)
        ]
        actions = [*gone, SetIndexPrice(market, price), *levels]
        if base:
            actions.append(Take(market, True, price - gap, 1))
        self.exchange.apply_flow(actions, now_us=self.now_us)
        self.collect()

    def collect(self):
        self.events += self.exchange.advance(self.now_us)

    def send(self, owner, tx_type, **fields):
        key = self.accounts[owner].api_keys[4]
        info = {
            "AccountIndex": owner,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": key.nonce,
            "Sig": "",
            "L2TxAttributes": None,
            **fields,
        }
        try:
            name = f"{owner:040x}{key.nonce:040x}"
            self.exchange.submit(tx_type, info, name, now_us=self.now_us)
        except Refused:
            return
        self.now_us += 400_000
        self.collect()

    def order(self, owner, market, lots, **fields):
        body = {
            "MarketIndex": market,
            "ClientOrderIndex": 0,
            "BaseAmount": abs(lots),
            "Price": self.price[market],
            "IsAsk": int(lots < 0),
            "Type": 0,
            "TimeInForce": 1,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_us // 1_000 + 86_400_000,
        }
        self.send(owner, 14, **{**body, **fields})

    @rule(owner=users, market=indices, lots=sizes, reduces=st.booleans())
    def take(self, owner, market, lots, reduces):
        price = self.price[market] * (1_010 if lots > 0 else 990) // 1_000
        fields = {"TimeInForce": 0, "OrderExpiry": 0, "ReduceOnly": int(reduces)}
        self.order(owner, market, lots, Price=price, **fields)

    @rule(owner=users, market=indices, lots=sizes, away=st.integers(-5, 30))
    def make(self, owner, market, lots, away):
        toward = -away if lots > 0 else away
        price = self.price[market] * (1_000 + toward) // 1_000
        self.order(owner, market, lots // 8, Price=price)

    @rule(owner=users, market=indices, mode=st.sampled_from((0, 1)))
    def margin_mode(self, owner, market, mode):
        self.send(
            owner, 20, MarketIndex=market, InitialMarginFraction=250, MarginMode=mode
        )

    @rule(
        owner=users,
        market=indices,
        amount=st.integers(1, 5_000_000),
        way=st.sampled_from((0, 1)),
    )
    def margin(self, owner, market, amount, way):
        self.send(owner, 29, MarketIndex=market, USDCAmount=amount, Direction=way)

    @rule(market=indices, step=steps, base=st.sampled_from((0, 50, 3_000)))
    def move(self, market, step, base):
        self.quote(market, step, base)

    @rule(owner=users, market=indices, moves=st.sampled_from((9, 25)))
    def slide(self, owner, market, moves):
        """Against somebody, by so little at a time that no threshold is jumped over."""
        size = self.accounts[owner].ledger.size(market)
        for _ in range(moves):
            if size and self.accounts[owner].ledger.size(market) == size:
                self.quote(market, -3 if size > 0 else 3)

    @rule(minutes=st.sampled_from((1, 17, 60, 180)))
    def wait(self, minutes):
        self.now_us += minutes * 60_000_000
        self.collect()

    def ledgers(self):
        return [account.ledger for account in self.accounts.values()]

    @invariant()
    def nothing_is_made_or_lost(self):
        total = sum(
            ledger.collateral
            + ledger.fees_paid
            - sum(
                one.entry_quote if one.size > 0 else -one.entry_quote
                for one in ledger.positions.values()
            )
            for ledger in self.ledgers()
        )
        assert total == COLLATERAL * len(USERS)

    @invariant()
    def every_long_has_a_short(self):
        for market in (0, 1):
            assert sum(ledger.size(market) for ledger in self.ledgers()) == 0

    @invariant()
    def nobody_is_left_below_the_close_out_requirement(self):
        for owner in USERS:
            account = self.accounts[owner]
            for part in (None, *account.ledger.allocated):
                health = health_of(account, self.exchange.markets, part)
                assert not health.is_full, (owner, part, health)
                # Nothing waits on the book for an account in trouble.
                mine = [
                    order
                    for order in account.open_orders.values()
                    if part in (None, order.market_index)
                ]
                assert not (health.is_partial and mine)

    @invariant()
    def isolated_margin_is_there_while_there_is_a_position(self):
        for owner in USERS:
            ledger = self.accounts[owner].ledger
            for market, amount in ledger.allocated.items():
                assert amount == 0 or ledger.size(market)

    def teardown(self):
        if not hasattr(self, "events"):
            return
        told = [event for event in self.events if isinstance(event, Liquidated)]
        reach.update(event.kind for event in told)
        reach["isolated"] += any(
            record.part is not None
            for owner in USERS
            for record in self.accounts[owner].liquidations
        )
        reach["funding"] += sum(isinstance(e, FundingPaid) for e in self.events)
        words = [e.order.status for e in self.events if isinstance(e, OrderChanged)]
        reach["canceled"] += words.count("canceled-liquidation")
        fund = self.accounts[INSURANCE_FUND].ledger
        assert sum(event.fee for event in told) == -fund.fees_paid


def test_money_is_conserved_and_nobody_in_trouble_is_forgotten():
    run_until_reached(
        Money,
        settings(max_examples=100, stateful_step_count=50, deadline=None),
        seen=reach,
        reached=("partial", "deleverage", "isolated", "funding", "canceled"),
        at_random=False,
    )
