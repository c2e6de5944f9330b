"""The matching engine against a naive one that sorts a list for every fill."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from wrappy._core.matching import BookOrder, Fill, MakerReduced, MatchingEngine

IOC, GTT, POST_ONLY = 0, 1, 2

orders = st.fixed_dictionaries(
    {
        "owner": st.integers(1, 4),
        "is_ask": st.booleans(),
        "price": st.integers(98, 102),
        "remaining": st.integers(1, 20),
        "time_in_force": st.sampled_from([IOC, GTT, GTT, GTT, POST_ONLY]),
        "self_trade": st.integers(0, 3),
        "expiry_ms": st.sampled_from([0, 0, 0, 5, 20]),
        "reduce_only": st.sampled_from([False, False, False, True]),
        "is_market": st.sampled_from([False, False, False, True]),
    }
)
acts = st.lists(
    st.one_of(orders, st.integers(1, 40).map(lambda index: ("cancel", index))),
    min_size=10,
    max_size=60,
)


class Naive:
    """Plain limit orders in a list; the next maker is found by sorting."""

    def __init__(self):
        self.rows = []

    def send(self, index, fields):
        row = {**fields, "index": index}
        sign = -1 if row["is_ask"] else 1
        fills = []
        while row["remaining"]:
            makers = [
                other
                for other in self.rows
                if other["is_ask"] != row["is_ask"]
                and (row["price"] - other["price"]) * sign >= 0
            ]
            if not makers:
                break
            maker = min(makers, key=lambda r: (r["price"] * sign, r["index"]))
            base = min(maker["remaining"], row["remaining"])
            fills.append((maker["index"], maker["price"], base))
            for side in (maker, row):
                side["remaining"] -= base
            self.rows = [other for other in self.rows if other["remaining"]]
        if row["remaining"]:
            self.rows.append(row)
        return fills

    def cancel(self, index):
        self.rows = [row for row in self.rows if row["index"] != index]


def plain(fields):
    return {
        **fields,
        "time_in_force": GTT,
        "expiry_ms": 0,
        "reduce_only": False,
        "is_market": False,
    }


@settings(max_examples=200, deadline=None)
@given(acts)
def test_limit_orders_trade_exactly_as_in_the_naive_book(script):
    engine, naive = MatchingEngine(), Naive()
    for index, act in enumerate(script, 1):
        if isinstance(act, tuple):
            engine.cancel(act[1])
            naive.cancel(act[1])
            continue
        fields = {**plain(act), "owner": index}  # nobody meets himself here
        events = engine.execute(
            BookOrder(order_index=index, **fields),
            now_ms=0,
            reducible=lambda *_: 0,
        )
        fills = [
            (event.maker.order_index, event.price, event.base)
            for event in events
            if isinstance(event, Fill)
        ]
        assert fills == naive.send(index, fields)
    resting = {(row["index"], row["remaining"]) for row in naive.rows}
    assert resting == {
        (order.order_index, order.remaining)
        for is_ask in (False, True)
        for order in engine.orders(is_ask=is_ask)
    }


@settings(max_examples=300, deadline=None)
@given(acts)
def test_invariants_hold_under_every_rule(script):
    engine = MatchingEngine()
    positions = Counter()
    shown = {}

    def reducible(owner, is_ask):
        return max(0, positions[owner] if is_ask else -positions[owner])

    for now_ms, act in enumerate(script, 1):
        if isinstance(act, tuple):
            engine.cancel(act[1])
        else:
            order = BookOrder(order_index=now_ms, **act)
            if order.is_market:
                order.time_in_force = IOC
            asked, traded, netted, paid = order.remaining, 0, 0, 0
            sign = -1 if order.is_ask else 1
            for event in engine.execute(order, now_ms=now_ms, reducible=reducible):
                if isinstance(event, Fill):
                    maker = event.maker
                    assert maker.owner != order.owner
                    assert maker.is_ask != order.is_ask
                    assert event.price == maker.price
                    assert order.time_in_force != POST_ONLY
                    assert not 0 < maker.expiry_ms <= now_ms
                    for party, change in ((order, sign), (maker, -sign)):
                        before = positions[party.owner]
                        positions[party.owner] += change * event.base
                        if party.reduce_only:
                            after = positions[party.owner]
                            assert abs(after) < abs(before)
                            assert after * before >= 0
                    traded += event.base
                    paid += event.base * event.price
                    if order.is_market:
                        assert (paid - order.price * traded) * sign <= 0
                    else:
                        assert (event.price - order.price) * sign <= 0
                elif isinstance(event, MakerReduced):
                    netted += event.base
            if act["self_trade"] != 3:
                assert asked == order.remaining + traded
            assert traded + netted <= asked
        bid, ask = engine.best_bid, engine.best_ask
        assert bid is None or ask is None or bid < ask
        for is_ask, price, total in engine.level_changes():
            shown[is_ask, price] = total
        for is_ask in (False, True):
            totals = Counter()
            for order in engine.orders(is_ask=is_ask):
                assert order.remaining > 0
                assert order.time_in_force != IOC
                totals[order.price] += order.remaining
            told = {
                price: total
                for (side, price), total in shown.items()
                if side == is_ask and total
            }
            assert told == dict(totals)
            levels = engine.depth()[is_ask]
            assert levels == sorted(totals.items(), reverse=not is_ask)
    assert sum(positions.values()) == 0
