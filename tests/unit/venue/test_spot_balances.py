"""Spot wallets: balances, locks, and the texts they start from."""

from __future__ import annotations

import pytest

from wrappy.errors import ConfigError
from wrappy.venue.accounts import open_accounts
from wrappy.venue.settings import VenueSettings
from wrappy.venue.settings_file import settings_from, settings_table
from wrappy.venue.spot_balances import SpotBalances, start_balances

ETH, USDC = 1, 3


def test_amounts_are_read_in_lots_and_in_millionths_of_a_usdc():
    assert start_balances(["ETH=2.5", "USDC=0.000001"]) == {ETH: 25_000, USDC: 1}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["ETH"], "not of the form"),
        (["ETH=-1"], "not of the form"),
        (["DOGE=1"], "'DOGE' is none of AAVE"),
        (["ETH=0.00001"], "more than 4 decimal places"),
        (["ETH=1", "ETH=2"], "ETH is there twice"),
    ],
)
def test_amounts_that_cannot_be_read_are_refused(texts, words):
    with pytest.raises(ConfigError, match=words):
        VenueSettings(spot_balances=tuple(texts))


def test_settings_keep_the_balances_through_a_file():
    settings = VenueSettings(spot_balances=("USDC=7",))
    assert settings_from(settings_table(settings)) == settings


def test_accounts_own_only_what_an_open_spot_market_trades():
    settings = VenueSettings(symbols=("ETH", "LIT/USDC"))
    accounts = open_accounts(settings, ())
    assert all(not account.spot.held for account in accounts.values())


def test_an_order_locks_once_and_its_own_lock_is_free_for_it():
    spot = SpotBalances({ETH: 10})
    assert spot.lock(7, ETH, 4)
    assert not spot.lock(7, ETH, 4)
    assert (spot.free(ETH), spot.free(ETH, order_index=7)) == (6, 10)
    assert spot.lock(7, ETH, 5)
    assert spot.locked == {ETH: 5}
    assert spot.lock(7, ETH, 0)
    assert not spot.lock(7, ETH, 0)
    assert spot.free(ETH) == 10


def test_a_sale_takes_its_share_of_the_cost_and_never_more():
    spot = SpotBalances()
    spot.enter(ETH, -5, 100, 1)
    spot.enter(ETH, 10, 30, 2)
    spot.enter(ETH, -4, 99, 3)
    entry = spot.entries[ETH]
    assert (entry.size, entry.cost, entry.last_trade_id) == (6, 18, 3)
    spot.enter(ETH, -7, 99, 4)
    assert (entry.size, entry.cost) == (0, 0)
