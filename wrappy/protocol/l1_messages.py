"""Texts that an account's owner signs with the wallet of the base chain.

A few transactions carry such a signature besides the API key's. The texts are those
the official signer gives back to be signed; every number in them is printed as 16
hex digits.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.intents import TxType

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAST_LINE: Final = "Only sign this message for a trusted client!"
_INTEGRATOR_LINES: Final = (
    ("integrator account index", "IntegratorAccountIndex"),
    ("max perps taker fee", "MaxPerpsTakerFee"),
    ("max perps maker fee", "MaxPerpsMakerFee"),
    ("max spot taker fee", "MaxSpotTakerFee"),
    ("max spot maker fee", "MaxSpotMakerFee"),
    ("approval expiry", "ApprovalExpiry"),
)


def _number(value: int) -> str:
    return f"0x{value & (2**64 - 1):016x}"


def l1_message(tx_type: int, info: Mapping[str, Any], chain_id: int) -> str | None:
    """Return the text that an owner signs for a transaction; None if there is none.

    Args:
        tx_type: number of the type.
        info: the transaction, its fields already checked.
        chain_id: 304 on mainnet, 300 on testnet.
    """
    nonce, slot = _number(info["Nonce"]), _number(info["ApiKeyIndex"])
    if tx_type == TxType.CHANGE_PUB_KEY:
        lines = [
            "Register Lighter Account\n",
            f"pubkey: 0x{base64.b64decode(info['PubKey']).hex()}",
            f"nonce: {nonce}",
            f"account index: {_number(info['AccountIndex'])}",
            f"api key index: {slot}",
        ]
    elif tx_type == TxType.TRANSFER:
        sender, receiver = info["FromAccountIndex"], info["ToAccountIndex"]
        lines = [
            "Transfer\n",
            f"nonce: {nonce}",
            f"from: {_number(sender)} (route {_number(info['FromRouteType'])})",
            f"api key: {slot}",
            f"to: {_number(receiver)} (route {_number(info['ToRouteType'])})",
            f"asset: {_number(info['AssetIndex'])}",
            f"amount: {_number(info['Amount'])}",
            f"fee: {_number(info['USDCFee'])}",
            f"chainId: {_number(chain_id)}",
            f"memo: {bytes(info['Memo']).hex()}",
        ]
    elif tx_type == TxType.APPROVE_INTEGRATOR:
        lines = [
            "Approve Integrator\n",
            f"nonce: {nonce}",
            f"account index: {_number(info['AccountIndex'])}",
            f"api key index: {slot}",
            *(f"{name}: {_number(info[field])}" for name, field in _INTEGRATOR_LINES),
            f"chainId: {_number(chain_id)}",
        ]
    else:
        return None
    return "\n".join([*lines, _LAST_LINE])
