"""The signer that asks the exchange's official library."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from wrappy.errors import SignerError
from wrappy.protocol.intents import (
    CancelAllOrders,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    SignedTx,
    TxType,
)
from wrappy.protocol.transactions import DEFAULT_ORDER_EXPIRY, NIL_MARKET_INDEX
from wrappy.signing.keys import public_key_of, secret_scalar
from wrappy.signing.sdk_library import OfficialLibrary, library_path, order_list
from wrappy.signing.unsigned import (
    DEFAULT_ORDER_LIFETIME_MS,
    Identity,
    refuse_deadline,
    refuse_unfit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.protocol.intents import Intent

_NO_INTEGRATOR_NO_SELF_TRADE = (0, 0, 0, 0, 0)
_NO_ORDER_VERSION = 0
_OF_PLAIN_FIELDS = {
    TxType.CANCEL_ORDER: "SignCancelOrder",
    TxType.UPDATE_LEVERAGE: "SignUpdateLeverage",
    TxType.UPDATE_MARGIN: "SignUpdateMargin",
}


class SharedLibrary:
    """What all signers of the process share: the library.

    The library remembers one key per (API key index, account). Signers of different
    exchanges can want different keys there, and so can other code of the process
    that uses the library. So the key is put in before every call, which costs a
    hundredth of a signature.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library: OfficialLibrary | None = None
        self._lost_in_fork = False

    def after_fork(self) -> None:
        """Start anew in a forked child: a thread left behind may hold the lock."""
        self._lock = threading.Lock()
        self._lost_in_fork = self._lost_in_fork or self._library is not None

    def sign(
        self, signer: SdkSigner, function: str, arguments: Sequence[object]
    ) -> tuple[str, str]:
        """Call a signing function with the signer's key in place.

        Raises:
            SignerError: the library refuses, or cannot be used here.
        """
        with self._lock:
            return self._ready(signer).sign(function, arguments)

    def auth_token(self, signer: SdkSigner, deadline_s: int) -> str:
        """Make an auth token with the signer's key in place.

        Raises:
            SignerError: the library refuses, or cannot be used here.
        """
        with self._lock:
            return self._ready(signer).auth_token(
                deadline_s=deadline_s,
                api_key_index=signer.api_key_index,
                account_index=signer.account_index,
            )

    def _ready(self, signer: SdkSigner) -> OfficialLibrary:
        if self._lost_in_fork:
            # Its runtime's threads did not come along: it would hang sooner or later.
            raise SignerError(
                "the official signer does not survive a fork; start the process "
                "with multiprocessing's spawn method, or sign in the child only"
            )
        if self._library is None:
            self._library = OfficialLibrary(library_path())
        signer.register_with(self._library)
        return self._library


_shared = SharedLibrary()
if sys.platform != "win32":  # pragma: no branch - there is no fork on Windows
    os.register_at_fork(after_in_child=_shared.after_fork)


class SdkSigner:
    """Signs with the official library of the installed `lighter-sdk`.

    The library is loaded at the first signature, without importing the package. It
    checks an order's rules and refuses what the exchange would; transactions expire
    599 seconds after signing. Call it from a worker thread (`SigningThread`): on the
    main thread it is about four times slower.

    Args:
        private_key: 80 hex digits, with or without 0x.
        account_index: the account, 1..2**48-2.
        api_key_index: the key's index, 0..254.
        chain_id: 304 on mainnet, 300 on testnet.

    Raises:
        CredentialsError: the private key is not usable.
        ConfigError: an index is out of range.
    """

    __slots__ = ("_identity", "_private_key")

    def __init__(
        self, private_key: str, *, account_index: int, api_key_index: int, chain_id: int
    ) -> None:
        self._private_key = secret_scalar(private_key).to_bytes(40, "little").hex()
        self._identity = Identity(account_index, api_key_index, chain_id)

    def __repr__(self) -> str:
        return (
            f"SdkSigner(account_index={self.account_index}, "
            f"api_key_index={self.api_key_index}, chain_id={self.chain_id})"
        )

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: the private key would travel along."""
        raise TypeError("an SdkSigner is not pickled: it would carry the private key")

    @property
    def account_index(self) -> int:
        """The account."""
        return self._identity.account_index

    @property
    def api_key_index(self) -> int:
        """The API key's index."""
        return self._identity.api_key_index

    @property
    def chain_id(self) -> int:
        """The chain the signatures are for."""
        return self._identity.chain_id

    @property
    def public_key(self) -> str:
        """80 hex digits."""
        return public_key_of(self._private_key)

    def register_with(self, library: OfficialLibrary) -> None:
        """Make this key the one the library uses for its account and index."""
        library.register(
            self._private_key,
            chain_id=self.chain_id,
            api_key_index=self.api_key_index,
            account_index=self.account_index,
        )

    def sign(self, intent: Intent, *, nonce: int, skip_nonce: bool = False) -> SignedTx:
        """Return the signed transaction of one intent.

        Raises:
            SignerError: a number is out of range, the library refuses the order or
                cannot be loaded; nothing was sent.
        """
        refuse_unfit(intent, nonce, skip_nonce=skip_nonce)
        key = (int(skip_nonce), nonce, self.api_key_index, self.account_index)
        function, arguments = _call(_of_one_moment(intent), key)
        tx_info, tx_hash = _shared.sign(self, function, arguments)
        return SignedTx(
            tx_type=intent.tx_type,
            tx_info=tx_info,
            tx_hash=tx_hash,
            nonce=nonce,
            expired_at_ms=json.loads(tx_info)["ExpiredAt"],
            account_index=self.account_index,
            api_key_index=self.api_key_index,
        )

    def sign_many(
        self,
        intents: Sequence[Intent],
        *,
        first_nonce: int,
        skip_nonce: bool = False,
    ) -> list[SignedTx]:
        """Sign intents with consecutive nonces, all or none.

        Raises:
            SignerError: one of them cannot be signed; nothing was sent.
        """
        return [
            self.sign(intent, nonce=nonce, skip_nonce=skip_nonce)
            for nonce, intent in enumerate(intents, first_nonce)
        ]

    def auth_token(self, *, deadline_s: int) -> str:
        """Return an auth token that holds until `deadline_s`, unix seconds.

        Raises:
            SignerError: the deadline is no such number, or the library cannot be
                loaded.
        """
        refuse_deadline(deadline_s)
        return _shared.auth_token(self, deadline_s)


def _of_one_moment(intent: Intent) -> Intent:
    """Return an intent whose orders end together where they leave their end open.

    The library looks at its clock for each order of a group and refuses those that
    differ by the millisecond in between.
    """
    if not isinstance(intent, CreateGroupedOrders):
        return intent
    end_ms = int(time.time() * 1000) + DEFAULT_ORDER_LIFETIME_MS
    orders = [
        replace(order, order_expiry=end_ms)
        if order.order_expiry == DEFAULT_ORDER_EXPIRY
        else order
        for order in intent.orders
    ]
    return replace(intent, orders=tuple(orders))


def _call(
    intent: Intent, key: tuple[int, int, int, int]
) -> tuple[str, tuple[object, ...]]:
    """Return the library's function for an intent, and its arguments."""
    if isinstance(intent, CreateOrder):
        own = (*_numbers(intent), *_NO_INTEGRATOR_NO_SELF_TRADE)
        return "SignCreateOrder", (*own, *key)
    if isinstance(intent, CreateGroupedOrders):
        orders = order_list([_numbers(order) for order in intent.orders])
        return "SignCreateGroupedOrders", (
            intent.grouping_type,
            orders,
            len(orders),
            *_NO_INTEGRATOR_NO_SELF_TRADE,
            *key,
        )
    if isinstance(intent, ModifyOrder):
        skip_nonce, nonce, *key_and_account = key
        return "SignModifyOrder", (
            *_numbers(intent),
            *_NO_INTEGRATOR_NO_SELF_TRADE,
            skip_nonce,
            nonce,
            _NO_ORDER_VERSION,
            *key_and_account,
        )
    if isinstance(intent, CancelAllOrders):
        only = intent.market_index
        return "SignCancelAllOrders", (
            intent.time_in_force,
            intent.time_ms,
            NIL_MARKET_INDEX if only is None else only,
            *key,
        )
    return _OF_PLAIN_FIELDS[intent.tx_type], (*_numbers(intent), *key)


def _numbers(intent: Intent) -> tuple[int, ...]:
    """Return an intent's fields, which stand in the order of the library's."""
    return tuple(int(getattr(intent, name)) for name in intent.__slots__)
