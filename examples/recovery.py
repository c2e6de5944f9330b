"""A bot that everything happens to, and that knows its true position afterwards.

Idea: four things that leave bots with a wrong position, each done on purpose: nonces
spent elsewhere, a lost answer followed by a restart, a fill that nobody was told of,
and a close that fails. After each the table has three positions: what counting good
answers comes to, what the dealer's receipts come to, and the exchange's own. The local
exchange breaks by itself; for any other the bot's own connection loses things.

Parameters: `--size` of each order; `--seed` of the local market; `--network`, `--live`;
`--symbol`; `--state-dir`, which a bot that is started again has to find again.

Risks: on a real network it buys three times at the market and sells what it bought,
with spread and fee. It does not begin where there is a position that is not its own.
Ctrl-C leaves what was bought; the next start knows of it, and closes it in the end.

    python examples/recovery.py --network testnet --size 0.01
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wrappy import (
    LighterDealer,
    NonceRejectedError,
    SendOutcomeUnknownError,
    UsageError,
)
from wrappy.errors import (
    LaneHeldError,
    RequestTimeoutError,
    TransportError,
    VenueError,
)
from wrappy.lighter.environment import NATIVE, Environment
from wrappy.model import Side
from wrappy.runner.command import positive, run
from wrappy.runner.desk import desk_parser
from wrappy.runner.network import Network, open_network
from wrappy.venue import FaultRule

if TYPE_CHECKING:
    import argparse

    from wrappy import DealerConfig
    from wrappy.model import Receipt

Trouble = Literal["nonces", "answer", "service"]

SEND = "/api/v1/sendTx"
TRIES = 20
PAUSE_S = 1.0
SETTLED_WITHIN_S = 30.0
FAULTS: dict[Trouble, FaultRule] = {
    "nonces": FaultRule(act="bump_nonce", count=3, path=f"{SEND}*", times=1),
    "answer": FaultRule(act="drop", phase="reply", path=f"{SEND}*", times=1),
    "service": FaultRule(act="status", code=503, path=f"{SEND}*", times=2),
}
"""How the local exchange breaks."""


class LosingDoor:
    """The way to an exchange that cannot be broken: what is sent next goes wrong."""

    def __init__(self, base_url: str, *, planned: list[Trouble], **more: Any) -> None:
        self._door = NATIVE.open_rest(base_url, **more)
        self._planned = planned
        self.get, self.aclose = self._door.get, self._door.aclose

    async def post_form(self, path: str, form: str) -> dict[str, Any]:
        """Send, unless something else is planned."""
        sends = path.startswith(SEND) and self._planned
        trouble = self._planned.pop(0) if sends else None
        if trouble == "nonces":
            raise NonceRejectedError(21104, "invalid nonce, made up here", path)
        if trouble == "service":
            raise RequestTimeoutError(f"{path} was not sent on, on purpose")
        answer = await self._door.post_form(path, form)
        if trouble == "answer":
            raise RequestTimeoutError(f"{path} was answered; dropped on purpose")
        return answer


@dataclass(frozen=True)
class Mark:
    """A file that is there while the market's position is this bot's own."""

    path: Path

    def is_set(self) -> bool:
        """Whether a run has begun and not come to its end."""
        return self.path.exists()

    def set(self) -> None:
        """From now on a position may be ours."""
        self.path.touch()

    def clear(self) -> None:
        """Nothing of ours is left."""
        self.path.unlink()


@dataclass
class Books:
    """Three opinions on one position, and what was seen on the way.

    Attributes:
        network: where.
        config: of every dealer, before and after a restart.
        mark: whether a position at the start is the bot's own.
        begin: position at the start: what an interrupted run left.
        counted: what counting good answers comes to.
        filled: signed, by order, as the dealer's receipts have it.
        rows: the table.
        planned: what the connection is going to lose.
    """

    network: Network
    config: DealerConfig
    mark: Mark
    begin: Decimal = Decimal(0)
    counted: Decimal = Decimal(0)
    filled: dict[int, Decimal] = field(default_factory=dict)
    rows: list[tuple[str, Decimal, Decimal, Decimal]] = field(default_factory=list)
    planned: list[Trouble] = field(default_factory=list)

    async def open(self) -> LighterDealer:
        """Start the bot, or start it again: it is the same."""
        door = partial(LosingDoor, planned=self.planned)
        environment = Environment(open_rest=door)
        return await LighterDealer.create(self.config, environment=environment)

    def prepare(self, trouble: Trouble) -> None:
        """Have the next thing that is sent go wrong."""
        if self.network.venue is not None:
            self.network.venue.faults.add(FAULTS[trouble])
        else:
            self.planned.append(trouble)

    def take(self, receipt: Receipt, sign: int) -> None:
        """Take what became of an order; it is the same however often it is told."""
        self.filled[receipt.client_order_index] = sign * receipt.filled

    async def truth(self, dealer: LighterDealer) -> Decimal:
        """Return the exchange's own: the local one's ledger, or what another tells."""
        if self.network.venue is None:
            return await dealer.fetch_my_position()
        orders = self.network.venue.ledger.orders(self.config.account_index or 0)
        lots = sum(-o.filled_base if o.is_ask else o.filled_base for o in orders)
        return Decimal(lots) / dealer.market.size_scale

    async def note(self, what: str, dealer: LighterDealer) -> None:
        """Write down what everybody thinks now."""
        known = self.begin + sum(self.filled.values())
        self.rows.append((what, self.counted, known, await self.truth(dealer)))

    def table(self) -> str:
        """Return all of it as a table."""
        lines = [f"{'after':<34} {'counted':>9} {'dealer':>9} {'exchange':>9}"]
        for what, *sizes in self.rows:
            lines.append(f"{what:<34} " + " ".join(f"{size:>9.4f}" for size in sizes))
        return "\n".join(lines)


async def settle(
    books: Books, dealer: LighterDealer, coi: int, *, sign: int = 1
) -> None:
    """Wait until an order's fate is known.

    Args:
        books: where it is written down.
        dealer: has sent it, or was started after the one that has.
        coi: the order.
        sign: 1 when it buys, -1 when it sells.

    Raises:
        UsageError: it is not known in time; nothing is concluded from that.
    """
    receipt = await dealer.wait_settled(coi, SETTLED_WITHIN_S)
    if not receipt.status.is_terminal:
        raise UsageError(f"order {coi} is still {receipt.status.value}; start again")
    books.take(receipt, sign)
    print(f"  settled: {receipt.status.value}, filled {receipt.filled}")


async def look_up(books: Books, dealer: LighterDealer, coi: int) -> None:
    """Find out what became of an order that an earlier dealer sent.

    A dealer settles what its forerunner left in doubt before it is there: an order
    that the exchange does not know then never arrived and never will.
    """
    if dealer.orders.get(coi) is not None:
        await settle(books, dealer, coi)  # accepted, and not executed yet
    elif (found := await dealer.fetch_order(coi)) is None:
        print("  looked up: it never arrived")
    else:
        sign = 1 if found.side is Side.BUY else -1
        books.filled[coi] = sign * found.filled
        print(f"  looked up: {found.status}, filled {found.filled}")


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
        await settle(books, dealer, coi)
        return
    raise UsageError(f"{size} could not be traded in {TRIES} tries")


async def close(books: Books, dealer: LighterDealer) -> None:
    """Close the position, as often as it takes."""
    for _ in range(TRIES):
        try:
            report = await dealer.close_position()
        except SendOutcomeUnknownError as error:
            print("  close failed, in doubt; asked for")
            for coi in error.client_order_indices:
                await settle(books, dealer, coi, sign=-1)
            continue
        except (VenueError, TransportError) as error:
            print(f"  close failed: {type(error).__name__}; looked again")
            await asyncio.sleep(PAUSE_S)
            continue
        for receipt in report.orders:
            books.take(receipt, -1)
        print(f"  close: {report.before} before, {report.after} after")
        if report.is_flat:
            return
    raise UsageError(f"a position of {await dealer.fetch_my_position()} is left")


async def suffer(books: Books, size: Decimal) -> None:
    """Go through all four, and be flat."""
    dealer = await books.open()
    try:
        await begin(books, dealer)
        print("1. nonces are spent elsewhere")
        books.prepare("nonces")
        await trade(books, dealer, size)
        await books.note("invalid nonce", dealer)

        print("2. an answer is lost, and the bot is started again")
        books.prepare("answer")
        lost: tuple[int, ...] = ()
        try:
            await dealer.create_market_order(size)
        except SendOutcomeUnknownError as error:
            lost = error.client_order_indices
            print("  in doubt, and ended in the middle of it")
        await dealer.aclose()
        dealer = await books.open()
        for coi in lost:
            await look_up(books, dealer, coi)
        await books.note("lost answer and restart", dealer)

        print("3. a fill that no answer tells of")
        books.prepare("answer")
        await trade(books, dealer, size)
        await books.note("position mismatch", dealer)

        print("4. the close fails")
        books.prepare("service")
        await close(books, dealer)
        books.counted -= size  # the one order it knows of
        await books.note("failed close, tried until flat", dealer)
        books.mark.clear()
    finally:
        await dealer.aclose()


async def begin(books: Books, dealer: LighterDealer) -> None:
    """Find out where an interrupted run has left off.

    Raises:
        UsageError: there is a position, and no run of ours that left it.
    """
    for order in dealer.orders.live():
        # On its way when the run before was interrupted.
        await dealer.wait_settled(order.client_order_index, SETTLED_WITHIN_S)
    held = await dealer.fetch_my_position()
    if held and not books.mark.is_set():
        raise UsageError(
            f"{dealer.market.symbol}: there is a position of {held}, which would be "
            "closed; close it yourself or name another --symbol"
        )
    if books.mark.is_set():
        print(f"0. started again, with a position of {held}")
    books.mark.set()
    books.begin = books.counted = held


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = desk_parser(__doc__)
    parser.add_argument("--symbol", default="ETH", help="market: %(default)s")
    parser.add_argument("--size", type=positive, default=Decimal("0.05"))
    parser.add_argument("--state-dir", type=Path, default=Path("recovery-state"))
    return parser.parse_args()


async def main(options: argparse.Namespace) -> None:
    """Open the network, let everything happen, and show the positions."""
    async with contextlib.AsyncExitStack() as stack:
        network = await stack.enter_async_context(
            open_network(options.network, live=options.live, seed=options.seed)
        )
        folder = options.state_dir
        if network.venue is not None:
            # Nobody can go on with what ends with the exchange.
            temporary = tempfile.TemporaryDirectory(prefix="wrappy-recovery-")
            folder = Path(stack.enter_context(temporary))
        config = dataclasses.replace(
            network.accounts[0], symbol=options.symbol, state_dir=str(folder)
        )
        name = f"recovery-{config.account_index}-{config.symbol}"
        books = Books(network, config, Mark(folder / name))
        await suffer(books, options.size)
        print(f"\n{books.table()}")
        wrong = [row[0] for row in books.rows if row[2] != row[3]]
        if wrong:
            raise UsageError(f"the dealer was wrong after {', '.join(wrong)}")
        print("\nthe dealer was right each time; nobody had to do anything")


if __name__ == "__main__":
    sys.exit(run(main(arguments()), name=Path(__file__).name))
