"""Going to a position: one market order, and certainty of what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING

from wrappy.errors import (
    InvalidOrderError,
    OrderDeniedError,
    SendOutcomeUnknownError,
)
from wrappy.lighter.wire.within import within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.runner.strategy.context import Context


async def go_to_position(
    ctx: Context,
    target: Decimal,
    symbol: str | None = None,
    *,
    slippage_bps: int | None = None,
    timeout_s: float = 60.0,
) -> Decimal:
    """Trade at the market what lies between the position and a target.

    An order that only shrinks the position is reduce-only. The call returns when the
    position that the stream tells includes what the order did, so that a second call
    does not trade the same difference again. Where that cannot be had it raises, and
    the next call begins with what became of the order.

    Args:
        ctx: the strategy's context.
        target: signed size to hold; 0 for none.
        symbol: the market; the strategy's first if None.
        slippage_bps: bound of the price, as in `create_market_order`.
        timeout_s: longest wait for the order and then for the stream.

    Returns:
        The position now; not the target when the order was filled in part or dropped
        by the exchange, or the difference is below one lot.

    Raises:
        InvalidOrderError: the target is no finite Decimal; nothing was asked or sent.
        OrderDeniedError, VenueError, TransportError: as `create_market_order`.
        SendOutcomeUnknownError: this order, or that of an earlier call, is not known
            to be executed or rejected after `timeout_s`.
    """
    wanted: object = target
    if not isinstance(wanted, Decimal) or not wanted.is_finite():
        raise InvalidOrderError("target", target, "is no finite Decimal")
    dealer, market = ctx.dealer(symbol), ctx.market(symbol)
    before = ctx.position(symbol)
    doubts = ctx.doubts.get(market.symbol)
    if doubts is not None:
        await _settled(dealer, doubts, timeout_s)
        before = await dealer.fetch_my_position()
        ctx.doubts[market.symbol] = ()
        if before == ctx.position(symbol):
            del ctx.doubts[market.symbol]
    difference = target - before
    if abs(difference) < market.lot_size:
        return before
    shrinks = target * before >= 0 and abs(target) < abs(before)
    others = {order.client_order_index for order in dealer.orders.live()}
    changed = asyncio.Event()
    unhook = ctx.ws.add_hook("on_positions", lambda _: changed.set())
    try:
        sent = await dealer.create_market_order(
            difference, reduce_only=shrinks, slippage_bps=slippage_bps
        )
        number = sent["client_order_index"]
        await _settled(dealer, [number], timeout_s)
        receipt = await dealer.wait_settled(number)
        filled = receipt.filled if difference > 0 else -receipt.filled
        with contextlib.suppress(asyncio.TimeoutError):
            # Not `asyncio.wait_for`: it may lose the cancellation that ends a strategy.
            await within(timeout_s, _until_told(ctx, before + filled, changed, symbol))
            return ctx.position(symbol)
    except OrderDeniedError:
        raise
    except BaseException:
        live = {order.client_order_index for order in dealer.orders.live()}
        ctx.doubts[market.symbol] = tuple(live - others)
        raise
    finally:
        unhook()
    # Somebody else trades here as well, or the stream is late: the account knows,
    # and is asked by the next call too.
    ctx.doubts[market.symbol] = ()
    return await dealer.fetch_my_position()


async def _until_told(
    ctx: Context, expected: Decimal, changed: asyncio.Event, symbol: str | None
) -> None:
    while ctx.position(symbol) != expected:
        changed.clear()
        await changed.wait()


async def _settled(
    dealer: LighterDealer, numbers: Iterable[int], timeout_s: float
) -> None:
    """Return when all orders are known to be executed or rejected.

    Raises:
        SendOutcomeUnknownError: one is not, in time.
    """
    for number in numbers:
        if dealer.receipt(number) is None:
            continue  # long over
        receipt = await dealer.wait_settled(number, timeout_s)
        if not receipt.stage.is_settled:
            hashes = () if receipt.tx_hash is None else (receipt.tx_hash,)
            raise SendOutcomeUnknownError((number,), hashes)
