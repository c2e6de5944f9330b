"""What commands over recorded markets share: the data, and what is assumed."""

from __future__ import annotations

import dataclasses
import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError
from wrappy.runner.backtest import BacktestSettings, CandleData, TapeData
from wrappy.runner.history.candle_file import CandleFile
from wrappy.venue.market_life import tape_symbols

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wrappy.runner.settings.sections import BotSettings
    from wrappy.venue.settings import QueueModel

DAY_MS: Final = 86_400_000

_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,24}")
_OF_THE_DATA: Final = ("data", "tape", "queue", "resolution", "days")
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
        ConfigError: there is no such folder, or a file is one.
    """
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise ConfigError(f"{file}: there is no folder {file.parent}")
        if file is not None and file.is_dir():
            raise ConfigError(f"{file}: is a folder; name a file in it")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Which candles are taken, or which tapes.

    Attributes:
        files: by symbol; one that stands under no symbol is of whatever is asked for.
        where: what named them, for errors: a flag or a setting.
        is_taped: whether they are recorded markets.
        queue: where orders stand at their price on a tape.
        resolution: length of candles; None finds it out, and takes a minute for a
            tape's.
        days: only the last so many; None takes all.
    """

    files: Mapping[str, Path]
    where: str = "--candles"
    is_taped: bool = False
    queue: QueueModel = "risk-averse"
    resolution: str | None = None
    days: int | None = None

    @classmethod
    def of(
        cls,
        settings: BotSettings,
        *,
        candles: Sequence[str] | None,
        tape: Sequence[str] | None,
        queue: QueueModel | None,
        resolution: str | None,
        days: int | None,
    ) -> Recorded:
        """Return those of the settings, but what is given here.

        Raises:
            ConfigError: none are named, or what does not go together.
        """
        section = settings.backtest
        if candles and tape:
            raise ConfigError("--tape: stands beside --candles; choose one of them")
        is_taped = bool(tape) or (not candles and section.tape is not None)
        if queue is not None and not is_taped:
            raise ConfigError("--queue: candles have none; it goes with --tape")
        if days is not None and is_taped:
            raise ConfigError("--days: a tape is played whole; leave it out")
        if days is not None and days < 1:
            raise ConfigError(f"--days: {days} is below 1")
        if is_taped and section.warm_up:
            raise ConfigError(
                f"backtest.warm_up: {section.warm_up} candles, but a tape has none "
                "before its beginning; leave it 0"
            )
        where = "--tape" if is_taped else "--candles"
        if tape or candles:
            files = _named(where, tape or candles or ())
        else:
            where = f"backtest.{'tape' if is_taped else 'data'}"
            files = _settled(settings, section.tape if is_taped else section.data)
        return cls(
            files=files,
            where=where,
            is_taped=is_taped,
            queue=queue or section.queue,
            resolution=resolution or section.resolution,
            days=None if is_taped else days or section.days,
        )

    def check(self, symbols: Iterable[str]) -> None:
        """Refuse files of markets that nobody trades.

        Raises:
            ConfigError: there is one.
        """
        for symbol in self.files:
            if symbol and symbol not in set(symbols):
                raise ConfigError(
                    f"{self.where}: no strategy trades {symbol}; leave it out, or say "
                    f"so with --market {symbol}"
                )

    def read(
        self, symbols: Sequence[str]
    ) -> tuple[CandleData, ...] | tuple[TapeData, ...]:
        """Return the data of some markets.

        Raises:
            ConfigError: a file is missing, cannot be read, or holds nothing of them.
        """
        files = [(symbol, self._file(symbol, symbols)) for symbol in symbols]
        if self.is_taped:
            return tuple(self._tape(symbol, file) for symbol, file in files)
        return self._candles(files)

    def _file(self, symbol: str, symbols: Sequence[str]) -> Path:
        file = self.files.get(symbol, self.files.get(""))
        if file is None:
            known = ", ".join(self.files)
            raise ConfigError(
                f"{self.where}: has nothing of {symbol}, but of {known}; name its file "
                "too, or the markets to trade with --market"
            )
        if symbol not in self.files and len(symbols) > 1 and not self.is_taped:
            raise ConfigError(
                f"{self.where}: one file for {', '.join(symbols)}; name one for each, "
                f"such as --candles {symbol}={file.name}"
            )
        return file

    def _tape(self, symbol: str, file: Path) -> TapeData:
        if symbol not in (found := tape_symbols(file)):
            raise ConfigError(
                f"{self.where}: {file.name} is of {', '.join(found)}, not of {symbol}; "
                "choose what is traded with --market"
            )
        tape = TapeData(
            file, symbol=symbol, queue=self.queue, resolution=self.resolution or "1m"
        )
        # Damage is told before anything runs.
        _ = tape.read
        return tape

    def _candles(self, files: Sequence[tuple[str, Path]]) -> tuple[CandleData, ...]:
        found = []
        for symbol, file in files:
            reading = CandleFile(file, symbol=symbol, resolution=self.resolution)
            rows = list(reading)
            if not rows:
                raise ConfigError(f"{file}: holds no candles")
            series = reading.series
            if series.gap_count >= len(rows) > 1:
                raise ConfigError(
                    f"{self.where}: no two candles of {file.name} are "
                    f"{series.resolution} apart; leave the resolution out, or give "
                    "that of the file"
                )
            notes = (f"from {file.name}", *series.notes())
            found.append(CandleData(symbol, series.resolution, rows, notes=notes))
        if self.days is None:
            return tuple(found)
        # The same days of all markets.
        last_ms = max(one.rows[-1].start_ms for one in found)
        begin_ms = last_ms - self.days * DAY_MS
        for one in found:
            if one.rows[-1].start_ms <= begin_ms:
                raise ConfigError(
                    f"{self.where}: there are no candles of {one.symbol} in the last "
                    f"{self.days} days of the others; give files of the same time"
                )
        return tuple(
            dataclasses.replace(
                one, rows=[row for row in one.rows if row.start_ms > begin_ms]
            )
            for one in found
        )


def _named(flag: str, given: Sequence[str]) -> dict[str, Path]:
    """Return files by the symbols that stand before them."""
    found: dict[str, Path] = {}
    for one in given:
        symbol, equals, file = one.partition("=")
        if not equals or not _SYMBOL.fullmatch(symbol):
            symbol, file = "", one
        if not file:
            raise ConfigError(f"{flag}: {one!r} names no file; write SYMBOL=FILE")
        if symbol in found:
            whose = f"there are two files of {symbol}" if symbol else "is given twice"
            raise ConfigError(
                f"{flag}: {whose}; name one for each market, as SYMBOL=FILE"
            )
        found[symbol] = Path(file).expanduser()
    if "" in found and len(found) > 1:
        raise ConfigError(
            f"{flag}: {found['']} has no market before it; write SYMBOL={found['']}"
        )
    return found


def _settled(
    settings: BotSettings, given: str | Mapping[str, str] | None
) -> dict[str, Path]:
    """Return the files that the settings name, by symbol."""
    if not given:
        raise ConfigError(
            "backtest.data: no candles and no tape; name a file with --candles or "
            "--tape, or in the settings"
        )
    files = {"": given} if isinstance(given, str) else given
    return {symbol: settings.place(file) for symbol, file in files.items()}
