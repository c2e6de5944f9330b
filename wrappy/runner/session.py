"""The record of a trading session: each order's stages and times, and the fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wrappy.lighter.results import OrderResult

FEE_TICK = Decimal(1_000_000)


@dataclass(slots=True)
class OrderLife:
    """One order from the first call to its end.

    Attributes:
        client_order_index: its number.
        side: `buy` or `sell`.
        kind: `limit`, `market`, ... as the exchange calls it.
        price: in USDC, as last reported.
        size: in the base asset, unsigned.
        filled: executed so far.
        status: the exchange's latest word.
        stages: (what, seconds since the session began), in order.
    """

    client_order_index: int
    side: str = ""
    kind: str = "limit"
    price: Decimal = Decimal(0)
    size: Decimal = Decimal(0)
    filled: Decimal = Decimal(0)
    status: str = "queued"
    stages: list[tuple[str, float]] = field(default_factory=list)

    def reach(self, stage: str, at: float) -> None:
        """Note a stage, unless it is the one the order is in."""
        if not self.stages or self.stages[-1][0] != stage:
            self.stages.append((stage, at))


@dataclass(frozen=True, slots=True)
class FillLine:
    """One of our executions.

    Attributes:
        trade_id: the exchange's number.
        at: seconds since the session began.
        side: ours.
        price: in USDC.
        size: in the base asset.
        is_maker: whether our order rested.
        fee: in USDC.
    """

    trade_id: int
    at: float
    side: str
    price: Decimal
    size: Decimal
    is_maker: bool
    fee: Decimal


class SessionRecord:
    """Collects what happens to our orders.

    Args:
        account_index: the account whose fills count.
        clock: seconds, monotone.
    """

    def __init__(self, account_index: int, *, clock: Callable[[], float]) -> None:
        self.orders: dict[int, OrderLife] = {}
        self.fills: list[FillLine] = []
        self._account_index = account_index
        self._clock = clock
        self._started = clock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the session began."""
        return self._clock() - self._started

    def submitted(self, result: OrderResult) -> int:
        """Note an order that was queued; return its number."""
        coi = result["client_order_index"]
        life = self._life(coi)
        life.side, life.price = result["side"], result["price"]
        life.size = abs(result["size"])
        life.reach("submitted", self.elapsed_s)
        return coi

    def accepted(self, client_order_indices: Iterable[int | None]) -> None:
        """Note that the exchange accepted the orders' transactions."""
        for coi in client_order_indices:
            if coi is not None:
                self._life(coi).reach("accepted", self.elapsed_s)

    def on_orders(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Note what the exchange tells of orders."""
        for row in rows:
            coi = row.get("client_order_index")
            if not isinstance(coi, int) or coi == 0:
                continue
            life = self._life(coi)
            changed = life.price and life.price != Decimal(str(row["price"]))
            life.side = "sell" if row["is_ask"] else "buy"
            life.kind = str(row["type"])
            life.price = Decimal(str(row["price"]))
            life.size = Decimal(str(row["initial_base_amount"]))
            filled = Decimal(str(row["filled_base_amount"]))
            part = filled > life.filled and row["status"] == "open"
            life.filled = filled
            life.status = str(row["status"])
            life.reach(_stage(life, part=part, changed=bool(changed)), self.elapsed_s)

    def on_trades(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Note our executions."""
        for row in rows:
            sold = row["ask_account_id"] == self._account_index
            is_maker = bool(row["is_maker_ask"]) == sold
            ticks = row.get("maker_fee" if is_maker else "taker_fee") or 0
            self.fills.append(
                FillLine(
                    trade_id=int(row["trade_id"]),
                    at=self.elapsed_s,
                    side="sell" if sold else "buy",
                    price=Decimal(str(row["price"])),
                    size=Decimal(str(row["size"])),
                    is_maker=is_maker,
                    fee=Decimal(str(row["usd_amount"])) * ticks / FEE_TICK,
                )
            )

    def _life(self, coi: int) -> OrderLife:
        return self.orders.setdefault(coi, OrderLife(coi))


def _stage(life: OrderLife, *, part: bool, changed: bool) -> str:
    if part:
        return "partly filled"
    if life.status == "open" and changed:
        return "updated"
    return life.status
