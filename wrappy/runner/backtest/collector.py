"""Turns what the exchange writes down of an account into figures."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from wrappy.model import Side
from wrappy.runner.performance.fills import Fill
from wrappy.venue.candle_flow import LEGS, corners_in_order
from wrappy.venue.events import (
    FundingPaid,
    OrderChanged,
    TradeExecuted,
    TxAccepted,
    TxRefused,
)
from wrappy.venue.orders import created_orders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wrappy.runner.backtest.play import Play
    from wrappy.runner.performance.recorder import PerformanceRecorder
    from wrappy.venue.candle_flow import CalmRun
    from wrappy.venue.events import Event, Trade
    from wrappy.venue.exchange import Exchange


class Collector:
    """Listens to an exchange's log and feeds a recorder.

    Args:
        exchange: what is listened to.
        account: whose events count.
        recorder: takes the figures.
        prices: what the market was at when an order left.
        travel_us: how long before its acceptance that was.
    """

    def __init__(
        self,
        exchange: Exchange,
        account: int,
        recorder: PerformanceRecorder,
        *,
        prices: Play,
        travel_us: int,
    ) -> None:
        self.fills: list[Fill] = []
        self._exchange = exchange
        self._account = exchange.accounts[account]
        self._index = account
        self._recorder = recorder
        self._prices = prices
        self._travel_us = travel_us
        # By client order index: the middle at decision and at arrival.
        self._middles: dict[int, tuple[int, int]] = {}
        self._ended: set[int] = set()

    def hear(self, event: Event) -> None:
        """Take one event of the log."""
        if isinstance(event, TradeExecuted):
            self._trade(event.trade)
        elif isinstance(event, OrderChanged):
            if event.order.owner == self._index:
                self._order(event)
        elif (
            isinstance(event, (TxAccepted, TxRefused, FundingPaid))
            and event.account == self._index
        ):
            self._account_event(event)

    def _account_event(self, event: TxAccepted | TxRefused | FundingPaid) -> None:
        if isinstance(event, TxAccepted):
            self._sent(event)
        elif isinstance(event, TxRefused):
            self._recorder.order_rejected()
        else:
            self._recorder.funding(event.market_index, event.change)
            self.sample(event.at_us // 1_000)

    def sample(self, now_ms: int) -> None:
        """Take equity and exposure as they are."""
        values = self._exchange.lot_values
        ledger = self._account.ledger
        self._recorder.sample(
            now_ms, ledger.equity(values), ledger.position_value(values)
        )

    def passed(self, runs: Sequence[CalmRun], *, begin_ms: int) -> None:
        """Take equity and exposure along candles in which nothing else happens.

        Args:
            runs: of one market or several.
            begin_ms: time 0 of theirs, unix milliseconds.
        """
        exchange, ledger = self._exchange, self._account.ledger
        held = [run for run in runs if ledger.size(run.action.market_index)]
        if not held:
            return
        values = exchange.lot_values
        equity, notional = ledger.equity(values), ledger.position_value(values)
        points = [point for run in held for point in _corners(run, begin_ms)]
        if len(held) > 1:
            # Of several markets; two runs of one are in order as they are.
            points.sort(key=itemgetter(0))
        sample = self._recorder.sample
        before = {index: state.mark_price for index, state in exchange.markets.items()}
        worth = {
            index: ledger.size(index) * state.market.quote_multiplier
            for index, state in exchange.markets.items()
        }
        for at_ms, index, price in points:
            moved = price - before[index]
            if moved:
                before[index] = price
                change = worth[index] * moved
                equity += change
                notional += change if worth[index] > 0 else -change
                sample(at_ms, equity, notional)

    def _sent(self, event: TxAccepted) -> None:
        orders = created_orders(event.tx_type, event.info)
        self._recorder.transactions_sent(1)
        self._recorder.order_sent(len(orders))
        for order in orders:
            market = order["MarketIndex"]
            decided = self._prices.decided_at(market, event.at_us - self._travel_us)
            arrived = self._prices.arrived_at(market, event.at_us)
            arrived = arrived or self._exchange.markets[market].mark_price
            self._middles[order["ClientOrderIndex"]] = (decided or arrived, arrived)

    def _order(self, event: OrderChanged) -> None:
        order = event.order
        if order.status.startswith("canceled") and order.order_index not in self._ended:
            self._ended.add(order.order_index)
            self._recorder.order_canceled()

    def _trade(self, trade: Trade) -> None:
        for is_ask in (True, False):
            owner = trade.ask_account if is_ask else trade.bid_account
            if owner == self._index:
                self._fill(trade, is_ask=is_ask)

    def _fill(self, trade: Trade, *, is_ask: bool) -> None:
        makes = trade.is_maker_ask == is_ask
        share = trade.maker_integrator if makes else trade.taker_integrator
        paid = trade.maker_fee_amount if makes else trade.taker_fee_amount
        number = (
            trade.ask_client_order_index if is_ask else trade.bid_client_order_index
        )
        forced = trade.kind != "trade"
        multiplier = self._exchange.markets[trade.market_index].market.quote_multiplier
        decided, arrived = self._middles.get(number, (0, 0))
        value = trade.base * multiplier
        fill = Fill(
            at_ms=trade.at_us // 1_000,
            market_id=trade.market_index,
            side=Side.SELL if is_ask else Side.BUY,
            size=trade.base,
            quote=trade.quote,
            fee=(0 if forced else paid) + (share.amount if share else 0),
            liquidation_fee=paid if forced else 0,
            is_maker=makes,
            client_order_index=number or None,
            mid_quote_at_decision=decided * value if decided else None,
            mid_quote_at_arrival=arrived * value if arrived else None,
        )
        self.fills.append(fill)
        self._recorder.fill(fill)
        self.sample(fill.at_ms)


def _corners(run: CalmRun, begin_ms: int) -> Iterator[tuple[int, int, int]]:
    # (unix milliseconds, market, price) of the corners of candles' paths.
    index, length_ms = run.action.market_index, run.length_us // 1_000
    late_ms = (0, length_ms // LEGS, 2 * length_ms // LEGS, length_ms - 1)
    for start_us, first, high, low, last, _ in run.bars:
        at_ms = begin_ms + start_us // 1_000
        for late, price in zip(
            late_ms, corners_in_order(first, high, low, last), strict=True
        ):
            yield at_ms + late, index, price
