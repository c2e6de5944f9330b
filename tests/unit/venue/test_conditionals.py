"""Orders that wait: triggers, groups, slices, and what ends them."""

from __future__ import annotations

import dataclasses

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS, OrderCaps
from wrappy.venue.accounts import Account, ApiKey, open_accounts
from wrappy.venue.events import OrderChanged, SetIndexPrice, SetLevel, TxExecuted
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.render import render_order
from wrappy.venue.settings import VenueSettings
from wrappy.venue.statements import Statement
from wrappy.venue.twap import slice_size
from wrappy.venue.tx_render import event_info

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
BTC = Market("BTC", 1, 1, 5, 10, 10_000_000)
START_US = 1_800_000_000_000_000
MINUTE_MS = 60_000
ALICE = 100
IOC, GTT, POST_ONLY = 0, 1, 2
LIMIT, MARKET, STOP, STOP_LIMIT, TAKE, TAKE_LIMIT, TWAP = range(7)
OTO, OCO, OTOCO = 1, 2, 3
BUY, SELL = 0, 1
PRICE = 300_000


class Desk:
    """One user at an exchange whose mark price goes where it is told."""

    def __init__(self, *, caps=None, collateral=100_000_000_000, **settings):
        self.settings = VenueSettings(tier="premium", **settings)
        tier = TIERS["premium"]
        accounts = open_accounts(self.settings, ())
        accounts[ALICE] = self.alice = Account(
            index=ALICE,
            l1_address="0x0",
            tier=dataclasses.replace(tier, caps=caps) if caps else tier,
            api_keys={slot: ApiKey(slot, "00" * 40, 1) for slot in (4, 5)},
            ledger=AccountLedger(collateral=collateral),
        )
        self.now_us = START_US
        self.sent = 0
        self.exchange = Exchange(self.settings, (ETH, BTC), accounts, now_us=START_US)
        self._levels = []
        self.events = []
        self.mark(PRICE)

    def mark(self, price, market=0):
        """Move mark price and book: 1,000,000 lots a tick beside it on both sides."""
        self._levels, old = [(False, price - 1), (True, price + 1)], self._levels
        gone = [SetLevel(market, *level, 0) for level in old]
        come = [SetLevel(market, *level, 1_000_000) for level in self._levels]
        self.flow(*gone, SetIndexPrice(market, price), *come)
        assert self.exchange.markets[market].mark_price == price
        self.events += self.exchange.drain()

    def flow(self, *actions):
        self.exchange.apply_flow(actions, now_us=self.now_us)

    def wire(self, **changes):
        """The ten fields of one order; expiry in an hour unless it is immediate."""
        fields = {
            "MarketIndex": 0,
            "ClientOrderIndex": 0,
            "BaseAmount": 100,
            "Price": PRICE,
            "IsAsk": BUY,
            "Type": LIMIT,
            "TimeInForce": GTT,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            **changes,
        }
        plain = fields["Type"] in (LIMIT, MARKET) and fields["TimeInForce"] == IOC
        expiry = 0 if plain else self.now_us // 1_000 + 60 * MINUTE_MS
        return {**fields, "OrderExpiry": changes.get("OrderExpiry", expiry)}

    def send(self, tx_type, key=4, attributes=None, **fields):
        self.sent += 1
        info = {
            "AccountIndex": ALICE,
            "ApiKeyIndex": key,
            "ExpiredAt": self.now_us // 1_000 + 10 * MINUTE_MS,
            "Nonce": self.alice.api_keys[key].nonce,
            "Sig": "",
            "L2TxAttributes": attributes,
            **fields,
        }
        tx_hash = f"{self.sent:080x}"
        return self.exchange.submit(tx_type, info, tx_hash, now_us=self.now_us)

    def order(self, **changes):
        return self.send(14, **self.wire(**changes))

    def stop(self, trigger=290_000, **changes):
        fields = {"Price": trigger - 3_000, "IsAsk": SELL, "Type": STOP}
        fields |= {"TimeInForce": IOC, "ReduceOnly": 1, "TriggerPrice": trigger}
        return self.wire(**{**fields, **changes})

    def take(self, trigger=310_000, **changes):
        return self.stop(trigger, **{"Type": TAKE, **changes})

    def group(self, kind, *orders, **fields):
        return self.send(28, GroupingType=kind, Orders=list(orders), **fields)

    def modify(self, index, **changes):
        fields = {"MarketIndex": 0, "Index": index, "BaseAmount": 0}
        fields |= {"Price": PRICE, "TriggerPrice": 0}
        return self.send(17, **{**fields, **changes})

    def cancel(self, index):
        return self.send(15, MarketIndex=0, Index=index)

    def run(self, seconds=1.0):
        self.now_us += int(seconds * 1_000_000)
        self.events += self.exchange.advance(self.now_us)

    def long(self, base=100):
        self.order(Type=MARKET, TimeInForce=IOC, BaseAmount=base, Price=PRICE + 500)
        self.run()
        assert self.alice.ledger.size(0) == base

    def refused(self, call, *args, **fields):
        with pytest.raises(Refused) as refusal:
            call(*args, **fields)
        return refusal.value.code

    def see(self, coi):
        return self.exchange.order(ALICE, coi)

    def states(self, *cois):
        return [self.see(coi).status for coi in cois]

    def told(self, coi):
        """The statuses told of one order, in order."""
        return [
            (event.order.status, event.order.trigger_status)
            for event in self.events
            if isinstance(event, OrderChanged) and event.order.client_order_index == coi
        ]


@pytest.fixture
def desk():
    return Desk()


# Triggers


@pytest.mark.parametrize(
    ("kind", "side", "quiet", "reached"),
    [
        (STOP, SELL, 290_001, 290_000),
        (STOP, BUY, 309_999, 310_000),
        (TAKE, SELL, 309_999, 310_000),
        (TAKE, BUY, 290_001, 290_000),
    ],
)
def test_an_order_waits_until_the_mark_price_reaches_its_trigger(
    desk, kind, side, quiet, reached
):
    worst = reached - 1_000 if side == SELL else reached + 1_000
    desk.send(
        14,
        **desk.stop(reached, Type=kind, IsAsk=side, Price=worst, ClientOrderIndex=7)
        | {"ReduceOnly": 0},
    )
    desk.run()
    assert (desk.see(7).status, desk.see(7).trigger_status) == ("pending", "mark-price")
    assert desk.see(7).nonce == 0
    desk.mark(quiet)
    assert desk.states(7) == ["pending"]
    desk.mark(reached)
    order = desk.see(7)
    assert (order.status, order.trigger_status) == ("filled", "na")
    assert order.trigger_us == desk.now_us
    assert order.nonce != 0
    assert desk.alice.ledger.size(0) == (-100 if side == SELL else 100)
    assert desk.exchange.markets[0].armed == {}


def test_a_pending_order_is_shown_and_answers_to_its_client_order_index(desk):
    desk.long()
    desk.send(14, **desk.stop(ClientOrderIndex=7))
    desk.run()
    row = render_order(desk.see(7), ETH)
    assert row["status"] == "pending"
    assert row["type"] == "stop-loss"
    assert (row["trigger_status"], row["trigger_price"]) == ("mark-price", "2900.00")
    assert (row["trigger_time"], row["nonce"]) == (0, 0)
    assert desk.see(7).order_index in desk.alice.open_orders
    assert desk.refused(desk.order, ClientOrderIndex=7) == 21728
    position = Statement(desk.alice, desk.exchange.markets).position(0)
    assert position["pending_order_count"] == 1
    assert position["open_order_count"] == 0
    assert position["position_tied_order_count"] == 1
    desk.mark(289_000)
    trigger_ms = render_order(desk.see(7), ETH)["trigger_time"]
    assert trigger_ms == desk.now_us // 1_000


def test_a_limit_trigger_rests_with_time_priority_of_its_trigger(desk):
    desk.long()
    desk.send(
        14,
        **desk.take(
            310_000, Type=TAKE_LIMIT, TimeInForce=GTT, Price=311_000, ClientOrderIndex=7
        ),
    )
    desk.run()
    index = desk.see(7).order_index
    desk.mark(310_000)
    order = desk.see(7)
    assert (order.status, order.order_index) == ("open", index)
    resting = [
        o.order_index for o in desk.exchange.markets[0].engine.orders(is_ask=True)
    ]
    assert index in resting
    assert desk.told(7) == [("pending", "mark-price"), ("open", "na")]
    desk.modify(7, Price=310_900, BaseAmount=100)
    desk.run()
    assert desk.see(7).price == 310_900


def test_an_order_whose_trigger_is_reached_already_fires_at_once(desk):
    desk.long()
    desk.send(14, **desk.stop(300_000, ClientOrderIndex=7))
    desk.run()
    assert desk.states(7) == ["filled"]
    assert desk.told(7)[0] == ("pending", "mark-price")


def test_the_fill_of_one_trigger_moves_the_mark_and_sets_off_the_next(desk):
    desk.long(200)
    desk.send(14, **desk.stop(290_000, ClientOrderIndex=1, Price=280_000))
    desk.send(14, **desk.stop(289_500, ClientOrderIndex=2, Price=280_000))
    desk.run()
    # A thin book below: the first stop's fill is the last price, and with the book's
    # middle it pulls the mark down.
    desk.flow(
        SetLevel(0, False, PRICE - 1, 0),
        SetLevel(0, True, PRICE + 1, 0),
        SetLevel(0, False, 288_000, 100),
        SetLevel(0, False, 287_000, 100),
        SetLevel(0, True, 292_000, 10),
        SetIndexPrice(0, 288_000),
    )
    assert desk.states(1, 2) == ["filled", "filled"]
    first, second = desk.see(1), desk.see(2)
    assert first.filled_quote > second.filled_quote


def test_no_mark_price_triggers_nothing():
    desk = Desk()
    desk.send(
        14,
        **desk.stop(
            30_000,
            MarketIndex=1,
            ReduceOnly=0,
            IsAsk=BUY,
            Price=31_000,
            ClientOrderIndex=7,
        ),
    )
    desk.run()
    assert desk.exchange.markets[1].mark_price == 0
    assert desk.states(7) == ["pending"]


def test_a_pending_order_ends_when_its_expiry_passes(desk):
    desk.long()
    desk.send(14, **desk.stop(ClientOrderIndex=7))
    desk.run(3_599)
    assert desk.states(7) == ["pending"]
    desk.run(2)
    assert desk.states(7) == ["canceled-expired"]
    desk.mark(280_000)
    assert desk.alice.ledger.size(0) == 100


def test_a_trigger_that_expired_in_the_same_instant_is_not_executed(desk):
    desk.long()
    desk.send(14, **desk.stop(ClientOrderIndex=7))
    desk.run()
    desk.now_us = desk.see(7).expiry_ms * 1_000
    desk.mark(280_000)
    assert desk.states(7) == ["canceled-expired"]


def test_an_order_without_a_size_closes_whatever_is_held_at_its_trigger(desk):
    desk.long()
    desk.send(14, **desk.stop(BaseAmount=0, ClientOrderIndex=7))
    desk.run()
    assert desk.see(7).initial_base == 0
    desk.order(Type=MARKET, TimeInForce=IOC, BaseAmount=50, Price=PRICE + 500)
    desk.run()
    desk.mark(289_000)
    assert (desk.see(7).initial_base, desk.see(7).filled_base) == (150, 150)
    assert desk.alice.ledger.size(0) == 0


def test_cancel_and_cancel_all_reach_pending_orders(desk):
    desk.long()
    for coi in (7, 8, 9):
        desk.send(14, **desk.stop(ClientOrderIndex=coi))
    desk.run()
    desk.cancel(7)
    desk.run()
    assert desk.states(7, 8) == ["canceled", "pending"]
    desk.send(16, TimeInForce=0, Time=0)
    desk.run()
    assert desk.states(8, 9) == ["canceled", "canceled"]
    desk.mark(280_000)
    assert desk.alice.ledger.size(0) == 100


def test_a_pending_order_is_modified_where_it_waits(desk):
    desk.long()
    desk.send(14, **desk.stop(ClientOrderIndex=7))
    desk.run()
    desk.modify(7, TriggerPrice=295_000, Price=294_000, BaseAmount=60)
    desk.run()
    order = desk.see(7)
    assert (order.status, order.trigger_price, order.price) == (
        "pending",
        295_000,
        294_000,
    )
    assert (order.initial_base, order.remaining) == (60, 60)
    desk.modify(7, TriggerPrice=296_000, Price=295_000)
    desk.run()
    assert desk.see(7).remaining == 60
    desk.mark(296_000)
    assert desk.states(7) == ["filled"]
    assert desk.alice.ledger.size(0) == 40


def test_a_modified_trigger_that_is_reached_fires(desk):
    desk.long()
    desk.send(14, **desk.stop(ClientOrderIndex=7))
    desk.run()
    desk.modify(7, TriggerPrice=301_000, Price=299_000)
    desk.run()
    assert desk.states(7) == ["filled"]


def test_a_trigger_without_margin_is_canceled_when_it_fires():
    desk = Desk(collateral=100_000)
    desk.send(
        14,
        **desk.stop(310_000, IsAsk=BUY, Price=312_000, ReduceOnly=0)
        | {"BaseAmount": 1_000, "ClientOrderIndex": 7},
    )
    desk.run()
    desk.mark(310_000)
    assert desk.states(7) == ["canceled-margin-not-allowed"]


def test_a_stop_ends_where_its_average_price_would_be_too_bad(desk):
    desk.long()
    desk.send(14, **desk.stop(Price=289_900, ClientOrderIndex=7))
    desk.run()
    desk.mark(285_000)
    assert desk.states(7) == ["canceled-too-much-slippage"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"TriggerPrice": 0}, 21729),
        ({"TriggerPrice": 1 << 32}, 21729),
        ({"TimeInForce": GTT}, 21705),
        ({"OrderExpiry": 0}, 21711),
        ({"OrderExpiry": START_US // 1_000 + 4 * MINUTE_MS}, 21711),
        ({"OrderExpiry": START_US // 1_000 + 31 * 24 * 60 * MINUTE_MS}, 21711),
        ({"IsAsk": BUY}, 21738),
        ({"MarketIndex": 1}, 21732),
        ({"BaseAmount": 0, "ReduceOnly": 0}, 21701),
        ({"Type": STOP_LIMIT, "Price": 275_500}, 21735),
        ({"Type": TAKE_LIMIT, "Price": 304_500}, 21735),
        ({"Type": STOP_LIMIT, "TimeInForce": GTT, "BaseAmount": 49}, 21706),
    ],
)
def test_field_rules_of_a_trigger_order(desk, changes, code):
    desk.long()
    assert desk.refused(desk.send, 14, **desk.stop(**changes)) == code


def test_limit_orders_have_no_trigger_and_triggers_are_outside_the_bands(desk):
    assert desk.refused(desk.order, TriggerPrice=5) == 21729
    desk.long()
    desk.send(14, **desk.stop(200_000))
    desk.order(IsAsk=SELL, ClientOrderIndex=7, Price=PRICE + 2_000)
    desk.run()
    assert desk.refused(desk.modify, 7, TriggerPrice=5, BaseAmount=100) == 21729


def test_a_modify_keeps_a_pending_order_a_trigger_order(desk):
    desk.long()
    desk.send(14, **desk.stop(ClientOrderIndex=7, Type=STOP_LIMIT, Price=289_000))
    desk.order(Type=MARKET, TimeInForce=IOC, Price=PRICE + 500)
    assert desk.refused(desk.modify, 7) == 21729
    desk.run()
    assert desk.refused(desk.modify, 7) == 21729
    assert desk.refused(desk.modify, 7, TriggerPrice=290_000, Price=200_000) == 21735


def test_pending_orders_are_capped_per_market_and_account():
    desk = Desk(caps=OrderCaps(10, 10, 3, 5))
    desk.long()
    for _ in range(3):
        desk.send(14, **desk.stop())
    assert desk.refused(desk.send, 14, **desk.stop()) == 21720
    desk.run()
    assert desk.refused(desk.send, 14, **desk.stop()) == 21720
    other = {"MarketIndex": 1, "ReduceOnly": 0, "IsAsk": BUY}
    desk.send(14, **desk.stop(**other))
    desk.send(14, **desk.stop(**other))
    assert desk.refused(desk.send, 14, **desk.stop(**other)) == 21719
    desk.order()  # resting orders have places of their own
    pair = desk.stop(), desk.take()
    desk.send(16, TimeInForce=0, Time=0)
    desk.run()
    desk.send(14, **desk.stop())
    desk.send(14, **desk.stop())
    assert desk.refused(desk.group, OCO, *pair) == 21720


# Reduce-only


def test_a_resting_reduce_only_order_ends_when_the_position_closes(desk):
    desk.long()
    desk.order(IsAsk=SELL, ReduceOnly=1, Price=305_000, ClientOrderIndex=7)
    desk.send(14, **desk.stop(ClientOrderIndex=8))
    desk.order(IsAsk=SELL, Price=306_000, ClientOrderIndex=9)
    desk.run()
    desk.order(Type=MARKET, TimeInForce=IOC, IsAsk=SELL, Price=PRICE - 500)
    desk.run()
    assert desk.alice.ledger.size(0) == 0
    assert desk.states(7, 8) == ["canceled-reduce-only"] * 2
    assert desk.states(9) == ["open"]


def test_a_resting_reduce_only_order_is_clipped_when_the_position_shrank(desk):
    desk.long()
    desk.order(IsAsk=SELL, ReduceOnly=1, Price=305_000, ClientOrderIndex=7)
    desk.order(Type=MARKET, TimeInForce=IOC, IsAsk=SELL, BaseAmount=60, Price=PRICE - 9)
    desk.run()
    assert desk.see(7).remaining == 100
    desk.mark(306_000)
    order = desk.see(7)
    assert (order.status, order.filled_base) == ("canceled-reduce-only", 40)
    assert desk.alice.ledger.size(0) == 0


def test_a_turned_position_takes_the_orders_that_would_have_closed_it(desk):
    desk.long()
    desk.order(IsAsk=SELL, ReduceOnly=1, Price=305_000, ClientOrderIndex=7)
    desk.order(
        Type=MARKET, TimeInForce=IOC, IsAsk=SELL, BaseAmount=150, Price=PRICE - 9
    )
    desk.run()
    assert desk.alice.ledger.size(0) == -50
    assert desk.states(7) == ["canceled-reduce-only"]


def test_a_position_that_closes_and_reopens_in_one_breath_still_takes_them(desk):
    desk.long()
    desk.send(14, **desk.stop(ClientOrderIndex=7))
    desk.order(IsAsk=SELL, Price=PRICE + 50, ClientOrderIndex=8)
    desk.order(IsAsk=BUY, Price=PRICE - 50, ClientOrderIndex=9)
    desk.run()
    desk.flow(
        SetLevel(0, True, PRICE + 1, 0),
        SetLevel(0, False, PRICE + 50, 100),
        SetLevel(0, False, PRICE - 1, 0),
        SetLevel(0, True, PRICE - 50, 100),
    )
    assert desk.states(8, 9) == ["filled", "filled"]
    assert desk.alice.ledger.size(0) == 100
    assert desk.states(7) == ["canceled-reduce-only"]


@pytest.mark.parametrize(
    ("reading", "code", "statuses"),
    [("cancel", 0, ["canceled-reduce-only"]), ("drop", 21732, [])],
)
def test_reduce_only_without_a_position_is_read_as_told(reading, code, statuses):
    desk = Desk(reduce_only_without_position=reading)
    for fields in (desk.stop(), desk.wire(ReduceOnly=1, IsAsk=SELL)):
        desk.send(14, **fields)
    desk.group(OCO, desk.stop(), desk.take())
    desk.run()
    executed = [event for event in desk.events if isinstance(event, TxExecuted)]
    assert [event.code for event in executed] == [code] * 3
    orders = desk.exchange.log.orders()
    assert {order.status for order in orders} == set(statuses)
    assert desk.alice.open_orders == {}


def test_reduce_only_in_the_wrong_direction_may_be_dropped():
    desk = Desk(reduce_only_without_position="drop")
    desk.long()
    receipt = desk.order(ReduceOnly=1, Price=PRICE - 100)
    desk.order(ReduceOnly=1, IsAsk=SELL, Price=PRICE + 100, ClientOrderIndex=7)
    desk.run()
    record = desk.exchange.transaction(receipt.tx_hash)
    assert (record.status, record.code, record.order_index) == (2, 21738, 0)
    assert desk.states(7) == ["open"]


# Groups


def bracket(desk, **parent):
    entry = desk.wire(**{"ClientOrderIndex": 1, "Price": PRICE - 100, **parent})
    legs = {"BaseAmount": 0, "OrderExpiry": entry["OrderExpiry"] or None}
    if legs["OrderExpiry"] is None:
        del legs["OrderExpiry"]
    return (
        entry,
        desk.take(ClientOrderIndex=2, **legs),
        desk.stop(ClientOrderIndex=3, **legs),
    )


def test_a_bracket_arms_its_children_for_what_the_parent_filled(desk):
    receipt = desk.group(OTOCO, *bracket(desk))
    assert desk.exchange.transaction(receipt.tx_hash).nonce == 1
    desk.run()
    entry, take, stop = (desk.see(coi) for coi in (1, 2, 3))
    assert [o.status for o in (entry, take, stop)] == ["open", "pending", "pending"]
    assert take.trigger_status == stop.trigger_status == "parent-order"
    row = render_order(entry, ETH)
    assert row["to_trigger_order_id_0"] == str(take.order_index)
    assert row["to_trigger_order_id_1"] == str(stop.order_index)
    row = render_order(take, ETH)
    assert row["parent_order_index"] == entry.order_index
    assert row["parent_order_id"] == str(entry.order_index)
    assert row["to_cancel_order_id_0"] == str(stop.order_index)
    record = desk.exchange.transaction(receipt.tx_hash)
    assert record.order_index == entry.order_index
    assert f'"t1":{stop.order_index}' in event_info(record, entry)
    desk.mark(PRICE - 200)
    assert desk.states(1, 2, 3) == ["filled", "pending", "pending"]
    assert (take.initial_base, take.trigger_status) == (100, "mark-price")
    desk.mark(310_000)
    assert desk.states(2, 3) == ["filled", "canceled-oco"]
    assert desk.alice.ledger.size(0) == 0
    assert desk.alice.open_orders == {}


def test_a_market_parent_arms_its_child_at_once(desk):
    desk.group(OTO, *bracket(desk, Type=MARKET, TimeInForce=IOC, Price=PRICE + 500)[:2])
    assert desk.exchange.next_due_us() == START_US + 200_000
    desk.run()
    assert desk.states(1, 2) == ["filled", "pending"]
    assert desk.see(2).trigger_status == "mark-price"
    assert desk.told(2) == [("pending", "parent-order"), ("pending", "mark-price")]


def test_children_of_a_parent_that_got_nothing_end_with_it(desk):
    desk.group(OTOCO, *bracket(desk, Type=MARKET, TimeInForce=IOC, Price=PRICE - 500))
    desk.run()
    assert desk.states(1, 2, 3) == [
        "canceled-too-much-slippage",
        "canceled-child",
        "canceled-child",
    ]


def test_children_of_a_canceled_parent_end_with_it_also_when_it_was_part_filled(desk):
    desk.group(OTOCO, *bracket(desk))
    desk.run()
    desk.flow(
        SetLevel(0, False, PRICE - 1, 0),
        SetLevel(0, True, PRICE - 100, 30),
    )
    assert desk.see(1).filled_base == 30
    assert desk.see(2).trigger_status == "parent-order"
    desk.cancel(1)
    desk.run()
    assert desk.states(1, 2, 3) == ["canceled", "canceled-child", "canceled-child"]
    assert desk.alice.ledger.size(0) == 30


def test_a_parent_that_ends_part_filled_arms_its_children_for_that_part(desk):
    desk.flow(SetLevel(0, True, PRICE + 1, 40))
    desk.group(OTOCO, *bracket(desk, TimeInForce=IOC, Price=PRICE + 1))
    desk.run()
    assert desk.states(1) == ["canceled-not-enough-liquidity"]
    assert [desk.see(coi).initial_base for coi in (1, 2, 3)] == [100, 40, 40]
    desk.mark(289_000)
    assert desk.states(2, 3) == ["canceled-oco", "filled"]
    assert desk.alice.ledger.size(0) == 0


def test_a_parent_modified_down_to_what_it_has_arms_its_children(desk):
    desk.group(OTOCO, *bracket(desk))
    desk.run()
    desk.flow(SetLevel(0, False, PRICE - 1, 0), SetLevel(0, True, PRICE - 100, 30))
    desk.modify(1, Price=PRICE - 100, BaseAmount=30)
    desk.run()
    assert desk.states(1, 2, 3) == ["filled", "pending", "pending"]
    assert desk.see(3).remaining == 30


def test_a_child_that_has_nothing_to_shrink_ends_when_it_is_armed(desk):
    desk.order(Type=MARKET, TimeInForce=IOC, IsAsk=SELL, Price=PRICE - 500)
    desk.run()
    desk.group(OTO, *bracket(desk, BaseAmount=60)[:2])
    desk.run()
    desk.mark(PRICE - 200)
    assert desk.alice.ledger.size(0) == -40
    assert desk.states(1, 2) == ["filled", "canceled-reduce-only"]


def test_a_turned_position_leaves_children_of_other_parents_alone(desk):
    desk.long()
    desk.group(OTO, *bracket(desk)[:2])
    desk.order(
        Type=MARKET, TimeInForce=IOC, IsAsk=SELL, BaseAmount=150, Price=PRICE - 9
    )
    desk.run()
    assert desk.states(1, 2) == ["open", "pending"]


def test_a_parent_that_turns_the_position_keeps_the_children_it_arms(desk):
    desk.order(Type=MARKET, TimeInForce=IOC, IsAsk=SELL, Price=PRICE - 500)
    desk.run()
    legs = bracket(
        desk, Type=MARKET, TimeInForce=IOC, BaseAmount=300, Price=PRICE + 500
    )
    desk.group(OTO, *legs[:2])
    desk.run()
    assert desk.alice.ledger.size(0) == 200
    assert desk.states(2) == ["pending"]
    assert desk.see(2).trigger_status == "mark-price"


def test_a_child_modified_before_its_parent_keeps_the_parents_size(desk):
    desk.group(OTO, *bracket(desk)[:2])
    desk.run()
    desk.modify(2, TriggerPrice=312_000, Price=309_000, BaseAmount=70)
    desk.run()
    assert (desk.see(2).trigger_price, desk.see(2).initial_base) == (312_000, 0)
    desk.mark(PRICE - 200)
    assert desk.see(2).initial_base == 100


def test_the_leg_that_triggers_cancels_the_other(desk):
    desk.long()
    desk.group(OCO, desk.stop(ClientOrderIndex=1), desk.take(ClientOrderIndex=2))
    desk.run()
    assert desk.states(1, 2) == ["pending", "pending"]
    desk.mark(289_000)
    assert desk.states(1, 2) == ["filled", "canceled-oco"]


def test_a_leg_its_owner_cancels_leaves_the_other_waiting(desk):
    desk.long()
    desk.group(OCO, desk.stop(ClientOrderIndex=1), desk.take(ClientOrderIndex=2))
    desk.cancel(1)
    desk.run()
    assert desk.states(1, 2) == ["canceled", "pending"]
    desk.mark(310_000)
    assert desk.states(2) == ["filled"]


def test_cancel_all_ends_parents_and_children_once(desk):
    desk.group(OTOCO, *bracket(desk))
    desk.run()
    desk.send(16, TimeInForce=0, Time=0)
    desk.run()
    assert desk.states(1, 2, 3) == ["canceled"] * 3
    assert [len(desk.told(coi)) for coi in (1, 2, 3)] == [2, 2, 2]


def test_children_expire_by_themselves(desk):
    desk.group(OTO, *bracket(desk)[:2])
    desk.run(3_601)
    assert desk.states(2) == ["canceled-expired"]


def test_a_parent_without_a_size_takes_the_whole_position(desk):
    desk.long()
    parent, take, _ = bracket(
        desk, IsAsk=SELL, ReduceOnly=1, BaseAmount=0, Price=PRICE + 100
    )
    desk.group(OTO, parent, {**take, "IsAsk": BUY})
    desk.run()
    assert desk.see(1).initial_base == 100


def test_every_client_order_index_of_a_group_is_taken_while_it_is_queued():
    desk = Desk(coi_scope="history")
    market = {"Type": MARKET, "TimeInForce": IOC, "Price": PRICE + 500}
    desk.group(OTOCO, *bracket(desk, **market))
    for coi in (1, 2, 3):
        assert desk.refused(desk.order, ClientOrderIndex=coi) == 21728
    desk.cancel(3)
    desk.run()
    assert desk.states(3) == ["canceled"]
    assert desk.refused(desk.order, ClientOrderIndex=3) == 21728


def test_a_dropped_parent_takes_its_group_along():
    desk = Desk(reduce_only_without_position="drop")
    parent, take, _ = bracket(desk, IsAsk=SELL, ReduceOnly=1, Price=PRICE + 100)
    desk.group(OTO, parent, {**take, "IsAsk": BUY})
    desk.run()
    assert desk.exchange.log.orders() == []


def spoiled(number, **changes):
    return lambda orders: orders[number].update(changes)


@pytest.mark.parametrize(
    ("kind", "spoil", "code"),
    [
        (0, spoiled(0), 21741),
        (4, spoiled(0), 21741),
        (OTO, spoiled(0), 21742),
        (OTOCO, lambda orders: orders.pop(), 21742),
        (OTOCO, spoiled(1, MarketIndex=1), 21743),
        (OTOCO, spoiled(2, ClientOrderIndex=2), 21728),
        (OTOCO, spoiled(0, Type=TWAP), 21704),
        (OTOCO, spoiled(0, BaseAmount=0), 21701),
        (OTOCO, spoiled(1, Type=LIMIT), 21704),
        (OTOCO, spoiled(1, Type=STOP), 21704),
        (OTOCO, spoiled(1, BaseAmount=100), 21701),
        (OTOCO, spoiled(1, IsAsk=BUY), 21703),
        (OTOCO, spoiled(1, ReduceOnly=0), 21743),
        (OTOCO, spoiled(1, OrderExpiry=1), 21711),
        (OTOCO, spoiled(2, TriggerPrice=0), 21729),
        (OTOCO, spoiled(0, Price=200_000), None),
        (OTOCO, spoiled(0, Price=400_000), 21733),
        (OTOCO, spoiled(0, BaseAmount=1 << 40), 21706),
    ],
)
def test_field_rules_of_a_group(desk, kind, spoil, code):
    orders = [dict(order) for order in bracket(desk)]
    spoil(orders)
    if code is None:
        desk.group(kind, *orders)
    else:
        assert desk.refused(desk.group, kind, *orders) == code
        assert desk.alice.queued_creates == {}
        assert desk.alice.queued_cois == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"BaseAmount": 50}, 21701),
        ({"Type": STOP}, 21704),
        ({"Type": LIMIT}, 21704),
        ({"IsAsk": BUY}, 21703),
        ({"ReduceOnly": 0}, 21743),
        ({"OrderExpiry": START_US // 1_000 + 10 * MINUTE_MS}, 21711),
    ],
)
def test_field_rules_of_a_pair(desk, changes, code):
    desk.long()
    assert desk.refused(desk.group, OCO, desk.stop(), desk.take(**changes)) == code


def test_self_trade_choices_of_a_group_are_checked(desk):
    fields = {"attributes": {"6": 4}}
    assert desk.refused(desk.group, OTOCO, *bracket(desk), **fields) == 21743


# TWAP


def twap(desk, minutes=5, **changes):
    expiry = desk.now_us // 1_000 + minutes * MINUTE_MS
    fields = {"Type": TWAP, "OrderExpiry": expiry, "Price": PRICE + 500}
    return desk.order(**{**fields, "ClientOrderIndex": 7, **changes})


def test_a_twap_order_takes_a_slice_every_thirty_seconds(desk):
    twap(desk, BaseAmount=101)
    desk.run(0.001)
    parent = desk.see(7)
    assert (parent.status, parent.trigger_status) == ("pending", "twap")
    assert (parent.filled_base, desk.alice.ledger.size(0)) == (11, 11)
    for seconds, filled in ((29, 11), (1, 21), (30, 31), (210, 101)):
        desk.run(seconds)
        assert parent.filled_base == filled
    assert parent.status == "filled"
    assert parent.remaining == 0
    parts = [o for o in desk.alice.history if o.order_type == 7]
    assert len(parts) == 10
    assert sum(part.filled_base for part in parts) == 101
    assert {part.parent_index for part in parts} == {parent.order_index}
    assert render_order(parts[0], ETH)["type"] == "twap-sub"
    assert parent.filled_quote == sum(part.filled_quote for part in parts)


def test_a_twap_order_leaves_out_what_its_price_does_not_allow(desk):
    twap(desk)
    desk.run(65)
    desk.mark(PRICE + 5_000)
    desk.run(100)
    desk.mark(PRICE)
    desk.run(150)
    parent = desk.see(7)
    assert parent.status == "canceled-not-enough-liquidity"
    assert (parent.filled_base, parent.remaining) == (70, 30)


def test_a_twap_order_that_is_canceled_slices_no_more(desk):
    twap(desk)
    desk.run(31)
    desk.cancel(7)
    desk.run(300)
    assert (desk.states(7), desk.see(7).filled_base) == (["canceled"], 20)
    assert desk.alice.ledger.size(0) == 20


def test_a_reduce_only_twap_order_ends_with_the_position(desk):
    desk.long()
    twap(desk, IsAsk=SELL, ReduceOnly=1, BaseAmount=0, Price=PRICE - 500)
    desk.run(0.1)
    assert desk.see(7).initial_base == 100
    desk.order(
        Type=MARKET, TimeInForce=IOC, IsAsk=SELL, BaseAmount=90, Price=PRICE - 500
    )
    desk.run()
    assert desk.states(7) == ["canceled-reduce-only"]


def test_a_reduce_only_twap_order_whose_position_is_gone_does_not_begin():
    desk = Desk(reduce_only_without_position="cancel")
    twap(desk, IsAsk=SELL, ReduceOnly=1, Price=PRICE - 500)
    desk.run()
    assert desk.states(7) == ["canceled-reduce-only"]


@pytest.mark.parametrize(
    ("base", "status", "remaining"),
    [(50, "pending", 30), (20, "filled", 0), (10, "filled", 0)],
)
def test_a_twap_order_is_modified_while_it_runs(desk, base, status, remaining):
    twap(desk)
    desk.run(31)
    desk.modify(7, BaseAmount=base, Price=PRICE + 400)
    desk.run()
    order = desk.see(7)
    assert (order.status, order.remaining) == (status, remaining)
    assert order.price == PRICE + 400


def test_a_twap_order_gets_no_trigger_by_a_modify(desk):
    twap(desk)
    desk.run()
    assert desk.refused(desk.modify, 7, TriggerPrice=1) == 21729


def test_a_twap_order_cut_to_less_than_its_slices_tried_for_is_canceled(desk):
    twap(desk, Price=PRICE - 500)
    desk.run(31)
    desk.modify(7, BaseAmount=10, Price=PRICE)
    desk.run()
    assert (desk.states(7), desk.see(7).remaining) == (["canceled"], 20)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"TimeInForce": IOC}, 21705),
        ({"TimeInForce": POST_ONLY}, 21705),
        ({"TriggerPrice": 5}, 21729),
        ({"minutes": 4}, 21711),
        ({"minutes": 24 * 60 + 1}, 21711),
        ({"BaseAmount": 0}, 21701),
    ],
)
def test_field_rules_of_a_twap_order(desk, changes, code):
    assert desk.refused(twap, desk, **changes) == code


def test_slices_are_even_and_cover_the_whole():
    assert slice_size(101, 300_000_000) == 11
    assert slice_size(5, 300_000_000) == 1
    assert slice_size(7, 1) == 7
    assert slice_size(7, 30_000_001) == 4
