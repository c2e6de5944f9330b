"""What a part of an account is worth, what it must be worth, and at which prices.

An account answers with all it has for its cross positions, and with the margin that was
set aside for each isolated one: every such part is judged by itself. Source of the
requirements and of the zero price: the official documentation on liquidations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from wrappy._core.ledger import FRACTION_SCALE

if TYPE_CHECKING:
    from wrappy._core.ledger import AccountLedger
    from wrappy.model import Market
    from wrappy.venue.accounts import Account
    from wrappy.venue.market_state import MarketState

States: TypeAlias = Mapping[int, "MarketState"]
"""Markets of the exchange by index."""


@dataclass(frozen=True, slots=True)
class Health:
    """One part of an account at the present mark prices, in 1e-6 USDC.

    The requirements are kept in `FRACTION_SCALE`-ths of that, so that nothing is
    rounded before it is compared.

    Attributes:
        collateral: what the part has, before open profit.
        equity: collateral and open profit; negative once it is worth less than
            nothing.
        initial: initial margin requirement, in 1e-10 USDC.
        maintenance: maintenance requirement, in 1e-10 USDC.
        close_out: close-out requirement, in 1e-10 USDC.
    """

    collateral: int
    equity: int
    initial: int
    maintenance: int
    close_out: int

    @property
    def is_partial(self) -> bool:
        """Whether positions are to be closed: the equity is below maintenance."""
        return self.equity * FRACTION_SCALE < self.maintenance

    @property
    def is_full(self) -> bool:
        """Whether the insurance fund takes over: below the close-out requirement."""
        return self.equity * FRACTION_SCALE < self.close_out


def health_of(account: Account, states: States, market_index: int | None) -> Health:
    """Return the health of an isolated market, or (None) of the cross part."""
    ledger = account.ledger
    if market_index is None:
        part = ledger.cross_part()
        held = [index for index, one in part.positions.items() if one.size]
        collateral = part.collateral
    else:
        held = [market_index] if ledger.size(market_index) else []
        collateral = ledger.allocated.get(market_index, 0)
    equity, initial, maintenance, close_out = collateral, 0, 0, 0
    for index in held:
        market = states[index].market
        lot_value = states[index].mark_price * market.quote_multiplier
        value = abs(ledger.size(index)) * lot_value
        equity += ledger.unrealized_pnl(index, lot_value)
        initial += value * account.initial_margin_fractions[index]
        maintenance += value * market.maintenance_margin_fraction
        close_out += value * market.closeout_margin_fraction
    return Health(collateral, equity, initial, maintenance, close_out)


def part_of(ledger: AccountLedger, market_index: int) -> int | None:
    """Return which part a position belongs to: its own, or (None) the cross part."""
    return market_index if market_index in ledger.allocated else None


def zero_price(market: Market, mark_price: int, size: int, health: Health) -> int:
    """Return the price at which closing leaves equity to requirement as it was.

    Closing everything at its zero price leaves nothing at all. It is rounded to the
    side that is better for the account, and is one tick at least.

    Args:
        market: the position's market.
        mark_price: ticks.
        size: signed lots, not 0.
        health: of the part that the position belongs to.
    """
    share = market.maintenance_margin_fraction * health.equity
    toward = 1 if size > 0 else -1
    # mark * (1 -+ fraction * equity / requirement), both in the same small unit.
    numerator = mark_price * (health.maintenance - toward * share)
    if size > 0:
        return max(1, -(-numerator // health.maintenance))
    return max(1, numerator // health.maintenance)


def liquidation_price(account: Account, states: States, market_index: int) -> str:
    """Return where a position's part falls to maintenance, as the exchange prints it.

    Other markets stand still meanwhile. The exchange prints a 64-bit float's shortest
    form, places beyond the tick included (recorded answers); "0" where no positive
    price does that.
    """
    ledger, state = account.ledger, states[market_index]
    size, market = ledger.size(market_index), state.market
    if not size:
        return "0"
    health = health_of(account, states, part_of(ledger, market_index))
    slack = health.equity * FRACTION_SCALE - health.maintenance
    moved = size * FRACTION_SCALE - abs(size) * market.maintenance_margin_fraction
    lot_value = state.mark_price * market.quote_multiplier - Fraction(slack, moved)
    scale = market.quote_multiplier * market.price_scale
    price = float(lot_value / scale)
    if price <= 0:
        return "0"
    text = repr(price)
    return text if "e" not in text else f"{Decimal(text):f}"
