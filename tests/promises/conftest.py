"""Storms that several promises are judged by are run once, whoever asks first."""

from __future__ import annotations

import fcntl
import json
import os

import pytest

from tests.promises.storm import run_block


@pytest.fixture
def storm_of(tmp_path_factory, tmp_path):
    """Return a function that gives the reports of a block of seeds at a loss."""
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent  # the same one for all workers of this run

    def found(block, loss):
        file = shared / f"storm-{loss}-{block}.json"
        with file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not file.exists():
                file.write_text(json.dumps(run_block(block, loss, tmp_path / "state")))
        return json.loads(file.read_text())

    return found
