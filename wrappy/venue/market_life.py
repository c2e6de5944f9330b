"""Which flow a market gets: a made-up one, a tape, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wrappy.venue.flow import SyntheticFlow, merge
from wrappy.venue.flow_settings import flow_of
from wrappy.venue.recording import is_recording, recording_markets
from wrappy.venue.recording_flow import RecordingFlow
from wrappy.venue.tape import TapeFlow, tape_symbol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wrappy.model import Market
    from wrappy.venue.flow import Flow
    from wrappy.venue.settings import VenueSettings


class MarketLife(NamedTuple):
    """The flow of all markets, and the tapes in it, which want to be closed."""

    flow: Flow | None
    tapes: tuple[TapeFlow | RecordingFlow, ...] = ()

    def close(self) -> None:
        """Close the files."""
        for tape in self.tapes:
            tape.close()


def tape_symbols(path: Path) -> tuple[str, ...]:
    """Return the symbols that a tape of either format plays.

    Raises:
        ConfigError: the file is missing, empty or of another format.
    """
    if is_recording(path):
        return tuple(market.symbol for market in recording_markets(path))
    return (tape_symbol(path),)


def open_market_life(settings: VenueSettings, markets: Sequence[Market]) -> MarketLife:
    """Return the life of the markets that an exchange opens.

    Markets that the tape does not play are synthetic.

    Raises:
        ConfigError: the tape or a flow's settings cannot work.
    """
    if settings.flow == "none":
        return MarketLife(None)
    path = settings.tape
    taped = () if path is None else tape_symbols(path)
    tapes: list[TapeFlow | RecordingFlow] = []
    flows: list[Flow] = []
    for market in markets:
        if path is None or market.symbol not in taped:
            like = flow_of(market.symbol, settings.synthetic)
            flows.append(SyntheticFlow(market, seed=settings.seed, like=like))
            continue
        kind = RecordingFlow if is_recording(path) else TapeFlow
        tapes.append(kind(path, market))
        flows.append(tapes[-1])
    return MarketLife(merge(flows), tuple(tapes))
