"""A bot of its own process: it opens a dealer and places an order at each line read.

The first line of its standard input is JSON: settings, how long the dead man's switch
waits, if at all, and whether to log everything. It answers every line with one line of
JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys

from wrappy import DealerConfig, LighterDealer, WrappyError


async def main() -> None:
    task = json.loads(sys.stdin.readline())
    loop = asyncio.get_running_loop()
    if task["debug"]:
        logging.basicConfig(level=logging.DEBUG)
        loop.set_debug(True)
    async with await LighterDealer.create(DealerConfig(**task["config"])) as trader:
        if task["dead_man_s"]:
            await trader.arm_dead_man(task["dead_man_s"])
        tell(pid=os.getpid())
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            tell(**await placed(trader, float(line)))


async def placed(trader: LighterDealer, price: float) -> dict[str, object]:
    try:
        await trader.create_limit_order(price, 0.05)
        return {"tx_hash": (await trader.flush())["tx_hash"]}
    except WrappyError as error:
        return {"error": type(error).__name__, "words": str(error)}


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
