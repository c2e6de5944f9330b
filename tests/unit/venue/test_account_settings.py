"""Settings that clients send at their start: kept, shown, and nothing else."""

from __future__ import annotations

import pytest

from wrappy._core.ledger import AccountLedger
from wrappy.model import Market
from wrappy.protocol.intents import TxType
from wrappy.protocol.tiers import TIERS
from wrappy.venue.accounts import Account, ApiKey
from wrappy.venue.exchange import Exchange, Refused
from wrappy.venue.settings import VenueSettings
from wrappy.venue.statements import Statement

ETH = Market("ETH", 0, 2, 4, 50, 10_000_000)
START_US = 1_800_000_000_000_000
START_MS = START_US // 1_000
APPROVAL = {
    "IntegratorAccountIndex": 77,
    "MaxPerpsTakerFee": 100,
    "MaxPerpsMakerFee": 10,
    "MaxSpotTakerFee": 0,
    "MaxSpotMakerFee": 0,
    "ApprovalExpiry": START_MS + 1,
}


@pytest.fixture
def exchange():
    account = Account(
        index=100,
        l1_address="0x0",
        tier=TIERS["premium"],
        api_keys={4: ApiKey(4, "00" * 40, 1)},
        ledger=AccountLedger(collateral=0),
    )
    return Exchange(VenueSettings(), (ETH,), {100: account}, now_us=START_US)


def send(exchange, tx_type, **fields):
    nonce = exchange.accounts[100].api_keys[4].nonce
    info = {
        "AccountIndex": 100,
        "ApiKeyIndex": 4,
        "ExpiredAt": START_MS + 60_000,
        "Nonce": nonce,
        "Sig": "",
        "L2TxAttributes": None,
        **fields,
    }
    exchange.submit(tx_type, info, f"{nonce:080x}", now_us=START_US)
    exchange.advance(START_US + 1_000_000)
    return Statement(exchange.accounts[100], exchange.markets).detailed()


def test_a_trading_mode_is_kept_and_shown(exchange):
    kind = TxType.UPDATE_ACCOUNT_CONFIG
    assert send(exchange, kind, AccountTradingMode=1)["account_trading_mode"] == 1
    assert send(exchange, kind, AccountTradingMode=0)["account_trading_mode"] == 0
    assert exchange.accounts[100].api_keys[4].nonce == 3


def test_the_mode_of_the_one_asset_is_accepted(exchange):
    kind = TxType.UPDATE_ACCOUNT_ASSET_CONFIG
    before = send(exchange, kind, AssetIndex=3, AssetMarginMode=1)
    assert before["assets"][0]["symbol"] == "USDC"
    assert exchange.transaction(f"{1:080x}").status == 2


def test_an_integrator_is_approved_and_withdrawn(exchange):
    kind = TxType.APPROVE_INTEGRATOR
    [row] = send(exchange, kind, **APPROVAL)["approved_integrators"]
    assert row == {
        "account_index": 77,
        "name": "",
        "max_perps_taker_fee": 100,
        "max_perps_maker_fee": 10,
        "max_spot_taker_fee": 0,
        "max_spot_maker_fee": 0,
        "approval_expiry": START_MS + 1,
    }
    withdrawn = {**APPROVAL, "ApprovalExpiry": 0}
    assert send(exchange, kind, **withdrawn)["approved_integrators"] == []


@pytest.mark.parametrize(
    ("tx_type", "fields", "code"),
    [
        (41, {"AccountTradingMode": 2}, 21501),
        (42, {"AssetIndex": 1, "AssetMarginMode": 0}, 21809),
        (42, {"AssetIndex": 3, "AssetMarginMode": 2}, 21802),
        (45, {**APPROVAL, "IntegratorAccountIndex": 0}, 21102),
        (45, {**APPROVAL, "MaxPerpsTakerFee": -1}, 21134),
        (45, {**APPROVAL, "MaxSpotMakerFee": 1_000_001}, 21134),
        (45, {**APPROVAL, "ApprovalExpiry": START_MS}, 21501),
    ],
)
def test_settings_out_of_range_are_refused(exchange, tx_type, fields, code):
    with pytest.raises(Refused) as caught:
        send(exchange, tx_type, **fields)
    assert caught.value.code == code
    assert exchange.accounts[100].api_keys[4].nonce == 1
