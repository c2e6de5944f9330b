"""Candles of the exchange over REST: the thin shell around `CandlePages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from wrappy.runner.history.pages import PATH, CandlePages
from wrappy.runner.history.sequence import CandleSequence
from wrappy.runner.history.values import CandleSeries, OnGap, resolution_ms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from wrappy.model import Candle

Fetch: TypeAlias = (
    "Callable[[str, Mapping[str, str]], Awaitable[bytes | str | Mapping[str, Any]]]"
)
"""Asks the exchange: path and parameters in, the answer's body (or object) out.

It paces itself and raises what its network raises; nothing is asked twice here.
"""


class CandleDownload:
    """Candles of one market, oldest first, page by page in constant memory.

        download = CandleDownload(fetch, market_id=0, resolution="1m", ...)
        async for candle in download:
            ...
        print(download.series.notes())

    A minute without a trade has no candle at the exchange: it shows as a gap.

    Args:
        fetch: asks the exchange, see `Fetch`.
        market_id: index of the market.
        resolution: `1m`, `5m`, `15m`, `30m`, `1h`, `4h`, `12h`, `1d` or `1w`.
        start_ms: beginning of the first candle, unix milliseconds.
        end_ms: candles that begin before it are fetched.
        now_ms: the exchange's time; a candle that is not over by then is dropped, and
            the summary says so.
        symbol: market, for the summary.
        on_gap: `report`, `refuse` or `flat`, see `CandleSequence`.

    Raises:
        ConfigError: an argument cannot work.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        market_id: int,
        resolution: str,
        start_ms: int,
        end_ms: int,
        now_ms: int,
        symbol: str = "",
        on_gap: OnGap = "report",
    ) -> None:
        self._fetch = fetch
        self._market_id = market_id
        self._resolution = resolution
        self._start_ms = start_ms
        self._end_ms = min(end_ms, now_ms)
        self._now_ms = now_ms
        self._symbol = symbol
        self._on_gap = on_gap
        self._sequence = self._new_sequence()
        self._new_pages()

    @property
    def series(self) -> CandleSeries:
        """What the latest pass has found so far."""
        return self._sequence.series(time_format="unix time in ms, of the exchange")

    async def __aiter__(self) -> AsyncIterator[Candle]:
        """Ask for the pages one after the other.

        Raises:
            ProtocolError: an answer cannot be read.
            HistoryError: candles contradict each other, or a gap is to be refused.
        """
        pages = self._new_pages()
        self._sequence = sequence = self._new_sequence()
        line = 0
        while (parameters := pages.request()) is not None:
            for candle in pages.receive(await self._fetch(PATH, parameters)):
                line += 1
                for over in sequence.feed(candle, line):
                    yield over
        for over in sequence.end(as_of_ms=self._now_ms):
            yield over

    def _new_pages(self) -> CandlePages:
        return CandlePages(
            market_id=self._market_id,
            resolution=self._resolution,
            start_ms=self._start_ms,
            end_ms=self._end_ms,
        )

    def _new_sequence(self) -> CandleSequence:
        resolution_ms(self._resolution)
        return CandleSequence(
            source=f"{PATH} of market {self._market_id}",
            symbol=self._symbol,
            resolution=self._resolution,
            on_gap=self._on_gap,
        )
