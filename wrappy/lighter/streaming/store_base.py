"""The door to pybotters, which is needed for the stores only."""

from __future__ import annotations

try:
    from pybotters.store import DataStore, DataStoreCollection
except ImportError as error:
    raise ImportError(
        "LighterDataStore needs pybotters; install 'wrappy-lighter[pybotters]'"
    ) from error

__all__ = ["DataStore", "DataStoreCollection"]
