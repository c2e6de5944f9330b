"""Asks for positions that stream and fills tell differently for too long."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from wrappy.errors import WrappyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.risk_desk import RiskDesk, Seat

logger = logging.getLogger("wrappy.risk")

SETTLE_S: Final = 2.0
"""How long two different words on a position may stand before it is asked for."""


async def settle(desk: RiskDesk, seats: Mapping[Seat, LighterDealer]) -> None:
    """Ask until no position is disputed, or nobody is left to ask with.

    Args:
        desk: where positions are counted.
        seats: dealers, those that come meanwhile included.
    """
    book = desk.risk.book
    while disputed := book.disputed():
        await asyncio.sleep(SETTLE_S)
        still = set(disputed) & set(book.disputed())
        dealer = next(iter(seats.values()), None)
        if dealer is None:
            return
        if not still:
            continue
        before = {one: book.market(one).implied for one in still}
        try:
            asked = await dealer.fetch_positions()
        except WrappyError as error:
            logger.warning("positions: %s", error)
            continue
        # A fill that came meanwhile may be in the answer, or not.
        quiet = [one for one in still if book.market(one).implied == before[one]]
        if quiet:
            desk.begin(asked, only=quiet)
