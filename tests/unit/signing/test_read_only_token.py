"""What the text of a token says of it."""

from __future__ import annotations

import pytest

from wrappy.signing.read_only_token import TokenScope, token_scope

DIGITS = "0123456789abcdefABCDEF"
SIGNED = f"1800000000:7:4:{1:0160x}"


def test_a_read_only_token_names_account_scope_and_expiry():
    single = token_scope(f"ro:7:single:1800000000:{DIGITS}")
    assert single == TokenScope(
        7, 1_800_000_000, reads_sub_accounts=False, read_only=True
    )
    assert token_scope(f"ro:7:all:1800000000:{DIGITS}").reads_sub_accounts


def test_a_signed_token_reads_its_own_account_only():
    assert token_scope(SIGNED) == TokenScope(
        7, 1_800_000_000, reads_sub_accounts=False, read_only=False
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        SIGNED[:-1],
        f"ro:7:single:1800000000:{DIGITS}\n",
        f"ro:07:single:1800000000:{DIGITS}",
        f"ro:-7:single:1800000000:{DIGITS}",
        f"ro:7:both:1800000000:{DIGITS}",
        f"ro:7:single::{DIGITS}",
        f"ro:7:single:0:{DIGITS}",
        f"ro:7:single:1800000000000:{DIGITS}",
        "ro:7:single:1800000000:",
        "ro:7:single:1800000000:xyzxyzxyz",
        f"ro:7:single:1800000000:{'a' * 513}",
        f"RO:7:single:1800000000:{DIGITS}",
        f"ro:٧:single:1800000000:{DIGITS}",
    ],
)
def test_another_text_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match="a read-only token reads ro:") as caught:
        token_scope(text)
    assert DIGITS not in str(caught.value)
    assert caught.value.__cause__ is None
