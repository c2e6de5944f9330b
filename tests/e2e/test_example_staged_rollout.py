"""Each stage of the roll-out for hours of virtual time, judged by the ledger."""

from __future__ import annotations

import asyncio
import pathlib
from collections import Counter
from decimal import Decimal

import pytest

from wrappy.runner.cli.app import main
from wrappy.runner.cli.place import secrets_of
from wrappy.runner.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.network import venue_configs
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.settings import load_strategies, read_settings
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import VenueSettings
from wrappy.venue.bundled import market_named
from wrappy.venue.flow_settings import FlowSettings

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
STAGES = sorted((ROOT / "examples" / "staged_rollout").glob("*.toml"))
SECONDS = 5_400


def played(settings, symbols):
    """Run a stage's strategies behind its guard; return what the exchange saw."""

    async def main():
        venue = VenueSettings(
            seed=3,
            symbols=symbols,
            verify=False,
            synthetic=(
                FlowSettings(
                    process="ou", half_life_s=60.0, volatility=8.0, events_per_s=0.5
                ),
            ),
        )
        async with InProcessExchange(venue, repeats=True) as exchange:
            config = venue_configs(exchange)[0]
            world = World(name="venue", config=config, environment=exchange.environment)
            engine = TradingEngine(world, guard=AccountGuard(settings.limits))
            for name, strategy in load_strategies(settings):
                engine.add_strategy(strategy, name=name)
            await engine.start()
            await asyncio.sleep(SECONDS)
            risk = engine.guard.get_risk_status()
            report = await engine.stop()
            index = config.account_index
            return (
                exchange.ledger.orders(index),
                exchange.ledger.trades(index),
                index,
                risk,
                report,
            )

    return run_virtual(main)


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_trades_within_its_limits_and_leaves_no_order(path):
    settings = read_settings(path)
    sizes = {
        section.symbols[0]: section.parameters["size"]
        for section in settings.strategies
    }
    orders, trades, owner, risk, report = played(settings, tuple(sizes))
    markets = {market_named(symbol).market_id: symbol for symbol in sizes}
    assert not report.crashed
    assert report.is_clean
    assert risk["state"] == "active", risk["reason"]
    assert not [order for order in orders if order.status == "open"]
    held, most = Counter(), Counter()
    for trade in sorted(trades, key=lambda trade: trade.trade_id):
        symbol = markets[trade.market_index]
        held[symbol] += trade.base if trade.bid_account == owner else -trade.base
        most[symbol] = max(most[symbol], abs(held[symbol]))
    for symbol, size in sizes.items():
        lots = Decimal(size) * market_named(symbol).size_scale
        assert most[symbol] == lots, "it took all that it may, and no more"


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_a_stage_needs_no_key_where_the_exchange_gives_out_its_own(
    path, tmp_path, capsys
):
    file = tmp_path / path.name
    file.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    # The same file on the exchange that it names wants the key.
    elsewhere = ["run", str(file), "--duration", "0.5", "--network"]
    assert main([*elsewhere, "venue"]) == 0, capsys.readouterr().err
    assert "stopped by the end of its time" in capsys.readouterr().out
    for network in ("venue", "paper"):
        assert secrets_of(read_settings(file).on(network)) == set()
    if "key_file" in file.read_text(encoding="utf-8"):
        assert main([*elsewhere, "testnet"]) == 2
        assert "wrappy.key.json: cannot be opened" in capsys.readouterr().err
