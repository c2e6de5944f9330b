"""Telemetry of coverage and gap: log lines, and a small page of HTML beside them."""

from __future__ import annotations

import html
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ladder_core import Coverage, Ladder

    from wrappy.runner.strategy import Context

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<title>{symbol} trend ladder</title>
<meta name="viewport" content="width=device-width">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px system-ui, sans-serif; margin: 2rem; }}
main {{ border: 2px solid {colour}; border-radius: 8px; max-width: 24rem;
        padding: 1rem 1.5rem; }}
th {{ text-align: left; font-weight: normal; color: GrayText; padding-right: 2rem; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
<main><h1>{symbol}: {word}</h1><table>
{rows}
</table><p>as of {moment} UTC</p></main></html>
"""


def card_text(
    symbol: str, figures: dict[str, object], *, is_covered: bool, unix_s: float
) -> str:
    """Return the page.

    Args:
        symbol: the market.
        figures: what the rows say, by name.
        is_covered: whether all is well.
        unix_s: the moment of the figures.
    """
    rows = "\n".join(
        f"<tr><th>{html.escape(name)}<td>{html.escape(str(value))}"
        for name, value in figures.items()
    )
    return PAGE.format(
        symbol=html.escape(symbol),
        colour="#2a7" if is_covered else "#c33",
        word="covered" if is_covered else "not covered",
        rows=rows,
        moment=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(unix_s)),
    )


class Telemetry:
    """Tells gaps as they open and close, and the figures at intervals.

    Args:
        ctx: the strategy's context.
        every_s: from one line, and one card, to the next.
        card: file of the status card; empty for none.
    """

    def __init__(self, ctx: Context, *, every_s: float, card: str) -> None:
        self._ctx = ctx
        self._every_s = every_s
        self._card = card
        self._told_at = float("-inf")
        self._gap_since: float | None = None

    def report(self, ladder: Ladder, seen: Coverage, *, at_once: bool = False) -> None:
        """Take the figures of this moment.

        Args:
            ladder: what they are of.
            seen: the coverage.
            at_once: tell them whenever they were told last.
        """
        now, log = self._ctx.now(), self._ctx.log
        if not seen.is_sound and self._gap_since is None:
            self._gap_since = now
            log.warning("imbalance detected: %s", self._words(seen))
        elif seen.is_sound and self._gap_since is not None:
            log.info("coverage ok after %.2f s", now - self._gap_since)
            self._gap_since = None
        if at_once or now >= self._told_at + self._every_s:
            self._told_at = now
            log.info("telemetry: %s", self._words(seen))
            self._write_card(ladder, seen)

    def _words(self, seen: Coverage) -> str:
        size = self._ctx.market().size
        return (
            f"position {size(seen.held)}, covered {size(seen.covered)}, in doubt "
            f"{size(seen.in_doubt)}, gap {size(seen.gap)}, excess {size(seen.excess)}"
        )

    def _write_card(self, ladder: Ladder, seen: Coverage) -> None:
        """Write the card; whoever reads it never sees half a page."""
        if not self._card:
            return
        ctx, size = self._ctx, self._ctx.market().size
        figures: dict[str, object] = {
            "position": size(seen.held),
            "covered by reduce-only orders": size(seen.covered),
            "in doubt": size(seen.in_doubt),
            "gap": size(seen.gap),
            "beyond the position": size(seen.excess),
            "take profits": len(ladder.profits),
            "entries": len(ladder.entries),
        }
        text = card_text(
            ctx.market().symbol, figures, is_covered=seen.is_sound, unix_s=ctx.now()
        )
        target = Path(self._card)
        draft = target.with_name(f".{target.name}.new")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
        except OSError as error:
            # A full disk is no reason to stop watching over a position.
            ctx.log.warning("card: %s cannot be written: %s", target, error)
