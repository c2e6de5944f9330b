"""A world: an address, an account, a clock and a source of candles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from wrappy.lighter.environment import NATIVE, Environment
from wrappy.runner.worlds.exchange_candles import ExchangeCandles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.ws import WsInfo
    from wrappy.runner.worlds.candle_source import CandleSource
    from wrappy.runner.worlds.dry_run import DryRunLog
    from wrappy.runner.worlds.simulation import Simulation
    from wrappy.venue.accounts import VenueAccount

WorldName = Literal["backtest", "paper", "venue", "testnet", "mainnet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Where strategies live.

    Attributes:
        name: what kind of world it is; for people, never for strategies.
        config: address, account and keys, without a market.
        environment: clocks, connections and signers.
        candles: makes a strategy's source of candles out of its dealers and streams.
        seed: of the strategies' chance.
        watches_risk: whether the account's money is asked for at intervals; a
            simulation tells of it by itself.
        simulation: what tells of the account at once and without a stream; None where
            it has to be asked.
        accounts: a local exchange's accounts, with their keys.
        place: where it is, for people.
        notes: tells what stands in the way of trading now, a line each; nothing where
            nothing does.
        shown: what a dry run would have sent; None where things are sent.
    """

    name: WorldName
    config: DealerConfig
    environment: Environment = NATIVE
    candles: Callable[[Mapping[str, LighterDealer], WsInfo], CandleSource] = (
        ExchangeCandles
    )
    seed: int = 1
    watches_risk: bool = True
    simulation: Simulation | None = None
    accounts: tuple[VenueAccount, ...] = field(default=(), repr=False)
    place: str = ""
    notes: Callable[[], tuple[str, ...]] = tuple
    shown: DryRunLog | None = None

    @property
    def is_dry(self) -> bool:
        """Whether orders are shown and never sent."""
        return self.config.prefer_high_level
