"""What each address of the monitor answers, as JSON, out of one look at the bot.

Amounts of money and sizes are texts: they are exact, and JSON's numbers are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.runner.monitor.snapshot import Snapshot

MOST_EVENTS: Final = 100
"""Events that the page gets; `/api/events` tells all there are."""


def _status(look: Snapshot) -> Any:
    return {**look.status, "orders_total": look.orders_total, "world": look.world}


def _balance(look: Snapshot) -> Any:
    told = look.balance
    return {
        "collateral": None if told is None else told.collateral,
        "available_balance": None if told is None else told.available_balance,
        "total_asset_value": None if told is None else told.total_asset_value,
    }


def _risk(look: Snapshot) -> Any:
    figures = look.figures
    return {
        "current_equity": figures.equity,
        "daily_pnl": figures.daily_pnl,
        "drawdown": figures.drawdown,
        "open_orders_count": look.orders_total,
        **look.risk,
    }


def _orders(look: Snapshot) -> Any:
    return {"orders": look.status["orders"], "total": look.orders_total}


def _state(look: Snapshot) -> Any:
    return {
        "taken_at_s": look.taken_at_s,
        "started_at_s": look.started_at_s,
        "world": look.world,
        "account_index": look.account_index,
        "status": look.status,
        "orders_total": look.orders_total,
        "risk": look.risk,
        "balance": look.balance,
        "positions": look.positions,
        "fills": look.fills[:MOST_EVENTS],
        "events": look.events[:MOST_EVENTS],
        "figures": look.figures,
    }


ANSWERS: Final[dict[str, Callable[[Snapshot], Any]]] = {
    "/api/account/balance": _balance,
    "/api/curve": lambda look: look.curve,
    "/api/events": lambda look: look.events,
    "/api/fills": lambda look: look.fills,
    "/api/orders": _orders,
    "/api/positions": lambda look: look.positions,
    "/api/risk": _risk,
    "/api/state": _state,
    "/api/status": _status,
}
"""Addresses, and what of a look each of them tells."""


def answer(path: str, look: Snapshot, age_s: float) -> bytes:
    """Return the JSON of an address.

    Everything stands in an object beside `age_s`, the seconds since the look: more
    than a few mean that the bot's event loop hangs.
    """
    told = ANSWERS[path](look)
    name = path.rpartition("/")[2]
    # What is an object already is told as it is, with the age in it.
    if isinstance(told, dict):
        return msgspec.json.encode({**told, "age_s": round(age_s, 3)})
    return msgspec.json.encode({name: told, "age_s": round(age_s, 3)})
