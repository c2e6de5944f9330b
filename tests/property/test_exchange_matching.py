"""The exchange against a naive one: a list of orders, sorted anew for every fill.

Every transaction goes in through the exchange's front; what it says of fills, order
states, order indices and books must be what the naive one says, to the last lot.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

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
from wrappy.venue.accounts import Account, ApiKey, open_accounts
from wrappy.venue.events import OrderChanged, TradeExecuted, TxExecuted
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.settings import VenueSettings

EXAMPLES = int(os.environ.get("WRAPPY_FUZZ_CASES", "4000")) // 50
MARKETS = (Market("ETH", 0, 2, 4, 1, 0), Market("BTC", 1, 1, 5, 1, 0))
START_MS = 1_800_000_000_000
OWNERS = (100, 101, 102)
IOC, GTT, POST_ONLY = 0, 1, 2
LIMIT, MARKET_ORDER = 0, 1
NEVER = 20 * 86_400_000
SOON = 301_000
seen = Counter()


@dataclass
class Row:
    """One order of the naive exchange."""

    index: int
    coi: int
    owner: int
    market: int
    is_ask: bool
    price: int
    total: int
    left: int
    tif: int
    kind: int
    reduces: bool
    mode: int
    expiry_ms: int
    place: int = 0
    filled: int = 0
    netted: int = 0
    """Lots that met an own order and are gone without a trade."""
    paid: int = 0
    status: str = "new"


@dataclass
class Naive:
    """Plain lists; everything is looked for, nothing is kept in order."""

    rows: list[Row] = field(default_factory=list)
    fills: list[tuple] = field(default_factory=list)
    positions: Counter = field(default_factory=Counter)
    made: Counter = field(default_factory=Counter)
    places: int = 0

    def live(self):
        return [row for row in self.rows if row.status == "open"]

    def number(self, market, is_ask):
        self.made[market, is_ask] += 1
        count = self.made[market, is_ask]
        low = count if is_ask else (1 << 48) - count
        return ((market + 1) << 48) | low

    def find(self, owner, market, index):
        return next(
            (
                row
                for row in self.live()
                if (row.owner, row.market) == (owner, market)
                and index in (row.index, row.coi)
            ),
            None,
        )

    def room(self, row):
        """Lots by which the order could shrink its owner's position."""
        size = self.positions[row.owner, row.market]
        return max(0, size if row.is_ask else -size)

    def best(self, taker):
        against = [
            row
            for row in self.live()
            if row.market == taker.market and row.is_ask != taker.is_ask
        ]
        sign = -1 if taker.is_ask else 1
        return min(against, key=lambda row: (sign * row.price, row.place), default=None)

    def reach(self, taker, maker, start):
        """Lots the taker's price allows there: the most, found by trying them all."""
        sign = -1 if taker.is_ask else 1
        most = min(taker.left, maker.left)
        if taker.kind == LIMIT:
            return most if sign * (taker.price - maker.price) >= 0 else 0
        traded, paid = taker.filled - start[0], taker.paid - start[1]
        for lots in range(most, 0, -1):
            bound = taker.price * (traded + lots)
            if sign * (bound - paid - maker.price * lots) >= 0:
                return lots
        return 0

    def execute(self, taker, now_ms):
        taker.status = self.end_of(taker, now_ms)
        if taker.status == "open":
            self.places += 1
            taker.place = self.places
        # What can only shrink a position ends with it.
        for row in self.live():
            if row.reduces and not self.room(row):
                row.status = "canceled-reduce-only"

    def end_of(self, taker, now_ms):  # noqa: PLR0911 - the rules in their order
        if not taker.left:
            return "canceled-reduce-only"
        start = taker.filled, taker.paid
        while taker.left:
            maker = self.best(taker)
            lots = 0 if maker is None else self.reach(taker, maker, start)
            if not lots:
                break
            if maker.expiry_ms <= now_ms:
                maker.status = "canceled-expired"
            elif maker.owner == taker.owner:
                if self.meets_itself(taker, maker):
                    return "canceled-self-trade"
            elif maker.reduces and not self.room(maker):
                maker.status = "canceled-reduce-only"
            elif taker.tif == POST_ONLY:
                return "canceled-post-only"
            elif taker.reduces and not self.room(taker):
                return "canceled-reduce-only"
            else:
                caps = [self.room(row) for row in (maker, taker) if row.reduces]
                self.trade(maker, taker, min([lots, *caps]))
        if not taker.left:
            return "filled"
        if taker.kind == MARKET_ORDER and self.best(taker) is not None:
            return "canceled-too-much-slippage"
        if taker.reduces and not self.room(taker):
            return "canceled-reduce-only"
        if taker.tif == IOC:
            return "canceled-not-enough-liquidity"
        return "canceled-expired" if taker.expiry_ms <= now_ms else "open"

    def meets_itself(self, taker, maker):
        if taker.mode == 1:
            return True
        if taker.mode == 3:
            lots = min(taker.left, maker.left)
            for row in (taker, maker):
                row.left -= lots
                row.netted += lots
            if not maker.left:
                maker.status = "canceled-self-trade"
            return not taker.left
        maker.status = "canceled-self-trade"
        return taker.mode == 2

    def trade(self, maker, taker, lots):
        price = maker.price
        for row in (maker, taker):
            row.left -= lots
            row.filled += lots
            row.paid += lots * price
            change = -lots if row.is_ask else lots
            self.positions[row.owner, row.market] += change
        if not maker.left:
            maker.status = "filled"
        elif maker.reduces and not self.room(maker):
            maker.status = "canceled-reduce-only"
        ask, bid = (maker, taker) if maker.is_ask else (taker, maker)
        self.fills.append((maker.market, price, lots, ask.index, bid.index))


class Matching(RuleBasedStateMachine):
    """The same transactions to the exchange and to the naive one."""

    owners: ClassVar = st.sampled_from(OWNERS)
    markets: ClassVar = st.sampled_from((0, 0, 0, 1))
    prices: ClassVar = st.integers(997, 1_003)
    modes: ClassVar = st.integers(0, 3)
    numbers: ClassVar = st.integers(0, 8)

    @initialize(tier=st.sampled_from(("standard", "premium")))
    def open(self, tier):
        chosen = VenueSettings(
            tier=tier,
            price_bands="off",
            funding=False,
            liquidation=False,
            reduce_only_without_position="cancel",
        )
        accounts = open_accounts(chosen, ())
        for owner in OWNERS:
            accounts[owner] = Account(
                index=owner,
                l1_address=f"0x{owner:040x}",
                tier=TIERS[tier],
                api_keys={4: ApiKey(4, "", 1)},
                ledger=AccountLedger(collateral=10**15),
            )
        self.now_ms = START_MS
        self.exchange = Exchange(chosen, MARKETS, accounts, now_us=self.now_ms * 1_000)
        self.naive = Naive()
        self.fills = []
        self.states = {}

    def send(self, owner, tx_type, mode=0, **fields):
        """Submit and let it be executed; return its code, refusals negative."""
        key = self.exchange.accounts[owner].api_keys[4]
        info = {
            "AccountIndex": owner,
            "ApiKeyIndex": 4,
            "ExpiredAt": self.now_ms + 600_000,
            "Nonce": key.nonce,
            "Sig": "",
            "L2TxAttributes": {"6": mode} if mode else None,
            **fields,
        }
        name = f"{owner:040x}{key.nonce:040x}"
        try:
            receipt = self.exchange.submit(
                tx_type, info, name, now_us=self.now_ms * 1_000
            )
        except Refused as refusal:
            return -refusal.code
        due_ms = receipt.execute_at_us // 1_000
        self.now_ms += 1_000
        code = None
        for event in self.exchange.advance(self.now_ms * 1_000):
            if isinstance(event, TradeExecuted):
                told = event.trade
                self.fills.append(
                    (
                        told.market_index,
                        told.price,
                        told.base,
                        told.ask_order_index,
                        told.bid_order_index,
                    )
                )
            elif isinstance(event, OrderChanged):
                self.states[event.order.order_index] = event.order
            elif isinstance(event, TxExecuted):
                code = event.code
        assert code is not None
        self.due_ms = due_ms
        return code

    @rule(
        owner=owners,
        market=markets,
        coi=numbers,
        is_ask=st.booleans(),
        price=prices,
        base=st.sampled_from((0, 1, 3, 5, 8, 20)),
        kind=st.sampled_from(
            ((LIMIT, GTT),) * 4
            + ((LIMIT, POST_ONLY), (LIMIT, IOC), (MARKET_ORDER, IOC))
        ),
        reduces=st.sampled_from((False, False, True)),
        mode=modes,
        life_ms=st.sampled_from((SOON, NEVER, NEVER)),
    )
    def create(self, **fields):
        self.create_one(**fields)

    def create_one(
        self, *, owner, market, coi, is_ask, price, base, kind, reduces, mode, life_ms
    ):
        order_kind, tif = kind
        expiry_ms = 0 if tif == IOC else self.now_ms + life_ms
        code = self.send(
            owner,
            14,
            mode,
            MarketIndex=market,
            ClientOrderIndex=coi,
            BaseAmount=base,
            Price=price,
            IsAsk=int(is_ask),
            Type=order_kind,
            TimeInForce=tif,
            ReduceOnly=int(reduces),
            TriggerPrice=0,
            OrderExpiry=expiry_ms,
        )
        naive = self.naive
        taken = any(r.coi == coi and r.owner == owner for r in naive.live())
        if not (base or reduces):
            assert code == -21701
        elif coi and taken:
            assert code == -21728
        else:
            assert code == 0
            row = Row(
                index=naive.number(market, is_ask),
                coi=coi,
                owner=owner,
                market=market,
                is_ask=is_ask,
                price=price,
                total=base,
                left=base,
                tif=tif,
                kind=order_kind,
                reduces=reduces,
                mode=mode,
                expiry_ms=expiry_ms or 1 << 60,
            )
            row.total = row.left = base or naive.room(row)
            naive.rows.append(row)
            naive.execute(row, self.due_ms)

    @rule(
        owner=owners,
        market=markets,
        coi=numbers,
        is_ask=st.booleans(),
        reduces=st.booleans(),
        mode=modes,
    )
    def post_into_the_book(  # noqa: PLR0917 - hypothesis gives them by name
        self, owner, market, coi, is_ask, reduces, mode
    ):
        """Post only, at a price that meets whatever rests on the other side."""
        self.create_one(
            owner=owner,
            market=market,
            coi=coi,
            is_ask=is_ask,
            price=997 if is_ask else 1_003,
            base=5,
            kind=(LIMIT, POST_ONLY),
            reduces=reduces,
            mode=mode,
            life_ms=NEVER,
        )

    def pick(self, owner, market, coi, rank):
        """A client order index, or (without one) an order index that was made."""
        rows = [r for r in self.naive.rows if (r.owner, r.market) == (owner, market)]
        return coi or (rows[rank % len(rows)].index if rows else 1)

    @rule(owner=owners, market=markets, coi=numbers, rank=st.integers(0, 20))
    def cancel(self, owner, market, coi, rank):
        index = self.pick(owner, market, coi, rank)
        row = self.naive.find(owner, market, index)
        code = self.send(owner, 15, MarketIndex=market, Index=index)
        assert code == (0 if row else 21600)
        if row:
            row.status = "canceled"

    @rule(
        owner=owners,
        market=markets,
        coi=numbers,
        rank=st.integers(0, 20),
        base=st.sampled_from((0, 1, 4, 8, 30)),
        price=prices,
        mode=modes,
    )
    def modify(  # noqa: PLR0917 - hypothesis gives them by name
        self, owner, market, coi, rank, base, price, mode
    ):
        index = self.pick(owner, market, coi, rank)
        row = self.naive.find(owner, market, index)
        code = self.send(
            owner,
            17,
            mode,
            MarketIndex=market,
            Index=index,
            BaseAmount=base,
            Price=price,
            TriggerPrice=0,
        )
        if row is None:
            assert code == 21600
        elif row.expiry_ms <= self.due_ms:
            assert code == 21709
        else:
            assert code == 0
            self.naive.number(row.market, row.is_ask)
            row.price, row.mode, row.status = price, mode, "new"
            row.total = max(base, row.filled + row.netted)
            row.left = row.total - row.filled - row.netted
            if row.left:
                self.naive.execute(row, self.due_ms)
            else:
                row.status = "filled" if row.filled else "canceled"

    @rule()
    def wait(self):
        self.now_ms += SOON
        self.exchange.advance(self.now_ms * 1_000)

    @invariant()
    def they_agree(self):
        if not hasattr(self, "naive"):
            return
        naive = self.naive
        assert self.fills == naive.fills
        told = {
            index: (
                order.status,
                order.price,
                order.initial_base,
                order.remaining,
                order.filled_base,
                order.filled_quote,
            )
            for index, order in self.states.items()
        }
        assert told == {
            row.index: (
                row.status,
                row.price,
                row.total,
                row.left,
                row.filled,
                row.paid * MARKETS[row.market].quote_multiplier,
            )
            for row in naive.rows
        }
        for market, state in self.exchange.markets.items():
            self.books_agree(market, state.engine)
            for owner in OWNERS:
                size = self.exchange.accounts[owner].ledger.size(market)
                assert size == naive.positions[owner, market]

    def books_agree(self, market, engine):
        depth = engine.depth()
        for is_ask in (False, True):
            sign = 1 if is_ask else -1
            rows = sorted(
                (
                    row
                    for row in self.naive.live()
                    if (row.market, row.is_ask) == (market, is_ask)
                ),
                key=lambda row: (sign * row.price, row.place),
            )
            resting = [
                (order.order_index, order.remaining)
                for order in engine.orders(is_ask=is_ask)
            ]
            assert resting == [(row.index, row.left) for row in rows]
            levels = Counter()
            for row in rows:
                levels[row.price] += row.left
            assert depth[is_ask] == list(levels.items())

    def teardown(self):
        if hasattr(self, "naive"):
            seen.update(row.status for row in self.naive.rows)
            seen["fills"] += len(self.fills)


def test_the_exchange_does_exactly_what_the_naive_one_does():
    reached = (
        "fills",
        "open",
        "filled",
        "canceled",
        "canceled-post-only",
        "canceled-reduce-only",
        "canceled-too-much-slippage",
        "canceled-not-enough-liquidity",
        "canceled-self-trade",
        "canceled-expired",
    )
    run_until_reached(
        Matching,
        settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None),
        seen=seen,
        reached=reached,
        at_random="WRAPPY_FUZZ_CASES" in os.environ,
    )
