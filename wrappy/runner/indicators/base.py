"""What every indicator has: a value, a warm-up, and a door that lets no nonsense in.

An indicator is a signal. It is made of floats, and no money is counted with it: what
an order costs and where it may stand is decided in ticks and lots elsewhere.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
)

from wrappy.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from wrappy.model import Candle

Number: TypeAlias = float | Decimal
"""What an indicator takes; a Decimal or int becomes the nearest float."""

MOST: Final = 1e100
"""Largest size of an input. No price comes near, and no square of it overflows."""

_Value = TypeVar("_Value")
_Self = TypeVar("_Self", bound="Indicator[Any]")


class IndicatorInputError(UsageError, ValueError):
    """An indicator was given what it cannot use, and stayed as it was."""


class Bar(NamedTuple):
    """The figures of a candle as floats, checked.

    Attributes:
        open: first price in USDC.
        high: highest price in USDC.
        low: lowest price in USDC.
        close: last price in USDC.
        volume: traded, in the base asset.
    """

    open: float
    high: float
    low: float
    close: float
    volume: float


def number(value: object, name: str) -> float:
    """Return a number as a float.

    Args:
        value: float, int or Decimal.
        name: what to call it in the message.

    Raises:
        IndicatorInputError: it is no number, not finite, or beyond `MOST`.
    """
    if type(value) is float:
        given = value
    elif isinstance(value, bool) or not isinstance(value, (float, int, Decimal)):
        raise IndicatorInputError(
            f"{name}: {value!r} is a {type(value).__name__}; give a float, int or "
            f"Decimal"
        )
    else:
        given = _nearest(value)
    if not -MOST <= given <= MOST:
        raise IndicatorInputError(
            f"{name}: {value} is not between -{MOST} and {MOST}; leave out what is "
            f"missing instead of passing a stand-in"
        )
    return given


def _nearest(value: Number) -> float:
    try:
        return float(value)
    except (OverflowError, ValueError):  # a huge int, a signalling NaN
        return math.nan


def bar_of(candle: Candle) -> Bar:
    """Return the figures of a candle as floats.

    Raises:
        IndicatorInputError: one is not finite, the high is below the low, or the
            volume below 0.
    """
    bar = Bar(
        _nearest(candle.open),
        _nearest(candle.high),
        _nearest(candle.low),
        _nearest(candle.close),
        _nearest(candle.base_volume),
    )
    if not (
        -MOST <= bar.low <= bar.high <= MOST
        and -MOST <= bar.open <= MOST
        and -MOST <= bar.close <= MOST
        and 0 <= bar.volume <= MOST
    ):
        raise _fault_of(candle)
    return bar


def _fault_of(candle: Candle) -> IndicatorInputError:
    at = f"of the candle of {candle.start_ms}"
    try:
        number(candle.open, f"open {at}")
        number(candle.high, f"high {at}")
        number(candle.low, f"low {at}")
        number(candle.close, f"close {at}")
        number(candle.base_volume, f"base_volume {at}")
    except IndicatorInputError as error:
        return error
    if candle.base_volume < 0:
        return IndicatorInputError(
            f"base_volume {at}: {candle.base_volume} is below 0; mend or leave out the "
            f"candle"
        )
    return IndicatorInputError(
        f"high {at}: {candle.high} is below its low {candle.low}; mend or leave out "
        f"the candle"
    )


def whole(value: object, name: str, *, least: int = 1) -> int:
    """Return a whole number that a setting asks for.

    Raises:
        ConfigError: it is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}: {value!r} must be a whole number, {least} or more")
    return value


def positive(value: Number, name: str) -> float:
    """Return a setting above zero as a float.

    Raises:
        ConfigError: it is no such number.
    """
    try:
        given = number(value, name)
    except IndicatorInputError as error:
        raise ConfigError(str(error)) from error
    if given <= 0:
        raise ConfigError(f"{name}: {value} must be above 0")
    return given


class Indicator(Generic[_Value]):
    """A value that follows what it is told, in the same time at every update.

    An indicator knows nothing of time, chance or files, so equal inputs give equal
    values. It can be copied and pickled; a copy goes its own way.

    Args:
        warm_up: updates until there is a value.
        settings: the arguments of its construction, in words.
    """

    __slots__ = ("_needed", "_settings", "_value", "_warm_up")

    def __init__(self, warm_up: int, settings: str) -> None:
        self._warm_up = warm_up
        self._needed = warm_up
        self._settings = settings
        self._value: _Value | None = None

    def __repr__(self) -> str:
        state = f"needs {self._needed} more" if self._needed else str(self._value)
        return f"<{type(self).__name__}({self._settings}): {state}>"

    def __copy__(self: _Self) -> _Self:  # noqa: PYI019 - Self came with 3.11
        # Windows are lists: a shallow copy would write into the original's.
        return copy.deepcopy(self)

    @property
    def value(self) -> _Value | None:
        """What the last update returned; None until `ready`."""
        return self._value

    @property
    def ready(self) -> bool:
        """Whether there were enough updates for a value."""
        return not self._needed

    @property
    def needed(self) -> int:
        """Updates that are still missing for a value; 0 once `ready`."""
        return self._needed

    @property
    def warm_up(self) -> int:
        """Updates that a new one takes until it is `ready`."""
        return self._warm_up

    def copy(self: _Self) -> _Self:  # noqa: PYI019 - same
        """Return an independent copy."""
        return copy.deepcopy(self)

    def _settle(self, value: _Value | None) -> _Value | None:
        if self._needed:
            self._needed -= 1
        self._value = value
        return value


class NumberIndicator(Indicator[_Value], ABC):
    """An indicator of a row of numbers, such as closing prices."""

    __slots__ = ()

    def update(self, x: Number) -> _Value | None:
        """Take the next number and return the new value.

        Args:
            x: the next number, such as the price at which a candle closed.

        Returns:
            The value; None while warming up.

        Raises:
            IndicatorInputError: `x` is not a finite number; nothing changed.
        """
        # Most numbers are good floats; asking here saves a call for each of them.
        if type(x) is not float or not -MOST <= x <= MOST:
            x = number(x, "x")
        self._value = value = self._take(x)
        if self._needed:
            self._needed -= 1
        return value

    def peek(self, x: Number) -> _Value | None:
        """Return what `update(x)` would, and change nothing.

        Raises:
            IndicatorInputError: `x` is not a finite number.
        """
        return self._look(number(x, "x"))

    @abstractmethod
    def _take(self, x: float) -> _Value | None: ...

    @abstractmethod
    def _look(self, x: float) -> _Value | None: ...


class CandleIndicator(Indicator[_Value], ABC):
    """An indicator of closed candles, each later than the one before."""

    __slots__ = ("_last_start_ms",)

    def __init__(self, warm_up: int, settings: str) -> None:
        super().__init__(warm_up, settings)
        self._last_start_ms: int | None = None

    def update(self, candle: Candle) -> _Value | None:
        """Take the next closed candle and return the new value.

        Args:
            candle: closed, and later than the last one.

        Returns:
            The value; None while warming up.

        Raises:
            IndicatorInputError: the candle is still in the making, is not later than
                the last one, or has figures that cannot be; nothing changed.
        """
        if not candle.closed:
            raise IndicatorInputError(
                f"closed: the candle of {candle.start_ms} is still in the making; "
                f"wait for it to close, or use peek()"
            )
        value = self._take(self._check(candle))
        self._last_start_ms = candle.start_ms
        return self._settle(value)

    def peek(self, candle: Candle) -> _Value | None:
        """Return what the value would be if the candle closed as it is now.

        Args:
            candle: later than the last one, closed or in the making.

        Raises:
            IndicatorInputError: as for `update`, except that a candle in the making
                may be looked at.
        """
        return self._look(self._check(candle))

    def _check(self, candle: Candle) -> Bar:
        last = self._last_start_ms
        if last is not None and candle.start_ms <= last:
            raise IndicatorInputError(
                f"start_ms: {candle.start_ms} is not later than the last candle's "
                f"{last}; give every candle once, oldest first"
            )
        return bar_of(candle)

    @abstractmethod
    def _take(self, bar: Bar) -> _Value | None: ...

    @abstractmethod
    def _look(self, bar: Bar) -> _Value | None: ...
