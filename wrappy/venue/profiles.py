"""What belongs to an account besides orders, balances and margin."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wrappy.venue.account_events import Transferred, Withdrawn
    from wrappy.venue.accounts import ApiKey

_HISTORY_LENGTH = 10_000


@dataclass(slots=True)
class AccountProfile:
    """Ownership, keys to come, and money that came and went.

    Attributes:
        master: account that opened this one; None for a main account.
        account_type: as the wire shows it; 0 for a main account.
        coming_keys: slots whose first key is on its way, with their nonces.
        maker_only: key slots that may only make.
        maker_only_set_us: when that was said last, venue time; 0 never.
        tier_changed_us: when the owner's tier changed last, venue time; 0 never.
        deposited: what the account began with, 1e-6 USDC.
        transfers: in and out, newest last, bounded.
        withdrawals: newest last, bounded.
    """

    master: int | None = None
    account_type: int = 0
    coming_keys: dict[int, ApiKey] = field(default_factory=dict)
    maker_only: frozenset[int] = frozenset()
    maker_only_set_us: int = 0
    tier_changed_us: int = 0
    deposited: int = 0
    transfers: deque[Transferred] = field(
        default_factory=lambda: deque(maxlen=_HISTORY_LENGTH)
    )
    withdrawals: deque[Withdrawn] = field(
        default_factory=lambda: deque(maxlen=_HISTORY_LENGTH)
    )
