"""The front door: what it hands out, and what it costs to open."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import wrappy
from wrappy import errors

ROOT = Path(__file__).resolve().parents[1]


def run_python(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.split()


@pytest.mark.parametrize("name", sorted(set(wrappy.__all__) - {"__version__"}))
def test_every_exported_name_resolves_to_itself(name):
    value = getattr(wrappy, name)
    assert value.__name__ == name
    assert getattr(wrappy, name) is value


def test_the_list_of_exports_is_sorted_and_complete():
    assert dir(wrappy) == sorted(wrappy.__all__)
    assert len(set(wrappy.__all__)) == len(wrappy.__all__)
    public_errors = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.WrappyError)
    }
    assert public_errors <= set(wrappy.__all__)
    assert {"LighterDealer", "DealerConfig", "WsInfo"} <= set(wrappy.__all__)


def test_the_version_is_that_of_the_distribution():
    try:
        expected = importlib.metadata.version("wrappy-lighter")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the distribution is not installed here")
    assert wrappy.__version__ == expected


def test_everything_can_be_imported_without_the_extras():
    code = (
        "import sys; sys.modules['pybotters'] = None\n"
        "from wrappy import *\n"
        "print('LighterDealer' in dir())\n"
        "import wrappy\n"
        "try: wrappy.LighterDataStore\n"
        "except ImportError as error: print('wrappy-lighter[pybotters]' in str(error))"
    )
    assert run_python(code) == ["True", "True"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'wrappy' has no attribute 'Dealer'"):
        _ = wrappy.Dealer
    assert "import_module" not in dir(wrappy)


def test_opening_the_door_loads_nothing_heavy():
    heavy = {"aiohttp", "lighter", "ctypes", "asyncio", "msgspec", "wrappy.lighter"}
    loaded = run_python("import sys, wrappy; print(*sys.modules)")
    assert "wrappy" in loaded
    assert heavy.isdisjoint(loaded)


def test_an_error_can_be_named_without_loading_the_client():
    loaded = run_python(
        "import sys; from wrappy import VenueError; print(*sys.modules)"
    )
    assert "wrappy.errors" in loaded
    assert {"aiohttp", "wrappy.lighter", "wrappy.signing"}.isdisjoint(loaded)


def test_the_client_does_not_load_the_official_package():
    loaded = run_python("import sys; from wrappy import WsInfo; print(*sys.modules)")
    assert "wrappy.lighter.ws" in loaded
    assert "lighter" not in loaded
    assert not [name for name in loaded if name.startswith("wrappy.venue")]
