"""How one leg is started on its own."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from examples.hedge.base import Post, open_post
from examples.hedge.settings import open_bus, read_settings
from wrappy.runner.command import OneLineParser
from wrappy.runner.network import require_live

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator


def arguments(about: str | None) -> argparse.Namespace:
    """Read a leg's command line."""
    parser = OneLineParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="settings in YAML")
    parser.add_argument("--live", action="store_true", help="real money is meant")
    parser.add_argument("--journal", type=Path, help="leg B's file of fills")
    return parser.parse_args()


@contextlib.asynccontextmanager
async def post_of(leg: str, options: argparse.Namespace) -> AsyncIterator[Post]:
    """Open what leg `a` or `b` works with, by the settings file.

    Raises:
        ConfigError: the file does not fit, or names real money that is not meant.
    """
    settings = read_settings(options.config)
    require_live(settings.base_url.rstrip("/"), live=options.live)
    config, bus = settings.dealer_config(leg), open_bus()
    accounts = (settings.accounts["a"][0], settings.accounts["b"][0])
    try:
        async with open_post(config, accounts, settings.strategy, bus) as post:
            yield post
    finally:
        await bus.aclose()
