"""Which transactions an owner's wallet must sign too, and whether it did.

A change of key always needs it, a transfer when the money goes to another owner
(official API documentation). An integrator's approval may carry one as well; nobody
looks at that one here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.intents import TxType
from wrappy.protocol.l1_messages import l1_message
from wrappy.signing.ethereum import signer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.accounts import Account

NO_WALLET_SIGNATURE: Final = 21504
"""Code of a transaction whose wallet signature is missing or somebody else's."""


def wallet_signs(
    accounts: Mapping[int, Account], tx_type: int, info: Mapping[str, Any]
) -> bool:
    """Return whether a transaction needs the signature of its owner's wallet."""
    if tx_type == TxType.CHANGE_PUB_KEY:
        return True
    if tx_type != TxType.TRANSFER:
        return False
    sender = accounts[info["FromAccountIndex"]]
    receiver = accounts.get(info["ToAccountIndex"])
    return receiver is None or receiver.l1_address != sender.l1_address


def is_signed_by(
    address: str, tx_type: int, info: Mapping[str, Any], chain_id: int
) -> bool:
    """Return whether the wallet of that address signed the transaction's text.

    Args:
        address: of the owner, in any letters.
        tx_type: number of the type.
        info: the transaction, its fields already checked.
        chain_id: as in the transaction's hash.
    """
    message = l1_message(tx_type, info, chain_id)
    if message is None:
        return False
    return signer_of(message, info.get("L1Sig") or "") == address.lower()
