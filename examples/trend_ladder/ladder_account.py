"""What the trend ladder asks the account itself: its own word, and a clean market."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy.errors import BookGapError
from wrappy.runner.strategy import NOT_NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.strategy import Context


def lots_held(ctx: Context, position: Decimal, sign: int) -> int:
    """Return a position's lots in the direction of `sign`; 0 when it is none."""
    return max(0, int(position * ctx.market().size_scale) * sign)


def average_entry(ctx: Context) -> int:
    """Return the price in ticks at which the position was entered; 0 when flat."""
    held = ctx.ws.positions.get(ctx.symbols[0])
    price = Decimal(0) if held is None else held.average_entry_price
    return int(price * ctx.market().price_scale)


def best_ticks(ctx: Context, sign: int) -> int | None:
    """Return the best price of the buyers, or with sign -1 of the sellers, in ticks.

    None while the book cannot be read or has nobody there.
    """
    try:
        book = ctx.ws.book()
        level = book.best_bid if sign > 0 else book.best_ask
    except BookGapError:
        return None
    return None if level is None else int(level.price * ctx.market().price_scale)


async def true_position(ctx: Context, by_orders: Callable[[], int]) -> Decimal | None:
    """Ask the account for orders and position, and return what it holds.

    Args:
        ctx: the strategy's context.
        by_orders: takes the latest news of the orders and returns lots held by them.

    Returns:
        None when the exchange could not be asked, or something moved meanwhile, so
        that the two answers are not of one moment.
    """
    dealer = ctx.dealer()
    try:
        before = await dealer.fetch_my_position()
        await dealer.reconcile()
        held = by_orders()
        after = await dealer.fetch_my_position()
    except NOT_NOW as error:
        ctx.log.warning("reconcile: %s", error)
        return None
    moved = before != after or held != by_orders() or dealer.orders.unknown()
    return None if moved else after


async def clear_market(ctx: Context, *, close: bool, again_s: float) -> Decimal:
    """Cancel every order of the account in the market, until none is left.

    Args:
        ctx: the strategy's context.
        close: close the position at the market as well.
        again_s: seconds from one try to the next.

    Returns:
        The position then.
    """
    dealer = ctx.dealer()
    while True:
        try:
            await dealer.cancel_all_orders()
            await dealer.reconcile()
            if not await dealer.fetch_open_orders() and not dealer.orders.unknown():
                held = await dealer.fetch_my_position()
                if not (close and held):
                    return held
                await dealer.close_position()
        except NOT_NOW as error:
            ctx.log.warning("clearing the market: %s", error)
        await ctx.sleep(again_s)
