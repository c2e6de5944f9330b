"""Market metadata: reading, finding, refusing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wrappy.errors import ProtocolError, UnknownMarketError
from wrappy.model import Market
from wrappy.protocol.markets import (
    BUNDLED_MARKETS,
    find_market,
    market_from_details,
    markets_from_details,
)

ROW = {
    "symbol": "ETH",
    "market_id": 0,
    "status": "active",
    "size_decimals": 4,
    "price_decimals": 2,
    "min_base_amount": "0.0050",
    "min_quote_amount": "10.000000",
    "order_quote_limit": "281474976.710655",
    "default_initial_margin_fraction": 500,
    "min_initial_margin_fraction": 200,
    "maintenance_margin_fraction": 120,
    "closeout_margin_fraction": 80,
}
PAYLOADS = Path(__file__).resolve().parents[4] / "shared" / "payloads"


def test_a_row_becomes_a_market():
    assert market_from_details(ROW) == Market("ETH", 0, 2, 4, 50, 10_000_000)


@pytest.mark.parametrize(
    ("text", "lots"),
    [("0.0050", 50), ("1", 10_000), ("1.", 10_000), ("0.00509", 50), (3, 30_000)],
)
def test_amounts_are_read_in_the_markets_own_units(text, lots):
    assert market_from_details({**ROW, "min_base_amount": text}).min_base_amount == lots


@pytest.mark.parametrize(
    "text", ["", "-0.5", "1e3", "1.50x", "x", None, "0.-5", ".5", "1_0", "٣"]
)
def test_an_amount_that_is_no_plain_number_is_named(text):
    with pytest.raises(ProtocolError, match="min_base_amount"):
        market_from_details({**ROW, "min_base_amount": text})


def test_a_missing_field_is_named():
    row = {
        name: value for name, value in ROW.items() if name != "closeout_margin_fraction"
    }
    with pytest.raises(ProtocolError, match="closeout_margin_fraction"):
        market_from_details(row)
    with pytest.raises(ProtocolError, match="unreadable market"):
        market_from_details({**ROW, "market_id": "first"})


def test_a_frozen_market_is_not_active():
    assert not market_from_details({**ROW, "status": "inactive"}).active


def test_an_answer_lists_its_markets():
    other = {**ROW, "symbol": "BTC", "market_id": 1}
    body = {"code": 200, "order_book_details": [ROW, other]}
    assert [m.symbol for m in markets_from_details(body)] == ["ETH", "BTC"]
    assert markets_from_details({"code": 200}) == ()
    assert markets_from_details({"order_book_details": None}) == ()


SPOT_ROW = {
    **{name: value for name, value in ROW.items() if "margin" not in name},
    "symbol": "ETH/USDC",
    "market_id": 2048,
    "market_type": "spot",
    "base_asset_id": 1,
    "quote_asset_id": 3,
}


def test_spot_markets_come_after_the_perpetuals_and_have_assets():
    body = {"order_book_details": [ROW], "spot_order_book_details": [SPOT_ROW]}
    perpetual, spot = markets_from_details(body)
    assert (perpetual.is_spot, perpetual.base_symbol) == (False, "ETH")
    assert (spot.is_spot, spot.base_symbol) == (True, "ETH")
    assert (spot.base_asset_id, spot.quote_asset_id) == (1, 3)
    assert spot == find_market(BUNDLED_MARKETS, symbol="eth/usdc")


def test_a_spot_market_without_assets_or_a_list_that_is_none_is_refused():
    broken = {**SPOT_ROW, "base_asset_id": None}
    with pytest.raises(ProtocolError, match="unreadable market"):
        markets_from_details({"spot_order_book_details": [broken]})
    with pytest.raises(ProtocolError, match="a dict holds no markets"):
        markets_from_details({"spot_order_book_details": {"ETH/USDC": SPOT_ROW}})


def test_a_market_is_found_by_symbol_or_index_or_both():
    assert find_market(BUNDLED_MARKETS, symbol="eth").market_id == 0
    assert find_market(BUNDLED_MARKETS, market_id=1).symbol == "BTC"
    assert find_market(BUNDLED_MARKETS, symbol="BTC", market_id=1).symbol == "BTC"
    mixed = Market("wstETH", 77, 2, 4)
    assert find_market([mixed], symbol="wstETH") is mixed


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"symbol": "ETHX"}, r"symbol: 'ETHX' is not a market.*AAPL.*BTC"),
        ({"market_id": 99}, "market_index: 99 is not"),
        ({"symbol": "ETH", "market_id": 1}, "symbol: 'ETH' and market_index: 1"),
        ({}, "symbol: not given"),
    ],
)
def test_an_unknown_market_is_refused_with_what_is_known(asked, words):
    with pytest.raises(UnknownMarketError, match=words):
        find_market(BUNDLED_MARKETS, **asked)


def test_an_exchange_without_markets_knows_none():
    with pytest.raises(UnknownMarketError, match="known: none"):
        find_market([], symbol="ETH")


def test_the_bundled_table_has_each_market_once():
    assert len({market.symbol for market in BUNDLED_MARKETS}) == len(BUNDLED_MARKETS)
    assert len({market.market_id for market in BUNDLED_MARKETS}) == len(BUNDLED_MARKETS)
    assert all(market.quote_multiplier >= 1 for market in BUNDLED_MARKETS)


def test_recorded_answers_can_be_read():
    read = 0
    for page in sorted(PAYLOADS.rglob("*.json")) if PAYLOADS.is_dir() else ():
        body = json.loads(page.read_text(encoding="utf-8"))
        if isinstance(body, dict) and body.get("order_book_details"):
            markets = markets_from_details(body)
            assert len(markets) == len(body["order_book_details"])
            read += 1
    if not read:
        pytest.skip("no recorded orderBookDetails beside the checkout")
