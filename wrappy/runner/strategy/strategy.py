"""The base of every strategy: parameters, markets, and one coroutine that trades."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args

from wrappy.errors import ConfigError
from wrappy.runner.strategy.parameters import check_numbers, read_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wrappy.lighter.ws import MarketData
    from wrappy.runner.strategy.context import Context

P = TypeVar("P")

_CAPITAL_INSIDE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class NoParameters:
    """Parameters of a strategy that has none."""


class Strategy(Generic[P]):
    """One idea, written once, run in backtest, paper, venue and live alike.

    A strategy says in `run` what it does, with what `ctx` gives it: dealers, streams,
    candles, time and chance. It does not know which world it is in. It keeps running
    until it returns, is stopped, or raises; whatever it leaves resting is cancelled
    then, its positions are left as they are.

        @dataclass(frozen=True, slots=True, kw_only=True)
        class Parameters:
            size: Decimal = Decimal("0.01")

        class BuyEveryHour(Strategy[Parameters]):
            async def run(self, ctx):
                async for candle in ctx.candles("1h"):
                    await ctx.dealer().create_market_order(self.parameters.size)

    Args:
        parameters: what can be tuned; None takes the defaults.
        symbols: markets it trades, the first of which is meant where none is named.

    Attributes:
        market_data: what it reads of each market's stream: `book`, `trades`, or
            `none` when candles and its own orders are enough.
        watch: more that it streams, as `WsInfo.watch` takes it.

    Raises:
        ConfigError: no market, parameters of another class, or a number among them
            that is not finite.
    """

    market_data: ClassVar[MarketData] = "none"
    watch: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, parameters: P | None = None, *, symbols: Sequence[str] = ("ETH",)
    ) -> None:
        kind = self.parameters_type()
        if parameters is None:
            parameters = read_parameters(kind, {}, where=self.name())
        if not isinstance(parameters, kind):
            raise ConfigError(
                f"{self.name()}: takes parameters of class {kind.__name__}, not a "
                f"{type(parameters).__name__}"
            )
        check_numbers(parameters, where=self.name())
        if isinstance(symbols, str) or not symbols:
            raise ConfigError(
                f"{self.name()}.symbols: {symbols!r} is no list of markets; "
                "give at least one, such as ['ETH']"
            )
        self.parameters: P = parameters
        self.symbols = tuple(symbols)

    @classmethod
    def name(cls) -> str:
        """Return the strategy's name in settings: its class's, in lower case."""
        return _CAPITAL_INSIDE.sub("_", cls.__name__).lower()

    @classmethod
    def parameters_type(cls) -> type[P]:
        """Return the dataclass named in `Strategy[...]`.

        Raises:
            ConfigError: the class does not name one.
        """
        for base in cls.__mro__:
            for generic in base.__dict__.get("__orig_bases__", ()):
                named = get_args(generic)
                if named and isinstance(named[0], type):
                    kind: type[P] = named[0]
                    return kind
        raise ConfigError(
            f"{cls.__name__}: name its parameters as in Strategy[NoParameters]"
        )

    @classmethod
    def configured(
        cls,
        parameters: Mapping[str, Any] | None = None,
        *,
        symbols: Sequence[str] = ("ETH",),
    ) -> Strategy[P]:
        """Return the strategy with parameters out of settings.

        Raises:
            ConfigError: a parameter is unknown, missing or wrong.
        """
        kind = cls.parameters_type()
        read = read_parameters(kind, parameters or {}, where=cls.name())
        return cls(read, symbols=symbols)

    async def run(self, ctx: Context) -> None:
        """Trade until there is nothing left to do; cancelled when it is stopped."""
        raise NotImplementedError

    def save(self) -> Mapping[str, Any]:
        """Return what a restart has to know, as JSON values; nothing by default."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take what `save` returned before the restart; called before `run`."""
