"""A bot that everything happens to, and that knows its true position afterwards.

Idea: four things that leave bots with a wrong position, each done on purpose by the
local exchange: nonces spent elsewhere, a lost answer followed by a restart, a fill that
nobody was told of, and a close that fails. After each the table has three positions:
what counting good answers comes to, what the dealer says, and the exchange's ledger.

Parameters: `--size` of each order, `--seed` of the market.

Risks: none, it runs on a local exchange only. What it shows holds elsewhere: never send
again what was in doubt, ask what became of it; start again with the same state folder.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import (
    LighterDealer,
    NonceRejectedError,
    SendOutcomeUnknownError,
    UsageError,
)
from wrappy.errors import LaneHeldError, TransportError, VenueError
from wrappy.runner.command import OneLineParser, positive, run
from wrappy.runner.network import venue_configs
from wrappy.venue import FaultRule, Venue

if TYPE_CHECKING:
    import argparse

    from wrappy import DealerConfig

SEND = "/api/v1/sendTx*"
TRIES = 20
PAUSE_S = 1.0


@dataclass
class Books:
    """Three opinions on one position, and what was seen on the way."""

    venue: Venue
    config: DealerConfig
    counted: Decimal = Decimal(0)
    rows: list[tuple[str, Decimal, Decimal, Decimal]] = field(default_factory=list)

    def truth(self) -> Decimal:
        """Return the position of the exchange's ledger, in the base asset."""
        orders = self.venue.ledger.orders(self.config.account_index or 0)
        lots = sum(-o.filled_base if o.is_ask else o.filled_base for o in orders)
        return Decimal(lots) / self.venue.markets[0].size_scale

    async def note(self, what: str, dealer: LighterDealer) -> None:
        """Write down what everybody thinks now."""
        told = await dealer.fetch_my_position()
        self.rows.append((what, self.counted, told, self.truth()))

    def table(self) -> str:
        """Return all of it as a table."""
        lines = [f"{'after':<34} {'counted':>9} {'dealer':>9} {'ledger':>9}"]
        for what, *sizes in self.rows:
            lines.append(f"{what:<34} " + " ".join(f"{size:>9.4f}" for size in sizes))
        return "\n".join(lines)


async def trade(books: Books, dealer: LighterDealer, size: Decimal) -> None:
    """Trade once, whatever goes wrong, and return when the order's fate is known."""
    for _ in range(TRIES):
        try:
            sent = await dealer.create_market_order(size)
            coi = sent["client_order_index"]
            books.counted += size  # what a bot does that counts good answers
        except SendOutcomeUnknownError as error:
            print(f"  in doubt: {len(error.client_order_indices)} order(s); asked for")
            (coi,) = error.client_order_indices
        except NonceRejectedError:
            print("  refused: nonces were spent elsewhere; numbered anew")
            continue
        except (LaneHeldError, VenueError, TransportError) as error:
            print(f"  not sent: {type(error).__name__}; once more")
            await asyncio.sleep(PAUSE_S)
            continue
        receipt = await dealer.wait_settled(coi, 30.0)
        print(f"  settled: {receipt.status.value}, filled {receipt.filled}")
        return
    raise UsageError(f"{size} could not be traded in {TRIES} tries")


async def close(dealer: LighterDealer) -> None:
    """Close the position, as often as it takes."""
    for _ in range(TRIES):
        try:
            report = await dealer.close_position()
        except (VenueError, TransportError) as error:
            print(f"  close failed: {type(error).__name__}; looked again")
            await asyncio.sleep(PAUSE_S)
            continue
        if report.is_flat:
            print(f"  closed: {report.before} before, {report.after} after")
            return
    raise UsageError(f"a position of {await dealer.fetch_my_position()} is left")


async def suffer(books: Books, size: Decimal) -> None:
    """Go through all four."""
    venue, config = books.venue, books.config
    dealer = await LighterDealer.create(config)
    try:
        print("1. nonces are spent elsewhere")
        venue.faults.add(FaultRule(act="bump_nonce", count=3, path=SEND, times=1))
        await trade(books, dealer, size)
        await books.note("invalid nonce", dealer)

        print("2. an answer is lost, and the bot is started again")
        venue.faults.add(FaultRule(act="drop", phase="reply", path=SEND, times=1))
        try:
            await dealer.create_market_order(size)
        except SendOutcomeUnknownError:
            print("  in doubt, and ended in the middle of it")
        await dealer.aclose()
        dealer = await LighterDealer.create(config)
        await books.note("lost answer and restart", dealer)

        print("3. a fill that no answer tells of")
        venue.faults.add(FaultRule(act="drop", phase="reply", path=SEND, times=1))
        await trade(books, dealer, size)
        await books.note("position mismatch", dealer)

        print("4. the close fails")
        venue.faults.add(FaultRule(act="status", code=503, path=SEND, times=2))
        await close(dealer)
        books.counted -= size  # the one order it knows of
        await books.note("failed close, tried until flat", dealer)
    finally:
        await dealer.aclose()


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the local market's")
    parser.add_argument("--size", type=positive, default=Decimal("0.05"))
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    """Open a local exchange, break it, and show the positions."""
    with tempfile.TemporaryDirectory(prefix="wrappy-recovery-") as folder:
        async with Venue(seed=options.seed, symbols=["ETH"]) as venue:
            config = dataclasses.replace(
                venue_configs(venue)[0], symbol="ETH", state_dir=folder
            )
            books = Books(venue, config)
            await suffer(books, options.size)
            print(f"\n{books.table()}")
            wrong = [row[0] for row in books.rows if row[2] != row[3]]
            if wrong:
                raise UsageError(f"the dealer was wrong after {', '.join(wrong)}")
            print("\nthe dealer was right each time; nobody had to do anything")


if __name__ == "__main__":
    sys.exit(run(main(arguments()), name=Path(__file__).name))
