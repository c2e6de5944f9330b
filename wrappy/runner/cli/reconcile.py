"""`wrappy reconcile`: where journal and exchange disagree."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wrappy.errors import UsageError
from wrappy.runner.cli.columns import one_line, table
from wrappy.runner.cli.looking import open_account, settings_for
from wrappy.runner.command import FAILED
from wrappy.runner.reconcile.comparing import Comparison, DriftKind
from wrappy.runner.reconcile.reconciling import look, put_right

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.lighter.config import DealerConfig
    from wrappy.runner.settings.sections import BotSettings

_FIXES = {
    DriftKind.GONE: "is marked as ended",
    DriftKind.STRANGER: "is cancelled",
    DriftKind.UNSETTLED: "is settled",
}


def reconcile(
    config: Path | None = None,
    *,
    network: Literal["venue", "testnet", "mainnet"] | None = None,
    url: str | None = None,
    fix: bool = False,
    yes: bool = False,
) -> int:
    """Compare the journal with the exchange; exit code 1 when they disagree.

    Orders that only one of them knows, and transactions without a known end, are
    listed. A bot may run meanwhile, except with --fix.

    Args:
        config: settings file in TOML or YAML.
        network: the network instead.
        url: address of a running local exchange instead.
        fix: settle what is in doubt and cancel live orders that no journal knows.
        yes: do not ask before that.
    """
    settings = settings_for(config, network, url)
    return asyncio.run(_reconciled(settings, fix=fix, yes=yes))


async def _reconciled(settings: BotSettings, *, fix: bool, yes: bool) -> int:
    async with open_account(settings) as visit:
        symbols = {m.market_id: m.symbol for m in await visit.markets()}
        found = await look(visit)
        writers = visit.writers()
        _tell(found, symbols)
        for key, process in writers.items():
            _say(
                f"process {process} sends with key {key}; its newest marks are its own"
            )
        if found.is_clean or not fix:
            return 0 if found.is_clean else FAILED
        if writers:
            raise UsageError("--fix: a bot runs with the key; wrappy stop ends it")
        if not yes and not _agreed(found, visit.config):
            _say("nothing was changed")
            return FAILED
        await put_right(
            visit.config, found, symbols=symbols, environment=visit.environment
        )
        after = await look(visit)
        _say("")
        _tell(after, symbols)
        return 0 if after.is_clean else FAILED


def _tell(found: Comparison, symbols: Mapping[int, str]) -> None:
    if found.drifts:
        rows = [
            (
                drift.kind.value,
                symbols.get(-1 if drift.market_index is None else drift.market_index)
                or "-",
                str(drift.client_order_index or drift.order_index or "-"),
                one_line(drift.words),
            )
            for drift in found.drifts
        ]
        _say(table(("drift", "market", "order", "what is known"), rows))
    verdict = "journal and exchange agree" if found.is_clean else "they disagree"
    _say(
        f"{found.live} live order(s), {found.known} of them in the journal, "
        f"{len(found.drifts)} drift(s): {verdict}"
    )


def _agreed(found: Comparison, config: DealerConfig) -> bool:
    for kind, deed in _FIXES.items():
        count = sum(drift.kind is kind for drift in found.drifts)
        if count:
            _say(f"{count} x {kind.value}: each {deed}")
    if not sys.stdin.isatty():
        raise UsageError("--fix: nobody is here to be asked; add --yes to mean it")
    sys.stdout.write(
        f"account {config.account_index} at {config.base_url}: go on? [y/N] "
    )
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
