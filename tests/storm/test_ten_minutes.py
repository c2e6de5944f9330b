"""Ten minutes of trouble: a bot quotes through all of it and is never told an untruth.

In virtual time, against a venue that enforces its limits; judged by its ledger.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from functools import partial

import pytest

from tests.promises.places import in_process, trader_at
from tests.storm.quoting import Market, Quoter, problems
from wrappy import WsInfo
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule
from wrappy.venue.events import FaultFired

pytestmark = pytest.mark.slow

SECOND_US = 1_000_000
MINUTES_S = 600
SOON_S = 20
"""A doubt holds the key no longer than its nonces take to be fenced."""
TOO_MANY = frozenset({23000, 429, 405})
EVERY_S = {"standard": 5.0, "premium": 0.25}
SEEDS = (1, 2)
TABLE = 1_000 + 200
"""Ended orders that a table keeps, and room for those that live."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong from one moment to another, seconds since the start."""

    name: str
    begins: int
    lasts: int
    rules: tuple[FaultRule, ...]
    silences: bool = False


SENDS = ("/api/v1/sendTx*", "jsonapi/*")


def on_sends(**fields):
    return tuple(FaultRule(path=path, **fields) for path in SENDS)


def throttle(code, *, html=False):
    return (
        FaultRule(act="status", code=code, html=html, path="/*"),
        FaultRule(act="status", code=23000, path="jsonapi/*"),
    )


SOMETIMES = 450_000
"""In millionths: often enough that even who seldom sends meets it."""

TROUBLES = (
    Trouble("429 burst", 20, 59, throttle(429), silences=True),
    Trouble("405 of the firewall", 90, 59, throttle(405, html=True), silences=True),
    Trouble(
        "5xx",
        160,
        20,
        (
            FaultRule(
                act="status", phase="reply", code=502, path="/*", probability=SOMETIMES
            ),
            FaultRule(
                act="status",
                phase="request",
                code=503,
                html=True,
                path="/*",
                probability=SOMETIMES,
            ),
            *on_sends(act="garbage", phase="reply", probability=SOMETIMES),
        ),
    ),
    Trouble(
        "late requests",
        245,
        20,
        on_sends(act="delay", delay_ms=500, spread_ms=9_000, every=2),
    ),
    Trouble(
        "half-open sockets",
        290,
        20,
        on_sends(act="stall", phase="reply", every=2)
        + on_sends(act="stall", phase="request", probability=SOMETIMES),
    ),
    Trouble(
        "lost on the way",
        350,
        20,
        on_sends(act="drop", phase="reply", every=2)
        + on_sends(act="drop", phase="request", probability=SOMETIMES),
    ),
    Trouble("a nonce used outside", 440, 20, on_sends(act="bump_nonce", times=1)),
    Trouble(
        "cut streams",
        465,
        15,
        (
            FaultRule(
                act="close",
                phase="after_accept",
                path="jsonapi/*",
                code=1011,
                probability=SOMETIMES,
            ),
            FaultRule(
                act="close",
                phase="push",
                channel="account_all_orders",
                code=1006,
                times=3,
            ),
        ),
    ),
    Trouble("429 burst again", 490, 59, throttle(429), silences=True),
)


async def weather(exchange, spans):
    """Bring the troubles one after the other; note when each one really was there."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def one(trouble):
        await asyncio.sleep(start + trouble.begins - loop.time())
        handles = [exchange.faults.add(rule) for rule in trouble.rules]
        if trouble.silences:
            # A cool-down begins with the first refusal.
            while not any(map(exchange.faults.fired, handles)):
                await asyncio.sleep(0.001)
        began = loop.time()
        await asyncio.sleep(trouble.lasts)
        spans.append((trouble, began, loop.time(), handles))
        for handle in handles:
            exchange.faults.remove(handle)

    await asyncio.gather(*map(one, TROUBLES))


async def ten_minutes(tier, state, *, seed, use_websocket):
    """Trade for ten minutes; return the bot, the ledger and when what went wrong."""
    spans = []
    async with in_process(
        seed=seed, symbols=("ETH",), flow=Market(), tier=tier, enforce_limits=True
    ) as exchange:
        owner = exchange.accounts[0]
        async with (
            await trader_at(
                exchange,
                state,
                keys=1,
                standard_account=None,
                use_websocket=use_websocket,
                request_timeout_s=3.0,
            ) as trader,
            await WsInfo.run_overlay(
                owner.account_index,
                owner.api_keys[0].api_key_index,
                owner.api_keys[0].api_key_private_key,
                symbol="ETH",
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=exchange.environment,
            ) as overlay,
        ):
            overlay.on_orders = trader.feed_ws_orders
            bot = Quoter(trader)
            loop = asyncio.get_running_loop()
            until = loop.time() + MINUTES_S
            await asyncio.gather(
                bot.quote(until, EVERY_S[tier]), weather(exchange, spans)
            )
            await bot.clear_up()
        epoch_us = loop.epoch_s * SECOND_US
        return bot, exchange.ledger, owner.account_index, spans, epoch_us


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("use_websocket", [False, True], ids=["rest", "ws"])
@pytest.mark.parametrize("tier", ["standard", "premium"])
def test_through_ten_minutes_of_trouble_nothing_is_doubled_lost_or_misreported(
    tmp_path, tier, use_websocket, seed
):
    logging.disable(logging.ERROR)  # it is a storm, and says so
    try:
        bot, ledger, account, spans, epoch_us = run_virtual(
            partial(ten_minutes, tier, tmp_path, seed=seed, use_websocket=use_websocket)
        )
    finally:
        logging.disable(logging.NOTSET)
    assert problems(bot, ledger, account) == {}
    assert bot.most_kept <= TABLE

    def between(events, begins, ends):
        return [e for e in events if begins <= (e.at_us - epoch_us) / SECOND_US < ends]

    accepted, fired = ledger.accepted(account), ledger.of(FaultFired)
    for trouble, began, ended, handles in spans:
        happened = [e for e in fired if e.rule in handles]
        assert happened, f"{trouble.name} never happened"
        if trouble.silences:
            # Whatever came was refused: the first one, and what was on its way.
            assert len(happened) <= 2, trouble.name
            assert not between(accepted, began, ended), trouble.name
        goes_on = between(accepted, ended, ended + SOON_S)
        assert goes_on, f"no trading after {trouble.name}"
    refused = [event.code for event in ledger.refused()]
    assert not TOO_MANY & set(refused), "our own pace let too much out"
