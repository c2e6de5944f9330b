"""P14: after a crash at any point, journal and exchange agree before the first order.

A real process trades at a venue in this one and is killed, by signal 9, at a named
point. Another dealer then starts from the same folder, and the venue's ledger tells
whether every order is accounted for and none was doubled.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import sqlite3
import sys
import time

import aiohttp
import pytest

from wrappy import LighterDealer
from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
from wrappy.protocol.intents import CreateOrder, TxType
from wrappy.signing.sdk import SdkSigner

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
SEND, BATCH, TX = "/api/v1/sendTx", "/api/v1/sendTxBatch", "/api/v1/tx"
CHILD_MAY_TAKE_S = 40.0
TAKEN = (SendStage.ACCEPTED, SendStage.EXECUTED, SendStage.ENDED)
NEVER = (SendStage.REFUSED, SendStage.DEAD)


def plain(config):
    """Return the settings that differ from the defaults, as JSON can carry them."""
    settings = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "api_keys":
            settings[field.name] = [dataclasses.asdict(key) for key in value]
        elif value != field.default:
            settings[field.name] = value
    return settings


async def crash(config, point, *, before=0, count=1, armed_at_start=False):
    """Run the bot until it dies; return what it said."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "crash_process.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    task = {
        "config": plain(config),
        "point": point,
        "before": before,
        "count": count,
        "armed_at_start": armed_at_start,
    }
    told, errors = await asyncio.wait_for(
        child.communicate(json.dumps(task).encode() + b"\n"), CHILD_MAY_TAKE_S
    )
    assert child.returncode == -signal.SIGKILL, errors.decode()
    lines = [json.loads(line) for line in told.splitlines()]
    keys = [key.api_key_private_key for key in config.api_keys]
    assert not any(key in errors.decode() for key in keys)
    return {
        "started": any("started" in line for line in lines),
        "queued": [coi for line in lines for coi in line.get("queued", ())],
        "flushed": [coi for line in lines for coi in line.get("flushed", ())],
    }


async def late(venue, entry):
    """Have the bytes of a dead transaction arrive after all; return the status."""
    form = {"tx_type": str(entry.tx_type), "tx_info": entry.tx_info}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{venue.base_url}{SEND}", data=form) as response,
    ):
        return response.status


def hashes_in(config):
    """Return the hashes of the journal's rows, without touching it."""
    key = config.api_keys[0].api_key_index
    (path,) = pathlib.Path(config.state_dir).glob(f"journal-*-{key}.sqlite3")
    uri = f"{path.as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT tx_hash FROM entries")]


def left_entries(config):
    """Return every row of the journal."""
    journal = journal_of(config)
    try:
        return [journal.entry(tx_hash) for tx_hash in hashes_in(config)]
    finally:
        journal.close()


def journal_of(config):
    return Journal.open(
        pathlib.Path(config.state_dir),
        base_url=config.base_url,
        account_index=config.account_index,
        api_key_index=config.api_keys[0].api_key_index,
    )


async def judge(venue, config, told):
    """Restart, trade, and hold the journal against the ledger."""
    before = len(venue.ledger.accepted())
    of_the_dead = set(hashes_in(config))
    trader = await LighterDealer.create(config)
    # Nothing but fences was sent before the journal was settled; what a socket still
    # held of the dead process may have arrived meanwhile.
    restarted = [
        tx for tx in venue.ledger.accepted()[before:] if tx.tx_hash not in of_the_dead
    ]
    assert {tx.tx_type for tx in restarted} <= {TxType.CANCEL_ORDER}
    async with trader:
        own = (await trader.create_limit_order(900, 0.05))["client_order_index"]
        await trader.flush()
        live = {row["client_order_index"] for row in await trader.fetch_open_orders()}
        table = {record.client_order_index for record in trader.orders.live()}
    assert live <= table
    created = [
        tx.info["ClientOrderIndex"]
        for tx in venue.ledger.accepted()
        if tx.tx_type == TxType.CREATE_ORDER
    ]
    assert len(created) == len(set(created)), "an order was doubled"
    assert set(created) <= {own, *told["queued"]}
    assert {own, *told["flushed"]} <= set(created), "an order was lost"
    assert {own, *told["flushed"]} <= live
    nonces = [tx.nonce for tx in venue.ledger.accepted()]
    assert nonces == sorted(set(nonces))
    accepted = {tx.tx_hash for tx in venue.ledger.accepted()}
    entries = left_entries(config)
    for entry in entries:
        taken = entry.tx_hash in accepted
        assert entry.stage in (TAKEN if taken else NEVER), (entry, taken)
        if entry.stage in NEVER:
            assert await late(venue, entry) == 400
    assert accepted <= {entry.tx_hash for entry in entries}
    return entries


NOTHING_LEFT = [
    "before signing",
    "signed, not written",
    "rows inserted, not committed",
    "at the commit",
]
"""The order is on no disk and never left."""

FENCED = ["committed, not sent", "before send 1"]
"""The order is on disk and never left."""

SENT = ["answer 1 came, not marked", "answered and marked", "closing, journal closed"]
"""The order left and was taken."""


@pytest.mark.parametrize("point", NOTHING_LEFT)
async def test_killed_before_the_journal_has_it(quiet_venue, config_for, point):
    config = config_for(quiet_venue)
    told = await crash(config, point, before=1)
    entries = await judge(quiet_venue, config, told)
    assert len(entries) == 2  # the order before, and the one after the restart


@pytest.mark.parametrize("point", FENCED)
async def test_killed_after_the_journal_has_it_and_before_it_left(
    quiet_venue, config_for, point
):
    config = config_for(quiet_venue)
    # The first send that counts is the second: one order went before.
    told = await crash(config, point, before=1)
    entries = await judge(quiet_venue, config, told)
    stages = [entry.stage for entry in entries if entry.tx_type == TxType.CREATE_ORDER]
    assert SendStage.DEAD in stages
    assert [entry.intent for entry in entries if "fence" in entry.intent]


@pytest.mark.parametrize("point", SENT)
async def test_killed_after_the_exchange_took_it(quiet_venue, config_for, point):
    config = config_for(quiet_venue)
    told = await crash(config, point, before=1)
    entries = await judge(quiet_venue, config, told)
    assert not [entry for entry in entries if entry.stage in NEVER]


async def test_killed_while_it_waits_for_the_answer(quiet_venue, config_for, relay_to):
    relay = await relay_to(quiet_venue)
    relay.hold_answer(SEND)
    config = config_for(relay)
    told = await crash(config, "waiting for answer 1")
    assert relay.holding.is_set()
    relay.release.set()
    entries = await judge(quiet_venue, config, told)
    assert not [entry for entry in entries if entry.stage in NEVER]


@pytest.mark.parametrize("kind", ["lose_answer", "lose_request"])
async def test_killed_when_the_answer_was_lost(quiet_venue, config_for, relay_to, kind):
    relay = await relay_to(quiet_venue)
    getattr(relay, kind)(SEND)
    config = config_for(relay)
    told = await crash(config, "answer 1 lost")
    assert relay.fired == [(kind, SEND)]
    entries = await judge(quiet_venue, config, told)
    dead = [entry for entry in entries if entry.stage in NEVER]
    assert len(dead) == (kind == "lose_request")


@pytest.mark.parametrize("point", ["before send 2", "answer 2 came, not marked"])
async def test_killed_while_a_lost_order_was_sent_a_second_time(
    quiet_venue, config_for, relay_to, point
):
    relay = await relay_to(quiet_venue)
    relay.lose_request(SEND)
    relay.answer(TX, {"code": 29500, "message": "down"}, status=500)
    config = config_for(relay)
    told = await crash(config, point)
    assert ("lose_request", SEND) in relay.fired
    entries = await judge(quiet_venue, config, told)
    dead = [entry for entry in entries if entry.stage in NEVER]
    assert len(dead) == (point == "before send 2")


@pytest.mark.parametrize(
    "point", ["before send 2", "answer 2 came, not marked", "before send 1"]
)
async def test_killed_between_the_pieces_of_a_batch(quiet_venue, config_for, point):
    config = config_for(quiet_venue, max_ws_batch=5)
    told = await crash(config, point, count=10)
    await judge(quiet_venue, config, told)
    arrived = [
        tx for tx in quiet_venue.ledger.accepted() if tx.tx_type == TxType.CREATE_ORDER
    ]
    pieces = {"before send 1": 0, "before send 2": 1}.get(point, 2)
    assert len(arrived) == 5 * pieces + 1


@pytest.mark.parametrize(
    ("point", "fences"),
    [
        ("signed, not written", 1),
        ("committed, not sent", 1),
        ("before send 1", 1),
        ("answer 1 came, not marked", 1),
        ("at the start, key locked", 1),
    ],
)
async def test_killed_during_the_restart_itself(quiet_venue, config_for, point, fences):
    config = config_for(quiet_venue)
    old = leave_an_order(quiet_venue, config)
    told = await crash(config, point, armed_at_start=True)
    assert not told["started"]
    entries = await judge(quiet_venue, config, told)
    taken = [tx for tx in quiet_venue.ledger.accepted() if "Index" in tx.info]
    assert len(taken) == fences
    (row,) = [entry for entry in entries if entry.tx_hash == old.tx_hash]
    assert row.stage is SendStage.DEAD


def leave_an_order(venue, config):
    """Write what a process before the first had signed."""
    key = config.api_keys[0]
    signer = SdkSigner(
        key.api_key_private_key,
        account_index=config.account_index,
        api_key_index=key.api_key_index,
        chain_id=venue.chain_id,
    )
    now_ms = int(time.time() * 1000)
    tx = signer.sign(
        CreateOrder(0, 77, 500, 100_000, False, order_expiry=now_ms + 3_600_000),
        nonce=1,
    )
    journal = journal_of(config)
    journal.write(
        [
            JournalEntry(
                nonce=tx.nonce,
                tx_type=int(tx.tx_type),
                tx_hash=tx.tx_hash,
                tx_info=tx.tx_info,
                expired_at_ms=tx.expired_at_ms,
                market_index=0,
                client_order_index=77,
                group_indices=(),
                batch=1,
                stage=SendStage.SIGNED,
                written_ms=now_ms,
                intent="{}",
            )
        ]
    )
    journal.close()
    return tx


@pytest.mark.parametrize(
    "point",
    [
        "before send 1",
        "answer 1 came, not marked",  # the frame is out, its answer is not awaited
        "answered and marked",
        "closing, journal open",
    ],
)
async def test_killed_while_it_sends_over_the_websocket(
    quiet_venue, config_for, point, eventually
):
    config = config_for(quiet_venue, use_websocket=True)
    told = await crash(config, point, before=1)
    await judge(quiet_venue, config, told)


@pytest.mark.parametrize("skip_nonce", [False, True])
@pytest.mark.parametrize("point", ["before send 3", "answer 3 came, not marked"])
async def test_killed_with_several_sends_without_an_answer(
    quiet_venue, config_for, point, skip_nonce
):
    config = config_for(
        quiet_venue,
        use_websocket=True,
        pipeline_depth=3,
        skip_nonce=skip_nonce,
        max_ws_batch=4,
    )
    told = await crash(config, point, count=16)
    await judge(quiet_venue, config, told)


@pytest.mark.parametrize("batch", range(3))
async def test_killed_anywhere_inside_a_large_write(quiet_venue, config_for, batch):
    config = config_for(quiet_venue, max_ws_batch=15)
    told = await crash(config, "inside the journal write", count=15)
    await judge(quiet_venue, config, told)
