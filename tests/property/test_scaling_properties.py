"""Nothing is lost between decimals and the integers of the wire."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from wrappy._core.scaling import (
    BASE_AMOUNT_MAX,
    PRICE_MAX,
    PriceRounding,
    fixed_to_int,
    int_to_fixed,
    price_to_ticks,
    size_to_lots,
)
from wrappy.errors import InvalidOrderError, ProtocolError
from wrappy.model import Market, Side

MARKETS = st.integers(0, 6).map(
    lambda decimals: Market("M", 0, price_decimals=decimals, size_decimals=6 - decimals)
)
SIDES = st.sampled_from(Side)
ROUNDINGS = st.sampled_from(PriceRounding)


@given(st.integers(-(2**70), 2**70), st.integers(0, 18))
def test_an_integer_survives_being_printed_and_read(value, decimals):
    assert fixed_to_int(int_to_fixed(value, decimals), decimals) == value


@given(st.integers(-(2**70), 2**70), st.integers(0, 18))
def test_the_text_means_what_a_decimal_reads_in_it(value, decimals):
    assert Decimal(int_to_fixed(value, decimals)).as_integer_ratio() == (
        Decimal(value).scaleb(-decimals).as_integer_ratio()
    )


@given(st.text(alphabet="0123456789.-+e_ ²", max_size=12), st.integers(0, 8))
def test_a_string_is_read_as_a_decimal_would_or_refused(text, decimals):
    try:
        value = fixed_to_int(text, decimals)
    except ProtocolError:
        return
    assert Decimal(text) == Decimal(value).scaleb(-decimals)


@given(st.integers(1, PRICE_MAX), MARKETS, SIDES, ROUNDINGS)
def test_a_price_on_a_tick_is_never_moved(ticks, market, side, rounding):
    price = market.price(ticks)
    for form in (price, str(price), float(price)):
        assert price_to_ticks(form, market, side=side, rounding=rounding) == ticks


@given(st.integers(1, BASE_AMOUNT_MAX), MARKETS)
def test_a_size_on_a_lot_is_never_moved(lots, market):
    size = market.size(lots)
    for form in (size, str(size)):
        assert size_to_lots(form, market) == lots
        assert size_to_lots(-Decimal(form), market) == -lots


@given(
    st.decimals("0.01", "1000", allow_nan=False, allow_infinity=False), MARKETS, SIDES
)
def test_a_rounded_price_is_within_a_tick_and_on_its_side(price, market, side):
    try:
        nearest = price_to_ticks(price, market, side=side)
        passive = price_to_ticks(
            price, market, side=side, rounding=PriceRounding.PASSIVE
        )
    except InvalidOrderError:
        return
    assert abs(market.price(nearest) - price) <= market.tick_size / 2
    distance = market.price(passive) - price
    assert abs(distance) < market.tick_size
    assert distance >= 0 if side is Side.SELL else distance <= 0


@given(st.floats(allow_nan=False, allow_infinity=False), MARKETS)
def test_a_size_never_grows(size, market):
    try:
        lots = size_to_lots(size, market)
    except InvalidOrderError:
        return
    assert abs(market.size(lots)) <= abs(Decimal(repr(size)))
    assert (lots > 0) is (size > 0)
