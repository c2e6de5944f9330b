"""Every choice of the local exchange, with the readings the protocol leaves open.

Fields under "open readings" are points on which the public sources disagree or are
silent; each default is the likeliest reading, and each can be turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import BATCH_LIMIT, TIERS, Tier

if TYPE_CHECKING:
    from pathlib import Path

FlowKind = Literal["synthetic", "tape", "none"]
ExpiredToken = Literal["keep", "unsubscribe", "error", "close"]

_FLAG = (True, False)
CHOICES: dict[str, tuple[object, ...]] = {
    "flow": ("synthetic", "tape", "none"),
    "verify": _FLAG,
    "enforce_limits": _FLAG,
    "funding": _FLAG,
    "liquidation": _FLAG,
    "first_nonce": (0, 1),
    "gone_order": ("accept", "refuse"),
    "coi_scope": ("open", "history"),
    "second_schedule": ("replace", "refuse"),
    "modify_keeps_minimum": _FLAG,
    "price_bands": ("off", "limit", "all"),
    "public_account_channels": _FLAG,
    "expired_token": ("keep", "unsubscribe", "error", "close"),
    "stream_auth_code": (20013, 30004, 30012),
    "reduce_only_without_position": ("refuse", "cancel", "drop"),
}
"""Values that a field may have, of those that have only a few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSettings:
    """How a local exchange is set up.

    Attributes:
        seed: seeds accounts, keys and the synthetic market.
        chain_id: signed into every transaction; 304 is what the official SDK uses
            for an address it does not know.
        tier: account tier of every account, a name of `protocol.tiers.TIERS`.
        account_count: user accounts, at least two.
        collateral: starting USDC of each user account, in 1e-6 USDC.
        symbols: markets to open.
        tape: recorded market to replay instead of the synthetic flow.
        flow: where market life comes from.
        verify: whether signatures and tokens are checked.
        enforce_limits: whether limits of requests and messages, and the volume quota,
            are enforced.
        batch_limit: transactions in one batch.
        block_ms: milliseconds from block to block.
        funding: whether positions pay and get funding at full hours, in markets that
            have an index price.
        liquidation: whether accounts below their maintenance requirement are
            liquidated.
        tiers: fees, delays and limits of tiers that are not to have the published
            ones.

        first_nonce: open reading: nonce of a key that never sent.
        gone_order: open reading: cancel or modify of an order that is not live is
            accepted without effect, or refused with 21600.
        coi_scope: open reading: a client order index must differ from those of
            open orders only, or of every order the account ever had.
        second_schedule: open reading: scheduling a cancel-all while one is scheduled
            replaces it, or is refused with 21712.
        modify_keeps_minimum: open reading: a modify below the market's minimum
            size is refused.
        price_bands: open reading: buy at most 105 % of min(mark, best ask), sell at
            least 95 % of max(mark, best bid), else 21733; for limit orders only,
            or for the worst price of market orders as well.
        public_account_channels: open reading: `account_all`, positions, trades
            and `user_stats` may be read without a token.
        expired_token: open reading: what happens to a live private subscription
            when its token expires: nothing, it is unsubscribed, it ends with an
            error frame, or the connection is closed with 1008.
        stream_auth_code: open reading: error code of a subscription whose token is
            missing, malformed, expired or of somebody else.
        reduce_only_without_position: open reading: a reduce-only order that has
            nothing to shrink is refused at once (21732, 21738), accepted and then
            canceled, or accepted and then leaves no order and no report.
    """

    seed: int = 1
    chain_id: int = 304
    tier: str = "premium"
    account_count: int = 2
    collateral: int = 100_000_000_000
    symbols: tuple[str, ...] = ("ETH", "BTC", "SOL")
    tape: Path | None = None
    flow: FlowKind = "synthetic"
    verify: bool = True
    enforce_limits: bool = False
    batch_limit: int = BATCH_LIMIT
    block_ms: int = 500
    funding: bool = True
    liquidation: bool = True
    tiers: tuple[Tier, ...] = ()

    first_nonce: Literal[0, 1] = 1
    gone_order: Literal["accept", "refuse"] = "accept"
    coi_scope: Literal["open", "history"] = "open"
    second_schedule: Literal["replace", "refuse"] = "replace"
    modify_keeps_minimum: bool = False
    price_bands: Literal["off", "limit", "all"] = "limit"
    public_account_channels: bool = True
    expired_token: ExpiredToken = "keep"  # noqa: S105 - a rule
    stream_auth_code: Literal[20013, 30004, 30012] = 20013
    reduce_only_without_position: Literal["refuse", "cancel", "drop"] = "refuse"

    def __post_init__(self) -> None:
        for name, words in CHOICES.items():
            value = getattr(self, name)
            if value not in words or isinstance(value, bool) != (words is _FLAG):
                choices = ", ".join(map(repr, words))
                raise ConfigError(f"{name}: {value!r} is none of {choices}")
        if self.tier not in TIERS:
            raise ConfigError(f"tier: {self.tier!r} is none of {', '.join(TIERS)}")
        if self.account_count < 2:  # noqa: PLR2004 - a hedge needs two
            raise ConfigError(f"account_count: {self.account_count} is below 2")
        if self.batch_limit < 1:
            raise ConfigError(f"batch_limit: {self.batch_limit} is below 1")
        if self.block_ms < 1:
            raise ConfigError(f"block_ms: {self.block_ms} is below 1")
        if unknown := sorted({tier.name for tier in self.tiers} - set(TIERS)):
            raise ConfigError(f"tiers: {unknown[0]!r} is none of {', '.join(TIERS)}")
        if self.collateral < 0:
            raise ConfigError(f"collateral: {self.collateral} is negative")
        if not self.symbols:
            raise ConfigError("symbols: name at least one market")

    def tier_named(self, name: str) -> Tier:
        """Return a tier by its name, a published one unless `tiers` has another."""
        return next((tier for tier in self.tiers if tier.name == name), TIERS[name])
