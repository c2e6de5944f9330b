"""The watcher and the daily report, held against the exchange's own record."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import os
import pathlib
import re
import sys
from decimal import Decimal

import pytest

from wrappy import LighterDealer, UsageError
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.network import venue_configs
from wrappy.runner.strategy import NoParameters, Strategy
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import Venue, VenueSettings
from wrappy.venue.flow_settings import FlowSettings

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PATIENCE_S = 60.0

sys.path.insert(0, str(EXAMPLES))


def watched(*, seconds, every, drill_after=None, strategy=None, **limits):
    """Run the watcher in virtual time; return what the exchange saw."""
    example = importlib.import_module("watch_and_alert")

    async def main():
        settings = VenueSettings(
            seed=3,
            symbols=("ETH",),
            verify=False,
            synthetic=(
                FlowSettings(
                    process="ou", half_life_s=60.0, volatility=8.0, events_per_s=0.5
                ),
            ),
        )
        async with InProcessExchange(settings, repeats=True) as exchange:
            config = venue_configs(exchange)[0]
            world = World(name="venue", config=config, environment=exchange.environment)
            await example.trade(
                world,
                "ETH",
                example.Thresholds(**limits),
                seconds=seconds,
                every=every,
                drill_after=drill_after,
            )
            return exchange.ledger.orders(config.account_index)

    return run_virtual(main)


@pytest.mark.slow
def test_a_drawdown_is_told_once_while_the_strategy_trades(capsys):
    orders = watched(seconds=3_600, every=10, drawdown=Decimal("0.000005"))
    out = capsys.readouterr().out
    began, over = out.count("ALERT  drawdown"), out.count("over   drawdown")
    assert began >= 1
    assert began - over in (0, 1), "told when it begins, and when it is over"
    assert began < 60, "not at every one of the 360 looks"
    assert len(orders) >= 2
    assert any(order.filled_base for order in orders), "it traded"
    assert not [order for order in orders if order.status == "open"]
    signed = [-o.filled_base if o.is_ask else o.filled_base for o in orders]
    assert sum(signed) == 0, "it ended flat"
    assert "stopped: no orders and no positions left" in out


def test_a_drill_shows_that_an_alert_arrives(capsys):
    orders = watched(seconds=60, every=5, drill_after=12)
    lines = capsys.readouterr().out.splitlines()
    (began,) = [i for i, line in enumerate(lines) if line.startswith("ALERT")]
    (over,) = [i for i, line in enumerate(lines) if line.startswith("over")]
    assert lines[began] == "ALERT  the guard is halted: a drill"
    assert lines[over] == "over   the guard is halted: a drill"
    between = [line for line in lines[began + 1 : over] if "halted" in line]
    assert len(between) == 2
    assert "active" in lines[-2]
    assert not orders


class Failing(Strategy[NoParameters]):
    """Crashes at once."""

    async def run(self, _):
        """Raise."""
        raise ValueError("a mistake")


def test_a_crash_is_told_and_the_program_fails(capsys, monkeypatch):
    example = importlib.import_module("watch_and_alert")
    monkeypatch.setattr(example, "MeanReversion", Failing)
    with pytest.raises(UsageError, match="crashed: failing: a mistake"):
        watched(seconds=30, every=5)
    assert "ALERT  failing has crashed" in capsys.readouterr().out


@pytest.mark.slow
async def test_the_daily_report_tells_what_the_exchange_has_recorded(tmp_path):
    async with Venue(seed=1) as venue:
        account = venue.accounts[0]
        settings = dataclasses.replace(
            venue_configs(venue)[0], state_dir=str(tmp_path / "trading")
        )
        for symbol, sizes in (("ETH", ("0.1", "-0.05")), ("BTC", ("0.002",))):
            config = dataclasses.replace(settings, symbol=symbol)
            async with await LighterDealer.create(config) as dealer:
                for size in sizes:
                    sent = await dealer.create_market_order(Decimal(size))
                    await dealer.wait_settled(sent["client_order_index"])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", str(EXAMPLES / "daily_report.py")),
            *("--network", venue.base_url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": str(ROOT),
                "XDG_STATE_HOME": str(tmp_path),
                "LIGHTER_ACCOUNT_INDEX": str(account.account_index),
                "LIGHTER_API_KEY_INDEX": str(account.api_keys[0].api_key_index),
                "LIGHTER_API_KEY": account.api_keys[0].api_key_private_key,
            },
            cwd=tmp_path,
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert (process.returncode, err) == (0, b"")
        orders = venue.ledger.orders(account.account_index)
        assert len(orders) == 3, "it only reads"
        trades = venue.ledger.trades(account.account_index)
        for market in venue.markets[:2]:
            own = [t for t in trades if t.market_index == market.market_id]
            bought, sold, volume = Decimal(0), Decimal(0), Decimal(0)
            for trade in own:
                size = Decimal(trade.base) / market.size_scale
                volume += size * trade.price / market.price_scale
                if trade.bid_account == account.account_index:
                    bought += size
                else:
                    sold += size
            (row,) = re.findall(rf"^{market.symbol} +(.*)$", out.decode(), re.MULTILINE)
            told = row.split()
            assert int(told[0]) == len(own) > 0
            assert [Decimal(word) for word in told[1:3]] == [bought, sold]
            assert Decimal(told[3]) == round(volume, 2)
        assert re.search(r"positions: .*0\.0500 ETH", out.decode())
