"""Spot money: whatever users and the market do, nothing appears and nothing is lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.venue.test_spot import (
    ALICE,
    ASSET,
    BOB,
    ETH,
    PARTNER,
    PRICE,
    SPOT,
    UNIFIED,
    USDC,
    Desk,
)
from wrappy.model import OrderType, TimeInForce
from wrappy.venue.events import SetLevel, Take
from wrappy.venue.exchange import Refused

USERS = (ALICE, BOB, PARTNER)
prices = st.integers(PRICE - 20, PRICE + 20)
lots = st.integers(50, 30_000)
users = st.sampled_from(USERS)
forces = st.sampled_from([*TimeInForce])
cois = st.integers(1, 6)

orders = st.tuples(
    st.just("order"), users, lots, st.booleans(), prices, forces, cois, st.booleans()
)
modifies = st.tuples(st.just("modify"), users, lots, prices, cois)
cancels = st.tuples(st.just("cancel"), users, cois)
perpetual = st.tuples(st.just("perpetual"), users, lots, st.booleans())
modes = st.tuples(st.just("mode"), users, st.sampled_from([0, 1]))
levels = st.tuples(st.just("level"), prices, st.integers(0, 20_000), st.booleans())
takes = st.tuples(st.just("take"), prices, lots, st.booleans())
acts = st.one_of(orders, modifies, cancels, perpetual, modes, levels, takes)


def place(desk, what):
    user, base, is_ask, price, force, coi, is_market = what
    kind = OrderType.MARKET if is_market else OrderType.LIMIT
    if is_market:
        force = TimeInForce.IMMEDIATE_OR_CANCEL
    signed = -base if is_ask else base
    desk.order(signed, price, account=user, kind=kind, force=force, coi=coi)


def attempt(desk, kind, *what):
    try:
        act(desk, kind, *what)
    except Refused:
        desk.run()


def act(desk, kind, *what):
    if kind == "order":
        place(desk, what)
    elif kind == "modify":
        user, base, price, coi = what
        target = {"MarketIndex": SPOT.market_id, "Index": coi, "TriggerPrice": 0}
        desk.send(17, user, BaseAmount=base, Price=price, **target)
    elif kind == "cancel":
        user, coi = what
        desk.send(15, user, MarketIndex=SPOT.market_id, Index=coi)
    elif kind == "perpetual":
        user, base, is_ask = what
        desk.order(
            -base if is_ask else base,
            PRICE - 50 if is_ask else PRICE + 50,
            account=user,
            market=ETH,
            force=TimeInForce.IMMEDIATE_OR_CANCEL,
        )
    elif kind == "mode":
        desk.send(41, what[0], AccountTradingMode=what[1])
    elif kind == "level":
        price, base, is_ask = what
        desk.flow(SetLevel(SPOT.market_id, is_ask, price, base))
    else:
        price, base, is_ask = what
        desk.flow(Take(SPOT.market_id, is_ask, price, base))


def check(desk, whole):
    for asset, amount in whole.items():
        assert _owned(desk, asset) == amount
    for user in USERS:
        account = desk.accounts[user]
        spot = account.spot
        assert all(amount >= 0 for amount in spot.locked.values())
        assert all(amount >= 0 for amount in spot.held.values())
        assert spot.locked.get(ASSET, 0) <= spot.balance(ASSET)
        if account.trading_mode != UNIFIED:
            assert spot.locked.get(USDC, 0) <= spot.balance(USDC)
        resting = [
            order
            for order in account.open_orders.values()
            if order.market_index == SPOT.market_id
        ]
        sold = sum(order.remaining for order in resting if order.is_ask)
        assert spot.locked.get(ASSET, 0) == sold
        bought = sum(o.remaining * o.price for o in resting if not o.is_ask)
        locked = spot.locked.get(USDC, 0)
        assert bought <= locked <= bought + bought * 40 // 10**6 + 1


def _owned(desk, asset):
    # What perpetuals move between accounts is conserved with the positions' cost.
    if asset != USDC:
        return desk.total(asset)
    ledgers = [account.ledger for account in desk.accounts.values()]
    fees = sum(ledger.fees_paid for ledger in ledgers)
    cost = sum(
        position.entry_quote if position.size > 0 else -position.entry_quote
        for ledger in ledgers
        for position in ledger.positions.values()
    )
    return desk.total(USDC) + fees - cost


@settings(max_examples=80)
@given(st.lists(acts, max_size=40))
def test_assets_are_conserved_and_locks_match_what_rests(script):
    desk = Desk()
    desk.flow(SetLevel(0, True, PRICE, 10**6), SetLevel(0, False, PRICE - 1, 10**6))
    whole = {asset: _owned(desk, asset) for asset in (ASSET, USDC)}
    for kind, *what in script:
        attempt(desk, kind, *what)
        check(desk, whole)
    for user in USERS:
        desk.send(16, user, TimeInForce=0, Time=0)
        assert not any(desk.accounts[user].spot.locked.values())
    check(desk, whole)


@settings(max_examples=15)
@given(st.lists(acts, max_size=25))
def test_equal_scripts_give_equal_ledgers(script):
    hashes = []
    for _ in range(2):
        desk = Desk()
        for kind, *what in script:
            attempt(desk, kind, *what)
        hashes.append(desk.exchange.log.hash())
    assert hashes[0] == hashes[1]
