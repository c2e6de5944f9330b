"""Settings of a bot: what a whole file comes to, and what beats it."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from tests.cli import ROOT, environment, write_bot
from wrappy import ConfigError
from wrappy.runner.settings import load_strategies, read_settings
from wrappy.runner.settings.loading import example_names, strategy_class

WHOLE = """
[network]
name = "testnet"
account_index = 65
api_key_index = 5
key_file = "key.json"
[[strategies]]
use = "mine.py:Resting"
name = "first"
symbols = ["ETH", "BTC"]
parameters = { lookback = 30, size = 0.07 }
[[strategies]]
use = "mine.py:Resting"
parameters = { size = "0.1" }
[[strategies]]
use = "not there"
enabled = false
[risk]
max_open_orders = 3
max_daily_loss = 12.5
[engine]
dead_man_s = 0
stop_timeout_s = 2
[monitor]
enabled = true
[alerts]
drawdown = 0.2
[log]
format = "json"
[backtest]
capital = 5000
request_ms = [10, 30]
"""


@pytest.fixture
def whole(tmp_path):
    write_bot(tmp_path)
    file = tmp_path / "whole.toml"
    file.write_text(WHOLE)
    return file


def test_a_whole_file_is_read_into_types(whole):
    read = read_settings(whole)
    assert read.network.name == "testnet"
    assert read.place(read.network.key_file) == whole.parent / "key.json"
    assert read.bot_name == "whole"
    assert read.limits.max_daily_loss == Decimal("12.5")
    assert read.monitor.enabled
    assert read.alerts.drawdown == Decimal("0.2")
    assert (read.backtest.capital, read.backtest.request_ms) == (5000, (10, 30))
    (first, one), (second, two) = load_strategies(read)
    assert (first, second) == ("first", "resting")
    assert one.symbols == ("ETH", "BTC")
    assert (one.parameters.lookback, one.parameters.size) == (30, Decimal("0.07"))
    assert two.parameters.size == Decimal("0.1")


def test_variables_beat_the_file(whole):
    read = read_settings(
        whole,
        environment={
            "LIGHTER_ACCOUNT_INDEX": "77",
            "LIGHTER_API_KEY_INDEX": "9",
            "LIGHTER_STATE_DIR": "/elsewhere",
            "LIGHTER_BASE_URL": "http://127.0.0.1:1",
        },
    )
    assert (read.network.account_index, read.network.api_key_index) == (77, 9)
    assert read.engine.state_dir == "/elsewhere"
    assert read.network.url == "http://127.0.0.1:1"


def test_no_file_means_a_local_exchange_and_every_default():
    read = read_settings(None, environment={})
    assert (read.network.name, read.network.url) == ("venue", None)
    assert read.engine.dead_man_s == 360
    assert (read.bot_name, read.limits) == ("wrappy", None)


def test_another_network_leaves_the_address_behind(whole):
    read = read_settings(whole, environment={"LIGHTER_BASE_URL": "http://127.0.0.1:1"})
    assert read.on("testnet") is read
    assert read.on("venue").network.url is None


@pytest.mark.parametrize("value", ["nan", "inf", "'nan'"])
def test_what_is_no_number_is_none(whole, value):
    whole.write_text(f"[backtest]\ncapital = {value}\n")
    with pytest.raises(ConfigError, match=r"whole\.toml: backtest\.capital: "):
        read_settings(whole)


def test_every_example_is_found_by_its_name(tmp_path):
    assert {"mean_reversion", "momentum", "ut_bot"} <= set(example_names())
    for name in example_names():
        assert strategy_class(name, folder=tmp_path).name() == name


def test_a_file_with_several_classes_wants_one_named(tmp_path):
    write_bot(tmp_path)
    with pytest.raises(ConfigError, match="name the class"):
        strategy_class("mine.py", folder=tmp_path)
    kind = strategy_class("mine.py:Resting", folder=tmp_path)
    assert strategy_class("mine.py:Resting", folder=tmp_path) is kind


def test_a_strategy_of_a_module_is_found():
    place = "wrappy.runner.performance.baselines"
    with pytest.raises(ConfigError, match="has no strategy called 'Nobody'"):
        strategy_class(f"{place}:Nobody", folder=None)


def test_a_file_may_import_what_lies_beside_it(tmp_path):
    kinds = []
    for number, folder in enumerate(("first", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside_it.py").write_text(f"NUMBER = {number}\n")
        (tmp_path / folder / "mine.py").write_text(
            "from beside_it import NUMBER\n"
            "from wrappy.runner.strategy import NoParameters, Strategy\n"
            "class Mine(Strategy[NoParameters]):\n"
            "    number = NUMBER\n"
        )
        before = list(sys.path)
        kinds.append(strategy_class("mine.py:Mine", folder=tmp_path / folder))
        assert sys.path == before
    # Each had its own, although they are called alike.
    assert [kind.number for kind in kinds] == [0, 1]


def test_a_file_without_neighbours_leaves_those_of_others_where_they_are(tmp_path):
    for folder, words in (("one", "import left_alone\n"), ("two", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "left_alone.py").write_text("")
        (tmp_path / folder / "mine.py").write_text(
            f"{words}from wrappy.runner.strategy import NoParameters, Strategy\n"
            "class Mine(Strategy[NoParameters]):\n"
            "    pass\n"
        )
    strategy_class("mine.py:Mine", folder=tmp_path / "one")
    brought = sys.modules["left_alone"]
    strategy_class("mine.py:Mine", folder=tmp_path / "two")
    assert sys.modules["left_alone"] is brought


def test_the_trend_ladder_runs_by_its_path_and_travels_to_other_processes():
    file = ROOT / "examples" / "trend_ladder" / "ladder_strategy.py"
    script = (
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "from wrappy.runner.settings.loading import reloaded\n"
        "kind = reloaded(Path(sys.argv[1]), 'TrendLadder')\n"
        "made = kind(pickle.load(sys.stdin.buffer) if sys.argv[2:] else None)\n"
        "sys.stdout.buffer.write(pickle.dumps(made.parameters))\n"
    )
    told = b""
    for more in ([], ["again"]):
        told = subprocess.run(
            [sys.executable, "-c", script, str(file), *more],
            input=told,
            capture_output=True,
            check=True,
            env=environment(),
            cwd=file.anchor,
        ).stdout
    assert b"ladder_settings" in told
