"""Whatever is wrong is found before anything is signed, and named."""

from __future__ import annotations

import dataclasses
import json

import aiohttp
import pytest

from wrappy import (
    ConfigError,
    CredentialsError,
    DealerConfig,
    InvalidOrderError,
    LighterDealer,
    ProtocolError,
    UnknownMarketError,
    WsInfo,
    errors,
)
from wrappy.lighter.config import ApiKeyConfig

NO_NUMBER = [
    float("nan"),
    "NaN",
    float("inf"),
    "-Infinity",
    "12,5",
    "",
    None,
    True,
    b"1",
]


@pytest.fixture
async def trader(quiet_venue, dealer):
    yield await dealer(quiet_venue)
    assert not quiet_venue.ledger.accepted(), "nothing may have been sent"
    assert not quiet_venue.ledger.refused()


@pytest.mark.parametrize("price", [*NO_NUMBER, 0, -1, 0.001, "1e30"])
async def test_a_price_that_is_none_is_named(trader, price):
    with pytest.raises(InvalidOrderError, match="price") as caught:
        await trader.create_limit_order(price, 0.05)
    assert caught.value.field == "price"
    assert isinstance(caught.value, ValueError)
    assert (await trader.flush())["count"] == 0
    assert not trader.orders.live()


@pytest.mark.parametrize("size", [*NO_NUMBER, 0, 0.00001, -0.00001, 0.001, "1e30"])
async def test_a_size_that_is_none_or_too_small_is_named(trader, size):
    with pytest.raises(InvalidOrderError, match="size") as caught:
        await trader.create_limit_order(1000, size)
    assert caught.value.field == "size"
    with pytest.raises(InvalidOrderError, match="size"):
        await trader.batch_cancel_and_create(new_limit_orders=[(1000, size)])
    assert (await trader.flush())["count"] == 0


async def test_a_market_order_is_checked_before_the_book_is_asked_for(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    before = len(relay.requests)
    for size, bound in ((0, None), (float("nan"), None), (0.05, 0), (0.05, "x")):
        with pytest.raises(InvalidOrderError) as caught:
            await trader.create_market_order(size, bound)
        assert caught.value.field in ("size", "avg_execution_price")
    assert len(relay.requests) == before


@pytest.mark.parametrize("coi", [0, -1, 1 << 48, "7", 7.0, True, None])
async def test_a_client_order_index_that_is_none_is_named(trader, coi):
    with pytest.raises(InvalidOrderError, match="client_order_index"):
        await trader.cancel_order_by_coi(coi)
    with pytest.raises(InvalidOrderError, match="client_order_index"):
        await trader.update_order_by_coi(coi, price=1000, quantity=1)


async def test_a_change_of_nothing_or_to_nothing_is_refused(trader):
    with pytest.raises(InvalidOrderError, match="nothing to change"):
        await trader.update_order_by_coi(5)
    with pytest.raises(InvalidOrderError, match="price"):
        await trader.update_order_by_coi(5, price=0, quantity=1)
    with pytest.raises(InvalidOrderError, match="quantity"):
        await trader.update_order_by_coi(5, price=1000, quantity=float("nan"))
    with (
        pytest.warns(DeprecationWarning, match="cancel_order_by_coi"),
        pytest.raises(InvalidOrderError, match="order_index"),
    ):
        await trader.cancel_order(5)


# ---------------------------------------------------------------------- settings


async def refused(config, kind, words):
    with pytest.raises(kind, match=words) as caught:
        await LighterDealer.create(config)
    assert caught.value.outcome == "not_sent"
    assert isinstance(caught.value, errors.ConfigError)


async def test_an_unknown_symbol_or_index_never_becomes_market_zero(
    quiet_venue, config_for
):
    unknown = config_for(quiet_venue, symbol="NOSUCH")
    await refused(unknown, UnknownMarketError, "NOSUCH")
    unknown = config_for(quiet_venue, market_index=77)
    await refused(unknown, UnknownMarketError, "77")
    with pytest.raises(UnknownMarketError):
        await WsInfo.run_public_trades_simple("NOSUCH", base_url=quiet_venue.base_url)
    assert not quiet_venue.ledger.accepted()


async def test_no_market_at_all_is_refused(quiet_venue, config_for):
    config = dataclasses.replace(config_for(quiet_venue), symbol=None)
    await refused(config, ConfigError, "symbol")


async def test_missing_and_wrong_keys_are_named(quiet_venue, config_for):
    config = config_for(quiet_venue)
    await refused(
        dataclasses.replace(config, api_keys=()), CredentialsError, "api_keys"
    )
    other = quiet_venue.accounts[1].api_keys[0]
    own = quiet_venue.accounts[0].api_keys[0]
    wrong = ApiKeyConfig(own.api_key_index, other.api_key_private_key)
    await refused(
        dataclasses.replace(config, api_keys=(wrong,)),
        CredentialsError,
        "api_key_private_key: is not the key registered",
    )
    nowhere = ApiKeyConfig(77, own.api_key_private_key)
    await refused(
        dataclasses.replace(config, api_keys=(nowhere,)),
        CredentialsError,
        "api_key_index: no such key",
    )


@pytest.mark.parametrize("index", [0, 1, 2, 3])
async def test_reserved_key_slots_are_refused(quiet_venue, index):
    key = quiet_venue.accounts[0].api_keys[0].api_key_private_key
    with pytest.raises(CredentialsError, match="reserved"):
        ApiKeyConfig(index, key)


async def test_a_key_that_is_no_key_is_refused_without_being_shown(quiet_venue):
    with pytest.raises(CredentialsError, match="api_key_private_key") as caught:
        ApiKeyConfig(4, "deadbeef-not-a-key")
    assert "deadbeef" not in str(caught.value)


async def test_the_wrong_chain_is_found_before_anything_is_signed(
    quiet_venue, config_for
):
    await refused(config_for(quiet_venue, chain_id=300), ConfigError, "chain_id")


async def test_an_exchange_that_does_not_say_its_chain_is_not_traded_at(
    quiet_venue, config_for, relay_to
):
    relay = await relay_to(quiet_venue)
    relay.answer("/", {"code": 200, "network_id": None})
    with pytest.raises(ProtocolError, match="network_id"):
        await LighterDealer.create(config_for(relay))


async def test_scales_that_are_not_the_markets_are_refused(quiet_venue, config_for):
    await refused(config_for(quiet_venue, price_scale=10), ConfigError, "price_scale")
    await refused(config_for(quiet_venue, size_scale=10), ConfigError, "size_scale")
    market = quiet_venue.markets[0]
    fitting = config_for(
        quiet_venue, price_scale=market.price_scale, size_scale=market.size_scale
    )
    async with await LighterDealer.create(fitting) as trader:
        assert trader.config.price_scale == market.price_scale


async def test_a_market_that_does_not_trade_is_refused(
    quiet_venue, config_for, relay_to, dealer
):
    path = "/api/v1/orderBookDetails"
    async with (
        aiohttp.ClientSession() as session,
        session.get(quiet_venue.base_url + path) as response,
    ):
        details = await response.json()
    for row in details["order_book_details"]:
        row["status"] = "inactive"
    relay = await relay_to(quiet_venue)
    relay.answer(path, details)
    await refused(config_for(relay), ConfigError, "not active")


async def test_a_file_with_a_key_that_everybody_may_read_is_refused(
    quiet_venue, tmp_path
):
    owner = quiet_venue.accounts[0]
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps(
            {
                "base_url": quiet_venue.base_url,
                "account_index": owner.account_index,
                "api_key_index": owner.api_keys[0].api_key_index,
                "api_key_private_key": owner.api_keys[0].api_key_private_key,
            }
        )
    )
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        await LighterDealer.from_config(file, symbol="ETH")
    with pytest.raises(ConfigError, match="chmod 600"):
        await WsInfo.run_overlay_from_config(file, overrides={"symbol": "ETH"})
    file.chmod(0o600)
    async with await LighterDealer.from_config(file, symbol="ETH"):
        pass


async def test_the_cause_is_named_when_the_file_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"base_url.*does not exist"):
        await LighterDealer.from_config(tmp_path / "none.json", symbol="ETH")


async def test_settings_that_nobody_knows_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="leverage_please"):
        await LighterDealer.from_config(tmp_path / "none.json", leverage_please=3)
    with pytest.raises(ConfigError, match="max_ws_batch"):
        DealerConfig(max_ws_batch=0)
