"""Where a strategy trades: here, unless it is said twice."""

from __future__ import annotations

import pytest

from wrappy import ConfigError, CredentialsError
from wrappy.protocol.networks import MAINNET, TESTNET
from wrappy.runner.network import open_network


async def test_the_local_exchange_is_the_default():
    async with open_network() as network:
        assert network.name == "venue"
        assert network.symbol == "ETH"
        assert network.venue is not None
        assert [c.base_url for c in network.accounts] == [network.venue.base_url] * 2
        first = network.venue.accounts[0]
        config = network.accounts[0]
        assert config.account_index == first.account_index
        assert config.chain_id == network.venue.chain_id
        assert not config.standard_account
        assert len(config.api_keys) == len(first.api_keys)


async def test_the_tier_decides_the_pace():
    async with open_network(tier="standard") as network:
        assert all(config.standard_account for config in network.accounts)


async def test_a_network_that_nobody_knows_is_refused():
    with pytest.raises(ConfigError, match="'moon' is none of"):
        async with open_network("moon"):
            pass


async def test_mainnet_must_be_meant():
    with pytest.raises(ConfigError, match="--live"):
        async with open_network("mainnet"):
            pass


@pytest.mark.parametrize(
    ("name", "live", "address"),
    [("testnet", False, TESTNET), ("mainnet", True, MAINNET)],
)
async def test_public_networks_take_account_and_key_from_the_environment(
    name, live, address, monkeypatch
):
    with pytest.raises(ConfigError, match="LIGHTER_ACCOUNT_INDEX"):
        async with open_network(name, live=live):
            pass
    monkeypatch.setenv("LIGHTER_ACCOUNT_INDEX", "5")
    with pytest.raises(CredentialsError, match="LIGHTER_API_KEY"):
        async with open_network(name, live=live):
            pass
    monkeypatch.setenv("LIGHTER_API_KEY_INDEX", "4")
    monkeypatch.setenv("LIGHTER_API_KEY", "01" * 40)
    async with open_network(name, live=live) as network:
        assert network.venue is None
        (config,) = network.accounts
        assert (config.base_url, config.account_index) == (address, 5)


@pytest.fixture
def account(monkeypatch):
    monkeypatch.setenv("LIGHTER_ACCOUNT_INDEX", "5")
    monkeypatch.setenv("LIGHTER_API_KEY_INDEX", "4")
    monkeypatch.setenv("LIGHTER_API_KEY", "01" * 40)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://LOCALHOST:80", "http://localhost"),
        (TESTNET, TESTNET),
    ],
)
async def test_an_exchange_that_runs_already_is_named_by_its_address(
    name, address, account
):
    async with open_network(name) as network:
        assert network.venue is None
        assert network.accounts[0].base_url == address


@pytest.mark.parametrize(
    "name", [MAINNET, MAINNET.upper().replace("HTTPS", "https"), "http://10.0.0.7:8080"]
)
async def test_an_address_elsewhere_is_real_money_until_it_is_meant(name, account):
    with pytest.raises(ConfigError, match="--live"):
        async with open_network(name):
            pass
    async with open_network(name, live=True) as network:
        assert network.accounts[0].account_index == 5
