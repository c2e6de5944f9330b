"""Whatever the page "From the manual" names is there: looked up, asked, or run."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import pathlib
import re
from decimal import Decimal
from typing import NamedTuple

import aiohttp
import pytest

from wrappy.errors import RiskDeniedError
from wrappy.runner.alerts import AlertSettings
from wrappy.runner.cli.app import COMMANDS, main
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.metrics import metrics_of
from wrappy.runner.monitor import EngineWatch, Monitor, MonitorSettings
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.settings.sections import BotSettings, StrategySection
from wrappy.runner.strategy import Strategy
from wrappy.runner.worlds.world import World

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/how-to/from-the-manual.md"
TOKEN = "for-this-test-and-for-nothing-else"


class Row(NamedTuple):
    """One line of the page's tables."""

    theirs: str
    ours: str
    remark: str


def rows():
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] not in ("In the manual", "---"):
            cells += [""] * (3 - len(cells))
            found.append(Row(*(cell.removesuffix("|").strip() for cell in cells)))
    return found


ROWS = rows()


def those(pattern):
    """Return what counterparts of one kind say, each once, with what they name."""
    found = {}
    for row in ROWS:
        match = re.fullmatch(f"`{pattern}`", row.ours)
        if match:
            found[row.ours] = match.groups()
    return [pytest.param(*groups, id=ours) for ours, groups in found.items()]


COMMAND = r"wrappy( [a-z]+)?((?: --[a-z-]+)*)"
STATUS = r"get_status: (\w+)"
RISK = r"get_risk_status: (\w+)"
ADDRESS = r"GET (/\S*)"
PYTHON = r"(wrappy\.[\w.]+)"
SETTING = r"(network|strategies|risk|engine|log|backtest|monitor|alerts)\.(\w+)"


def test_every_row_has_a_counterpart_or_a_sentence():
    assert len(ROWS) > 100
    kinds = (COMMAND, STATUS, RISK, ADDRESS, PYTHON, SETTING)
    for row in ROWS:
        if row.ours == "none":
            # One sentence that says why.
            assert re.fullmatch(r"[A-Z].+\.", row.remark), row
        else:
            assert any(re.fullmatch(f"`{kind}`", row.ours) for kind in kinds), row


def test_every_command_of_ours_for_operators_is_somewhere_on_the_page():
    named = {words[0].strip() for words in (p.values for p in those(COMMAND))}
    assert {"init", "run", "backtest", "status", "stop", "doctor"} <= named
    assert {"reconcile", "explain", "markets"} <= named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize(("command", "flags"), those(COMMAND))
def test_a_command_and_its_flags_are_in_its_help(command, flags, capsys):
    assert main([command.strip(), "--help"]) == 0
    told = capsys.readouterr().out
    for flag in flags.split():
        assert re.search(rf"{flag}\b", told) or flag == "--help"


@pytest.mark.parametrize("path", those(PYTHON))
def test_a_name_of_python_is_there(path):
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        assert found is not None
        return


@pytest.mark.parametrize(("section", "key"), those(SETTING))
def test_a_setting_is_one_of_its_section(section, key):
    made = BotSettings()
    kinds = {
        "strategies": StrategySection,
        "risk": RiskLimits,
        "monitor": MonitorSettings,
        "alerts": AlertSettings,
    }
    kind = kinds.get(section) or type(getattr(made, section))
    assert key in {field.name for field in dataclasses.fields(kind)}


# ------------------------------------------------------------------ a running engine


@dataclasses.dataclass(frozen=True)
class Nothing:
    """No parameters."""


class Waits(Strategy[Nothing]):
    async def run(self, ctx):
        placed = None
        while placed is None:
            # Nothing opens a position before the account is known.
            with contextlib.suppress(RiskDeniedError):
                placed = await ctx.dealer().create_limit_order(1000, Decimal("0.05"))
            await ctx.sleep(0.05)
        await ctx.dealer().flush()
        await ctx.sleep(3600)


@pytest.fixture
async def running(quiet_venue, config_for, eventually):
    """Return a running engine, its guard, and the monitor's address."""
    config = dataclasses.replace(config_for(quiet_venue), symbol=None)
    guard = AccountGuard(RiskLimits(max_open_orders=5))
    engine = TradingEngine(World(name="venue", config=config), guard=guard)
    engine.add_strategy(Waits(symbols=["ETH"]))
    async with EngineWatch(engine, every_s=0.05) as watch:
        settings = MonitorSettings(enabled=True, port=0)
        metrics = metrics_of(watch)
        async with Monitor(watch, settings, token=TOKEN, metrics=metrics) as monitor:
            await engine.start()
            try:
                await eventually(lambda: engine.get_status()["orders"])
                yield engine, guard, monitor.base_url
            finally:
                await engine.stop()


async def test_keys_of_the_status_are_those_of_a_running_engine(running):
    engine, _, _ = running
    status = engine.get_status()
    assert status["is_running"] is True
    for parameter in those(STATUS):
        assert parameter.values[0] in status


async def test_keys_of_the_risk_status_are_those_of_a_running_guard(running):
    _, guard, _ = running
    status = guard.get_risk_status()
    assert status["open_orders_count"] == 1
    for parameter in those(RISK):
        assert parameter.values[0] in status


async def test_addresses_are_answered_by_a_running_monitor(running):
    _, _, base_url = running
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for parameter in those(ADDRESS):
            (path,) = parameter.values
            async with session.get(base_url + path) as answer:
                assert answer.status == 200, path
                assert await answer.read()
