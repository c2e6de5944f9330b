"""The exchange's public deployments and their chain ids.

Source: the endpoint profiles of the official SDK 1.1.8.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

MAINNET: Final = "https://mainnet.zklighter.elliot.ai"
TESTNET: Final = "https://testnet.zklighter.elliot.ai"

MAINNET_CHAIN_ID: Final = 304
CHAIN_IDS: Final[dict[str, int]] = {
    "mainnet.zklighter.elliot.ai": MAINNET_CHAIN_ID,
    "testnet.zklighter.elliot.ai": 300,
    "api.rh.lighter.xyz": 466324,
    "api.rh-testnet.lighter.xyz": 300,
}


def known_chain_id(base_url: str) -> int | None:
    """Return the chain id of a public deployment, or None for any other address."""
    return CHAIN_IDS.get(urlsplit(base_url).hostname or "")


def chain_id_for(base_url: str) -> int:
    """Return the chain id to sign with: unknown hosts count as mainnet's chain.

    The official SDK does the same, so a local exchange sees one chain id from both.
    """
    return known_chain_id(base_url) or MAINNET_CHAIN_ID
