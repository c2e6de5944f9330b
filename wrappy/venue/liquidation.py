"""What happens to an account that is worth too little for what it holds.

Below the maintenance requirement its orders are canceled and its positions closed one
by one, each at once and no worse than its zero price. Below the close-out requirement
the insurance fund takes over what is left of it. Source: the official documentation on
liquidations; the order of the positions, the largest requirement first, is a choice,
as is that the exchange looks at the moment the mark price moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wrappy._core.matching import Fill
from wrappy.venue.accounts import INSURANCE_FUND, UNIFIED
from wrappy.venue.events import Announced, Liquidated, PositionChanged
from wrappy.venue.margin import Health, health_of, part_of, zero_price
from wrappy.venue.market_state import ORDER_NONCE_MASK
from wrappy.venue.orders import (
    CANCELED_LIQUIDATION,
    DELEVERAGE_TRADE,
    LIQUIDATION,
    VenueOrder,
)
from wrappy.venue.render import price_text, size_text, usdc_text
from wrappy.venue.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.venue.accounts import Account
    from wrappy.venue.events import Event, Trade
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.trading import TradingFloor

PARTIAL: Final = "partial"
DELEVERAGE: Final = "deleverage"


@dataclass(frozen=True, slots=True)
class LiquidationRecord:
    """One forced close, as the account may read of it later.

    Attributes:
        event: what was closed.
        trade: the trade that closed it, the last of several.
        part: the isolated market it belonged to; None for the cross part.
        before: health of that part just before.
        after: and just after.
        positions: the account's positions just before, as they are printed.
        mark_prices: ticks by market index.
    """

    event: Liquidated
    trade: Trade
    part: int | None
    before: Health
    after: Health
    positions: list[dict[str, Any]] = field(repr=False)
    mark_prices: dict[int, int] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Before:
    # An account just before a forced close.
    health: Health
    positions: list[dict[str, Any]]
    fees_paid: int


class Liquidations:
    """Watches the accounts of one trading floor."""

    def __init__(self, floor: TradingFloor, emit: Callable[[Event], None]) -> None:
        self._floor = floor
        self._emit = emit
        self._count = 0

    def act(self, now_us: int) -> bool:
        """Judge every account whose worth moved; return whether anything was done."""
        floor = self._floor
        if not floor.shaken:
            return False
        shaken, floor.shaken = floor.shaken, set()
        acted = False
        for index in sorted(shaken):
            account = floor.accounts[index]
            for part in (None, *sorted(account.ledger.allocated)):
                acted |= self._judge(account, part, now_us)
        return acted

    def _health(self, account: Account, part: int | None) -> Health:
        return health_of(account, self._floor.markets, part)

    def _judge(self, account: Account, part: int | None, now_us: int) -> bool:
        health = self._health(account, part)
        if not health.is_partial:
            return False
        acted = self._cancel_orders(account, part, now_us)
        for market_index in self._largest_first(account, part):
            if health.is_full or not self._health(account, part).is_partial:
                break
            acted |= self._close(account, market_index, health, now_us)
            health = self._health(account, part)
        if health.is_full:
            self._take_over(account, part, health, now_us)
            acted = True
        return acted

    def _cancel_orders(self, account: Account, part: int | None, now_us: int) -> bool:
        # All of them; an isolated market's own when only that is in trouble. Spot
        # orders stay where they are paid from another purse.
        markets = self._floor.markets
        spared = account.trading_mode != UNIFIED
        orders = [
            order
            for order in account.open_orders.values()
            if part in (None, order.market_index)
            and not (spared and markets[order.market_index].market.is_spot)
        ]
        for order in orders:
            self._floor.take_out(order, CANCELED_LIQUIDATION, now_us)
        return bool(orders)

    def _largest_first(self, account: Account, part: int | None) -> list[int]:
        floor, ledger = self._floor, account.ledger

        def requirement(market_index: int) -> int:
            fraction = floor.markets[market_index].market.maintenance_margin_fraction
            value = abs(ledger.size(market_index)) * floor.lot_values[market_index]
            return value * fraction

        held = [
            index
            for index, position in ledger.positions.items()
            if position.size and part_of(ledger, index) == part
        ]
        return sorted(held, key=lambda index: (-requirement(index), index))

    def _order(
        self, state: MarketState, account: Account, price: int, now_us: int
    ) -> VenueOrder:
        size = account.ledger.size(state.index)
        return VenueOrder(
            order_index=0,
            owner=account.index,
            owner_group=account.index,
            is_ask=size > 0,
            price=price,
            remaining=abs(size),
            time_in_force=0,
            reduce_only=True,
            market_index=state.index,
            order_type=LIQUIDATION,
            initial_base=abs(size),
            created_us=now_us,
        )

    def _close(
        self, account: Account, market_index: int, health: Health, now_us: int
    ) -> bool:
        # One order for the whole position, if anybody would trade with it.
        state = self._floor.markets[market_index]
        size = account.ledger.size(market_index)
        price = zero_price(state.market, state.mark_price, size, health)
        best = state.engine.best_bid if size > 0 else state.engine.best_ask
        if best is None or (best < price if size > 0 else best > price):
            return False
        order = self._order(state, account, price, now_us)
        order.order_index = state.new_order_index(is_ask=order.is_ask)
        order.nonce = order.order_index & ORDER_NONCE_MASK
        before = self._before(account, health)
        self._floor.run(state, order, now_us, "")
        if order.filled_base:
            self._note(account, order, PARTIAL, before, now_us)
        return True

    def _take_over(
        self, account: Account, part: int | None, health: Health, now_us: int
    ) -> None:
        # At their zero prices the positions leave nothing, or what rounding leaves:
        # the fund takes that too, be it more or less than nothing.
        floor, ledger = self._floor, account.ledger
        collateral = ledger.collateral
        for market_index in self._largest_first(account, part):
            state, size = floor.markets[market_index], ledger.size(market_index)
            price = zero_price(state.market, state.mark_price, size, health)
            told = self._before(account, health)
            taker = self._order(state, account, price, now_us)
            maker = VenueOrder(
                order_index=0,
                owner=INSURANCE_FUND,
                is_ask=not taker.is_ask,
                price=price,
                remaining=0,
                market_index=market_index,
                initial_base=taker.remaining,
            )
            base, taker.remaining = taker.remaining, 0
            fill = Fill(maker, taker, price, base)
            floor.trade(state, fill, now_us, "", kind=DELEVERAGE_TRADE)
            self._note(account, taker, DELEVERAGE, told, now_us)
        rest = health.collateral + ledger.collateral - collateral
        ledger.collateral -= rest
        floor.accounts[INSURANCE_FUND].ledger.collateral += rest
        market_index = next(iter(floor.markets)) if part is None else part
        self._emit(PositionChanged(now_us, account.index, market_index))

    # Telling

    def _before(self, account: Account, health: Health) -> _Before:
        statement = Statement(account, self._floor.markets)
        positions = statement.positions(active_only=True)
        return _Before(health, positions, account.ledger.fees_paid)

    def _note(
        self,
        account: Account,
        order: VenueOrder,
        kind: str,
        before: _Before,
        now_us: int,
    ) -> None:
        self._count += 1
        event = Liquidated(
            now_us,
            self._count,
            account.index,
            order.market_index,
            kind,
            order.is_ask,
            order.price,
            order.filled_base,
            order.filled_quote,
            account.ledger.fees_paid - before.fees_paid,
        )
        self._emit(event)
        part = part_of(account.ledger, order.market_index)
        marks = {
            index: state.mark_price for index, state in self._floor.markets.items()
        }
        after = self._health(account, part)
        account.liquidations.append(
            LiquidationRecord(
                event,
                account.trades[-1],
                part,
                before.health,
                after,
                before.positions,
                marks,
            )
        )
        self._announce(event)

    def _announce(self, event: Liquidated) -> None:
        market = self._floor.markets[event.market_index].market
        kind = "liquidation" if event.kind == PARTIAL else DELEVERAGE
        number = f"{kind}:{event.account}:{event.market_index}:{event.liquidation_id}"
        content: dict[str, Any] = {
            "id": number,
            "usdc_amount": usdc_text(event.quote),
            "size": size_text(event.base, market),
            "market_index": event.market_index,
            "timestamp": event.at_us // 1_000,
        }
        if event.kind == PARTIAL:
            average = event.quote // (event.base * market.quote_multiplier)
            content["is_ask"] = event.is_ask
            content["price"] = price_text(event.price, market)
            content["avg_price"] = price_text(average, market)
        else:
            content["settlement_price"] = price_text(event.price, market)
        self._emit(Announced(event.at_us, number, event.account, kind, content))
