"""What each order will be once everything queued and accepted is carried out.

A change that is queued or accepted counts before the exchange shows it, so that the
next change builds on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wrappy._core.orders import OrderRecord, OrderTable


class OrderAims:
    """Ticks and lots that orders are on their way to.

    Args:
        orders: what the exchange has shown so far.
    """

    def __init__(self, orders: OrderTable) -> None:
        self._orders = orders
        self._targets: dict[int, tuple[int, int]] = {}
        self._accepted: dict[int, tuple[int, int]] = {}
        self._left: dict[int, int] = {}

    def aim(self, coi: int, *, ticks: int, lots: int) -> None:
        """Note what an order will be once everything queued is carried out."""
        self._targets[coi] = (ticks, lots)

    def aimed(self, coi: int) -> tuple[int, int] | None:
        """Return ticks and lots an order has or will have; None if not known."""
        for known in (self._targets, self._accepted):
            if coi in known:
                return known[coi]
        record = self._orders.get(coi)
        if record is None or record.status.is_terminal or not record.price_ticks:
            return None
        return record.price_ticks, record.base_amount

    def reported(self, record: OrderRecord) -> None:
        """Let go of what the exchange's word has ended or caught up with."""
        coi = record.client_order_index
        if record.status.is_terminal:
            self.forget(coi)
        elif self._accepted.get(coi) == (record.price_ticks, record.base_amount):
            # From here on the exchange's word counts: others may change it too.
            del self._accepted[coi]

    def accepted(self, coi: int, target: tuple[int, int]) -> None:
        """Remember an accepted change until the exchange reports it."""
        record = self._orders.get(coi)
        if record is not None and (record.price_ticks, record.base_amount) == target:
            self._accepted.pop(coi, None)  # the report was quicker than the answer
        else:
            self._accepted[coi] = target

    def failed(self, coi: int, target: tuple[int, int]) -> None:
        """Forget an accepted change that was never carried out."""
        if self._accepted.get(coi) == target:
            del self._accepted[coi]

    def left(self, coi: int, number: int) -> None:
        """Note the place in the queue that a change had which has left by now."""
        if self._orders.get(coi) is not None:
            self._left[coi] = max(number, self._left.get(coi, 0))

    def is_stale(self, coi: int, number: int) -> bool:
        """Whether a later change than that of this place has left already."""
        return number < self._left.get(coi, 0)

    def decided(self, coi: int, target: tuple[int, int]) -> None:
        """Note that a change is no longer queued; a later one keeps its target."""
        if self._targets.get(coi) == target:
            del self._targets[coi]

    def forget(self, coi: int) -> None:
        """Drop what is known of an order."""
        self._targets.pop(coi, None)
        self._accepted.pop(coi, None)
        self._left.pop(coi, None)
