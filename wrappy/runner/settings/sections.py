"""The sections of a settings file, typed; each default is the careful choice."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - a field's type
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from wrappy.errors import ConfigError
from wrappy.lighter.config import FIRST_OWN_KEY_INDEX, LAST_KEY_INDEX
from wrappy.lighter.config_checks import check_base_url, shown

if TYPE_CHECKING:
    from wrappy.runner.alerts.settings import AlertSettings
    from wrappy.runner.monitor.settings import MonitorSettings
    from wrappy.runner.risk.limits import RiskLimits

NetworkName = Literal["venue", "paper", "testnet", "mainnet"]

DEAD_MAN_S: Final = 360
"""Orders of a bot that falls silent are gone after so many seconds, unless its
settings say otherwise."""

_LEAST_POINTS: Final = 4

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name}: {value} is outside {low}..{high}")


def _file_name(name: str, value: str | None) -> None:
    if value is not None and not _NAME.fullmatch(value):
        raise ConfigError(
            f"{name}: {shown(value)} cannot be a file's name; use letters, digits, "
            "_ . -"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSection:
    """Where the bot trades, and as whom.

    Attributes:
        name: `venue` (a local exchange), `paper`, `testnet` or `mainnet`.
        url: address of the exchange; with `venue` that of a running local one, None
            starts one. `LIGHTER_BASE_URL` beats it.
        account_index: the account; `LIGHTER_ACCOUNT_INDEX` beats it.
        api_key_index: the key, 4 to 254; `LIGHTER_API_KEY_INDEX` beats it.
        key_file: file of mode 600 with the private key; `LIGHTER_API_KEY` beats it.
        spare_key_file: file with another key of the account, for `wrappy stop` when
            the bot's own cannot be had.
        seed: of a local exchange and of strategies' chance.
        tape: recorded market that a local exchange replays.
    """

    name: NetworkName = "venue"
    url: str | None = None
    account_index: int | None = None
    api_key_index: int | None = None
    key_file: str | None = None
    spare_key_file: str | None = None
    seed: int = 1
    tape: str | None = None

    def __post_init__(self) -> None:
        if self.url is not None:
            try:
                check_base_url(self.url)
            except ConfigError as error:
                words = str(error).removeprefix("base_url: ")
                raise ConfigError(f"url: {words}") from None
        if self.account_index is not None:
            _between("account_index", self.account_index, 1, (1 << 48) - 2)
        if self.api_key_index is not None:
            low, high = FIRST_OWN_KEY_INDEX, LAST_KEY_INDEX
            _between("api_key_index", self.api_key_index, low, high)
        _between("seed", self.seed, 0, 2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySection:
    """One strategy.

    Attributes:
        use: `path.py:Class` (beside the settings file or in a folder of it),
            `module:Class`, or the bare name of an example.
        name: what it is called; None takes its own name.
        enabled: whether it runs.
        symbols: its markets.
        parameters: as its class names them.
    """

    use: str
    name: str | None = None
    enabled: bool = True
    symbols: tuple[str, ...] = ("ETH",)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.use:
            raise ConfigError("use: is empty; name a strategy")
        _file_name("name", self.name)
        if not self.symbols or not all(self.symbols):
            raise ConfigError("symbols: names no market; give such as ['ETH']")
        if len(set(self.symbols)) < len(self.symbols):
            raise ConfigError("symbols: a market stands there twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSection:
    """How the bot runs.

    Attributes:
        name: what the running bot is called, for `wrappy status` and `wrappy stop`;
            None takes the settings file's name.
        state_dir: folder of journals, locks and states; `LIGHTER_STATE_DIR` beats it.
        stop_timeout_s: longest wait for orders to be gone at the end.
        audit_s: seconds from one comparison of what the streams tell with what the
            account answers to the next, 10 to 3,600; two requests each. 0 for none.
        dead_man_s: the exchange cancels all orders of the account when the bot is
            silent for so long, 300 to 86,400 seconds; 0 leaves that alone.
        unknown_orders: live orders that no journal knows: `refuse` to start, `adopt`
            or `cancel` them.
        use_websocket: send over the WebSocket instead of REST.
        standard_account: pace for a standard account; None asks the exchange.
        slippage_bps: bound of a market order without a price.
    """

    name: str | None = None
    state_dir: str | None = None
    stop_timeout_s: float = 5.0
    audit_s: int = 60
    dead_man_s: int = DEAD_MAN_S
    unknown_orders: Literal["refuse", "adopt", "cancel"] = "refuse"
    use_websocket: bool = False
    standard_account: bool | None = None
    slippage_bps: int = 100

    def __post_init__(self) -> None:
        _file_name("name", self.name)
        if not 0 < self.stop_timeout_s <= 600:  # noqa: PLR2004 - false for NaN too
            raise ConfigError(
                f"stop_timeout_s: {self.stop_timeout_s} is outside 0..600"
            )
        if self.audit_s:
            _between("audit_s", self.audit_s, 10, 3_600)
        if self.dead_man_s:
            _between("dead_man_s", self.dead_man_s, 300, 86_400)
        _between("slippage_bps", self.slippage_bps, 0, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSection:
    """What is written down.

    Attributes:
        level: the least that is.
        file: where, besides the terminal; mode 600, turned over when it is full.
        format: `text`, or `json`: one object a line.
        max_bytes: size of a full file.
        backups: full files that are kept.
    """

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    file: str | None = None
    format: Literal["text", "json"] = "text"
    max_bytes: int = 10_000_000
    backups: int = 5

    def __post_init__(self) -> None:
        _between("max_bytes", self.max_bytes, 10_000, 10**10)
        _between("backups", self.backups, 1, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestSection:
    """What `wrappy backtest` and `wrappy sweep` assume; see `BacktestSettings`.

    Attributes:
        data: file of candles, CSV or Parquet; for several markets a table of such,
            by symbol.
        tape: recorded market or markets to trade on instead; a file, or a table of
            such, by symbol.
        queue: where orders stand at their price on a tape: `risk-averse` behind all
            that was there, `prob` brought forward by cancels too, `front` before all.
        resolution: length of its candles; None finds it out. On a tape that of the
            charts' candles, a minute unless given.
        days: how many of its last days; None takes all. Not for tapes.
        capital: start capital in USDC.
        tier: account tier.
        request_ms: travel time of a request, two bounds.
        reply_ms: travel time of a reply, two bounds.
        spread_ticks: between the quotes; like the next three and `points` for candles
            only, a tape has quotes of its own.
        slippage_ticks: how much farther each stands from the path.
        fill_on_touch: whether a touched price fills.
        hold_takers: whether takers wait for the next point of the path.
        funding: whether funding is paid.
        warm_up: candles that are history only; 0 on a tape.
        points: points of a candle's path: 4, 7, 10, ...
        seed: of chance.
        stop_timeout_s: longest wait for orders to be gone at the end, in seconds of
            the backtest.
    """

    data: str | dict[str, str] | None = None
    tape: str | dict[str, str] | None = None
    queue: Literal["risk-averse", "prob", "front"] = "risk-averse"
    resolution: str | None = None
    days: int | None = None
    capital: Decimal = Decimal(10_000)
    tier: str = "premium"
    request_ms: tuple[int, int] = (20, 20)
    reply_ms: tuple[int, int] = (20, 20)
    spread_ticks: int = 1
    slippage_ticks: int = 0
    fill_on_touch: bool = False
    hold_takers: bool = False
    funding: bool = True
    warm_up: int = 0
    points: int = 4
    seed: int = 1
    stop_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if self.tape is not None and self.data is not None:
            raise ConfigError("tape: stands beside data; remove one of them")
        if self.days is not None:
            _between("days", self.days, 1, 100_000)
            if self.tape is not None:
                raise ConfigError("days: a tape is played whole; remove one of them")
        _between("spread_ticks", self.spread_ticks, 1, 1_000_000)
        _between("slippage_ticks", self.slippage_ticks, 0, 1_000_000)
        _between("points", self.points, _LEAST_POINTS, 1_000)
        if self.points % 3 != 1:
            raise ConfigError(f"points: {self.points} is none of 4, 7, 10, ...")
        _between("seed", self.seed, 0, 2**63 - 1)
        if not 0 < self.stop_timeout_s <= 600:  # noqa: PLR2004 - false for NaN too
            raise ConfigError(
                f"stop_timeout_s: {self.stop_timeout_s} is outside 0..600"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSettings:
    """A whole settings file.

    Attributes:
        network: where and as whom.
        strategies: what runs.
        engine: how.
        log: what is written down.
        backtest: what a backtest assumes.
        limits: of the account; None when there is no section [risk].
        monitor: the page to look at; None when there is no section [monitor].
        alerts: messages to a person; None when there is no section [alerts].
        path: the file; None when there is none.
    """

    network: NetworkSection = field(default_factory=NetworkSection)
    strategies: tuple[StrategySection, ...] = ()
    engine: EngineSection = field(default_factory=EngineSection)
    log: LogSection = field(default_factory=LogSection)
    backtest: BacktestSection = field(default_factory=BacktestSection)
    limits: RiskLimits | None = None
    monitor: MonitorSettings | None = None
    alerts: AlertSettings | None = None
    path: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder that relative names in the file start from."""
        return Path.cwd() if self.path is None else self.path.parent

    @property
    def bot_name(self) -> str:
        """What the running bot is called."""
        if self.engine.name is not None:
            return self.engine.name
        stem = "wrappy" if self.path is None else self.path.stem
        return stem if _NAME.fullmatch(stem) else "wrappy"

    def place(self, name: str) -> Path:
        """Return a file that the settings name."""
        return self.folder / Path(name).expanduser()

    def on(self, network: NetworkName) -> BotSettings:
        """Return the settings for another network; an address stays with its own."""
        if network == self.network.name:
            return self
        return replace(self, network=replace(self.network, name=network, url=None))
