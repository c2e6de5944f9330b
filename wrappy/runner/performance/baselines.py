"""What doing nothing, or buying once, would have come to on the same prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.model import usdc
from wrappy.runner.performance.equity import EquityCurve
from wrappy.runner.performance.ratios import return_figures
from wrappy.runner.performance.results import Baseline

if TYPE_CHECKING:
    from decimal import Decimal

    from wrappy.model import Market

_MILLION: Final = 10**6


class BuyAndHold:
    """Buys for the whole capital at the first price and sells at the last.

    Both trades pay the taker fee. The position is as large as capital allows after the
    fee, in whole lots, without leverage. Funding counts when it is told.

    Args:
        market: tells ticks and lots.
        start_ms: beginning of the run, unix milliseconds.
        capital: start capital, 1e-6 USDC.
        taker_fee: in 1e-6 of the value; 196 is 0.0196 %.

    Raises:
        ConfigError: capital or fee cannot work.
    """

    def __init__(
        self, market: Market, *, start_ms: int, capital: int, taker_fee: int
    ) -> None:
        if taker_fee < 0:
            raise ConfigError(f"taker_fee: {taker_fee} is negative; give 1e-6")
        self._market = market
        self._scale, self._multiplier = market.price_scale, market.quote_multiplier
        self._fee = taker_fee
        self._curve = EquityCurve(start_ms, capital)
        self._cash = capital
        self._lots: int | None = None
        self._fees = 0
        self._funding = 0
        self._price = 0

    @property
    def lots(self) -> int:
        """Lots held; 0 before the first price."""
        return self._lots or 0

    def price(self, now_ms: int, price: Decimal) -> None:
        """Take a price in USDC; the first one is bought at.

        Raises:
            ConfigError: it is not above zero.
            UsageError: the time lies before the last one.
        """
        ticks = round(price * self._scale)
        if ticks <= 0:
            raise ConfigError(f"price: {price} is not above zero, at {now_ms}")
        self._price = ticks
        if self._lots is None:
            lot_quote = ticks * self._market.quote_multiplier
            self._lots = self._cash * _MILLION // (lot_quote * (_MILLION + self._fee))
            self._trade(-1)
        self._curve.sample(now_ms, self._cash + self._value())

    def funding(self, now_ms: int, *, mark_price: Decimal, rate: Decimal) -> None:
        """Pay funding on the position; a positive rate is paid by who is long.

        Args:
            now_ms: unix milliseconds.
            mark_price: USDC.
            rate: share of the position's value, such as 0.0000125.
        """
        size = self._market.size(self.lots)
        amount = -round(size * mark_price * rate * _MILLION)
        self._cash += amount
        self._funding += amount
        self._curve.sample(now_ms, self._cash + self._value())

    def finish(self, end_ms: int) -> Baseline:
        """Sell everything at the last price and return what it came to."""
        self._trade(1)
        self._lots = 0
        self._curve.sample(end_ms, self._cash)
        return _baseline("buy and hold", self._curve, self._fees, self._funding)

    def _value(self) -> int:
        return (self._lots or 0) * self._price * self._multiplier

    def _trade(self, direction: int) -> None:
        """Buy (-1) or sell (1) all lots: money moves, and the fee, rounded up."""
        value = self._value()
        fee = -(-value * self._fee // _MILLION)
        self._cash += direction * value - fee
        self._fees += fee


def no_trade(*, start_ms: int, end_ms: int, capital: int) -> Baseline:
    """Return what doing nothing comes to; capital in 1e-6 USDC."""
    curve = EquityCurve(start_ms, capital)
    curve.sample(end_ms, capital)
    return _baseline("no trade", curve, 0, 0)


def _baseline(name: str, curve: EquityCurve, fees: int, funding: int) -> Baseline:
    drawdown = curve.drawdown()
    return Baseline(
        name=name,
        end_capital=usdc(curve.equity),
        returns=return_figures(
            [equity for _, equity in curve.daily()],
            start=curve.start_equity,
            end=curve.equity,
            days=curve.days,
            deepest_drawdown=drawdown.deepest,
        ),
        drawdown=drawdown,
        fees=usdc(fees),
        funding=usdc(funding),
    )
