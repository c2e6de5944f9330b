"""Account tiers, request weights and limits, as data.

Source: the official API documentation's pages on account types and rate limits
(May and July 2026). Where the two differ the lower limit stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SEND_WEIGHT: Final = 6
DEFAULT_WEIGHT: Final = 300
WEIGHTS: Final[dict[str, int]] = {
    "/api/v1/sendTx": SEND_WEIGHT,
    "/api/v1/sendTxBatch": SEND_WEIGHT,
    "/api/v1/nextNonce": 6,
    "/api/v1/accountInactiveOrders": 100,
    "/api/v1/apikeys": 150,
    "/api/v1/txFromL1TxHash": 50,
    "/api/v1/deposit/latest": 100,
    "/api/v1/recentTrades": 600,
    "/api/v1/trades": 600,
    "/api/v1/transferFeeInfo": 500,
    "/api/v1/changeAccountTier": 3000,
    "/api/v1/tokens": 3000,
    "/api/v1/tokens/revoke": 3000,
    "/api/v1/tokens/create": 23000,
}
WINDOW_S: Final = 60.0
FIREWALL_PAUSE_S: Final = 60.0
BATCH_LIMIT: Final = 15
"""Transactions in one batch: 15 in the current pages, 50 in older ones."""

WS_MESSAGES_PER_MINUTE: Final = 200
WS_INFLIGHT: Final = 50
WS_SUBSCRIPTIONS: Final = 500
WS_ACCOUNTS: Final = 500
WS_IDLE_CLOSE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Tier:
    """What an account tier pays, waits and may send.

    Attributes:
        name: as `user_tier` of `accountLimits` spells it.
        maker_fee_tick: maker fee in 1e-6 of the quote amount.
        taker_fee_tick: taker fee in 1e-6 of the quote amount.
        taker_delay_ms: speed bump of IOC and market orders.
        maker_delay_ms: speed bump of resting orders, modifies and cancels.
        sends_per_minute: requests to sendTx and sendTxBatch, REST and WebSocket
            together.
        weight_per_minute: weight of all other REST requests.
        weighted: whether weights count; the standard tier counts requests.
    """

    name: str
    maker_fee_tick: int
    taker_fee_tick: int
    taker_delay_ms: int
    maker_delay_ms: int
    sends_per_minute: int
    weight_per_minute: int
    weighted: bool = True


TIERS: Final[dict[str, Tier]] = {
    tier.name: tier
    for tier in (
        Tier("standard", 0, 0, 300, 200, 60, 60, weighted=False),
        Tier("plus", 50, 50, 300, 200, 8_000, 120_000),
        Tier("premium", 40, 280, 200, 0, 4_000, 24_000),
    )
}


def weight_of(path: str) -> int:
    """Return the documented weight of a REST path."""
    return WEIGHTS.get(path, DEFAULT_WEIGHT)
