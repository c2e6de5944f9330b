"""Prices and sizes on their way to the wire, and the exchange's decimal strings."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest

from wrappy._core.scaling import (
    BASE_AMOUNT_MAX,
    PRICE_MAX,
    FixedTexts,
    PriceRounding,
    check_minimum,
    fixed_to_int,
    int_to_fixed,
    price_to_ticks,
    size_to_lots,
)
from wrappy.errors import InvalidOrderError, ProtocolError
from wrappy.model import Market, Side

ETH = Market(
    symbol="ETH",
    market_id=0,
    price_decimals=2,
    size_decimals=4,
    min_base_amount=50,
    min_quote_amount=10_000_000,
    order_quote_limit=5_000_000_000,
)


@pytest.mark.parametrize(
    ("price", "ticks"),
    [
        (4050, 405_000),
        (4050.0, 405_000),
        ("4050.01", 405_001),
        (Decimal("4050.01"), 405_001),
        (0.1, 10),
        (1.005, 101),
        ("1.0049", 100),
        (0.29, 29),
        ("42949672.95", PRICE_MAX),
    ],
)
def test_a_price_goes_to_the_nearest_tick_halves_up(price, ticks):
    assert price_to_ticks(price, ETH, side=Side.BUY) == ticks
    assert price_to_ticks(price, ETH, side=Side.SELL) == ticks


def test_a_passive_price_never_moves_toward_the_other_side():
    passive = PriceRounding.PASSIVE
    assert price_to_ticks("10.019", ETH, side=Side.BUY, rounding=passive) == 1001
    assert price_to_ticks("10.011", ETH, side=Side.SELL, rounding=passive) == 1002
    assert price_to_ticks("10.01", ETH, side=Side.SELL, rounding=passive) == 1001


def test_a_price_between_two_ticks_can_be_refused():
    refuse = PriceRounding.REFUSE
    assert price_to_ticks("10.0100", ETH, side=Side.BUY, rounding=refuse) == 1001
    with pytest.raises(InvalidOrderError, match=r"no multiple of ETH's tick size 0.01"):
        price_to_ticks("10.011", ETH, side=Side.BUY, rounding=refuse)


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (0, "greater than zero"),
        (-1.5, "greater than zero"),
        ("0.004", "rounds to zero ticks"),
        (float("nan"), "no finite number"),
        (float("inf"), "no finite number"),
        (Decimal("sNaN"), "no finite number"),
        ("abc", "no finite number"),
        ("", "no finite number"),
        ("1e99999999999999999999", "no finite number"),
        (True, "no number"),
        (None, "no number"),
        ((0, (1,), 0), "no number"),
        ("42949672.96", "largest price 42949672.95"),
        ("1e300000", "largest price"),
    ],
)
def test_an_impossible_price_is_refused_by_name_value_and_fix(price, words):
    with pytest.raises(InvalidOrderError, match=words) as caught:
        price_to_ticks(price, ETH, side=Side.BUY, field="trigger_price")
    assert caught.value.field == "trigger_price"
    assert caught.value.outcome == "not_sent"


def test_the_decimal_context_of_the_caller_changes_nothing():
    with decimal.localcontext() as context:
        context.prec = 2
        context.rounding = decimal.ROUND_UP
        context.traps[decimal.Inexact] = True
        assert price_to_ticks("4050.014", ETH, side=Side.BUY) == 405_001
        assert size_to_lots("12345.67891", ETH) == 123_456_789


def test_the_longest_text_is_still_rounded_exactly():
    half = "0.005"
    just_below = "0.004" + "9" * 500
    assert price_to_ticks(half, ETH, side=Side.BUY) == 1
    with pytest.raises(InvalidOrderError):
        price_to_ticks(just_below, ETH, side=Side.BUY)


@pytest.mark.parametrize(
    ("size", "lots"),
    [
        (0.1, 1000),
        (-0.1, -1000),
        ("0.00019", 1),
        ("-0.00019", -1),
        (0.3, 3000),
        (1, 10_000),
        (int_to_fixed(BASE_AMOUNT_MAX, 4), BASE_AMOUNT_MAX),
    ],
)
def test_a_size_goes_toward_zero_and_keeps_its_sign(size, lots):
    assert size_to_lots(size, ETH) == lots


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "below one lot"),
        (0.00009, "lot size is 0.0001"),
        (-0.00009, "below one lot"),
        (float("nan"), "no finite number"),
        (False, "no number"),
        (int_to_fixed(BASE_AMOUNT_MAX + 1, 4), "largest size 28147497671.0655"),
        (int_to_fixed(-BASE_AMOUNT_MAX - 1, 4), "largest size"),
    ],
)
def test_an_impossible_size_is_refused(size, words):
    with pytest.raises(InvalidOrderError, match=words) as caught:
        size_to_lots(size, ETH)
    assert caught.value.field == "size"


def test_an_order_within_the_limits_passes_whatever_its_sign():
    check_minimum(50, 400_000, ETH)
    check_minimum(-50, 400_000, ETH)


@pytest.mark.parametrize(
    ("lots", "ticks", "words"),
    [
        (49, 400_000, r"size: .*0.0049.* below ETH's minimum of 0.0050"),
        (50, 100_000, r"worth 5.000000 USDC, below ETH's minimum of 10.000000 USDC"),
        (50_000, 400_000, r"worth 20000.000000 USDC, above ETH's limit of 5000.000000"),
    ],
)
def test_an_order_outside_the_limits_is_told_which_and_how_much(lots, ticks, words):
    with pytest.raises(InvalidOrderError, match=words):
        check_minimum(lots, ticks, ETH)


def test_the_value_is_right_when_a_lot_at_a_tick_is_less_than_a_quote_unit():
    fine = Market("FINE", 3, price_decimals=5, size_decimals=4, min_quote_amount=1)
    check_minimum(1000, 1, fine)
    with pytest.raises(InvalidOrderError, match="below FINE's minimum"):
        check_minimum(999, 1, fine)


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("2064.54", 2, 206_454),
        ("2064.5", 2, 206_450),
        ("2064", 2, 206_400),
        ("2064.5000", 2, 206_450),
        ("-0.0028", 4, -28),
        ("-0.5", 1, -5),
        ("0", 0, 0),
        ("7", 0, 7),
        ("7.00", 0, 7),
        ("0.0000", 4, 0),
        ("72057594037927936.000000", 6, 72_057_594_037_927_936_000_000),
    ],
)
def test_a_decimal_string_is_read_exactly(text, decimals, value):
    assert fixed_to_int(text, decimals) == value


@pytest.mark.parametrize(
    "text",
    [
        "", ".", ".5", "5.", "-", "--1", "+1", "1e3", "1_000", " 1", "1,5", "1.2.3",
        "nan", "²", "١", "1.-5", "0.123", "9" * 65, 2064.5, 2064, None,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ProtocolError):
        fixed_to_int(text, 2)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (206_450, 2, "2064.50"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (0, 4, "0.0000"),
        (7, 0, "7"),
    ],
)
def test_an_integer_is_printed_as_the_exchange_does(value, decimals, text):
    assert int_to_fixed(value, decimals) == text


def test_texts_are_read_as_numbers_and_remembered():
    texts = FixedTexts(2)
    assert texts["2064.54"] == texts["2064.54"] == 206_454
    assert texts["2064.5"] == 206_450
    assert len(texts) == 2


def test_no_more_texts_are_remembered_than_wanted():
    texts = FixedTexts(0, remembered=3)
    for number in range(10):
        assert texts[str(number)] == number
        assert len(texts) <= 3


@pytest.mark.parametrize(
    "text",
    [
        "-0.01",
        "NaN",
        "inf",
        "1e3",
        "",
        "42949672.96",
        "0.001",
        "1_0.00",
        "9" * 500,
        "1.",
    ],
)
def test_texts_that_are_no_price_are_refused_and_not_remembered(text):
    texts = FixedTexts(2)
    with pytest.raises(ProtocolError):
        texts[text]
    assert not texts
