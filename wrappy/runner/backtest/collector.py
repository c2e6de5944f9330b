"""Turns what the exchange writes down of an account into figures."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING

from wrappy.model import Side
from wrappy.runner.backtest.spot_trades import SpotTrades
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
    from collections.abc import Mapping, Sequence

    from wrappy.runner.backtest.play import Play
    from wrappy.runner.performance.recorder import PerformanceRecorder
    from wrappy.runner.worlds.equity_ear import EquityEar
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

    Attributes:
        ear: told of the equity where it wants to be; None for nobody.
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
        self.ear: EquityEar | None = None
        self._last: int | None = None
        self._spot = SpotTrades()
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
        equity, notional = self._worth(self._exchange.lot_values)
        self._recorder.sample(now_ms, equity, notional)
        ear = self.ear
        if ear is not None:
            if not ear.is_calm(now_ms, equity):
                ear.take(now_ms, equity, self._last)
            self._last = equity

    def equity(self) -> int:
        """Return the account's worth now, 1e-6 USDC."""
        return self._worth(self._exchange.lot_values)[0]

    def _worth(self, values: Mapping[int, int]) -> tuple[int, int]:
        # Equity, and the unsigned value of all that is held.
        ledger, spot = self._account.ledger, self._spot
        equity, notional = ledger.equity(values), ledger.position_value(values)
        if spot.lots:
            equity, notional = (
                equity + spot.equity(values),
                notional + spot.value(values),
            )
        return equity, notional

    def _lots(self, market_index: int) -> int:
        return self._account.ledger.size(market_index) + self._spot.size(market_index)

    def passed(self, runs: Sequence[CalmRun], *, begin_ms: int) -> None:
        """Take equity and exposure along candles in which nothing else happens.

        Args:
            runs: of one market or several.
            begin_ms: time 0 of theirs, unix milliseconds.
        """
        exchange = self._exchange
        held = [run for run in runs if self._lots(run.action.market_index)]
        if not held:
            return
        equity, notional = self._worth(exchange.lot_values)
        points = list(chain.from_iterable(_corners(run, begin_ms) for run in held))
        if len(held) > 1:
            # Of several markets; two runs of one are in order as they are.
            points.sort(key=itemgetter(0))
        sample, ear = self._recorder.sample, self.ear
        before = {index: state.mark_price for index, state in exchange.markets.items()}
        worth = {
            index: self._lots(index) * state.market.quote_multiplier
            for index, state in exchange.markets.items()
        }
        for at_ms, index, price in points:
            moved = price - before[index]
            if moved:
                before[index] = price
                change = worth[index] * moved
                earlier = equity
                equity += change
                notional += change if worth[index] > 0 else -change
                sample(at_ms, equity, notional)
                # As `is_calm` says it, without a call for each corner of each candle.
                if ear is not None and not (
                    ear.lowest <= equity <= ear.highest and at_ms < ear.until_ms
                ):
                    ear.take(at_ms, equity, earlier)
        self._last = equity

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
        market = self._exchange.markets[trade.market_index].market
        decided, arrived = self._middles.get(number, (0, 0))
        value = trade.base * market.quote_multiplier
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
        if market.is_spot:
            purse = self._account.shares_purse(market.quote_asset_id)
            self._spot.fill(fill, moves_cash=not purse)
        self._recorder.fill(fill)
        self.sample(fill.at_ms)


def _corners(run: CalmRun, begin_ms: int) -> list[tuple[int, int, int]]:
    # (unix milliseconds, market, price) of the corners of candles' paths.
    index, length_ms = run.action.market_index, run.length_us // 1_000
    one_ms, two_ms, end_ms = length_ms // LEGS, 2 * length_ms // LEGS, length_ms - 1
    points: list[tuple[int, int, int]] = []
    for start_us, first, high, low, last, _ in run.bars:
        at_ms = begin_ms + start_us // 1_000
        _, near, far, _ = corners_in_order(first, high, low, last)
        points += (
            (at_ms, index, first),
            (at_ms + one_ms, index, near),
            (at_ms + two_ms, index, far),
            (at_ms + end_ms, index, last),
        )
    return points
