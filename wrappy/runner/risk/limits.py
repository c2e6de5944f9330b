"""What an account may do at most, as settings tell it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from wrappy.errors import ConfigError
from wrappy.lighter.risk_desk import RiskRules

if TYPE_CHECKING:
    from wrappy.model import Market

MICRO: Final = 1_000_000
MOST: Final = Decimal(10) ** 12
MOST_SECONDS: Final = Decimal(86_400)
MOST_COUNT: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Limits of an account. Each may be left out: None is no limit.

    Exposure counts at its worst: with every order filled that may trade, those of
    unknown fate and changes under way included. Numbers may be given as `Decimal`,
    whole number, text or float; they are kept as `Decimal`.

    Attributes:
        max_position: largest position by symbol, unsigned, in the base asset.
        max_position_notional: worth of the position in each market, USDC.
        max_total_notional: the same over all markets together.
        max_order_notional: worth of one order, USDC.
        max_open_orders: orders that may trade at a time, those placed elsewhere
            included.
        max_open_orders_per_symbol: the same in each market.
        max_orders_per_second: new orders and changes within a second.
        max_orders_per_minute: the same within a minute.
        price_band: how far a price may be from the mark price, as a fraction: 0.05
            is five percent either way. That of an order with a trigger may be so far
            from its trigger.
        max_daily_loss: most to lose since 00:00 UTC, USDC; then nothing but cancels
            pass until the next day.
        max_drawdown: most to lose since the best, as a fraction of it; then nothing
            but cancels pass until `resume`.
        max_unknown_orders: orders of unknown fate at a time; with more of them
            nothing may grow.
        max_data_age_s: seconds without a sign of life of the stream. Every ping is
            answered with one, and there is a ping every 30 s at the latest.
        max_trades_age_s: seconds without a trade in a market, for markets where
            silence is suspicious.
        max_equity_age_s: seconds after which the account's worth counts as unknown.
        max_loop_block_s: how long the event loop may stand still.
        fresh_for_s: how long data has to be good again before it is trusted.
        cancel_on_halt: whether a halt takes the strategies' orders away.
        require_exits: whether reduce-only orders have to cover each position, and may
            not be larger than it.
        exits_within_s: how long a position may be without.

    Raises:
        ConfigError: a value that cannot work; the message names it.
    """

    max_position: Mapping[str, Decimal] = field(default_factory=dict)
    max_position_notional: Decimal | None = None
    max_total_notional: Decimal | None = None
    max_order_notional: Decimal | None = None
    max_open_orders: int | None = None
    max_open_orders_per_symbol: int | None = None
    max_orders_per_second: int | None = None
    max_orders_per_minute: int | None = None
    price_band: Decimal | None = None
    max_daily_loss: Decimal | None = None
    max_drawdown: Decimal | None = None
    max_unknown_orders: int | None = None
    max_data_age_s: Decimal = Decimal(45)
    max_trades_age_s: Decimal | None = None
    max_equity_age_s: Decimal = Decimal(60)
    max_loop_block_s: Decimal = Decimal(2)
    fresh_for_s: Decimal = Decimal(1)
    cancel_on_halt: bool = True
    require_exits: bool = False
    exits_within_s: Decimal = Decimal(5)

    def __post_init__(self) -> None:
        positions: object = self.max_position
        if not isinstance(positions, Mapping):
            raise ConfigError(
                f"max_position: {positions!r} is no table of sizes by symbol; give "
                "such as { ETH = 1.5 }"
            )
        object.__setattr__(
            self,
            "max_position",
            {
                str(symbol): _number(f"max_position.{symbol}", size, MOST)
                for symbol, size in positions.items()
            },
        )
        for name, most in _AMOUNTS.items():
            value = getattr(self, name)
            if value is not None or name in _REQUIRED:
                object.__setattr__(self, name, _number(name, value, most))
        for name in _COUNTS:
            _check_count(name, getattr(self, name))
        for name in _FLAGS:
            flag = getattr(self, name)
            if not isinstance(flag, bool):
                raise ConfigError(f"{name}: {flag!r} is neither true nor false")

    @classmethod
    def from_settings(
        cls, table: Mapping[str, Any], *, path: str = "risk"
    ) -> RiskLimits:
        """Return the limits that a section of a settings file tells.

        Args:
            table: names of attributes and their values.
            path: where the section is, for the words of an error.

        Raises:
            ConfigError: a key that is not known, or a value that cannot work; one
                line that names it.
        """
        known = [one.name for one in dataclasses.fields(cls)]
        for name in table:
            if name not in known:
                raise ConfigError(
                    f"{path}.{name}: is no limit; there are {', '.join(known)}"
                )
        try:
            return cls(**table)
        except ConfigError as error:
            raise ConfigError(f"{path}.{error}") from error

    def rules(self) -> RiskRules:
        """Return the limits in whole numbers, those of single markets aside."""
        return RiskRules(
            market_value=_micro(self.max_position_notional),
            total_value=_micro(self.max_total_notional),
            order_value=_micro(self.max_order_notional),
            open_orders=self.max_open_orders,
            market_orders=self.max_open_orders_per_symbol,
            per_second=self.max_orders_per_second,
            per_minute=self.max_orders_per_minute,
            band=_micro(self.price_band),
            daily_loss=_micro(self.max_daily_loss),
            drawdown=_micro(self.max_drawdown),
            unknown_orders=self.max_unknown_orders,
            equity_age_s=float(self.max_equity_age_s),
            blocked_s=float(self.max_loop_block_s),
            fresh_for_s=float(self.fresh_for_s),
            needs_exits=self.require_exits,
            exits_within_s=float(self.exits_within_s),
        )

    def most_lots(self, market: Market) -> int | None:
        """Return the largest position in a market, in whole lots; None for no limit."""
        most = self.max_position.get(market.symbol)
        return None if most is None else int(most * market.size_scale)


_AMOUNTS: Final = {
    "max_position_notional": MOST,
    "max_total_notional": MOST,
    "max_order_notional": MOST,
    "price_band": Decimal(10),
    "max_daily_loss": MOST,
    "max_drawdown": Decimal(1),
    "max_data_age_s": MOST_SECONDS,
    "max_trades_age_s": MOST_SECONDS,
    "max_equity_age_s": MOST_SECONDS,
    "max_loop_block_s": MOST_SECONDS,
    "fresh_for_s": MOST_SECONDS,
    "exits_within_s": MOST_SECONDS,
}
_REQUIRED: Final = frozenset(
    {
        "max_data_age_s",
        "max_equity_age_s",
        "max_loop_block_s",
        "fresh_for_s",
        "exits_within_s",
    }
)
_COUNTS: Final = (
    "max_open_orders",
    "max_open_orders_per_symbol",
    "max_orders_per_second",
    "max_orders_per_minute",
    "max_unknown_orders",
)
_FLAGS: Final = ("cancel_on_halt", "require_exits")
_MAY_BE_ZERO: Final = frozenset({"max_unknown_orders"})


def _number(name: str, value: object, most: Decimal) -> Decimal:
    number = None
    if isinstance(value, (Decimal, int, str, float)) and not isinstance(value, bool):
        try:
            # By its text: the nearest binary fraction is not what was written.
            number = Decimal(str(value))
        except InvalidOperation:
            number = None
    if number is None or not number.is_finite() or not 0 < number <= most:
        raise ConfigError(
            f"{name}: {value!r} is no number above 0 and at most {most:f}"
        )
    return number


def _check_count(name: str, value: object) -> None:
    if value is None:
        return
    least = 0 if name in _MAY_BE_ZERO else 1
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= MOST_COUNT:  # type: ignore[operator]  # it is whole
        raise ConfigError(
            f"{name}: {value!r} is not a whole number in {least}..{MOST_COUNT}"
        )


def _micro(value: Decimal | None) -> int | None:
    """Return 1e-6 units, rounded down: a limit is never more than was written."""
    return None if value is None else int(value * MICRO)
