"""Every exception that wrappy raises, sorted by what is known of the outcome.

The question after a failure is never "which class" but "may the order exist?".
Each class answers it with `outcome`::

    WrappyError
    ├── ConfigError                  not_sent   settings that cannot work
    │   ├── UnknownMarketError       not_sent   no such symbol or market index
    │   ├── CredentialsError         not_sent   key missing, malformed or reserved
    │   ├── KeyInUseError            not_sent   another sender has the key (`pid`)
    │   └── UnknownOrdersError       not_sent   live orders nobody knows (`orders`)
    ├── UsageError                   not_sent   the call is out of place
    │   └── ForeignNonceError        not_sent   somebody else uses the API key
    ├── OrderDeniedError             not_sent   refused here, no nonce spent
    │   ├── InvalidOrderError        not_sent   a field is wrong (`field`, `value`)
    │   └── RiskDeniedError          not_sent   a risk limit stands in the way
    ├── SignerError                  not_sent   the local signer failed
    ├── JournalError                 not_sent   the journal cannot be used (`path`)
    ├── VenueError                   refused    the exchange said no (`code`)
    │   ├── NonceRejectedError       refused    21104, 21105
    │   ├── AuthRejectedError        refused    key, signature or token not accepted
    │   ├── OrderRejectedError       refused    217xx and other order rules
    │   ├── OrderNotFoundError       refused    no such order is live
    │   ├── RateLimitedError         refused    429, 405, 23000
    │   └── VenueUnavailableError    unknown    5xx, 29500, 29501
    ├── TransportError               unknown    the network failed
    │   ├── ConnectError             not_sent   no connection was made
    │   ├── RequestTimeoutError      unknown    no answer in time
    │   ├── StreamClosedError        unknown    the WebSocket ended
    │   ├── LaneHeldError            not_sent   an earlier send is still in doubt
    │   └── SendOutcomeUnknownError  unknown    transactions may have arrived
    └── ProtocolError                unknown    an answer that cannot be read
        └── BookGapError             not_sent   the book is not continuous
            └── StaleBookError       not_sent   nothing was heard for too long
"""

from __future__ import annotations

import enum
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Outcome = Literal["not_sent", "refused", "unknown"]

LISTED_ORDERS = 10
"""Most orders that a message lists."""


class WrappyError(Exception):
    """Base of every exception of this package.

    Attributes:
        outcome: what is known of the request: it never left (`not_sent`), the
            exchange declined it (`refused`), or it may have been carried out
            (`unknown`).
        retryable: whether the same call can succeed later without a change.
    """

    outcome: ClassVar[Outcome] = "not_sent"
    retryable: ClassVar[bool] = False


class ConfigError(WrappyError, ValueError):
    """A setting that cannot work; the message names it, its value and the fix."""


class UnknownMarketError(ConfigError):
    """The exchange lists no market of this symbol or index."""


class CredentialsError(ConfigError):
    """A key is missing, malformed, reserved or does not belong to the account."""


class KeyInUseError(ConfigError):
    """Another process, or another dealer of this one, sends with the API key.

    Attributes:
        pid: the holder's process id, if it is known.
        path: file of the lock.
    """

    def __init__(
        self, account_index: int, api_key_index: int, *, pid: int | None, path: Path
    ) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        if pid == os.getpid():
            holder = f"this process already ({pid})"
        super().__init__(
            f"api_key_index: {api_key_index} of account {account_index} is in use by "
            f"{holder}, see {path}; close that sender or give this one an API key of "
            f"its own"
        )
        self.pid = pid
        self.path = path


class UnknownOrdersError(ConfigError):
    """The account has live orders that no journal of this folder knows.

    Attributes:
        orders: the orders, as the exchange tells them.
    """

    def __init__(self, symbol: str, orders: Sequence[Mapping[str, Any]]) -> None:
        listed = "; ".join(_order_in_words(row) for row in orders[:LISTED_ORDERS])
        if len(orders) > LISTED_ORDERS:
            listed += f"; and {len(orders) - LISTED_ORDERS} more"
        super().__init__(
            f"unknown_orders: {len(orders)} live {symbol} order(s) stand in no journal "
            f'of this folder: {listed}. Start with unknown_orders="adopt" to take them '
            f'over, with unknown_orders="cancel" to cancel them, or cancel them '
            f"elsewhere and start again"
        )
        self.orders = tuple(orders)


def _order_in_words(row: Mapping[str, Any]) -> str:
    side = "sell" if row.get("is_ask") else "buy"
    return (
        f"order_index {row.get('order_index')} (client_order_index "
        f"{row.get('client_order_index')}) {side} "
        f"{row.get('remaining_base_amount')} at {row.get('price')}"
    )


class UsageError(WrappyError, RuntimeError):
    """The call is out of place: a closed dealer, a flush inside `batch()`."""


class ForeignNonceError(UsageError):
    """Somebody else signs with the API key, so no new order was sent; cancels pass."""


class OrderDeniedError(WrappyError):
    """The order was refused here, before a nonce was taken or a byte was sent.

    Attributes:
        reason: why, in words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidOrderError(OrderDeniedError, ValueError):
    """An order field has a value the exchange could not accept.

    Attributes:
        field: name of the argument at fault, such as `price`.
        value: what was given.
    """

    def __init__(self, field: str, value: object, fix: str) -> None:
        shown = str(value) if isinstance(value, Decimal) else repr(value)
        super().__init__(f"{field}: {shown} {fix}")
        self.field = field
        self.value = value


class RiskRule(enum.Enum):
    """What denied an order.

    A member that is a limit has the limit's name in the settings as its value.
    """

    HALTED = "halted"
    """The guard lets nothing but cancels pass."""

    REDUCING = "reducing"
    """The guard lets nothing pass that could make a position larger."""

    STALE_DATA = "stale_data"
    """The market's book is not sound, or its trades are too old; as `REDUCING`."""

    UNKNOWN_POSITION = "unknown_position"
    """The position is not known yet."""

    UNKNOWN_PRICE = "unknown_price"
    """No price is known, so that nothing can be valued."""

    UNKNOWN_ORDER = "unknown_order"
    """The order to change is not known to be live."""

    MAX_POSITION = "max_position"
    MAX_POSITION_NOTIONAL = "max_position_notional"
    MAX_TOTAL_NOTIONAL = "max_total_notional"
    MAX_ORDER_NOTIONAL = "max_order_notional"
    MAX_OPEN_ORDERS = "max_open_orders"
    MAX_OPEN_ORDERS_PER_SYMBOL = "max_open_orders_per_symbol"
    MAX_ORDERS_PER_SECOND = "max_orders_per_second"
    MAX_ORDERS_PER_MINUTE = "max_orders_per_minute"
    PRICE_BAND = "price_band"
    REQUIRE_EXITS = "require_exits"

    TIER = "tier"
    """The exchange's cap on orders of the account's tier."""

    STOPPED = "stopped"
    """It was queued, and taken out before it left; the reason tells by what."""

    ENDED = "ended"
    """The strategy has ended: only its cancels are sent."""

    OTHER = "other"
    """A guard of the caller's own that names no rule."""

    @property
    def is_passing(self) -> bool:
        """Whether it is of the moment: the same order may be let in later.

        Limits are not, those on orders within a second or a minute included: a batch
        that is larger than one is never let in.
        """
        return self in _PASSING


_PASSING = frozenset(
    {
        RiskRule.HALTED,
        RiskRule.REDUCING,
        RiskRule.STALE_DATA,
        RiskRule.UNKNOWN_POSITION,
        RiskRule.UNKNOWN_PRICE,
        RiskRule.STOPPED,
    }
)


class RiskDeniedError(OrderDeniedError):
    """A risk limit of the caller, or the exchange's cap on orders, is in the way.

    Attributes:
        rule: which one.
    """

    def __init__(self, reason: str, *, rule: RiskRule = RiskRule.OTHER) -> None:
        super().__init__(reason)
        self.rule = rule


class SignerError(WrappyError):
    """The local signer failed; nothing was sent."""


class JournalError(WrappyError):
    """The journal of sent orders cannot be written or read; nothing was sent.

    Attributes:
        path: file or folder at fault.
    """

    def __init__(self, path: Path, problem: str, fix: str) -> None:
        super().__init__(f"journal: {path}: {problem}; {fix}")
        self.path = path


class VenueError(WrappyError):
    """The exchange declined the request.

    Attributes:
        code: the exchange's error code, or the HTTP status if it gave none.
        message: the exchange's words.
        endpoint: path or WebSocket request type that was asked.
    """

    outcome: ClassVar[Outcome] = "refused"

    def __init__(self, code: int, message: str, endpoint: str = "") -> None:
        where = f" ({endpoint})" if endpoint else ""
        super().__init__(f"{code} {message}{where}")
        self.code = code
        self.message = message
        self.endpoint = endpoint


class NonceRejectedError(VenueError):
    """The nonce is not the key's next one; it was not consumed."""

    retryable: ClassVar[bool] = True


class AuthRejectedError(VenueError):
    """Key, signature or token was not accepted."""


class OrderRejectedError(VenueError):
    """The exchange's order rules refuse the transaction."""


class OrderNotFoundError(VenueError):
    """No such order is live on the account."""


class RateLimitedError(VenueError):
    """Too many requests; the exchange asks for a pause.

    Attributes:
        retry_after_s: seconds until the exchange listens again, if it said so.
        volume_quota: it is not the rate: the account's volume quota is used up.
            Nothing pauses then; cancels go on, and one order every 15 s.
    """

    retryable: ClassVar[bool] = True
    retry_after_s: float | None = None
    volume_quota: bool = False


class VenueUnavailableError(VenueError):
    """The exchange failed internally; whether it acted is not known."""

    outcome: ClassVar[Outcome] = "unknown"
    retryable: ClassVar[bool] = True


class TransportError(WrappyError):
    """The network failed somewhere between here and the exchange."""

    outcome: ClassVar[Outcome] = "unknown"
    retryable: ClassVar[bool] = True


class ConnectError(TransportError):
    """No connection could be made, so nothing was sent."""

    outcome: ClassVar[Outcome] = "not_sent"


class RequestTimeoutError(TransportError):
    """No answer came in time."""


class StreamClosedError(TransportError):
    """The WebSocket ended while something was expected from it."""


class LaneHeldError(TransportError):
    """An earlier send on this key is still in doubt, so nothing new was sent."""

    outcome: ClassVar[Outcome] = "not_sent"


class SendOutcomeUnknownError(TransportError):
    """Signed transactions left, no answer came back: they may be executed.

    Do not send the same intent again; ask by `tx_hashes` or by
    `client_order_indices` what became of it.

    Attributes:
        client_order_indices: orders in doubt.
        tx_hashes: hashes of the transactions in doubt, in sending order.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self, client_order_indices: Sequence[int], tx_hashes: Sequence[str]
    ) -> None:
        super().__init__(
            f"no answer for {len(tx_hashes)} transaction(s); orders in doubt: "
            f"{list(client_order_indices)}; do not send them again, wait_settled() "
            "tells what became of them"
        )
        self.client_order_indices = tuple(client_order_indices)
        self.tx_hashes = tuple(tx_hashes)


class ProtocolError(WrappyError):
    """An answer of the exchange cannot be read."""

    outcome: ClassVar[Outcome] = "unknown"


class BookGapError(ProtocolError):
    """The order book missed a change and must not be used until it is rebuilt."""

    outcome: ClassVar[Outcome] = "not_sent"
    retryable: ClassVar[bool] = True


class StaleBookError(BookGapError):
    """Nothing was heard of the exchange for so long that the book may be old."""
