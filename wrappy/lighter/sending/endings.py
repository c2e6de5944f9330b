"""Which transactions have no live order left, told to the key that sent them.

The journal keeps a creation until the last of its orders is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.lighter.sending.sender import Sender


class OrderEndings:
    """The transactions whose orders live, and who sent them."""

    def __init__(self) -> None:
        self._creation: dict[int, str] = {}
        self._living: dict[str, tuple[Sender, set[int]]] = {}

    def follow(self, sender: Sender, tx_hash: str, cois: Iterable[int]) -> None:
        """Have `sender` told when all orders of a transaction have ended."""
        for coi in cois:
            self._creation[coi] = tx_hash
            self._living.setdefault(tx_hash, (sender, set()))[1].add(coi)

    def ended(self, client_order_index: int) -> None:
        """Note that an order is over; one that is not followed changes nothing."""
        tx_hash = self._creation.pop(client_order_index, None)
        if tx_hash is None:
            return
        sender, living = self._living[tx_hash]
        living.discard(client_order_index)
        if not living:
            del self._living[tx_hash]
            sender.ended(tx_hash)
