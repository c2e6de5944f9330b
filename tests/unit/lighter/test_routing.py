"""Which key an intent goes by."""

from __future__ import annotations

from wrappy._core.batch import BatchQueue
from wrappy.lighter.sending.routing import KeyRoutes, created_by
from wrappy.model import OrderType, TimeInForce
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
)


def maker(coi):
    return CreateOrder(0, coi, 500, 100_000, is_ask=False)


def taker(coi):
    return CreateOrder(
        *(0, coi, 500, 100_000),
        is_ask=False,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
    )


def queued(*intents):
    queue = BatchQueue()
    for intent in intents:
        cois = tuple(order.client_order_index for order in created_by(intent))
        touches = cois[0] if cois else getattr(intent, "index", None)
        is_cancel = isinstance(intent, CancelOrder | CancelAllOrders)
        queue.put(intent, touches=touches, is_cancel=is_cancel, also=cois)
    return queue.take()


def split(routes, *intents):
    return [
        (key, [e.intent for e in share])
        for key, share in routes.split(queued(*intents))
    ]


def test_with_one_key_everything_goes_together():
    intents = [maker(1), taker(2), CancelOrder(0, 9)]
    (share,) = split(KeyRoutes("a"), *intents)
    assert share == ("a", [intents[2], *intents[:2]])
    assert split(KeyRoutes("a")) == []


def test_takers_take_turns_on_the_other_keys_behind_the_main_one():
    routes = KeyRoutes("abc")
    first = split(routes, taker(1), maker(2), CancelOrder(0, 9), taker(3))
    assert first == [
        ("a", [CancelOrder(0, 9), maker(2)]),
        ("b", [taker(1), taker(3)]),
    ]
    assert split(routes, taker(4)) == [("c", [taker(4)])]
    assert split(routes, taker(5)) == [("b", [taker(5)])]


def test_what_acts_on_an_order_follows_it_until_the_exchange_shows_it():
    routes = KeyRoutes("ab")
    split(routes, taker(1))
    change = ModifyOrder(0, 1, 500, 99_000)
    assert split(routes, CancelOrder(0, 1), change) == [
        ("b", [CancelOrder(0, 1), change])
    ]
    routes.shown(1)
    assert split(routes, CancelOrder(0, 1)) == [("a", [CancelOrder(0, 1)])]


def test_what_acts_on_all_orders_keeps_its_place():
    routes = KeyRoutes("ab")
    everything = CancelAllOrders(market_index=0)
    assert split(routes, taker(1), maker(2), everything, maker(3), taker(4)) == [
        ("a", [maker(2)]),
        ("b", [taker(1)]),
        ("a", [everything, maker(3)]),
        ("b", [taker(4)]),
    ]


def test_a_group_makes_all_its_numbered_orders():
    group = CreateGroupedOrders(2, (maker(1), maker(0), maker(3)))
    assert [order.client_order_index for order in created_by(group)] == [1, 3]
    assert created_by(CancelOrder(0, 1)) == ()
    cancel = CancelOrder(0, 3)
    assert [e.intent for e in queued(group, cancel)] == [group, cancel]
