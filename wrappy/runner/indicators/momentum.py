"""How fast numbers move: relative strength, convergence of averages, rate of change."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, NamedTuple

from wrappy.errors import ConfigError
from wrappy.runner.indicators.base import Number, NumberIndicator, positive, whole
from wrappy.runner.indicators.kernels import exponential, wilder

_LOST: Final = 1e-290
"""Averages below have lost their digits: after ten thousand flat candles or so."""

_HIGHEST: Final = 100.0


class RSI(NumberIndicator[float]):
    """Wilder's relative strength index, 0 to 100.

    As in TA-Lib (`RSI`) and talipp (`RSI`): the averages of gains and losses start as
    the means of the first `period` changes. With gains only it is 100.0, with losses
    only 0.0. Where nothing moves at all there is no answer: TA-Lib says 0.0, and so
    does `flat` unless you set it, talipp says 100. With 50.0 a flat market looks
    neither oversold nor overbought.

    Args:
        period: changes it is named after, 2 or more; the warm-up is one update more.
        flat: value while nothing has moved, 0 to 100.

    Raises:
        ConfigError: a setting cannot be.
    """

    __slots__ = ("_before", "_flat", "_gain", "_loss")

    def __init__(self, period: int = 14, *, flat: Number = 0.0) -> None:
        self._flat = positive(flat, "flat") if flat else 0.0
        if self._flat > _HIGHEST:
            raise ConfigError(f"flat: {flat} must be between 0 and 100")
        said = f"{period}, flat={self._flat}" if flat else str(period)
        super().__init__(whole(period, "period", least=2) + 1, said)
        self._gain = wilder(period)
        self._loss = wilder(period)
        self._before: float | None = None

    def _take(self, x: float) -> float | None:
        before, self._before = self._before, x
        if before is None:
            return None
        change = x - before
        gain = self._gain.take(max(change, 0.0))
        return self._judge(gain, self._loss.take(max(-change, 0.0)))

    def _look(self, x: float) -> float | None:
        if self._before is None:
            return None
        change = x - self._before
        gain = self._gain.look(max(change, 0.0))
        return self._judge(gain, self._loss.look(max(-change, 0.0)))

    def _judge(self, gain: float | None, loss: float | None) -> float | None:
        if gain is None or loss is None:
            return None
        total = gain + loss
        return _HIGHEST * (gain / total) if total > _LOST else self._flat


class MACDValue(NamedTuple):
    """Convergence of two averages at one time.

    Attributes:
        macd: fast average minus slow average.
        signal: exponential average of `macd`.
        histogram: `macd` minus `signal`.
    """

    macd: float
    signal: float
    histogram: float


class MACD(NumberIndicator[MACDValue]):
    """Distance of two exponential averages, and that distance's own average.

    As in TA-Lib (`MACD`): the fast average starts as the mean of those `fast` numbers
    with which the slow one's first `slow` numbers end, so both start together. With
    `seed="talipp"` it starts from the very first `fast` numbers, as talipp's (`MACD`)
    does. The two agree after a while.

    Args:
        fast: period of the fast average, 1 or more.
        slow: period of the slow one, above `fast`.
        signal: period of the distance's average, 1 or more. The warm-up is `slow` +
            `signal` - 1.
        seed: whose start to take.

    Raises:
        ConfigError: a setting cannot be.
    """

    __slots__ = ("_fast", "_signal", "_skipped", "_slow")

    def __init__(
        self,
        fast: int = 12,
        slow: int = 26,
        signal: int = 9,
        *,
        seed: Literal["ta-lib", "talipp"] = "ta-lib",
    ) -> None:
        if seed not in ("ta-lib", "talipp"):
            raise ConfigError(f'seed: {seed!r} must be "ta-lib" or "talipp"')
        self._fast = exponential(whole(fast, "fast"))
        self._slow = exponential(whole(slow, "slow", least=fast + 1))
        self._signal = exponential(whole(signal, "signal"))
        self._skipped = slow - fast if seed == "ta-lib" else 0
        said = f"{fast}, {slow}, {signal}, seed={seed!r}"
        super().__init__(slow + signal - 1, said)

    def _take(self, x: float) -> MACDValue | None:
        slow = self._slow.take(x)
        if self._skipped:
            self._skipped -= 1
            return None
        fast = self._fast.take(x)
        if fast is None or slow is None:
            return None
        return _converged(fast - slow, self._signal.take(fast - slow))

    def _look(self, x: float) -> MACDValue | None:
        slow = self._slow.look(x)
        fast = None if self._skipped else self._fast.look(x)
        if fast is None or slow is None:
            return None
        return _converged(fast - slow, self._signal.look(fast - slow))


def _converged(macd: float, signal: float | None) -> MACDValue | None:
    return None if signal is None else MACDValue(macd, signal, macd - signal)


class RateOfChange(NumberIndicator[float]):
    """Change over `period` updates, in percent of the older number.

    As in TA-Lib (`ROC`) and talipp (`ROC`). From zero no percentage is defined; the
    value is then 0.0, as TA-Lib has it.

    Args:
        period: how far to look back, 1 or more; the warm-up is one update more.

    Raises:
        ConfigError: `period` cannot be.
    """

    __slots__ = ("_past", "_period")

    def __init__(self, period: int = 10) -> None:
        super().__init__(whole(period, "period") + 1, str(period))
        self._period = period
        self._past: deque[float] = deque(maxlen=period)

    def _take(self, x: float) -> float | None:
        change = self._look(x)
        self._past.append(x)
        return change

    def _look(self, x: float) -> float | None:
        if len(self._past) < self._period:
            return None
        before = self._past[0]
        return _HIGHEST * ((x - before) / before) if before else 0.0
