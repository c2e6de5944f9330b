"""The local exchange: same protocol, on loopback, with no money in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wrappy.venue.clocks import SteppedClock, WallClock
    from wrappy.venue.server import Venue
    from wrappy.venue.settings import VenueSettings

__all__ = ["SteppedClock", "Venue", "VenueSettings", "WallClock"]

_HOMES = {
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
