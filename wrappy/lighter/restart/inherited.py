"""Orders of an earlier run that are still in doubt, handed to the dealers of this one.

They stand in the order table as `UNKNOWN`, so that they count as live, until it is
known what became of them.
"""

from __future__ import annotations

import logging
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from wrappy._core.orders import OrderEvent
from wrappy.lighter.asking.order_search import CREATIONS
from wrappy.lighter.sending.doubts import DoubtfulBatch
from wrappy.protocol.intents import SignedTx, TxType
from wrappy.protocol.transactions import parse_tx_info

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wrappy._core.journal_rows import JournalEntry
    from wrappy._core.orders import OrderTable
    from wrappy.lighter.sending.lane import KeyLane
    from wrappy.lighter.sending.outbox import Outbox
    from wrappy.lighter.sending.sender import Sender

logger = logging.getLogger("wrappy.recovery")


def leave_lingering(lane: KeyLane, entries: Iterable[JournalEntry]) -> None:
    """Have a lane find out what became of transactions whose nonces are gone.

    Args:
        lane: of the key that signed them.
        entries: their rows, in nonce order.
    """
    for nonce, rows in groupby(entries, key=lambda entry: entry.nonce):
        same = list(rows)
        numbers = {n for e in same for n in (e.client_order_index, *e.group_indices)}
        orders = sorted(number for number in numbers if number is not None)
        logger.warning(
            "nonce %d of an earlier run is gone, and the exchange does not know what "
            "was signed with it yet: orders %s stay in doubt",
            nonce,
            orders,
        )
        lane.linger(
            DoubtfulBatch(
                range(nonce, nonce + 1),
                tuple(_signed(entry, lane) for entry in same),
                tuple(orders),
                urgent=False,
                on_lost=_nobody,
                on_settled=lane.bequeath,
                signed_ms=min(entry.written_ms for entry in same),
            )
        )


def inherit(outbox: Outbox, sender: Sender, lane: KeyLane, market_index: int) -> None:
    """Enter what lingers of an earlier run into a dealer's order table.

    Args:
        outbox: the dealer's.
        sender: of the lane.
        lane: with what lingers.
        market_index: the dealer's; orders of other markets are left to others.
    """
    for batch in lane.lingering:
        if batch.signed_ms is None:
            continue  # of this run; who sent it knows it
        for tx in batch.transactions:
            if tx.tx_hash in batch.told or tx.tx_type not in CREATIONS:
                continue
            cois = _enter(outbox.orders, tx, market_index)
            if cois:
                heir = partial(_decided, outbox, sender, tx.tx_hash, cois)
                lane.heirs.setdefault(tx.tx_hash, []).append(heir)


def _enter(orders: OrderTable, tx: SignedTx, market_index: int) -> list[int]:
    """Enter the orders of a creation as unknown; return their numbers."""
    entered = []
    fields = parse_tx_info(tx.tx_info)
    for order in fields.get("Orders", [fields]):
        coi = order["ClientOrderIndex"]
        if not coi or order["MarketIndex"] != market_index or orders.get(coi):
            continue
        orders.queue(
            coi,
            market_index=market_index,
            is_ask=bool(order["IsAsk"]),
            price_ticks=order["Price"],
            base_amount=order["BaseAmount"],
        )
        orders.apply(coi, OrderEvent.LOST, tx_hash=tx.tx_hash)
        entered.append(coi)
    return entered


def _decided(
    outbox: Outbox,
    sender: Sender,
    tx_hash: str,
    cois: Sequence[int],
    accepted: bool,  # noqa: FBT001 - a callback
) -> None:
    """Book what became of orders that had been entered as unknown."""
    event = OrderEvent.SENT if accepted else OrderEvent.PROVEN_DEAD
    living = []
    for coi in cois:
        record = outbox.orders.apply(coi, event)
        if record is not None and not record.status.is_terminal:
            living.append(coi)
    if living:
        outbox.follow(sender, tx_hash, living)
    elif accepted:
        sender.ended(tx_hash)  # their reports were quicker


def _signed(entry: JournalEntry, lane: KeyLane) -> SignedTx:
    return SignedTx(
        tx_type=TxType(entry.tx_type),
        tx_info=entry.tx_info,
        tx_hash=entry.tx_hash,
        nonce=entry.nonce,
        expired_at_ms=entry.expired_at_ms,
        account_index=lane.account_index,
        api_key_index=lane.api_key_index,
    )


def _nobody() -> None:
    """Tell nobody: it was lost before anybody was there."""
