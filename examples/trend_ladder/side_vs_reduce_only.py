"""Shows orders on the closing side that are not reduce-only: they cover nothing.

Idea: an order that sells while the account is long looks like a take profit. If it is
not reduce-only it can turn the position over, and must not be counted. Parameters:
`--symbol`, `--network`. Risks: none, it sends nothing; at the local exchange, which
begins empty, it makes an example first. Ends with 1 when there is such an order.

    python examples/trend_ladder/side_vs_reduce_only.py --network testnet
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ladder_diagnosis import opened, parser_of, summed

from wrappy.runner.command import run

if TYPE_CHECKING:
    import argparse

found_loose: list[int] = []


async def main(options: argparse.Namespace) -> None:
    """Print the two sums and the orders between them."""
    async with opened(options) as (dealer, _):
        position = await dealer.fetch_my_position()
        sums = summed(position, await dealer.fetch_open_orders())
        print(f"position            {position} {dealer.market.symbol}")
        print(f"on the closing side {sums.closing}")
        print(f"reduce-only of that {sums.reduce_only}")
        for number in sums.loose:
            print(f"not reduce-only: client order index {number}")
        found_loose.extend(sums.loose)


if __name__ == "__main__":
    words = (__doc__ or "").partition("\n")[0]
    parser = parser_of(words)
    parser.add_argument("--network", default="venue", help="venue, testnet, mainnet")
    code = run(main(parser.parse_args()), name=Path(__file__).name)
    sys.exit(code or bool(found_loose))
