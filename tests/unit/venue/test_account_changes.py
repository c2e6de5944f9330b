"""Tiers that change, and keys that may only make, at the exchange itself."""

from __future__ import annotations

import pytest

from tests.unit.venue.accounts_desk import (
    ALICE,
    BOB,
    IOC,
    POST_ONLY,
    PRICE,
    TWIN,
    USDC,
    AccountsDesk,
)
from wrappy.protocol.tiers import PREMIUM_STEPS, premium_step, stake_of
from wrappy.venue.account_events import MakerOnlyKeysSet, TierChanged
from wrappy.venue.events import SetIndexPrice, SetLevel

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000


@pytest.fixture
def desk():
    return AccountsDesk()


def change(desk, name, account=ALICE):
    desk.exchange.change_tier(account, name, now_us=desk.now_us)


def only_make(desk, *slots, account=ALICE):
    desk.exchange.set_maker_only(account, slots, now_us=desk.now_us)


def test_a_tier_belongs_to_the_owner(desk):
    change(desk, "standard")
    names = {i: desk.accounts[i].tier.name for i in (ALICE, TWIN, BOB)}
    assert names == {ALICE: "standard", TWIN: "standard", BOB: "premium"}
    assert desk.log.of(TierChanged) == [TierChanged(desk.now_us, ALICE, "standard")]


def test_its_delays_hold_from_the_next_transaction_on(desk):
    for tier, delay_us in (("premium", 0), ("standard", 200_000)):
        if tier != "premium":
            change(desk, tier)
        at_us = desk.now_us
        record = desk.send(16, TimeInForce=0, Time=0)
        assert record.execute_at_us - at_us == delay_us


def test_once_a_day(desk):
    change(desk, "plus")
    desk.run((DAY_US - 1) / 1_000_000)
    assert desk.refused(change, desk, "premium", TWIN) == 62006
    desk.now_us += 1
    change(desk, "premium", TWIN)
    assert desk.accounts[ALICE].tier.name == "premium"


def test_a_new_sub_account_is_bound_by_the_same_day(desk):
    change(desk, "plus")
    desk.send(9)
    sub = next(a for a in desk.accounts.values() if a.profile.master == ALICE)
    assert desk.refused(change, desk, "premium", sub.index) == 62006


def test_no_other_tier_than_there_are_and_not_the_same(desk):
    assert desk.refused(change, desk, "gold") == 62002
    assert desk.refused(change, desk, "premium") == 62003


def test_not_with_an_open_order_of_any_of_the_owners_accounts(desk):
    desk.order(TWIN, BaseAmount=100)
    assert desk.refused(change, desk, "standard") == 62005
    desk.send(16, TWIN, TimeInForce=0, Time=0)
    change(desk, "standard")


def test_nor_with_one_on_its_way(desk):
    now_ms = desk.now_us // 1_000
    info = {
        "AccountIndex": ALICE,
        "ApiKeyIndex": 4,
        "ExpiredAt": now_ms + 600_000,
        "Nonce": 1,
        "Sig": "",
        "MarketIndex": 0,
        "ClientOrderIndex": 0,
        "BaseAmount": 1_000,
        "Price": PRICE,
        "IsAsk": 0,
        "Type": 0,
        "TimeInForce": IOC,
        "ReduceOnly": 0,
        "TriggerPrice": 0,
        "OrderExpiry": 0,
    }
    desk.exchange.submit(14, info, "01", now_us=desk.now_us)
    assert desk.refused(change, desk, "standard") == 62005


def test_nor_with_a_position(desk):
    levels = [SetIndexPrice(0, PRICE), SetLevel(0, True, PRICE, 100_000)]
    desk.exchange.apply_flow(levels, now_us=desk.now_us)
    desk.order(TimeInForce=IOC)
    assert desk.refused(change, desk, "standard", TWIN) == 62004


def test_only_a_premium_account_has_maker_only_keys():
    desk = AccountsDesk(tier="standard")
    assert desk.refused(only_make, desk, 4) == 21123


def test_a_maker_only_key_makes_modifies_and_cancels(desk):
    only_make(desk, 4)
    assert desk.log.of(MakerOnlyKeysSet)[0].api_key_indexes == (4,)
    desk.order(TimeInForce=POST_ONLY, ClientOrderIndex=7, BaseAmount=100)
    told = {"MarketIndex": 0, "Index": 7}
    desk.send(17, **told, BaseAmount=200, Price=PRICE, TriggerPrice=0)
    desk.send(15, **told)
    desk.send(16, TimeInForce=0, Time=0)
    assert {o.status for o in desk.log.orders(ALICE)} == {"canceled"}


@pytest.mark.parametrize("time_in_force", [0, 1])
def test_and_nothing_else(desk, time_in_force):
    only_make(desk, 4)
    assert desk.refused(desk.order, TimeInForce=time_in_force) == 21511
    assert desk.refused(desk.transfer, TWIN, USDC) == 21511
    assert desk.refused(desk.send, 9) == 21511
    margin = {"MarketIndex": 0, "InitialMarginFraction": 1_000, "MarginMode": 0}
    assert desk.refused(desk.send, 20, **margin) == 21511
    assert desk.order(key=5, TimeInForce=time_in_force).status == 2


def test_setting_them_replaces_what_was_set_once_an_hour(desk):
    only_make(desk, 4)
    assert desk.refused(only_make, desk) == 23000
    desk.run(HOUR_US / 1_000_000)
    only_make(desk)
    assert desk.transfer(TWIN, USDC).code == 0


@pytest.mark.parametrize(
    ("slots", "code"),
    [((3,), 21110), ((9,), 21109), (tuple(range(4, 205)), 20001)],
)
def test_slots_that_cannot_be_maker_only_are_refused(desk, slots, code):
    assert desk.refused(only_make, desk, *slots) == code
    assert not desk.accounts[ALICE].profile.maker_only


def test_what_is_staked_decides_the_step_of_the_premium_tier():
    for step, staked in zip(
        PREMIUM_STEPS,
        (0, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 500_000),
        strict=True,
    ):
        assert premium_step(staked) == step
        assert premium_step(staked + 999) == step
        assert stake_of(step) == staked
    assert premium_step(10**9) == PREMIUM_STEPS[-1]
    desk = AccountsDesk(staked_lit=30_000)
    assert desk.accounts[ALICE].tier == PREMIUM_STEPS[4]
    change(desk, "plus")
    assert stake_of(desk.accounts[ALICE].tier) == 0
    desk.run(DAY_US / 1_000_000)
    change(desk, "premium")
    assert desk.accounts[ALICE].tier.taker_delay_ms == 170
