"""Account tiers, request weights and limits, as data.

Source: the official API documentation's pages on account types and rate limits
(May and July 2026). Where the two differ the lower limit stands here.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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

TYPES_PER_MINUTE: Final[dict[int, int]] = {8: 300, 9: 2, 12: 120, 13: 2, 20: 40}
"""Transactions of one owner in a minute, by type, where a type has its own limit."""

QUOTA_TX_TYPES: Final = frozenset({14, 16, 17, 28})
"""Transaction types that spend volume quota; cancelling one order (15) is free."""
QUOTA_TIERS: Final = frozenset({"premium"})
QUOTA_AT_START: Final = 1_000
QUOTA_CAP: Final = 15_000_000
QUOTE_PER_QUOTA: Final = 2_000_000
"""Traded 1e-6 USDC that earn one; the ratio has changed several times."""
FREE_SEND_EVERY_S: Final = 15.0
"""A single send so often spends nothing, even when nothing is left."""
QUOTA_EXHAUSTED_WORDS: Final = "Not enough volume quota remaining"
"""What bots have seen the exchange say; its code is not published."""
_LONGEST_NAME: Final = 32


@dataclass(frozen=True, slots=True)
class OrderCaps:
    """How many orders an account may have at a time.

    Attributes:
        active_per_market: resting orders on one market.
        active_per_account: resting orders on all markets together.
        pending_per_market: orders that wait for a trigger or parent, one market.
        pending_per_account: the same on all markets together.
    """

    active_per_market: int
    active_per_account: int
    pending_per_market: int
    pending_per_account: int


SUB_ACCOUNTS: Final = 8
SUB_ACCOUNTS_AT_MOST: Final = 64
"""With the highest stake of the premium tier."""

STANDARD_CAPS: Final = OrderCaps(30, 250, 10, 50)
GENERAL_CAPS: Final = OrderCaps(1_000, 1_000, 16, 500)
"""Documented are 1500 active per account; the prover circuits count to 1000."""


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
        caps: how many orders may live at a time.
        recognised: whether the exchange's name for the tier is one we know; if not,
            every limit here is the lowest there is.
        sub_accounts: how many further accounts an owner may open.
    """

    name: str
    maker_fee_tick: int
    taker_fee_tick: int
    taker_delay_ms: int
    maker_delay_ms: int
    sends_per_minute: int
    weight_per_minute: int
    weighted: bool = True
    caps: OrderCaps = GENERAL_CAPS
    recognised: bool = True
    sub_accounts: int = SUB_ACCOUNTS

    @property
    def has_volume_quota(self) -> bool:
        """Whether sends spend volume quota."""
        return self.name in QUOTA_TIERS

    def cooldown_s(self, weight: int) -> float:
        """Return how long a request of `weight` is refused after it was too much.

        The API servers let a weight in again after the time in which the budget
        grows by it; the firewall, which is another door, always closes for a minute
        (official API documentation).
        """
        cost = weight if self.weighted else 1
        return cost * WINDOW_S / self.weight_per_minute


TIERS: Final[dict[str, Tier]] = {
    tier.name: tier
    for tier in (
        Tier("standard", 0, 0, 300, 200, 60, 60, weighted=False, caps=STANDARD_CAPS),
        Tier("plus", 50, 50, 300, 200, 8_000, 120_000),
        Tier("premium", 40, 280, 200, 0, 4_000, 24_000),
    )
}


def weight_of(path: str) -> int:
    """Return the documented weight of a REST path."""
    return WEIGHTS.get(path, DEFAULT_WEIGHT)


_MOST_SENDS: Final = 40_000

PREMIUM_STEPS: Final[tuple[Tier, ...]] = tuple(
    replace(
        TIERS["premium"],
        maker_fee_tick=maker,
        taker_fee_tick=taker,
        taker_delay_ms=delay_ms,
        sends_per_minute=sends,
        sub_accounts=SUB_ACCOUNTS_AT_MOST if sends == _MOST_SENDS else SUB_ACCOUNTS,
    )
    for maker, taker, delay_ms, sends in (
        (40, 280, 200, 4_000),
        (39, 273, 195, 5_000),
        (38, 266, 190, 6_000),
        (36, 252, 180, 7_000),
        (34, 238, 170, 8_000),
        (32, 224, 160, 12_000),
        (30, 210, 150, 24_000),
        (28, 196, 140, _MOST_SENDS),
    )
)
"""The premium tier by what is staked; its two fees tell the step."""

PREMIUM_STAKES: Final = (0, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 500_000)
"""LIT staked from which each of `PREMIUM_STEPS` holds."""


def premium_step(staked_lit: int) -> Tier:
    """Return the premium tier of an owner who staked so many LIT."""
    return PREMIUM_STEPS[bisect_right(PREMIUM_STAKES, max(0, staked_lit)) - 1]


def stake_of(tier: Tier) -> int:
    """Return how many LIT a step of the premium tier takes; 0 for any other tier."""
    stakes = zip(PREMIUM_STEPS, PREMIUM_STAKES, strict=True)
    return next((stake for step, stake in stakes if step == tier), 0)


def tier_of(answer: Mapping[str, Any]) -> Tier:
    """Return the tier that an answer of `accountLimits` describes.

    Fees are those of the answer. A premium account whose two fees are those of a
    higher step has that step's send budget. A name we do not know gives the lowest
    limits of all, under the exchange's name and with `recognised` false, so that
    whoever paces by it can tell.
    """
    told = answer.get("user_tier")
    name = told.strip().lower() if isinstance(told, str) else ""
    tier = TIERS.get(name) or _lowest(name)
    maker = _whole(answer.get("current_maker_fee_tick"), tier.maker_fee_tick)
    taker = _whole(answer.get("current_taker_fee_tick"), tier.taker_fee_tick)
    for step in PREMIUM_STEPS:
        fees = (step.maker_fee_tick, step.taker_fee_tick)
        if name == step.name and fees == (maker, taker):
            return step
    return replace(tier, maker_fee_tick=maker, taker_fee_tick=taker)


def _whole(told: object, otherwise: int) -> int:
    if isinstance(told, int) and not isinstance(told, bool):
        return told
    return otherwise


def _lowest(name: str) -> Tier:
    """Return a tier with the lowest limits there are, for a name nobody knows."""
    shown = "".join(letter for letter in name if letter.isprintable())
    standard = TIERS["standard"]
    return replace(standard, name=shown[:_LONGEST_NAME] or "unknown", recognised=False)


def quota_spent(tx_types: Iterable[int]) -> int:
    """Return how much volume quota transactions of these types spend together.

    A batch spends one for each, a group of orders one for all (official API
    documentation).
    """
    return sum(tx_type in QUOTA_TX_TYPES for tx_type in tx_types)


def names_volume_quota(message: str) -> bool:
    """Return whether a refusal's words say that the volume quota is used up."""
    return "volume quota" in message.lower()
