"""The example runs as a stranger would start it: clean, and with numbers to show."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import pathlib
import re
import runpy
import signal
import sys
from decimal import Decimal

import pytest

from wrappy import LighterDealer, UsageError
from wrappy.runner.network import open_network, venue_configs
from wrappy.venue import Venue, VenueSettings

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "order_life.py"
TAPES = ROOT / "../shared/data/binance_usdm_l2"
PATIENCE_S = 60.0


async def start_example(state, *arguments, **variables):
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(state),
        **variables,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(EXAMPLE),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=state,
    )


async def run_example(state, *arguments):
    process = await start_example(state, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


async def test_the_example_shows_an_orders_life_and_ends_clean(tmp_path):
    code, out, err = await run_example(tmp_path, "--seconds", "3")
    assert (code, err) == (0, "")
    for stage in ("is open", "updated", "1 cancel, 2 orders in 1 request", "canceled"):
        assert stage in out
    assert re.search(r"bought\s+0\.05 at the market: filled", out)
    assert re.search(r"submitted \d+\.\d\d → accepted \+", out)
    orders = int(re.search(r"orders\s+│\s+(\d+)", out)[1])
    fills = int(re.search(r"fills\s+│\s+(\d+) \(", out)[1])
    assert orders >= 8
    assert fills >= 2
    assert re.search(r"position\s+│.*→ 0\.?0* ", out), "it ends flat"
    assert re.search(r"fees paid\s+│\s+0\.\d{6} USDC", out)


async def test_what_the_example_shows_is_in_the_exchanges_record(tmp_path, eventually):
    async with Venue(seed=1) as venue:
        account = venue.accounts[0]
        process = await start_example(
            tmp_path,
            *("--seconds", "2", "--network", venue.base_url),
            LIGHTER_ACCOUNT_INDEX=str(account.account_index),
            LIGHTER_API_KEY_INDEX=str(account.api_keys[0].api_key_index),
            LIGHTER_API_KEY=account.api_keys[0].api_key_private_key,
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert (process.returncode, err) == (0, b"")
        (config,) = venue_configs(venue)[:1]
        await eventually(lambda: not open_orders(venue.ledger, config))
        orders = venue.ledger.orders(account.account_index)
        signed = [-o.filled_base if o.is_ask else o.filled_base for o in orders]
        assert sum(signed) == 0, "it ends flat"
        trades = venue.ledger.trades(account.account_index)
        assert int(re.search(r"fills\s+│\s+(\d+) \(", out.decode())[1]) == len(trades)
        assert int(re.search(r"orders\s+│\s+(\d+)", out.decode())[1]) == len(orders)


@pytest.mark.skipif(not TAPES.is_dir(), reason="no recorded market beside the checkout")
async def test_the_example_trades_in_a_recorded_market(tmp_path):
    tape = TAPES / "usdm_ethusdt_20240808.gz"
    code, out, err = await run_example(
        tmp_path, "--seconds", "2", "--tape", str(tape.resolve())
    )
    assert (code, err) == (0, "")
    assert "market ETH" in out
    assert "Session" in out


async def test_the_example_does_not_reach_mainnet_by_accident(tmp_path):
    code, out, err = await run_example(tmp_path, "--network", "mainnet")
    assert code == 2
    assert "--live" in err
    assert len(err.splitlines()) == 1
    assert "Session" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--network", "moon"], "network: 'moon' is none of"),
        (["--tape", "/nope"], "tape: /nope cannot be read: No such file"),
        (["--symbol", "NOSUCH"], "NOSUCH"),
        (["--size", "much"], "--size: 'much' is not a number above 0"),
        (["--size", "0.0001"], "size: 0.0001 is below"),
        (["--seconds", "nan"], "--seconds: 'nan' is not a number above 0"),
        (["--nonsense"], "--nonsense"),
    ],
)
async def test_what_cannot_work_is_told_in_one_line(tmp_path, arguments, words):
    code, _, err = await run_example(tmp_path, *arguments)
    assert code != 0
    assert words in err
    assert len(err.splitlines()) == 1


async def test_ctrl_c_ends_it_in_one_line(tmp_path):
    process = await start_example(tmp_path, "--seconds", "600")
    # Each line comes when it is told, also into a pipe.
    while b"quoting" not in await asyncio.wait_for(
        process.stdout.readline(), PATIENCE_S
    ):
        assert process.returncode is None
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 130
    assert err == b"order_life.py: interrupted\n"


@pytest.fixture
def trade(tmp_path, monkeypatch):
    """The example's own function, for an account whose end can be looked at."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return runpy.run_path(str(EXAMPLE))["trade"]


async def test_whoever_interrupts_it_is_left_with_no_order_and_no_position(
    trade, eventually, capsys
):
    async with open_network() as network:
        config, ledger = network.accounts[0], network.venue.ledger
        running = asyncio.create_task(
            trade(dataclasses.replace(config, symbol="ETH"), Decimal("0.05"), 60.0)
        )
        await eventually(lambda: "quoting" in capsys.readouterr().out)
        await eventually(lambda: open_orders(ledger, config))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not open_orders(ledger, config)
        orders = ledger.orders(config.account_index)
        signed = [-o.filled_base if o.is_ask else o.filled_base for o in orders]
        assert sum(signed) == 0


async def test_it_quotes_on_where_a_late_cancel_is_refused(trade, capsys):
    settings = VenueSettings(gone_order="refuse")
    async with Venue(settings=settings) as venue:
        config = dataclasses.replace(venue_configs(venue)[0], symbol="ETH")
        await trade(config, Decimal("0.05"), 4.0)
        assert "Session" in capsys.readouterr().out
        assert not open_orders(venue.ledger, config)
        assert venue.ledger.trades()


async def test_it_does_not_start_where_somebody_else_has_orders(trade):
    async with open_network() as network:
        config = dataclasses.replace(network.accounts[0], symbol="ETH")
        async with await LighterDealer.create(config) as dealer:
            await dealer.create_limit_order(3000, 0.01)
            await dealer.flush()
            with pytest.raises(UsageError, match="has orders or a position in ETH"):
                await trade(config, Decimal("0.05"), 60.0)
            assert len(await dealer.fetch_open_orders()) == 1


def open_orders(ledger, config):
    orders = ledger.orders(config.account_index)
    return [order for order in orders if order.status == "open"]
