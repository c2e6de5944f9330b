"""What a world is opened with."""

from __future__ import annotations

from collections.abc import (  # noqa: TC003 - types of fields
    Callable,
    Mapping,
)
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import get_args

from wrappy.errors import ConfigError
from wrappy.lighter.config import NETWORKS, DealerConfig
from wrappy.lighter.environment import NATIVE, Environment
from wrappy.runner.in_process import TravelTimes
from wrappy.runner.worlds.world import WorldName
from wrappy.venue.settings import VenueSettings

DEAD_MAN_S = 360
"""Default horizon of the dead man's switch: six minutes."""

MOST_STALE_S = 40.0
_MICRO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """How orders are matched on paper.

    Attributes:
        balance: start balance in USDC.
        tier: account tier: fees, delays and limits.
        queue: where our orders stand among the others at their price, see
            `VenueSettings.queue`.
        travel: how long requests and replies are on their way.
        stale_after_s: silence of the public connection after which the market
            stands still, 1 to 40 seconds.
        ready_timeout_s: longest wait for the first books.

    Raises:
        ConfigError: a value that cannot work.
    """

    balance: Decimal = Decimal(10_000)
    tier: str = "premium"
    queue: str = "risk-averse"
    travel: TravelTimes = field(
        default_factory=lambda: TravelTimes(request_ms=(20, 20), reply_ms=(20, 20))
    )
    stale_after_s: float = 15.0
    ready_timeout_s: float = 15.0

    def __post_init__(self) -> None:
        # Settings files hold anything.
        balance: object = self.balance
        is_number = isinstance(balance, Decimal) and balance.is_finite()
        if not is_number or not 0 < self.balance < 10**12:
            raise ConfigError(
                f"paper.balance: {self.balance!r} is no Decimal above 0 and below a "
                "million millions"
            )
        if not 1 <= self.stale_after_s <= MOST_STALE_S:
            raise ConfigError(
                f"paper.stale_after_s: {self.stale_after_s!r} is not within 1..40"
            )
        if not 0 < self.ready_timeout_s < float("inf"):
            raise ConfigError(
                f"paper.ready_timeout_s: {self.ready_timeout_s!r} is not above 0"
            )
        self.venue(("ETH",), seed=1)

    def venue(self, symbols: tuple[str, ...], *, seed: int) -> VenueSettings:
        """Return the settings of the exchange that matches our orders."""
        return VenueSettings(
            seed=seed,
            tier=self.tier,
            queue=self.queue,  # type: ignore[arg-type]  # it is checked there
            collateral=int(self.balance * _MICRO),
            symbols=symbols,
            flow="none",
            verify=False,
            enforce_limits=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldSettings:
    """Which world, and how.

    Attributes:
        name: `venue`, `paper`, `testnet` or `mainnet`.
        symbols: markets; needed on paper, and what an embedded exchange opens.
        seed: of the strategies' chance, and of a local exchange.
        url: `venue`: a running local exchange instead of an embedded one. `paper`:
            whose market is mirrored: `mainnet` (also None), `testnet` or an address.
        tape: recorded market that an embedded exchange replays.
        tier: account tier at an embedded exchange.
        account: which of a local exchange's accounts is ours, from 0.
        settings: whole settings of an embedded exchange, in place of seed, symbols,
            tape and tier.
        live: needed for real money.
        confirm: needed for real money: is shown what is about to be traded and says
            whether that is meant; or the text that it says, typed.
        key_file: account and key of testnet, mainnet or a running exchange; without
            one they come from `LIGHTER_*` variables.
        dry_run: sign and show orders, send none.
        dead_man_s: horizon of the dead man's switch where an exchange outlives us;
            None leaves it alone.
        dealer: what else dealers are set up with, such as `state_dir`.
        paper: how orders are matched on paper.
        networks: addresses of `testnet` and `mainnet`.
        environment: clocks and connections of the way out.

    Raises:
        ConfigError: there is no such world, or something does not go with it.
    """

    name: WorldName = "venue"
    symbols: tuple[str, ...] = ()
    seed: int = 1
    url: str | None = None
    tape: Path | None = None
    tier: str = "premium"
    account: int = 0
    settings: VenueSettings | None = None
    live: bool = False
    confirm: Callable[[str], bool] | str | None = None
    key_file: Path | None = None
    dry_run: bool = False
    dead_man_s: int | None = DEAD_MAN_S
    dealer: DealerConfig = field(default_factory=DealerConfig)
    paper: PaperSettings = field(default_factory=PaperSettings)
    networks: Mapping[str, str] = field(default_factory=lambda: dict(NETWORKS))
    environment: Environment = NATIVE

    def __post_init__(self) -> None:
        worlds = [name for name in get_args(WorldName) if name != "backtest"]
        if self.name not in worlds:
            told = "; a backtest is run with run_backtest"
            raise ConfigError(
                f"network: {self.name!r} is none of {', '.join(worlds)}"
                f"{told if self.name == 'backtest' else ''}"
            )
        if isinstance(self.symbols, str):
            raise ConfigError(
                f"symbols: {self.symbols!r} is one text; give a list, such as ['ETH']"
            )
        object.__setattr__(self, "symbols", tuple(dict.fromkeys(self.symbols)))
        if self.tape is not None:
            object.__setattr__(self, "tape", Path(self.tape))
        if self.key_file is not None:
            object.__setattr__(self, "key_file", Path(self.key_file))
        for name in ("live", "dry_run"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(
                    f"{name}: {getattr(self, name)!r} is not true or false"
                )
        self._check_together()

    def _check_together(self) -> None:
        embedded = self.name == "venue" and self.url is None
        for name in ("tape", "settings"):
            if getattr(self, name) is not None and not embedded:
                raise ConfigError(f"{name}: only an embedded exchange takes one")
        if self.url is not None and self.name in ("testnet", "mainnet"):
            raise ConfigError(f"url: {self.name} has an address of its own")
        if self.name == "paper" and not self.symbols:
            raise ConfigError("symbols: name the markets that are mirrored")
        if self.name in ("testnet", "mainnet") and self.name not in self.networks:
            raise ConfigError(f"networks: there is no address of {self.name}")
        if type(self.account) is not int or self.account < 0:
            raise ConfigError(f"account: {self.account!r} is no number from 0")
