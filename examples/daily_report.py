"""Tells what the last day came to, out of the account's fills.

Idea: ask for every fill of the last 24 hours over REST, all markets together, and work
out what was traded, what it cost and which round trips it closed. The figures are the
exchange's: no bot has to run, and none is asked.

Parameters: `--hours`; `--trades` lets the local exchange have something to report.

Risks: it only reads. Fills are those of the account, whoever traded. What was open
before the first fill is not in them: the fill that closes it counts as one that opens.
Nor is funding; the last line tells what the account is worth with everything.

Runs against a local exchange unless `--network testnet|mainnet` is given.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import LighterDealer
from wrappy.lighter.visit import open_visit
from wrappy.model import Side, usdc
from wrappy.runner.command import OneLineParser, positive, run
from wrappy.runner.network import open_network
from wrappy.runner.performance.fills import fill_at
from wrappy.runner.performance.round_trips import RoundTripBook

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from wrappy import DealerConfig
    from wrappy.lighter.results import Fill
    from wrappy.model import Market

MOST_FILLS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfAMarket:
    """What one market's fills came to.

    Attributes:
        symbol: the market.
        fills: how many.
        bought: base asset.
        sold: base asset.
        volume: USDC.
        maker_volume: the part of it whose orders rested.
        fees: paid, USDC.
        won: round trips that ended with a gain after fees.
        lost: the others.
        result: of the round trips, after fees, USDC.
    """

    symbol: str
    fills: int
    bought: Decimal
    sold: Decimal
    volume: Decimal
    maker_volume: Decimal
    fees: Decimal
    won: int
    lost: int
    result: Decimal


def day_of(market: Market, fills: Iterable[Fill]) -> DayOfAMarket:
    """Return a market's figures.

    Args:
        market: whose fills they are.
        fills: in any order; one that is there twice counts once.
    """
    rows = sorted({fill.trade_id: fill for fill in fills}.values(), key=_when)
    book = RoundTripBook()
    for fill in rows:
        book.fill(
            fill_at(
                market,
                at_ms=fill.timestamp_ms,
                side=fill.side,
                price=fill.price,
                size=fill.size,
                fee=round(fill.fee * 1_000_000),
                is_maker=fill.is_maker,
            )
        )
    results = [trip.pnl for trip in book.closed]
    return DayOfAMarket(
        symbol=market.symbol,
        fills=len(rows),
        bought=sum((f.size for f in rows if f.side is Side.BUY), Decimal(0)),
        sold=sum((f.size for f in rows if f.side is Side.SELL), Decimal(0)),
        volume=sum((f.size * f.price for f in rows), Decimal(0)),
        maker_volume=sum((f.size * f.price for f in rows if f.is_maker), Decimal(0)),
        fees=sum((f.fee for f in rows), Decimal(0)),
        won=sum(result > 0 for result in results),
        lost=sum(result <= 0 for result in results),
        result=usdc(sum(results)),
    )


def _when(fill: Fill) -> tuple[int, int]:
    return fill.timestamp_ms, fill.trade_id


def report(days: Iterable[DayOfAMarket]) -> str:
    """Return the figures as a table for a terminal or a mail."""
    head = f"{'market':<10} {'fills':>5} {'bought':>10} {'sold':>10} {'volume':>12}"
    lines = [f"{head} {'maker':>6} {'fees':>8} {'won':>4} {'lost':>4} {'result':>10}"]
    for day in days:
        maker = day.maker_volume / day.volume if day.volume else Decimal(0)
        lines.append(
            f"{day.symbol:<10} {day.fills:>5} {day.bought:>10} {day.sold:>10} "
            f"{day.volume:>12.2f} {maker:>6.0%} {day.fees:>8.4f} {day.won:>4} "
            f"{day.lost:>4} {day.result:>10.2f}"
        )
    return "\n".join(lines)


async def tell(
    dealer: LighterDealer, markets: Mapping[int, Market], hours: float
) -> None:
    """Ask for the fills of the last hours and print what they came to."""
    fills = await dealer.fetch_my_trades(
        MOST_FILLS, since_s=dealer.now_ms() / 1_000 - hours * 3_600, everywhere=True
    )
    by_market: dict[int, list[Fill]] = defaultdict(list)
    for fill in fills:
        by_market[fill.market_index].append(fill)
    print(f"account {dealer.config.account_index}, the last {hours:g} h\n")
    if fills:
        print(report(day_of(markets[index], by_market[index]) for index in by_market))
    else:
        print("no fills")
    if len(fills) == MOST_FILLS:
        print(f"only the latest {MOST_FILLS} fills: there may be more")
    balance = await dealer.fetch_my_balance()
    held = [f"{p.size} {p.symbol}" for p in await dealer.fetch_positions()]
    print(
        f"\nworth {balance['total_asset_value']:.2f} USDC, positions: "
        f"{', '.join(held) or 'none'}"
    )


async def something_to_report(dealer: LighterDealer, trades: int) -> None:
    """Trade back and forth on the local exchange."""
    for number in range(trades):
        size = Decimal("0.05") if number % 2 == 0 else Decimal("-0.05")
        sent = await dealer.create_market_order(size)
        await dealer.wait_settled(sent["client_order_index"])


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", default="venue", help="venue, testnet, mainnet")
    parser.add_argument("--live", action="store_true", help="read on mainnet")
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    parser.add_argument("--hours", type=positive, default=Decimal(24))
    parser.add_argument("--trades", type=int, default=6, help="on the local exchange")
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    """Open the network and report on its first account."""
    async with open_network(
        options.network, live=options.live, seed=options.seed
    ) as network:
        config: DealerConfig = dataclasses.replace(
            network.accounts[0], symbol=network.symbol
        )
        async with open_visit(config) as visit:
            markets = {market.market_id: market for market in await visit.markets()}
        async with await LighterDealer.create(config) as dealer:
            if network.venue is not None:
                await something_to_report(dealer, options.trades)
            await tell(dealer, markets, float(options.hours))


if __name__ == "__main__":
    sys.exit(run(main(arguments()), name=Path(__file__).name))
