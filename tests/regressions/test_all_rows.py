"""Every known defect is pinned down by one test, or ruled out by one sentence."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
ROWS = [f"D{number}" for number in range(1, 69)]
TEST_NAME = re.compile(r"^(?:async )?def test_d(\d\d)_", re.MULTILINE)


def ruled_out():
    spec = importlib.util.spec_from_file_location("impossible", HERE / "impossible.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.IMPOSSIBLE


def test_every_row_has_exactly_one_test_or_one_sentence():
    tested = [
        f"D{int(number)}"
        for path in HERE.glob("test_*.py")
        for number in TEST_NAME.findall(path.read_text(encoding="utf-8"))
    ]
    counted = Counter([*tested, *ruled_out()])
    assert {row: counted[row] for row in ROWS} == dict.fromkeys(ROWS, 1)


def test_a_row_that_is_ruled_out_says_why_in_one_sentence():
    for row, why in ruled_out().items():
        assert why.endswith("."), row
        assert ". " not in why, row
