"""The errors after which a strategy goes on: what it wanted cannot be had just now."""

from __future__ import annotations

from typing import Final

from wrappy.errors import ProtocolError, RiskDeniedError, TransportError, VenueError

NOT_NOW: Final = (ProtocolError, RiskDeniedError, TransportError, VenueError)
"""A book without prices, a risk guard's no, no answer, one that refuses or is garbled.

A strategy that lets them out has crashed: its orders are cancelled, and nobody looks
after its position. One that runs overnight meets each of them, a guard's no at every
stream that breaks. Caught, they mean: do nothing now, look again at the next candle.
A doubt is not lost by that; the dealer settles it, and `go_to_position` waits for it
before it trades again.

    try:
        await go_to_position(ctx, target)
    except NOT_NOW as error:
        ctx.log.warning("not now: %s", error)
"""
