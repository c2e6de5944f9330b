"""Further accounts of an owner, and keys for them, at the exchange itself."""

from __future__ import annotations

import base64

import pytest

from tests.unit.venue.accounts_desk import ALICE, BOB, NEW_KEY, USDC, AccountsDesk
from wrappy.venue.account_events import KeyRegistered, SubAccountOpened
from wrappy.venue.accounts import FEE_COLLECTOR
from wrappy.venue.statements import Statement

FIRST = FEE_COLLECTOR - 1


@pytest.fixture
def desk():
    return AccountsDesk()


def opened(desk, account=ALICE):
    desk.send(9, account)
    return desk.log.of(SubAccountOpened)[-1].account


def register(desk, account, *, key=4, public_key=NEW_KEY, **fields):
    return desk.send(8, account, key=key, PubKey=public_key, **fields)


def test_sub_accounts_count_down_from_the_top(desk):
    assert [opened(desk), opened(desk, BOB)] == [FIRST, FIRST - 1]
    sub = desk.accounts[FIRST]
    assert sub.l1_address == desk.accounts[ALICE].l1_address
    assert sub.tier == desk.accounts[ALICE].tier
    assert (sub.ledger.collateral, sub.api_keys) == (0, {})
    assert sub.profile.master == ALICE


@pytest.mark.parametrize("kind", [0, 1])
def test_what_a_sub_account_is_shown_as_is_a_setting(kind):
    desk = AccountsDesk(sub_account_type=kind)
    index = opened(desk)
    for number, wanted in ((index, kind), (ALICE, 0)):
        account = desk.accounts[number]
        shown = Statement(account, desk.exchange.markets).summary()
        assert shown["account_type"] == wanted


def test_an_owner_may_open_so_many_and_no_more(desk):
    for _ in range(8):
        opened(desk)
    assert desk.refused(desk.send, 9, ALICE) == 21129
    assert opened(desk, BOB) == FIRST - 8


def test_the_highest_stake_allows_more():
    desk = AccountsDesk(staked_lit=500_000)
    for _ in range(9):
        opened(desk)
    assert len(desk.log.of(SubAccountOpened)) == 9


def test_two_that_wait_in_the_queue_do_not_both_take_the_last_place():
    desk = AccountsDesk(tier="standard")
    for _ in range(7):
        opened(desk)
    for nonce in (8, 9):
        info = {
            "AccountIndex": ALICE,
            "ApiKeyIndex": 4,
            "ExpiredAt": desk.now_us // 1_000 + 600_000,
            "Nonce": nonce,
            "Sig": "",
        }
        desk.exchange.submit(9, info, f"{nonce}", now_us=desk.now_us)
    desk.run()
    assert [desk.exchange.transaction(f"{n}").code for n in (8, 9)] == [0, 21129]


def test_a_sub_account_trades_once_it_has_money_and_a_key(desk):
    index = opened(desk)
    assert desk.refused(register, desk, index) == 21126
    desk.transfer(index, 500 * USDC)
    register(desk, index)
    [event] = desk.log.of(KeyRegistered)
    assert (event.account, event.api_key_index) == (index, 4)
    assert event.public_key == base64.b64decode(NEW_KEY).hex()
    assert desk.order(index, BaseAmount=100).code == 0
    assert len(desk.accounts[index].open_orders) == 1
    assert desk.refused(desk.send, 9, index) == 21128


def test_a_key_is_changed_and_its_nonce_goes_on(desk):
    register(desk, ALICE)
    key = desk.accounts[ALICE].api_keys[4]
    assert (key.public_key, key.nonce) == (base64.b64decode(NEW_KEY).hex(), 2)
    register(desk, ALICE, key=77)
    assert desk.accounts[ALICE].api_keys[77].nonce == 2


def test_or_its_nonce_begins_again():
    desk = AccountsDesk(key_change_nonce="reset")
    register(desk, ALICE)
    assert desk.accounts[ALICE].api_keys[4].nonce == 1
    assert desk.order().code == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"key": 0}, 21110),
        ({"key": 3}, 21110),
        ({"key": 255}, 21110),
        ({"public_key": base64.b64encode(bytes(40)).decode()}, 21108),
        ({"public_key": "AAAA"}, 21108),
        ({"public_key": "?"}, 21108),
        ({"key": 9, "Nonce": 7}, 21104),
    ],
)
def test_a_key_that_cannot_come_is_refused_and_leaves_nothing(desk, fields, code):
    assert desk.refused(register, desk, ALICE, **fields) == code
    profile = desk.accounts[ALICE].profile
    assert not profile.coming_keys
    assert sorted(desk.accounts[ALICE].api_keys) == [4, 5]


def test_a_slot_whose_key_is_on_its_way_has_a_nonce_and_no_key_yet():
    desk = AccountsDesk(tier="standard")
    info = {
        "AccountIndex": ALICE,
        "ApiKeyIndex": 9,
        "PubKey": NEW_KEY,
        "ExpiredAt": desk.now_us // 1_000 + 600_000,
        "Nonce": 1,
        "Sig": "",
    }
    desk.exchange.submit(8, info, "01", now_us=desk.now_us)
    again = {**info, "PubKey": base64.b64encode(b"\x02" * 40).decode(), "Nonce": 2}
    assert desk.accounts[ALICE].profile.coming_keys[9].nonce == 2
    assert desk.refused(desk.order, key=9) == 21109
    desk.exchange.submit(8, again, "02", now_us=desk.now_us)
    desk.run()
    key = desk.accounts[ALICE].api_keys[9]
    assert (key.public_key, key.nonce) == ("02" * 40, 3)
    assert not desk.accounts[ALICE].profile.coming_keys


def test_a_key_whose_account_ran_empty_meanwhile_does_not_come():
    desk = AccountsDesk(tier="standard")
    now_ms = desk.now_us // 1_000
    common = {"ApiKeyIndex": 4, "ExpiredAt": now_ms + 600_000, "Sig": ""}
    gone = {
        **common,
        "FromAccountIndex": ALICE,
        "Nonce": 1,
        "AssetIndex": 3,
        "RouteType": 0,
        "Amount": desk.money(ALICE),
    }
    change = {**common, "AccountIndex": ALICE, "Nonce": 2, "PubKey": NEW_KEY}
    desk.exchange.submit(13, gone, "01", now_us=desk.now_us)
    desk.exchange.submit(8, change, "02", now_us=desk.now_us)
    desk.run()
    assert desk.exchange.transaction("02").code == 21126
    assert desk.accounts[ALICE].api_keys[4].public_key == "00" * 40
