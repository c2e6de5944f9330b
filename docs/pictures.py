"""Makes the pictures of the pages on the examples: runs each one and draws what it did.

Markets have a seed and time is virtual, so every run draws the same. All of them, or
those that are named:

    python docs/pictures.py
    python docs/pictures.py hedge trend-ladder --into /tmp
"""
# ruff: noqa: INP001 - a program, not a package

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drawing import ROOT, bots, scripts

from wrappy.runner.virtual_time import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PICTURES = ROOT / "docs" / "examples" / "pictures"
VIRTUAL: dict[str, Callable[[], Coroutine[Any, Any, str]]] = {
    "arbitrage": bots.arbitrage,
    "all-at-once": bots.all_strategies,
    "hedge": bots.hedged,
    "trend-ladder": bots.ladder,
    "market-maker": bots.maker,
    "grid": bots.grid,
    "basics": scripts.requoting,
    "watch-and-alert": scripts.watching,
    "daily-report": scripts.day,
}
PLAIN: dict[str, Callable[[], str]] = {
    # These need no loop of ours: backtests bring their own, the last is a program.
    "parameter-scan": scripts.parameters,
    "staged-rollout": scripts.stages,
    "recovery": scripts.recovered,
}
NAMES = (*VIRTUAL, *PLAIN)


def drawn(name: str) -> str:
    """Run what a picture is of and return it as SVG."""
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if name in VIRTUAL:
                return run_virtual(VIRTUAL[name])
            return PLAIN[name]()
    finally:
        logging.disable(logging.NOTSET)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--into", type=Path, default=PICTURES)
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(NAMES)
    if unknown:
        parser.error(f"no picture is named {', '.join(sorted(unknown))}")
    chosen.into.mkdir(parents=True, exist_ok=True)
    for name in chosen.names or NAMES:
        path = chosen.into / f"{name}.svg"
        path.write_text(drawn(name), encoding="utf-8")
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1_000:.1f} kB\n")


if __name__ == "__main__":
    main()
