"""Money between accounts and out of the exchange, at the exchange itself."""

from __future__ import annotations

import pytest

from tests.unit.venue.accounts_desk import (
    ALICE,
    BOB,
    COLLATERAL,
    FEE,
    IOC,
    PRICE,
    TWIN,
    USDC,
    AccountsDesk,
)
from wrappy.venue.account_events import Transferred, Withdrawn
from wrappy.venue.accounts import FEE_COLLECTOR, FLOW_MAKER, INSURANCE_FUND
from wrappy.venue.events import SetIndexPrice, SetLevel
from wrappy.venue.l1_signatures import is_signed_by
from wrappy.venue.money_history import amount_text
from wrappy.venue.transfers import FAST_BRIDGE, MOST_AMOUNT

ETH_ASSET = 1


@pytest.fixture
def desk():
    return AccountsDesk()


def hold(desk, lots=1_000):
    """Let Alice buy, at a mark price of 3000."""
    desk.exchange.apply_flow(
        [
            SetIndexPrice(0, PRICE),
            SetLevel(0, True, PRICE + 1, 100_000),
            SetLevel(0, False, PRICE - 1, 100_000),
        ],
        now_us=desk.now_us,
    )
    desk.order(TimeInForce=IOC, Price=PRICE + 10, BaseAmount=lots)
    desk.run()


def test_a_transfer_moves_money_between_an_owners_accounts_for_nothing(desk):
    record = desk.transfer(TWIN, 250 * USDC)
    assert (record.status, record.code) == (2, 0)
    assert desk.money(ALICE) == COLLATERAL - 250 * USDC
    assert desk.money(TWIN) == COLLATERAL + 250 * USDC
    [moved] = desk.log.of(Transferred)
    assert (moved.transfer_id, moved.sender, moved.receiver) == (1, ALICE, TWIN)
    assert (moved.amount, moved.fee, moved.tx_hash) == (250 * USDC, 0, record.tx_hash)
    for index in (ALICE, TWIN):
        assert list(desk.accounts[index].profile.transfers) == [moved]


def test_a_transfer_to_another_owner_costs_what_is_asked(desk):
    before = desk.everything()
    desk.transfer(BOB, 10 * USDC)
    assert desk.money(ALICE) == COLLATERAL - 10 * USDC - FEE
    assert desk.money(BOB) == COLLATERAL + 10 * USDC
    assert desk.money(FEE_COLLECTOR) == FEE
    assert desk.everything() == before


def test_the_fee_is_a_setting():
    desk = AccountsDesk(transfer_fee=0)
    desk.transfer(BOB, 10 * USDC)
    assert desk.money(ALICE) == COLLATERAL - 10 * USDC
    assert desk.refused(desk.transfer, BOB, 10 * USDC, USDCFee=1) == 21134


@pytest.mark.parametrize(
    ("to", "amount", "changes", "code"),
    [
        (999, USDC, {}, 21106),
        (FLOW_MAKER, USDC, {}, 21106),
        (INSURANCE_FUND, USDC, {}, 21106),
        (ALICE, USDC, {}, 21106),
        (TWIN, USDC, {"FromRouteType": 2}, 21124),
        (TWIN, USDC, {"ToRouteType": -1}, 21124),
        (TWIN, USDC, {"AssetIndex": 60}, 21809),
        (TWIN, USDC, {"AssetIndex": ETH_ASSET}, 21805),
        (TWIN, USDC - 1, {}, 21118),
        (TWIN, MOST_AMOUNT + 1, {}, 21119),
        (TWIN, USDC, {"USDCFee": 1}, 21134),
        (BOB, USDC, {"USDCFee": 0}, 21134),
        (TWIN, COLLATERAL + 1, {}, 21301),
        (BOB, COLLATERAL, {}, 21301),
        (TWIN, USDC, {"FromRouteType": 1}, 21304),
        (
            TWIN,
            10**4,
            {"AssetIndex": ETH_ASSET, "FromRouteType": 1, "ToRouteType": 1},
            21304,
        ),
        (
            TWIN,
            10**4 + 1,
            {"AssetIndex": ETH_ASSET, "FromRouteType": 1, "ToRouteType": 1},
            21300,
        ),
    ],
)
def test_a_transfer_that_cannot_be_is_refused(desk, to, amount, changes, code):
    assert desk.refused(desk.transfer, to, amount, **changes) == code
    assert desk.money(ALICE) == COLLATERAL
    assert not desk.log.of(Transferred)


def test_what_carries_a_position_stays(desk):
    hold(desk)  # 0.1 ETH, 300 USDC, at 5 % that is 15
    ledger = desk.accounts[ALICE].ledger
    free = ledger.available(desk.exchange.lot_values, {0: 500})
    assert desk.refused(desk.transfer, TWIN, free + 1) == 21508
    assert desk.transfer(TWIN, free).code == 0
    assert desk.refused(desk.withdraw, USDC) == 21508


def test_open_profit_cannot_leave(desk):
    hold(desk, 10_000)
    desk.exchange.apply_flow(
        [
            SetIndexPrice(0, PRICE * 2),
            SetLevel(0, True, PRICE * 2 + 1, 100_000),
            SetLevel(0, False, PRICE * 2 - 1, 100_000),
        ],
        now_us=desk.now_us,
    )
    ledger = desk.accounts[ALICE].ledger
    free = ledger.available(desk.exchange.lot_values, {0: 500})
    assert free > ledger.collateral
    assert desk.refused(desk.withdraw, ledger.collateral + 1) == 21301


def test_what_has_gone_before_in_the_queue_counts_at_execution():
    # The standard tier waits: both are accepted before the first is executed.
    desk = AccountsDesk(tier="standard")
    first, second = (
        {
            "FromAccountIndex": ALICE,
            "ApiKeyIndex": 4,
            "ExpiredAt": desk.now_us // 1_000 + 600_000,
            "Nonce": nonce,
            "Sig": "",
            "AssetIndex": 3,
            "RouteType": 0,
            "Amount": COLLATERAL,
        }
        for nonce in (1, 2)
    )
    desk.exchange.submit(13, first, "01", now_us=desk.now_us)
    desk.exchange.submit(13, second, "02", now_us=desk.now_us)
    desk.run()
    assert desk.exchange.transaction("01").code == 0
    assert desk.exchange.transaction("02").code == 21301
    assert desk.money(ALICE) == 0


def test_what_no_wallet_signs_is_not_signed_by_one():
    assert not is_signed_by("0xa", 14, {"Nonce": 1, "ApiKeyIndex": 4}, 304)


def test_amounts_of_other_assets_have_eight_places():
    assert amount_text(3, 1_500_000) == "1.500000"
    assert amount_text(1, 150_000_001) == "1.50000001"


def test_a_withdrawal_leaves(desk):
    before = desk.everything()
    desk.withdraw(100 * USDC)
    [gone] = desk.log.of(Withdrawn)
    assert (gone.amount, gone.fee, gone.is_fast) == (100 * USDC, 0, False)
    assert desk.everything() == before - 100 * USDC
    assert list(desk.accounts[ALICE].profile.withdrawals) == [gone]


def test_a_transfer_to_the_bridge_is_a_fast_withdrawal(desk):
    before = desk.everything()
    desk.transfer(FAST_BRIDGE, 100 * USDC)
    [gone] = desk.log.of(Withdrawn)
    assert (gone.amount, gone.fee, gone.is_fast) == (100 * USDC, FEE, True)
    assert desk.everything() == before - 100 * USDC
    assert not desk.log.of(Transferred)


@pytest.mark.parametrize(
    ("amount", "changes", "code"),
    [
        (USDC - 1, {}, 21116),
        (MOST_AMOUNT + 1, {}, 21117),
        (COLLATERAL + 1, {}, 21301),
        (USDC, {"RouteType": 7}, 21124),
        (USDC, {"RouteType": 1}, 21304),
        (USDC, {"AssetIndex": 60}, 21809),
    ],
)
def test_a_withdrawal_that_cannot_be_is_refused(desk, amount, changes, code):
    assert desk.refused(desk.withdraw, amount, **changes) == code


def test_money_changes_its_route(desk):
    before = desk.everything()
    desk.transfer(ALICE, 100 * USDC, ToRouteType=1)
    assert desk.money(ALICE) == COLLATERAL - 100 * USDC
    assert desk.accounts[ALICE].spot.balance(3) == 100 * USDC
    [moved] = desk.log.of(Transferred)
    assert moved.touched == (ALICE,)
    assert (
        desk.refused(desk.transfer, BOB, 98 * USDC, FromRouteType=1, ToRouteType=1)
        == 21305
    )
    desk.transfer(BOB, 97 * USDC, FromRouteType=1, ToRouteType=0)
    assert desk.accounts[ALICE].spot.balance(3) == 0
    assert desk.money(BOB) == COLLATERAL + 97 * USDC
    assert desk.everything() == before


def test_another_asset_moves_in_whole_lots_and_its_fee_is_in_usdc(desk):
    spot = desk.accounts[ALICE].spot
    spot.add(ETH_ASSET, 20)
    ask = {"AssetIndex": ETH_ASSET, "FromRouteType": 1, "ToRouteType": 1}
    assert desk.refused(desk.transfer, BOB, 5 * 10**4, **ask) == 21305
    spot.add(3, FEE)
    desk.transfer(BOB, 5 * 10**4, **ask)
    assert (spot.balance(ETH_ASSET), spot.balance(3)) == (15, 0)
    assert desk.accounts[BOB].spot.balance(ETH_ASSET) == 5
    desk.withdraw(10**5, AssetIndex=ETH_ASSET, RouteType=1)
    assert spot.balance(ETH_ASSET) == 5
    assert desk.log.of(Withdrawn)[0].amount == 10**5


def test_in_one_purse_both_routes_are_the_collateral(desk):
    desk.accounts[ALICE].set_trading_mode(1)
    desk.transfer(ALICE, 100 * USDC, ToRouteType=1)
    assert desk.money(ALICE) == COLLATERAL
    desk.transfer(TWIN, COLLATERAL, FromRouteType=1)
    assert desk.money(ALICE) == 0
    assert desk.refused(desk.transfer, TWIN, USDC, FromRouteType=1) == 21301
