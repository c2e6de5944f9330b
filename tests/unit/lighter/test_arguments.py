"""What callers pass besides prices and sizes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wrappy._core.coi import COI_MAX
from wrappy.errors import InvalidOrderError
from wrappy.lighter.trading.arguments import (
    checked_bps,
    checked_coi,
    checked_decimal,
    checked_flag,
    checked_order_index,
    checked_seconds,
    checked_word,
)


@pytest.mark.parametrize("value", [1, COI_MAX])
def test_a_client_order_index_passes(value):
    assert checked_coi(value) == value


@pytest.mark.parametrize("value", [0, -1, COI_MAX + 1, True, 1.0, "1", None])
def test_what_is_no_client_order_index_is_refused(value):
    with pytest.raises(InvalidOrderError, match=r"^client_order_index") as caught:
        checked_coi(value)
    assert caught.value.value is value
    with pytest.raises(InvalidOrderError, match=r"^cancels"):
        checked_coi(value, field="cancels")


@pytest.mark.parametrize("value", [COI_MAX + 1, 2**60 - 1])
def test_an_order_index_passes(value):
    assert checked_order_index(value) == value


@pytest.mark.parametrize("value", [COI_MAX, 2**60, True, 1.5, "9", None])
def test_what_is_no_order_index_is_refused(value):
    with pytest.raises(InvalidOrderError, match=r"^order_index"):
        checked_order_index(value)


def test_a_slippage_is_a_share_or_the_default():
    assert checked_bps(None, default=7) == 7
    assert checked_bps(0, default=7) == 0
    for wrong in (-1, 10_001, 1.0, True):
        with pytest.raises(InvalidOrderError, match=r"^slippage_bps"):
            checked_bps(wrong, default=7)


def test_only_a_truth_value_is_a_flag():
    assert checked_flag(True, field="add") is True
    for wrong in (1, "yes", None):
        with pytest.raises(InvalidOrderError, match=r"^add.*True nor False"):
            checked_flag(wrong, field="add")


def test_a_word_is_one_of_some():
    assert checked_word("ioc", ("gtt", "ioc"), field="kind") == "ioc"
    for wrong in ("IOC", 1, None, ["ioc"]):
        with pytest.raises(InvalidOrderError, match=r"^kind.*none of gtt, ioc"):
            checked_word(wrong, ("gtt", "ioc"), field="kind")


def test_a_waiting_time_is_finite_and_not_negative():
    assert checked_seconds(0, field="timeout_s") == 0.0
    for wrong in (-1, float("nan"), float("inf"), "1", True, None, 3601):
        with pytest.raises(InvalidOrderError, match=r"^timeout_s"):
            checked_seconds(wrong, field="timeout_s")


def test_a_number_is_exactly_what_was_written():
    assert checked_decimal(0.1, field="leverage") == Decimal("0.1")
    assert checked_decimal("12.5", field="leverage") == Decimal("12.5")
    for wrong in ("x", float("nan"), Decimal("sNaN"), True, None, b"1"):
        with pytest.raises(InvalidOrderError, match=r"^leverage"):
            checked_decimal(wrong, field="leverage")
