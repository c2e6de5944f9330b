"""`python -m wrappy.venue`: run the local exchange until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import TIERS
from wrappy.venue.fault_rules import read_storm
from wrappy.venue.server import LOOPBACK, Venue, described
from wrappy.venue.settings import VenueSettings
from wrappy.venue.tape import tape_symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger("wrappy.venue")

BAD_ARGUMENTS = 2
FEWEST_ACCOUNTS = 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # One line, so that whoever starts this as a process can log it whole.
        self.exit(BAD_ARGUMENTS, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = _Parser(
        prog="python -m wrappy.venue",
        description="A local Lighter exchange: real protocol, made-up money.",
    )
    found.add_argument(
        "--json", action="store_true", help="print one JSON line with all addresses"
    )
    found.add_argument("--host", default=LOOPBACK, help="interface (%(default)s)")
    found.add_argument("--port", type=int, default=0, help="0 takes a free one")
    found.add_argument("--seed", type=int, default=1, help="accounts and market")
    found.add_argument("--tape", type=Path, help="recorded market to replay")
    found.add_argument("--symbols", help="markets, such as ETH,BTC,SOL")
    found.add_argument(
        "--tier",
        choices=sorted(TIERS),
        default="premium",
        help="fees, delays and limits of every account (%(default)s)",
    )
    found.add_argument("--accounts", type=int, default=2, help="user accounts")
    found.add_argument(
        "--verify",
        choices=("all", "none"),
        default="all",
        help="signatures and tokens to check (%(default)s)",
    )
    found.add_argument(
        "--flow",
        choices=("synthetic", "none"),
        default="synthetic",
        help="who else trades, without a tape (%(default)s)",
    )
    found.add_argument("--limits", action="store_true", help="enforce rate limits")
    found.add_argument(
        "--chaos", type=Path, metavar="FILE", help="faults, in TOML or JSON"
    )
    found.add_argument(
        "--admin",
        action="store_true",
        help="let programs on this machine change the faults at /admin/faults",
    )
    return found


def build(arguments: argparse.Namespace) -> Venue:
    """Return the venue that the command line describes, not yet running.

    Raises:
        ConfigError: an argument cannot work.
    """
    largest_port = 65_535
    if not 0 <= arguments.port <= largest_port:
        raise ConfigError(f"--port: {arguments.port} is not within 0..{largest_port}")
    if arguments.accounts < FEWEST_ACCOUNTS:
        raise ConfigError(
            f"--accounts: {arguments.accounts} is below {FEWEST_ACCOUNTS}"
        )
    symbols = VenueSettings().symbols
    if arguments.symbols is not None:
        names = (name.strip().upper() for name in arguments.symbols.split(","))
        symbols = tuple(dict.fromkeys(name for name in names if name))
    if arguments.tape is not None:
        symbols = tuple(dict.fromkeys((tape_symbol(arguments.tape), *symbols)))
    settings = VenueSettings(
        seed=arguments.seed,
        symbols=symbols,
        tape=arguments.tape,
        tier=arguments.tier,
        account_count=arguments.accounts,
        verify=arguments.verify == "all",
        flow="tape" if arguments.tape is not None else arguments.flow,
        enforce_limits=arguments.limits,
    )
    rules = () if arguments.chaos is None else read_storm(arguments.chaos)
    venue = Venue(
        host=arguments.host,
        port=arguments.port,
        settings=settings,
        admin=arguments.admin,
    )
    for rule in rules:
        venue.faults.add(rule)
    return venue


def banner(venue: Venue) -> str:
    """Return what a person wants to read at start."""
    lines = [
        f"Lighter venue on {venue.base_url}, chain {venue.chain_id}",
        f"stream on {venue.ws_url}",
        "markets: " + ", ".join(f"{m.symbol}={m.market_id}" for m in venue.markets),
    ]
    for account in venue.accounts:
        lines.append(
            f"account {account.account_index} ({account.tier}, "
            f"{account.collateral} USDC)"
        )
        lines += [
            f"  api key {key.api_key_index}: {key.api_key_private_key}"
            for key in account.api_keys
        ]
    return "\n".join(lines)


async def serve(arguments: argparse.Namespace) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ConfigError: an argument cannot work.
        OSError: the port is taken.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with build(arguments) as venue:
        text = json.dumps(described(venue)) if arguments.json else banner(venue)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        logger.info("running on %s", venue.base_url)
        await stopped.wait()
        logger.info("stopping")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        asyncio.run(serve(arguments))
    except ConfigError as error:
        sys.stderr.write(f"python -m wrappy.venue: {error}\n")
        return BAD_ARGUMENTS
    except OSError as error:
        told = not_listening(arguments.host, arguments.port, error)
        sys.stderr.write(f"python -m wrappy.venue: {told}\n")
        return BAD_ARGUMENTS
    return 0


def not_listening(host: str, port: int, error: OSError) -> str:
    """Return which argument keeps the doors shut, and what to give instead."""
    if error.errno == errno.EADDRINUSE:
        why = f"--port: {port} is taken on {host}"
        return f"{why}; give another, or leave it out for a free one"
    if error.errno == errno.EACCES:
        return f"--port: {port} needs privileges; give one above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host: {host} is not an address of this machine"
    return f"--host: {host} cannot be listened on: {error.strerror or error}"


if __name__ == "__main__":
    sys.exit(main())
