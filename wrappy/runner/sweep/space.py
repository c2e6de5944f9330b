"""What a sweep tries: values for some parameters, typed as the strategy types them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, get_type_hints

import msgspec

from wrappy.errors import ConfigError
from wrappy.runner.strategy.parameters import read_parameters

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

P = TypeVar("P")

MOST_STEPS: Final = 1_000_000
"""Most values of one parameter."""


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: the smallest.
        high: the largest.
        step: between two values, counted from `low`; whole numbers need none, a float
            without one can be any number between.
        log: whether small numbers are tried as often as large ones, by their order of
            magnitude; counts for random and optuna searches.
    """

    low: int | float | Decimal
    high: int | float | Decimal
    step: int | float | Decimal | None = None
    log: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Any of some values.

    Attributes:
        values: at least one.
    """

    values: tuple[Any, ...]


def read_range(text: str) -> Range | Choice:
    """Return what a text on a command line means.

    `5:50` and `5:50:5` are ranges, the latter in steps; `0.1:10:log` goes by orders of
    magnitude; `a,b,c` or a single word is a choice.

    Raises:
        ConfigError: it is neither.
    """
    parts = [part.strip() for part in text.split(":")]
    if len(parts) == 1:
        return Choice(tuple(_word(part.strip()) for part in text.split(",")))
    log = parts[-1] == "log"
    numbers = [_word(part) for part in (parts[:-1] if log else parts)]
    if len(numbers) not in (2, 3) or any(
        isinstance(one, (bool, str)) for one in numbers
    ):
        raise ConfigError(
            f"{text!r}: is no range; write 5:50, 5:50:5, 0.1:10:log, or a,b,c"
        )
    low, high, *step = numbers
    return Range(low, high, step[0] if step else None, log)


def _word(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return number if number.is_finite() else text


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter and what is tried of it.

    Attributes:
        name: of the parameter.
        options: every value, in order; empty when any number between can be tried.
        low: lowest number of a continuous axis.
        high: highest.
        log: whether it goes by orders of magnitude.
        ordered: whether neighbours are alike.
    """

    name: str
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    ordered: bool = True

    def draw(self, chance: random.Random) -> Any:
        """Return a random value."""
        if not self.options:
            return self.between(chance.random())
        if self.log:
            low, high = (math.log(float(self.options[at])) for at in (0, -1))
            wanted = math.exp(low + (high - low) * chance.random())
            return min(self.options, key=lambda one: abs(float(one) - wanted))
        return self.options[chance.randrange(len(self.options))]

    def between(self, part: float) -> float:
        """Return the number that lies a part, 0 to 1, of the way up."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return min(max(math.exp(low + (high - low) * part), self.low), self.high)
        return self.low + (self.high - self.low) * part


class Space(Generic[P]):
    """All combinations of values that a sweep may try.

    Args:
        kind: the dataclass of the strategy's parameters.
        tried: a `Range`, a `Choice` or a list of values for each parameter to vary.
        fixed: values of other parameters; those not named keep their defaults.

    Raises:
        ConfigError: a name is unknown, or a value does not fit the parameter's type.
    """

    def __init__(
        self,
        kind: type[P],
        tried: Mapping[str, Range | Choice | list[Any]],
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = kind
        self.fixed = dict(fixed or {})
        if not dataclasses.is_dataclass(kind):
            raise ConfigError(f"{kind.__name__}: parameters have to be a dataclass")
        hints = get_type_hints(kind)
        for name in (*tried, *self.fixed):
            if name not in hints:
                raise ConfigError(
                    f"{name}: there is no such parameter; there are {', '.join(hints)}"
                )
        if not tried:
            raise ConfigError("tried: nothing varies; name at least one parameter")
        both = sorted(set(tried) & set(self.fixed))
        if both:
            raise ConfigError(f"{both[0]}: is both fixed and tried; choose one")
        self.axes = tuple(
            _axis(name, hints[name], wanted) for name, wanted in tried.items()
        )

    @property
    def size(self) -> int | None:
        """Number of combinations; None when a parameter can be any number."""
        if any(not axis.options for axis in self.axes):
            return None
        return math.prod(len(axis.options) for axis in self.axes)

    def at(self, index: int) -> dict[str, Any]:
        """Return the values of one combination, the last parameter changing fastest."""
        values = {}
        for axis in reversed(self.axes):
            index, place = divmod(index, len(axis.options))
            values[axis.name] = axis.options[place]
        return {axis.name: values[axis.name] for axis in self.axes}

    def draw(self, chance: random.Random) -> dict[str, Any]:
        """Return random values."""
        return {axis.name: axis.draw(chance) for axis in self.axes}

    def parameters(self, values: Mapping[str, Any]) -> P:
        """Return parameters with these values.

        Raises:
            ConfigError: the strategy does not take them together.
        """
        return read_parameters(self.kind, {**self.fixed, **values}, where="parameters")

    def described(self) -> dict[str, Any]:
        """Return the space as plain values, by which two of them are compared."""
        axes: dict[str, list[Any]] = {
            axis.name: [str(one) for one in axis.options]
            or [repr(axis.low), repr(axis.high), axis.log]
            for axis in self.axes
        }
        fixed = {name: str(value) for name, value in sorted(self.fixed.items())}
        return {
            "kind": self.kind.__qualname__,
            "tried": axes,
            "log": [axis.name for axis in self.axes if axis.log],
            "fixed": fixed,
        }


def _axis(name: str, hint: Any, wanted: Range | Choice | list[Any]) -> Axis:
    if isinstance(wanted, Range):
        return _range_axis(name, hint, wanted)
    values = wanted.values if isinstance(wanted, Choice) else tuple(wanted)
    options = tuple(_typed(name, hint, value) for value in values)
    if not options:
        raise ConfigError(f"{name}: there is no value to try; give at least one")
    if len({repr(option) for option in options}) < len(options):
        raise ConfigError(f"{name}: a value is named twice; name each once")
    numbers = all(
        isinstance(one, (int, float, Decimal)) and not isinstance(one, bool)
        for one in options
    )
    ordered = numbers and list(options) == sorted(options)
    return Axis(name, options, ordered=ordered)


def _range_axis(name: str, hint: Any, wanted: Range) -> Axis:
    if hint not in (int, float, Decimal):
        raise ConfigError(f"{name}: is no number; give a list of values instead")
    low, high = (Decimal(str(one)) for one in (wanted.low, wanted.high))
    if not (low.is_finite() and high.is_finite()) or low > high:
        raise ConfigError(f"{name}: {low} to {high} is no range; give low, then high")
    if wanted.log and low <= 0:
        raise ConfigError(f"{name}: {low} has no order of magnitude; begin above 0")
    if wanted.step is None and hint is float:
        return Axis(name, low=float(low), high=float(high), log=wanted.log)
    if wanted.step is None and hint is Decimal:
        raise ConfigError(f"{name}: a Decimal needs a step, such as Range(1, 2, step)")
    step = Decimal(1) if wanted.step is None else Decimal(str(wanted.step))
    if not step.is_finite() or step <= 0:
        raise ConfigError(f"{name}: step {step} leads nowhere; give one above 0")
    count = int((high - low) / step) + 1
    if count > MOST_STEPS:
        raise ConfigError(f"{name}: {count} values are too many; take a longer step")
    steps = [low + at * step for at in range(count)]
    if hint is int and any(one != int(one) for one in steps[:2]):
        raise ConfigError(f"{name}: takes whole numbers; {low} in steps of {step}")
    return Axis(name, tuple(hint(one) for one in steps), log=wanted.log)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _typed(name: str, hint: Any, value: Any) -> Any:
    """Return a value as the parameter's type, or refuse it."""
    if hint is float and isinstance(value, Decimal):
        value = float(value)
    if hint is Decimal and _is_number(value):
        # As in settings: a whole number is one, a float is its shortest text.
        value = Decimal(str(value))
    try:
        return msgspec.convert(value, type=hint, strict=True, builtin_types=(Decimal,))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {value!r} does not fit: {error}") from None
