"""What a fill costs: the exchange's own fee, and an integrator's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from wrappy.venue.events import IntegratorShare
from wrappy.venue.orders import VenueOrder

if TYPE_CHECKING:
    from wrappy._core.matching import BookOrder
    from wrappy.venue.accounts import Account
    from wrappy.venue.events import SideBefore

FEE_SCALE: Final = 1_000_000
LIQUIDATION_FEE: Final = 10_000
"""The most that a forced trade costs, 1e-6 of its value (official documentation)."""


class Booked(NamedTuple):
    """One side of a fill, after its account was changed.

    Attributes:
        rate: the exchange's fee rate, 1e-6.
        fee: what it came to, 1e-6 USDC.
        share: what an integrator took besides, or None.
        before: the position just before.
        profit: realized, 1e-6 USDC, before fees.
        opened: lots of position opened, less those closed.
    """

    rate: int
    fee: int
    share: IntegratorShare | None
    before: SideBefore
    profit: int
    opened: int


def fee_of(quote: int, tick: int) -> int:
    """Return the fee on `quote` at `tick` (1e-6), halves rounded up, in 1e-6 USDC.

    The rounding is a choice: the exchange publishes none.
    """
    return (quote * tick + FEE_SCALE // 2) // FEE_SCALE


def spot_fee_of(quote: int, tick: int) -> int:
    """Return the fee of a spot fill, rounded down, in 1e-6 USDC.

    Another choice: so the fees of the parts of an order are never more than what was
    locked for the whole of it.
    """
    return quote * tick // FEE_SCALE


def fee_rate(account: Account, *, makes: bool) -> int:
    """Return what the exchange takes of an account's fills, 1e-6."""
    tier = account.tier
    return tier.maker_fee_tick if makes else tier.taker_fee_tick


def integrator_rate(order: BookOrder, *, makes: bool) -> int:
    """Return what an integrator takes of an order's fills, 1e-6; 0 without one."""
    terms = order.integrator if isinstance(order, VenueOrder) else None
    if terms is None:
        return 0
    return terms.maker_fee if makes else terms.taker_fee


def integrator_share(order: VenueOrder, rate: int, amount: int) -> IntegratorShare:
    """Return the record of what an order's integrator took of one fill."""
    terms = order.integrator
    return IntegratorShare(terms.account if terms else 0, rate, amount)
