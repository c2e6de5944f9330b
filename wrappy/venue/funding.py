"""Hourly funding: premium samples, the rate they give, and who pays whom.

Source of the formula and its clamps: the official documentation on funding. Not
published, and so choices here: a sample is taken at each full minute, the last of the
hour at its very end; the impact prices are the averages of trading 500 USDC over the
market's initial margin fraction; whatever rounding leaves over, less than a millionth
of a USDC an account, goes to the insurance fund.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wrappy._core.ledger import FRACTION_SCALE
from wrappy.venue.accounts import INSURANCE_FUND
from wrappy.venue.events import FundingPaid, MarketChanged, PositionChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.trading import TradingFloor

MINUTE_US: Final = 60_000_000
HOUR_US: Final = 60 * MINUTE_US
RATE_SCALE: Final = 1_000_000
"""Rates count in 1e-6: recorded ones have four places of a percent."""
EIGHT: Final = 8
"""A premium is paid back over so many hours."""
BASE_INTEREST_RATE: Final = 100
FUNDING_CLAMP_SMALL: Final = 500
FUNDING_CLAMP_BIG: Final = 40_000
"""Interest and clamps of most markets, 1e-6 in eight hours."""
HISTORY_HOURS: Final = 10_000
_PREMIUM_SCALE: Final = 1_000_000_000
_FINER: Final = _PREMIUM_SCALE // RATE_SCALE
_IMPACT_QUOTE: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """What one hour cost in one market.

    Attributes:
        at_us: venue time, unix microseconds, a full hour.
        rate: 1e-6 of the position's value; positive when longs paid.
        lot_value: value of one lot at the mark price then, 1e-6 USDC.
        funding_id: unique among the exchange's.
    """

    at_us: int
    rate: int
    lot_value: int
    funding_id: int


def _clamp(value: int, bound: int) -> int:
    return max(-bound, min(bound, value))


def hourly_rate(premium_sum: int, count: int) -> int:
    """Return an hour's rate in 1e-6, cut off toward zero.

    Args:
        premium_sum: of the samples, 1e-9.
        count: of the samples; 0 gives 0.
    """
    if not count:
        return 0
    # Everything is counted `count` times, so that nothing is divided before the end.
    unit = count * _FINER
    wanted = BASE_INTEREST_RATE * unit - premium_sum
    eased = premium_sum + _clamp(wanted, FUNDING_CLAMP_SMALL * unit)
    bounded = _clamp(eased, FUNDING_CLAMP_BIG * unit)
    rate = abs(bounded) // (unit * EIGHT)
    return rate if bounded >= 0 else -rate


@dataclass(slots=True)
class MarketFunding:
    """One market's funding.

    Attributes:
        premium_sum: of the samples since the last payment, 1e-9.
        samples: how many.
        rate: of the last payment, 1e-6; positive when longs paid.
        history: payments, newest last, bounded.
    """

    premium_sum: int = 0
    samples: int = 0
    rate: int = 0
    history: deque[FundingPayment] = field(
        default_factory=lambda: deque(maxlen=HISTORY_HOURS)
    )

    @property
    def current_rate(self) -> int:
        """Estimate of the next payment's rate, 1e-6: from this hour's samples."""
        if not self.samples:
            return self.rate
        return hourly_rate(self.premium_sum, self.samples)


def _gap(
    levels: Iterable[tuple[int, int]], multiplier: int, index_value: int, impact: int
) -> tuple[int, int]:
    # (what trading `impact` gains over the index, at index): 0 where the book is too
    # thin to say.
    quote = base = 0
    for price, lots in levels:
        lot_value = price * multiplier
        wanted = -(-(impact - quote) // lot_value)
        taken = min(lots, wanted)
        quote, base = quote + taken * lot_value, base + taken
        if taken == wanted:
            return quote - base * index_value, base * index_value
    return 0, 1


def premium_of(state: MarketState) -> int | None:
    """Return how far the book's impact prices lie off the index, in 1e-9.

    None while there is no index price.
    """
    if not state.index_price:
        return None
    best_bid, best_ask = state.engine.best_bid, state.engine.best_ask
    if (best_bid or 0) <= state.index_price <= (best_ask or state.index_price):
        return 0  # nothing to gain on either side
    market = state.market
    impact = _IMPACT_QUOTE * FRACTION_SCALE // market.initial_margin_fraction
    value = state.index_price * market.quote_multiplier
    premium = 0
    bids, asks = state.engine.depth()
    for levels, side in ((bids, 1), (asks, -1)):
        gap, whole = _gap(levels, market.quote_multiplier, value, impact)
        # Bids above the index and asks below it; within the spread there is none.
        premium += side * (max(0, side * gap) * _PREMIUM_SCALE // whole)
    return premium


class Funding:
    """Samples and pays the funding of every market on a trading floor.

    A market whose index price is unknown pays none.
    """

    def __init__(self, floor: TradingFloor, emit: Callable[[Event], None]) -> None:
        self._floor = floor
        self._emit = emit
        self._paid = 0
        states = floor.markets.values()
        self._perpetuals = [state for state in states if not state.market.is_spot]

    def tick(self, now_us: int, count: int = 1) -> bool:
        """Take the samples of full minutes; return whether an hour was paid.

        Args:
            now_us: the last of the minutes.
            count: how many there were since something changed; all of one hour.
        """
        for state in self._perpetuals:
            self._sample(state, now_us, count)
        if now_us % HOUR_US:
            return False
        for state in self._perpetuals:
            self._settle(state, now_us)
        return True

    def _sample(self, state: MarketState, now_us: int, count: int) -> None:
        premium = premium_of(state)
        if premium is None:
            return
        funding = state.funding
        before = funding.current_rate
        funding.premium_sum += premium * count
        funding.samples += count
        if funding.current_rate != before:
            self._emit(MarketChanged(now_us, state.index))

    def _settle(self, state: MarketState, now_us: int) -> None:
        funding, lot_value = state.funding, self._floor.lot_values[state.index]
        if not (funding.samples and lot_value):
            return
        self._paid += 1
        rate = funding.rate = funding.current_rate
        funding.premium_sum = funding.samples = 0
        payment = FundingPayment(now_us, rate, lot_value, self._paid)
        funding.history.append(payment)
        self._emit(MarketChanged(now_us, state.index))
        left = 0
        for account in self._floor.accounts.values():
            size = account.ledger.size(state.index)
            # Rounded down for both sides: nobody gets what nobody paid.
            change = -size * lot_value * rate // RATE_SCALE
            left -= change
            if change:
                self._pay(account, state.index, change, payment)
        self._floor.accounts[INSURANCE_FUND].ledger.collateral += left

    def _pay(
        self, account: Account, market_index: int, change: int, payment: FundingPayment
    ) -> None:
        ledger = account.ledger
        ledger.collateral += change
        if market_index in ledger.allocated:
            ledger.allocated[market_index] += change
        if account.is_flow:
            return
        paid = account.funding_paid
        paid[market_index] = paid.get(market_index, 0) - change
        told = FundingPaid(
            payment.at_us,
            account.index,
            market_index,
            payment.funding_id,
            payment.rate,
            ledger.size(market_index),
            change,
        )
        account.fundings.append(told)
        self._floor.shaken.add(account.index)
        self._emit(told)
        self._emit(PositionChanged(payment.at_us, account.index, market_index))
