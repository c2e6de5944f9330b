"""Whatever moves between accounts, no money comes from nowhere or gets lost."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.venue.accounts_desk import (
    ALICE,
    BOB,
    IOC,
    NEW_KEY,
    PRICE,
    TWIN,
    USDC,
    AccountsDesk,
)
from wrappy.venue.account_events import Withdrawn
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.exchange import Refused

USERS = (ALICE, TWIN, BOB)
ETH_ASSET = 1
who = st.integers(0, 4)
routes = st.integers(0, 1)
amounts = st.integers(0, 1_500 * USDC)
STEPS = st.one_of(
    st.tuples(st.just("transfer"), who, who, routes, routes, amounts),
    st.tuples(st.just("asset"), who, who, st.integers(0, 10**6)),
    st.tuples(st.just("withdraw"), who, routes, amounts),
    st.tuples(st.just("trade"), who, st.integers(0, 1), st.integers(100, 20_000)),
    st.tuples(st.just("price"), st.integers(-20, 20)),
    st.tuples(st.just("open"), who),
    st.tuples(st.just("mode"), who, st.integers(0, 1)),
)


class World:
    """A desk on which anything may happen, and what there is in it."""

    def __init__(self):
        self.desk = AccountsDesk(price_bands="off")
        self.price = PRICE
        for index in USERS:
            spot = self.desk.accounts[index].spot
            spot.add(3, 100 * USDC)
            spot.add(ETH_ASSET, 50)
        self.quote()

    def quote(self):
        state = self.desk.exchange.markets[0]
        gone = [SetLevel(0, *level, 0) for level in state.flow_levels]
        levels = [
            SetLevel(0, True, self.price + 10, 100_000),
            SetLevel(0, False, self.price - 10, 100_000),
        ]
        self.desk.exchange.apply_flow(
            [*gone, SetIndexPrice(0, self.price), *levels], now_us=self.desk.now_us
        )

    def account(self, number):
        users = [i for i, a in self.desk.accounts.items() if not a.is_flow]
        return users[number % len(users)]

    def money(self):
        """Return all USDC, what left included, and all lots of the other asset."""
        usdc = lots = 0
        for account in self.desk.accounts.values():
            ledger = account.ledger
            usdc += ledger.collateral + ledger.fees_paid + account.spot.balance(3)
            lots += account.spot.balance(ETH_ASSET)
            for position in ledger.positions.values():
                sign = 1 if position.size > 0 else -1
                usdc -= sign * position.entry_quote
        for gone in self.desk.log.of(Withdrawn):
            usdc += gone.amount
        return usdc, lots

    def act(self, kind, *what):
        desk = self.desk
        if kind == "transfer":
            sender, to, from_route, to_route, amount = what
            route = {"FromRouteType": from_route, "ToRouteType": to_route}
            desk.transfer(self.account(to), amount, self.account(sender), **route)
        elif kind == "asset":
            sender, to, amount = what
            route = {"FromRouteType": 1, "ToRouteType": 1, "AssetIndex": ETH_ASSET}
            desk.transfer(self.account(to), amount, self.account(sender), **route)
        elif kind == "withdraw":
            owner, route, amount = what
            desk.withdraw(amount, self.account(owner), RouteType=route)
        elif kind == "trade":
            owner, is_ask, lots = what
            price = self.price * (90 if is_ask else 110) // 100
            order = {"IsAsk": is_ask, "BaseAmount": lots, "Price": price}
            desk.order(self.account(owner), TimeInForce=IOC, **order)
        elif kind == "price":
            self.price = self.price * (100 + what[0]) // 100
            self.quote()
        elif kind == "open":
            desk.send(9, self.account(what[0]))
        else:
            owner, mode = what
            desk.send(41, self.account(owner), AccountTradingMode=mode)


@given(st.lists(STEPS, max_size=30))
def test_money_is_kept_over_transfers_trades_and_withdrawals(steps):
    world = World()
    before = world.money()
    for step in steps:
        with contextlib.suppress(Refused):
            world.act(*step)
        assert world.money() == before


@given(st.lists(STEPS, max_size=30))
def test_nobody_sends_what_is_not_free(steps):
    world = World()

    def free_of(sender):
        return sender.ledger.available(
            world.desk.exchange.lot_values, sender.initial_margin_fractions
        )

    for step in steps:
        if step[0] not in ("transfer", "asset", "withdraw"):
            with contextlib.suppress(Refused):
                world.act(*step)
            continue
        sender = world.desk.accounts[world.account(step[1])]
        before = free_of(sender)
        with contextlib.suppress(Refused):
            world.act(*step)
            # Spot money may leave although a price has eaten the margin.
            assert free_of(sender) >= min(0, before)
            assert all(amount >= 0 for amount in sender.spot.held.values())


@given(st.lists(st.sampled_from((ALICE, BOB)), max_size=20))
def test_no_two_accounts_get_one_index(owners):
    desk = AccountsDesk()
    for owner in owners:
        with contextlib.suppress(Refused):
            desk.send(9, owner)
    for index, account in desk.accounts.items():
        assert account.index == index
    for owner in (ALICE, BOB):
        subs = [a for a in desk.accounts.values() if a.profile.master == owner]
        assert len(subs) == min(8, owners.count(owner))
        for sub in subs:
            desk.transfer(sub.index, USDC, owner)
            desk.send(8, sub.index, PubKey=NEW_KEY)
            assert list(sub.api_keys) == [4]
