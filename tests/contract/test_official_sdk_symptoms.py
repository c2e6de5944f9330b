"""Four symptoms of bots on the official SDK, and the same faults with the dealer.

Nonces that are refused, positions that do not match, closes that fail, connections that
are left open. Each is brought about at the local exchange, for both in the same way.
"""

from __future__ import annotations

import asyncio
import gc
import os
import pathlib
import re
import sys

import pytest

from tests.contract.running import Books, ThreadedVenue, eventually
from wrappy.venue import FaultRule

lighter = pytest.importorskip("lighter", reason="lighter-sdk is not installed")

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEND = "/api/v1/sendTx*"
LOTS = 500


@pytest.fixture
def venue():
    with ThreadedVenue() as running:
        yield running.venue


@pytest.fixture
def books(venue):
    return Books(venue)


def client_of(venue):
    owner = venue.accounts[0]
    return lighter.SignerClient(
        url=venue.base_url,
        account_index=owner.account_index,
        api_private_keys={4: owner.api_keys[0].api_key_private_key},
    )


async def trade(client, books, coi, *, is_ask=False):
    """Trade at the market and return what went wrong, as a bot hears of it."""
    try:
        _, _, error = await client.create_market_order(
            market_index=0,
            client_order_index=coi,
            base_amount=LOTS,
            avg_execution_price=books.price(96 if is_ask else 104),
            is_ask=is_ask,
        )
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is heard
        return str(error)
    return error


def held(books):
    orders = books.venue.ledger.orders(books.index)
    return sum(-o.filled_base if o.is_ask else o.filled_base for o in orders)


async def test_nonces_spent_elsewhere_cost_the_sdk_the_order(venue, books):
    client = client_of(venue)
    assert await trade(client, books, 1) is None
    venue.faults.add(FaultRule(act="bump_nonce", count=3, path=SEND, times=1))
    error = await trade(client, books, 2)
    assert "21104" in error
    assert "invalid nonce" in error
    assert await trade(client, books, 3) is None
    await books.when(3, "filled")
    assert books.order(2) is None, "nobody sends it again"
    await client.close()


async def test_a_bot_that_counts_the_sdks_answers_is_wrong_about_its_position(
    venue, books
):
    client = client_of(venue)
    counted = 0
    for coi in (1, 2):
        if coi == 2:
            venue.faults.add(FaultRule(act="drop", phase="reply", path=SEND, times=1))
        if await trade(client, books, coi) is None:
            counted += LOTS
    await books.when(2, "filled")
    assert counted == LOTS
    assert held(books) == 2 * LOTS
    await client.close()


async def test_closing_what_was_counted_leaves_the_rest_with_the_sdk(venue, books):
    client = client_of(venue)
    assert await trade(client, books, 1) is None
    venue.faults.add(FaultRule(act="drop", phase="reply", path=SEND, times=1))
    assert await trade(client, books, 2), "so the bot counts one order"
    await books.when(2, "filled")
    assert await trade(client, books, 3, is_ask=True) is None
    await books.when(3, "filled")
    assert held(books) == LOTS, "somebody has to close it by hand"
    await client.close()


async def test_a_bot_started_again_spends_the_nonces_of_the_one_before(venue, books):
    before = client_of(venue)
    assert await trade(before, books, 1) is None
    after = client_of(venue)
    for coi in (2, 3):
        assert await trade(after, books, coi) is None
    error = await trade(before, books, 4)
    assert "21104" in error, "it counts nonces for itself, and is not told of others"
    await books.when(3, "filled")
    assert books.order(4) is None
    await before.close()
    await after.close()


async def test_a_close_that_fails_leaves_the_position_with_the_sdk(venue, books):
    client = client_of(venue)
    assert await trade(client, books, 1) is None
    await books.when(1, "filled")
    venue.faults.add(FaultRule(act="status", code=503, path=SEND, times=1))
    assert await trade(client, books, 2, is_ask=True)
    assert books.order(2) is None
    assert held(books) == LOTS
    await client.close()


@pytest.mark.filterwarnings("ignore:.*Unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_sdk_client_that_is_not_closed_is_complained_of(venue, books):
    heard = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context["message"]))
    client = client_of(venue)
    assert await trade(client, books, 1) is None
    del client
    gc.collect()
    await eventually(lambda: "Unclosed client session" in heard)


@pytest.mark.slow
async def test_none_of_them_is_seen_with_the_dealer(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(ROOT / "examples" / "recovery.py"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(tmp_path),
        },
        cwd=tmp_path,
    )
    raw, err = await asyncio.wait_for(process.communicate(), 60.0)
    out = raw.decode()
    assert process.returncode == 0, err
    assert b"Unclosed" not in err
    rows = re.findall(r"^(.{34}) +(\S+) +(\S+) +(\S+)$", out, re.MULTILINE)[1:]
    assert [name.strip() for name, *_ in rows] == [
        "invalid nonce",
        "lost answer and restart",
        "position mismatch",
        "failed close, tried until flat",
    ]
    dealer = [float(row[2]) for row in rows]
    ledger = [float(row[3]) for row in rows]
    assert dealer == ledger == [0.05, 0.10, 0.15, 0.0]
    assert float(rows[2][1]) == 0.05, "counting good answers misses two fills"
