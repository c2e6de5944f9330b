"""`wrappy markets`: what can be traded, in which steps, and what it costs."""

from __future__ import annotations

import asyncio
import sys
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wrappy.model import usdc
from wrappy.runner.cli.columns import one_line, table
from wrappy.runner.cli.looking import open_exchange, settings_for
from wrappy.runner.command import FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy.lighter.visit import MarketRow
    from wrappy.runner.settings.sections import BotSettings

_HEAD = (
    "symbol",
    "index",
    "type",
    "tick",
    "lot",
    "min size",
    "min value",
    "maker fee",
    "taker fee",
    "status",
)


def markets(
    search: str = "",
    *,
    config: Path | None = None,
    network: Literal["venue", "paper", "testnet", "mainnet"] | None = None,
    url: str | None = None,
    json: bool = False,
) -> int:
    """List the markets of an exchange; no account is needed.

    Sizes are in the base asset, values in USDC. Fees are the market's own, in
    percent; what an account pays besides is by its tier.

    Args:
        search: only markets whose symbol contains this, such as ETH.
        config: settings file in TOML or YAML, for its network.
        network: the network instead.
        url: address of a running local exchange instead.
        json: print them as JSON.
    """
    rows = asyncio.run(_listed(settings_for(config, network, url)))
    found = [row for row in rows if search.upper() in row.market.symbol.upper()]
    if not found:
        sys.stderr.write(f"wrappy: no market of {len(rows)} contains {search!r}\n")
        return FAILED
    sys.stdout.write(as_json(found) if json else as_text(found))
    return 0


async def _listed(settings: BotSettings) -> list[MarketRow]:
    async with open_exchange(settings) as visit:
        return await visit.market_rows()


def _plain(row: MarketRow) -> dict[str, Any]:
    market = row.market
    return {
        "symbol": market.symbol,
        "index": market.market_id,
        "type": market.market_type,
        "tick": f"{market.tick_size:f}",
        "lot": f"{market.lot_size:f}",
        "min_size": f"{market.size(market.min_base_amount):f}",
        "min_value": f"{usdc(market.min_quote_amount):.2f}",
        "maker_fee_percent": f"{row.maker_fee:f}",
        "taker_fee_percent": f"{row.taker_fee:f}",
        "status": row.status,
    }


def as_json(rows: Sequence[MarketRow]) -> str:
    """Return markets for programs."""
    return dumps([_plain(row) for row in rows], indent=2) + "\n"


def as_text(rows: Sequence[MarketRow]) -> str:
    """Return markets for people."""
    plain = (_plain(row).values() for row in rows)
    return table(_HEAD, [[one_line(str(v)) for v in values] for values in plain]) + "\n"
