"""Changes an account asks for with a token: its tier, and which keys may only make.

Source: official API documentation and the official SDK's example. A tier belongs to
the owner's address, so all of its accounts change together and all must be flat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.model import TimeInForce
from wrappy.protocol.intents import TxType
from wrappy.protocol.tiers import TIERS
from wrappy.venue.account_events import MakerOnlyKeysSet, TierChanged
from wrappy.venue.orders import created_orders
from wrappy.venue.refusal import Refused, require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy.venue.accounts import Account
    from wrappy.venue.settings import VenueSettings

DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
MOST_MAKER_ONLY_KEYS: Final = 200
"""The two documents say 200 and 251; the lower one stands here."""
FIRST_MAKER_ONLY_KEY: Final = 4
_FREE_TYPES: Final = frozenset(
    {TxType.CANCEL_ORDER, TxType.CANCEL_ALL_ORDERS, TxType.MODIFY_ORDER}
)
_INVALID_TIER: Final = 62002
_SAME_TIER: Final = 62003
_OPEN_POSITIONS: Final = 62004
_OPEN_ORDERS: Final = 62005
_TOO_OFTEN: Final = 62006
_NOT_PREMIUM: Final = 21123
_INVALID_SLOT: Final = 21110
_NO_SUCH_KEY: Final = 21109
_INVALID_PARAMETER: Final = 20001
_TOO_MANY_REQUESTS: Final = 23000
_TAKES: Final = 21511


def change_tier(
    settings: VenueSettings,
    accounts: Mapping[int, Account],
    account: Account,
    name: str,
    now_us: int,
) -> TierChanged:
    """Move all accounts of an owner to another tier, at once.

    Fees, delays and limits are the new ones from the next transaction on.

    Raises:
        Refused: 62002 no such tier, 62003 the owner's own, 62004 a position or 62005
            an order is open on one of the owner's accounts, 62006 the last change
            is less than 24 hours ago.
    """
    require(name in TIERS, _INVALID_TIER)
    require(name != account.tier.name, _SAME_TIER)
    own = [a for a in accounts.values() if a.l1_address == account.l1_address]
    held = any(p.size for a in own for p in a.ledger.positions.values())
    require(not held, _OPEN_POSITIONS)
    require(not any(a.open_orders or a.queued_creates for a in own), _OPEN_ORDERS)
    last_us = account.profile.tier_changed_us
    require(not last_us or now_us - last_us >= DAY_US, _TOO_OFTEN)
    for one in own:
        one.tier = settings.tier_named(name)
        one.profile.tier_changed_us = now_us
    return TierChanged(now_us, account.index, name)


def set_maker_only(
    account: Account, slots: Sequence[int], now_us: int
) -> MakerOnlyKeysSet:
    """Say which key slots of an account may only make; the others may do all again.

    The documents name no codes for this: the nearest ones are taken.

    Raises:
        Refused: 21123 the account is not premium, 20001 there are too many, 21110
            one belongs to the exchange's own applications, 21109 one has no key,
            23000 the last call is less than an hour ago.
    """
    require(account.tier.name == "premium", _NOT_PREMIUM)
    if len(slots) > MOST_MAKER_ONLY_KEYS:
        problem = f"invalid param: api_key_indexes has over {MOST_MAKER_ONLY_KEYS}"
        raise Refused(_INVALID_PARAMETER, problem)
    require(all(slot >= FIRST_MAKER_ONLY_KEY for slot in slots), _INVALID_SLOT)
    require(all(slot in account.api_keys for slot in slots), _NO_SUCH_KEY)
    last_us = account.profile.maker_only_set_us
    require(not last_us or now_us - last_us >= HOUR_US, _TOO_MANY_REQUESTS)
    account.profile.maker_only = frozenset(slots)
    account.profile.maker_only_set_us = now_us
    return MakerOnlyKeysSet(now_us, account.index, tuple(sorted(set(slots))))


def check_maker_only(account: Account, tx_type: int, info: Mapping[str, Any]) -> None:
    """Let a maker-only key make, modify and cancel, and nothing else.

    Raises:
        Refused: 21511, it is such a key, and this is something else; the documents
            name no code, the nearest one is taken.
    """
    if info["ApiKeyIndex"] not in account.profile.maker_only or tx_type in _FREE_TYPES:
        return
    orders = created_orders(tx_type, info)
    makes = [order["TimeInForce"] == TimeInForce.POST_ONLY for order in orders]
    require(makes and all(makes), _TAKES, "invalid tx type for account: maker-only key")
