"""Conversions between what people write and the integers of the wire.

Prices become ticks and sizes become lots exactly once, here; nothing behind this
door computes with a `float`. Rounding is always named: prices go to the nearest
tick (halves up, so 0.5 tick becomes 1), or to the passive side, or are refused;
sizes go toward zero, so that a closing order never grows past the position.
"""

from __future__ import annotations

import decimal
import enum
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wrappy.errors import InvalidOrderError, ProtocolError
from wrappy.model import Side, usdc

if TYPE_CHECKING:
    from wrappy.model import Market, Money

PRICE_MAX = 2**32 - 1
"""Largest price in ticks (official signer constants)."""

BASE_AMOUNT_MAX = 2**48 - 1
"""Largest size in lots (official signer constants)."""

# Longest decimal string worth reading; the widest number of the wire has 20 digits.
_LONGEST_TEXT = 64

# Shifting a decimal point must never round, and text that is no number must become
# NaN instead of depending on the traps of the caller's own decimal context.
_EXACT = decimal.Context(
    prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN, traps=[]
)


class PriceRounding(enum.Enum):
    """What happens to a price between two ticks."""

    NEAREST = "nearest"
    """To the nearest tick, halves up."""

    PASSIVE = "passive"
    """Away from the other side of the book: buys down, sells up."""

    REFUSE = "refuse"
    """An error: the caller wants its own price or none."""


def price_to_ticks(
    price: Money,
    market: Market,
    *,
    side: Side,
    rounding: PriceRounding = PriceRounding.NEAREST,
    field: str = "price",
) -> int:
    """Return a price in ticks.

    Args:
        price: in USDC, above 0. A float counts as the shortest decimal that
            prints it, so 0.1 means one tenth.
        market: gives the tick size.
        side: side of the order; only `PASSIVE` looks at it.
        rounding: what to do between two ticks.
        field: name of the argument, for the error.

    Returns:
        The price in ticks, 1..2**32-1.

    Raises:
        InvalidOrderError: not a number, not above zero, less than a tick after
            rounding, too large, or between two ticks with `REFUSE`.
    """
    exact = _number(price, field)
    if exact <= 0:
        raise InvalidOrderError(field, price, "must be greater than zero")
    scaled = exact.scaleb(market.price_decimals, _EXACT)
    if rounding is PriceRounding.NEAREST:
        direction = decimal.ROUND_HALF_UP
    elif side is Side.BUY:
        direction = decimal.ROUND_FLOOR
    else:
        direction = decimal.ROUND_CEILING
    ticks = scaled.to_integral_value(direction, _EXACT)
    if rounding is PriceRounding.REFUSE and ticks != scaled:
        raise InvalidOrderError(
            field,
            price,
            f"is no multiple of {market.symbol}'s tick size {market.tick_size}; "
            "round it, or choose the rounding 'nearest' or 'passive'",
        )
    if ticks < 1:
        raise InvalidOrderError(
            field,
            price,
            f"rounds to zero ticks; {market.symbol}'s tick size is {market.tick_size}",
        )
    if ticks > PRICE_MAX:
        raise InvalidOrderError(
            field,
            price,
            f"is above {market.symbol}'s largest price {market.price(PRICE_MAX)}",
        )
    return int(ticks)


def size_to_lots(size: Money, market: Market, *, field: str = "size") -> int:
    """Return a size in lots, rounded toward zero, with its sign.

    Args:
        size: in the base asset; the sign is the caller's (positive buys).
        market: gives the lot size.
        field: name of the argument, for the error.

    Returns:
        The size in lots, 1..2**48-1 in magnitude.

    Raises:
        InvalidOrderError: not a number, less than one lot, or too large.
    """
    scaled = _number(size, field).scaleb(market.size_decimals, _EXACT)
    lots = scaled.to_integral_value(decimal.ROUND_DOWN, _EXACT)
    if lots == 0:
        raise InvalidOrderError(
            field,
            size,
            f"is below one lot; {market.symbol}'s lot size is {market.lot_size}",
        )
    if not -BASE_AMOUNT_MAX <= lots <= BASE_AMOUNT_MAX:
        raise InvalidOrderError(
            field,
            size,
            f"is above {market.symbol}'s largest size {market.size(BASE_AMOUNT_MAX)}",
        )
    return int(lots)


def check_minimum(base_amount: int, price_ticks: int, market: Market) -> None:
    """Refuse an order that is too small or too large for the market.

    The minimums hold for orders that can rest; the caller leaves the check out for
    those that cannot (prover circuits). The upper limit holds for all.

    Args:
        base_amount: size in lots; the sign does not matter.
        price_ticks: price in ticks.
        market: gives the limits.

    Raises:
        InvalidOrderError: the limit that is missed, in words and numbers.
    """
    lots = abs(base_amount)
    size = market.size(lots)
    if lots < market.min_base_amount:
        raise InvalidOrderError(
            "size",
            size,
            f"is below {market.symbol}'s minimum of "
            f"{market.size(market.min_base_amount)}",
        )
    quote = _quote(lots, price_ticks, market)
    if quote < market.min_quote_amount:
        raise InvalidOrderError(
            "size",
            size,
            f"at the price {market.price(price_ticks)} is worth {usdc(quote)} USDC, "
            f"below {market.symbol}'s minimum of {usdc(market.min_quote_amount)} USDC",
        )
    check_largest(lots, price_ticks, market)


def check_largest(
    base_amount: int, price_ticks: int, market: Market, *, field: str = "size"
) -> None:
    """Refuse an order that is worth more than the market allows for one.

    Args:
        base_amount: size in lots; the sign does not matter.
        price_ticks: price in ticks.
        market: gives the limit.
        field: name of the argument, for the error.

    Raises:
        InvalidOrderError: with the limit in words and numbers.
    """
    lots = abs(base_amount)
    quote = _quote(lots, price_ticks, market)
    if quote > market.order_quote_limit:
        raise InvalidOrderError(
            field,
            market.size(lots),
            f"at the price {market.price(price_ticks)} is worth {usdc(quote)} USDC, "
            f"above {market.symbol}'s limit of "
            f"{usdc(market.order_quote_limit)} USDC for one order",
        )


def _quote(lots: int, price_ticks: int, market: Market) -> int:
    # Same as quote_multiplier for every known market, but also right should the two
    # decimals ever add up to more than the six of USDC.
    unit = int(10 ** (market.price_decimals + market.size_decimals))
    return lots * price_ticks * 10**6 // unit


def fixed_to_int(text: Any, decimals: int) -> int:
    """Return a decimal string of the exchange as an integer of `10**-decimals`.

    Args:
        text: a string of plain digits with at most one point, such as `2064.54`; a
            minus sign may stand in front. Missing decimals count as zeros.
        decimals: 0 or more.

    Raises:
        ProtocolError: not such a string, or more decimals than expected that are
            not zeros.
    """
    if not isinstance(text, str):
        raise ProtocolError(f"{text!r} is no decimal string")
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    # Nearly every number comes with all its decimals and no sign; it is read in a
    # third of the time.
    if (
        fraction
        and whole
        and len(fraction) == decimals
        and digits.isdigit()
        and digits.isascii()
        and len(digits) <= _LONGEST_TEXT
    ):
        return int(digits)
    if len(text) > _LONGEST_TEXT or not text.isascii():
        raise ProtocolError(f"{text!r:.80} is no decimal string")
    if not whole.removeprefix("-").isdigit() or (point and not fraction.isdigit()):
        raise ProtocolError(f"{text!r} is no decimal string")
    if len(fraction) > decimals:
        if fraction[decimals:].strip("0"):
            raise ProtocolError(f"{text!r} has more than {decimals} decimals")
        fraction = fraction[:decimals]
    return int(whole + fraction + "0" * (decimals - len(fraction)))


class FixedTexts(dict[str, int]):
    """Decimal strings of one scale as integers: `texts["2064.54"]`.

    The strings read lately are remembered, which is four times as fast for what
    repeats as a book's prices do. When there are too many, all are read anew.

    Args:
        decimals: 0 or more, as in `fixed_to_int`.
        largest: integers above it are refused.
        remembered: strings kept at most.
    """

    __slots__ = ("_decimals", "_largest", "_remembered")

    def __init__(
        self, decimals: int, *, largest: int = PRICE_MAX, remembered: int = 4096
    ) -> None:
        super().__init__()
        self._decimals = decimals
        self._largest = largest
        self._remembered = remembered

    def __missing__(self, text: str) -> int:
        """Read a string that is not remembered.

        Raises:
            ProtocolError: no decimal string, one below zero or above the largest.
        """
        value = fixed_to_int(text, self._decimals)
        if not 0 <= value <= self._largest:
            largest = int_to_fixed(self._largest, self._decimals)
            raise ProtocolError(f"{text!r} is not within 0..{largest}")
        if len(self) >= self._remembered:
            self.clear()
        self[text] = value
        return value


def int_to_fixed(value: int, decimals: int) -> str:
    """Return `value` in units of `10**-decimals` the way the exchange prints it.

    The reverse of `fixed_to_int`: `int_to_fixed(206450, 2)` is `2064.50`.
    """
    digits = str(value)
    if decimals == 0:
        return digits
    if value > 0 and len(digits) > decimals:  # nearly every price and size
        return f"{digits[:-decimals]}.{digits[-decimals:]}"
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"


def _number(value: Money, field: str) -> Decimal:
    # A bool is an int for Python, but never a price or a size for a person.
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise InvalidOrderError(field, value, "is no number")
    source = repr(value) if isinstance(value, float) else value
    number = Decimal(source, _EXACT)
    if not number.is_finite():
        raise InvalidOrderError(field, value, "is no finite number")
    return number
