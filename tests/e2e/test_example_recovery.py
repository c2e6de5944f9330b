"""The recovery example: interrupted in the middle, started again, and right each time.

The exchange lives in the test and outlives the bots, which are processes of their own.
Its ledger says what the true position is.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import sys
from decimal import Decimal

import pytest

from wrappy import LighterDealer
from wrappy.runner.network import venue_configs
from wrappy.venue import FaultRule, Venue

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "recovery.py"
SEND = "/api/v1/sendTx*"
PATIENCE_S = 120.0
"""The account's tier is not told, so questions keep a standard account's pace."""

ROWS = [
    "invalid nonce",
    "lost answer and restart",
    "position mismatch",
    "failed close, tried until flat",
]


@contextlib.asynccontextmanager
async def started(folder, *arguments, **variables):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLE), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder / "state"),
            **variables,
        },
        cwd=folder,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def ended(process):
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def exchange():
    async with Venue(seed=1) as venue:
        yield venue


@pytest.fixture
def bot(exchange, tmp_path):
    """Return a function that starts the bot at the exchange, as one account."""
    account = exchange.accounts[0]
    key = account.api_keys[0]

    def start(*arguments):
        return started(
            tmp_path,
            *("--network", exchange.base_url, "--state-dir", "kept", *arguments),
            LIGHTER_ACCOUNT_INDEX=str(account.account_index),
            LIGHTER_API_KEY_INDEX=str(key.api_key_index),
            LIGHTER_API_KEY=key.api_key_private_key,
        )

    return start


def orders_at(venue):
    return venue.ledger.orders(venue.accounts[0].account_index)


def held(venue):
    lots = sum(-o.filled_base if o.is_ask else o.filled_base for o in orders_at(venue))
    return Decimal(lots) / 10_000


def table(out):
    """Return what was counted, what the dealer knew and what the exchange said."""
    found = re.findall(r"^(\S.{33}) +(\S+) +(\S+) +(\S+)$", out, re.MULTILINE)[1:]
    assert [name.strip() for name, *_ in found] == ROWS
    return [tuple(map(Decimal, sizes)) for _, *sizes in found]


def assert_right_and_flat(venue, rows):
    assert all(dealer == exchange for _, dealer, exchange in rows)
    assert held(venue) == 0
    assert {order.status for order in orders_at(venue)} == {"filled"}
    numbers = [order.client_order_index for order in orders_at(venue)]
    assert len(numbers) == len(set(numbers))


async def test_all_four_happen_at_the_local_exchange(tmp_path):
    async with started(tmp_path) as process:
        code, out, err = await ended(process)
    assert code == 0, err
    assert "Unclosed" not in err
    counted, dealer, exchange = zip(*table(out), strict=True)
    sizes = [Decimal(text) for text in ("0.05", "0.1", "0.15", "0")]
    assert list(dealer) == list(exchange) == sizes
    assert counted[2] == Decimal("0.05"), "counting good answers misses two fills"
    assert "refused: nonces were spent elsewhere" in out
    assert "close failed, in doubt" in out
    assert list(tmp_path.rglob("recovery-*")) == [], "it keeps nothing"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_ctrl_c_in_the_middle_of_a_doubt_and_a_new_start(
    number, exchange, bot, eventually
):
    # The first order is executed; the bot waits for an answer that never comes.
    exchange.faults.add(FaultRule(act="stall", phase="reply", path=SEND, times=1))
    async with bot() as process:
        await eventually(lambda: held(exchange), PATIENCE_S)
        process.send_signal(number)
        code, out, err = await ended(process)
    if number == signal.SIGINT:
        assert code == 130
        assert err.endswith("recovery.py: interrupted\n")
    else:
        assert code == -number
    assert "Traceback" not in err
    assert "after" not in out
    assert held(exchange) == Decimal("0.05")

    async with bot() as process:
        code, out, err = await ended(process)
    assert (code, err) == (0, "")
    assert "0. started again, with a position of 0.05" in out
    rows = table(out)
    assert [row[1] for row in rows] == [
        Decimal(text) for text in ("0.1", "0.15", "0.2", "0")
    ]
    assert_right_and_flat(exchange, rows)
    assert len(orders_at(exchange)) == 1 + 3 + 1, "nothing was placed twice"


async def test_ctrl_c_while_the_close_fails_and_a_new_start(exchange, bot):
    async with bot() as process:
        while not (
            line := await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        ).startswith(b"4."):
            assert line, (await process.stderr.read()).decode()
        # The close may or may not leave any more: whichever, it is known afterwards.
        process.send_signal(signal.SIGINT)
        code, _, err = await ended(process)
    assert code == 130
    assert err.endswith("recovery.py: interrupted\n")

    async with bot("--size", "0.01") as process:
        code, out, err = await ended(process)
    assert (code, err) == (0, "")
    (left,) = re.findall(r"started again, with a position of (\S+)", out)
    assert Decimal(left) in (Decimal("0.15"), 0)
    assert_right_and_flat(exchange, table(out))


async def test_a_position_of_somebody_else_is_left_alone(exchange, bot, tmp_path):
    config = dataclasses.replace(
        venue_configs(exchange)[0], symbol="ETH", state_dir=str(tmp_path / "other")
    )
    async with await LighterDealer.create(config) as dealer:
        sent = await dealer.create_market_order(Decimal("-0.02"))
        await dealer.wait_settled(sent["client_order_index"])
    async with bot() as process:
        code, out, err = await ended(process)
    assert (code, out) == (1, "")
    assert "there is a position of -0.02" in err
    assert len(err.splitlines()) == 1
    assert len(orders_at(exchange)) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--network", "mainnet"), "--live"),
        (("--network", "moon"), "network: 'moon' is none of"),
        (("--size", "0"), "--size: '0' is not a number above 0"),
    ],
)
async def test_what_cannot_work_is_told_in_one_line(arguments, words, tmp_path):
    async with started(tmp_path, *arguments) as process:
        code, out, err = await ended(process)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
