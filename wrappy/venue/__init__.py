"""The local exchange: same protocol, on loopback, with no money in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wrappy.venue.clocks import LoopClock, SteppedClock, WallClock
    from wrappy.venue.fault_rules import FaultRule
    from wrappy.venue.faults import Faults
    from wrappy.venue.server import Venue
    from wrappy.venue.settings import VenueSettings

__all__ = [
    "FaultRule",
    "Faults",
    "LoopClock",
    "SteppedClock",
    "Venue",
    "VenueSettings",
    "WallClock",
]

_HOMES = {
    "FaultRule": "wrappy.venue.fault_rules",
    "Faults": "wrappy.venue.faults",
    "LoopClock": "wrappy.venue.clocks",
    "SteppedClock": "wrappy.venue.clocks",
    "Venue": "wrappy.venue.server",
    "VenueSettings": "wrappy.venue.settings",
    "WallClock": "wrappy.venue.clocks",
}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - importing stays cheap

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return vars(import_module(home))[name]
