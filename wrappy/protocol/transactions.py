"""Layer-2 transactions: their numbers, their JSON fields and what is hashed.

This module owns the wire form of a transaction. It computes no hash itself: it
says which integers go into one, in which order, and refuses anything that is not
exactly a transaction of its type. The field lists and the hashing order follow
the exchange's published signer, whose output the tests compare with.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from wrappy.protocol.intents import TxType

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TX_INFO_CHARACTERS = 16_384
"""Longest `tx_info` text that is looked at; a full order group needs about 1,200."""

MAX_TX_INFO_BRACKETS = 64
"""Most opening brackets in one, so that nothing is nested deep; a group has six."""

MAX_NONCE = 2**48 - 1
"""Largest nonce the prover's circuits accept."""

MAX_SKIPPING_NONCE = 2**47 - 1
"""Largest nonce of a transaction that may skip some (prover circuits)."""

SKIP_NONCE_ATTRIBUTE = "4"
"""Attribute that lets a transaction's nonce leave a gap; its value is 1."""

MARKET_ATTRIBUTE = "5"
"""Attribute that keeps a cancel-all to one market."""

MAX_ORDER_INDEX = 2**60 - 1
"""Largest index of an order; up to 2**48-1 it is a client order index."""

DEFAULT_ORDER_EXPIRY = -1
"""Order expiry that a signer replaces by the time 28 days from now."""

NIL_MARKET_INDEX = 255
"""Market number that stands for "no market" in attribute 5."""

_INT64_MAX = 2**63 - 1
_UINT48_MAX = 2**48 - 1
_UINT32_MAX = 2**32 - 1
_MAX_MARKET_INDEX = 4_095
_MAX_ATTRIBUTES = 4
_MEMO_BYTES = 32
_PUBLIC_KEY_BYTES = 40
_LIMB_BYTES = 8
_ORDERS_IN_GROUP = (2, 3)


class TransactionFieldError(ValueError):
    """A transaction is not what its type demands.

    Attributes:
        field: wire name of the field at fault, `tx_info` for the text as a whole.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field


@dataclass(frozen=True, slots=True)
class HashInputs:
    """The integers of one transaction hash.

    Attributes:
        elements: hashed first, in this order.
        orders: for an order group, each order's ten fields; their chained hash
            follows `elements`.
        attributes: eight numbers hashed on top, or empty if no attribute is set.
    """

    elements: tuple[int, ...]
    orders: tuple[tuple[int, ...], ...] = ()
    attributes: tuple[int, ...] = ()


ORDER_FIELDS = (
    "MarketIndex",
    "ClientOrderIndex",
    "BaseAmount",
    "Price",
    "IsAsk",
    "Type",
    "TimeInForce",
    "ReduceOnly",
    "TriggerPrice",
    "OrderExpiry",
)
"""The fields of one order, in wire order."""

BODY_FIELDS: Mapping[TxType, tuple[str, ...]] = {
    TxType.CHANGE_PUB_KEY: ("PubKey",),
    TxType.CREATE_SUB_ACCOUNT: (),
    TxType.TRANSFER: (
        "ToAccountIndex",
        "AssetIndex",
        "FromRouteType",
        "ToRouteType",
        "Amount",
        "USDCFee",
        "Memo",
    ),
    TxType.WITHDRAW: ("AssetIndex", "RouteType", "Amount"),
    TxType.CREATE_ORDER: ORDER_FIELDS,
    TxType.CANCEL_ORDER: ("MarketIndex", "Index"),
    TxType.CANCEL_ALL_ORDERS: ("TimeInForce", "Time"),
    TxType.MODIFY_ORDER: (
        "MarketIndex",
        "Index",
        "BaseAmount",
        "Price",
        "TriggerPrice",
    ),
    TxType.UPDATE_LEVERAGE: ("MarketIndex", "InitialMarginFraction", "MarginMode"),
    TxType.CREATE_GROUPED_ORDERS: ("GroupingType", "Orders"),
    TxType.UPDATE_MARGIN: ("MarketIndex", "USDCAmount", "Direction"),
    TxType.UPDATE_ACCOUNT_CONFIG: ("AccountTradingMode",),
    TxType.UPDATE_ACCOUNT_ASSET_CONFIG: ("AssetIndex", "AssetMarginMode"),
    TxType.APPROVE_INTEGRATOR: (
        "IntegratorAccountIndex",
        "MaxPerpsTakerFee",
        "MaxPerpsMakerFee",
        "MaxSpotTakerFee",
        "MaxSpotMakerFee",
        "ApprovalExpiry",
    ),
}
"""Fields between the account's and the expiry's, per type, in wire order."""

_FROM_ACCOUNT = frozenset({TxType.TRANSFER, TxType.WITHDRAW})
_WITH_L1_SIGNATURE = frozenset(
    {TxType.CHANGE_PUB_KEY, TxType.TRANSFER, TxType.APPROVE_INTEGRATOR}
)
_SPLIT_FIELDS = frozenset({"Amount", "USDCFee", "USDCAmount"})
_ATTRIBUTE_NIL = dict.fromkeys("1234678", 0) | {"5": NIL_MARKET_INDEX}


def account_field(tx_type: TxType) -> str:
    """Return the wire name of the field that holds the signing account."""
    return "FromAccountIndex" if tx_type in _FROM_ACCOUNT else "AccountIndex"


def hash_inputs(tx_type: int, info: Mapping[str, Any], chain_id: int) -> HashInputs:
    """Check a transaction's fields and return the integers that are hashed.

    Args:
        tx_type: number of the type.
        info: the parsed `tx_info`.
        chain_id: 304 on mainnet, 300 on testnet.

    Raises:
        TransactionFieldError: a field is missing, unknown or of a wrong type, or
            the type is none of `TxType`.
    """
    if tx_type not in BODY_FIELDS:
        raise TransactionFieldError("tx_type", f"{tx_type!r} is not supported")
    kind = TxType(tx_type)
    _check_names(kind, info)
    elements = [
        chain_id,
        int(kind),
        _integer(info, "Nonce"),
        _integer(info, "ExpiredAt"),
        _integer(info, account_field(kind)),
        _integer(info, "ApiKeyIndex"),
    ]
    orders: tuple[tuple[int, ...], ...] = ()
    for field in BODY_FIELDS[kind]:
        if field in _SPLIT_FIELDS:
            amount = _integer(info, field)
            if amount < 0:
                raise TransactionFieldError(field, "must not be negative")
            elements += (amount & _UINT32_MAX, amount >> 32)
        elif field == "PubKey":
            elements += _public_key_limbs(info[field])
        elif field == "Orders":
            orders = _group(info[field])
        elif field == "Memo":
            _check_memo(info[field])  # covered by the L1 signature, not by the hash
        else:
            elements.append(_integer(info, field))
    return HashInputs(tuple(elements), orders, _attributes(info))


def _check_names(kind: TxType, info: Mapping[str, Any]) -> None:
    required = {account_field(kind), "ApiKeyIndex", *BODY_FIELDS[kind]}
    required |= {"ExpiredAt", "Nonce", "Sig"}
    optional = {"L2TxAttributes"}
    if kind in _WITH_L1_SIGNATURE:
        optional.add("L1Sig")
    for field in sorted(required - info.keys()):
        raise TransactionFieldError(field, "is missing")
    for field in sorted(info.keys() - required - optional):
        raise TransactionFieldError(field, f"is no field of {kind.name}")
    for field in ("Sig", "L1Sig"):
        if not isinstance(info.get(field, ""), str):
            raise TransactionFieldError(field, "must be a string")


def _integer(info: Mapping[str, Any], field: str) -> int:
    value = info[field]
    if type(value) is not int:  # a bool is an int to isinstance
        raise TransactionFieldError(field, "must be an integer")
    if not -_INT64_MAX - 1 <= value <= _INT64_MAX:
        raise TransactionFieldError(field, "does not fit into 64 bits")
    return value


def _public_key_limbs(text: object) -> list[int]:
    if not isinstance(text, str):
        raise TransactionFieldError("PubKey", "must be a string")
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise TransactionFieldError("PubKey", "must be base64") from None
    if len(raw) != _PUBLIC_KEY_BYTES:
        raise TransactionFieldError("PubKey", "must have 40 bytes")
    return [
        int.from_bytes(raw[start : start + _LIMB_BYTES], "little")
        for start in range(0, _PUBLIC_KEY_BYTES, _LIMB_BYTES)
    ]


def _group(orders: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(orders, list) or len(orders) not in _ORDERS_IN_GROUP:
        raise TransactionFieldError("Orders", "must be a list of two or three orders")
    group = []
    for order in orders:
        if not isinstance(order, dict) or order.keys() != set(ORDER_FIELDS):
            raise TransactionFieldError("Orders", "must hold the ten order fields each")
        group.append(tuple(_integer(order, field) for field in ORDER_FIELDS))
    return tuple(group)


def _check_memo(memo: object) -> None:
    fits = (
        isinstance(memo, list)
        and len(memo) == _MEMO_BYTES
        and all(type(byte) is int and 0 <= byte < 2**8 for byte in memo)
    )
    if not fits:
        raise TransactionFieldError("Memo", "must be a list of 32 bytes")


def _attributes(info: Mapping[str, Any]) -> tuple[int, ...]:
    attributes = info.get("L2TxAttributes")
    if attributes is None:
        return ()
    if not isinstance(attributes, dict):
        raise TransactionFieldError("L2TxAttributes", "must be null or an object")
    if unknown := attributes.keys() - _ATTRIBUTE_NIL.keys():
        raise TransactionFieldError("L2TxAttributes", f"has no {min(unknown)!r}")
    pairs = []
    for key in sorted(attributes):
        value = _integer(attributes, key)
        if value < 0:
            raise TransactionFieldError("L2TxAttributes", "must not be negative")
        if value != _ATTRIBUTE_NIL[key]:
            pairs += [int(key), value]
    if len(pairs) > 2 * _MAX_ATTRIBUTES:
        raise TransactionFieldError("L2TxAttributes", "holds more than four")
    return tuple(pairs + [0] * (2 * _MAX_ATTRIBUTES - len(pairs))) if pairs else ()


def parse_tx_info(text: str) -> dict[str, Any]:
    """Parse the `tx_info` text of a request, strictly.

    Raises:
        TransactionFieldError: not JSON, not an object, too long, too deep, a name
            given twice, or a number JSON does not have.
    """
    if len(text) > MAX_TX_INFO_CHARACTERS:
        raise TransactionFieldError("tx_info", "is too long")
    if text.count("[") + text.count("{") > MAX_TX_INFO_BRACKETS:
        raise TransactionFieldError("tx_info", "has too many brackets")
    try:
        value = json.loads(
            text, object_pairs_hook=_unique_names, parse_constant=_refuse_constant
        )
    except TransactionFieldError:
        raise
    except (ValueError, RecursionError):
        raise TransactionFieldError("tx_info", "is not valid JSON") from None
    if not isinstance(value, dict):
        raise TransactionFieldError("tx_info", "must be an object")
    return value


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if not all(map(str.isascii, names)):  # could not even be repeated in an answer
        raise TransactionFieldError("tx_info", "has a name that is not ASCII")
    if len(names) != len(pairs):
        raise TransactionFieldError("tx_info", "gives a field twice")
    return names


def _refuse_constant(name: str) -> NoReturn:
    raise TransactionFieldError("tx_info", f"must not contain {name}")
