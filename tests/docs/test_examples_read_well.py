"""A reader's test of the examples: short, explained, on a page, on public names."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import pathlib
import re
import sys

import pytest

from wrappy.runner.strategy import Strategy

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("examples/**/*.py"))
SOURCES = {path: path.read_text(encoding="utf-8") for path in FILES}
STRATEGIES = [path for path in FILES if "(Strategy[" in SOURCES[path]]
STARTED = [path for path in FILES if '__name__ == "__main__"' in SOURCES[path]]
LEGS = [*ROOT.glob("examples/hedge/leg_*.py")]
PAGES = "\n".join(
    path.read_text(encoding="utf-8") for path in ROOT.glob("docs/**/*.md")
)
LONGEST = 200


def named(path):
    return str(path.relative_to(ROOT / "examples"))


def strategy_of(path, monkeypatch):
    """Return the strategy class of a file."""
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"read_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    (found,) = (
        one
        for one in vars(module).values()
        if inspect.isclass(one)
        and issubclass(one, Strategy)
        and one.__module__ == spec.name
    )
    return found


def test_what_is_read_is_there():
    assert {path.parent.name for path in STRATEGIES} == {"strategies", "trend_ladder"}
    assert len(STRATEGIES) >= 7
    assert len(LEGS) == 2
    assert len(STARTED) >= 18


@pytest.mark.parametrize("path", [*STRATEGIES, *LEGS], ids=named)
def test_a_strategy_is_shorter_than_two_hundred_lines(path):
    assert len(SOURCES[path].splitlines()) < LONGEST


@pytest.mark.parametrize("path", STRATEGIES, ids=named)
def test_a_strategy_says_its_idea_its_risks_and_how_to_try_it(path):
    told = ast.get_docstring(ast.parse(SOURCES[path]))
    paragraphs = told.split("\n\n")
    assert [one for one in paragraphs if one.startswith("Idea.")]
    assert [one for one in paragraphs if one.startswith("Risks.")]
    assert "Try it:" in paragraphs
    command = paragraphs[paragraphs.index("Try it:") + 1]
    assert re.search(rf"\b{path.stem}\b|run_trend_ladder", command)


@pytest.mark.parametrize("path", STRATEGIES, ids=named)
def test_a_strategy_explains_every_parameter(path, monkeypatch):
    parameters = strategy_of(path, monkeypatch)().parameters
    told = inspect.getdoc(type(parameters))
    for field in dataclasses.fields(parameters):
        assert re.search(rf"^    {field.name}: \S", told, re.MULTILINE), field.name


@pytest.mark.parametrize("path", STARTED, ids=named)
def test_what_is_started_by_itself_says_idea_parameters_and_risks(path):
    told = (ast.get_docstring(ast.parse(SOURCES[path])) or "").lower()
    assert [word for word in ("idea", "parameters", "risks") if word not in told] == []


@pytest.mark.parametrize("path", [*STRATEGIES, *STARTED], ids=named)
def test_every_example_is_on_a_page(path):
    assert re.search(rf"\b{path.stem}\b", PAGES)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_examples_use_public_names_only(path):
    for node in ast.walk(ast.parse(SOURCES[path])):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [one.name for one in node.names]
            names.append((isinstance(node, ast.ImportFrom) and node.module) or "")
            parts = ".".join(names).split(".")
            assert {one for one in parts if one.startswith("_")} <= {"__future__"}
