"""What the exchange's word on an order means, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy._core.order_states import classify
from wrappy.errors import ProtocolError
from wrappy.lighter.asking.reading import decimal

if TYPE_CHECKING:
    from wrappy.lighter.results import OrderDict


def reason_in(row: OrderDict) -> str:
    """Return why an order ended, in words; empty where its status says it all.

    Raises:
        ProtocolError: the row's amounts cannot be read.
    """
    status = str(row.get("status") or "")
    filled = 1 if decimal(row, "filled_base_amount") else 0
    try:
        return classify(status, filled).reason
    except ProtocolError:
        return f"the exchange calls it {status!r}, which is no word known here"
