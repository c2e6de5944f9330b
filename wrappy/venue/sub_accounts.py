"""Further accounts of an owner, and the keys of their slots.

A new sub-account gets the highest free index from the top down, the owner's tier, no
money and no key. Its owner moves money in, then registers a key: the transaction is
signed by the new key itself and, on the base chain's side, by the owner's wallet.
Source: official signer and its constants, the documented list of codes.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.ledger import AccountLedger
from wrappy.protocol.codes import OK
from wrappy.venue.account_events import KeyRegistered, SubAccountOpened
from wrappy.venue.accounts import Account, ApiKey
from wrappy.venue.profiles import AccountProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrappy.venue.events import Event
    from wrappy.venue.records import TxRecord
    from wrappy.venue.settings import VenueSettings
    from wrappy.venue.trading import TradingFloor

FIRST_SUB_ACCOUNT: Final = 1 << 47
"""Lowest index of an account that belongs to another one."""
_ONE_PAST_LAST: Final = (1 << 48) - 1
_KEY_BYTES: Final = 40
_ONLY_MASTERS: Final = 21128
_TOO_MANY: Final = 21129
_WRONG_KEY: Final = 21108
_WRONG_SLOT: Final = 21110
_NO_COLLATERAL: Final = 21126


def sub_account_problem(floor: TradingFloor, account: Account) -> int | None:
    """Return the code with which opening a sub-account is refused, or None."""
    if account.profile.master is not None:
        return _ONLY_MASTERS
    opened = sum(
        other.profile.master == account.index for other in floor.accounts.values()
    )
    return _TOO_MANY if opened >= account.tier.sub_accounts else None


def key_problem(
    settings: VenueSettings, account: Account, info: Mapping[str, Any]
) -> int | None:
    """Return the code with which registering a key is refused, or None."""
    if info["ApiKeyIndex"] < settings.reserved_api_keys:
        return _WRONG_SLOT
    if not any(_key_bytes(info)):
        return _WRONG_KEY
    return None if account.ledger.collateral > 0 else _NO_COLLATERAL


def key_slot(settings: VenueSettings, account: Account, slot: int) -> ApiKey:
    """Return a slot of an account, also one that has no key yet: then it is empty."""
    key = account.api_keys.get(slot) or account.profile.coming_keys.get(slot)
    return key or ApiKey(slot, "", settings.first_nonce)


def public_key_of(info: Mapping[str, Any]) -> str:
    """Return the key that a ChangePubKey registers, hex; empty if it is none."""
    return _key_bytes(info).hex()


def _key_bytes(info: Mapping[str, Any]) -> bytes:
    try:
        raw = base64.b64decode(info["PubKey"], validate=True)
    except ValueError:
        return b""
    return raw if len(raw) == _KEY_BYTES else b""


class Ownership:
    """Carries out what changes who owns what and who may sign for it.

    Args:
        settings: the exchange's.
        floor: its accounts.
        emit: takes what happened.
    """

    def __init__(
        self,
        settings: VenueSettings,
        floor: TradingFloor,
        emit: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._floor = floor
        self._emit = emit

    def open_sub_account(self, record: TxRecord, at_us: int) -> int:
        """Open an account for the sender's owner; return 200, or why not."""
        accounts = self._floor.accounts
        master = accounts[record.account]
        problem = sub_account_problem(self._floor, master)
        if problem is not None:
            return problem
        taken = (index for index in accounts if index >= FIRST_SUB_ACCOUNT)
        index = min(taken, default=_ONE_PAST_LAST) - 1
        accounts[index] = Account(
            index=index,
            l1_address=master.l1_address,
            tier=master.tier,
            api_keys={},
            ledger=AccountLedger(collateral=0),
            initial_margin_fractions={
                number: state.market.initial_margin_fraction
                for number, state in self._floor.markets.items()
            },
            profile=AccountProfile(
                master=master.index,
                account_type=self._settings.sub_account_type,
                tier_changed_us=master.profile.tier_changed_us,
            ),
        )
        self._emit(SubAccountOpened(at_us, index, master.index))
        return OK

    def register_key(self, record: TxRecord, at_us: int) -> int:
        """Put a new key into a slot; return 200, or why not.

        What the old key signed and the exchange accepted is still carried out.
        """
        account, info = self._floor.accounts[record.account], record.info
        problem = key_problem(self._settings, account, info)
        if problem is not None:
            return problem
        slot = record.api_key_index
        key = key_slot(self._settings, account, slot)
        key.public_key = public_key_of(info)
        if self._settings.key_change_nonce == "reset":
            key.nonce = self._settings.first_nonce
        account.profile.coming_keys.pop(slot, None)
        account.api_keys[slot] = key
        self._emit(KeyRegistered(at_us, account.index, slot, key.public_key))
        return OK
