"""How far from the market an order's price may be: the bands of stage one.

Seen at clients: buys at most 105 % of the lower of mark and best ask, sells at least
95 % of the higher of mark and best bid; a stop-limit or take-profit-limit closer than
5 % to its trigger; on some markets a limit order within a distance of the mark price.
The numbers are not published: they are settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wrappy.model import OrderType
from wrappy.venue.orders import LIMITED_TRIGGER_TYPES
from wrappy.venue.refusal import require

if TYPE_CHECKING:
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.settings import VenueSettings

ACCIDENTAL: Final = 21733
FAR_FROM_MARK: Final = 21734
FAR_FROM_TRIGGER: Final = 21735
_WHOLE: Final = 100


class PriceBands:
    """The bands of one exchange.

    Attributes:
        protected: whether what is checked now asked for protection; the sender of a
            transaction may do without.
    """

    def __init__(self, settings: VenueSettings) -> None:
        self.protected = True
        self._settings = settings

    def check(
        self,
        state: MarketState,
        kind: int,
        price: int,
        *,
        trigger_price: int,
        is_ask: bool,
    ) -> None:
        """Check one order's price, in ticks.

        Raises:
            Refused: 21733, 21734 or 21735.
        """
        settings = self._settings
        lifted = not self.protected and settings.price_protection_off == "bands"
        if settings.price_bands == "off" or lifted:
            return
        if kind in LIMITED_TRIGGER_TYPES:
            distance = abs(price - trigger_price) * _WHOLE
            most = settings.trigger_band_percent * trigger_price
            require(distance < most, FAR_FROM_TRIGGER)
        bounded = kind == OrderType.LIMIT
        if kind == OrderType.MARKET:
            bounded = settings.price_bands == "all"
        if not bounded:
            return
        self._check_market(state, price, is_ask=is_ask)
        mark, most = state.mark_price, settings.mark_band_percent
        if mark and most and kind == OrderType.LIMIT:
            require(abs(price - mark) * _WHOLE <= most * mark, FAR_FROM_MARK)

    def _check_market(self, state: MarketState, price: int, *, is_ask: bool) -> None:
        engine, percent = state.engine, self._settings.fat_finger_percent
        best = engine.best_bid if is_ask else engine.best_ask
        known = [value for value in (state.mark_price, best) if value]
        if not known:
            return
        if is_ask:
            lowest = max(known) * (_WHOLE - percent)
            require(price * _WHOLE >= lowest, ACCIDENTAL)
        else:
            highest = min(known) * (_WHOLE + percent)
            require(price * _WHOLE <= highest, ACCIDENTAL)
