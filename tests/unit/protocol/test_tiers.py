"""Weights and tiers, as data."""

from __future__ import annotations

import pytest

from wrappy.protocol.tiers import (
    BATCH_LIMIT,
    DEFAULT_WEIGHT,
    SEND_WEIGHT,
    TIERS,
    WEIGHTS,
    WS_IDLE_CLOSE_S,
    weight_of,
)


@pytest.mark.parametrize(
    ("path", "weight"),
    [
        ("/api/v1/sendTx", 6),
        ("/api/v1/sendTxBatch", 6),
        ("/api/v1/nextNonce", 6),
        ("/api/v1/trades", 600),
        ("/api/v1/account", 300),
        ("/api/v1/unheard", 300),
    ],
)
def test_a_path_has_its_documented_weight(path, weight):
    assert weight_of(path) == weight


def test_weights_are_positive_and_the_default_is_not_repeated():
    assert all(weight > 0 for weight in WEIGHTS.values())
    assert DEFAULT_WEIGHT not in WEIGHTS.values()
    assert SEND_WEIGHT < DEFAULT_WEIGHT


def test_tiers_are_kept_by_their_name():
    assert set(TIERS) == {"standard", "plus", "premium"}
    assert all(tier.name == name for name, tier in TIERS.items())


def test_the_standard_tier_counts_requests_and_pays_no_fee():
    standard = TIERS["standard"]
    assert not standard.weighted
    assert (standard.maker_fee_tick, standard.taker_fee_tick) == (0, 0)
    assert standard.sends_per_minute == standard.weight_per_minute == 60
    assert TIERS["premium"].weighted
    assert TIERS["premium"].maker_delay_ms == 0


def test_limits_are_the_lower_of_those_documented():
    assert BATCH_LIMIT == 15
    assert WS_IDLE_CLOSE_S == 120.0
