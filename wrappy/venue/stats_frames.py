"""Bodies of the statistics channels: perpetual and spot markets, one or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.channels import channel
from wrappy.venue.render import render_market_stats
from wrappy.venue.spot_render import render_spot_stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wrappy.protocol.channels import Channel
    from wrappy.venue.floor import Floor

STATS_CHANNELS: Final = {"market_stats": False, "spot_market_stats": True}
"""Whether each of them tells of spot markets."""


class StatsFrames:
    """What the two channels are told, from one floor's present state."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def exists(self, wanted: Channel) -> bool:
        """Return whether a channel, if it is one of these, has markets of its type."""
        spot = STATS_CHANNELS.get(wanted.kind.name)
        return spot is None or bool(self._indices(wanted, self._floor.exchange.markets))

    def _indices(self, about: Channel, among: Iterable[int]) -> list[int]:
        spot = STATS_CHANNELS[about.kind.name]
        markets = self._floor.exchange.markets
        return [
            index
            for index in among
            if about.market_index in (None, index)
            and index in markets
            and markets[index].market.is_spot == spot
        ]

    def row(self, market_index: int) -> dict[str, Any]:
        """Return one market's figures."""
        state = self._floor.exchange.markets[market_index]
        if state.market.is_spot:
            return render_spot_stats(state)
        return render_market_stats(state, self._floor.now_us())

    def snapshot(self, about: Channel) -> dict[str, Any]:
        """Return the figures of the one market, or a map of all there are."""
        if about.market_index is None and self._floor.settings.all_stats == "single":
            [first, *_] = self._indices(about, self._floor.exchange.markets)
            return {about.kind.name: self.row(first)}
        return self.body(about, self._floor.exchange.markets)

    def body(self, about: Channel, among: Iterable[int]) -> dict[str, Any]:
        """Return what a channel is told of some markets, its own among them."""
        if about.market_index is not None:
            return {about.kind.name: self.row(about.market_index)}
        rows = {str(index): self.row(index) for index in self._indices(about, among)}
        return {about.kind.name: rows}

    def concerned(self, restless: Iterable[int]) -> Iterator[Channel]:
        """Yield the channels that are to be told of some markets, each once."""
        markets = sorted(restless)
        for name in STATS_CHANNELS:
            everything = channel(name, "all")
            found = self._indices(everything, markets)
            yield from (channel(name, index) for index in found)
            if found:
                yield everything
