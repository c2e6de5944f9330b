"""Each basic example runs as a stranger would start it; the exchange's record judges.

The exchange lives in the test, the example in a process of its own that is given the
address: what it did is read from the ledger, not from what it says.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pathlib
import re
import signal
import sys
from collections import Counter
from decimal import Decimal

import pytest

from wrappy import LighterDealer
from wrappy.protocol.transactions import TxType
from wrappy.runner.network import venue_configs
from wrappy.venue import Venue

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASICS = ROOT / "examples" / "basics"
PATIENCE_S = 60.0
CREATE, CANCEL, MODIFY = 14, 15, 17

SCRIPTS = {
    "quick_start": (),
    "public_trades": ("--count", "3"),
    "batch_cancel_and_create": (),
    "wait_update_cancel": (),
    "multi_symbol": ("ETH=100", "BTC=200", "SOL=50"),
    "bounded_requoting": ("--orders", "4", "--rounds", "3", "--at-a-time", "2"),
    "environment_only": (),
    "close_everything": ("--yes",),
}


def test_every_basic_example_is_tried():
    assert {path.stem for path in BASICS.glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("path", sorted(BASICS.glob("*.py")), ids=lambda p: p.stem)
def test_a_basic_example_is_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120
    document = path.read_text(encoding="utf-8").split('"""')[1]
    for word in ("Idea:", "Parameters:", "Risks:", "Try it:"):
        assert word in document


def variables(venue):
    """Return what tells a process which account is its own, and where."""
    account = venue.accounts[0]
    key = account.api_keys[0]
    return {
        "LIGHTER_BASE_URL": venue.base_url,
        "LIGHTER_ACCOUNT_INDEX": str(account.account_index),
        "LIGHTER_API_KEY_INDEX": str(key.api_key_index),
        "LIGHTER_API_KEY": key.api_key_private_key,
    }


async def start(state, name, *arguments, venue=None):
    own = {} if venue is None else variables(venue)
    if venue is not None and name != "environment_only":
        arguments = ("--network", own.pop("LIGHTER_BASE_URL"), *arguments)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(BASICS / f"{name}.py"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(state),
            **own,
        },
        cwd=state,
    )


async def run(state, name, *arguments, venue=None, said=b""):
    process = await start(state, name, *arguments, venue=venue)
    out, err = await asyncio.wait_for(process.communicate(said), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def exchange(tmp_path):
    async with Venue(seed=1) as venue:
        yield venue


@pytest.fixture
def ran(tmp_path, exchange, eventually):
    """Return a function that runs an example to its good end and returns its words."""

    async def finished(name):
        code, out, err = await run(tmp_path, name, *SCRIPTS[name], venue=exchange)
        assert (code, err) == (0, "")
        assert variables(exchange)["LIGHTER_API_KEY"] not in out
        # A cancel that was accepted is carried out a moment later.
        await eventually(lambda: not open_orders(exchange))
        assert not any(held(exchange).values())
        return out

    return finished


def mine(venue):
    return venue.accounts[0].account_index


def open_orders(venue):
    return [o for o in venue.ledger.orders(mine(venue)) if o.status == "open"]


def held(venue):
    """Return the signed position by market, summed up from the trades."""
    account, found = mine(venue), Counter()
    for trade in venue.ledger.trades(account):
        signed = trade.base if trade.bid_account == account else -trade.base
        found[trade.market_index] += signed
    return found


def sent(venue):
    """Return what was sent, by kind."""
    return [told.tx_type for told in venue.ledger.accepted(mine(venue))]


@pytest.mark.parametrize("name", SCRIPTS)
async def test_an_example_runs_on_its_own(name, tmp_path):
    code, out, err = await run(tmp_path, name, *SCRIPTS[name])
    assert (code, err) == (0, "")
    assert out


async def test_the_quick_start_places_changes_and_cancels_one_order(ran, exchange):
    out = await ran("quick_start")
    assert sent(exchange) == [CREATE, MODIFY, CANCEL]
    (order,) = exchange.ledger.orders(mine(exchange))
    assert order.status == "canceled"
    changed = re.search(r"changed  to ([\d.]+)", out)[1]
    assert order.price == Decimal(changed) * 100


async def test_public_trades_are_the_exchanges_own_and_cost_nothing(ran, exchange):
    out = await ran("public_trades")
    told = re.findall(r"trade (\d+): (buy|sell) ([\d.]+) at ([\d.]+)", out)
    assert len(told) == 3
    theirs = {trade.trade_id: trade for trade in exchange.exchange.markets[0].trades}
    for number, side, size, price in told:
        trade = theirs[int(number)]
        assert (trade.price, trade.base) == (
            Decimal(price) * 100,
            Decimal(size) * 10_000,
        )
        assert trade.is_maker_ask == (side == "buy")
    assert not exchange.ledger.accepted()


async def test_quotes_are_replaced_in_one_request_cancels_first(ran, exchange):
    out = await ran("batch_cancel_and_create")
    assert out.count("2 canceled, 2 created in 1 request") == 2
    pair, move = [CREATE] * 2, [CANCEL] * 2 + [CREATE] * 2
    assert sent(exchange) == [*pair, *move, *move, *pair, *[CANCEL] * 4]
    orders = exchange.ledger.orders(mine(exchange))
    assert len(orders) == 8
    assert {order.status for order in orders} == {"canceled"}


async def test_each_step_waits_for_the_exchanges_word(ran, exchange):
    out = await ran("wait_update_cancel")
    assert sent(exchange) == [CREATE, MODIFY, CANCEL]
    (order,) = exchange.ledger.orders(mine(exchange))
    assert order.status == "canceled"
    price = re.search(r"updated  [\d.]+ at ([\d.]+)", out)[1]
    assert order.price == Decimal(price) * 100
    assert "ended    canceled, 0.0000 filled" in out


async def test_every_market_has_its_round_trip(ran, exchange):
    await ran("multi_symbol")
    trades = exchange.ledger.trades(mine(exchange))
    markets = {trade.market_index for trade in trades}
    assert len(markets) == 3
    assert set(held(exchange)) == markets
    nonces = [told.nonce for told in exchange.ledger.accepted(mine(exchange))]
    assert nonces == list(range(nonces[0], nonces[0] + 6)), "one key for all of them"


async def test_requoting_keeps_to_its_bound(ran, exchange):
    out = await ran("bounded_requoting")
    assert "12 changes, at most 2 at a time" in out
    kinds = Counter(sent(exchange))
    assert kinds == {CREATE: 4, MODIFY: 12, CANCEL: 4}


async def test_the_environment_is_enough(ran, exchange):
    out = await ran("environment_only")
    assert exchange.base_url in out
    (order,) = exchange.ledger.orders(mine(exchange))
    assert order.status == "canceled"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"BOT_USDC": "lots"}, "BOT_USDC: 'lots' is not a number above 0"),
        (
            {"LIGHTER_BASE_URL": "https://mainnet.zklighter.elliot.ai/"},
            "trades real money; add --live",
        ),
        ({"LIGHTER_BASE_URL": "moon"}, "'moon' is none of"),
    ],
)
async def test_a_wrong_environment_is_told_in_one_line(
    tmp_path, settings, words, monkeypatch
):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(BASICS / "environment_only.py"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path), **settings},
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, out) == (2, b"")
    assert words in err.decode()
    assert len(err.splitlines()) == 1


@pytest.fixture
async def left_open(exchange, tmp_path):
    """Orders and positions in two markets, of a bot whose files are elsewhere."""
    for symbol, size in (("ETH", "0.1"), ("SOL", "-2")):
        config = dataclasses.replace(
            venue_configs(exchange)[0],
            symbol=symbol,
            state_dir=str(tmp_path / "earlier"),
        )
        async with await LighterDealer.create(config) as dealer:
            taken = await dealer.create_market_order(size)
            receipt = await dealer.wait_settled(taken["client_order_index"])
            far = Decimal("0.96") if Decimal(size) > 0 else Decimal("1.04")
            await dealer.create_limit_order(receipt.price * far, size, post_only=True)
            await dealer.flush()
    assert len(open_orders(exchange)) == 2
    assert sorted(map(abs, held(exchange).values())) == [1000, 2000]
    return exchange


async def test_after_a_yes_nothing_is_left(left_open, tmp_path):
    code, out, err = await run(
        tmp_path, "close_everything", venue=left_open, said=b"yes\n"
    )
    assert (code, err) == (0, "")
    assert "2 orders, positions: 0.1000 ETH, -2.000 SOL" in out
    assert "no order and no position is left" in out
    assert int(TxType.CANCEL_ALL_ORDERS) in sent(left_open)
    assert not open_orders(left_open)
    assert not any(held(left_open).values())


@pytest.mark.parametrize("said", [b"no\n", b""])
async def test_nothing_is_closed_without_a_yes(said, left_open, tmp_path):
    before = sent(left_open)
    code, out, err = await run(tmp_path, "close_everything", venue=left_open, said=said)
    assert code == 1
    assert err == "close_everything.py: not confirmed; nothing was sent\n"
    assert "Type yes" in out
    assert sent(left_open) == before
    assert len(open_orders(left_open)) == 2


async def test_ctrl_c_ends_the_question(left_open, tmp_path):
    process = await start(tmp_path, "close_everything", venue=left_open)
    while b"Type yes" not in await asyncio.wait_for(
        process.stdout.readline(), PATIENCE_S
    ):
        assert process.returncode is None
    process.send_signal(signal.SIGINT)
    # Its input stays open: nobody types anything.
    code = await asyncio.wait_for(process.wait(), PATIENCE_S)
    assert code == 130
    assert await process.stderr.read() == b"close_everything.py: interrupted\n"
    assert len(open_orders(left_open)) == 2


@pytest.mark.parametrize("name", ["multi_symbol", "close_everything"])
async def test_what_cannot_work_is_told_in_one_line(name, tmp_path):
    code, _, err = await run(tmp_path, name, "--network", "mainnet")
    assert code == 2
    assert "--live" in err
    assert len(err.splitlines()) == 1


async def test_a_market_with_a_position_is_left_alone(left_open, tmp_path):
    before = sent(left_open)
    code, _, err = await run(tmp_path, "multi_symbol", "ETH=100", venue=left_open)
    assert code != 0
    assert len(err.splitlines()) == 1
    assert sent(left_open) == before
