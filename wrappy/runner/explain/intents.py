"""What a row of the journal wanted, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from wrappy.lighter.persistence.journal import SendStage

if TYPE_CHECKING:
    from wrappy.lighter.persistence.journal import JournalEntry
    from wrappy.model import Market

CREATE: Final = 14
CANCEL: Final = 15
CANCEL_ALL: Final = 16
MODIFY: Final = 17
GROUP: Final = 28
"""Transaction types by their number on the wire (official signer's list)."""

STAGES: Final = {
    SendStage.SIGNED: "written down before it left; no answer is known",
    SendStage.ACCEPTED: "the exchange took it",
    SendStage.REFUSED: "the exchange refused it, or it never left",
    SendStage.DEAD: "it was never executed, and never can be any more",
    SendStage.EXECUTED: "the exchange carried it out",
    SendStage.ENDED: "the exchange carried it out, and the order is over",
}
"""What the stages of a row mean."""

_ORDER_TYPES: Final = (
    "limit",
    "market",
    "stop-loss",
    "stop-loss limit",
    "take-profit",
    "take-profit limit",
    "TWAP",
)
_TIMES: Final = ("immediate or cancel", "good till time", "post-only")


def wanted(entry: JournalEntry, number: int, market: Market | None) -> str:
    """Return what a transaction was to do to an order.

    Args:
        entry: the row.
        number: the order's client order index.
        market: the order's market; None leaves ticks and lots as they are.
    """
    fields = _fields(entry.intent)
    if entry.tx_type == CREATE:
        return f"create: {_order(fields, market)}"
    if entry.tx_type == GROUP:
        rows = fields.get("orders")
        orders = [r for r in rows if isinstance(r, dict)] if rows else []
        mine = [r for r in orders if r.get("client_order_index") == number]
        with_others = f"create in a group of {len(orders)}"
        return f"{with_others}: {_order(mine[0], market)}" if mine else with_others
    if entry.tx_type == CANCEL:
        return "cancel"
    if entry.tx_type == CANCEL_ALL:
        return _cancel_all(fields)
    if entry.tx_type == MODIFY:
        price, size = _price(fields, market), _size(fields, market)
        return f"modify: {size} in all at {price}"
    return f"transaction of type {entry.tx_type}"


def _fields(intent: str) -> dict[str, Any]:
    try:
        found = json.loads(intent)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _order(fields: dict[str, Any], market: Market | None) -> str:
    side = "sell" if fields.get("is_ask") else "buy"
    kind = _named(_ORDER_TYPES, fields.get("order_type", 0))
    time = _named(_TIMES, fields.get("time_in_force", 0))
    words = (
        f"{side} {_size(fields, market)} at {_price(fields, market)} ({kind}, {time}"
    )
    if fields.get("trigger_price"):
        trigger = _price({"price": fields["trigger_price"]}, market)
        words += f", trigger {trigger}"
    if fields.get("reduce_only"):
        words += ", reduce-only"
    return words + ")"


def _cancel_all(fields: dict[str, Any]) -> str:
    when = fields.get("time_in_force", 0)
    if when == 1:
        return "dead man's switch set: cancel everything when we fall silent"
    if when == 2:  # noqa: PLR2004 - the wire's numbers: now, scheduled, withdrawn
        return "dead man's switch withdrawn"
    return "cancel all orders"


def _named(names: tuple[str, ...], number: object) -> str:
    if isinstance(number, int) and 0 <= number < len(names):
        return names[number]
    return f"number {number}"


def _price(fields: dict[str, Any], market: Market | None) -> str:
    ticks = fields.get("price")
    if not isinstance(ticks, int):
        return "?"
    return f"{ticks} ticks" if market is None else f"{market.price(ticks)}"


def _size(fields: dict[str, Any], market: Market | None) -> str:
    lots = fields.get("base_amount")
    if not isinstance(lots, int):
        return "?"
    if market is None:
        return f"{lots} lots"
    return f"{market.size(lots)} {market.base_symbol}"
