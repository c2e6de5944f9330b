"""What a run came to, as one typed value that can be written down and read again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from decimal import Decimal  # noqa: TC003 - a field's type, read at run time
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from wrappy.errors import ConfigError
from wrappy.runner.performance.activity import (  # noqa: TC001 - read at run time
    ActivityFigures,
    CostFigures,
)
from wrappy.runner.performance.drawdown import (  # noqa: TC001 - read at run time
    DrawdownFigures,
)
from wrappy.runner.performance.equity import (  # noqa: TC001 - read at run time
    CurvePoint,
)
from wrappy.runner.performance.ratios import (  # noqa: TC001 - read at run time
    ReturnFigures,
)
from wrappy.runner.performance.round_trips import (  # noqa: TC001 - read at run time
    RoundTrip,
)
from wrappy.runner.performance.trade_figures import (  # noqa: TC001 - read at run time
    TradeFigures,
)
from wrappy.runner.performance.trials import (  # noqa: TC001 - read at run time
    TrialFigures,
)

FORMAT: Final = 1
"""Number of the JSON form; it changes when an older reader would misread it."""

Plain: TypeAlias = str | int | float | bool | None
"""What a parameter may be in JSON."""

Figure: TypeAlias = "int | float | Decimal | str | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was run.

    Attributes:
        strategy: its name.
        world: `backtest`, `paper`, `venue` or `live`.
        symbols: markets.
        parameters: of the strategy, as plain values.
        models: names of the models that decide fills, such as queue and latency.
        data: where prices came from, and what is to be known of it.
        seed: of everything that is left to chance; None without.
        ledger_hash: of everything that happened; empty when not kept.
    """

    strategy: str = ""
    world: str = "backtest"
    symbols: tuple[str, ...] = ()
    parameters: dict[str, Plain] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    seed: int | None = None
    ledger_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What doing something simple instead came to.

    Attributes:
        name: such as `buy and hold`.
        end_capital: USDC.
        returns: its returns.
        drawdown: its drawdowns.
        fees: paid, USDC.
        funding: received, USDC; negative when paid.
    """

    name: str
    end_capital: Decimal
    returns: ReturnFigures
    drawdown: DrawdownFigures
    fees: Decimal
    funding: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything a run came to. Figures without a value are None.

    Attributes:
        about: what was run.
        start_ms: beginning, unix milliseconds.
        end_ms: end.
        start_capital: USDC.
        end_capital: USDC, open profit included.
        returns: figures of the returns.
        drawdown: figures of the drawdowns.
        trades: figures of the closed trades.
        costs: what was traded and what it cost.
        activity: orders, doubts, exposure.
        baselines: simple things done instead, on the same prices and fees.
        trials: set when the run was picked out of many.
        warnings: what to keep in mind, one sentence each.
        daily: unix milliseconds and equity in 1e-6 USDC at the start and at every
            00:00 UTC.
        curve: equity for drawing, 1e-6 USDC.
        round_trips: every closed trade, 1e-6 USDC.
        format: of the JSON form.
    """

    about: About
    start_ms: int
    end_ms: int
    start_capital: Decimal
    end_capital: Decimal
    returns: ReturnFigures
    drawdown: DrawdownFigures
    trades: TradeFigures
    costs: CostFigures
    activity: ActivityFigures
    baselines: tuple[Baseline, ...] = ()
    trials: TrialFigures | None = None
    warnings: tuple[str, ...] = ()
    daily: tuple[tuple[int, int], ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    round_trips: tuple[RoundTrip, ...] = ()
    format: int = FORMAT

    @property
    def net_profit(self) -> Decimal:
        """End capital less start capital, USDC."""
        return self.end_capital - self.start_capital

    def figures(self) -> dict[str, Figure]:
        """Return every figure by its name, such as `returns.sharpe`."""
        groups: dict[str, Any] = {
            "returns": self.returns,
            "drawdown": self.drawdown,
            "trades": self.trades,
            "costs": self.costs,
            "activity": self.activity,
            "trials": self.trials,
        }
        return {
            f"{name}.{key}": value
            for name, group in groups.items()
            if group is not None
            for key, value in asdict(group).items()
        }

    def figure(self, name: str) -> Figure:
        """Return one figure by its name, such as `returns.sharpe`.

        Raises:
            ConfigError: there is none of this name.
        """
        figures = self.figures()
        if name not in figures:
            raise ConfigError(
                f"figure: {name!r} is unknown; choose one of {', '.join(figures)}"
            )
        return figures[name]

    def to_json(self) -> str:
        """Return everything as JSON; money as text, so that no digit is lost."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode("utf-8")

    def save(self, path: str | Path) -> None:
        """Write the JSON to a file, in place of what was there."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def from_json(cls, text: str | bytes) -> Results:
        """Return what `to_json` wrote; nothing is lost on the way.

        Raises:
            ConfigError: it is no such text; the message names the field.
        """
        try:
            results = msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"results: {error}; give a file that Results.save wrote"
            ) from error
        if results.format != FORMAT:
            raise ConfigError(
                f"results: format {results.format} is not {FORMAT}; run it again, or "
                "read it with the version that wrote it"
            )
        return results

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Return what `save` wrote.

        Raises:
            ConfigError: the file holds something else.
            OSError: it cannot be read.
        """
        return cls.from_json(Path(path).read_bytes())
