"""Spot markets, transfers, withdrawals and sub-accounts: every asset adds up.

Of USDC: collateral, fees paid for positions and what spot wallets hold, minus the
signed cost of the positions, plus what was withdrawn. Of every other asset: what spot
wallets hold, plus what was withdrawn. Both never change, to the last unit.
"""

from __future__ import annotations

import os
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
from wrappy.protocol.markets import BUNDLED_MARKETS, find_market
from wrappy.venue.account_events import Withdrawn
from wrappy.venue.accounts import make_accounts, open_accounts
from wrappy.venue.events import (
    OrderChanged,
    SetIndexPrice,
    SetLevel,
    Take,
    TradeExecuted,
    TxExecuted,
)
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.settings import VenueSettings

EXAMPLES = int(os.environ.get("WRAPPY_FUZZ_CASES", "2000")) // 40
START_US = 1_800_000_000_000_000
DAY_MS = 86_400_000
MILLION = 1_000_000
USDC, ETH = 3, 1
PERP, SPOT = 0, 2_048
LOT_OF_ETH = 10_000
"""Units of a transfer, 1e-8, in one lot of the spot market, 1e-4."""
SYMBOLS = ("ETH", "ETH/USDC")

owners = st.integers(0, 2)
markets = st.sampled_from((SPOT, SPOT, PERP))
lots = st.sampled_from((-1_703, -401, -97, 97, 401, 1_703))
routes = st.sampled_from((0, 1))
seen = Counter()


class Assets(RuleBasedStateMachine):
    """Three users with two wallets each at a perpetual and a spot market."""

    @initialize(tier=st.sampled_from(("standard", "premium")), fee=routes)
    def open(self, tier, fee):
        chosen = VenueSettings(
            tier=tier,
            account_count=3,
            symbols=SYMBOLS,
            collateral=60 * MILLION + 1,
            spot_balances=("USDC=300.000007", "ETH=0.1203"),
            transfer_fee=fee * 1_000_003,
            price_bands="off",
        )
        found = [find_market(BUNDLED_MARKETS, symbol=symbol) for symbol in SYMBOLS]
        users = make_accounts(chosen)
        self.accounts = open_accounts(chosen, users)
        self.users = [user.account_index for user in users]
        self.fee = fee * 1_000_003
        self.now_us = START_US
        self.exchange = Exchange(chosen, found, self.accounts, now_us=START_US)
        self.price = dict.fromkeys((PERP, SPOT), 300_000)
        self.levels = {PERP: [], SPOT: []}
        self.gone = Counter()
        for market in (PERP, SPOT):
            self.quote(market, 0, 3_000)
        self.before = self.totals()

    def collect(self):
        for event in self.exchange.advance(self.now_us):
            seen[type(event).__name__] += 1
            if isinstance(event, Withdrawn):
                scale = 1 if event.asset == USDC else LOT_OF_ETH
                self.gone[event.asset] += event.amount // scale
            elif isinstance(event, TxExecuted):
                seen[event.tx_type, event.succeeded and not event.code] += 1
            elif isinstance(event, TradeExecuted):
                seen["trade", event.trade.market_index] += 1
            elif isinstance(event, OrderChanged):
                seen[event.order.status] += 1

    def totals(self):
        """What there is of every asset, wherever it is."""
        whole = Counter(self.gone)
        for account in self.exchange.accounts.values():
            ledger = account.ledger
            whole[USDC] += ledger.collateral + ledger.fees_paid
            for held in ledger.positions.values():
                whole[USDC] -= held.entry_quote if held.size > 0 else -held.entry_quote
            for asset, amount in account.spot.held.items():
                whole[asset] += amount
        return whole

    def quote(self, market, step, base):
        price = self.price[market] * (1_000 + step) // 1_000
        price = self.price[market] = min(max(50_000, price), 2_000_000)
        gap = price // 500
        gone = [SetLevel(market, *level, 0) for level in self.levels[market]]
        self.levels[market] = [
            (is_ask, price + side * gap) for is_ask, side in ((False, -1), (True, 1))
        ]
        new = [SetLevel(market, *level, base) for level in self.levels[market]]
        acts = [*gone, SetIndexPrice(market, price), *new]
        if base:
            acts.append(Take(market, True, price - gap, 1))
        self.exchange.apply_flow(acts, now_us=self.now_us)
        self.collect()

    def send(self, owner, tx_type, owner_field="AccountIndex", rest_ms=400, **fields):
        index = self.users[owner % len(self.users)]
        account = self.exchange.accounts[index]
        if not account.api_keys:
            return
        slot = min(account.api_keys)
        nonce = account.api_keys[slot].nonce
        info = {
            owner_field: index,
            "ApiKeyIndex": slot,
            "ExpiredAt": self.now_us // 1_000 + 600_000,
            "Nonce": nonce,
            "Sig": "",
            "L2TxAttributes": None,
            **fields,
        }
        try:
            name = f"{index:040x}{nonce:040x}"
            self.exchange.submit(tx_type, info, name, now_us=self.now_us)
        except Refused as refusal:
            seen[tx_type, refusal.code] += 1
            return
        self.now_us += rest_ms * 1_000
        self.collect()

    @rule(
        owner=owners,
        market=markets,
        size=lots,
        away=st.integers(-6, 12),
        kind=st.sampled_from(((0, 1), (0, 1), (0, 2), (0, 0), (1, 0))),
    )
    def order(self, owner, market, size, away, kind):
        toward = -away if size > 0 else away
        price = self.price[market] * (1_000 + toward) // 1_000
        self.send(owner, 14, **self.order_of(market, size, price, *kind))

    def order_of(self, market, size, price, order_type=0, tif=1):
        return {
            "MarketIndex": market,
            "ClientOrderIndex": 0,
            "BaseAmount": abs(size),
            "Price": price,
            "IsAsk": int(size < 0),
            "Type": order_type,
            "TimeInForce": tif,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_us // 1_000 + DAY_MS if tif else 0,
        }

    @rule(owner=owners)
    def promise_the_same_lots_twice(self, owner):
        """Both pass the door; the second finds them locked when it is executed."""
        free = self.accounts[self.users[owner]].spot.free(ETH)
        if free >= 100:
            asked = self.order_of(SPOT, -free, self.price[SPOT] * 2)
            self.send(owner, 14, rest_ms=0, **asked)
            self.send(owner, 14, **asked)

    @rule(owner=owners, rank=st.integers(0, 9), size=st.sampled_from((0, 99, 1_601)))
    def modify(self, owner, rank, size):
        live = list(self.accounts[self.users[owner]].open_orders.values())
        if live:
            order = live[rank % len(live)]
            self.send(
                owner,
                17,
                MarketIndex=order.market_index,
                Index=order.order_index,
                BaseAmount=size,
                Price=order.price + 50,
                TriggerPrice=0,
            )

    @rule(owner=owners)
    def cancel_all(self, owner):
        self.send(owner, 16, TimeInForce=0, Time=0)

    @rule(
        owner=owners,
        to=st.integers(0, 3),
        asset=st.sampled_from((USDC, USDC, ETH)),
        amount=st.sampled_from((1, 1_000_001, 20_000_003, 40_000_000, 300_000_000)),
        way=st.tuples(routes, routes),
    )
    def transfer(self, owner, to, asset, amount, way):
        receiver = self.users[to % len(self.users)]
        # Among an owner's own accounts it is free.
        own = self.exchange.accounts[self.users[owner]].l1_address
        free = self.exchange.accounts[receiver].l1_address == own
        if asset == ETH:
            amount = amount // LOT_OF_ETH * LOT_OF_ETH
        self.send(
            owner,
            12,
            "FromAccountIndex",
            ToAccountIndex=receiver,
            AssetIndex=asset,
            FromRouteType=way[0],
            ToRouteType=way[1],
            Amount=amount,
            USDCFee=0 if free else self.fee,
            Memo=[0] * 32,
        )

    @rule(
        owner=owners,
        asset=st.sampled_from((USDC, ETH)),
        amount=st.sampled_from((1_000_001, 5_000_000, 20_010_000)),
        route=routes,
    )
    def withdraw(self, owner, asset, amount, route):
        amount -= amount % LOT_OF_ETH if asset == ETH else 0
        self.send(
            owner,
            13,
            "FromAccountIndex",
            AssetIndex=asset,
            RouteType=route,
            Amount=amount,
        )

    @rule(owner=owners, mode=routes)
    def purse(self, owner, mode):
        self.send(owner, 41, AccountTradingMode=mode)

    @rule(owner=owners)
    def open_another(self, owner):
        if len(self.users) < 6:
            known = set(self.exchange.accounts)
            self.send(owner, 9)
            self.users += sorted(set(self.exchange.accounts) - known)

    @rule(
        market=markets,
        step=st.sampled_from((-55, -4, 3, 5, 60)),
        base=st.sampled_from((0, 90, 3_000)),
    )
    def move(self, market, step, base):
        self.quote(market, step, base)

    @rule(seconds=st.sampled_from((30, 3_600)))
    def wait(self, seconds):
        self.now_us += seconds * MILLION
        self.collect()

    @invariant()
    def nothing_is_made_or_lost(self):
        totals = self.totals()
        for asset in (USDC, ETH):
            assert totals[asset] == self.before[asset], asset

    @invariant()
    def nobody_owes_and_locks_are_what_orders_need(self):
        for index in self.users:
            account = self.exchange.accounts[index]
            assert all(amount >= 0 for amount in account.spot.held.values())
            needed = Counter()
            for order in account.open_orders.values():
                if order.market_index == SPOT and order.is_ask:
                    needed[ETH] += order.remaining
                elif order.market_index == SPOT:
                    multiplier = self.exchange.markets[SPOT].market.quote_multiplier
                    value = order.price * order.remaining * multiplier
                    rate = account.tier.maker_fee_tick
                    needed[USDC] += value + value * rate // MILLION
            locked = Counter(account.spot.locked)
            assert +locked == +needed
            for asset, amount in locked.items():
                if not account.shares_purse(asset):
                    assert amount <= account.spot.balance(asset)
            if account.trading_mode == 0:
                assert account.ledger.equity(self.exchange.lot_values) >= 0


def test_every_asset_adds_up_wherever_it_goes():
    reached = (
        ("trade", PERP),
        ("trade", SPOT),
        (12, True),
        (13, True),
        (41, True),
        (9, True),
        "Withdrawn",
        "Transferred",
        "canceled-invalid-balance",
    )
    run_until_reached(
        Assets,
        settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None),
        seen=seen,
        reached=reached,
        at_random="WRAPPY_FUZZ_CASES" in os.environ,
    )
