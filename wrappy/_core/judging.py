"""Which order may be sent, and why another may not.

Everything is judged by the worst that can happen: all orders that may trade, those of
unknown fate and changes under way included. Cancels are no matter of this module; they
always pass.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from wrappy._core.exposure import LiveOrder
from wrappy._core.risk_states import MILLION
from wrappy._core.risk_states import TradingState as State
from wrappy.errors import RiskRule as Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy._core.exposure import MarketExposure, OrderKey, Reach
    from wrappy._core.risk import AccountRisk, RiskMarket

MINUTE_S: Final = 60.0


class Denial(NamedTuple):
    """A no.

    Attributes:
        rule: what stands in the way.
        words: how.
    """

    rule: Rule
    words: str


class Wanted(NamedTuple):
    """An order that somebody wants to send.

    Attributes:
        order: what it would be.
        near: price in ticks that its own has to be near to; 0 for the mark price.
    """

    order: LiveOrder
    near: int = 0


class OrderJudge:
    """Judges orders and changes of one account. Performs no I/O.

    Args:
        risk: the account's limits, its state and what it holds.

    Attributes:
        denied: orders and changes denied so far.
        last_denial: the latest reason.
    """

    def __init__(self, risk: AccountRisk) -> None:
        self.denied = 0
        self.last_denial = ""
        self._risk = risk
        self._times: deque[float] = deque()

    def refusal(
        self, index: int, wanted: Sequence[Wanted], now: float
    ) -> Denial | None:
        """Return why new orders of one market may not be sent, None if they may.

        Args:
            index: the market.
            wanted: the orders, all or none.
            now: seconds, monotone.
        """
        orders = [one.order for one in wanted]
        why = (
            self._forbidden(index, orders)
            or self._too_many(index, len(orders), now)
            or self._mispriced(index, wanted)
            or self._too_far(
                index, orders, self._risk.reach(index), self._risk.reach(index, orders)
            )
        )
        return self._concluded(why, len(orders), now)

    def change_refusal(
        self, key: OrderKey, ticks: int, lots: int, now: float, *, near: int = 0
    ) -> Denial | None:
        """Return why an order may not be changed, None if it may.

        Args:
            key: the order.
            ticks: its new price.
            lots: its new total size.
            now: seconds, monotone.
            near: price that the new one has to be near to; 0 for the mark price.
        """
        order = self._risk.book.market(key.market).orders.get(key)
        if order is None:
            unheard = Denial(
                Rule.UNKNOWN_ORDER,
                f"order {key.number} is not known to be live; what its change would "
                "do cannot be told",
            )
            return self._concluded(unheard, 1, now)
        why = self.halted() or self._too_fast(1, now)
        if why is None:
            retreats = _retreats(order, ticks, lots)
            before = self._risk.reach(key.market)
            order.aims.append((ticks, lots))
            if not retreats:
                why = self._change_problem(key.market, order, before, near)
            if why is not None:
                order.aims.pop()
        return self._concluded(why, 1, now)

    def _change_problem(
        self, index: int, order: LiveOrder, before: Reach, near: int
    ) -> Denial | None:
        """Return what is wrong with an order whose latest aim is on trial."""
        ticks, lots = order.aims[-1]
        changed = LiveOrder(
            is_ask=order.is_ask,
            lots=lots,
            ticks=ticks,
            filled=order.filled,
            reduce_only=order.reduce_only,
        )
        return (
            self._forbidden(index, [order], inside=True)
            or self._mispriced(index, [Wanted(changed, near)])
            or self._too_far(index, [order], before, self._risk.reach(index))
        )

    def _concluded(self, why: Denial | None, count: int, now: float) -> Denial | None:
        if why is None:
            self._times.extend([now] * count)
        else:
            self.denied += count
            self.last_denial = why.words
        return why

    def stop_reason(self, index: int, orders: Sequence[LiveOrder]) -> str | None:
        """Return why orders that are in the book already must not leave any more."""
        why = self._forbidden(index, orders, inside=True) or self._too_far(
            index, orders, None, self._risk.reach(index)
        )
        return None if why is None else why.words

    def change_stop(self, key: OrderKey, ticks: int, lots: int) -> str | None:
        """Return why a change that was let in must not leave any more."""
        order = self._risk.book.market(key.market).orders.get(key)
        if order is None or (
            lots <= order.lots
            and (ticks >= order.ticks if order.is_ask else ticks <= order.ticks)
        ):
            return self.halt_reason()
        return self.stop_reason(key.market, [order])

    def halt_reason(self) -> str | None:
        """Return why nothing but cancels may leave any more, None if more may."""
        why = self.halted()
        return None if why is None else why.words

    def halted(self) -> Denial | None:
        """Return why nothing but cancels may pass, None if more may."""
        if self._risk.log.state is State.HALTED:
            return Denial(Rule.HALTED, f"halted: {self._risk.log.reason}")
        return None

    def _forbidden(
        self, index: int, orders: Sequence[LiveOrder], *, inside: bool = False
    ) -> Denial | None:
        """Return why the state of the moment does not allow orders."""
        if self._risk.log.state is State.HALTED:
            return self.halted()
        market = self._risk.markets[index]
        stale = self._risk.problem(market.symbol)
        if self._risk.log.state is State.ACTIVE and stale is None:
            return None
        if not self.grows(index, orders, inside=inside):
            return None
        is_state = self._risk.log.state is State.REDUCING
        return Denial(
            Rule.REDUCING if is_state else Rule.STALE_DATA,
            f"reducing: {self._risk.log.reason or stale}; this could make the "
            f"{market.symbol} position larger",
        )

    def grows(
        self, index: int, orders: Sequence[LiveOrder], *, inside: bool = False
    ) -> bool:
        """Whether orders could make a position larger, whatever else fills.

        Args:
            index: the market.
            orders: the orders.
            inside: whether they are in the book already.
        """
        if all(order.reduce_only for order in orders):
            return False
        if not self._risk.book.market(index).is_known:
            return True
        reach = self._risk.reach(index, () if inside else orders)
        spot = self._risk.markets[index].is_spot
        return any(
            not order.reduce_only
            and (reach.low < 0 and not spot if order.is_ask else reach.high > 0)
            for order in orders
        )

    def _too_many(self, index: int, more: int, now: float) -> Denial | None:
        rules, here = self._risk.rules, self._risk.book.market(index)
        for rule, most, count, where in (
            (
                Rule.MAX_OPEN_ORDERS_PER_SYMBOL,
                rules.market_orders,
                len(here.orders),
                f" in {self._risk.markets[index].symbol}",
            ),
            (Rule.MAX_OPEN_ORDERS, rules.open_orders, self._risk.book.live(), ""),
        ):
            if most is not None and count + more > most:
                words = f"{count} orders may trade{where}, {most} are allowed"
                return Denial(rule, words)
        return self._too_fast(more, now)

    def _too_fast(self, more: int, now: float) -> Denial | None:
        times = self._times
        while times and times[0] <= now - MINUTE_S:
            times.popleft()
        rules = self._risk.rules
        for rule, most, window_s, words in (
            (Rule.MAX_ORDERS_PER_SECOND, rules.per_second, 1.0, "a second"),
            (Rule.MAX_ORDERS_PER_MINUTE, rules.per_minute, MINUTE_S, "a minute"),
        ):
            if most is None:
                continue
            lately = sum(1 for at in times if at > now - window_s)
            if lately + more > most:
                told = f"{lately} orders within {words}, {most} are allowed"
                return Denial(rule, told)
        return None

    def _mispriced(self, index: int, wanted: Sequence[Wanted]) -> Denial | None:
        band, most = self._risk.rules.band, self._risk.rules.order_value
        market = self._risk.markets[index]
        for order, near in wanted:
            reference = near or market.mark
            if reference is None and (band or most) is not None:
                if order.reduce_only:
                    continue
                return _no_price(market)
            if band is not None and reference is not None:
                apart = abs(order.ticks - reference)
                if apart * MILLION > band * reference:
                    return Denial(
                        Rule.PRICE_BAND,
                        f"price: {apart / reference:.2%} from {market.symbol}'s "
                        f"{'trigger' if near else 'price'}, "
                        f"{band / MILLION:.2%} are allowed",
                    )
            if most is not None and not order.reduce_only:
                ticks = max(order.ticks, market.mark or 0)
                value = order.remaining * ticks * market.lot_value
                if value > most:
                    words = f"worth {_usdc(value)} USDC, {_usdc(most)} are allowed"
                    return Denial(Rule.MAX_ORDER_NOTIONAL, f"size: {words}")
        return None

    def _too_far(
        self,
        index: int,
        orders: Sequence[LiveOrder],
        before: Reach | None,
        after: Reach,
    ) -> Denial | None:
        """Return which limit of exposure orders pass in the worst case.

        Args:
            index: the market.
            orders: the orders.
            before: how far the position could get without them; None to look at what
                there is, whether it adds to that or not.
            after: how far it can get with them.
        """
        market, rules = self._risk.markets[index], self._risk.rules
        sides = {order.is_ask for order in orders if not order.reduce_only}
        if market.is_spot:
            sides.discard(True)
        limits = (market.most_lots, rules.market_value, rules.total_value)
        if sides and any(limit is not None for limit in limits):
            if not self._risk.book.market(index).is_known:
                words = f"the position in {market.symbol} is not known yet"
                return Denial(Rule.UNKNOWN_POSITION, words)
            for is_ask in sorted(sides):
                lots = -after.low if is_ask else after.high
                if lots <= 0:
                    continue
                why = self._past(
                    market, lots, after, is_ask=is_ask
                ) or self._past_total(index, before, after)
                if why is not None:
                    return why
        return self._too_much_exit(orders, after)

    def _past(
        self, market: RiskMarket, lots: int, after: Reach, *, is_ask: bool
    ) -> Denial | None:
        side = "short" if is_ask else "long"
        if market.most_lots is not None and lots > market.most_lots:
            return Denial(
                Rule.MAX_POSITION,
                f"position: {market.symbol} could get {side} by {lots} lots, "
                f"{market.most_lots} are allowed",
            )
        most = self._risk.rules.market_value
        if most is None:
            return None
        if market.mark is None:
            return _no_price(market)
        value = after.short_value if is_ask else after.long_value
        if value > most:
            return Denial(
                Rule.MAX_POSITION_NOTIONAL,
                f"notional: {market.symbol} could get {side} by {_usdc(value)} USDC, "
                f"{_usdc(most)} are allowed",
            )
        return None

    def _past_total(
        self, index: int, before: Reach | None, after: Reach
    ) -> Denial | None:
        most = self._risk.rules.total_value
        if most is None or (before is not None and after.value <= before.value):
            return None
        total = after.value + self._risk.book.value_of_others
        for other, market in self._risk.markets.items():
            if market.mark is None and (
                other == index or _has_any(self._risk.book.market(other))
            ):
                return _no_price(market)
            if other != index:
                total += self._risk.reach(other).value
        if total > most:
            return Denial(
                Rule.MAX_TOTAL_NOTIONAL,
                f"notional: all markets could get to {_usdc(total)} USDC, "
                f"{_usdc(most)} are allowed",
            )
        return None

    def _too_much_exit(
        self, orders: Sequence[LiveOrder], after: Reach
    ) -> Denial | None:
        """Return which reduce-only order is larger than what it could close."""
        if not self._risk.rules.needs_exits:
            return None
        for order in orders:
            most = max(0, after.high if order.is_ask else -after.low)
            if order.reduce_only and order.remaining > most:
                return Denial(
                    Rule.REQUIRE_EXITS,
                    f"reduce_only: {order.remaining} lots, but the position is at most "
                    f"{most}",
                )
        return None


def _retreats(order: LiveOrder, ticks: int, lots: int) -> bool:
    """Whether a change makes an order neither larger nor more eager to trade."""
    away = ticks >= order.dearest if order.is_ask else ticks <= order.cheapest
    return away and lots - order.filled <= order.remaining


def _has_any(exposure: MarketExposure) -> bool:
    return bool(exposure.orders) or exposure.bounds != (0, 0)


def _no_price(market: RiskMarket) -> Denial:
    words = f"no price of {market.symbol} is known, so that nothing can be valued"
    return Denial(Rule.UNKNOWN_PRICE, words)


def _usdc(amount: int) -> str:
    return f"{amount // MILLION}.{amount % MILLION // 10_000:02d}"
