"""Every choice of the local exchange, with the readings the protocol leaves open.

Fields under "open readings" are points on which the public sources disagree or are
silent; each default is the likeliest reading, and each can be turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import BATCH_LIMIT, TIERS, Tier, premium_step, weight_of
from wrappy.venue.limit_settings import QuotaRules, StreamLimits, check_number
from wrappy.venue.spot_balances import SPOT_BALANCES, start_balances

if TYPE_CHECKING:
    from pathlib import Path

    from wrappy.venue.flow_settings import FlowSettings

FlowKind = Literal["synthetic", "tape", "none"]
QueueModel = Literal["risk-averse", "prob", "front"]
ExpiredToken = Literal["keep", "unsubscribe", "error", "close"]

_FLAG = (True, False)
_STREAM_LIMITS = StreamLimits()
_QUOTA_RULES = QuotaRules()
CHOICES: dict[str, tuple[object, ...]] = {
    "flow": ("synthetic", "tape", "none"),
    "queue": ("risk-averse", "prob", "front"),
    "verify": _FLAG,
    "enforce_limits": _FLAG,
    "funding": _FLAG,
    "liquidation": _FLAG,
    "first_nonce": (0, 1),
    "gone_order": ("accept", "refuse", "consume"),
    "gone_order_code": (21600, 21707, 21708, 21709, 21715),
    "coi_scope": ("open", "history"),
    "second_schedule": ("replace", "refuse"),
    "modify_keeps_minimum": _FLAG,
    "price_bands": ("off", "limit", "all"),
    "public_account_channels": _FLAG,
    "expired_token": ("keep", "unsubscribe", "error", "close"),
    "stream_auth_code": (20013, 30004, 30012),
    "reduce_only_without_position": ("refuse", "cancel", "drop"),
    "failed_nonce": ("consumed", "returned"),
    "price_protection_off": ("bands", "nothing"),
    "checks_at": ("arrival", "execution"),
    "taker_delay": ("immediate", "crossing"),
    "order_version": ("zero", "counts"),
    "ioc_without_fill": ("liquidity", "slippage"),
    "account_frames": ("full", "partial"),
    "all_stats": ("map", "single"),
    "batch_counts": ("one", "each"),
    "throttle_status": (429, 405),
    "throttle_body": ("json", "html", "empty"),
    "refusal_status": (400, 200),
    "empty_lists": ("empty", "null"),
    "key_change_nonce": ("keep", "reset"),
    "l1_signatures": ("required", "checked", "ignored"),
    "sub_account_type": (0, 1),
}
"""Values that a field may have, of those that have only a few."""

BOUNDS: dict[str, tuple[int, int]] = {
    "fat_finger_percent": (1, 99),
    "trigger_band_percent": (1, 100),
    "mark_band_percent": (0, 99),
    "nonce_window": (0, 1_000),
    "reserved_api_keys": (0, 255),
    "transfer_fee": (0, 1_000_000_000),
    "staked_lit": (0, 1_000_000_000),
    "throttle_pause_ms": (0, 3_600_000),
    "candle_range": (0, 1_000_000),
    "open_interest_limit": (0, 2**56 * 10**6),
}
"""Lowest and highest value of fields that are numbers."""


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
        spot_balances: what each user account has in its spot wallet at the start,
            such as `ETH=2.5`, of the assets whose spot markets are open.
        symbols: markets to open.
        tape: recorded market to replay instead of the synthetic flow.
        flow: where market life comes from.
        queue: where users' orders stand among the market's own at their price: they
            advance by trades alone, in proportion when others cancel, or stand in
            front.
        synthetic: what made-up markets are like, one for each that is not to have the
            defaults; in a file the tables `[flow]` and, for one market, `[flow.ETH]`.
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
        staked_lit: LIT that every owner has staked: decides which of its steps the
            premium tier has.
        stream_limits: limits of the WebSocket.
        volume_quota: rules of the volume quota.
        weights: (path, weight) of REST requests that are not to have the published
            one.
        throttle_pause_ms: whoever was refused for too many requests is refused
            everything for so long, as the firewall does it for a minute; 0 lets
            requests in again as the rolling minute allows.
        candle_range: most bars between the two times of a question for candles,
            refused with 22403 above; 0 sets no limit.
        open_interest_limit: what the open interest of a market of perpetuals may be
            worth at the mark price, in 1e-6 USDC; an order that would raise it above
            by a fill ends with canceled-position-not-allowed; 0 sets no limit.

        first_nonce: open reading: nonce of a key that never sent.
        gone_order: open reading: cancel or modify of an order that is not live is
            accepted without effect and its nonce consumed, refused and its nonce
            kept, or refused and its nonce consumed all the same.
        gone_order_code: open reading: code of that refusal.
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
        failed_nonce: open reading: the nonce of an accepted transaction that is past
            its deadline when it is executed, or of a resting order for which there
            is no margin then, stays consumed, or is returned; what waits behind it
            with a higher nonce of the same key then fails with 21104.
        price_protection_off: open reading: `price_protection=false` lets a
            transaction pass every price band, or changes nothing.
        fat_finger_percent: open reading: how far from mark and best price 21733
            begins.
        trigger_band_percent: open reading: how far from its trigger the price of a
            stop-limit or take-profit-limit order is refused with 21735.
        mark_band_percent: open reading: how far from the mark price a limit order is
            refused with 21734, which differs from market to market; 0 is never.
        nonce_window: open reading: a nonce so far ahead of the next one is accepted
            and held until those before it have come; 0 refuses it with 21104.
        reserved_api_keys: open reading: so many key indices from 0 on are the
            exchange's own: a client cannot register a key there.
        checks_at: open reading: prices, sizes, caps and margin are judged when a
            transaction arrives, or only after its delay, when it fails with its
            nonce consumed.
        taker_delay: open reading: the taker's delay is for orders that are
            immediate or cancel, or for every order that crosses the book when it
            arrives.
        order_version: open reading: `order_version` stays 0, or counts an order's
            changes; a modify that names another version in its attribute 8 then
            changes nothing, and its transaction says 21709.
        ioc_without_fill: open reading: status of an immediate order that found
            nothing: canceled-not-enough-liquidity, or canceled-too-much-slippage
            where there was something beyond its price.
        account_frames: open reading: frames of `account_all` and of
            `account_all_positions` name every position, or after the first frame
            only those that changed.
        all_stats: open reading: `market_stats/all` begins with a map of all markets,
            or with the figures of the first alone.
        batch_counts: open reading: a batch counts as one send of a minute, or as as
            many as it has transactions.
        throttle_status: open reading: HTTP status of too many requests: 429 of the
            API servers, or 405 of the firewall.
        throttle_body: open reading: its body.
        refusal_status: open reading: HTTP status of a refusal that has a code of its
            own.
        empty_lists: open reading: lists of public market data that have nothing in
            them are empty, or null.
        key_change_nonce: open reading: a slot keeps its nonce when its key changes,
            or begins with `first_nonce` again.
        l1_signatures: open reading: the owner's wallet signature on a change of key
            and on a transfer to another owner is required, looked at where it is
            there, or never looked at; without `verify` it never is.
        transfer_fee: open reading: 1e-6 USDC that a transfer to another owner costs;
            among own accounts it is free.
        sub_account_type: open reading: `account_type` of a sub-account; a main
            account has 0.
    """

    seed: int = 1
    chain_id: int = 304
    tier: str = "premium"
    account_count: int = 2
    collateral: int = 100_000_000_000
    spot_balances: tuple[str, ...] = SPOT_BALANCES
    symbols: tuple[str, ...] = ("ETH", "BTC", "SOL")
    tape: Path | None = None
    flow: FlowKind = "synthetic"
    queue: QueueModel = "risk-averse"
    synthetic: tuple[FlowSettings, ...] = ()
    verify: bool = True
    enforce_limits: bool = False
    batch_limit: int = BATCH_LIMIT
    block_ms: int = 500
    funding: bool = True
    liquidation: bool = True
    tiers: tuple[Tier, ...] = ()
    staked_lit: int = 0
    stream_limits: StreamLimits = _STREAM_LIMITS
    volume_quota: QuotaRules = _QUOTA_RULES
    weights: tuple[tuple[str, int], ...] = ()
    throttle_pause_ms: int = 0
    candle_range: int = 0
    open_interest_limit: int = 0

    first_nonce: Literal[0, 1] = 1
    gone_order: Literal["accept", "refuse", "consume"] = "accept"
    gone_order_code: Literal[21600, 21707, 21708, 21709, 21715] = 21600
    coi_scope: Literal["open", "history"] = "open"
    second_schedule: Literal["replace", "refuse"] = "replace"
    modify_keeps_minimum: bool = False
    price_bands: Literal["off", "limit", "all"] = "limit"
    public_account_channels: bool = True
    expired_token: ExpiredToken = "keep"  # noqa: S105 - a rule
    stream_auth_code: Literal[20013, 30004, 30012] = 20013
    reduce_only_without_position: Literal["refuse", "cancel", "drop"] = "refuse"
    failed_nonce: Literal["consumed", "returned"] = "consumed"
    price_protection_off: Literal["bands", "nothing"] = "bands"
    fat_finger_percent: int = 5
    trigger_band_percent: int = 5
    mark_band_percent: int = 0
    nonce_window: int = 0
    reserved_api_keys: int = 4
    checks_at: Literal["arrival", "execution"] = "arrival"
    taker_delay: Literal["immediate", "crossing"] = "immediate"
    order_version: Literal["zero", "counts"] = "zero"
    ioc_without_fill: Literal["liquidity", "slippage"] = "liquidity"
    account_frames: Literal["full", "partial"] = "full"
    all_stats: Literal["map", "single"] = "map"
    batch_counts: Literal["one", "each"] = "one"
    throttle_status: Literal[429, 405] = 429
    throttle_body: Literal["json", "html", "empty"] = "json"
    refusal_status: Literal[400, 200] = 400
    empty_lists: Literal["empty", "null"] = "empty"
    key_change_nonce: Literal["keep", "reset"] = "keep"
    l1_signatures: Literal["required", "checked", "ignored"] = "required"
    transfer_fee: int = 3_000_000
    sub_account_type: Literal[0, 1] = 1

    def __post_init__(self) -> None:
        self._check_values()
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
        start_balances(self.spot_balances)
        if not self.symbols:
            raise ConfigError("symbols: name at least one market")

    def _check_values(self) -> None:
        for name, words in CHOICES.items():
            value = getattr(self, name)
            if value not in words or isinstance(value, bool) != (words is _FLAG):
                choices = ", ".join(map(repr, words))
                raise ConfigError(f"{name}: {value!r} is none of {choices}")
        for name, (low, high) in BOUNDS.items():
            check_number(name, getattr(self, name), low, high)
        for path, weight in self.weights:
            check_number(f"weights.{path}", weight, 1)

    def tier_named(self, name: str) -> Tier:
        """Return a tier by its name, a published one unless `tiers` has another."""
        step = premium_step(self.staked_lit)
        published = step if name == step.name else TIERS[name]
        return next((tier for tier in self.tiers if tier.name == name), published)

    def weight_of(self, path: str) -> int:
        """Return the weight of a REST path, the published one unless set."""
        return dict(self.weights).get(path, weight_of(path))
