"""The exchange's error codes and status words, and which exception each becomes.

Source: the official API documentation's error list (2026-07). Codes that clients
reported but the list lacks are marked as such.
"""

from __future__ import annotations

from typing import Final

from wrappy.errors import (
    AuthRejectedError,
    NonceRejectedError,
    OrderNotFoundError,
    OrderRejectedError,
    RateLimitedError,
    VenueError,
    VenueUnavailableError,
)
from wrappy.protocol.code_table import CODE_TABLE
from wrappy.protocol.tiers import names_volume_quota

OK: Final = 200
INVALID_CHANNEL: Final = 30005

NONCE_CODES: Final = frozenset({21104, 21105})
AUTH_CODES: Final = frozenset({20013, 21100, 21108, 21109, 21110, 21120, 21136})
GONE_CODES: Final = frozenset({21600, 21707, 21708, 21709, 21715})
"""An order that a cancel or modify names is no longer there (seen at clients)."""
RATE_CODES: Final = frozenset({23000, 23001, 23002, 23003, 23004, 30009, 30010})
UNAVAILABLE_CODES: Final = frozenset({29500, 29501})
THROTTLE_STATUSES: Final = frozenset({405, 429})
"""HTTP statuses of the two limiters: API servers 429, firewall 405."""

OWN_CODES: Final = range(20_000, 40_000)
"""The exchange's codes; its error list has none outside."""

REFUSING_STATUSES: Final = frozenset(
    {307, 308, 400, 401, 403, 404, 411, 413, 414, 415, 431}
)
"""HTTP statuses that refuse a request also without a code of the exchange; 307 and 308
say that it has to be made elsewhere."""


def code_message(code: int) -> str:
    """Return the documented words of `code`, or an empty string."""
    return CODE_TABLE.get(code, ("", ""))[1]


def code_name(code: int) -> str:
    """Return the documented name of `code`, or `Unknown`."""
    return CODE_TABLE.get(code, ("Unknown", ""))[0]


_FAMILIES: Final[tuple[tuple[frozenset[int], type[VenueError]], ...]] = (
    (RATE_CODES, RateLimitedError),
    (UNAVAILABLE_CODES, VenueUnavailableError),
    (NONCE_CODES, NonceRejectedError),
    (AUTH_CODES, AuthRejectedError),
    (GONE_CODES, OrderNotFoundError),
    (frozenset(range(21100, 22000)), OrderRejectedError),
)


def _class_of(code: int, http_status: int) -> type[VenueError]:
    # Without a status line of its own, a code outside the exchange's is one.
    status = code if http_status == OK and code not in OWN_CODES else http_status
    if status in THROTTLE_STATUSES:
        return RateLimitedError
    if status != OK and status not in REFUSING_STATUSES:
        # Servers in between answer as well: who knows whether it was passed on.
        return VenueUnavailableError
    return next((kind for codes, kind in _FAMILIES if code in codes), VenueError)


def error_for(
    code: int, message: str, *, endpoint: str, http_status: int = 400
) -> VenueError:
    """Return the exception for an answer that says no.

    Args:
        code: the body's `code`, or the HTTP status when the body has none.
        message: the body's `message`; the documented words stand in when empty.
        endpoint: what was asked, for the message.
        http_status: status line of the answer; 200 for an error on the WebSocket,
            which has none.
    """
    words = message or code_message(code) or code_name(code)
    kind = _class_of(code, http_status)
    if kind.outcome == "refused" and names_volume_quota(words):
        # Whatever the code: that of an empty quota is not published.
        empty = RateLimitedError(code, words, endpoint)
        empty.volume_quota = True
        return empty
    return kind(code, words, endpoint)


ORDER_TYPE_WORDS: Final = (
    "limit",
    "market",
    "stop-loss",
    "stop-loss-limit",
    "take-profit",
    "take-profit-limit",
    "twap",
    "twap-sub",
    "liquidation",
)
TIME_IN_FORCE_WORDS: Final = ("immediate-or-cancel", "good-till-time", "post-only")
TRIGGER_STATUS_NONE: Final = "na"
