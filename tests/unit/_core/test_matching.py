"""The matching engine: one rule per test."""

from __future__ import annotations

import pytest

from wrappy._core.matching import (
    BookOrder,
    Fill,
    MakerReduced,
    MakerRemoved,
    MatchingEngine,
    TakerDone,
)

IOC, GTT, POST_ONLY = 0, 1, 2


class Book:
    """An engine with positions of its own, and orders by short names."""

    def __init__(self) -> None:
        self.engine = MatchingEngine()
        self.positions: dict[int, int] = {}
        self.refused: dict[int, str] = {}
        self.count = 0

    def reducible(self, owner, is_ask):
        size = self.positions.get(owner, 0)
        return max(0, size if is_ask else -size)

    def permit(self, maker, taker, price, base):
        assert price == maker.price
        assert 0 < base <= taker.remaining
        if taker.owner in self.refused:
            return "taker"
        return "maker" if maker.owner in self.refused else "allowed"

    def send(self, side, price, base, *, owner=None, now_ms=0, **fields):
        self.count += 1
        order = BookOrder(
            order_index=self.count,
            owner=self.count if owner is None else owner,
            is_ask=side == "sell",
            price=price,
            remaining=base,
            **fields,
        )
        events = []
        for event in self.engine.execute(
            order, now_ms=now_ms, reducible=self.reducible, permit=self.permit
        ):
            if isinstance(event, Fill):
                sign = -1 if order.is_ask else 1
                for party, change in ((order, sign), (event.maker, -sign)):
                    held = self.positions.get(party.owner, 0)
                    self.positions[party.owner] = held + change * event.base
            events.append(event)
        assert isinstance(events[-1], TakerDone)
        assert sum(isinstance(event, TakerDone) for event in events) == 1
        return order, events

    def outcome(self, *args, **fields):
        return self.send(*args, **fields)[1][-1].outcome

    def fills(self, *args, **fields):
        return [
            (event.price, event.base, event.maker.owner)
            for event in self.send(*args, **fields)[1]
            if isinstance(event, Fill)
        ]


@pytest.fixture
def book():
    return Book()


def test_an_order_that_meets_nothing_rests(book):
    assert book.outcome("buy", 100, 5) == "rested"
    assert book.engine.best_bid == 100
    assert book.engine.best_ask is None
    assert book.engine.level_size(is_ask=False, price=100) == 5
    assert len(book.engine) == 1
    assert 1 in book.engine


def test_better_prices_trade_first_and_at_the_resting_price(book):
    book.send("sell", 102, 5, owner=1)
    book.send("sell", 101, 5, owner=2)
    assert book.fills("buy", 103, 8) == [(101, 5, 2), (102, 3, 1)]
    assert book.engine.depth() == ([], [(102, 2)])


def test_the_older_order_trades_first_at_one_price(book):
    book.send("buy", 100, 5, owner=1)
    book.send("buy", 100, 5, owner=2)
    assert book.fills("sell", 100, 7) == [(100, 5, 1), (100, 2, 2)]


def test_what_a_limit_order_does_not_trade_rests_at_its_price(book):
    book.send("sell", 100, 3)
    order, events = book.send("buy", 101, 5)
    assert events[-1] == TakerDone(order, "rested")
    assert book.engine.depth() == ([(101, 2)], [])


def test_a_filled_order_says_so(book):
    book.send("sell", 100, 5)
    assert book.outcome("buy", 100, 5) == "filled"
    assert len(book.engine) == 0


def test_the_rest_of_an_immediate_order_is_canceled(book):
    book.send("sell", 100, 3)
    assert (
        book.outcome("buy", 100, 5, time_in_force=IOC)
        == "canceled-not-enough-liquidity"
    )
    assert book.engine.depth() == ([], [])


def test_a_post_only_order_that_would_cross_is_canceled_whole(book):
    book.send("sell", 100, 3)
    outcome = book.outcome("buy", 100, 5, time_in_force=POST_ONLY)
    assert outcome == "canceled-post-only"
    assert book.engine.depth() == ([], [(100, 3)])


def test_a_post_only_order_that_does_not_cross_rests(book):
    book.send("sell", 101, 3)
    assert book.outcome("buy", 100, 5, time_in_force=POST_ONLY) == "rested"


def test_a_post_only_order_first_removes_expired_and_own_orders(book):
    book.send("sell", 99, 1, owner=1, expiry_ms=10)
    book.send("sell", 100, 1, owner=7)
    order, events = book.send(
        "buy", 100, 5, owner=7, now_ms=10, time_in_force=POST_ONLY
    )
    assert [event.reason for event in events if isinstance(event, MakerRemoved)] == [
        "canceled-expired",
        "canceled-self-trade",
    ]
    assert events[-1] == TakerDone(order, "rested")


def test_an_expired_resting_order_is_removed_when_met(book):
    book.send("sell", 100, 3, expiry_ms=1_000)
    book.send("sell", 100, 3, owner=9)
    assert book.fills("buy", 100, 2, now_ms=999) == [(100, 2, 1)]
    assert book.fills("buy", 100, 2, now_ms=1_000) == [(100, 2, 9)]


def test_an_order_that_is_already_expired_does_not_rest(book):
    outcome = book.outcome("buy", 100, 5, expiry_ms=10, now_ms=10)
    assert outcome == "canceled-expired"
    assert len(book.engine) == 0


@pytest.mark.parametrize(
    ("mode", "removed", "outcome"),
    [
        (0, ["canceled-self-trade"], "rested"),
        (1, [], "canceled-self-trade"),
        (2, ["canceled-self-trade"], "canceled-self-trade"),
    ],
)
def test_self_trade_modes_end_maker_taker_or_both(book, mode, removed, outcome):
    book.send("sell", 100, 3, owner=1)
    _, events = book.send("buy", 100, 5, owner=1, self_trade=mode)
    reasons = [event.reason for event in events if isinstance(event, MakerRemoved)]
    assert reasons == removed
    assert events[-1].outcome == outcome
    assert not any(isinstance(event, Fill) for event in events)


def test_self_trade_mode_reduce_nets_a_larger_maker(book):
    book.send("sell", 100, 8, owner=1)
    order, events = book.send("buy", 100, 5, owner=1, self_trade=3)
    assert isinstance(events[0], MakerReduced)
    assert events[0].base == 5
    assert events[-1] == TakerDone(order, "canceled-self-trade")
    assert book.engine.depth() == ([], [(100, 3)])


def test_self_trade_mode_reduce_nets_a_smaller_maker_and_goes_on(book):
    book.send("sell", 100, 2, owner=1)
    book.send("sell", 100, 2, owner=2)
    order, events = book.send("buy", 100, 5, owner=1, self_trade=3)
    assert events[0] == MakerRemoved(events[0].order, "canceled-self-trade")
    assert events[1].base == 2
    assert events[-1] == TakerDone(order, "rested")
    assert order.remaining == 1


def test_the_wider_self_trade_scope_covers_the_owner_group(book):
    book.send("sell", 100, 3, owner=1, owner_group=50)
    assert (
        book.outcome(
            "buy",
            100,
            3,
            owner=2,
            owner_group=50,
            self_trade=1,
            self_trade_same_group=True,
        )
        == "canceled-self-trade"
    )
    assert book.outcome("buy", 100, 3, owner=2, owner_group=50) == "filled"


def test_a_market_order_may_spend_improvement_beyond_its_price(book):
    book.send("sell", 98, 5, owner=1)
    book.send("sell", 103, 10, owner=2)
    order, events = book.send("buy", 100, 12, is_market=True, time_in_force=IOC)
    assert [event[2:] for event in events[:-1]] == [(98, 5), (103, 3)]
    assert events[-1].outcome == "canceled-too-much-slippage"
    assert (98 * 5 + 103 * 3) <= 100 * 8
    assert order.remaining == 4


def test_a_market_order_with_no_improvement_stops_at_its_price(book):
    book.send("buy", 99, 5)
    outcome = book.outcome("sell", 100, 1, is_market=True, time_in_force=IOC)
    assert outcome == "canceled-too-much-slippage"


def test_a_market_order_on_an_empty_book_lacks_liquidity(book):
    outcome = book.outcome("sell", 100, 1, is_market=True, time_in_force=IOC)
    assert outcome == "canceled-not-enough-liquidity"


def test_a_reduce_only_taker_stops_where_its_position_ends(book):
    book.positions[7] = 4
    book.send("buy", 100, 10)
    order, events = book.send("sell", 100, 9, owner=7, reduce_only=True)
    assert events[0].base == 4
    assert events[-1] == TakerDone(order, "canceled-reduce-only")
    assert book.positions[7] == 0


def test_a_reduce_only_order_without_position_does_not_rest(book):
    outcome = book.outcome("sell", 100, 9, reduce_only=True)
    assert outcome == "canceled-reduce-only"


def test_a_reduce_only_order_rests_while_there_is_a_position(book):
    book.positions[7] = -1
    assert book.outcome("buy", 100, 9, owner=7, reduce_only=True) == "rested"


def test_a_resting_reduce_only_order_is_capped_and_its_remainder_removed(book):
    book.positions[7] = 4
    book.send("sell", 100, 9, owner=7, reduce_only=True)
    order, events = book.send("buy", 100, 9)
    assert events[0].base == 4
    assert events[1].reason == "canceled-reduce-only"
    assert events[-1] == TakerDone(order, "rested")
    assert book.positions[7] == 0


def test_a_resting_reduce_only_order_whose_position_is_gone_is_removed(book):
    book.positions[7] = 4
    book.send("sell", 100, 9, owner=7, reduce_only=True)
    book.positions[7] = 0
    _, events = book.send("buy", 100, 9)
    assert events[0].reason == "canceled-reduce-only"
    assert events[-1].outcome == "rested"


def test_a_taker_who_cannot_carry_the_fill_is_canceled_before_it(book):
    book.refused[9] = "poor"
    book.send("sell", 100, 5)
    assert book.outcome("buy", 100, 5, owner=9) == "canceled-margin-not-allowed"
    assert book.engine.depth() == ([], [(100, 5)])


def test_a_maker_who_cannot_carry_the_fill_is_removed_and_matching_goes_on(book):
    book.send("sell", 100, 5, owner=9)
    book.send("sell", 100, 5, owner=2)
    book.refused[9] = "poor"
    _, events = book.send("buy", 100, 5)
    assert events[0].reason == "canceled-margin-not-allowed"
    assert events[1].maker.owner == 2
    assert events[-1].outcome == "filled"


def test_without_a_permit_every_fill_is_allowed():
    engine = MatchingEngine()
    for index, is_ask in ((1, True), (2, False)):
        order = BookOrder(
            order_index=index, owner=index, is_ask=is_ask, price=100, remaining=1
        )
        events = list(engine.execute(order, now_ms=0, reducible=lambda *_: 0))
    assert events[-1].outcome == "filled"


def test_cancel_takes_an_order_out_and_returns_it(book):
    order, _ = book.send("buy", 100, 5)
    book.send("buy", 99, 5)
    book.send("buy", 101, 5)
    assert book.engine.cancel(order.order_index) is order
    assert book.engine.cancel(order.order_index) is None
    assert book.engine.depth() == ([(101, 5), (99, 5)], [])


def test_cancel_inside_a_level_keeps_the_others_in_order(book):
    orders = [book.send("buy", 100, 1)[0] for _ in range(3)]
    book.engine.cancel(orders[1].order_index)
    assert list(book.engine.orders(is_ask=False)) == [orders[0], orders[2]]
    assert book.engine.level_size(is_ask=False, price=100) == 2


def test_reduce_lowers_an_order_without_moving_it(book):
    first, _ = book.send("buy", 100, 5)
    book.send("buy", 100, 5)
    book.engine.reduce(first.order_index, 3)
    assert first.remaining == 2
    assert next(book.engine.orders(is_ask=False)) is first
    book.engine.reduce(first.order_index, 2)
    assert first.order_index not in book.engine


@pytest.mark.parametrize("base", [0, -1, 6])
def test_reduce_refuses_what_an_order_does_not_hold(book, base):
    order, _ = book.send("buy", 100, 5)
    with pytest.raises(ValueError, match="base"):
        book.engine.reduce(order.order_index, base)


def test_level_changes_are_told_once_with_their_new_totals(book):
    book.send("sell", 100, 3)
    book.send("sell", 101, 3)
    assert sorted(book.engine.level_changes()) == [(True, 100, 3), (True, 101, 3)]
    assert book.engine.level_changes() == []
    book.send("buy", 101, 4)
    assert sorted(book.engine.level_changes()) == [(True, 100, 0), (True, 101, 2)]


def test_depth_is_cut_at_the_asked_number_of_levels(book):
    for price in (100, 101, 102):
        book.send("sell", price, 1)
        book.send("buy", price - 10, 1)
    assert book.engine.depth(2) == ([(92, 1), (91, 1)], [(100, 1), (101, 1)])
    assert list(book.engine.prices(is_ask=True)) == [100, 101, 102]
    assert book.engine.level_size(is_ask=True, price=555) == 0


def test_priorities_grow_with_every_order_that_rests(book):
    first, _ = book.send("buy", 100, 1)
    second, _ = book.send("buy", 99, 1)
    assert 0 < first.priority < second.priority


def test_a_caller_may_stop_between_events_and_find_a_whole_book(book):
    book.send("sell", 100, 1)
    book.send("sell", 100, 1)
    order = BookOrder(order_index=99, owner=99, is_ask=False, price=100, remaining=2)
    events = book.engine.execute(order, now_ms=0, reducible=book.reducible)
    next(events)
    events.close()
    assert book.engine.depth() == ([], [(100, 1)])


def test_an_order_sent_back_stands_behind_all_others_at_its_price(book):
    first, _ = book.send("buy", 100, 5)
    second, _ = book.send("buy", 100, 4)
    book.engine.send_back(first.order_index)
    assert list(book.engine.orders(is_ask=False)) == [second, first]
    assert first.priority > second.priority
    assert book.fills("sell", 100, 6) == [(100, 4, 2), (100, 2, 1)]
    with pytest.raises(KeyError):
        book.engine.send_back(99)


# ----------------------------------------------------------- resting without a match


def twins():
    """Two books with one ask at 110, one bid at 90."""
    for _ in range(2):
        book = Book()
        book.send("sell", 110, 5)
        book.send("buy", 90, 5)
        book.engine.level_changes()
        yield book


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("price", [80, 90, 91, 109, 110, 120])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"time_in_force": POST_ONLY},
        {"time_in_force": IOC},
        {"reduce_only": True},
        {"is_market": True},
        {"expiry_ms": 999},
        {"expiry_ms": 1_000},
        {"expiry_ms": 1_001},
    ],
    ids=str,
)
def test_an_order_that_meets_nobody_rests_as_if_it_had_been_matched(
    side, price, fields
):
    told, asked = twins()
    _, events = told.send(side, price, 3, now_ms=1_000, owner=9, **fields)
    order = BookOrder(
        order_index=told.count,
        owner=9,
        is_ask=side == "sell",
        price=price,
        remaining=3,
        **fields,
    )
    before = asked.engine.depth()
    if asked.engine.rest_unmatched(order, now_ms=1_000):
        assert [event.outcome for event in events] == ["rested"]
        assert asked.engine.depth() == told.engine.depth()
        assert asked.engine.level_changes() == told.engine.level_changes()
        assert order.order_index in asked.engine
    else:
        crosses = price <= 90 if side == "sell" else price >= 110
        assert crosses or fields.keys() & {
            "time_in_force",
            "reduce_only",
            "is_market",
            "expiry_ms",
        }
        assert asked.engine.depth() == before
        assert asked.engine.level_changes() == []


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_in_an_empty_book_every_limit_order_meets_nobody(side):
    engine = MatchingEngine()
    order = BookOrder(
        order_index=1, owner=1, is_ask=side == "sell", price=5, remaining=1
    )
    assert engine.rest_unmatched(order, now_ms=0)
    assert list(engine.orders(is_ask=order.is_ask)) == [order]


def test_an_order_sent_back_trades_after_the_others_at_its_price():
    book = Book()
    for base in (5, 6, 7):
        book.send("sell", 100, base)
    book.engine.send_back(1)
    assert [order.order_index for order in book.engine.orders(is_ask=True)] == [2, 3, 1]
    assert book.engine.level_size(is_ask=True, price=100) == 18
    assert book.fills("buy", 100, 14) == [(100, 6, 2), (100, 7, 3), (100, 1, 1)]
    with pytest.raises(KeyError):
        book.engine.send_back(2)
