"""Stage one of orders in spot markets: what there is no such thing as there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.venue.orders import TRIGGER_TYPES
from wrappy.venue.refusal import require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.model import Market
    from wrappy.venue.accounts import Account

NOT_ENOUGH_BALANCE: Final = 21304
PERPETUALS_ONLY: Final = 21621
BUSY_ACCOUNT: Final = 21132
_NO_REDUCING: Final = 21740
_NO_TRIGGERS: Final = 21618


def check_spot_order(order: Mapping[str, Any]) -> None:
    """Refuse what needs a position: reduce-only orders, stops and take-profits.

    The official signer of today refuses both before they leave; the codes are the
    nearest ones of the list.

    Raises:
        Refused: 21740 reduce-only, 21618 an order with a trigger.
    """
    require(order["Type"] not in TRIGGER_TYPES, _NO_TRIGGERS)
    require(not order["ReduceOnly"], _NO_REDUCING)


def check_perpetual(market: Market) -> None:
    """Refuse leverage and margin of a spot market.

    Raises:
        Refused: 21621, it is one.
    """
    require(not market.is_spot, PERPETUALS_ONLY)


def mode_problem(account: Account, mode: int) -> int | None:
    """Return the code with which a new trading mode is refused, or None.

    A purse is neither joined nor parted while spot orders lock a part of it. The
    documents name no code; the one of a margin mode that cannot change is taken.
    """
    locked = any(account.spot.locked.values())
    return BUSY_ACCOUNT if locked and mode != account.trading_mode else None
