"""Series over time: candles of trades and mark prices, and the exchange's sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wrappy.protocol.channels import RESOLUTIONS_MS
from wrappy.protocol.codes import OK
from wrappy.venue.candles import (
    render_candle,
    render_mark_price_candle,
)
from wrappy.venue.exchange import Refused
from wrappy.venue.parameters import Parameters, asked_resolution, span, wrong
from wrappy.venue.queries import known_market, row_list
from wrappy.venue.render import price_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wrappy.venue.candles import CandleStore
    from wrappy.venue.floor import Floor
    from wrappy.venue.market_state import MarketState

RANGE_EXCEEDED: Final = 22403
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
PERIODS: Final = ("h", "d", "w", "m", "q", "y", "all")
_STEP_MS: Final = {"h": 60_000, "d": HOUR_MS}
_LENGTH_MS: Final = {
    "h": HOUR_MS,
    "d": DAY_MS,
    "w": 7 * DAY_MS,
    "m": 30 * DAY_MS,
    "q": 90 * DAY_MS,
    "y": 365 * DAY_MS,
}
"""How far back each period goes; `all` goes back to the beginning."""
KINDS: Final = (
    "volume",
    "maker_fee",
    "taker_fee",
    "liquidation_fee",
    "trade_count",
    "liquidation_count",
    "liquidation_volume",
    "inflow",
    "outflow",
    "transfer_fee",
    "withdraw_fee",
    "open_interest",
    "account_count",
    "active_account_count",
    "tps",
    "buyback",
    "buyback_usdc",
)
_MILLION: Final = 1_000_000


class ChartQueries:
    """Endpoints about series that anybody may read."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def public_routes(self) -> dict[str, Callable[[Parameters], Any]]:
        """Return the answering method of each path that anybody may read."""
        v1 = "/api/v1/"
        return {
            v1 + "candles": self._candles,
            v1 + "markPriceCandles": self._mark_price_candles,
            v1 + "marketPriceCharts": self._price_charts,
            v1 + "exchangeMetrics": self._metrics,
            v1 + "executeStats": self._execute_stats,
            v1 + "priceOracleInfo": self._oracle,
        }

    def _candles(self, query: Parameters) -> Any:
        to_end = query.flag("set_timestamp_to_end")
        return self._bars(query, self._floor.candles, render_candle, to_end=to_end)

    def _mark_price_candles(self, query: Parameters) -> Any:
        return self._bars(query, self._floor.mark_candles, render_mark_price_candle)

    def _bars(
        self,
        query: Parameters,
        store: CandleStore,
        render: Callable[..., dict[str, Any]],
        *,
        to_end: bool = False,
    ) -> Any:
        state = known_market(self._floor, query.integer("market_id"))
        resolution = asked_resolution(query, RESOLUTIONS_MS)
        length_ms = RESOLUTIONS_MS[resolution]
        start_ms, end_ms = span(query)
        most = self._floor.settings.candle_range
        if most and (end_ms - start_ms) // length_ms > most:
            raise Refused(RANGE_EXCEEDED)
        bars = store.read(
            state.index,
            length_ms,
            start_ms=start_ms,
            end_ms=end_ms,
            count=query.integer("count_back", low=0),
        )
        rows = [render(bar, state.market) for bar in bars]
        for row in rows:
            row["t"] += length_ms - 1 if to_end else 0
        return {"code": OK, "r": resolution, "c": row_list(self._floor, rows)}

    def _asked_states(self, text: str) -> list[MarketState]:
        numbers = [Parameters({"market_ids": one}) for one in text.split(",") if one]
        ids = [number.integer("market_ids", low=0) for number in numbers]
        states = self._floor.exchange.markets
        return [known_market(self._floor, i) for i in ids] or list(states.values())

    def _price_charts(self, query: Parameters) -> Any:
        # A day of hourly closes, the newest last; the documents do not say more.
        now_ms = self._floor.now_us() // 1_000
        charts = []
        for state in self._asked_states(query.text("market_ids", "")):
            bars = self._floor.candles.read(
                state.index, HOUR_MS, start_ms=now_ms - DAY_MS, end_ms=now_ms, count=0
            )
            prices = [price_text(bar.close, state.market) for bar in bars]
            charts.append({"market_id": state.index, "prices": prices})
        return {"code": OK, "resolution": "1h", "price_charts": charts}

    def _oracle(self, query: Parameters) -> Any:
        symbol = query.text("symbol", "").upper()
        states = [
            state
            for state in self._floor.exchange.markets.values()
            if symbol in ("", state.market.symbol)
        ]
        if not states:
            raise wrong("symbol", "is no market here")
        price = {
            "source": "local",
            "using_median": False,
            "using_internal_price": True,
            "median_sources": [],
            "price_cap_bps": 0,
            "price_cap_reference_price": 0,
        }
        rows = [
            {"symbol": state.market.symbol, "index": price, "mark": price}
            for state in states
        ]
        now_ms = self._floor.now_us() // 1_000
        return {"code": OK, "computed_at_ms": now_ms, "markets": rows}

    def _execute_stats(self, query: Parameters) -> Any:
        return {"period": query.choice("period", *PERIODS), "result": []}

    # ------------------------------------------------------------------- metrics

    def _metrics(self, query: Parameters) -> Any:
        period = query.choice("period", *PERIODS)
        kind = query.choice("kind", *KINDS)
        market: int | None = None
        if query.choice("filter", "", "byMarket", default=""):
            value = Parameters({"value": query.text("value")}).integer("value")
            market = known_market(self._floor, value).index
        now_ms = self._floor.now_us() // 1_000
        step_ms = _STEP_MS.get(period, DAY_MS)
        since_ms = now_ms - _LENGTH_MS[period] if period in _LENGTH_MS else 0
        sums: dict[int, float] = {}
        for at_ms, amount in self._amounts(kind, market, now_ms):
            if since_ms <= at_ms <= now_ms:
                start_s = at_ms // step_ms * step_ms // 1_000
                sums[start_s] = sums.get(start_s, 0) + amount
        rows = [{"timestamp": at, "data": sums[at]} for at in sorted(sums)]
        return {"code": OK, "metrics": rows}

    def _amounts(
        self, kind: str, market: int | None, now_ms: int
    ) -> Iterator[tuple[int, float]]:
        # (unix milliseconds, amount); fees and counts of trades are those of users.
        exchange = self._floor.exchange
        states = [s for i, s in exchange.markets.items() if market in (None, i)]
        users = [a for a in exchange.accounts.values() if not a.is_flow]
        if kind == "volume":
            for state in states:
                for bar in self._floor.candles.minutes(state.index):
                    yield bar.start_ms, bar.quote / _MILLION
        elif kind == "open_interest":
            lots = sum(
                state.open_interest * state.mark_price * state.market.quote_multiplier
                for state in states
            )
            yield now_ms, lots / _MILLION
        elif kind == "account_count":
            yield now_ms, len(users)
        elif kind == "active_account_count":
            yield now_ms, sum(bool(account.transactions) for account in users)
        elif kind.startswith("liquidation_"):
            yield from self._forced(kind, market)
        elif kind in ("maker_fee", "taker_fee", "trade_count"):
            for trade in exchange.log.trades(market_index=market):
                amounts = {
                    "maker_fee": trade.maker_fee_amount / _MILLION,
                    "taker_fee": trade.taker_fee_amount / _MILLION,
                }
                yield trade.at_us // 1_000, amounts.get(kind, 1)

    def _forced(self, kind: str, market: int | None) -> Iterator[tuple[int, float]]:
        for account in self._floor.exchange.accounts.values():
            for record in account.liquidations:
                event = record.event
                if market in (None, event.market_index):
                    amounts = {
                        "liquidation_fee": event.fee / _MILLION,
                        "liquidation_volume": event.quote / _MILLION,
                    }
                    yield event.at_us // 1_000, amounts.get(kind, 1)
