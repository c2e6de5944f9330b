"""Channel names in both spellings."""

from __future__ import annotations

import pytest

from wrappy.protocol.channels import CHANNELS, channel, parse_channel


@pytest.mark.parametrize(
    ("text", "account", "market", "private"),
    [
        ("order_book/0", None, 0, False),
        ("trade:12", None, 12, False),
        ("market_stats/all", None, None, False),
        ("market_stats/3", None, 3, False),
        ("height", None, None, False),
        ("account_all/7", 7, None, False),
        ("account_all_orders:7", 7, None, True),
        ("account_orders/0/7", 7, 0, True),
        ("account_market:5:7", 7, 5, True),
        ("account_tx/7", 7, None, True),
        ("account_spot_avg_entry_prices/7", 7, None, True),
        ("notification/7", 7, None, True),
        ("spot_market_stats/2048", None, 2048, False),
        ("spot_market_stats/all", None, None, False),
        ("candle/0/1m", None, 0, False),
        ("mark_price_candle:3:12h", None, 3, False),
    ],
)
def test_a_name_is_read_in_either_spelling(text, account, market, private):
    for spelling in (text.replace("/", ":"), text.replace(":", "/")):
        found = parse_channel(spelling)
        assert found is not None
        assert found.account_index == account
        assert found.market_index == market
        assert found.kind.private is private
        assert found.request_name == text.replace(":", "/")
        assert found.reply_name == text.replace("/", ":")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "order_book",
        "order_book/",
        "order_book/0/1",
        "order_book/-1",
        "order_book/x",
        "order_book/all",
        "order_book/²",
        "order_book/00",
        "order_book/" + "1" * 5_000,
        "order_book/٣",
        "height/0",
        "account_orders/all/7",
        "account_orders/0",
        "no_such/0",
        "candle/0",
        "candle/0/2m",
        "candle/0/60",
        "candle/all/1m",
        "candle/0/1M",
        "candle/1m/0",
        "notification/all",
    ],
)
def test_what_is_no_channel_is_none(text):
    assert parse_channel(text) is None


def test_a_channel_is_made_from_its_parts():
    assert channel("account_orders", 0, 7).request_name == "account_orders/0/7"
    assert channel("market_stats", "all").reply_name == "market_stats:all"
    with pytest.raises(ValueError, match="order_books"):
        channel("order_books", 0)


def test_every_private_channel_tells_of_an_account():
    for kind in CHANNELS.values():
        if kind.private:
            assert kind.account_at is not None
        if kind.account_at is not None:
            assert kind.account_at < kind.parameters


def test_candles_have_a_length_and_nothing_else_has():
    assert channel("candle", 0, "15m").resolution == "15m"
    assert channel("mark_price_candle", 0, "1d").resolution == "1d"
    assert channel("ticker", 0).resolution is None
