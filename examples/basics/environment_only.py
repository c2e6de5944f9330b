"""Configured by the environment alone: no file, no argument, nothing in the code.

Idea: `LIGHTER_BASE_URL`, `LIGHTER_ACCOUNT_INDEX`, `LIGHTER_API_KEY_INDEX` and
`LIGHTER_API_KEY` say where and who; `BOT_SYMBOL`, `BOT_USDC` and `BOT_LIVE` are the
bot's own. That suits containers and services, and no key stands in a process list.
Without `LIGHTER_BASE_URL` a local exchange is started.

Parameters: `BOT_SYMBOL` (ETH), `BOT_USDC` (100), `BOT_LIVE=1` to trade real money.
Risks: the order rests 3 % below the market for a moment, where it can be filled; a
position stays.

Try it: `python examples/basics/environment_only.py`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from wrappy import ConfigError, UsageError
from wrappy.runner.command import run
from wrappy.runner.desk import open_desk
from wrappy.runner.network import open_network

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class BotSettings:
    """What the bot itself wants to know."""

    network: str
    symbol: str
    usdc: Decimal
    live: bool

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> BotSettings:
        """Read them; what is wrong is told by its name."""
        text = environment.get("BOT_USDC", "100")
        try:
            usdc = Decimal(text)
        except InvalidOperation:
            usdc = Decimal("NaN")
        if not usdc.is_finite() or usdc <= 0:
            raise ConfigError(f"BOT_USDC: {text!r} is not a number above 0")
        return cls(
            network=environment.get("LIGHTER_BASE_URL") or "venue",
            symbol=environment.get("BOT_SYMBOL", "ETH"),
            usdc=usdc,
            live=environment.get("BOT_LIVE") == "1",
        )


async def main() -> None:
    """Place one order as the environment says, and take it away again."""
    bot = BotSettings.read(os.environ)
    async with (
        open_network(bot.network, live=bot.live) as network,
        open_desk(network.accounts[0], bot.symbol) as (dealer, ws),
    ):
        bid = ws.book().best_bid
        if bid is None:
            raise UsageError("nobody buys: there is no price to go by")
        low = bid.price * Decimal("0.97")
        placed = await dealer.create_limit_order(low, bot.usdc / low, post_only=True)
        await dealer.flush()
        receipt = await dealer.wait_settled(placed["client_order_index"])
        print(f"account {dealer.config.account_index} at {dealer.config.base_url}")
        print(f"{receipt.size} {bot.symbol} at {receipt.price}: {receipt.status.value}")


if __name__ == "__main__":
    sys.exit(run(main(), name=Path(__file__).name))
