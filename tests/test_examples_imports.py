"""Examples use what a reader may use: documented modules, nothing below them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.test_layers import imports_of

ROOT = Path(__file__).resolve().parents[1]

PUBLIC = frozenset(
    {
        "wrappy",
        "wrappy.errors",
        "wrappy.model",
        "wrappy.venue",
        "wrappy.lighter.config",
        "wrappy.lighter.environment",
        "wrappy.lighter.results",
        "wrappy.lighter.visit",
        "wrappy.lighter.ws",
        "wrappy.runner.backtest",
        "wrappy.runner.bus",
        "wrappy.runner.command",
        "wrappy.runner.desk",
        "wrappy.runner.engine",
        "wrappy.runner.history",
        "wrappy.runner.indicators",
        "wrappy.runner.network",
        "wrappy.runner.performance.fills",
        "wrappy.runner.performance.results",
        "wrappy.runner.performance.round_trips",
        "wrappy.runner.report",
        "wrappy.runner.risk",
        "wrappy.runner.risk.guard",
        "wrappy.runner.risk.limits",
        "wrappy.runner.session",
        "wrappy.runner.settings.document",
        "wrappy.runner.side_thread",
        "wrappy.runner.strategy",
        "wrappy.runner.sweep",
        "wrappy.runner.worlds.opening",
        "wrappy.runner.worlds.world",
    }
)
"""What an example may import: the client's documented modules, and the runner's."""


def below(text):
    """Return the imports of a module's text that reach below the public surface."""
    found = []
    for imported in imports_of(ast.parse(text), "example"):
        base, _, name = imported.module.rpartition(".")
        is_name = base == "wrappy" and name[:1].isupper()
        module = base if is_name else imported.module
        if module.split(".")[0] == "wrappy" and module not in PUBLIC:
            found.append(f"{imported.line}: {imported.module}")
    return found


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "examples").rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_an_example_imports_nothing_below_the_public_surface(path):
    assert below(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "from wrappy.lighter.asking.reading import account_in",
        "import wrappy._core.orders",
        "from wrappy._core import orders",
        "from wrappy.lighter.wire.within import within",
        "import importlib; importlib.import_module('wrappy.venue.engine')",
        "if TYPE_CHECKING:\n    from wrappy._core.orders import OrderRecord",
    ],
)
def test_what_reaches_below_is_found(line):
    assert len(below(line)) == 1


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_what_counts_as_public_is_there(module):
    parts = ROOT.joinpath(*module.split("."))
    assert parts.with_suffix(".py").is_file() or (parts / "__init__.py").is_file()
