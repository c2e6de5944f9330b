"""Compares open orders, as stream and REST tell them, and coverage with the position.

Idea: the two ways should tell the same orders, and the reduce-only ones on the closing
side should add up to the position. Parameters: `--symbol`, `--network`. Risks: none, it
sends nothing; at the local exchange, which begins empty, it makes an example first.
Ends with 1 when something does not add up.

    python examples/trend_ladder/open_orders_vs_coverage.py --network testnet
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ladder_diagnosis import opened, parser_of, summed

from wrappy.runner.command import run

if TYPE_CHECKING:
    import argparse

found_wrong: list[str] = []


async def main(options: argparse.Namespace) -> None:
    """Print both lists' sums and what does not fit."""
    async with opened(options) as (dealer, ws):
        by_rest = await dealer.fetch_open_orders()
        numbers = {int(row["client_order_index"]) for row in by_rest}
        streamed = [await ws.get_order_by_coi(number) for number in numbers]
        by_stream = [row for row in streamed if row and row["status"] == "open"]
        position = await dealer.fetch_my_position()
        print(f"{'':8}{'orders':>8}{'closing':>10}{'reduce-only':>13}{'gap':>10}")
        for name, rows in (("stream", by_stream), ("REST", by_rest)):
            sums = summed(position, rows)
            print(
                f"{name:8}{len(rows):8}{sums.closing:10}{sums.reduce_only:13}"
                f"{sums.gap:10}"
            )
            if sums.gap:
                found_wrong.append(f"{name}: a gap of {sums.gap}")
        print(f"position {position} {dealer.market.symbol}")
        if len(by_stream) != len(by_rest):
            found_wrong.append("the stream does not know all open orders")
        print("\n".join(found_wrong) or "covered")


if __name__ == "__main__":
    words = (__doc__ or "").partition("\n")[0]
    parser = parser_of(words)
    parser.add_argument("--network", default="venue", help="venue, testnet, mainnet")
    code = run(main(parser.parse_args()), name=Path(__file__).name)
    sys.exit(code or bool(found_wrong))
