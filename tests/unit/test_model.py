"""Shared values: scales, sides, statuses."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from wrappy.model import (
    TERMINAL_STATUSES,
    Market,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    usdc,
)

ETH = Market("ETH", 0, 2, 4)


def test_scales_are_powers_of_ten():
    assert (ETH.price_scale, ETH.size_scale) == (100, 10_000)
    assert (ETH.tick_size, ETH.lot_size) == (Decimal("0.01"), Decimal("0.0001"))
    assert ETH.quote_multiplier == 1
    assert Market("X", 1, 1, 3).quote_multiplier == 100
    whole = Market("1000PEPE", 4, 6, 0)
    assert (whole.size_scale, whole.lot_size) == (1, Decimal(1))


def test_integers_come_out_as_decimals():
    assert ETH.price(405_012) == Decimal("4050.12")
    assert ETH.size(-1_000) == Decimal("-0.1000")
    assert str(ETH.size(1)) == "0.0001"
    assert usdc(-1_500_000) == Decimal("-1.5")


def test_selling_is_asking():
    assert Side.SELL.is_ask
    assert not Side.BUY.is_ask


def test_exactly_the_three_ends_are_terminal():
    ends = {status for status in OrderStatus if status.is_terminal}
    assert ends == TERMINAL_STATUSES
    assert {end.value for end in ends} == {"filled", "canceled", "rejected"}


def test_numbers_on_the_wire_do_not_move():
    assert [int(kind) for kind in OrderType] == list(range(7))
    assert [int(rule) for rule in TimeInForce] == [0, 1, 2]
    assert [int(rule) for rule in SelfTrade] == [0, 1, 2, 3]


def test_facts_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ETH.symbol = "BTC"
