"""Deployments and chain ids."""

from __future__ import annotations

import pytest

from wrappy.protocol.networks import (
    MAINNET,
    TESTNET,
    chain_id_for,
    known_chain_id,
)


@pytest.mark.parametrize(
    ("base_url", "known", "signed"),
    [
        (MAINNET, 304, 304),
        (MAINNET.upper().replace("HTTPS", "https"), 304, 304),
        (TESTNET + "/", 300, 300),
        ("https://api.rh.lighter.xyz:443/", 466324, 466324),
        ("https://api.rh-testnet.lighter.xyz", 300, 300),
        ("http://127.0.0.1:8080", None, 304),
        ("http://localhost", None, 304),
        ("no address", None, 304),
    ],
)
def test_a_public_host_has_its_chain_and_others_count_as_mainnet(
    base_url, known, signed
):
    assert known_chain_id(base_url) == known
    assert chain_id_for(base_url) == signed
