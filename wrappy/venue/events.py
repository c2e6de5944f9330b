"""What happens at the exchange, as facts: the ledger keeps them, the streams tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from wrappy.venue.account_events import (
    KeyRegistered,
    MakerOnlyKeysSet,
    SubAccountOpened,
    TierChanged,
    Transferred,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.orders import VenueOrder


@dataclass(frozen=True, slots=True)
class SideBefore:
    """One party's position just before a trade.

    Attributes:
        position: signed lots.
        entry_quote: cost of the position, 1e-6 USDC, unsigned.
        initial_margin_fraction: in 1e-4.
        sign_changed: whether the trade opened, closed or turned the position.
    """

    position: int
    entry_quote: int
    initial_margin_fraction: int
    sign_changed: bool


@dataclass(frozen=True, slots=True)
class IntegratorShare:
    """An integrator's fee on one side of one trade.

    Attributes:
        account: account index that collects it.
        fee: its rate, 1e-6.
        amount: 1e-6 USDC, on top of the exchange's own fee.
    """

    account: int
    fee: int
    amount: int


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution between two orders, in wire integers.

    Attributes:
        taker_fee: fee rate of the taker, 1e-6.
        maker_fee: fee rate of the maker, 1e-6.
        taker_fee_amount: what the taker paid, 1e-6 USDC.
        maker_fee_amount: what the maker paid, 1e-6 USDC.
        ask_pnl: realized profit of the seller, 1e-6 USDC, before fees.
        bid_pnl: realized profit of the buyer, 1e-6 USDC, before fees.
        taker_integrator: what an integrator took from the taker, or None.
        maker_integrator: what an integrator took from the maker, or None.
        kind: `trade`, `liquidation` or `deleverage`, words of the wire.
    """

    trade_id: int
    tx_hash: str
    market_index: int
    price: int
    base: int
    quote: int
    ask_order_index: int
    bid_order_index: int
    ask_client_order_index: int
    bid_client_order_index: int
    ask_account: int
    bid_account: int
    is_maker_ask: bool
    taker_fee: int
    maker_fee: int
    taker_fee_amount: int
    maker_fee_amount: int
    taker_before: SideBefore
    maker_before: SideBefore
    ask_pnl: int
    bid_pnl: int
    block_height: int
    at_us: int
    # Not in the text that a ledger's hash is made of: balances show it there.
    taker_integrator: IntegratorShare | None = field(default=None, repr=False)
    maker_integrator: IntegratorShare | None = field(default=None, repr=False)
    # A forced trade has an event of its own.
    kind: str = field(default="trade", repr=False)


@dataclass(frozen=True, slots=True)
class TxAccepted:
    """Stage one passed: the transaction is queued, its nonce consumed."""

    at_us: int
    tx_hash: str
    tx_type: int
    account: int
    api_key_index: int
    nonce: int
    execute_at_us: int
    info: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TxRefused:
    """Stage one said no: nothing was consumed."""

    at_us: int
    code: int
    message: str
    tx_hash: str = ""
    tx_type: int = 0
    account: int | None = None
    api_key_index: int | None = None
    nonce: int | None = None


@dataclass(frozen=True, slots=True)
class TxExecuted:
    """Stage two is over: the transaction did something, or failed with a code."""

    at_us: int
    tx_hash: str
    tx_type: int
    account: int
    succeeded: bool
    code: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """A user's order got a new state; `order` is a copy as of then."""

    at_us: int
    order: VenueOrder


@dataclass(frozen=True, slots=True)
class TradeExecuted:
    """A trade took place."""

    at_us: int
    trade: Trade


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """A user's position or collateral changed."""

    at_us: int
    account: int
    market_index: int


@dataclass(frozen=True, slots=True)
class BalanceChanged:
    """What a user owns or has locked of a spot market's assets changed."""

    at_us: int
    account: int
    market_index: int

    @property
    def touched(self) -> tuple[int, ...]:
        """The accounts whose balances changed."""
        return (self.account,)


class LevelChanged(NamedTuple):
    """The total size at one price of a book is now `base` lots; 0 removes it."""

    at_us: int
    market_index: int
    is_ask: bool
    price: int
    base: int


class MarketChanged(NamedTuple):
    """Mark or index price of a market moved."""

    at_us: int
    market_index: int


@dataclass(frozen=True, slots=True)
class BlockMade:
    """A new block."""

    at_us: int
    height: int


@dataclass(frozen=True, slots=True)
class FaultFired:
    """Something went wrong on purpose.

    Attributes:
        rule: handle of the rule that asked for it.
        act: what was done, in the words of `venue.faults`.
        phase: when: request, after_accept, reply or push.
        where: path, message type or channel.
    """

    at_us: int
    rule: int
    act: str
    phase: str
    where: str
    account: int | None = None
    api_key_index: int | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """An account was sent a notification.

    Attributes:
        notification_id: unique among all.
        kind: liquidation, deleverage or announcement.
        content: what it tells, in JSON's types.
    """

    at_us: int
    notification_id: str
    account: int
    kind: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FundingPaid:
    """A user paid or got an hour's funding.

    Attributes:
        funding_id: the payment of that market and hour.
        rate: 1e-6; positive when longs paid.
        size: the position, signed lots.
        change: what it did to the collateral, 1e-6 USDC.
    """

    at_us: int
    account: int
    market_index: int
    funding_id: int
    rate: int
    size: int
    change: int


@dataclass(frozen=True, slots=True)
class Liquidated:
    """A position was closed by force, whole or in part.

    Attributes:
        liquidation_id: unique among the exchange's.
        kind: `partial`, sold to the market, or `deleverage`, taken over.
        is_ask: whether the position was long.
        price: zero price, ticks.
        base: lots closed.
        quote: what they went for, 1e-6 USDC.
        fee: what the insurance fund got of it, 1e-6 USDC.
    """

    at_us: int
    liquidation_id: int
    account: int
    market_index: int
    kind: str
    is_ask: bool
    price: int
    base: int
    quote: int
    fee: int


class BarTraded(NamedTuple):
    """The market's own trades of a whole candle, told in one.

    Attributes:
        at_us: end of the last of them.
        start_us: time of the first.
        base: lots.
        quote: 1e-6 USDC.
    """

    at_us: int
    market_index: int
    start_us: int
    open: int
    high: int
    low: int
    close: int
    base: int
    quote: int


Event: TypeAlias = (
    TxAccepted
    | TxRefused
    | TxExecuted
    | OrderChanged
    | TradeExecuted
    | PositionChanged
    | BalanceChanged
    | LevelChanged
    | BarTraded
    | MarketChanged
    | BlockMade
    | FaultFired
    | Announced
    | FundingPaid
    | Liquidated
    | Transferred
    | Withdrawn
    | SubAccountOpened
    | KeyRegistered
    | TierChanged
    | MakerOnlyKeysSet
)


class SetLevel(NamedTuple):
    """Market life: the flow's own size at one price becomes `base` lots."""

    market_index: int
    is_ask: bool
    price: int
    base: int


class Take(NamedTuple):
    """Market life: somebody trades up to `base` lots, no worse than `price`.

    `print_rest` makes what finds no resting order print as a trade among others
    all the same: a tape's trade did happen.
    """

    market_index: int
    is_ask: bool
    price: int
    base: int
    print_rest: bool = False


class SetIndexPrice(NamedTuple):
    """Market life: the index price moves to `price` ticks."""

    market_index: int
    price: int


class PrintTrade(NamedTuple):
    """Market life: a trade of `base` lots took place at `price`, as a tape tells.

    It is one trade, unless users' orders were in its way: those better than its price
    get their part at their own, those at its price once what waits in front of them
    has gone. The flow's own levels that were better are taken back: the trade proves
    that they had gone.
    """

    market_index: int
    is_ask: bool
    price: int
    base: int


class PathPoint(NamedTuple):
    """Market life: the price went to `price`, and `base` lots were traded on the way.

    Users' orders that it went through get their part of the volume at their own
    prices. One quote a side, of `depth` lots each, stands at `bid` and `ask` then.

    Attributes:
        on_touch: whether orders at the very price are traded as well.
        hold_us: for how long from now takers wait, microseconds: they meet what comes
            next, not what they saw.
    """

    market_index: int
    price: int
    base: int
    bid: int
    ask: int
    depth: int
    on_touch: bool = False
    hold_us: int = 0


class PassBar(NamedTuple):
    """Market life: whole candles in one, where none of their points reach a user.

    Attributes:
        length_us: time from the first open to the last close.
        points: how many trades it stands for.
        value: sum of price times lots.
        bid: quote at its end, and so on, as of a `PathPoint`.
        ago_us: for how long it has been over.
        followed: whether another one of the market comes at the same moment.
        moves_index: whether the index price goes to the close as well.
    """

    market_index: int
    length_us: int
    open: int
    high: int
    low: int
    close: int
    base: int
    value: int
    points: int
    bid: int
    ask: int
    depth: int
    hold_us: int = 0
    ago_us: int = 0
    followed: bool = False
    moves_index: bool = False


class HaltMarket(NamedTuple):
    """Market life: new orders and changes are refused for `reason` from now on.

    Cancels pass, and what rests stays. An empty reason lets orders in again.
    """

    market_index: int
    reason: str


FlowAction: TypeAlias = (
    SetLevel | Take | SetIndexPrice | PrintTrade | PathPoint | PassBar | HaltMarket
)
