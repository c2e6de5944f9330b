"""The exchange without its doors, driven by transactions and time."""

from __future__ import annotations

import dataclasses

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy._core.matching import BookOrder
from wrappy.model import Market
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import FLOW_MAKER, FLOW_TAKER, Account, ApiKey, open_accounts
from wrappy.venue.events import (
    BlockMade,
    LevelChanged,
    MarketChanged,
    OrderChanged,
    PositionChanged,
    SetIndexPrice,
    SetLevel,
    Take,
    TradeExecuted,
    TxExecuted,
)
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.fees import fee_of
from wrappy.venue.records import RecordTable
from wrappy.venue.settings import VenueSettings
from wrappy.venue.statements import Statement

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
BTC = Market("BTC", 1, 1, 5, 10, 10_000_000)
SHUT = dataclasses.replace(Market("SHUT", 2, 2, 4), active=False)
START_US = 1_800_000_000_000_000
MINUTE_MS = 60_000
ALICE, BOB = 100, 101
IOC, GTT, POST_ONLY = 0, 1, 2
PRICE = 300_000


class Desk:
    """An exchange, its clock, and transactions by short names."""

    def __init__(self, *, tier="premium", collateral=100_000_000_000, **settings):
        self.settings = VenueSettings(tier=tier, **settings)
        accounts = open_accounts(self.settings, ())
        for index in (ALICE, BOB):
            accounts[index] = Account(
                index=index,
                l1_address=f"0x{index:040x}",
                tier=TIERS[tier],
                api_keys={slot: ApiKey(slot, "00" * 40, 1) for slot in (4, 5)},
                ledger=AccountLedger(collateral=collateral),
            )
        self.now_us = START_US
        self.sent = 0
        self.exchange = Exchange(
            self.settings, (ETH, BTC, SHUT), accounts, now_us=START_US
        )
        self.alice, self.bob = accounts[ALICE], accounts[BOB]

    @property
    def now_ms(self):
        return self.now_us // 1_000

    @property
    def eth(self):
        return self.exchange.markets[0]

    def info(self, account=ALICE, *, key=4, attributes=None, **fields):
        slot = self.exchange.accounts[account].api_keys.get(key)
        return {
            "AccountIndex": account,
            "ApiKeyIndex": key,
            "ExpiredAt": self.now_ms + 10 * MINUTE_MS,
            "Nonce": slot.nonce if slot else 1,
            "Sig": "random",
            "L2TxAttributes": attributes,
            **fields,
        }

    def create(self, account=ALICE, **changes):
        fields = {
            "MarketIndex": 0,
            "ClientOrderIndex": 0,
            "BaseAmount": 100,
            "Price": PRICE,
            "IsAsk": 0,
            "Type": 0,
            "TimeInForce": GTT,
            "ReduceOnly": 0,
            "TriggerPrice": 0,
            "OrderExpiry": self.now_ms + 60 * MINUTE_MS,
            **changes,
        }
        if fields["TimeInForce"] == IOC and "OrderExpiry" not in changes:
            fields["OrderExpiry"] = 0
        return self.info(account, **fields)

    def send(self, tx_type, info):
        self.sent += 1
        return self.exchange.submit(
            tx_type, info, f"{self.sent:080x}", now_us=self.now_us
        )

    def order(self, account=ALICE, **changes):
        return self.send(14, self.create(account, **changes))

    def cancel(self, index, account=ALICE, market=0, **fields):
        return self.send(
            15, self.info(account, MarketIndex=market, Index=index, **fields)
        )

    def modify(self, index, account=ALICE, **changes):
        fields = {
            "MarketIndex": 0,
            "Index": index,
            "BaseAmount": 100,
            "Price": PRICE,
            "TriggerPrice": 0,
        }
        return self.send(17, self.info(account, **{**fields, **changes}))

    def cancel_all(self, mode=0, time_ms=0, account=ALICE, **fields):
        return self.send(
            16, self.info(account, TimeInForce=mode, Time=time_ms, **fields)
        )

    def leverage(self, fraction, market=0, mode=0):
        return self.send(
            20,
            self.info(
                MarketIndex=market, InitialMarginFraction=fraction, MarginMode=mode
            ),
        )

    def batch(self, *items):
        rows = [
            (tx_type, info, f"{self.sent + number:080x}")
            for number, (tx_type, info) in enumerate(items, 1)
        ]
        self.sent += len(rows)
        return self.exchange.submit_batch(rows, now_us=self.now_us)

    def run(self, seconds=1.0):
        self.now_us += int(seconds * 1_000_000)
        return self.exchange.advance(self.now_us)

    def flow(self, *actions):
        self.exchange.apply_flow(actions, now_us=self.now_us)

    def refused(self, call, *args, **fields):
        with pytest.raises(Refused) as refusal:
            call(*args, **fields)
        return refusal.value.code


@pytest.fixture
def desk():
    return Desk()


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


# Two stages


def test_an_accepted_order_rests_after_its_delay_and_is_told(desk):
    receipt = desk.order(ClientOrderIndex=7)
    assert receipt.execute_at_us == START_US
    assert desk.exchange.transaction(receipt.tx_hash).status == 1
    events = desk.run()
    order = kinds(events, OrderChanged)[0].order
    assert (order.status, order.client_order_index, order.remaining) == ("open", 7, 100)
    assert order.order_index == (1 << 48) | ((1 << 48) - 1)
    assert LevelChanged(START_US, 0, False, PRICE, 100) in events
    assert kinds(events, TxExecuted)[0].succeeded
    record = desk.exchange.transaction(receipt.tx_hash)
    assert (record.status, record.sequence_index, record.order_index) == (
        2,
        1,
        order.order_index,
    )
    assert desk.exchange.order(ALICE, 7).order_index == order.order_index
    assert desk.exchange.order(ALICE, order.order_index).status == "open"


def test_asks_count_up_and_bids_count_down_in_each_market(desk):
    for is_ask in (0, 0, 1, 1):
        desk.order(IsAsk=is_ask, Price=PRICE + 10 * is_ask)
    desk.order(MarketIndex=1, BaseAmount=1000)
    desk.run()
    top = 1 << 48
    assert sorted(desk.alice.open_orders) == [
        top + 1,
        top + 2,
        2 * top - 2,
        2 * top - 1,
        3 * top - 1,
    ]


def test_a_premium_taker_waits_and_its_maker_does_not(desk):
    assert desk.order(key=5).execute_at_us == START_US
    assert desk.order(TimeInForce=IOC).execute_at_us == START_US + 200_000


def test_what_follows_a_slow_taker_on_the_same_key_waits_behind_it(desk):
    taker = desk.order(TimeInForce=IOC)
    behind = desk.order()
    assert behind.execute_at_us == taker.execute_at_us
    assert desk.order(key=5).execute_at_us == START_US
    executed = [event.tx_hash for event in kinds(desk.run(), TxExecuted)]
    assert executed.index(taker.tx_hash) < executed.index(behind.tx_hash)


def test_a_standard_account_waits_for_makers_and_cancels_too():
    desk = Desk(tier="standard")
    assert desk.order().execute_at_us == START_US + 200_000
    assert desk.order(TimeInForce=IOC).execute_at_us == START_US + 300_000
    assert desk.exchange.next_due_us() == START_US + 200_000


def test_a_transaction_past_its_deadline_at_execution_fails_without_effect(desk):
    receipt = desk.send(
        14, {**desk.create(TimeInForce=IOC), "ExpiredAt": desk.now_ms + 100}
    )
    event = kinds(desk.run(), TxExecuted)[0]
    assert (event.succeeded, event.code) == (False, 21501)
    assert desk.exchange.transaction(receipt.tx_hash).status == 0
    assert desk.exchange.log.orders() == []


def test_blocks_follow_each_other_and_a_long_idle_step_tells_the_last(desk):
    assert desk.exchange.next_due_us() == START_US + 500_000
    height = desk.exchange.height
    blocks = kinds(desk.run(0.5), BlockMade)
    assert blocks == [BlockMade(START_US + 500_000, height + 1)]
    blocks = kinds(desk.run(10), BlockMade)
    assert blocks == [BlockMade(START_US + 10_500_000, height + 21)]


def test_blocks_and_transactions_do_not_depend_on_how_time_is_sliced():
    heights = []
    for steps in (1, 7, 100):
        desk = Desk(tier="standard")
        receipt = desk.order()
        for _ in range(steps):
            desk.run(7 / steps)
        heights.append(desk.exchange.transaction(receipt.tx_hash).block_height)
    assert len(set(heights)) == 1


def test_a_transaction_due_with_a_block_belongs_to_it_however_time_is_sliced():
    heights = []
    for steps in (1, 600, 1_000):
        desk = Desk()
        desk.order(ClientOrderIndex=5)
        desk.cancel_all(1, desk.now_ms + 5 * MINUTE_MS)
        for _ in range(steps):
            desk.run(400 / steps)
        heights.append(desk.exchange.order(ALICE, 5).block_height)
    assert set(heights) == {600}


# Owners, nonces, kinds


def test_owner_checks_name_what_is_missing(desk):
    check = desk.exchange.check_owner
    assert check(desk.info()).api_key_index == 4
    assert desk.refused(check, {"AccountIndex": -1, "ApiKeyIndex": 4}) == 21102
    assert desk.refused(check, {"AccountIndex": 1 << 48, "ApiKeyIndex": 4}) == 21102
    assert desk.refused(check, {}) == 21102
    assert desk.refused(check, {"AccountIndex": ALICE, "ApiKeyIndex": 255}) == 21110
    assert desk.refused(check, {"AccountIndex": ALICE}) == 21110
    assert desk.refused(check, {"AccountIndex": 999, "ApiKeyIndex": 4}) == 21100
    assert desk.refused(check, {"AccountIndex": ALICE, "ApiKeyIndex": 0}) == 21109
    assert desk.refused(check, {"FromAccountIndex": FLOW_MAKER, "ApiKeyIndex": 4})


def test_the_nonce_must_be_the_next_one_and_a_refusal_does_not_take_it(desk):
    for nonce in (0, 2):
        assert desk.refused(desk.send, 14, {**desk.create(), "Nonce": nonce}) == 21104
    assert desk.refused(desk.order, Price=0) == 21702
    assert desk.alice.api_keys[4].nonce == 1
    desk.order()
    assert desk.alice.api_keys[4].nonce == 2
    assert desk.alice.api_keys[4].transaction_time_us == START_US
    refused = desk.exchange.log.refused()
    assert [event.code for event in refused] == [21104, 21104, 21702]
    assert (refused[0].account, refused[0].api_key_index) == (ALICE, 4)


def test_the_skip_attribute_lets_a_nonce_jump_but_never_back(desk):
    desk.send(14, {**desk.create(attributes={"4": 1}), "Nonce": 50})
    assert desk.alice.api_keys[4].nonce == 51
    skip = desk.create(attributes={"4": 1})
    assert desk.refused(desk.send, 14, {**skip, "Nonce": 50}) == 21104
    assert desk.refused(desk.send, 14, {**skip, "Nonce": 1 << 47}) == 21104


def test_unsupported_types_and_past_deadlines_are_refused(desk):
    assert desk.refused(desk.send, 10, desk.info()) == 21505
    assert desk.refused(desk.send, 14, {**desk.create(), "ExpiredAt": 1}) == 21501


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MarketIndex": 9}, 21602),
        ({"MarketIndex": 2}, 21605),
        ({"ClientOrderIndex": -1}, 21727),
        ({"ClientOrderIndex": 1 << 48}, 21727),
        ({"Type": 7}, 21704),
        ({"Type": -1}, 21704),
        ({"Type": 2}, 21705),
        ({"Type": 6, "TimeInForce": POST_ONLY}, 21705),
        ({"Type": 1}, 21705),
        ({"TimeInForce": 3, "OrderExpiry": 0}, 21705),
        ({"IsAsk": 2}, 21703),
        ({"ReduceOnly": 2}, 21743),
        ({"BaseAmount": 0}, 21701),
        ({"BaseAmount": -1}, 21701),
        ({"BaseAmount": 1 << 48}, 21701),
        ({"Price": 0}, 21702),
        ({"Price": 1 << 32}, 21702),
        ({"TriggerPrice": 5}, 21729),
        ({"OrderExpiry": 0}, 21711),
        ({"OrderExpiry": -1}, 21711),
        ({"OrderExpiry": START_US // 1000 + 5 * MINUTE_MS - 1}, 21711),
        ({"OrderExpiry": START_US // 1000 + 30 * 86_400_000 + 1}, 21711),
        ({"TimeInForce": IOC, "OrderExpiry": 1}, 21711),
        ({"BaseAmount": 49}, 21706),
        ({"BaseAmount": 50, "Price": 100_000}, 21706),
        ({"BaseAmount": 1 << 40, "Price": 300_000}, 21706),
        ({"ReduceOnly": 1}, 21732),
        ({"attributes": {"6": 4}}, 21743),
        ({"attributes": {"7": 2}}, 21743),
    ],
)
def test_field_rules_of_a_new_order(desk, changes, code):
    assert desk.refused(desk.order, **changes) == code
    assert desk.alice.api_keys[4].nonce == 1


def test_an_immediate_order_may_be_below_the_minimum(desk):
    desk.order(TimeInForce=IOC, BaseAmount=1)
    desk.run()
    assert desk.exchange.log.orders()[0].status == "canceled-not-enough-liquidity"


def test_price_bands_hold_against_the_better_of_mark_and_book(desk):
    desk.flow(
        SetIndexPrice(0, 300_000),
        SetLevel(0, False, 299_000, 50),
        SetLevel(0, True, 301_000, 50),
    )
    assert desk.eth.mark_price == 300_000
    assert desk.refused(desk.order, Price=315_001) == 21733
    assert desk.refused(desk.order, IsAsk=1, Price=284_999) == 21733
    desk.order(Price=315_000, TimeInForce=IOC)
    desk.order(IsAsk=1, Price=285_000, TimeInForce=IOC)
    free = Desk(price_bands="off")
    free.flow(SetIndexPrice(0, 300_000))
    free.order(Price=900_000)


def test_price_bands_leave_market_orders_alone_unless_told_otherwise(desk):
    worst = {"Type": 1, "TimeInForce": IOC, "OrderExpiry": 0, "Price": 400_000}
    desk.flow(SetIndexPrice(0, 300_000))
    desk.order(**worst)
    strict = Desk(price_bands="all")
    strict.flow(SetIndexPrice(0, 300_000))
    assert strict.refused(strict.order, **worst) == 21733


# Client order indices


def test_a_client_order_index_is_unique_over_markets_and_the_queue(desk):
    desk.order(ClientOrderIndex=5)
    duplicate = {"ClientOrderIndex": 5, "MarketIndex": 1, "BaseAmount": 1000}
    assert desk.refused(desk.order, **duplicate) == 21728
    desk.run()
    assert desk.refused(desk.order, **duplicate) == 21728
    desk.cancel(5)
    desk.run()
    desk.order(ClientOrderIndex=5)


def test_a_client_order_index_may_be_unique_forever():
    desk = Desk(coi_scope="history")
    desk.order(ClientOrderIndex=5, TimeInForce=IOC)
    assert desk.refused(desk.order, ClientOrderIndex=5) == 21728
    desk.run()
    assert desk.refused(desk.order, ClientOrderIndex=5) == 21728


def test_two_orders_without_client_order_index_live_side_by_side(desk):
    desk.order()
    desk.order()
    desk.run()
    assert len(desk.alice.open_orders) == 2
    assert desk.exchange.order(ALICE, 0) is None
    assert desk.exchange.order(999, 1) is None


# Cancel and modify


def test_cancel_finds_an_order_by_either_index(desk):
    desk.order(ClientOrderIndex=5)
    desk.order(ClientOrderIndex=6)
    desk.run()
    desk.cancel(5)
    desk.cancel(desk.alice.by_coi[6].order_index)
    events = desk.run()
    assert [event.order.status for event in kinds(events, OrderChanged)] == [
        "canceled",
        "canceled",
    ]
    assert desk.alice.open_orders == desk.alice.by_coi == {}
    assert desk.exchange.order(ALICE, 5).status == "canceled"
    assert desk.eth.engine.depth() == ([], [])


def test_cancel_with_another_key_finds_an_order_still_queued():
    desk = Desk(tier="standard", gone_order="refuse")
    desk.order(ClientOrderIndex=5)
    desk.cancel(5, key=5)
    desk.run()
    assert desk.exchange.log.orders()[0].status == "canceled"


def test_a_gone_order_is_accepted_without_effect_or_refused(desk):
    receipt = desk.cancel(5)
    desk.modify(5)
    executed = kinds(desk.run(), TxExecuted)
    assert [(event.succeeded, event.code) for event in executed] == [(True, 21600)] * 2
    assert desk.exchange.transaction(receipt.tx_hash).status == 2
    strict = Desk(gone_order="refuse")
    assert strict.refused(strict.cancel, 5) == 21600
    assert strict.refused(strict.modify, 5) == 21600


def test_orders_of_others_and_of_other_markets_are_not_found(desk):
    desk.order(ClientOrderIndex=5)
    desk.run()
    desk.cancel(5, account=BOB)
    desk.cancel(5, market=1)
    desk.run()
    assert 5 in desk.alice.by_coi
    strict = Desk(tier="standard", gone_order="refuse")
    strict.order(ClientOrderIndex=5)
    assert strict.refused(strict.cancel, 5, market=1) == 21600


@pytest.mark.parametrize("index", [0, -1, 1 << 60])
def test_an_index_out_of_range_is_refused(desk, index):
    assert desk.refused(desk.cancel, index) == 21700


def test_modify_keeps_the_ids_and_loses_the_place_in_the_queue(desk):
    desk.order(ClientOrderIndex=5)
    desk.order(BOB, ClientOrderIndex=5)
    desk.run()
    before = desk.alice.by_coi[5].order_index
    desk.modify(5, BaseAmount=80)
    desk.run()
    order = desk.alice.by_coi[5]
    assert (order.order_index, order.remaining, order.initial_base) == (before, 80, 80)
    queue = list(desk.eth.engine.orders(is_ask=False))
    assert [order.owner for order in queue] == [BOB, ALICE]


def test_modify_may_trade_at_once(desk):
    desk.order(BOB, IsAsk=1, Price=PRICE + 100)
    desk.order(ClientOrderIndex=5)
    desk.run()
    desk.modify(5, Price=PRICE + 100)
    trade = kinds(desk.run(), TradeExecuted)[0].trade
    assert (trade.price, trade.base, trade.bid_client_order_index) == (
        PRICE + 100,
        100,
        5,
    )
    assert desk.exchange.order(ALICE, 5).status == "filled"


def test_modify_cancels_a_post_only_order_that_would_cross(desk):
    desk.order(BOB, IsAsk=1, Price=PRICE + 100)
    desk.order(ClientOrderIndex=5, TimeInForce=POST_ONLY)
    desk.run()
    desk.modify(5, Price=PRICE + 100)
    desk.run()
    assert desk.exchange.order(ALICE, 5).status == "canceled-post-only"


def test_modify_to_no_more_than_is_filled_closes_the_order(desk):
    desk.order(ClientOrderIndex=5)
    desk.order(ClientOrderIndex=6)
    desk.order(BOB, IsAsk=1, BaseAmount=60)
    desk.run()
    desk.modify(5, BaseAmount=60)
    desk.modify(6, BaseAmount=0)
    desk.run()
    assert desk.exchange.order(ALICE, 5).status == "filled"
    assert desk.exchange.order(ALICE, 6).status == "canceled"
    assert desk.eth.engine.depth() == ([], [])


def test_modify_counts_what_is_already_filled(desk):
    desk.order(ClientOrderIndex=5)
    desk.order(BOB, IsAsk=1, BaseAmount=60)
    desk.run()
    desk.modify(5, BaseAmount=150)
    desk.run()
    order = desk.alice.by_coi[5]
    assert (order.filled_base, order.remaining) == (60, 90)


def test_modify_overwrites_the_self_trade_choice(desk):
    desk.order(ClientOrderIndex=5)
    desk.run()
    desk.modify(5, attributes={"6": 2, "7": 1})
    desk.run()
    order = desk.alice.by_coi[5]
    assert (order.self_trade, order.self_trade_same_group) == (2, True)


def test_an_expired_order_cannot_be_modified(desk):
    desk.order(ClientOrderIndex=5)
    desk.run()
    desk.run(3_700)
    desk.modify(5)
    assert kinds(desk.run(), TxExecuted)[0].code == 21709


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MarketIndex": 9}, 21602),
        ({"BaseAmount": -1}, 21701),
        ({"Price": 0}, 21702),
        ({"TriggerPrice": 1}, 21729),
        ({"BaseAmount": 1 << 40}, 21706),
        ({"Price": 400_000}, 21733),
        ({"attributes": {"6": 9}}, 21743),
        ({"BaseAmount": 100_000_000}, 21739),
    ],
)
def test_field_rules_of_a_modify(desk, changes, code):
    desk.flow(SetIndexPrice(0, PRICE))
    desk.order(ClientOrderIndex=5)
    desk.run()
    assert desk.refused(desk.modify, 5, **changes) == code


def test_modify_of_a_queued_order_is_judged_by_what_was_queued():
    desk = Desk(tier="standard")
    desk.flow(SetIndexPrice(0, PRICE))
    desk.order(ClientOrderIndex=5)
    assert desk.refused(desk.modify, 5, Price=400_000) == 21733
    desk.modify(5, Price=PRICE - 5)
    desk.run()
    assert desk.alice.by_coi[5].price == PRICE - 5


def test_the_minimum_on_modify_is_a_setting(desk):
    desk.order(ClientOrderIndex=5)
    desk.run()
    desk.modify(5, BaseAmount=1)
    strict = Desk(modify_keeps_minimum=True)
    strict.order(ClientOrderIndex=5)
    assert strict.refused(strict.modify, 5, BaseAmount=1) == 21706


# Cancel all


def test_cancel_all_takes_every_order_or_one_markets(desk):
    desk.order()
    desk.order(MarketIndex=1, BaseAmount=1000)
    desk.run()
    desk.cancel_all(attributes={"5": 1})
    desk.run()
    assert [order.market_index for order in desk.alice.open_orders.values()] == [0]
    desk.cancel_all(attributes={"5": 255})
    desk.run()
    assert not desk.alice.open_orders


def test_a_scheduled_cancel_all_fires_when_due(desk):
    desk.order(ClientOrderIndex=5)
    desk.cancel_all(1, desk.now_ms + 5 * MINUTE_MS)
    desk.run(299)
    assert 5 in desk.alice.by_coi
    assert desk.alice.cancel_all_time_ms
    desk.run(2)
    assert desk.exchange.order(ALICE, 5).status == "canceled"
    assert desk.alice.cancel_all_time_ms == 0


def test_an_abort_or_a_later_schedule_replaces_the_earlier(desk):
    desk.order(ClientOrderIndex=5)
    desk.cancel_all(1, desk.now_ms + 5 * MINUTE_MS)
    desk.cancel_all(1, desk.now_ms + 6 * MINUTE_MS)
    desk.run(301)
    assert 5 in desk.alice.by_coi
    desk.cancel_all(2)
    desk.run(100)
    assert 5 in desk.alice.by_coi


def test_a_second_schedule_may_be_refused():
    desk = Desk(second_schedule="refuse")
    desk.cancel_all(1, desk.now_ms + 5 * MINUTE_MS)
    desk.run()
    late = desk.now_ms + 6 * MINUTE_MS
    assert desk.refused(desk.cancel_all, 1, late) == 21712


@pytest.mark.parametrize(
    ("mode", "ahead_ms", "attributes", "code"),
    [
        (0, 1, None, 21714),
        (2, 1, None, 21714),
        (3, None, None, 21713),
        (1, 5 * MINUTE_MS - 1, None, 21714),
        (1, 15 * 86_400_000 + 1, None, 21714),
        (1, 6 * MINUTE_MS, {"5": 0}, 21501),
        (0, None, {"5": 77}, 21602),
    ],
)
def test_field_rules_of_cancel_all(desk, mode, ahead_ms, attributes, code):
    time_ms = 0 if ahead_ms is None else desk.now_ms + ahead_ms
    assert desk.refused(desk.cancel_all, mode, time_ms, attributes=attributes) == code


# Batches


def test_a_batch_runs_in_order_and_consumes_one_nonce_each(desk):
    first = desk.create(ClientOrderIndex=5)
    second = {**desk.create(ClientOrderIndex=6), "Nonce": 2}
    third = {**desk.info(MarketIndex=0, Index=5), "Nonce": 3}
    receipts = desk.batch((14, first), (14, second), (15, third))
    assert len({receipt.tx_hash for receipt in receipts}) == 3
    assert desk.alice.api_keys[4].nonce == 4
    desk.run()
    assert list(desk.alice.by_coi) == [6]


def test_one_bad_member_refuses_the_whole_batch_and_consumes_nothing(desk):
    good = desk.create(ClientOrderIndex=5)
    bad = {**desk.create(ClientOrderIndex=5), "Nonce": 2}
    assert desk.refused(desk.batch, (14, good), (14, bad)) == 21728
    key = desk.alice.api_keys[4]
    assert (key.nonce, key.busy_until_us, key.transaction_time_us) == (1, 0, 0)
    assert desk.alice.queued_cois == desk.alice.queued_creates == {}
    assert [event.nonce for event in desk.exchange.log.refused()] == [2]
    desk.run()
    assert desk.exchange.log.orders() == []
    desk.order(ClientOrderIndex=5)


def test_batch_rules(desk):
    create = desk.create()
    follow = {**create, "Nonce": 3}
    assert desk.refused(desk.batch) == 21501
    assert desk.refused(desk.batch, *([(14, create)] * 16)) == 21514
    assert desk.refused(desk.batch, (14, create), (14, desk.create(BOB))) == 21121
    other_key = {**create, "ApiKeyIndex": 5}
    assert desk.refused(desk.batch, (14, create), (14, other_key)) == 21121
    assert desk.refused(desk.batch, (14, create), (14, follow)) == 21105
    assert desk.refused(desk.batch, (14, create), (14, create)) == 21105
    late = {**create, "Nonce": 2}
    assert desk.refused(desk.batch, (14, late), (14, follow)) == 21104
    skipping = {"L2TxAttributes": {"4": 1}}
    desk.batch((14, {**create, **skipping}), (14, {**follow, **skipping}))
    assert desk.alice.api_keys[4].nonce == 4


# Trading, fees, margin


def test_a_trade_books_both_sides_and_tells_everything(desk):
    desk.order(BOB, IsAsk=1, ClientOrderIndex=9)
    desk.order(ClientOrderIndex=8, TimeInForce=IOC, BaseAmount=40)
    events = desk.run()
    trade = kinds(events, TradeExecuted)[0].trade
    quote = 40 * PRICE
    assert (trade.price, trade.base, trade.quote) == (PRICE, 40, quote)
    assert (trade.ask_client_order_index, trade.bid_client_order_index) == (9, 8)
    assert (trade.ask_account, trade.bid_account) == (BOB, ALICE)
    assert trade.is_maker_ask
    assert (trade.taker_fee, trade.maker_fee) == (280, 40)
    assert trade.taker_fee_amount == quote * 280 // 1_000_000
    assert trade.maker_fee_amount == quote * 40 // 1_000_000
    assert trade.taker_before.sign_changed
    assert desk.alice.ledger.size(0) == 40
    assert desk.bob.ledger.size(0) == -40
    assert desk.eth.open_interest == 40
    assert desk.eth.last_trade_price == desk.eth.mark_price == PRICE
    assert desk.eth.day.count == 1
    assert {event.account for event in kinds(events, PositionChanged)} == {ALICE, BOB}
    statuses = {
        event.order.owner: event.order.status for event in kinds(events, OrderChanged)
    }
    assert statuses == {ALICE: "filled", BOB: "open"}
    assert desk.exchange.log.trades(ALICE, 0) == [trade]
    assert desk.exchange.log.trades(market_index=1) == []


def test_order_events_are_copies_as_of_then(desk):
    desk.order(ClientOrderIndex=5)
    first = kinds(desk.run(), OrderChanged)[0].order
    desk.cancel(5)
    desk.run()
    assert first.status == "open"
    assert first is not desk.exchange.order(ALICE, 5)


def test_a_market_order_takes_the_best_prices(desk):
    desk.order(BOB, IsAsk=1)
    desk.order(Type=1, TimeInForce=IOC, Price=PRICE + 1000, BaseAmount=100)
    trade = kinds(desk.run(), TradeExecuted)[0].trade
    assert trade.price == PRICE


def test_a_resting_order_needs_margin_and_a_closing_one_does_not():
    desk = Desk(collateral=20_000_000)  # carries 400 USDC at 5 %
    assert desk.refused(desk.order, BaseAmount=14_000) == 21739
    desk.order(BaseAmount=1_333)
    desk.order(BOB, BaseAmount=1_000, IsAsk=1)
    desk.run()
    assert desk.alice.ledger.size(0) == 1_000
    desk.cancel_all()
    desk.run()
    assert desk.refused(desk.order, BaseAmount=1_000) == 21739
    desk.order(BaseAmount=1_000, IsAsk=1, Price=PRICE + 100)


def test_a_taker_without_margin_keeps_nothing_of_the_fill():
    desk = Desk(collateral=20_000_000)
    desk.flow(SetLevel(0, True, PRICE, 100_000))
    desk.order(TimeInForce=IOC, BaseAmount=14_000)
    desk.run()
    assert desk.exchange.log.orders()[0].status == "canceled-margin-not-allowed"
    assert desk.alice.ledger.size(0) == 0


def test_a_maker_whose_margin_is_gone_is_removed_when_met():
    desk = Desk(collateral=20_000_000)
    desk.order(BaseAmount=1_300, ClientOrderIndex=5)
    desk.order(BaseAmount=1_300, ClientOrderIndex=6)
    desk.run()
    desk.flow(Take(0, True, PRICE, 2_600))
    events = desk.run()
    statuses = {
        event.order.client_order_index: event.order.status
        for event in kinds(events, OrderChanged)
    }
    assert statuses == {5: "filled", 6: "canceled-margin-not-allowed"}


def test_an_order_whose_margin_went_while_it_was_queued_does_not_rest():
    desk = Desk(tier="standard", collateral=20_000_000)
    desk.order(BaseAmount=1_200, Price=PRICE - 10, ClientOrderIndex=5)
    desk.flow(SetLevel(0, True, PRICE, 1_300))
    desk.order(TimeInForce=IOC, BaseAmount=1_200, key=5)
    desk.run()
    assert 5 in desk.alice.by_coi
    desk.order(BaseAmount=1_200, IsAsk=1, TimeInForce=IOC)
    slow = Desk(tier="standard", collateral=20_000_000)
    slow.flow(SetLevel(0, True, PRICE, 1_300))
    slow.order(BaseAmount=1_200)
    slow.order(BaseAmount=1_200, Price=PRICE - 10, ClientOrderIndex=6)
    slow.run()
    assert slow.exchange.order(ALICE, 6).status == "canceled-margin-not-allowed"
    assert slow.eth.engine.depth() == ([], [(PRICE, 100)])


def test_adding_to_a_position_needs_margin_for_the_sum_only():
    desk = Desk(collateral=20_000_000)
    desk.flow(SetLevel(0, True, PRICE, 5_000))
    for base in (600, 600, 600):
        desk.order(TimeInForce=IOC, BaseAmount=base)
    desk.run()
    statuses = [order.status for order in desk.exchange.log.orders()]
    assert statuses == ["filled", "filled", "canceled-margin-not-allowed"]
    ledger = desk.alice.ledger
    fractions = desk.alice.initial_margin_fractions
    assert ledger.available(desk.exchange.lot_values, fractions) >= 0


def test_turning_a_position_needs_margin_even_at_equal_size():
    desk = Desk(collateral=20_000_000, price_bands="off", liquidation=False)
    desk.flow(SetLevel(0, True, PRICE, 1_300))
    desk.order(TimeInForce=IOC, BaseAmount=1_300)
    desk.run()
    desk.flow(SetIndexPrice(0, 240_000), SetLevel(0, False, 240_000, 5_000))
    desk.flow(SetLevel(0, True, 240_010, 10))
    desk.order(IsAsk=1, TimeInForce=IOC, BaseAmount=2_600, Price=240_000)
    desk.order(IsAsk=1, TimeInForce=IOC, BaseAmount=1_300, Price=240_000)
    desk.run()
    statuses = [order.status for order in desk.exchange.log.orders()]
    assert statuses == ["filled", "canceled-margin-not-allowed", "filled"]
    assert desk.alice.ledger.size(0) == 0


def test_a_fill_worse_than_the_mark_counts_as_a_loss_at_once():
    desk = Desk(collateral=20_000_000)
    desk.flow(
        SetIndexPrice(0, PRICE),
        SetLevel(0, False, PRICE, 100),
        SetLevel(0, True, PRICE + 5_000, 5_000),
    )
    desk.order(TimeInForce=IOC, BaseAmount=1_300, Price=PRICE + 5_000)
    desk.run()
    assert desk.exchange.log.orders()[0].status == "canceled-margin-not-allowed"


def test_fees_round_halves_up():
    assert fee_of(1, 500_000) == 1
    assert fee_of(1, 499_999) == 0
    assert fee_of(15_000_000, 280) == 4_200


def test_reduce_only_wrong_side_is_refused_and_right_side_closes(desk):
    desk.flow(SetLevel(0, True, PRICE, 500), SetLevel(0, False, PRICE - 10, 500))
    desk.order(TimeInForce=IOC)
    desk.run()
    assert desk.refused(desk.order, ReduceOnly=1) == 21738
    desk.order(ReduceOnly=1, IsAsk=1, TimeInForce=IOC, Price=PRICE - 10, BaseAmount=400)
    desk.run()
    assert desk.alice.ledger.size(0) == 0
    assert desk.exchange.log.orders(ALICE)[-1].status == "canceled-reduce-only"
    assert desk.exchange.log.orders(ALICE)[-1].filled_base == 100


def test_zero_lots_reduce_only_means_the_whole_position(desk):
    desk.flow(SetLevel(0, True, PRICE, 500), SetLevel(0, False, PRICE - 10, 500))
    desk.order(TimeInForce=IOC, BaseAmount=123)
    desk.run()
    close = {
        "ReduceOnly": 1,
        "IsAsk": 1,
        "TimeInForce": IOC,
        "Price": PRICE - 10,
        "BaseAmount": 0,
    }
    desk.order(**close)
    desk.order(**close)
    desk.run()
    orders = desk.exchange.log.orders(ALICE)
    assert [order.status for order in orders[1:]] == ["filled", "canceled-reduce-only"]
    assert desk.alice.ledger.size(0) == 0


def test_self_trade_modes_reach_the_book(desk):
    desk.order(ClientOrderIndex=5, BaseAmount=200)
    desk.order(ClientOrderIndex=6, IsAsk=1, attributes={"6": 3})
    desk.run()
    assert desk.alice.by_coi[5].remaining == 100
    assert desk.exchange.order(ALICE, 6).status == "canceled-self-trade"
    assert desk.exchange.log.trades() == []


def test_leverage_is_stored_and_used(desk):
    desk.leverage(1_000)
    desk.run()
    assert desk.alice.initial_margin_fractions[0] == 1_000
    assert desk.refused(desk.leverage, 199) == 21113
    assert desk.refused(desk.leverage, 10_001) == 21113
    assert desk.refused(desk.leverage, 500, mode=2) == 21613
    assert desk.refused(desk.leverage, 500, market=9) == 21602


def test_leverage_may_not_fall_below_what_the_position_needs():
    desk = Desk(collateral=20_000_000)
    desk.flow(SetLevel(0, True, PRICE, 5_000))
    desk.order(TimeInForce=IOC, BaseAmount=1_300)
    desk.run()
    assert desk.refused(desk.leverage, 10_000) == 21508
    desk.leverage(400)


def test_order_counts_are_limited_per_market_and_account(desk):
    for number in range(1_000):
        desk.order(Price=PRICE - number, BaseAmount=50)
    assert desk.refused(desk.order) == 21718
    desk.run()
    assert desk.refused(desk.order) == 21718
    assert desk.refused(desk.order, MarketIndex=1, BaseAmount=1_000) == 21717
    desk.order(TimeInForce=IOC)


# Market life


def test_flow_levels_grow_at_the_back_and_shrink_from_the_back(desk):
    desk.flow(SetLevel(0, False, PRICE, 100))
    desk.order(ClientOrderIndex=5)
    desk.run()
    desk.flow(SetLevel(0, False, PRICE, 150))
    queue = [(order.owner, order.remaining) for order in book(desk, is_ask=False)]
    assert queue == [(FLOW_MAKER, 100), (ALICE, 100), (FLOW_MAKER, 50)]
    desk.flow(SetLevel(0, False, PRICE, 120))
    queue = [(order.owner, order.remaining) for order in book(desk, is_ask=False)]
    assert queue == [(FLOW_MAKER, 100), (ALICE, 100), (FLOW_MAKER, 20)]
    desk.flow(SetLevel(0, False, PRICE, 60))
    queue = [(order.owner, order.remaining) for order in book(desk, is_ask=False)]
    assert queue == [(FLOW_MAKER, 60), (ALICE, 100)]
    desk.flow(Take(0, True, PRICE, 70))
    desk.flow(SetLevel(0, False, PRICE, 0))
    queue = [(order.owner, order.remaining) for order in book(desk, is_ask=False)]
    assert queue == [(ALICE, 90)]
    assert not desk.eth.flow_levels


def book(desk, *, is_ask):
    return desk.eth.engine.orders(is_ask=is_ask)


def test_flow_quotes_never_cross_themselves(desk):
    desk.flow(SetLevel(0, True, PRICE, 100), SetLevel(0, True, PRICE + 1, 100))
    desk.flow(SetLevel(0, False, PRICE, 50))
    assert desk.eth.engine.depth() == ([(PRICE, 50)], [(PRICE + 1, 100)])
    desk.flow(SetLevel(0, True, PRICE - 5, 10))
    assert desk.eth.engine.depth()[0] == []
    assert desk.exchange.log.flow_trades == 0


def test_a_flow_quote_that_crosses_a_users_order_trades_with_it(desk):
    desk.order(ClientOrderIndex=5)
    desk.run()
    desk.flow(SetLevel(0, True, PRICE - 5, 130))
    events = desk.run()
    trade = kinds(events, TradeExecuted)[0].trade
    assert (trade.price, trade.base, trade.ask_account) == (PRICE, 100, FLOW_MAKER)
    assert desk.eth.engine.depth() == ([], [(PRICE - 5, 30)])
    assert desk.exchange.order(ALICE, 5).status == "filled"
    assert len(desk.exchange.log.trades(ALICE)) == 1


def test_the_tapes_rest_prints_and_moves_the_last_price(desk):
    desk.flow(SetLevel(0, True, PRICE, 30))
    desk.exchange.drain()
    desk.flow(Take(0, False, PRICE, 100, print_rest=True))
    trades = [event.trade for event in kinds(desk.exchange.drain(), TradeExecuted)]
    assert [trade.base for trade in trades] == [30, 70]
    assert trades[1].ask_account == FLOW_MAKER
    assert trades[1].bid_account == FLOW_TAKER
    assert desk.eth.last_trade_price == PRICE
    assert desk.exchange.log.flow_trades == 2
    assert len(desk.exchange.log) == 0
    desk.flow(Take(0, False, PRICE, 100))
    assert kinds(desk.exchange.drain(), TradeExecuted) == []


def test_flow_orders_never_show_as_order_events_and_pay_nothing(desk):
    desk.flow(SetLevel(0, True, PRICE, 30), Take(0, False, PRICE, 30))
    events = desk.exchange.drain()
    assert kinds(events, OrderChanged) == kinds(events, PositionChanged) == []
    assert desk.exchange.accounts[FLOW_MAKER].ledger.fees_paid == 0


def test_index_and_mark_prices_are_told_when_they_move(desk):
    desk.flow(SetIndexPrice(0, PRICE))
    assert MarketChanged(START_US, 0) in desk.exchange.drain()
    desk.flow(SetIndexPrice(0, PRICE))
    assert desk.exchange.drain() == []
    desk.flow(SetLevel(0, False, PRICE - 20, 5), SetLevel(0, True, PRICE + 40, 5))
    assert desk.eth.mark_price == PRICE + 5
    assert desk.exchange.lot_values[0] == PRICE + 5
    desk.flow(Take(0, False, PRICE + 40, 5))
    assert desk.eth.mark_price == PRICE + 20


def test_engine_nonces_grow_and_name_the_last_book_change(desk):
    desk.flow(SetLevel(0, True, PRICE, 30))
    first = desk.eth.book_nonce
    assert first == desk.exchange.nonce > 0
    desk.flow(SetIndexPrice(0, PRICE))
    assert desk.eth.book_nonce == first
    desk.flow(SetLevel(0, True, PRICE, 31))
    assert desk.eth.book_nonce > first


def test_the_day_starts_anew_at_midnight(desk):
    desk.flow(SetLevel(0, True, PRICE, 30), Take(0, False, PRICE, 30))
    desk.flow(SetLevel(0, True, PRICE + 1, 10), Take(0, False, PRICE + 1, 10))
    day = desk.eth.day
    assert (day.count, day.open, day.low, day.high) == (2, PRICE, PRICE, PRICE + 1)
    desk.now_us += 86_400_000_000
    desk.flow(SetLevel(0, True, PRICE + 2, 30), Take(0, False, PRICE + 2, 10))
    assert (day.count, day.open, day.base, day.quote) == (
        1,
        PRICE + 2,
        10,
        10 * (PRICE + 2),
    )


def test_flow_that_is_eaten_whole_by_users_leaves_nothing_behind(desk):
    desk.order(ClientOrderIndex=5, BaseAmount=200)
    desk.run()
    desk.flow(SetLevel(0, True, PRICE, 100))
    assert desk.eth.flow_levels == {}
    assert desk.eth.engine.depth() == ([(PRICE, 100)], [])


def test_a_reduce_only_order_rests_and_is_modified_without_margin(desk):
    desk.flow(SetLevel(0, True, PRICE, 500))
    desk.order(TimeInForce=IOC)
    desk.run()
    desk.order(ReduceOnly=1, IsAsk=1, Price=PRICE + 50, ClientOrderIndex=5)
    desk.run()
    desk.modify(5, BaseAmount=900_000, Price=PRICE + 60)
    desk.run()
    assert desk.alice.by_coi[5].remaining == 900_000


@pytest.mark.parametrize("expiry_ms", [0, 1])
def test_only_the_exchanges_own_orders_may_stand_in_its_books(desk, expiry_ms):
    stray = BookOrder(order_index=1, owner=ALICE, is_ask=True, price=PRICE, remaining=1)
    stray.expiry_ms = expiry_ms
    list(desk.eth.engine.execute(stray, now_ms=0, reducible=lambda *_: 0))
    with pytest.raises(TypeError, match="exchange's"):
        desk.flow(Take(0, False, PRICE, 1))


def test_the_table_of_records_forgets_the_oldest():
    desk = Desk()
    receipts = [desk.order(ClientOrderIndex=number) for number in (1, 2, 3)]
    table = RecordTable(limit=2)
    for receipt in receipts:
        table.add(desk.exchange.transaction(receipt.tx_hash))
    assert len(table) == 2
    assert table.get(receipts[0].tx_hash) is None
    assert table.get(receipts[2].tx_hash).nonce == 3
    assert [record.nonce for record in table.newest(0, 5)] == [3, 2]
    assert [record.nonce for record in table.newest(1, 5)] == [2]


def test_a_record_that_is_gone_is_not_found_by_its_sequence_index_either():
    desk = Desk()
    kept, gone = RecordTable(limit=1), RecordTable(limit=1)
    for coi in (1, 2):
        desk.order(ClientOrderIndex=coi)
        desk.run()
    first, second = (desk.exchange.transactions.by_sequence(n) for n in (1, 2))
    assert (first.nonce, second.nonce) == (1, 2)
    assert desk.exchange.transactions.by_sequence(3) is None
    kept.add(first)
    kept.executed(first)
    assert kept.by_sequence(1) is first
    kept.add(second)
    assert kept.by_sequence(1) is None
    gone.executed(first)
    assert gone.by_sequence(1) is None


def test_an_order_carries_its_number_in_the_markets_count():
    desk = Desk()
    desk.order(ClientOrderIndex=1)
    desk.order(ClientOrderIndex=2, IsAsk=1, Price=PRICE + 100)
    desk.run()
    top = (1 << 48) - 1
    bid, ask = (desk.exchange.order(ALICE, coi) for coi in (1, 2))
    assert (bid.nonce, ask.nonce) == (top, 1)
    for order in (bid, ask):
        desk.send(
            17,
            desk.info(
                MarketIndex=0,
                Index=order.client_order_index,
                BaseAmount=200,
                Price=order.price,
                TriggerPrice=0,
            ),
        )
    desk.run()
    assert (bid.nonce, ask.nonce) == (top - 1, 2), "as bids and asks count"
    assert (bid.order_index & top, ask.order_index & top) == (top, 1)


def test_orders_of_two_accounts_cannot_be_netted(desk):
    for attributes, code in (({"6": 3, "7": 1}, 21743), ({"6": 3, "7": 0}, None)):
        info = {**desk.create(), "L2TxAttributes": attributes}
        if code is None:
            desk.send(14, info)
        else:
            assert desk.refused(desk.send, 14, info) == code


def test_no_two_changes_of_an_order_share_a_time():
    desk = Desk()
    desk.order(ClientOrderIndex=1)
    desk.order(BOB, IsAsk=1, BaseAmount=50, TimeInForce=GTT)
    desk.exchange.advance(desk.now_us)
    changes = [event.order for event in desk.exchange.log.of(OrderChanged)]
    times = [order.updated_us for order in changes if order.client_order_index == 1]
    assert len(times) == 2
    assert times[0] < times[1]


def test_a_scheduled_cancel_all_is_shown():
    desk = Desk()
    time_ms = desk.now_ms + 10 * MINUTE_MS
    desk.send(16, desk.info(TimeInForce=1, Time=time_ms))
    desk.run()
    shown = Statement(desk.alice, desk.exchange.markets).detailed()
    assert shown["cancel_all_time"] == time_ms
    desk.send(16, desk.info(TimeInForce=2, Time=0))
    desk.run()
    shown = Statement(desk.alice, desk.exchange.markets).detailed()
    assert shown["cancel_all_time"] == 0


# The record


def story(seed_signature):
    desk = Desk(tier="standard")
    desk.flow(SetIndexPrice(0, PRICE), SetLevel(0, True, PRICE, 500))
    desk.send(14, {**desk.create(ClientOrderIndex=5), "Sig": seed_signature})
    desk.order(BOB, IsAsk=1, Price=PRICE + 5)
    desk.run()
    desk.modify(5, BaseAmount=300)
    desk.refused(desk.order, Price=0)
    desk.cancel_all(account=BOB)
    desk.run()
    return desk.exchange.log


def test_equal_inputs_make_equal_records_whatever_the_signature():
    first, second = story("one"), story("two")
    assert first.hash() == second.hash() == first.hash()
    assert len(first) == len(first.events) > 5
    first.append(first.events[0])
    assert first.hash() != second.hash()


def test_the_record_answers_by_account(desk):
    desk.order()
    desk.order(BOB)
    desk.run()
    log = desk.exchange.log
    assert [event.account for event in log.accepted()] == [ALICE, BOB]
    assert [event.account for event in log.accepted(BOB)] == [BOB]
    assert [order.owner for order in log.orders(BOB)] == [BOB]
    assert len(log.of(TxExecuted)) == 2


def test_the_record_takes_no_order_of_the_flow(desk):
    desk.order()
    event = kinds(desk.run(), OrderChanged)[0]
    flow_order = dataclasses.replace(event.order, owner=FLOW_MAKER)
    before = len(desk.exchange.log)
    desk.exchange.log.append(OrderChanged(0, flow_order))
    assert len(desk.exchange.log) == before


def test_refusals_from_outside_are_recorded_too(desk):
    desk.exchange.refuse(Refused(21120), now_us=desk.now_us, info=desk.create())
    desk.exchange.refuse(Refused(21501, "why"), now_us=desk.now_us)
    codes = [(event.code, event.message) for event in desk.exchange.log.refused()]
    assert codes == [(21120, "invalid signature"), (21501, "why")]
