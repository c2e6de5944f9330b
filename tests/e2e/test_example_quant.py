"""All strategies at once, the scan, the watcher, the roll-out and the daily report."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import os
import pathlib
import re
import sys
from decimal import Decimal

import pytest

from tests.cli import called
from wrappy import LighterDealer
from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.lighter.results import Fill
from wrappy.model import Market, Side
from wrappy.runner.backtest import BacktestSettings
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.settings import load_strategies, read_settings
from wrappy.runner.sweep import StrategyBacktest
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import VenueSettings
from wrappy.venue.bundled import market_named
from wrappy.venue.flow_settings import FlowSettings

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
STAGES = sorted((EXAMPLES / "staged_rollout").glob("*.toml"))
CANDLES = ROOT / "../shared/data/perp_5m/ETHUSDT_5m.csv"
PATIENCE_S = 60.0

sys.path.insert(0, str(EXAMPLES))


async def run_example(state, name, *arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(EXAMPLES / name),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(state),
        },
        cwd=state,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), err.decode()


def config_of(place, **changes):
    owner = place.accounts[0]
    return DealerConfig(
        base_url=place.base_url,
        chain_id=place.chain_id,
        account_index=owner.account_index,
        api_keys=tuple(
            ApiKeyConfig(key.api_key_index, key.api_key_private_key)
            for key in owner.api_keys
        ),
        standard_account=False,
        **changes,
    )


# ------------------------------------------------------------------- all at once


def test_all_strategies_trade_side_by_side_and_one_joins_them(capsys):
    example = importlib.import_module("all_at_once")

    async def main():
        settings = VenueSettings(
            seed=3,
            symbols=example.SYMBOLS,
            verify=False,
            synthetic=(
                FlowSettings(
                    process="ou", half_life_s=60.0, volatility=2.0, events_per_s=0.5
                ),
            ),
        )
        async with InProcessExchange(settings, repeats=True) as exchange:
            world = World(
                name="venue",
                config=config_of(exchange),
                environment=exchange.environment,
            )
            await example.trade(world, seconds=3_600, join=300, resolution="1m")
            owner = exchange.accounts[0].account_index
            orders = exchange.ledger.orders(owner)
            net = {}
            symbols = {market_named(s).market_id: s for s in example.SYMBOLS}
            for order in orders:
                signed = -order.filled_base if order.is_ask else order.filled_base
                symbol = symbols[order.market_index]
                net[symbol] = net.get(symbol, 0) + signed
            return net, [order for order in orders if order.status == "open"]

    net, live = run_virtual(main)
    out = capsys.readouterr().out
    assert live == []
    assert set(net) == set(example.SYMBOLS), "every strategy has traded"
    assert [net[symbol] for symbol in example.CLOSED_IN_THE_END] == [0, 0, 0]
    assert net["ETH"] + net["ETH/USDC"] == 0, "a pair covers itself"
    assert "added     ut_bot" in out
    assert re.search(r"after .*ut_bot running", out)
    assert "crashed" not in out


async def test_all_at_once_runs_as_a_script(tmp_path):
    code, out, err = await run_example(
        tmp_path, "all_at_once.py", "--seconds", "3", "--join", "1"
    )
    assert code == 0, err
    assert "added     ut_bot, while the others run" in out
    assert "no orders and no positions left" in out


# ---------------------------------------------------------------- parameter scan


async def test_the_scan_shows_every_trial_and_tries_the_best_once_more(tmp_path):
    arguments = ("parameter_scan.py", "--count", "400")
    code, out, err = await run_example(tmp_path, *arguments)
    assert (code, err) == (0, "")
    assert "9 trials (grid, seed 1): 9 done, 0 failed" in out
    rows = re.findall(r"^ +(\d+) +([\d.]+) +(-?[\d.]+)% ", out, re.MULTILINE)
    assert {row[:2] for row in rows} == {
        (lookback, threshold)
        for lookback in ("10", "20", "30")
        for threshold in ("1.5", "2.0", "2.5")
    }
    returns = [float(row[2]) for row in rows]
    assert returns == sorted(returns, reverse=True)
    assert f"best: lookback {rows[0][0]}, threshold {rows[0][1]}" in out
    assert "over the 120 candles after that" in out
    assert (await run_example(tmp_path, *arguments, "--workers", "2"))[1] == out


@pytest.mark.skipif(not CANDLES.is_file(), reason="no candles beside the checkout")
async def test_the_scan_reads_a_file_of_candles(tmp_path):
    head = CANDLES.read_text().splitlines(keepends=True)[:400]
    file = tmp_path / "ETHUSDT_5m.csv"
    file.write_text("".join(head))
    code, out, err = await run_example(
        tmp_path, "parameter_scan.py", "--candles", str(file)
    )
    assert (code, err) == (0, "")
    assert "from ETHUSDT_5m.csv" in out


async def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path):
    code, _, err = await run_example(
        tmp_path, "parameter_scan.py", "--candles", "none.csv"
    )
    assert code == 2
    assert len(err.splitlines()) == 1


def test_what_comes_later_has_no_say_in_the_choice():
    example = importlib.import_module("parameter_scan")

    def chosen(data):
        run = StrategyBacktest(
            strategy=example.MeanReversion,
            data=(data,),
            settings=BacktestSettings(warm_up=example.WARM_UP),
        )
        border_ms = example.BEGIN_MS + 150 * example.STEP_MS
        return example.table(
            example.scan(run.between(data.begin_ms, border_ms), "5m", workers=1)
        )

    data = example.made_up("ETH", 200, seed=1)
    other = [
        dataclasses.replace(row, **{n: getattr(row, n) * 2 for n in PRICES})
        for row in data.rows[150:]
    ]
    changed = dataclasses.replace(data, rows=[*data.rows[:150], *other])
    assert chosen(changed) == chosen(data)


PRICES = ("open", "high", "low", "close")


# -------------------------------------------------------------- watch and alert

WELL = {
    "state": "active",
    "reason": "",
    "drawdown": Decimal("0.01"),
    "daily_pnl": Decimal(-10),
    "equity_age": 1.0,
    "unknown_orders": 0,
}
RUNNING = {"is_running": True, "strategies": {"one": "running"}, "notes": []}


@pytest.mark.parametrize(
    ("status", "risk", "words"),
    [
        ({}, {}, []),
        ({"is_running": False}, {}, ["the engine does not run"]),
        ({"strategies": {"one": "crashed"}}, {}, ["one has crashed"]),
        ({"notes": ["the market is stale"]}, {}, ["the market is stale"]),
        ({}, {"state": "halted", "reason": "loss"}, ["the guard is halted: loss"]),
        ({}, {"drawdown": Decimal("0.11")}, ["drawdown 11.00%"]),
        ({}, {"drawdown": Decimal("0.10")}, []),
        ({}, {"daily_pnl": Decimal("-1000.01")}, ["lost 1000.01 USDC today"]),
        ({}, {"daily_pnl": Decimal(-1000)}, []),
        ({}, {"drawdown": None}, ["the account's worth is not known"]),
        ({}, {"equity_age": 61.0}, ["the account's worth is 61 s old"]),
        ({}, {"unknown_orders": 2}, ["2 order(s) of unknown fate"]),
    ],
)
def test_every_problem_is_told_and_nothing_else(status, risk, words):
    example = importlib.import_module("watch_and_alert")
    found = example.problems(
        {**RUNNING, **status}, {**WELL, **risk}, example.Thresholds()
    )
    assert list(found.values()) == words


def test_a_problem_is_told_when_it_begins_and_when_it_is_over():
    watcher = importlib.import_module("watch_and_alert").Watcher()
    assert watcher.news({"drawdown": "drawdown 11%"}) == ["ALERT  drawdown 11%"]
    assert watcher.news({"drawdown": "drawdown 12%"}) == []
    assert watcher.news({}) == ["over   drawdown 12%"]
    assert watcher.news({}) == []


async def test_the_watcher_runs_as_a_script(tmp_path):
    code, out, err = await run_example(
        tmp_path, "watch_and_alert.py", "--seconds", "2", "--every", "0.4"
    )
    assert code == 0, err
    assert re.search(r"active, worth \d+\.\d\d, day [+-]\d", out)
    assert "stopped: no orders and no positions left" in out


# --------------------------------------------------------------- staged roll-out


def test_each_stage_dares_more_than_the_one_before():
    read = [read_settings(path) for path in STAGES]
    assert [one.network.name for one in read] == ["paper", *["testnet"] * 3]
    for settings in read:
        assert load_strategies(settings)
        assert settings.limits is not None
    losses = [one.limits.max_daily_loss for one in read[1:]]
    assert losses == sorted(losses)
    sizes = [
        Decimal(section.parameters["size"])
        for one in read
        for section in one.strategies
        if section.symbols == ("ETH",)
    ]
    assert sizes == sorted(sizes)
    assert [len(one.strategies) for one in read] == [1, 1, 1, 2]
    for one in read[1:]:
        for section in one.strategies:
            (symbol,) = section.symbols
            size = Decimal(section.parameters["size"])
            assert one.limits.max_position[symbol] == size


@pytest.mark.parametrize("stage", STAGES, ids=lambda path: path.stem)
async def test_wrappy_runs_every_stage(stage, quiet_venue, tmp_path):
    account = quiet_venue.accounts[0]
    key = account.api_keys[0]
    file = tmp_path / stage.name
    file.write_text(stage.read_text())
    secret = tmp_path / "wrappy.key.json"
    secret.write_text(
        json.dumps(
            {
                "account_index": account.account_index,
                "api_key_index": key.api_key_index,
                "api_key_private_key": key.api_key_private_key,
            }
        )
    )
    secret.chmod(0o600)
    code, out, errors = await called(
        "run", file, "--network", "venue", "--duration", "1"
    )
    assert code == 0, errors
    assert "rollout runs mean_reversion" in out
    assert "stopped by the end of its time" in out
    assert key.api_key_private_key not in out + errors


# ------------------------------------------------------------------ daily report

ETH = Market("ETH", 0, 2, 4)


def fill(number, side, price, size, *, fee="0.1", is_maker=False):
    return Fill(
        trade_id=number,
        market_index=0,
        client_order_index=number,
        order_index=number,
        side=side,
        price=Decimal(price),
        size=Decimal(size),
        is_maker=is_maker,
        fee=Decimal(fee),
        timestamp_ms=1_000 * number,
    )


def test_a_day_is_worked_out_of_its_fills_whatever_their_order():
    example = importlib.import_module("daily_report")
    fills = [
        fill(4, Side.BUY, "3050", "0.2"),
        fill(3, Side.SELL, "3000", "0.2", is_maker=True),
        fill(1, Side.BUY, "3000", "0.1"),
        fill(2, Side.SELL, "3020", "0.1"),
        fill(2, Side.SELL, "3020", "0.1"),
    ]
    day = example.day_of(ETH, fills)
    assert day.fills == 4, "one that is told twice counts once"
    assert (day.bought, day.sold) == (Decimal("0.3"), Decimal("0.3"))
    assert day.volume == 300 + 302 + 600 + 610
    assert day.maker_volume == 600
    assert day.fees == Decimal("0.4")
    assert (day.won, day.lost) == (1, 1)
    assert day.result == Decimal("2.0") - Decimal("0.2") - Decimal("10.0") - Decimal(
        "0.2"
    )
    assert re.search(r"ETH +4 +0\.3 +0\.3 +1812\.00 +33% ", example.report([day]))


async def test_a_day_without_fills_is_reported_too(quiet_venue, tmp_path, capsys):
    example = importlib.import_module("daily_report")
    config = config_of(quiet_venue, symbol="ETH", state_dir=str(tmp_path))
    async with await LighterDealer.create(config) as dealer:
        markets = {market.market_id: market for market in quiet_venue.markets}
        await example.tell(dealer, markets, 24.0)
    assert "no fills" in capsys.readouterr().out


async def test_the_report_runs_as_a_script(tmp_path):
    code, out, err = await run_example(tmp_path, "daily_report.py", "--trades", "5")
    assert (code, err) == (0, "")
    assert re.search(r"^ETH +5 +0\.1500 +0\.1000 ", out, re.MULTILINE)
    assert "positions: 0.0500 ETH" in out
