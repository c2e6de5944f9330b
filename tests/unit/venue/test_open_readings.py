"""Both readings of what the public documents leave open, at the exchange itself."""

from __future__ import annotations

import pytest

from tests.unit.venue.test_exchange import (
    ALICE,
    GTT,
    IOC,
    PRICE,
    START_US,
    Desk,
)
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.sub_accounts import key_problem


def nonce(desk, key=4):
    return desk.alice.api_keys[key].nonce


def record(desk, receipt):
    return desk.exchange.transaction(receipt.tx_hash)


def quoted(**settings):
    desk = Desk(**settings)
    desk.flow(
        SetIndexPrice(0, PRICE),
        SetLevel(0, False, PRICE - 10, 5_000),
        SetLevel(0, True, PRICE + 10, 5_000),
    )
    return desk


@pytest.mark.parametrize("reading", ["consumed", "returned"])
def test_a_transaction_past_its_deadline_keeps_or_returns_its_nonce(reading):
    desk = Desk(tier="standard", failed_nonce=reading)
    soon = desk.info(MarketIndex=0, Index=9) | {"ExpiredAt": desk.now_ms + 100}
    late = desk.send(15, soon)
    behind = desk.order(ClientOrderIndex=7)
    desk.run()
    assert record(desk, late).code == 21501
    if reading == "consumed":
        assert (nonce(desk), record(desk, behind).status) == (3, 2)
        return
    assert nonce(desk) == 1
    assert (record(desk, behind).status, record(desk, behind).code) == (0, 21104)
    again = desk.order(ClientOrderIndex=7)
    desk.run()
    assert record(desk, again).status == 2


@pytest.mark.parametrize("reading", ["consumed", "returned"])
def test_a_resting_order_without_margin_keeps_or_returns_its_nonce(reading):
    desk = Desk(tier="standard", failed_nonce=reading, collateral=1_000_000_000)
    receipt = desk.order(BaseAmount=40_000)
    desk.alice.ledger.collateral = 0  # lost while it waited
    desk.run()
    order = desk.exchange.order(ALICE, record(desk, receipt).order_index)
    assert order.status == "canceled-margin-not-allowed"
    assert nonce(desk) == (2 if reading == "consumed" else 1)


@pytest.mark.parametrize("reading", ["accept", "refuse", "consume"])
def test_a_cancel_of_a_gone_order_is_accepted_or_refused(reading):
    desk = Desk(gone_order=reading, gone_order_code=21715)
    if reading == "accept":
        receipt = desk.cancel(77)
        desk.run()
        assert (record(desk, receipt).status, nonce(desk)) == (2, 2)
        return
    assert desk.refused(desk.cancel, 77) == 21715
    assert nonce(desk) == (2 if reading == "consume" else 1)


@pytest.mark.parametrize("code", [21600, 21707, 21708, 21709, 21715])
def test_a_gone_order_is_refused_with_the_code_that_is_set(code):
    desk = Desk(gone_order="refuse", gone_order_code=code)
    assert desk.refused(desk.modify, 77) == code


@pytest.mark.parametrize("window", [0, 2])
def test_a_nonce_ahead_is_refused_or_waits_for_its_turn(window):
    desk = Desk(nonce_window=window)
    if not window:
        assert desk.refused(desk.order, Nonce=2) == 21104
        return
    assert desk.refused(desk.order, Nonce=4) == 21104, "too far ahead"
    third = desk.order(Nonce=3, ClientOrderIndex=3)
    second = desk.order(Nonce=2, ClientOrderIndex=2)
    desk.run()
    assert record(desk, second) is None
    assert nonce(desk) == 1
    desk.order(Nonce=1, ClientOrderIndex=1)
    desk.run()
    assert (nonce(desk), record(desk, third).status) == (4, 2)
    assert sorted(desk.alice.by_coi) == [1, 2, 3]


def test_what_waited_and_is_refused_in_its_turn_is_only_logged():
    desk = Desk(nonce_window=5)
    desk.order(Nonce=2, ClientOrderIndex=1)
    desk.order(Nonce=1, ClientOrderIndex=1)
    assert nonce(desk) == 2
    assert [event.code for event in desk.exchange.log.refused()] == [21728]


@pytest.mark.parametrize("reading", ["arrival", "execution"])
def test_an_order_is_judged_when_it_comes_or_when_it_is_executed(reading):
    desk = Desk(tier="standard", checks_at=reading)
    if reading == "arrival":
        assert desk.refused(desk.order, BaseAmount=1) == 21706
        assert nonce(desk) == 1
        return
    receipt = desk.order(BaseAmount=1)
    desk.run()
    assert (record(desk, receipt).status, record(desk, receipt).code) == (0, 21706)
    assert nonce(desk) == 2


@pytest.mark.parametrize("reading", ["immediate", "crossing"])
def test_an_order_that_crosses_waits_as_a_maker_or_as_a_taker(reading):
    desk = quoted(taker_delay=reading)
    crossing = desk.order(Price=PRICE + 20)
    assert (crossing.execute_at_us - START_US) // 1_000 == {"crossing": 200}.get(
        reading, 0
    )
    resting = desk.order(key=5, IsAsk=1, Price=PRICE + 20)
    assert resting.execute_at_us == START_US
    meeting = desk.order(key=5, IsAsk=1, Price=PRICE - 20)
    assert (meeting.execute_at_us > START_US) == (reading == "crossing")


@pytest.mark.parametrize("reading", ["zero", "counts"])
def test_the_version_of_an_order_stays_or_counts(reading):
    desk = Desk(order_version=reading)
    desk.order(ClientOrderIndex=7)
    desk.run()
    for price in (PRICE - 10, PRICE - 20):
        desk.modify(7, Price=price)
        desk.run()
    assert desk.alice.by_coi[7].version == (2 if reading == "counts" else 0)


@pytest.mark.parametrize(
    ("reading", "status"),
    [
        ("liquidity", "canceled-not-enough-liquidity"),
        ("slippage", "canceled-too-much-slippage"),
    ],
)
def test_an_immediate_order_that_finds_nothing_at_its_price(reading, status):
    desk = quoted(ioc_without_fill=reading)
    receipt = desk.order(TimeInForce=IOC, Price=PRICE)
    desk.run()
    order = desk.exchange.order(ALICE, record(desk, receipt).order_index)
    assert (order.status, order.filled_base) == (status, 0)


def test_an_immediate_order_on_an_empty_book_finds_no_liquidity_either_way():
    desk = Desk(ioc_without_fill="slippage")
    receipt = desk.order(TimeInForce=IOC)
    desk.run()
    order = desk.exchange.order(ALICE, record(desk, receipt).order_index)
    assert order.status == "canceled-not-enough-liquidity"


def far(desk, percent, **fields):
    return desk.order(Price=PRICE * percent // 100, **fields)


def test_the_accidental_price_begins_where_it_is_set():
    usual = quoted()
    assert usual.refused(far, usual, 106) == 21733
    wide = quoted(fat_finger_percent=20)
    far(wide, 119)
    assert wide.refused(far, wide, 121) == 21733
    assert wide.refused(far, wide, 79, IsAsk=1) == 21733
    off = quoted(price_bands="off")
    far(off, 150)


def test_the_distance_to_the_mark_price_is_unlimited_unless_set():
    far(quoted(), 50)
    narrow = quoted(mark_band_percent=1)
    far(narrow, 99)
    assert narrow.refused(far, narrow, 98) == 21734


def test_the_distance_to_the_trigger_is_what_is_set():
    def stop(desk, price):
        return desk.order(Type=3, TriggerPrice=PRICE + 100, Price=price)

    desk = quoted()
    assert desk.refused(stop, desk, PRICE * 106 // 100) == 21735
    stop(quoted(trigger_band_percent=10), PRICE * 106 // 100)


@pytest.mark.parametrize("reading", ["bands", "nothing"])
def test_doing_without_protection_lifts_the_bands_or_changes_nothing(reading):
    desk = quoted(price_protection_off=reading)
    info = desk.create(Price=PRICE * 2)

    def unprotected():
        return desk.exchange.submit(14, info, "aa", now_us=desk.now_us, protected=False)

    if reading == "nothing":
        assert desk.refused(unprotected) == 21733
        return
    unprotected()
    assert desk.refused(desk.order, Price=PRICE * 2) == 21733, "the next one asks again"


def test_a_key_can_be_reserved_for_the_exchange():
    for reserved, slot, code in ((4, 3, 21110), (0, 3, None), (6, 5, 21110)):
        desk = Desk(reserved_api_keys=reserved)
        problem = key_problem(
            desk.settings,
            desk.alice,
            {"ApiKeyIndex": slot, "PubKey": "AQEB" * 13 + "AQ=="},
        )
        assert problem == code, (reserved, slot)


@pytest.mark.parametrize("limit", [15, 50])
def test_a_batch_is_as_long_as_it_may_be(limit):
    desk = Desk(batch_limit=limit)
    fields = [desk.create(TimeInForce=GTT) for _ in range(limit + 1)]
    items = [(14, {**info, "Nonce": number}) for number, info in enumerate(fields, 1)]
    assert desk.refused(desk.batch, *items) == 21514
    assert len(desk.batch(*items[:limit])) == limit
