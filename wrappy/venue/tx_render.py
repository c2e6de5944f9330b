"""Transactions as the wire prints them, with what became of their order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.records import TxRecord


def event_info(record: TxRecord, order: VenueOrder | None) -> str:
    """Return a transaction's `event_info`, in the documented short keys."""
    told: dict[str, Any] = {"m": record.info.get("MarketIndex", 0)}
    if order is not None:
        told["to"] = {
            "i": order.order_index,
            "u": order.client_order_index,
            "a": order.owner,
            "is": order.initial_base,
            "p": order.price,
            "rs": order.remaining,
            "ia": int(order.is_ask),
            "ot": order.order_type,
            "f": order.time_in_force,
            "ro": int(order.reduce_only),
            "tp": order.trigger_price,
            "e": order.expiry_ms,
            "st": order.status,
            "ts": order.trigger_status,
            "t0": (*order.to_trigger, 0)[0],
            "t1": (*order.to_trigger, 0, 0)[1],
            "c0": order.to_cancel,
        }
    if record.code:
        problem = {"code": record.code, "message": record.message}
        told["ae"] = json.dumps(problem, separators=(",", ":"))
    return json.dumps(told, separators=(",", ":"))


def render_tx(record: TxRecord, l1_address: str, *, told: str) -> dict[str, Any]:
    """Return one transaction as `tx`, `txs` and the `account_tx` stream print it."""
    info: Mapping[str, Any] = record.info
    return {
        "hash": record.tx_hash,
        "type": record.tx_type,
        "info": json.dumps(info, separators=(",", ":")),
        "event_info": told,
        "status": record.status,
        "transaction_index": record.sequence_index,
        "l1_address": l1_address,
        "account_index": record.account,
        "nonce": info.get("Nonce", 0),
        "expire_at": info.get("ExpiredAt", 0),
        "block_height": record.block_height,
        "queued_at": record.queued_us // 1_000,
        "executed_at": record.executed_us // 1_000,
        "sequence_index": record.sequence_index,
        "parent_hash": "",
        "api_key_index": info.get("ApiKeyIndex", 0),
        "transaction_time": record.executed_us or record.queued_us,
    }
