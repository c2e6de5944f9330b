"""Whatever the page "From the manual" names is there: looked up, asked, or run."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import json
import math
import pathlib
import re
from decimal import Decimal
from typing import NamedTuple

import aiohttp
import pytest

from tests.cli import called
from wrappy.errors import RiskDeniedError
from wrappy.runner.alerts import AlertSettings
from wrappy.runner.cli.app import COMMANDS, main
from wrappy.runner.engine.engine import TradingEngine
from wrappy.runner.metrics import metrics_of
from wrappy.runner.monitor import EngineWatch, Monitor, MonitorSettings
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.settings import read_settings
from wrappy.runner.settings.sections import BotSettings, StrategySection
from wrappy.runner.strategy import Strategy
from wrappy.runner.worlds.world import World

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/how-to/from-the-manual.md"
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
EXAMPLE = r"(examples/[\w/]+\.(?:py|toml))"
SETTING = r"(network|strategies|risk|engine|log|backtest|monitor|alerts)\.(\w+)"


def test_every_row_has_a_counterpart_or_a_sentence():
    assert len(ROWS) > 100
    kinds = (COMMAND, STATUS, RISK, ADDRESS, PYTHON, SETTING, EXAMPLE)
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


# --------------------------------------------------------- what the manual speaks of

MANUAL = {
    "scripts": (
        "check_config.py",
        "start_trading.py",
        "main.py",
        "backtest.py",
        "examples/multi_strategy_bot.py",
        "stop_all.sh",
        "check_lighter_connection.sh",
        "test_account_balance.py",
        "pre_start_check.sh",
        "check_dependencies.py",
        "maintenance.sh",
        "generate_report.py",
        "monitor.py",
        "generate_daily_report.py",
        "show_statistics.py",
        "export_trades.py",
        "analyze_performance.py",
    ),
    "commands": (
        "source env/bin/activate",
        "systemctl start",
        "systemctl status",
        "systemctl stop",
        "restart",
        "journalctl",
        "sc start",
        "sc query",
        "sc stop",
        "tail -f",
        "tail -50",
        "grep",
        "wc -l",
        "htop",
        "ps",
        "kill -9",
        "ping",
        "curl",
        "nano config.yaml",
        "cron",
        "df -h",
        "pip install --upgrade",
        "Ctrl+C",
    ),
    "flags": (
        "--config",
        "--strategy",
        "--market",
        "--dry-run",
        "--log-level",
        "--log-file",
        "--help",
        "--days",
        "--output",
        "--verbose",
    ),
    "settings": (
        "user_config.yaml",
        "strategies.NAME.enabled",
        "position_size",
        "log.level",
        "max_position_size",
        "tick_interval",
        "max_concurrent_strategies",
    ),
    "strategies": ("mean_reversion", "momentum", "arbitrage", "ut_bot", "all"),
    "calls": (
        "Config.from_file",
        "BacktestEngine",
        "load_historical_data",
        "run_backtest",
        "start_date",
        "result.print_summary",
        "result.plot_equity_curve",
        "result.save_to_file",
        "TradingEngine",
        "engine.add_strategy",
        "engine.start",
        "optimize_strategy",
        "engine.get_status()",
        "risk_manager.get_risk_status()",
        "SignerClient",
        "client.cancel_all_orders()",
        "client.get_positions()",
        "client.create_market_order",
        "send_alert",
    ),
    "status": ("is_running", "uptime", "active_strategies", "positions", "orders"),
    "risk": ("current_equity", "daily_pnl", "drawdown", "open_orders_count"),
    "addresses": (
        "http://localhost:8000",
        "/api/account/balance",
        "/api/positions",
        "/api/orders",
    ),
}


@pytest.mark.parametrize("kind", MANUAL)
def test_whatever_the_manual_speaks_of_has_its_row(kind):
    theirs = "\n".join(row.theirs for row in ROWS)
    brackets = {"status": "status['{}']", "risk": "risk_status['{}']"}
    missing = [
        word
        for word in MANUAL[kind]
        if brackets.get(kind, "{}").format(word) not in theirs
    ]
    assert not missing


# ------------------------------------------------------------------- tests that run it

E2E = "tests/e2e/test_cli_"
RUN_BY = {
    "wrappy init": (
        f"{E2E}init.py",
        "test_testnet_writes_settings_without_a_secret_and_a_private_key_file",
    ),
    "wrappy doctor": (
        f"{E2E}doctor.py",
        "test_the_command_prints_one_line_for_each_finding",
    ),
    "wrappy run": (f"{E2E}in_process.py", "test_a_run_from_its_arguments_to_its_end"),
    "wrappy run --strategy": (
        f"{E2E}run.py",
        "test_every_example_runs_by_its_name",
    ),
    "wrappy run --market": (
        f"{E2E}run.py",
        "test_the_command_line_picks_strategy_and_market",
    ),
    "wrappy run --dry-run": (
        f"{E2E}run.py",
        "test_a_dry_run_sends_nothing_and_shows_what_it_would",
    ),
    "wrappy run --log-level": (
        "tests/docs/test_from_the_manual.py",
        "test_the_level_on_the_command_line_decides_what_is_logged",
    ),
    "wrappy run --log-file": (
        f"{E2E}in_process.py",
        "test_a_run_from_its_arguments_to_its_end",
    ),
    "wrappy run --network": (
        "tests/e2e/test_example_quant.py",
        "test_wrappy_runs_every_stage",
    ),
    "wrappy status": (
        f"{E2E}in_process.py",
        "test_a_bot_tells_its_status_and_is_stopped",
    ),
    "wrappy stop": (
        f"{E2E}in_process.py",
        "test_a_bot_tells_its_status_and_is_stopped",
    ),
    "wrappy stop --flatten": (
        f"{E2E}stop.py",
        "test_a_stop_leaves_the_position_and_flatten_closes_it",
    ),
    "wrappy resume": (
        f"{E2E}in_process.py",
        "test_a_halt_outlives_a_restart_until_somebody_resumes",
    ),
    "wrappy reconcile": (
        f"{E2E}looking.py",
        "test_a_killed_bot_is_reconciled_and_a_new_run_goes_on",
    ),
    "wrappy explain": (f"{E2E}looking.py", "test_the_life_of_an_order_is_told"),
    "wrappy markets": (f"{E2E}looking.py", "test_markets_are_listed"),
}
"""Tests that run a command with its flag, and look at what comes of it. Backtests,
sweeps and `--help` are run below."""
RUN_HERE = ("wrappy backtest", "wrappy sweep", "wrappy run --help")


def code_of(file, name=None):
    """Return the text of a test function, or the whole file."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if name is None:
        return text
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        one
        for one in ast.parse(text).body
        if isinstance(one, kinds) and one.name == name
    ]
    assert found, f"{file} has no {name}"
    return ast.unparse(found[0])


@pytest.mark.parametrize("ours", sorted({r.ours.strip("`") for r in ROWS}))
def test_a_command_is_run_by_a_test(ours):
    if not ours.startswith("wrappy ") or ours.startswith(RUN_HERE):
        return
    file, name = RUN_BY[ours]
    code = code_of(file, name)
    _, command, *flags = ours.split()
    if command != "init":  # typed into, at a terminal of its own
        assert f"'{command}'" in code or f'"{command}"' in code
    for flag in flags:
        assert flag in code


@pytest.mark.slow
async def test_the_level_on_the_command_line_decides_what_is_logged(tmp_path):
    told = {}
    for level in ("INFO", "ERROR"):
        file = tmp_path / f"{level}.log"
        given = ("--log-level", level, "--log-file", file)
        code, _, errors = await called("run", "--duration", "1", *given)
        assert code == 0, errors
        told[level] = file.read_text() if file.exists() else ""
    assert "INFO" in told["INFO"]
    assert "INFO" not in told["ERROR"]


CANDLES = 1_000


@pytest.mark.slow
async def test_a_backtest_and_a_sweep_run_with_the_flags_of_the_page(tmp_path):
    lines = ["timestamp,open,high,low,close,volume"]
    for at in range(CANDLES):
        price = 3_000 + 40 * math.sin(at / 6) + at % 5
        stamp = 1_767_225_600 + at * 300
        lines.append(f"{stamp},{price},{price + 3},{price - 3},{price + 1},100")
    candles = tmp_path / "ETHUSDT_5m.csv"
    candles.write_text("\n".join(lines) + "\n")
    settings = tmp_path / "bot.toml"
    settings.write_text("[backtest]\ncapital = 5000\n")
    common = ("mean_reversion", "--candles", candles, "--set", "resolution=5m")
    paths = {
        "--output": tmp_path / "result.json",
        "--report": tmp_path / "report.html",
        "--charts": tmp_path / "charts",
    }
    flags = [part for flag in paths.items() for part in flag]
    given = ("--days", "1", "--formulas", "--config", settings, *flags)
    code, out, errors = await called("backtest", *common, *given)
    assert code == 0, errors
    lines = ("Initial capital", "Final capital", "Return", "Sharpe ratio", "Win rate")
    for line in (*lines, "Max drawdown", "Winning trades", "Losing trades"):
        assert f"{line}:" in out
    assert "end capital / start capital - 1" in out
    assert json.loads(paths["--output"].read_text())["returns"]
    assert "<html" in paths["--report"].read_text()
    assert (paths["--charts"] / "equity.png").stat().st_size

    store = tmp_path / "trials.sqlite"
    given = ("--over", "lookback=10,20", "--split", "1", "--store", store)
    code, out, errors = await called("sweep", *common, *given, "--workers", "1")
    assert code == 0, errors
    assert "lookback=" in out
    assert store.stat().st_size
    code, out, errors = await called("sweep", *common, *given, "--workers", "1")
    assert code == 0, errors
    assert re.search(r"[1-9]\d* were known before", out)


USED_BY = {
    "wrappy.LighterDealer.create": "tests/unit/runner/test_desk.py",
    "wrappy.LighterDealer.cancel_all_orders": "tests/e2e/test_controls.py",
    "wrappy.LighterDealer.fetch_positions": "tests/e2e/test_order_kinds.py",
    "wrappy.LighterDealer.close_position": "tests/e2e/test_close_position.py",
    "wrappy.LighterDealer.fetch_my_trades": "tests/e2e/test_order_kinds.py",
    "wrappy.runner.alerts.Alerts": "tests/e2e/test_monitor_alerts.py",
    "wrappy.runner.backtest.run_backtest": "tests/unit/runner/test_backtest.py",
    "wrappy.runner.charts.write_charts": "tests/unit/runner/test_results_page.py",
    "wrappy.runner.engine.TradingEngine.add_strategy": (
        "tests/e2e/test_worlds_venue.py"
    ),
    "wrappy.runner.engine.TradingEngine.start": ("tests/docs/test_from_the_manual.py"),
    "wrappy.runner.history.CandleFile": "tests/unit/runner/test_history_files.py",
    "wrappy.runner.performance.PerformanceRecorder": (
        "tests/unit/runner/test_performance_figures.py"
    ),
    "wrappy.runner.performance.Results.save": (
        "tests/unit/runner/test_performance_figures.py"
    ),
    "wrappy.runner.performance.summary_text": (
        "tests/unit/runner/test_performance_figures.py"
    ),
    "wrappy.runner.settings.read_settings": (
        "tests/unit/runner/test_settings_of_a_bot.py"
    ),
    "wrappy.runner.sweep.StrategyBacktest.between": (
        "tests/unit/runner/test_sweep_strategy_backtest.py"
    ),
    "examples/all_at_once.py": "tests/e2e/test_example_quant.py",
    "examples/parameter_scan.py": "tests/e2e/test_example_quant.py",
    "examples/watch_and_alert.py": "tests/e2e/test_example_quant.py",
    "examples/daily_report.py": "tests/e2e/test_example_quant.py",
    "examples/staged_rollout/1_watch.toml": "tests/e2e/test_example_quant.py",
}


@pytest.mark.parametrize("path", [*those(PYTHON), *those(EXAMPLE)])
def test_a_name_of_python_and_an_example_are_used_by_a_test(path):
    called = {
        one.func.attr if isinstance(one.func, ast.Attribute) else one.func.id
        for one in ast.walk(ast.parse(code_of(USED_BY[path])))
        if isinstance(one, ast.Call) and isinstance(one.func, (ast.Attribute, ast.Name))
    }
    if path.startswith("wrappy."):
        assert path.rpartition(".")[2] in called
        return
    assert (ROOT / path).is_file()
    name = path.rpartition("/")[2]
    # The stages are found by their folder.
    word = "staged_rollout" if name.endswith(".toml") else name
    assert word in code_of(USED_BY[path])


VALUES = {
    "network.name": "testnet",
    "network.account_index": 123456,
    "network.api_key_index": 7,
    "network.key_file": "wrappy.key.json",
    "strategies.enabled": False,
    "strategies.parameters": {"lookback": 30},
    "risk.max_position": {"ETH": "0.5"},
    "risk.fresh_for_s": 7.5,
    "monitor.enabled": True,
    "alerts.enabled": False,
    "alerts.on_crash": False,
    "alerts.on_risk_state": False,
    "alerts.repeat_s": 300.0,
    "alerts.drawdown": "0.05",
    "alerts.daily_loss": 1000,
    "log.level": "DEBUG",
    "log.file": "bot.log",
    "log.format": "json",
    "log.max_bytes": 1_000_000,
    "log.backups": 30,
}


@pytest.mark.parametrize(("section", "key"), those(SETTING))
def test_a_setting_is_read_from_a_file(section, key, tmp_path):
    wanted = VALUES[f"{section}.{key}"]
    one = [{"use": "mean_reversion"}]
    content = {"strategies": one, section: {key: wanted}}
    if section == "strategies":
        content = {"strategies": [{**one[0], key: wanted}]}
    file = tmp_path / "bot.yaml"
    # Whatever is JSON is YAML.
    file.write_text(json.dumps(content))
    settings = read_settings(file)
    place = {
        "strategies": settings.strategies[0],
        "risk": settings.limits,
    }.get(section) or getattr(settings, section)
    found = getattr(place, key)
    if isinstance(wanted, dict):
        assert {name: str(one) for name, one in found.items()} == {
            name: str(one) for name, one in wanted.items()
        }
    elif key == "key_file":
        assert str(found).endswith(wanted)
    else:
        assert found == (Decimal(wanted) if isinstance(found, Decimal) else wanted)


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
