"""Imports point inward only; every dependency has one door; rooms stay small."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 450
MOST_PUBLIC_METHODS = 25

ALLOWED = {
    "errors": (),
    "model": ("errors",),
    "_core": ("errors", "model"),
    "protocol": ("errors", "model"),
    "signing": ("errors", "model", "_core", "protocol"),
    "lighter": ("errors", "model", "_core", "protocol", "signing"),
    "venue": ("errors", "model", "_core", "protocol", "signing"),
    "runner": ("errors", "model", "lighter", "venue", "wrappy"),
    # The front door hands out names of these rooms.
    "__init__": ("errors", "model", "lighter"),
}
"""Which rooms a room may import, besides itself."""

CLIENT = (
    "persistence",
    "pacing",
    "wire",
    "asking",
    "sending",
    "restart",
    "trading",
    "streaming",
)
"""The folders of the client, innermost first; when it runs, each may import those
before it. What lies beside them ties them together and is imported by all."""

WORLD = frozenset(
    {
        "aiohttp",
        "asyncio",
        "datetime",
        "logging",
        "os",
        "random",
        "secrets",
        "socket",
        "threading",
        "time",
    }
)
"""What the core must not touch: waiting, clocks, chance, the machine."""

DOORS = {
    "aiohttp": (
        "lighter/wire/transport.py",
        "venue/record.py",
        "venue/rest.py",
        "venue/stream.py",
        "venue/server.py",
        "runner/monitor/server.py",
    ),
    "ctypes": ("signing/sdk_library.py",),
    "lighter": ("signing/sdk_library.py",),
    "aiolimiter": (),
    "pybotters": ("lighter/streaming/store_base.py",),
    "apprise": ("runner/alerts/sending.py",),
    "prometheus_client": ("runner/metrics.py",),
    "redis": ("lighter/pacing/shared_budget.py", "runner/bus.py"),
    "matplotlib": ("runner/charts.py",),
    "plotly": ("runner/results_page/plotly_script.py",),
    "optuna": ("runner/sweep/optuna_search.py",),
    "distributed": ("runner/sweep/cluster.py",),
    "cyclopts": ("runner/cli/app.py",),
    "yaml": ("runner/settings/document.py",),
}
"""Modules that may import a dependency."""


class Import(NamedTuple):
    """One imported module, and whether it is loaded when the program runs."""

    module: str
    line: int
    at_runtime: bool


def imports_of(tree: ast.Module, module: str) -> list[Import]:
    """Return every import of a parsed module, relative ones resolved."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = module.rsplit(".", node.level)[0] if node.level else ""
            base = ".".join(part for part in (start, node.module) if part)
            # `from wrappy import venue` names a room in its second half.
            plain = base in ("wrappy", "concurrent")
            names = [f"{base}.{a.name}" for a in node.names] if plain else [base]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                names = [named.value]
        found += [
            Import(name, getattr(node, "lineno", 0), id(node) not in typing_only)
            for name in names
        ]
    return found


def room_of(path: str) -> str:
    """Return the room of a module by its path inside the package."""
    return path.split("/", 1)[0].removesuffix(".py")


def outward(path: str, room: str, imported: Import) -> str | None:
    """Return what is wrong with the direction of an import, if anything is."""
    top, _, inner = imported.module.partition(".")
    if top != "wrappy":
        return None
    target = inner.split(".", 1)[0] or "wrappy"
    if target not in ALLOWED:
        # A name out of the front door, such as `from wrappy import LighterDealer`.
        target = "wrappy"
    if target == room == "lighter":
        return backward(path, imported)
    if target == room or target in ALLOWED[room]:
        return None
    return f"{path}:{imported.line}: {room} imports {target}"


def backward(path: str, imported: Import) -> str | None:
    """Return what is wrong with an import between two folders of the client."""
    _, folder, *file = path.split("/")
    target = imported.module.split(".")[2:3]
    if not file or not target or target[0] not in CLIENT or not imported.at_runtime:
        return None
    if CLIENT.index(target[0]) <= CLIENT.index(folder):
        return None
    return f"{path}:{imported.line}: {folder} imports {target[0]}"


def worldly(path: str, room: str, imported: Import) -> str | None:
    """Return what is wrong with the outside module that is imported, if anything."""
    top = imported.module.split(".", 1)[0]
    if not imported.at_runtime:
        return None
    if room == "_core" and top in WORLD:
        return f"{path}:{imported.line}: the core touches {top}"
    if top in DOORS and path not in DOORS[top]:
        return f"{path}:{imported.line}: {top} has a door elsewhere"
    return None


def too_large(path: str, text: str, tree: ast.Module) -> list[str]:
    """Return what has outgrown its budget."""
    found = []
    lines = text.count("\n")
    if lines > MOST_LINES:
        found.append(f"{path}: {lines} lines")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            count = sum(
                isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
                and not item.name.startswith("_")
                for item in node.body
            )
            if count > MOST_PUBLIC_METHODS:
                found.append(f"{path}: {node.name} has {count} public methods")
    return found


def violations(package: Path) -> list[str]:
    """Return everything in a package that breaks the rules of the rooms."""
    found: list[str] = []
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package).as_posix()
        room = room_of(path)
        if room not in ALLOWED:
            found.append(f"{path}: belongs to no room")
            continue
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text, filename=str(file))
        found += too_large(path, text, tree)
        module = "wrappy." + path.removesuffix(".py").replace("/", ".")
        for imported in imports_of(tree, module):
            for judge in (outward, worldly):
                words = judge(path, room, imported)
                if words is not None:
                    found.append(words)
    return found


def test_the_package_keeps_its_rules():
    assert violations(ROOT / "wrappy") == []


def test_the_package_is_there_to_be_checked():
    rooms = {
        room_of(file.relative_to(ROOT / "wrappy").as_posix())
        for file in (ROOT / "wrappy").rglob("*.py")
    }
    assert rooms == set(ALLOWED)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("errors.py", "import wrappy.model", "errors imports model"),
        ("model.py", "from wrappy._core import coi", "model imports _core"),
        ("_core/a.py", "from wrappy.lighter import ws", "_core imports lighter"),
        ("_core/a.py", "from wrappy.protocol.codes import OK", "imports protocol"),
        ("_core/a.py", "from ..protocol import codes", "_core imports protocol"),
        ("_core/a.py", "import time", "the core touches time"),
        ("_core/a.py", "def f():\n    from os import path", "the core touches os"),
        ("_core/a.py", "import asyncio.events", "the core touches asyncio"),
        ("protocol/a.py", "from wrappy._core.coi import COI_MAX", "imports _core"),
        ("signing/a.py", "from wrappy.lighter.config import x", "imports lighter"),
        ("lighter/a.py", "from wrappy.venue.server import x", "imports venue"),
        ("lighter/a.py", "from wrappy import venue", "lighter imports venue"),
        ("lighter/a.py", "import wrappy", "lighter imports wrappy"),
        ("lighter/a.py", "import aiohttp", "aiohttp has a door elsewhere"),
        ("lighter/a.py", "import lighter", "lighter has a door elsewhere"),
        ("lighter/a.py", "import_module('wrappy.runner')", "lighter imports runner"),
        ("lighter/a.py", "import ctypes", "ctypes has a door elsewhere"),
        ("venue/a.py", "from wrappy.lighter.ws import x", "venue imports lighter"),
        ("venue/a.py", "from wrappy.runner import x", "venue imports runner"),
        ("runner/a.py", "from wrappy._core.coi import x", "runner imports _core"),
        ("runner/a.py", "from wrappy.signing import x", "runner imports signing"),
        (
            "lighter/pacing/a.py",
            "from wrappy.lighter.sending.lane import KeyLane",
            "pacing imports sending",
        ),
        ("cellar/a.py", "", "belongs to no room"),
        ("_core/a.py", "x = 1\n" * 451, "451 lines"),
        (
            "lighter/a.py",
            "class Large:\n" + "".join(f"  def m{i}(self): ...\n" for i in range(26)),
            "Large has 26 public methods",
        ),
        (
            "_core/a.py",
            "if typing.TYPE_CHECKING:\n    from wrappy.lighter.ws import WsInfo\n",
            "_core imports lighter",
        ),
    ],
)
def test_a_planted_fault_is_found(tmp_path, path, text, words):
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    (found,) = violations(tmp_path)
    assert found.startswith(path)
    assert words in found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("_core/a.py", "from wrappy.errors import ConfigError\nimport enum"),
        (
            "_core/a.py",
            "if TYPE_CHECKING:\n    from datetime import datetime\n",
        ),
        ("lighter/wire/transport.py", "import aiohttp"),
        ("lighter/link.py", "from wrappy.lighter.sending.lane import KeyLane"),
        ("lighter/wire/a.py", "from wrappy.lighter.config import DealerConfig"),
        (
            "lighter/pacing/a.py",
            "if TYPE_CHECKING:\n    from wrappy.lighter.sending.lane import KeyLane\n",
        ),
        ("signing/a.py", "from wrappy._core import coi\nimport wrappy.protocol.codes"),
        ("runner/a.py", "from wrappy import LighterDealer, WrappyError"),
        ("runner/a.py", "from wrappy.venue.server import serve"),
        ("_core/a.py", "class A:\n    def _b(self): ...\n"),
    ],
)
def test_what_is_allowed_is_not_found(tmp_path, path, text):
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    assert violations(tmp_path) == []
