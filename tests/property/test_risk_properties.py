"""Exposure against a naive account that knows everything at once.

Orders are admitted, changed, filled and ended; words on them and on the position come
late, twice and out of order. What may still happen to the true account must never be
more than what the book says.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.exposure import ExposureBook, LiveOrder, OrderKey
from wrappy._core.judging import OrderJudge, Wanted
from wrappy._core.risk import AccountRisk, RiskMarket, RiskRules

MOST = 20


@dataclass
class Truth:
    """An order as the exchange has it."""

    is_ask: bool
    lots: int
    reduce_only: bool
    filled: int = 0
    is_over: bool = False
    told_filled: int = 0


def numbers(most):
    return st.integers(0, most)


steps = st.lists(
    st.tuples(
        st.sampled_from(["order", "fill", "end", "tell", "tell", "position", "change"]),
        numbers(10),
        st.integers(1, 9),
        st.booleans(),
    ),
    max_size=60,
)


def desk():
    risk = AccountRisk(RiskRules())
    risk.add_market(RiskMarket(index=0, symbol="ETH", lot_value=1, most_lots=MOST))
    risk.book.anchor(0, 0)
    risk.book.has_begun = True
    risk.look(0, 0)
    return risk, OrderJudge(risk)


@given(steps, st.integers(0, 2**32))
def test_the_true_account_never_gets_beyond_what_was_allowed(program, chance):
    risk, judge = desk()
    orders: dict[int, Truth] = {}
    pending: dict[int, int] = {}
    position = 0
    for at, (what, pick, lots, flag) in enumerate(program):
        number = sorted(orders)[(pick + chance) % len(orders)] if orders else None
        if what == "order":
            new = LiveOrder(is_ask=flag, lots=lots, ticks=1)
            if judge.refusal(0, [Wanted(new)], at) is None:
                orders[at] = Truth(flag, lots, reduce_only=False)
                risk.book.order(OrderKey(0, at), new, 0, is_ask=flag)
        elif what == "position":
            risk.book.position(0, position)
        elif number is None:
            continue
        else:
            order = orders[number]
            key = OrderKey(0, number)
            if what == "change" and not order.is_over:
                if judge.change_refusal(key, 1, lots, at) is None:
                    pending[number] = lots
            elif what == "fill" and not order.is_over:
                order.lots = max(pending.pop(number, order.lots), order.filled)
                part = min(lots, order.lots - order.filled)
                order.filled += part
                position += -part if order.is_ask else part
                order.is_over = order.filled == order.lots
            elif what == "end":
                order.is_over = True
            elif what == "tell":
                told = LiveOrder(is_ask=order.is_ask, lots=order.lots, ticks=1)
                late = order.told_filled if flag else order.filled
                order.told_filled = order.filled
                over = order.is_over and not flag
                risk.book.order(key, None if over else told, late, is_ask=order.is_ask)
        live = [order for order in orders.values() if not order.is_over]
        high = position + sum(o.lots - o.filled for o in live if not o.is_ask)
        low = position - sum(o.lots - o.filled for o in live if o.is_ask)
        assert -MOST <= low <= high <= MOST
        reach = risk.book.market(0).reach(1, 1)
        assert reach.low <= low
        assert high <= reach.high


@given(
    st.integers(-9, 9),
    st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.booleans()), max_size=5),
    st.randoms(use_true_random=False),
)
def test_no_order_of_fills_leads_beyond_the_reach(position, made, chance):
    book = ExposureBook()
    book.anchor(0, position)
    orders = [
        LiveOrder(is_ask=is_ask, lots=lots, ticks=1, reduce_only=reduces)
        for is_ask, lots, reduces in made
    ]
    for number, order in enumerate(orders):
        book.order(OrderKey(0, number), order, 0, is_ask=order.is_ask)
    reach = book.market(0).reach(1, 1)
    held, left = position, [order.lots for order in orders]
    for _ in range(60):
        if not orders:
            break
        one = chance.randrange(len(orders))
        order = orders[one]
        part = min(left[one], chance.randint(0, 3))
        if order.reduce_only:
            part = min(part, max(0, held if order.is_ask else -held))
        left[one] -= part
        held += -part if order.is_ask else part
        assert reach.low <= held <= reach.high
