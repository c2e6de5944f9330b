"""Random users and random markets: what must hold at the exchange at any time."""

from __future__ import annotations

import copy
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import FLOW_MAKER, FLOW_TAKER, Account, ApiKey, open_accounts
from wrappy.venue.events import (
    LevelChanged,
    OrderChanged,
    SetIndexPrice,
    SetLevel,
    Take,
    TradeExecuted,
    TxExecuted,
    TxRefused,
)
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.settings import VenueSettings

MARKETS = (Market("ETH", 0, 2, 4, 50, 10_000_000), Market("BTC", 1, 1, 5, 10, 1))
START_US = 1_800_000_000_000_000
USERS = (100, 101)
COLLATERAL = 50_000_000


def create(rng):
    time_in_force = rng.choice((0, 1, 1, 2))
    market_order = time_in_force == 0 and rng.random() < 0.5
    body = {
        "MarketIndex": rng.randrange(2),
        "ClientOrderIndex": rng.randrange(30),
        "BaseAmount": rng.choice((50, 60, 100, 500, 5_000)),
        "Price": rng.randint(299_995, 300_005),
        "IsAsk": rng.randrange(2),
        "Type": int(market_order),
        "TimeInForce": time_in_force,
        "ReduceOnly": int(rng.random() < 0.25),
        "TriggerPrice": 0,
        "OrderExpiry": rng.choice((310_000, 600_000)) if time_in_force else 0,
    }
    if rng.random() < 0.1:
        spoiled = rng.choice(sorted(body))
        body[spoiled] = rng.choice((-1, 0, 7, 1 << 40))
    return 14, body


def waiting(rng, **fixed):
    """A trigger or TWAP order's fields."""
    kind = fixed.get("Type") or rng.choice((2, 2, 3, 4, 4, 5, 6))
    limited = kind in (3, 5)
    body = {
        "MarketIndex": rng.randrange(2),
        "ClientOrderIndex": rng.randrange(30),
        "BaseAmount": rng.choice((0, 50, 60, 500)),
        "Price": rng.randint(299_990, 300_010),
        "IsAsk": rng.randrange(2),
        "Type": kind,
        "TimeInForce": rng.choice((0, 1, 2)) if limited else int(kind == 6),
        "ReduceOnly": int(rng.random() < 0.6),
        "TriggerPrice": rng.randint(299_996, 300_004) if kind != 6 else 0,
        "OrderExpiry": rng.choice((310_000, 600_000)),
    }
    return {**body, **fixed}


def group(rng):
    """An OTO, OCO or OTOCO, now and then with a member that does not fit."""
    grouping = rng.choice((1, 2, 2, 3, 3))
    market, is_ask = rng.randrange(2), rng.randrange(2)
    fixed = {"MarketIndex": market, "OrderExpiry": 310_000, "ReduceOnly": 1}
    legs = [
        waiting(rng, Type=kind, IsAsk=is_ask, BaseAmount=0, **fixed)
        for kind in (rng.choice((2, 3)), rng.choice((4, 5)))
    ]
    if grouping == 2:
        size = rng.choice((0, 60, 500))
        orders = [{**leg, "BaseAmount": size} for leg in legs]
    else:
        parent = create(rng)[1] | {"MarketIndex": market, "IsAsk": 1 - is_ask}
        if parent["OrderExpiry"]:
            parent["OrderExpiry"] = 310_000
        orders = [parent, *legs][: grouping + 1 if grouping == 1 else 3]
    return 28, {"GroupingType": grouping, "Orders": orders}


def touch(rng):
    kind = rng.choice((15, 15, 17, 17, 16, 20, 29))
    body = {"MarketIndex": rng.randrange(2), "Index": rng.randrange(1, 30)}
    if kind == 17:
        body["BaseAmount"] = rng.choice((0, 1, 50, 60, 400))
        body["Price"] = rng.randint(299_995, 300_005)
        body["TriggerPrice"] = rng.choice((0, rng.randint(299_996, 300_004)))
    elif kind == 16:
        body = {"TimeInForce": rng.choice((0, 0, 1, 2)), "Time": 0}
    elif kind == 20:
        fraction = rng.choice((100, 200, 500, 5_000))
        mode = rng.randrange(2)
        body = {"MarketIndex": 1, "InitialMarginFraction": fraction, "MarginMode": mode}
    elif kind == 29:
        amount = rng.choice((1, 5_000, 1_000_000))
        body = {"MarketIndex": 1, "USDCAmount": amount, "Direction": rng.randrange(2)}
    return kind, body


def transaction(rng):
    draw = rng.random()
    if draw < 0.45:
        return create(rng)
    if draw < 0.6:
        return 14, waiting(rng)
    return group(rng) if draw < 0.75 else touch(rng)


def flow_action(rng):
    where = rng.randrange(2), rng.random() < 0.5, rng.randint(299_995, 300_005)
    kind = rng.randrange(5)
    if kind < 3:
        return SetLevel(*where, rng.choice((0, 10, 300, 4_000)))
    if kind == 3:
        return Take(*where, rng.choice((1, 60, 900)), print_rest=rng.random() < 0.5)
    return SetIndexPrice(where[0], where[2])


def script_of(seed, length=100):
    """Return acts of users, the market and time; a failure prints its seed."""
    rng = random.Random(seed)
    acts = []
    for _ in range(length):
        draw = rng.random()
        if draw < 0.6:
            extra = {"6": rng.randrange(4), "7": rng.randrange(2)}
            acts.append(
                (
                    "send",
                    rng.choice(USERS),
                    rng.choice((4, 5)),
                    transaction(rng),
                    extra if rng.random() < 0.5 else None,
                )
            )
        elif draw < 0.85:
            acts.append(("flow", [flow_action(rng) for _ in range(rng.randint(1, 4))]))
        else:
            pauses = (1, 200_000, 700_000, 700_000, 301_000_000)
            acts.append(("wait", rng.choice(pauses)))
    return acts


seeds = st.integers(0, (1 << 32) - 1)


class World:
    """An exchange of two users, fed by a script."""

    def __init__(self, tier):
        chosen = VenueSettings(tier=tier)
        accounts = open_accounts(chosen, ())
        for number in USERS:
            accounts[number] = Account(
                index=number,
                l1_address=f"0x{number:040x}",
                tier=TIERS[tier],
                api_keys={slot: ApiKey(slot, "", 1) for slot in (4, 5)},
                ledger=AccountLedger(collateral=COLLATERAL),
            )
        self.now_us = START_US
        self.sent = 0
        self.exchange = Exchange(chosen, MARKETS, accounts, now_us=START_US)
        self.events = []
        self.shown = {}

    def act(self, act):
        kind, *rest = act
        if kind == "wait":
            self.now_us += rest[0]
        elif kind == "flow":
            self.exchange.apply_flow(rest[0], now_us=self.now_us)
        else:
            self.send(*rest)
        fresh = self.exchange.advance(self.now_us)
        for event in fresh:
            if isinstance(event, LevelChanged):
                place = event.market_index, event.is_ask, event.price
                self.shown[place] = event.base
        self.events += fresh

    def send(self, account, slot, transaction, extra):
        tx_type, body = transaction
        now_ms = self.now_us // 1_000
        info = {
            "AccountIndex": account,
            "ApiKeyIndex": slot,
            "Nonce": self.exchange.accounts[account].api_keys[slot].nonce,
            "ExpiredAt": now_ms + 600_000,
            "L2TxAttributes": extra if tx_type in (14, 17, 28) else None,
            **body,
        }
        orders = [dict(order) for order in body.get("Orders", ())]
        if orders:
            info["Orders"] = orders
        for order in (info, *orders):
            if order.get("OrderExpiry"):
                order["OrderExpiry"] += now_ms
        self.sent += 1
        self.exchange.advance(self.now_us)
        before = self.picture()
        try:
            self.exchange.submit(tx_type, info, f"{self.sent:080x}", now_us=self.now_us)
        except Refused:
            assert self.picture() == before

    def picture(self):
        """Everything a refusal must leave alone."""
        return (
            [
                event
                for event in self.exchange.log.events
                if not isinstance(event, TxRefused)
            ],
            self.exchange.nonce,
            self.exchange.next_due_us(),
            [
                (
                    copy.deepcopy(account.api_keys),
                    set(account.open_orders),
                    set(account.queued_creates),
                    set(account.queued_cois),
                    set(account.used_cois),
                    account.ledger.collateral,
                    dict(account.ledger.allocated),
                )
                for account in self.exchange.accounts.values()
            ],
            [state.engine.depth() for state in self.exchange.markets.values()],
        )

    def check(self):
        accounts = self.exchange.accounts.values()
        whole = 0
        for account in accounts:
            ledger = account.ledger
            whole += ledger.collateral + ledger.fees_paid
            for position in ledger.positions.values():
                cost = position.entry_quote
                whole -= cost if position.size > 0 else -cost
            by_coi = {
                order.client_order_index: order
                for order in account.open_orders.values()
                if order.client_order_index
            }
            assert by_coi == account.by_coi
            for number, margin in ledger.allocated.items():
                assert margin >= 0
                assert ledger.size(number) or not margin
            self.check_waiting(account)
        assert whole == COLLATERAL * len(USERS)
        for number, state in self.exchange.markets.items():
            bid, ask = state.engine.best_bid, state.engine.best_ask
            assert bid is None or ask is None or bid < ask
            sizes = [account.ledger.size(number) for account in accounts]
            assert sum(sizes) == 0
            assert state.open_interest == sum(size for size in sizes if size > 0)
            bids, asks = state.engine.depth()
            for is_ask, levels in ((False, bids), (True, asks)):
                told = {
                    level: lots
                    for (where, side, level), lots in self.shown.items()
                    if (where, side) == (number, is_ask) and lots
                }
                assert told == dict(levels)
            resting = {
                order.order_index: order
                for is_ask in (False, True)
                for order in state.engine.orders(is_ask=is_ask)
                if order.owner in USERS
            }
            tabled = {
                key: order
                for account in accounts
                for key, order in account.open_orders.items()
                if order.market_index == number and not order.is_pending
            }
            assert resting == tabled

    def check_waiting(self, account):
        """What waits waits for something, and nothing waits that need not."""
        live = account.open_orders
        for order in live.values():
            state = self.exchange.markets[order.market_index]
            assert order.status in ("open", "pending")
            armed = order.trigger_status == "mark-price"
            assert (order.order_index in state.armed) == armed
            assert order.is_pending == (order.trigger_status != "na")
            if order.is_pending:
                assert order.expiry_ms * 1_000 > self.now_us
                assert order.order_index not in state.engine
            if armed:
                assert not order.is_crossed(state.mark_price)
            if order.trigger_status == "parent-order":
                assert order.order_index in live[order.parent_index].to_trigger
            if order.is_tied:
                reducible = account.ledger.reducible
                assert reducible(order.market_index, is_ask=order.is_ask) > 0


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(["standard", "premium"]))
def test_money_books_and_tables_agree_after_every_act(seed, tier):
    world = World(tier)
    for act in script_of(seed):
        world.act(act)
        world.check()
    world.act(("wait", 10_000_000))
    world.check()
    reduce_only = {
        event.order.order_index
        for event in world.events
        if isinstance(event, OrderChanged) and event.order.reduce_only
    }
    for event in world.events:
        if not isinstance(event, TradeExecuted):
            continue
        trade = event.trade
        assert trade.ask_account != trade.bid_account
        if trade.is_maker_ask:
            ask_before, bid_before = trade.maker_before, trade.taker_before
        else:
            ask_before, bid_before = trade.taker_before, trade.maker_before
        if trade.ask_order_index in reduce_only:
            assert ask_before.position >= trade.base
        if trade.bid_order_index in reduce_only:
            assert -bid_before.position >= trade.base
    for account in USERS:
        for order in world.exchange.log.orders(account):
            assert 0 <= order.filled_base <= order.initial_base
    # Every accepted transaction was executed once, per key in order of its nonce.
    executed = [event for event in world.events if isinstance(event, TxExecuted)]
    accepted = world.exchange.log.accepted()
    assert sorted(event.tx_hash for event in executed) == sorted(
        event.tx_hash for event in accepted
    )
    last = {}
    for event in executed:
        record = world.exchange.transaction(event.tx_hash)
        place = record.account, record.api_key_index
        assert record.nonce == last.get(place, 0) + 1
        last[place] = record.nonce


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_equal_scripts_make_equal_records(seed):
    hashes = []
    for _ in range(2):
        world = World("premium")
        for act in script_of(seed):
            world.act(act)
        hashes.append(world.exchange.log.hash())
    assert hashes[0] == hashes[1]


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_flows_own_quotes_never_trade_with_each_other(seed):
    world = World("premium")
    for act in script_of(seed):
        if act[0] != "flow":
            continue
        world.act(act)
        world.check()
    for event in world.events:
        if isinstance(event, TradeExecuted):
            owners = {event.trade.ask_account, event.trade.bid_account}
            assert owners == {FLOW_MAKER, FLOW_TAKER}


def test_the_scripts_reach_every_end_an_order_can_have():
    statuses = set()
    trades = 0
    for seed in range(60):
        world = World("premium")
        for act in script_of(seed):
            world.act(act)
        statuses |= {order.status for order in world.exchange.log.orders()}
        trades += len(world.exchange.log.trades())
    assert trades > 300
    assert statuses >= {
        "open",
        "filled",
        "canceled",
        "canceled-post-only",
        "canceled-reduce-only",
        "canceled-margin-not-allowed",
        "canceled-too-much-slippage",
        "canceled-not-enough-liquidity",
        "canceled-self-trade",
        "canceled-expired",
        "pending",
        "canceled-oco",
        "canceled-child",
    }
