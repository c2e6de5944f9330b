"""What can be watched: the channel of each, and whether it needs a token."""

from __future__ import annotations

import dataclasses

import pytest

from wrappy.errors import UsageError
from wrappy.lighter.streaming.menu import (
    FIRST_SPOT_MARKET,
    OF_ACCOUNTS,
    OF_MARKETS,
    WATCHABLE,
    of_account,
    of_market,
)
from wrappy.protocol.markets import BUNDLED_MARKETS

ETH = BUNDLED_MARKETS[0]


@pytest.mark.parametrize(
    ("what", "channel"),
    [
        ("ticker", "ticker/0"),
        ("market_stats", "market_stats/0"),
        ("candles:1m", "candle/0/1m"),
        ("candles:1d", "candle/0/1d"),
    ],
)
def test_what_is_about_a_market_needs_no_token(what, channel):
    dish = of_market(what, dataclasses.replace(ETH, market_id=0))
    assert (dish.channel, dish.private) == (channel, False)


def test_figures_of_a_spot_market_have_a_channel_of_their_own():
    spot = dataclasses.replace(ETH, market_id=FIRST_SPOT_MARKET)
    dish = of_market("market_stats", spot)
    assert dish.channel == f"spot_market_stats/{FIRST_SPOT_MARKET}"


@pytest.mark.parametrize(
    ("what", "channel"),
    [
        ("assets", "account_all_assets/7"),
        ("user_stats", "user_stats/7"),
        ("transactions", "account_tx/7"),
        ("notifications", "notification/7"),
    ],
)
def test_what_is_about_an_account_goes_with_a_token(what, channel):
    dish = of_account(what, 7)
    assert (dish.channel, dish.private) == (channel, True)


def test_everything_on_the_menu_can_be_made():
    feeds = [of_market(what, ETH).make for what in OF_MARKETS]
    feeds += [of_account(what, 7).make for what in OF_ACCOUNTS]
    assert len(feeds) == len(WATCHABLE) == len(set(WATCHABLE))
    for make in feeds:
        make(lambda *_: None).lost("nothing was told yet")


@pytest.mark.parametrize("what", ["", "candles:", "candles:2m", "book", "assets"])
def test_what_there_is_not_is_told_with_what_there_is(what):
    with pytest.raises(UsageError, match=r"there is no .*ticker.*notifications"):
        of_market(what, ETH)
    if what not in OF_ACCOUNTS:
        with pytest.raises(UsageError, match=r"there is no"):
            of_account(what, 7)
