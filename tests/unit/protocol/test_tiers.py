"""Weights and tiers, as data."""

from __future__ import annotations

import pytest

from wrappy.protocol.tiers import (
    BATCH_LIMIT,
    DEFAULT_WEIGHT,
    PREMIUM_STEPS,
    QUOTA_EXHAUSTED_WORDS,
    SEND_WEIGHT,
    TIERS,
    WEIGHTS,
    WS_IDLE_CLOSE_S,
    names_volume_quota,
    quota_spent,
    tier_of,
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


def limits(name, maker=None, taker=None):
    return {
        "user_tier": name,
        "current_maker_fee_tick": maker,
        "current_taker_fee_tick": taker,
    }


@pytest.mark.parametrize("name", ["standard", "Premium", " plus "])
def test_a_tier_is_read_by_its_name(name):
    tier = tier_of(limits(name))
    assert tier == TIERS[name.strip().lower()]
    assert tier.recognised


def test_fees_are_those_of_the_answer():
    tier = tier_of(limits("standard", 7, 11))
    assert (tier.maker_fee_tick, tier.taker_fee_tick) == (7, 11)
    assert tier.sends_per_minute == 60


def test_the_fees_of_a_premium_account_tell_its_send_budget():
    assert [
        tier_of(limits("premium", *fees)).sends_per_minute
        for fees in ((40, 280), (39, 273), (28, 196), (39, 280), (True, None))
    ] == [4_000, 5_000, 40_000, 4_000, 4_000]
    assert PREMIUM_STEPS[0] == TIERS["premium"]


@pytest.mark.parametrize("answer", [{}, limits(None), limits(3), limits("Whale\n")])
def test_an_unknown_tier_has_the_lowest_limits_and_says_so(answer):
    tier = tier_of(answer)
    assert not tier.recognised
    assert tier.name in ("unknown", "whale")
    for known in TIERS.values():
        assert tier.sends_per_minute <= known.sends_per_minute
        assert tier.weight_per_minute <= known.weight_per_minute
        assert tier.caps.active_per_market <= known.caps.active_per_market
        assert tier.caps.active_per_account <= known.caps.active_per_account
        assert tier.caps.pending_per_market <= known.caps.pending_per_market
        assert tier.caps.pending_per_account <= known.caps.pending_per_account
        assert tier.maker_delay_ms >= known.maker_delay_ms
        assert tier.taker_delay_ms >= known.taker_delay_ms


def test_a_long_name_from_outside_is_cut():
    assert len(tier_of(limits("x" * 10_000)).name) == 32


def test_the_documented_cool_down_follows_weight_and_budget():
    assert TIERS["premium"].cooldown_s(300) == 0.75
    assert TIERS["standard"].cooldown_s(300) == 1.0


def test_creating_and_modifying_spends_quota_and_cancelling_does_not():
    assert quota_spent([14, 15, 16, 17, 28, 15]) == 4
    assert TIERS["premium"].has_volume_quota
    assert not TIERS["standard"].has_volume_quota
    assert names_volume_quota(QUOTA_EXHAUSTED_WORDS)
    assert not names_volume_quota("Too Many Requests!")
