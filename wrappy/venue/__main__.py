"""`python -m wrappy.venue`: run the local exchange until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy.errors import ConfigError
from wrappy.protocol.tiers import TIERS
from wrappy.venue.fault_rules import read_storm
from wrappy.venue.market_life import tape_symbols
from wrappy.venue.one_line import BAD_ARGUMENTS, OneLineParser
from wrappy.venue.record import main as record
from wrappy.venue.replay import main as replay
from wrappy.venue.server import LOOPBACK, Venue, described
from wrappy.venue.settings import VenueSettings
from wrappy.venue.settings_file import read_settings, settings_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

logger = logging.getLogger("wrappy.venue")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
FEWEST_ACCOUNTS = 2
SETTING_OF = {"accounts": "account_count", "limits": "enforce_limits"}
"""Settings that have a name of their own on the command line."""


class _Parser(OneLineParser):
    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        found, rest = super().parse_known_args(args, namespace)
        # Once more without the defaults: what was said has the last word over a file,
        # also where it says what is the default anyway.
        blank = argparse.Namespace(**dict.fromkeys(vars(found)))
        said, _ = super().parse_known_args(args, blank)
        given = (name for name, value in vars(said).items() if value is not None)
        found.said = frozenset(given)
        return found, rest


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = _Parser(
        prog="python -m wrappy.venue",
        description="A local Lighter exchange: real protocol, made-up money.",
        epilog="`replay LOG` instead of flags does once more what --save-log saved; "
        "`record URL` writes down what happens at an exchange, for --tape.",
    )
    found.add_argument(
        "--settings", type=Path, metavar="FILE", help="all settings, in TOML"
    )
    found.add_argument(
        "--print-settings",
        action="store_true",
        help="print the settings as such a file, and end",
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
        "--faults",
        "--chaos",
        type=Path,
        metavar="FILE",
        help="what goes wrong on purpose, in TOML or JSON",
    )
    found.add_argument(
        "--save-log",
        type=Path,
        metavar="FILE",
        help="write every input there, for `replay`; packed if it ends in .gz",
    )
    found.add_argument(
        "--admin",
        action="store_true",
        help="let programs on this machine change the faults at /admin/faults",
    )
    return found


def settings_of(arguments: argparse.Namespace) -> VenueSettings:
    """Return the settings: the file's, with whatever the command line says besides.

    Raises:
        ConfigError: an argument or the file cannot work.
    """
    if arguments.accounts < FEWEST_ACCOUNTS:
        raise ConfigError(
            f"--accounts: {arguments.accounts} is below {FEWEST_ACCOUNTS}"
        )
    settings = VenueSettings()
    if arguments.settings is not None:
        settings = read_settings(arguments.settings)
    symbols = settings.symbols
    if arguments.symbols is not None:
        names = (name.strip().upper() for name in arguments.symbols.split(","))
        symbols = tuple(dict.fromkeys(name for name in names if name))
    told = {
        "seed": arguments.seed,
        "tape": arguments.tape,
        "tier": arguments.tier,
        "accounts": arguments.accounts,
        "verify": arguments.verify == "all",
        "flow": arguments.flow,
        "limits": arguments.limits,
    }
    changed = {
        SETTING_OF.get(flag, flag): value
        for flag, value in told.items()
        if flag in arguments.said
    }
    settings = replace(settings, symbols=symbols, **changed)
    if settings.tape is None:
        return settings
    symbols = tuple(dict.fromkeys((*tape_symbols(settings.tape), *settings.symbols)))
    return replace(settings, symbols=symbols, flow="tape")


def build(arguments: argparse.Namespace) -> Venue:
    """Return the venue that the command line describes, not yet running.

    Raises:
        ConfigError: an argument cannot work.
    """
    largest_port = 65_535
    if not 0 <= arguments.port <= largest_port:
        raise ConfigError(f"--port: {arguments.port} is not within 0..{largest_port}")
    settings = settings_of(arguments)
    rules = () if arguments.faults is None else read_storm(arguments.faults)
    venue = Venue(
        host=arguments.host,
        port=arguments.port,
        settings=settings,
        admin=arguments.admin,
        save_log=arguments.save_log,
    )
    for rule in rules:
        venue.faults.add(rule)
    return venue


def banner(venue: Venue) -> str:
    """Return what a person wants to read at start."""
    lines = [
        f"Lighter venue on {venue.base_url}, chain {venue.chain_id}",
        f"stream on {venue.ws_url}",
        f"to look at: {venue.page_url}",
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

    def got(_number: int, _frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stopped.set)

    # Not the loop's own handlers, which end before the program does.
    for number in STOP_SIGNALS:
        signal.signal(number, got)
    async with build(arguments) as venue:
        text = json.dumps(described(venue)) if arguments.json else banner(venue)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        logger.info("running on %s", venue.base_url)
        await stopped.wait()
        logger.info("stopping")


def main(argv: Sequence[str] | None = None, *, is_all: bool = False) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: arguments; those of the process if None.
        is_all: the process ends with it. Who passes a signal on may send it twice, as
            `timeout` does, to its child and then to the group that the child is in:
            the second one must not end what is ending well.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["replay"]:
        return replay(argv[1:])
    if argv[:1] == ["record"]:
        return record(argv[1:])
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        if arguments.print_settings:
            sys.stdout.write(settings_text(settings_of(arguments)))
            return 0
        before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        try:
            asyncio.run(serve(arguments))
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if is_all else handler)
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
    sys.exit(main(is_all=True))
