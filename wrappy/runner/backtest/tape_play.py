"""Recorded tapes, played as the life of their markets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.runner.worlds.exchange_candles import ExchangeCandles
from wrappy.venue.flow import MergedFlow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from decimal import Decimal

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.environment import Environment
    from wrappy.lighter.ws import WsInfo
    from wrappy.runner.backtest.settings import BacktestSettings
    from wrappy.runner.backtest.tape_data import TapeData
    from wrappy.runner.backtest.tape_part import TapePart
    from wrappy.runner.risk.limits import RiskLimits
    from wrappy.runner.worlds.candle_source import CandleSource
    from wrappy.venue.events import FlowAction
    from wrappy.venue.flow import Flow
    from wrappy.venue.settings import VenueSettings


class TapePlay:
    """Tapes of one market or several; see `Play`.

    Trading begins with the first book of any and ends with the last line of any.

    Args:
        tapes: of different markets, recorded at the same time.
        settings: what is assumed.

    Raises:
        ConfigError: tapes that do not fit each other or the settings.
    """

    def __init__(self, tapes: Sequence[TapeData], settings: BacktestSettings) -> None:
        if settings.warm_up:
            raise ConfigError(
                f"warm_up: {settings.warm_up} candles, but a tape has none before its "
                "beginning; leave it 0"
            )
        if len({tape.symbol for tape in tapes}) < len(tapes):
            raise ConfigError("data: two tapes of one market")
        if len({tape.queue for tape in tapes}) > 1:
            raise ConfigError("queue: all tapes have to be played with one model")
        self.data = tuple(tapes)
        self._settings = settings
        self._by_index = {tape.market.market_id: tape for tape in tapes}
        self.begin_us = min(tape.begin_us for tape in tapes)
        self.end_us = max(tape.end_us for tape in tapes)
        if max(tape.begin_us for tape in tapes) > min(tape.end_us for tape in tapes):
            raise ConfigError("data: the tapes are not of the same time")
        self._open: list[TapePart] = []

    def venue(self) -> VenueSettings:
        """Return the exchange's settings."""
        symbols = tuple(tape.symbol for tape in self.data)
        return replace(self._settings.venue(symbols), queue=self.data[0].queue)

    def flow(self) -> MergedFlow:
        """Return the life of all markets, counted from the beginning of trading."""
        flows: list[Flow] = []
        for tape in self.data:
            self._open.append(tape.open())
            late_us = tape.begin_us - self.begin_us
            flows.append(_Late(self._open[-1], late_us))
        return MergedFlow(flows)

    def close(self) -> None:
        """Close the files."""
        while self._open:
            self._open.pop().close()

    def candles(
        self,
        environment: Environment,  # noqa: ARG002 - Play's
    ) -> Callable[[Mapping[str, LighterDealer], WsInfo], CandleSource]:
        """Return what makes the strategy's source: the exchange tells them."""
        return ExchangeCandles

    def decided_at(self, market_index: int, at_us: int) -> int:
        """Return the middle of the tape's book at a time, 0 while unknown."""
        return self._by_index[market_index].read.mid_at(at_us)

    def arrived_at(self, market_index: int, at_us: int) -> int:
        """Return the same: the mark price follows the book from afar only."""
        return self.decided_at(market_index, at_us)

    def prices(self, symbol: str) -> Iterator[tuple[int, Decimal]]:
        """Yield the middles of the tape's book, with unix milliseconds."""
        tape = next(tape for tape in self.data if tape.symbol == symbol)
        market, read = tape.market, tape.read
        for at_us, mid in zip(read.mid_us, read.mids, strict=True):
            yield at_us // 1_000, market.price(mid)

    def limits(self) -> RiskLimits | None:
        """Return what the risk guard allows: a tape has every trade."""
        return self._settings.limits

    def models(self) -> dict[str, str]:
        """Return the assumptions in words."""
        return self._settings.models(self.data[0].queue)

    def described(self) -> tuple[str, ...]:
        """Return what the tapes are, in words."""
        return tuple(
            f"{tape.symbol} tape: {note}" for tape in self.data for note in tape.notes
        )


class _Late:
    """A flow whose time 0 is somewhat later."""

    def __init__(self, flow: Flow, late_us: int) -> None:
        self._flow = flow
        self._late_us = late_us

    def next_at_us(self) -> int | None:
        at_us = self._flow.next_at_us()
        return None if at_us is None else at_us + self._late_us

    def step(self, now_us: int) -> list[FlowAction]:
        return self._flow.step(now_us - self._late_us)
