"""Books kept beside the exchange's, from its public events alone: they must agree.

The exact rule: over all accounts, the insurance fund and the market's own among them,
collateral plus fees paid minus the signed cost of the positions never changes, to a
millionth of a USDC. Fees leave an account and are only counted; an integrator's share
goes to its collector; what funding and takeovers cannot divide goes to the fund.
"""

from __future__ import annotations

import os
from collections import Counter
from fractions import Fraction

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
    SetIndexPrice,
    SetLevel,
    Take,
    TradeExecuted,
)
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.margin import health_of
from wrappy.venue.settings import VenueSettings

EXAMPLES = int(os.environ.get("WRAPPY_FUZZ_CASES", "2000")) // 20
MARKETS = (Market("ETH", 0, 2, 4, 1, 0), Market("BTC", 1, 1, 5, 1, 0))
START_US = 1_800_000_000_000_000
DAY_MS = 86_400_000
USERS = (100, 101, 102)
OUTSIDER = 999
COLLATERAL = 30_000_001
MILLION = 1_000_000

users = st.sampled_from(USERS)
indices = st.sampled_from((0, 1))
sizes = st.sampled_from((-1_907, -801, -233, 233, 801, 1_907))
steps = st.sampled_from((-60, -12, -4, -2, 2, 3, 5, 12, 60))
seen = Counter()


class Books:
    """Every account's money, kept from what the exchange tells."""

    def __init__(self):
        self.cash = Counter()  # by (account, market): what sales brought over buys
        self.size = Counter()
        self.realized = Counter()
        self.income = Counter()  # fees, shares and funding, by account
        self.taken = Counter()  # fees charged, by account

    def take(self, event):
        if isinstance(event, TradeExecuted):
            self.trade(event.trade)
        elif isinstance(event, FundingPaid):
            self.income[event.account] += event.change
            # Rounded down for both sides.
            assert event.change <= Fraction(-event.size * event.rate * self.lot(event))
        elif isinstance(event, Liquidated) and event.kind == "partial":
            self.income[INSURANCE_FUND] += event.fee

    def lot(self, event):
        return Fraction(self.lots[event.market_index], MILLION)

    def trade(self, trade):
        market, quote = trade.market_index, trade.quote
        multiplier = MARKETS[market].quote_multiplier
        assert quote == trade.price * trade.base * multiplier
        for account, sign, pnl in (
            (trade.ask_account, -1, trade.ask_pnl),
            (trade.bid_account, 1, trade.bid_pnl),
        ):
            self.size[account, market] += sign * trade.base
            self.cash[account, market] -= sign * quote
            self.realized[account, market] += pnl
        sides = (
            (trade.is_maker_ask, trade.maker_fee_amount, trade.maker_integrator),
            (not trade.is_maker_ask, trade.taker_fee_amount, trade.taker_integrator),
        )
        for is_ask, fee, share in sides:
            account = trade.ask_account if is_ask else trade.bid_account
            self.income[account] -= fee
            self.taken[account] += fee
            if share is not None:
                seen["shares"] += 1
                # Halves up, and on the whole value: never more than a unit off.
                exact = Fraction(quote * share.fee, MILLION)
                assert abs(share.amount - exact) <= Fraction(1, 2)
                self.income[account] -= share.amount
                self.taken[account] += share.amount
                self.income[share.account] += share.amount
                self.taken[share.account] -= share.amount


class Accounting(RuleBasedStateMachine):
    """Users, an integrator and two jumpy markets; every kind of order."""

    @initialize(tier=st.sampled_from(("standard", "premium")), mode=indices)
    def open(self, tier, mode):
        chosen = VenueSettings(
            tier=tier,
            price_bands="off",
            reduce_only_without_position="cancel" if mode else "refuse",
        )
        accounts = open_accounts(chosen, ())
        for index in USERS:
            accounts[index] = Account(
                index=index,
                l1_address=f"0x{index:040x}",
                tier=TIERS[tier],
                api_keys={4: ApiKey(4, "", 1)},
                ledger=AccountLedger(collateral=COLLATERAL),
            )
        self.accounts = accounts
        self.now_us = START_US
        self.exchange = Exchange(chosen, MARKETS, accounts, now_us=START_US)
        self.price = {0: 300_000, 1: 300_000}
        self.books = Books()
        self.missed = dict.fromkeys(USERS, 0)
        for market in (0, 1):
            self.quote(market, 0, 3_000)
        self.approve(USERS[0], USERS[2])
        self.approve(USERS[1], OUTSIDER)

    # Acts

    def collect(self):
        self.books.lots = self.exchange.lot_values
        events = self.exchange.advance(self.now_us)
        told = set()
        for event in events:
            self.books.take(event)
            seen[type(event).__name__] += 1
            if isinstance(event, Liquidated):
                seen[event.kind] += 1
                if event.kind == "deleverage":
                    told.add(event.account)
        for index in USERS:
            # Only a takeover moves money without a number of its own; of who holds
            # nothing any more it takes a debt and no more.
            moved = self.unexplained(index) - self.missed[index]
            assert not moved or index in told or self.was_in_debt(index, moved)
            self.missed[index] += moved
            seen["debts"] += moved > 0 and index not in told

    def was_in_debt(self, index, moved):
        ledger = self.accounts[index].ledger
        return moved > 0 and not ledger.cross_part().collateral

    def unexplained(self, index):
        """Collateral that the books do not account for."""
        books, ledger = self.books, self.accounts[index].ledger
        realized = sum(books.realized[index, market] for market in (0, 1))
        start = COLLATERAL if index in USERS else 0
        return ledger.collateral - start - realized - books.income[index]

    def quote(self, market, step, base):
        """Move the index by thousandths, and the book with it."""
        price = self.price[market] * (1_000 + step) // 1_000
        price = self.price[market] = min(max(1_000, price), 3_000_000)
        gap = max(1, price // 500)
        gone = [
            SetLevel(market, *level, 0)
            for level in self.exchange.markets[market].flow_levels
        ]
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

    def send(self, owner, tx_type, attributes=None, **fields):
        key = self.accounts[owner].api_keys[4]
        info = {
            "AccountIndex": owner,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": key.nonce,
            "Sig": "",
            "L2TxAttributes": attributes,
            **fields,
        }
        name = f"{owner:040x}{key.nonce:040x}"
        try:
            self.exchange.submit(tx_type, info, name, now_us=self.now_us)
        except Refused:
            seen["refused"] += 1
            return
        self.now_us += 400_000
        self.collect()

    def body(self, market, lots, **fields):
        return {
            "MarketIndex": market,
            "ClientOrderIndex": 0,
            "BaseAmount": abs(lots),
            "Price": self.price[market],
            "IsAsk": int(lots < 0),
            "Type": 0,
            "TimeInForce": 1,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_us // 1_000 + DAY_MS,
            **fields,
        }

    def terms(self, owner, pays, mode):
        """An integrator's fees, or a self-trade mode: both do not go together."""
        if pays and self.accounts[owner].integrators:
            collector = next(iter(self.accounts[owner].integrators))
            return {"1": collector, "2": 1_003, "3": 507}
        return {"6": mode} if mode else None

    @rule(owner=users, collector=st.sampled_from((*USERS, OUTSIDER)))
    def approve(self, owner, collector):
        self.send(
            owner,
            45,
            IntegratorAccountIndex=collector,
            MaxPerpsTakerFee=1_003,
            MaxPerpsMakerFee=507,
            MaxSpotTakerFee=0,
            MaxSpotMakerFee=0,
            ApprovalExpiry=self.now_us // 1_000 + 60 * DAY_MS,
        )

    @rule(
        owner=users,
        market=indices,
        lots=st.sampled_from((-1_907, -1_603, -801, 801, 1_603, 1_907)),
        reduces=st.sampled_from((False, False, True)),
        pays=st.booleans(),
        mode=st.integers(0, 3),
    )
    def take(  # noqa: PLR0917 - hypothesis gives them by name
        self, owner, market, lots, reduces, pays, mode
    ):
        price = self.price[market] * (1_010 if lots > 0 else 990) // 1_000
        fields = {"TimeInForce": 0, "OrderExpiry": 0, "ReduceOnly": int(reduces)}
        order = self.body(market, lots, Price=price, Type=int(pays), **fields)
        self.send(owner, 14, self.terms(owner, pays, mode), **order)

    @rule(
        owner=users,
        market=indices,
        lots=sizes,
        away=st.integers(-5, 30),
        pays=st.booleans(),
    )
    def make(self, owner, market, lots, away, pays):
        toward = -away if lots > 0 else away
        price = self.price[market] * (1_000 + toward) // 1_000
        order = self.body(market, lots // 4, Price=price)
        self.send(owner, 14, self.terms(owner, pays, 0), **order)

    @rule(owner=users, market=indices, kind=st.sampled_from((2, 4)), gap=steps)
    def protect(self, owner, market, kind, gap):
        size = self.accounts[owner].ledger.size(market)
        is_ask = int(size >= 0)
        trigger = self.price[market] * (1_000 + gap) // 1_000
        worst = self.price[market] * (800 if is_ask else 1_200) // 1_000
        order = self.body(
            market, 0, Type=kind, TimeInForce=0, Price=worst, TriggerPrice=trigger
        )
        self.send(owner, 14, **order | {"IsAsk": is_ask, "ReduceOnly": 1})

    @rule(owner=users, market=indices, lots=sizes, gap=st.sampled_from((3, 12)))
    def bracket(self, owner, market, lots, gap):
        toward = 1 if lots > 0 else -1
        price, away = self.price[market], self.price[market] * gap // 1_000
        legs = [
            self.body(
                market,
                0,
                Type=kind,
                TimeInForce=0,
                IsAsk=int(lots > 0),
                ReduceOnly=1,
                TriggerPrice=price + side * toward * away,
                Price=price * (800 if lots > 0 else 1_200) // 1_000,
            )
            for kind, side in ((2, -1), (4, 1))
        ]
        parent = self.body(market, lots, Price=price * (1_000 + 5 * toward) // 1_000)
        self.send(owner, 28, GroupingType=3, Orders=[parent, *legs])

    @rule(owner=users, market=indices, lots=sizes)
    def slice(self, owner, market, lots):
        price = self.price[market] * (1_020 if lots > 0 else 980) // 1_000
        expiry = self.now_us // 1_000 + 600_000
        order = self.body(market, lots, Type=6, Price=price, OrderExpiry=expiry)
        self.send(owner, 14, **order)

    @rule(owner=users)
    def cancel_all(self, owner):
        self.send(owner, 16, TimeInForce=0, Time=0)

    @rule(
        owner=users,
        market=indices,
        mode=st.sampled_from((0, 1)),
        fraction=st.sampled_from((200, 250, 1_000, 10_000)),
    )
    def leverage(self, owner, market, mode, fraction):
        fields = {"InitialMarginFraction": fraction, "MarginMode": mode}
        self.send(owner, 20, MarketIndex=market, **fields)

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

    @rule(
        owner=users,
        market=indices,
        step=st.sampled_from((30, 42, 46, 60)),
        base=st.sampled_from((0, 50, 3_000)),
    )
    def squeeze(self, owner, market, step, base):
        """The price moves against somebody."""
        size = self.accounts[owner].ledger.size(market)
        if size:
            self.quote(market, -step if size > 0 else step, base)

    @rule(owner=users, market=indices, moves=st.sampled_from((2, 9, 25)))
    def slide(self, owner, market, moves):
        """The same, by so little at a time that no threshold is jumped over."""
        size = self.accounts[owner].ledger.size(market)
        for _ in range(moves):
            if size and self.accounts[owner].ledger.size(market) == size:
                self.quote(market, -3 if size > 0 else 3, 3_000)

    @rule(seconds=st.sampled_from((30, 61, 3_600, 10_800)))
    def wait(self, seconds):
        self.now_us += seconds * MILLION
        self.collect()

    # What must hold

    @invariant()
    def nothing_is_made_or_lost(self):
        whole = worth = 0
        for account in self.accounts.values():
            ledger = account.ledger
            whole += ledger.collateral + ledger.fees_paid
            worth += ledger.equity(self.exchange.lot_values) + ledger.fees_paid
            for position in ledger.positions.values():
                long = position.size > 0
                whole -= position.entry_quote if long else -position.entry_quote
        # At one and the same mark price open profits cancel out, whatever it is.
        gone = self.books.income[OUTSIDER]
        assert gone >= 0
        assert whole == worth == COLLATERAL * len(USERS)

    @invariant()
    def positions_and_profits_are_what_the_trades_make(self):
        books = self.books
        for index, account in self.accounts.items():
            for market, held in account.ledger.positions.items():
                assert held.size == books.size[index, market]
                assert held.realized_pnl == books.realized[index, market]
                cost = held.entry_quote if held.size > 0 else -held.entry_quote
                assert held.entry_quote >= 0
                assert held.size or not held.entry_quote
                # To the last unit: what was taken out is what is not in it any more.
                assert held.realized_pnl - cost == books.cash[index, market]
            if index in USERS:
                fees = account.ledger.fees_paid
                assert fees == books.taken[index]

    @invariant()
    def what_the_books_miss_went_from_users_to_the_fund(self):
        # A takeover's remains, and what rounding leaves of funding.
        missing = sum(self.unexplained(index) for index in USERS)
        kept = self.accounts[INSURANCE_FUND].ledger.collateral
        flow = [i for i in self.accounts if i not in (*USERS, INSURANCE_FUND)]
        others = sum(self.accounts[i].ledger.collateral for i in flow)
        realized = sum(self.books.realized[i, m] for i in flow for m in (0, 1))
        fund = sum(self.books.realized[INSURANCE_FUND, m] for m in (0, 1))
        told = sum(self.books.income[i] for i in (*flow, INSURANCE_FUND))
        funding = sum(
            event.change for i in USERS for event in self.accounts[i].fundings
        )
        assert missing + kept + others == realized + fund + told - funding

    @invariant()
    def nobody_is_worth_less_than_nothing(self):
        for index in USERS:
            account = self.accounts[index]
            for part in (None, *account.ledger.allocated):
                health = health_of(account, self.exchange.markets, part)
                assert health.equity >= 0, (index, part, health)
                assert not health.is_full

    @invariant()
    def waiting_orders_are_somebodys(self):
        for index in USERS:
            account = self.accounts[index]
            for order in account.open_orders.values():
                assert order.status in ("open", "pending")
                assert order.owner == index


def test_books_kept_from_public_events_agree_with_every_account():
    run_until_reached(
        Accounting,
        settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None),
        seen=seen,
        reached=("partial", "deleverage", "FundingPaid", "TradeExecuted", "shares"),
        at_random="WRAPPY_FUZZ_CASES" in os.environ,
    )
