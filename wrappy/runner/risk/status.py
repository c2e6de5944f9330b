"""How an account stands against its limits, in plain values for people and pages."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wrappy.model import usdc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrappy.lighter.risk_desk import RiskDesk


def risk_status(desk: RiskDesk, now: float, marks: Mapping[int, int]) -> dict[str, Any]:
    """Return an account's state and figures.

    Args:
        desk: where it is judged.
        now: seconds of the desk's clock.
        marks: prices of the moment in ticks, by market, as far as they are known.

    Returns:
        `current_equity`, `daily_pnl` and `peak_equity` in USDC and `drawdown` as a
        fraction, None while they are not known, with `equity_age` in seconds;
        `open_orders_count`, `unknown_orders`, `denied_orders` and `last_denial`;
        `state` and `reason`; `stale`, what is too old by source; `exposure` by
        symbol, see `exposure_of`; `transitions`, the latest last.
    """
    risk = desk.risk
    equity = risk.equity
    known = equity.equity is not None
    return {
        "state": risk.log.state.value,
        "reason": risk.log.reason,
        "current_equity": _usdc(equity.equity),
        "daily_pnl": _usdc(equity.daily_pnl),
        "peak_equity": usdc(equity.peak) if known else None,
        "drawdown": _fraction(equity.drawdown),
        "equity_age": round(equity.age_s(now), 3) if known else None,
        "open_orders_count": risk.book.live(),
        "unknown_orders": risk.book.unknown(),
        "denied_orders": desk.judge.denied,
        "last_denial": desk.judge.last_denial,
        "stale": risk.stale(),
        "exposure": {
            market.symbol: exposure_of(desk, index, marks.get(index))
            for index, market in risk.markets.items()
        },
        "transitions": [
            {"at": one.at_s, "state": one.state.value, "reason": one.reason}
            for one in risk.log.transitions
        ],
    }


def exposure_of(desk: RiskDesk, index: int, mark: int | None) -> dict[str, Any]:
    """Return how far a market's position can get.

    Args:
        desk: where it is judged.
        index: the market.
        mark: its price of the moment in ticks; None while it is not known.

    Returns:
        `position` and `highest` and `lowest`, what it can become, in the base asset;
        `notional`, the worst of these in USDC, None without a price; `orders`;
        `uncovered`, the part of the position that no reduce-only order would close;
        `disputed`, whether stream and fills tell different positions.
    """
    market = desk.market(index)
    exposure = desk.risk.book.market(index)
    reach = exposure.reach(mark or 0, desk.risk.markets[index].lot_value)
    told = exposure.told if exposure.told is not None else exposure.implied
    return {
        "position": None if told is None else market.size(told),
        "highest": market.size(reach.high),
        "lowest": market.size(reach.low),
        "notional": None if mark is None else usdc(reach.value),
        "orders": len(exposure.orders),
        "uncovered": market.size(desk.risk.uncovered(index)),
        "disputed": exposure.is_disputed,
    }


def _usdc(amount: int | None) -> Decimal | None:
    return None if amount is None else usdc(amount)


def _fraction(millionths: int | None) -> Decimal | None:
    return None if millionths is None else Decimal(millionths).scaleb(-6)
