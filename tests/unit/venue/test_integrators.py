"""Integrators: who may take what from an order, and where it goes."""

from __future__ import annotations

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import Account
from wrappy.venue.integrators import IntegratorTerms, check_terms, terms_of
from wrappy.venue.refusal import Refused

NOW_MS = 1_000_000
PARTNER = 77


def account(**changes):
    approval = {
        "max_perps_taker_fee": 500,
        "max_perps_maker_fee": 100,
        "approval_expiry": NOW_MS + 1,
        **changes,
    }
    return Account(
        index=1,
        l1_address="0x0",
        tier=TIERS["premium"],
        api_keys={},
        ledger=AccountLedger(collateral=0),
        integrators={PARTNER: approval},
    )


def order(**attributes):
    names = {"integrator": "1", "taker": "2", "maker": "3", "self_trade": "6"}
    return {"L2TxAttributes": {names[name]: attributes[name] for name in attributes}}


@pytest.mark.parametrize(
    "info", [{"L2TxAttributes": None}, order(), order(integrator=0, taker=0, maker=0)]
)
def test_most_orders_name_nobody(info):
    check_terms(account(), info, now_ms=NOW_MS)
    assert terms_of(info) is None


def test_an_approved_integrator_may_take_up_to_its_limits():
    info = order(integrator=PARTNER, taker=500, maker=100)
    check_terms(account(), info, now_ms=NOW_MS)
    assert terms_of(info) == IntegratorTerms(PARTNER, 500, 100)
    check_terms(account(), order(integrator=PARTNER), now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("info", "changes", "code"),
    [
        (order(taker=1), {}, 21134),
        (order(maker=1), {}, 21134),
        (order(integrator=PARTNER, taker=501), {}, 21134),
        (order(integrator=PARTNER, maker=101), {}, 21134),
        (order(integrator=PARTNER + 1), {}, 21149),
        (order(integrator=PARTNER), {"approval_expiry": NOW_MS}, 21149),
        (order(integrator=PARTNER, self_trade=1), {}, 21501),
    ],
)
def test_any_other_taking_is_refused(info, changes, code):
    with pytest.raises(Refused) as caught:
        check_terms(account(**changes), info, now_ms=NOW_MS)
    assert caught.value.code == code
