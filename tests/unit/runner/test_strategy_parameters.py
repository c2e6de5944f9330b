"""What a strategy takes as its parameters, and what it refuses by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from wrappy import ConfigError
from wrappy.runner.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    size: Decimal = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    size: Decimal = Decimal("0.1")
    distance: float = 0.5
    steps: tuple[float, ...] = (1.0, 2.0)
    rung: Rung = Rung()
    by_symbol: dict[str, Decimal] = field(default_factory=dict)
    most: Decimal | None = None
    word: str = "nan"


class Careful(Strategy[Tuned]):
    """Trades nothing."""


NONES = [
    ({"size": Decimal("NaN")}, "careful.size: Decimal('NaN') is no finite number"),
    ({"size": Decimal("sNaN")}, "careful.size: Decimal('sNaN') is no finite number"),
    ({"most": Decimal("Infinity")}, "careful.most: Decimal('Infinity') is no"),
    ({"distance": float("nan")}, "careful.distance: nan is no finite number"),
    ({"distance": float("-inf")}, "careful.distance: -inf is no finite number"),
    ({"steps": (1.0, float("inf"))}, "careful.steps[1]: inf is no finite number"),
    ({"rung": Rung(size=Decimal("NaN"))}, "careful.rung.size: Decimal('NaN') is no"),
    ({"by_symbol": {"ETH": Decimal("NaN")}}, "careful.by_symbol.ETH: Decimal('NaN')"),
]


@pytest.mark.parametrize(("given", "words"), NONES)
def test_a_number_that_is_none_is_refused_by_name(given, words):
    with pytest.raises(ConfigError) as caught:
        Careful(Tuned(**given))
    assert str(caught.value).startswith(words)
    with pytest.raises(ConfigError) as caught:
        Careful.configured(given)
    assert str(caught.value).startswith(words)


def test_what_is_finite_is_taken_as_it_is():
    tuned = Tuned(size=Decimal(2), steps=(), by_symbol={"ETH": Decimal(1)})
    assert Careful(tuned).parameters is tuned
    assert Careful().parameters == Tuned()
