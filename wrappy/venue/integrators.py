"""Integrators: applications that take a fee of their own on orders they send.

An account approves an integrator with the most it may take (transaction type 45), and
orders then name the integrator and its fees in their attributes 1, 2 and 3. Source:
official signer; code 21149 has been seen by other clients and is not in the list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wrappy.venue.refusal import Refused, require
from wrappy.venue.trading import ATTRIBUTE_SELF_TRADE, attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.accounts import Account

ATTRIBUTE_INTEGRATOR: Final = "1"
ATTRIBUTE_TAKER_FEE: Final = "2"
ATTRIBUTE_MAKER_FEE: Final = "3"
_NOT_APPROVED: Final = 21149
_INVALID_FEE: Final = 21134
_INVALID_INFO: Final = 21501


@dataclass(frozen=True, slots=True)
class IntegratorTerms:
    """What an integrator takes on the fills of one order.

    Attributes:
        account: account index that collects.
        taker_fee: its rate where the order takes, 1e-6 of the value.
        maker_fee: its rate where the order makes, 1e-6 of the value.
    """

    account: int
    taker_fee: int
    maker_fee: int


def terms_of(info: Mapping[str, Any]) -> IntegratorTerms | None:
    """Return what a transaction's attributes give to an integrator, or None."""
    account = attribute(info, ATTRIBUTE_INTEGRATOR) or 0
    if not account:
        return None
    return IntegratorTerms(
        account,
        attribute(info, ATTRIBUTE_TAKER_FEE) or 0,
        attribute(info, ATTRIBUTE_MAKER_FEE) or 0,
    )


def check_terms(
    account: Account, info: Mapping[str, Any], *, now_ms: int, spot: bool = False
) -> None:
    """Check what an order's attributes give to an integrator.

    Args:
        account: whose order.
        info: the transaction.
        now_ms: unix milliseconds.
        spot: whether it is for a spot market, whose fees are approved apart.

    Raises:
        Refused: 21134, there is a fee for nobody or a higher one than was approved;
            21149, the integrator is not approved, or its approval has expired; 21501,
            the order also says how to treat own orders it meets.
    """
    terms = terms_of(info)
    if terms is None:
        fees = (ATTRIBUTE_TAKER_FEE, ATTRIBUTE_MAKER_FEE)
        require(not any(attribute(info, key) for key in fees), _INVALID_FEE)
        return
    problem = "invalid tx info: a self-trade mode does not go with integrator fees"
    require(not attribute(info, ATTRIBUTE_SELF_TRADE), _INVALID_INFO, problem)
    approval = account.integrators.get(terms.account)
    if approval is None or approval["approval_expiry"] <= now_ms:
        raise Refused(_NOT_APPROVED, "integrator is not approved")
    kind = "spot" if spot else "perps"
    require(terms.taker_fee <= approval[f"max_{kind}_taker_fee"], _INVALID_FEE)
    require(terms.maker_fee <= approval[f"max_{kind}_maker_fee"], _INVALID_FEE)
