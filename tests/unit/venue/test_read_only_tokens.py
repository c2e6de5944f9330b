"""Read-only tokens: whom they open, how many there may be, what parses as one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.venue.read_only_tokens import (
    LONGEST_LIFE_S,
    ReadOnlyTokens,
    parse_read_only_token,
)
from wrappy.venue.refusal import Refused

DAY_S = 86_400
OWNERS = {1: "0xa", 2: "0xa", 3: "0xb"}


def made(**wishes):
    accounts = {
        index: SimpleNamespace(l1_address=address) for index, address in OWNERS.items()
    }
    tokens = ReadOnlyTokens(accounts, seed=1)
    wishes = {"expires_s": DAY_S, "sub_accounts": False, "now_s": 0, **wishes}
    return tokens, tokens.create(1, **wishes)


@pytest.mark.parametrize(
    ("sub_accounts", "opened"), [(False, [1]), (True, [1, 2])], ids=["single", "all"]
)
def test_a_token_opens_its_account_and_on_request_the_owners_others(
    sub_accounts, opened
):
    tokens, text = made(sub_accounts=sub_accounts)
    token = tokens.find(text)
    assert [index for index in (1, 2, 3, 9) if tokens.opens(token, index)] == opened


def test_what_was_made_parses_and_what_was_altered_is_unknown():
    tokens, text = made()
    assert parse_read_only_token(text) == tokens.find(text)
    assert tokens.find(text.replace("single", "all")) is None


def test_expired_tokens_make_room_for_new_ones():
    tokens, _ = made()
    for _ in range(9):
        tokens.create(1, expires_s=2 * DAY_S, sub_accounts=False, now_s=0)
    with pytest.raises(Refused, match="maximum number"):
        tokens.create(1, expires_s=2 * DAY_S, sub_accounts=False, now_s=0)
    tokens.create(2, expires_s=DAY_S, sub_accounts=False, now_s=0)
    tokens.create(1, expires_s=3 * DAY_S, sub_accounts=False, now_s=DAY_S)


def test_the_same_seed_makes_the_same_tokens():
    assert made()[1] == made()[1]


@given(st.integers())
def test_a_life_is_a_day_to_ten_years(life_s):
    if DAY_S <= life_s <= LONGEST_LIFE_S:
        assert parse_read_only_token(made(expires_s=life_s)[1]).expires_s == life_s
    else:
        with pytest.raises(Refused) as caught:
            made(expires_s=life_s)
        assert caught.value.code == (61001 if life_s < DAY_S else 61002)


@given(st.text())
def test_other_texts_are_no_read_only_tokens(text):
    assert parse_read_only_token(text) is None
    assert parse_read_only_token(f"ro:{text}:single:5:ab") is None or text.isdecimal()
