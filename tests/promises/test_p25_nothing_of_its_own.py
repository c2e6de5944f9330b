"""P25: no strategy of the examples asks for its world, a clock or chance of its own.

Read off the source: the strategies and the modules beside them that they import.
"""

from __future__ import annotations

import ast
import pathlib
import re
from typing import get_args

import pytest

from wrappy.runner.worlds.world import WorldName

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORLDS = {*get_args(WorldName), "live", "dry_run", "simulation", "replay"}
ASKS = re.compile(
    r"^is_(live|paper|backtest|dry|sim\w*|test)|^(world|world_name|network|mode)$"
)
CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "asyncio": {"get_event_loop", "get_running_loop"},
    "os": {"urandom", "environ", "getenv", "getpid"},
}
CHANCES = {"random", "secrets", "uuid", "numpy"}


def with_what_stands_beside(path):
    """Return a module and, as far as they lead, those of its folder it imports."""
    found, ahead = set(), [path]
    while ahead:
        one = ahead.pop()
        if one in found or not one.is_file():
            continue
        found.add(one)
        for node in ast.walk(ast.parse(one.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                ahead.append(one.with_name(f"{node.module}.py"))
            elif isinstance(node, ast.Import):
                ahead += [one.with_name(f"{name.name}.py") for name in node.names]
    return found


STRATEGIES = sorted(
    {*ROOT.glob("examples/strategies/*.py"), *ROOT.glob("examples/*/*_strategy.py")}
)
MODULES = sorted(set().union(*map(with_what_stands_beside, STRATEGIES)))


def _documented(tree):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)
    }


def asked(source):
    """Return names and texts by which a module could tell worlds or runs apart."""
    tree = ast.parse(source)
    documented, found = _documented(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if id(node) not in documented and str(node.value).lower() in WORLDS:
                found.append(node.value)
        elif isinstance(node, ast.Name) and ASKS.search(node.id):
            found.append(node.id)
        elif isinstance(node, ast.Attribute):
            of = node.value.attr if isinstance(node.value, ast.Attribute) else None
            of = node.value.id if isinstance(node.value, ast.Name) else of
            if ASKS.search(node.attr) or node.attr in CLOCKS.get(of, ()):
                found.append(node.attr)
        elif isinstance(node, ast.Import):
            found += [one.name for one in node.names if _root(one.name) in CHANCES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {one.name for one in node.names}
            if _root(node.module) in CHANCES:
                found.append(node.module)
            found += sorted(names & CLOCKS.get(node.module, set()))
    return found


def _root(name):
    return name.partition(".")[0]


def test_every_strategy_is_read_with_what_it_imports():
    names = {path.name for path in MODULES}
    assert {"grid.py", "arbitrage.py", "ladder_strategy.py", "ladder_core.py"} <= names
    assert "run_trend_ladder.py" not in names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_strategy_asks_for_its_world_a_clock_or_chance(path):
    assert asked(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "if ctx.world == 'x': pass",
        "if ctx.name in ('paper',): pass",
        "if self.is_backtest: pass",
        "if mode: pass",
        "now = time.time()",
        "now = datetime.datetime.now()",
        "now = datetime.now()",
        "now = asyncio.get_running_loop().time()",
        "from time import monotonic",
        "import random",
        "from random import random",
        "import numpy.random",
        "where = os.environ['NETWORK']",
    ],
)
@pytest.mark.parametrize(
    "around",
    ["class Sly(Strategy[None]):\n  async def run(self, ctx):\n    {}\n", "{}\n"],
    ids=["in its class", "beside it"],
)
def test_one_that_asks_is_found_out(line, around):
    assert asked(around.format(line))


def test_what_is_said_in_words_is_no_question():
    assert asked('"""live"""\ndef run():\n  """paper"""\n  return ctx.now()\n') == []
