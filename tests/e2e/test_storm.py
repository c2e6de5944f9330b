"""A storm of lost requests and answers: nothing doubled, nothing misreported."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from functools import partial

import pytest

from wrappy import (
    DealerConfig,
    LaneHeldError,
    LighterDealer,
    NonceRejectedError,
    RateLimitedError,
    SendOutcomeUnknownError,
    WrappyError,
)
from wrappy.lighter.config import ApiKeyConfig
from wrappy.model import OrderStatus
from wrappy.protocol.intents import TxType
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, VenueSettings
from wrappy.venue.events import TxAccepted

pytestmark = pytest.mark.slow

SEND, BATCH = "/api/v1/sendTx", "/api/v1/sendTxBatch"
NONCE, TX = "/api/v1/nextNonce", "/api/v1/tx"
PASSING = (
    LaneHeldError,
    NonceRejectedError,
    RateLimitedError,
    SendOutcomeUnknownError,
)


def disturb(relay, dice):
    """Plan one fault for what comes next."""
    path = dice.choice([SEND, SEND, BATCH, NONCE, TX])
    kind = dice.randrange(5)
    if kind == 0:
        relay.lose_request(path)
    elif kind == 1:
        relay.lose_answer(path)
    elif kind == 2:
        relay.answer(path, b"<html>bad gateway</html>", status=502)
    elif kind == 3:
        relay.answer(path, b'{"code":200}')
    else:
        relay.lose_answer(path, times=2)


@pytest.mark.parametrize("storm", [(n, loss) for n in range(4) for loss in (5, 20)])
async def test_every_order_is_carried_out_at_most_once_and_told_truly(
    quiet_venue, dealer, relay_to, eventually, storm
):
    seed, loss = storm
    dice = random.Random(seed * 100 + loss)
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay, max_ws_batch=3)
    cois = []
    for _ in range(30):
        for _ in range(dice.randrange(1, 5)):
            placed = await trader.create_limit_order(1000 + len(cois), 0.05)
            cois.append(placed["client_order_index"])
        if dice.randrange(100) < loss:
            disturb(relay, dice)
        try:
            await trader.flush()
        except PASSING:
            continue
    for _ in range(20):
        try:
            if not (await trader.flush())["count"]:
                break
        except PASSING:
            continue
    await eventually(lambda: not trader.orders.unknown())
    there = Counter(o.client_order_index for o in quiet_venue.ledger.orders())
    assert max(there.values()) == 1, "an order was doubled"
    for coi in cois:
        status = trader.orders.get(coi).status
        assert (status is not OrderStatus.REJECTED) == (coi in there), status
    assert [tx.nonce for tx in quiet_venue.ledger.accepted()] == list(
        range(1, len(there) + 1)
    )


# ------------------------------------------------------------------ in virtual time

LATE_MS = 3_000
SEEDS = 25


async def virtual_storm(seed, loss, *, socket, depth, state):
    """Trade through a storm and return what the exchange has and what we believe."""
    dice = random.Random(f"{seed}/{loss}/{socket}/{depth}")
    travel = TravelTimes(request_ms=(1, 80), reply_ms=(1, 80))
    settings = VenueSettings(seed=seed, flow="none", verify=False)
    async with InProcessExchange(settings, travel=travel) as exchange:
        owner = exchange.accounts[0]
        config = DealerConfig(
            base_url=exchange.base_url,
            account_index=owner.account_index,
            api_keys=tuple(
                ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                for key in owner.api_keys
            ),
            chain_id=exchange.chain_id,
            symbol="ETH",
            standard_account=False,
            ip_weight_per_minute=10_000_000,
            state_dir=str(state),
            journal=False,
            request_timeout_s=2.0,
            max_ws_batch=3,
            use_websocket=socket,
            pipeline_depth=depth,
        )
        trader = await LighterDealer.create(config, environment=exchange.environment)
        chance = loss * 10_000
        handles = [
            exchange.faults.add(rule)
            for rule in (
                FaultRule(act="drop", phase="request", probability=chance),
                FaultRule(act="drop", phase="reply", probability=chance),
                FaultRule(
                    act="delay", phase="request", delay_ms=LATE_MS, probability=chance
                ),
                FaultRule(
                    act="status", phase="reply", code=502, probability=chance // 2
                ),
                FaultRule(act="dup", phase="request", probability=chance // 2),
                FaultRule(act="truncate", phase="reply", probability=chance // 4),
            )
        ]
        cois: list[int] = []

        async def trade():
            for _ in range(10):
                with contextlib.suppress(WrappyError):
                    price = 1000 + len(cois)
                    placed = await trader.create_limit_order(price, 0.05)
                    cois.append(placed["client_order_index"])
                    await trader.flush()
                if dice.random() < 0.2:
                    await trader.cancel_order_by_coi(dice.choice(cois))
                await asyncio.sleep(dice.random() * 0.3)

        await asyncio.gather(trade(), trade())
        for handle in handles:
            exchange.faults.remove(handle)
        calm_at = asyncio.get_running_loop().time()
        while trader.orders.unknown():
            await asyncio.sleep(0.1)
        certain_after_s = asyncio.get_running_loop().time() - calm_at
        left = 1
        while left:
            with contextlib.suppress(LaneHeldError):  # a cancel can be in doubt too
                left = (await trader.flush())["count"]
        await asyncio.sleep(2 * LATE_MS / 1000)  # whatever is late has arrived
        there = Counter(
            event.info["ClientOrderIndex"]
            for event in exchange.ledger.events
            if isinstance(event, TxAccepted) and event.tx_type == TxType.CREATE_ORDER
        )
        believed = {coi: trader.orders.get(coi).status for coi in cois}
        await trader.aclose()
    return there, believed, certain_after_s


@pytest.mark.parametrize("loss", [5, 20])
@pytest.mark.parametrize(
    ("socket", "depth"), [(False, 1), (True, 1), (True, 4)], ids=["rest", "ws", "deep"]
)
def test_whatever_is_lost_late_or_doubled_on_the_way_the_orders_are_true(
    tmp_path, loss, socket, depth
):
    logging.disable(logging.ERROR)
    try:
        for seed in range(SEEDS):
            there, believed, certain_after_s = run_virtual(
                partial(
                    virtual_storm,
                    *(seed, loss),
                    socket=socket,
                    depth=depth,
                    state=tmp_path,
                )
            )
            assert max(there.values()) == 1, f"seed {seed}: an order was doubled"
            for coi, status in believed.items():
                dead = status is OrderStatus.REJECTED
                assert dead == (coi not in there), f"seed {seed}: {coi} {status}"
            # Life of a maker's transaction, and what reads may take after it.
            assert certain_after_s <= 10.0 + 2.0 + 0.5, f"seed {seed}"
    finally:
        logging.disable(logging.NOTSET)
