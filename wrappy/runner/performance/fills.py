"""One execution as the figures need it, in integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.model import Side

if TYPE_CHECKING:
    from decimal import Decimal

    from wrappy.model import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One of our executions.

    Attributes:
        at_ms: when, unix milliseconds.
        market_id: market.
        side: ours.
        size: lots, above zero.
        quote: its value, 1e-6 USDC.
        fee: 1e-6 USDC, positive when paid, negative when received.
        liquidation_fee: 1e-6 USDC, paid for being liquidated; not part of `fee`.
        is_maker: whether our order rested.
        client_order_index: our order; None when it is not ours.
        mid_quote_at_decision: what the size was worth at the mid price when the order
            was decided on, 1e-6 USDC; None when not known.
        mid_quote_at_arrival: the same when the order reached the book.
    """

    at_ms: int
    market_id: int
    side: Side
    size: int
    quote: int
    fee: int = 0
    liquidation_fee: int = 0
    is_maker: bool = False
    client_order_index: int | None = None
    mid_quote_at_decision: int | None = None
    mid_quote_at_arrival: int | None = None

    def __post_init__(self) -> None:
        if self.size <= 0 or self.quote < 0:
            raise ConfigError(
                f"size: {self.size} lots worth {self.quote} is no fill; give size and "
                "value unsigned, the side apart"
            )

    @property
    def costs(self) -> int:
        """All fees, 1e-6 USDC."""
        return self.fee + self.liquidation_fee

    @property
    def signed_size(self) -> int:
        """Lots, negative when sold."""
        return self.size if self.side is Side.BUY else -self.size


def fill_at(
    market: Market,
    *,
    at_ms: int,
    side: Side,
    price: Decimal,
    size: Decimal,
    fee: int = 0,
    liquidation_fee: int = 0,
    is_maker: bool = False,
    client_order_index: int | None = None,
    mid_at_decision: Decimal | None = None,
    mid_at_arrival: Decimal | None = None,
) -> Fill:
    """Return a fill from prices in USDC and a size in the base asset.

    Args:
        market: tells ticks and lots.
        at_ms: when, unix milliseconds.
        side: ours.
        price: of the execution.
        size: unsigned.
        fee: 1e-6 USDC, positive when paid.
        liquidation_fee: 1e-6 USDC.
        is_maker: whether our order rested.
        client_order_index: our order.
        mid_at_decision: mid price when the order was decided on.
        mid_at_arrival: mid price when the order reached the book.

    Raises:
        ConfigError: the size is no whole number of lots above zero.
    """
    lots = size * market.size_scale
    if lots != int(lots):
        raise ConfigError(
            f"size: {size} is no multiple of {market.symbol}'s lot {market.lot_size}"
        )

    def worth(at: Decimal) -> int:
        return round(size * at * 1_000_000)

    return Fill(
        at_ms=at_ms,
        market_id=market.market_id,
        side=side,
        size=int(lots),
        quote=worth(price),
        fee=fee,
        liquidation_fee=liquidation_fee,
        is_maker=is_maker,
        client_order_index=client_order_index,
        mid_quote_at_decision=None
        if mid_at_decision is None
        else worth(mid_at_decision),
        mid_quote_at_arrival=None if mid_at_arrival is None else worth(mid_at_arrival),
    )
