"""Request windows and the volume quota, as the exchange counts them."""

from __future__ import annotations

import pytest

from wrappy.protocol.tiers import QUOTA_AT_START, TIERS
from wrappy.venue.limits import RequestLimits, VolumeQuota
from wrappy.venue.settings import VenueSettings

CREATE, CANCEL = 14, 15
OWNER = "0xabc"


def emptied():
    quota = VolumeQuota(enforced=True)
    quota.spend(OWNER, QUOTA_AT_START)
    return quota


def test_a_quota_that_is_only_shown_refuses_nothing():
    quota = VolumeQuota()
    quota.spend(OWNER, QUOTA_AT_START)
    assert quota.has_room(OWNER, [CREATE] * 50, now=0.0)
    assert quota.charge(OWNER, [CREATE], now=0.0) == 0


def test_one_send_in_fifteen_seconds_is_free_and_told_no_remainder():
    quota = VolumeQuota(enforced=True)
    assert quota.charge(OWNER, [CREATE], now=0.0) is None
    assert quota.charge(OWNER, [CREATE], now=14.9) == QUOTA_AT_START - 1
    assert quota.charge(OWNER, [CREATE], now=15.0) is None


def test_without_quota_only_the_free_send_and_cancels_pass():
    quota = emptied()
    assert quota.has_room(OWNER, [CREATE], now=0.0)
    assert quota.charge(OWNER, [CREATE], now=0.0) is None
    assert not quota.has_room(OWNER, [CREATE], now=14.0)
    assert quota.has_room(OWNER, [CANCEL], now=14.0)
    assert quota.charge(OWNER, [CANCEL, CANCEL], now=14.0) == 0
    assert quota.has_room(OWNER, [CREATE], now=15.0)


def test_a_batch_is_never_the_free_send():
    quota = emptied()
    assert not quota.has_room(OWNER, [CREATE, CANCEL], now=0.0)
    quota.earn(OWNER, 2_000_000)
    assert quota.has_room(OWNER, [CREATE, CANCEL], now=0.0)
    assert quota.charge(OWNER, [CREATE, CANCEL], now=0.0) == 0


def test_what_is_earned_has_a_cap():
    quota = VolumeQuota()
    quota.earn(OWNER, 10**18)
    assert quota.spend(OWNER, 0) == 15_000_000


@pytest.mark.parametrize("name", ["standard", "premium"])
def test_a_standard_account_has_one_window_for_sends_and_reads(name):
    tier = TIERS[name]
    limits = RequestLimits(tier)
    owner = (OWNER, tier)
    for _ in range(60):
        assert limits.send(owner, now=0.0) == 0.0
    wait = limits.read("/api/v1/account", ip="::1", owner=owner, now=1.0)
    assert wait == (59.0 if name == "standard" else 0.0)


def test_whoever_sent_too_fast_is_shut_out_of_reading_and_sending():
    settings = VenueSettings(throttle_pause_ms=60_000)
    limits, owner = (
        RequestLimits(TIERS["standard"], settings),
        (OWNER, TIERS["standard"]),
    )
    for _ in range(60):
        limits.send(owner, now=0.0)
    assert limits.send(owner, now=30.0) == 60.0
    assert limits.send(owner, now=70.0) == 20.0
    assert limits.read("/", ip="::1", owner=owner, now=80.0) == 10.0
    assert limits.send(owner, now=90.0) == 0.0
