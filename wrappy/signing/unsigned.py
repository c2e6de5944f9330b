"""From an intent to its wire form: what every signer does besides signing."""

from __future__ import annotations

import base64
import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrappy.errors import ConfigError, SignerError
from wrappy.protocol.intents import (
    CancelAllOrders,
    CreateGroupedOrders,
    CreateOrder,
    SignedTx,
    takes_at_once,
)
from wrappy.protocol.transactions import (
    BODY_FIELDS,
    DEFAULT_ORDER_EXPIRY,
    MARKET_ATTRIBUTE,
    MAX_NONCE,
    MAX_ORDER_INDEX,
    MAX_SKIPPING_NONCE,
    NIL_MARKET_INDEX,
    ORDER_FIELDS,
    SKIP_NONCE_ATTRIBUTE,
    account_field,
)
from wrappy.signing.curve import bytes_from_limbs
from wrappy.signing.transaction_hash import message_limbs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrappy.protocol.intents import Intent

DEFAULT_LIFETIME_MS = 599_000
"""How long a transaction may wait for execution; the official signer's value."""

MAX_LIFETIME_MS = 86_400_000
"""Longest wait for execution that a signer can be told: a day."""

MAX_MARKET_INDEX = 4_095
"""Largest market number the official signer accepts."""

DEFAULT_ORDER_LIFETIME_MS = 28 * 24 * 3600 * 1000
_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1
_MAX_TRANSFER = 2**60 - 1
_MAX_API_KEY_INDEX = 254
_UINT48_MAX = 2**48 - 1
_UINT32_MAX = 2**32 - 1

# Outside these a number would not arrive as it is: the official library takes some
# of them as narrower C integers, which wrap in silence.
_BOUNDS: Mapping[str, tuple[int, int]] = {
    "market_index": (0, MAX_MARKET_INDEX),
    "client_order_index": (0, _UINT48_MAX),
    "index": (1, MAX_ORDER_INDEX),
    "base_amount": (0, _UINT48_MAX),
    "price": (1, _UINT32_MAX),
    "is_ask": (0, 1),
    "order_type": (0, 6),
    "time_in_force": (0, 2),
    "reduce_only": (0, 1),
    "trigger_price": (0, _UINT32_MAX),
    "order_expiry": (DEFAULT_ORDER_EXPIRY, _INT64_MAX),
    "time_ms": (0, _INT64_MAX),
    "initial_margin_fraction": (1, 10_000),
    "margin_mode": (0, 1),
    "grouping_type": (1, 3),
    "usdc_amount": (1, _MAX_TRANSFER),
    "direction": (0, 1),
}

_FLAGS = frozenset({"is_ask", "reduce_only"})

_ORDERS_IN_GROUP = {1: 2, 2: 2, 3: 3}

_SLICE_PAUSE_S = 0.000_001


@dataclass(frozen=True, slots=True)
class Identity:
    """On whose behalf a signer signs, checked at construction.

    Attributes:
        account_index: 1..2**48-2.
        api_key_index: 0..254.
        chain_id: 304 on mainnet, 300 on testnet, 1..2**31-1.

    Raises:
        ConfigError: one of them is out of range; names it.
    """

    account_index: int
    api_key_index: int
    chain_id: int

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("account_index", self.account_index, 1, _UINT48_MAX - 1),
            ("api_key_index", self.api_key_index, 0, _MAX_API_KEY_INDEX),
            ("chain_id", self.chain_id, 1, _INT32_MAX),
        ):
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(
                    f"{name} must be an integer from {low} to {high}: {value!r}"
                )


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a transaction may wait for execution, checked at construction.

    Attributes:
        ms: milliseconds, 1..86,400,000.
        taker_ms: the same for an order that is meant to trade at once; `None` for
            no difference.

    Raises:
        ConfigError: one of them is out of range; names it.
    """

    ms: int = DEFAULT_LIFETIME_MS
    taker_ms: int | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("lifetime_ms", self.ms),
            ("taker_lifetime_ms", self.ms if self.taker_ms is None else self.taker_ms),
        ):
            if type(value) is not int or not 1 <= value <= MAX_LIFETIME_MS:
                raise ConfigError(
                    f"{name} must be milliseconds, an integer from 1 to "
                    f"{MAX_LIFETIME_MS}: {value!r}"
                )

    def of(self, intent: Intent) -> int:
        """Return the milliseconds an intent's transaction may wait."""
        if self.taker_ms is not None and takes_at_once(intent):
            return self.taker_ms
        return self.ms


def refuse_unfit(intent: Intent, nonce: int, *, skip_nonce: bool = False) -> None:
    """Refuse an intent whose numbers would not reach the wire unchanged.

    Raises:
        SignerError: a number is out of range or not an integer, or a group does not
            hold as many orders as its type asks for; names it.
    """
    _check("nonce", nonce, (0, MAX_SKIPPING_NONCE if skip_nonce else MAX_NONCE))
    if isinstance(intent, CreateGroupedOrders):
        _refuse_unfit_group(intent)
    else:
        _refuse_unfit_fields(intent)


def _refuse_unfit_group(group: CreateGroupedOrders) -> None:
    _check("grouping_type", group.grouping_type, _BOUNDS["grouping_type"])
    orders, due = group.orders, _ORDERS_IN_GROUP[group.grouping_type]
    if (
        type(orders) is not tuple
        or len(orders) != due
        or not all(isinstance(order, CreateOrder) for order in orders)
    ):
        raise SignerError(
            f"orders must be a tuple of {due} CreateOrder for grouping_type "
            f"{group.grouping_type}"
        )
    for number, order in enumerate(orders):
        _refuse_unfit_fields(order, f"orders[{number}].")


def _refuse_unfit_fields(intent: Intent, where: str = "") -> None:
    for name in intent.__slots__:
        value = getattr(intent, name)
        if name == "market_index" and _means_every_market(intent):
            continue
        _check(name, value, _BOUNDS[name], where)
        # On the wire it means "no market", and so every market to a cancel-all.
        if name == "market_index" and value == NIL_MARKET_INDEX:
            raise SignerError(f"{where}market_index {NIL_MARKET_INDEX} names no market")


def _means_every_market(intent: Intent) -> bool:
    return isinstance(intent, CancelAllOrders) and intent.market_index is None


def refuse_deadline(deadline_s: int) -> None:
    """Refuse a token's deadline that is no time in unix seconds.

    Raises:
        SignerError: not an integer from 1 to 2**63-1.
    """
    _check("deadline_s", deadline_s, (1, _INT64_MAX))


def _check(name: str, value: object, bounds: tuple[int, int], where: str = "") -> None:
    low, high = bounds
    # A bool is an int to Python; it has no business in a number.
    if (
        not isinstance(value, int)
        or (isinstance(value, bool) and name not in _FLAGS)
        or not low <= value <= high
    ):
        raise SignerError(
            f"{where}{name} must be an integer from {low} to {high}: {value!r}"
        )


def build_transaction(
    intent: Intent,
    identity: Identity,
    *,
    nonce: int,
    skip_nonce: bool,
    now_ms: int,
    lifetimes: Lifetimes,
    make_signature: Callable[[list[int]], bytes],
) -> SignedTx:
    """Return a transaction as the official signer would lay it out.

    Args:
        intent: what is to be done.
        identity: on whose behalf.
        nonce: the nonce to spend, 0..2**48-1.
        skip_nonce: whether numbers before it may be missing; then 0..2**47-1.
        now_ms: unix milliseconds, from which the expiries count.
        lifetimes: how long it may wait for execution.
        make_signature: returns 80 bytes for the five field elements to be signed.

    Raises:
        SignerError: a number is out of range.
    """
    refuse_unfit(intent, nonce, skip_nonce=skip_nonce)
    expired_at_ms = now_ms + lifetimes.of(intent)
    # An intent's fields stand in wire order, only the names differ.
    names = BODY_FIELDS[intent.tx_type]
    body = dict(zip(names, _body_values(intent, now_ms), strict=True))
    fields: dict[str, Any] = {
        account_field(intent.tx_type): identity.account_index,
        "ApiKeyIndex": identity.api_key_index,
        **body,
        "ExpiredAt": expired_at_ms,
        "Nonce": nonce,
        "Sig": "",
        "L2TxAttributes": _attributes_of(intent, skip_nonce=skip_nonce),
    }
    limbs = message_limbs(intent.tx_type, fields, identity.chain_id)
    fields["Sig"] = base64.b64encode(make_signature(limbs)).decode()
    return SignedTx(
        tx_type=intent.tx_type,
        tx_info=json.dumps(fields, separators=(",", ":")),
        tx_hash=bytes_from_limbs(limbs).hex(),
        nonce=nonce,
        expired_at_ms=expired_at_ms,
        account_index=identity.account_index,
        api_key_index=identity.api_key_index,
    )


def _body_values(intent: Intent, now_ms: int) -> list[Any]:
    if isinstance(intent, CancelAllOrders):
        return [int(intent.time_in_force), intent.time_ms]
    if isinstance(intent, CreateGroupedOrders):
        orders = [
            dict(zip(ORDER_FIELDS, _body_values(order, now_ms), strict=True))
            for order in intent.orders
        ]
        return [int(intent.grouping_type), orders]
    values = [int(getattr(intent, name)) for name in intent.__slots__]
    if isinstance(intent, CreateOrder) and intent.order_expiry == DEFAULT_ORDER_EXPIRY:
        values[-1] = now_ms + DEFAULT_ORDER_LIFETIME_MS
    return values


def _attributes_of(intent: Intent, *, skip_nonce: bool) -> dict[str, int] | None:
    attributes = {}
    if skip_nonce:
        attributes[SKIP_NONCE_ATTRIBUTE] = 1
    if isinstance(intent, CancelAllOrders) and intent.market_index is not None:
        attributes[MARKET_ATTRIBUTE] = intent.market_index
    return attributes or None


def let_others_run() -> None:
    """Give up the interpreter for a moment, if there is another thread at all.

    Python code keeps the interpreter to itself for milliseconds at a time; an event
    loop on another thread would stand still over many signatures.
    """
    if threading.active_count() > 1:
        time.sleep(_SLICE_PAUSE_S)


def unix_ms() -> int:
    """Return the system clock in unix milliseconds."""
    return time.time_ns() // 1_000_000
