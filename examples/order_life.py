"""One order's whole life, then half a minute of quoting both sides.

Idea: place an order, wait for it by its client order index, change it, cancel it,
cancel and create in one batch, trade at the market; then keep a bid and an ask in
the book and close what was filled.

Parameters: `--seconds` of quoting, `--symbol`, `--size`, `--tape` to trade in a
recorded market. Risks: on a real network the quotes are filled when the market moves
against them; no quote is placed that could take the position, as the stream has told
it, past three times the size. In the end, also after a failure or Ctrl-C, the
market's orders are canceled and the position is closed; so it does not start where
there are any.

Runs against a local exchange unless `--network testnet|mainnet` is given; mainnet
also wants `--live`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import BookGapError, LighterDealer, OrderNotFoundError, UsageError
from wrappy.lighter.ws import WsInfo
from wrappy.runner.command import OneLineParser, positive, run
from wrappy.runner.network import open_network
from wrappy.runner.report import (
    MoneyLine,
    console,
    fills_table,
    orders_table,
    summary_table,
)
from wrappy.runner.session import SessionRecord

if TYPE_CHECKING:
    import argparse

    from wrappy import DealerConfig

REQUOTE_EVERY_S = 1.0
SHOWN = 12
CLOSING_ATTEMPTS = 3


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", default="venue", help="venue, testnet, mainnet")
    parser.add_argument("--live", action="store_true", help="mean it on mainnet")
    parser.add_argument("--tape", type=Path, help="recorded market to trade in")
    parser.add_argument("--symbol", default=None, help="market; the tape's, or ETH")
    parser.add_argument(
        "--size",
        type=positive,
        default=Decimal("0.05"),
        help="of an order: %(default)s",
    )
    parser.add_argument(
        "--seconds", type=positive, default=Decimal(30), help="of quoting: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    return parser.parse_args()


async def show_order_life(
    dealer: LighterDealer, ws: WsInfo, record: SessionRecord, size: Decimal
) -> None:
    """Take one order through everything that can happen to it."""
    mid = ws.book().mid_price
    if mid is None:
        raise UsageError(f"{ws.market.symbol}'s book lacks a side: nothing to quote at")
    far_below, far_above = mid * Decimal("0.97"), mid * Decimal("1.03")

    placed = record.submitted(await dealer.create_limit_order(far_below, size))
    record.accepted((await dealer.flush())["client_order_indices"])
    order = await ws.wait_order_by_coi(placed, timeout=5.0)
    print(f"placed    …{placed % 10**6:06} is {order['status'] if order else 'lost'}")

    await dealer.update_order_by_coi(placed, price=far_below + 1, quantity=size * 2)
    await dealer.flush()
    print(f"updated   …{placed % 10**6:06} to {size * 2} at {far_below + 1:.2f}")

    batch = await dealer.batch_cancel_and_create(
        cancel_client_order_indices=[placed],
        new_limit_orders=[(far_below, size), (far_above, -size)],
    )
    record.accepted(batch["created"])
    for coi in batch["created"]:
        await ws.wait_order_by_coi(coi, timeout=5.0)
    print(f"batched   1 cancel, 2 orders in {batch['batches']} request")

    for coi in batch["created"]:
        await dealer.cancel_order_by_coi(coi)
    await dealer.flush()
    print("canceled  both")

    market = await dealer.create_market_order(size)
    taken = record.submitted(market)
    record.accepted([taken])
    filled = await ws.wait_order_by_coi(taken, timeout=5.0)
    status = filled["status"] if filled else "not reported"
    print(f"bought    {size} at the market: {status}")
    print(f"position  {await dealer.fetch_my_position()}, last price {ws.get_ltp()}\n")


async def quote(
    dealer: LighterDealer,
    ws: WsInfo,
    record: SessionRecord,
    *,
    size: Decimal,
    seconds: float,
) -> None:
    """Keep a bid and an ask at the top of the book, within a position limit."""
    ends = time.monotonic() + seconds
    resting: list[int] = []
    symbol = ws.market.symbol
    while time.monotonic() < ends:
        try:
            bid, ask = ws.book().best_bid, ws.book().best_ask
        except BookGapError:
            bid = ask = None
        quotes: list[tuple[Decimal, Decimal]] = []
        position = ws.positions[symbol].size if symbol in ws.positions else Decimal(0)
        if bid is not None and position + size <= size * 3:
            quotes.append((bid.price, size))
        if ask is not None and position - size >= -size * 3:
            quotes.append((ask.price, -size))
        resting = [coi for coi in resting if not has_ended(dealer, coi)]
        # The exchange may refuse a batch whose cancel comes too late. Then nothing
        # of it was done, and the next round sees what became of the order.
        with contextlib.suppress(OrderNotFoundError):
            batch = await dealer.batch_cancel_and_create(
                cancel_client_order_indices=resting,
                new_limit_orders=quotes,
                post_only=True,
            )
            resting = batch["created"]
            record.accepted(resting)
        await asyncio.sleep(REQUOTE_EVERY_S)


def has_ended(dealer: LighterDealer, coi: int) -> bool:
    """Return whether an order is known to have ended, or too old to be known."""
    order = dealer.orders.get(coi)
    return order is None or order.status.is_terminal


async def require_untouched(dealer: LighterDealer) -> None:
    """Refuse a market where leaving would close what somebody else opened.

    Raises:
        UsageError: there are orders or a position.
    """
    if await dealer.fetch_my_position() or await dealer.fetch_open_orders():
        raise UsageError(
            f"account {dealer.config.account_index} has orders or a position in "
            f"{dealer.market.symbol}, which would be closed in the end; "
            "close them yourself or name another --symbol"
        )


async def leave(dealer: LighterDealer, ws: WsInfo, record: SessionRecord) -> None:
    """Take away what rests and close the position.

    Raises:
        UsageError: a part of the position is still there.
    """
    await dealer.cancel_all_orders()
    # Accepted is not executed: a quote may be filled while its cancel is on its way.
    for _ in range(CLOSING_ATTEMPTS):
        position = await dealer.fetch_my_position()
        if not position:
            return
        closing = await dealer.create_market_order(-position, reduce_only=True)
        coi = record.submitted(closing)
        record.accepted([coi])
        await ws.wait_order_by_coi(coi, timeout=5.0)
    if position := await dealer.fetch_my_position():
        raise UsageError(f"a position of {position} {dealer.market.symbol} is left")


async def money(dealer: LighterDealer) -> MoneyLine:
    """Ask for balance and position."""
    balance = await dealer.fetch_my_balance()
    return MoneyLine(
        collateral=balance["collateral"],
        total=balance["total_asset_value"],
        position=await dealer.fetch_my_position(),
    )


async def trade(config: DealerConfig, size: Decimal, seconds: float) -> None:
    """Run the whole show on one account and print what happened."""
    key = config.api_keys[0]
    async with (
        await LighterDealer.create(config) as dealer,
        await WsInfo.run_overlay(
            config.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol=dealer.market.symbol,
            base_url=config.base_url,
        ) as ws,
    ):
        record = SessionRecord(config.account_index or 0, clock=time.monotonic)

        def on_orders(rows: list[dict[str, object]]) -> None:
            dealer.feed_ws_orders(rows)
            record.on_orders(rows)

        ws.on_orders = on_orders
        ws.on_trades = record.on_trades
        await require_untouched(dealer)
        before = await money(dealer)
        try:
            await show_order_life(dealer, ws, record, size)
            shown = list(record.orders.values())
            print(f"quoting both sides of {ws.market.symbol} for {seconds:g} s ...\n")
            await quote(dealer, ws, record, size=size, seconds=seconds)
        finally:
            await leave(dealer, ws, record)
        after = await money(dealer)
        later = [life for life in record.orders.values() if life not in shown]

        out = console()
        out.print(orders_table(shown, title="One order's life"))
        quotes, fills = later[-SHOWN:], record.fills[-SHOWN:]
        title = f"Quotes: the last {len(quotes)} of {len(later)}"
        out.print(orders_table(quotes, title=title))
        title = f"Fills: the last {len(fills)} of {len(record.fills)}"
        out.print(fills_table(fills, title=title))
        out.print(
            summary_table(
                record,
                before=before,
                after=after,
                requests=dealer.requests_used,
                last_traded_price=ws.get_ltp(),
            )
        )


async def main(options: argparse.Namespace) -> None:
    """Open the network and trade on its first account."""
    async with open_network(
        options.network, live=options.live, seed=options.seed, tape=options.tape
    ) as network:
        symbol = options.symbol or network.symbol
        print(f"{network.name}: {network.accounts[0].base_url}, market {symbol}\n")
        config = dataclasses.replace(network.accounts[0], symbol=symbol)
        await trade(config, options.size, float(options.seconds))


if __name__ == "__main__":
    sys.exit(run(main(arguments()), name=Path(__file__).name))
