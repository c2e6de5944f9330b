"""What commands over recorded candles share: the data, and what is assumed."""

from __future__ import annotations

import dataclasses
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.runner.backtest import BacktestSettings, CandleData
from wrappy.runner.history.candle_file import CandleFile

if TYPE_CHECKING:
    from pathlib import Path

    from wrappy.runner.settings.sections import BotSettings

DAY_MS: Final = 86_400_000

_OF_THE_DATA: Final = ("data", "resolution", "days")
"""Keys of [backtest] that do not say what is assumed."""


def assumed(
    settings: BotSettings, *, capital: str | None = None, seed: int | None = None
) -> BacktestSettings:
    """Return what a backtest assumes: the section's, but what is given here.

    Args:
        settings: the file's.
        capital: start capital in USDC.
        seed: of chance.

    Raises:
        ConfigError: a value that cannot work; the message names it.
    """
    values = dataclasses.asdict(settings.backtest)
    for name in _OF_THE_DATA:
        del values[name]
    given = []
    if capital is not None:
        try:
            values["capital"] = Decimal(capital)
        except InvalidOperation:
            raise ConfigError(f"--capital: {capital!r} is not a number") from None
        given.append("capital")
    if seed is not None:
        if not 0 <= seed < 1 << 63:
            raise ConfigError(f"--seed: {seed} is outside 0..{(1 << 63) - 1}")
        values["seed"] = seed
        given.append("seed")
    try:
        return BacktestSettings(limits=settings.limits, **values)
    except ConfigError as error:
        said = str(error).partition(":")[0] in given
        raise ConfigError(f"{'--' if said else 'backtest.'}{error}") from error


def check_folders(*files: Path | None) -> None:
    """Refuse files that could not be written in the end, before anything is run.

    Raises:
        ConfigError: there is no such folder.
    """
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise ConfigError(f"{file}: there is no folder {file.parent}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Which candles are taken.

    Attributes:
        file: CSV or Parquet.
        resolution: their length; None finds it out.
        days: only the last so many; None takes all.
    """

    file: Path
    resolution: str | None = None
    days: int | None = None

    @classmethod
    def of(
        cls,
        settings: BotSettings,
        *,
        candles: Path | None,
        resolution: str | None,
        days: int | None,
    ) -> Recorded:
        """Return those of the settings, but what is given here.

        Raises:
            ConfigError: none are named, or fewer than one day.
        """
        section = settings.backtest
        if candles is None and section.data is not None:
            candles = settings.place(section.data)
        if candles is None:
            raise ConfigError(
                "backtest.data: no candles; name their file with --candles or in the "
                "settings"
            )
        if days is not None and days < 1:
            raise ConfigError(f"--days: {days} is below 1")
        return cls(
            file=candles,
            resolution=resolution or section.resolution,
            days=section.days if days is None else days,
        )

    def read(self, symbol: str) -> CandleData:
        """Return the candles as those of a market.

        Raises:
            ConfigError: the file cannot be read, or holds none.
        """
        reading = CandleFile(self.file, symbol=symbol, resolution=self.resolution)
        rows = list(reading)
        if not rows:
            raise ConfigError(f"{self.file}: holds no candles")
        if self.days is not None:
            begin_ms = rows[-1].start_ms - self.days * DAY_MS
            rows = [row for row in rows if row.start_ms > begin_ms]
        series = reading.series
        notes = (f"from {self.file.name}", *series.notes())
        return CandleData(symbol, series.resolution, rows, notes=notes)
