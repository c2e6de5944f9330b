"""Three bots on one key in one process: no nonce is taken twice, none is left out."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter

import pytest

from tests.promises.places import in_process, trader_at
from wrappy import WsInfo
from wrappy.protocol.intents import TxType
from wrappy.runner.virtual_time import run_virtual

pytestmark = pytest.mark.slow

SYMBOLS = ("ETH", "BTC", "SOL")
PRICES = {"ETH": 2_000, "BTC": 50_000, "SOL": 100}
SIZES = {"ETH": "0.1", "BTC": "0.001", "SOL": "2"}
MOST_LIVE = 60
ALSO = int(os.environ.get("WRAPPY_STORM_ORDERS", "3000"))
"""Orders over the WebSocket, which costs more; the long run has ten thousand too."""


async def trade(trader, dice, amount, asked):
    """Place so many orders, in requests of any size, and cancel most of them."""
    symbol, living, left = trader.market.symbol, [], amount
    while left:
        count = min(left, dice.randrange(1, 16))
        left -= count
        gone = [living.pop(0) for _ in range(max(0, len(living) - MOST_LIVE))]
        if dice.random() < 0.5:
            placed = await trader.batch_cancel_and_create(
                cancel_client_order_indices=gone,
                new_limit_orders=[(PRICES[symbol], SIZES[symbol])] * count,
            )
            living += placed["created"]
        else:
            for coi in gone:
                await trader.cancel_order_by_coi(coi)
            for _ in range(count):
                order = await trader.create_limit_order(PRICES[symbol], SIZES[symbol])
                living.append(order["client_order_index"])
            await trader.flush()
        asked.update(living[-count:])
        if dice.random() < 0.2:
            await asyncio.sleep(dice.random())


def judge(ledger, asked):
    """Hold everything sent with the one key against the exchange's ledger."""
    assert ledger.refused() == []
    accepted = ledger.accepted()
    assert [tx.nonce for tx in accepted] == list(range(1, len(accepted) + 1))
    created = Counter(
        tx.info["ClientOrderIndex"]
        for tx in accepted
        if tx.tx_type == TxType.CREATE_ORDER
    )
    assert created.keys() == asked
    assert set(created.values()) == {1}


async def trade_together(traders, dice, amount):
    asked = set()
    share = -(-amount // len(traders))
    await asyncio.gather(
        *(
            trade(trader, random.Random(dice.random()), share, asked)
            for trader in traders
        )
    )
    assert len(asked) >= amount
    return asked


@pytest.mark.parametrize(
    ("door", "amount"),
    [
        ({"use_websocket": False}, 10_000),
        ({"use_websocket": True}, ALSO),
        ({"use_websocket": True, "pipeline_depth": 4}, ALSO),
    ],
    ids=["rest", "ws", "deep"],
)
def test_ten_thousand_orders_of_three_dealers_meet_no_nonce_error(
    tmp_path, door, amount
):
    async def main():
        # This tier knows no volume quota, which orders that never trade use up.
        async with in_process(seed=3, tier="plus") as exchange:
            traders = [
                await trader_at(
                    exchange,
                    tmp_path,
                    keys=1,
                    symbol=symbol,
                    standard_account=None,
                    **door,
                )
                for symbol in SYMBOLS
            ]
            owner = exchange.accounts[0]
            overlay = await WsInfo.run_overlay(
                owner.account_index,
                owner.api_keys[0].api_key_index,
                owner.api_keys[0].api_key_private_key,
                symbol=SYMBOLS[0],
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=exchange.environment,
            )
            # An account's stream tells of every market.
            overlay.on_orders = lambda rows: [t.feed_ws_orders(rows) for t in traders]
            asked = await trade_together(traders, random.Random(7), amount)
            await overlay.aclose()
            for trader in traders:
                await trader.aclose()
            judge(exchange.ledger, asked)

    run_virtual(main)


@pytest.mark.parametrize("use_websocket", [False, True], ids=["rest", "ws"])
async def test_nor_do_three_hundred_over_real_sockets(
    quiet_venue, config_for, dealer, use_websocket
):
    keys = config_for(quiet_venue).api_keys[:1]
    traders = [
        await dealer(
            quiet_venue, symbol=symbol, api_keys=keys, use_websocket=use_websocket
        )
        for symbol in SYMBOLS
    ]
    asked = await trade_together(traders, random.Random(8), 300)
    judge(quiet_venue.ledger, asked)
