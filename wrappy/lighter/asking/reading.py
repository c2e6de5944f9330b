"""From the exchange's objects to ours: orders, trades, positions, balances."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from wrappy._core.receipts import TransactionFate, TransactionReport
from wrappy._core.scaling import fixed_to_int
from wrappy.errors import ProtocolError
from wrappy.lighter.results import (
    BalanceResult,
    Fill,
    MarginSetting,
    OrderReport,
)
from wrappy.model import Candle, Position, Side, Trade

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wrappy._core.orders import OrderRecord, OrderTable
    from wrappy.lighter.results import OrderDict, TradeDict

TRANSACTION_FATES = {
    0: TransactionFate.FAILED,
    1: TransactionFate.PENDING,
    2: TransactionFate.EXECUTED,
    3: TransactionFate.EXECUTED,
}
"""What `status` of a transaction means."""

LIVE_STATUSES = frozenset({"in-progress", "pending", "open"})
"""Words of the exchange for orders that can still trade."""

FEE_SCALE = 1_000_000

MOST_DIGITS = 40
"""Digits before the point beyond which a number counts as nonsense."""


def whole(row: Mapping[str, Any], field: str) -> int:
    """Return a field that must be a whole number.

    Raises:
        ProtocolError: it is missing or something else.
    """
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ProtocolError(f"{field}: {value!r} is not a whole number")
    return value


def _whole_or_zero(row: Mapping[str, Any], field: str) -> int:
    return whole(row, field) if row.get(field) is not None else 0


def decimal(row: Mapping[str, Any], field: str) -> Decimal:
    """Return a decimal text as a number; an absent or empty one is 0.

    Raises:
        ProtocolError: it is no finite number, or one beyond all measure.
    """
    value = row.get(field)
    if value in (None, ""):
        return Decimal(0)
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ProtocolError(f"{field}: {value!r} is not a number") from error
    if not number.is_finite():
        raise ProtocolError(f"{field}: {value!r} is not finite")
    if number.adjusted() >= MOST_DIGITS:
        raise ProtocolError(f"{field}: a number of {number.adjusted() + 1} digits")
    return number


def rows_by_market(value: object, field: str) -> list[dict[str, Any]]:
    """Return the rows of a map from market to rows, or of a plain list.

    Raises:
        ProtocolError: it is neither.
    """
    if value is None:
        return []
    if isinstance(value, dict):
        groups = [group for group in value.values() if group is not None]
        if not all(isinstance(group, list) for group in groups):
            raise ProtocolError(f"{field}: a market's rows are no list")
        rows = [row for group in groups for row in group]
    elif isinstance(value, list):
        rows = value
    else:
        raise ProtocolError(f"{field}: a {type(value).__name__} holds no rows")
    if not all(isinstance(row, dict) for row in rows):
        raise ProtocolError(f"{field}: a row is no object")
    return rows


def position_rows_in(account: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an account's positions; null stands for none.

    Raises:
        ProtocolError: there is no word on them, which does not mean that it is flat.
    """
    if "positions" not in account:
        raise ProtocolError("positions: missing in the account's answer")
    return rows_by_market(account["positions"], "positions")


class _OrderWord(msgspec.Struct, gc=False):
    """What the table needs of an order, in the types the exchange uses."""

    client_order_index: int
    status: str
    market_index: int
    is_ask: bool
    order_index: int
    base_price: int
    initial_base_amount: str
    filled_base_amount: str
    transaction_time: int


def report_order(table: OrderTable, row: OrderDict) -> OrderRecord | None:
    """Enter the exchange's word on one order into a table.

    Raises:
        ProtocolError: the row cannot be read; the table is unchanged.
    """
    try:
        # One pass over the row, which is what nearly every row needs.
        word = _convert(row, _OrderWord)
    except msgspec.ValidationError:
        word = _careful_word(row)
    base_amount, decimals = _lots_and_decimals(word.initial_base_amount or "0")
    return table.report(
        word.client_order_index,
        word.status,
        market_index=word.market_index,
        is_ask=word.is_ask,
        order_index=word.order_index,
        filled_base=_lots(word.filled_base_amount or "0", decimals),
        price_ticks=word.base_price,
        base_amount=base_amount,
        # The order's `nonce` is its number in the market's count: it does not change
        # with a fill and falls when a bid is modified. Only where a row has no time
        # of change, as on older servers, is it better than nothing.
        version=word.transaction_time or whole(row, "nonce"),
        report=row,
    )


_convert = msgspec.convert

# Orders come in few sizes, and the parts of them that are filled repeat as well.
_lots = lru_cache(4096)(fixed_to_int)


@lru_cache(1024)
def _lots_and_decimals(text: str) -> tuple[int, int]:
    # The exchange prints every size of a market with the market's own decimals.
    decimals = len(text.partition(".")[2])
    return fixed_to_int(text, decimals), decimals


def _careful_word(row: OrderDict) -> _OrderWord:
    """Read a row that lacks something or has it otherwise; say what is wrong."""
    has_time = bool(row.get("transaction_time"))
    return _OrderWord(
        client_order_index=whole(row, "client_order_index"),
        status=str(row.get("status")),
        market_index=whole(row, "market_index"),
        is_ask=bool(row.get("is_ask")),
        order_index=whole(row, "order_index"),
        base_price=whole(row, "base_price"),
        initial_base_amount=str(row.get("initial_base_amount") or "0"),
        filled_base_amount=str(row.get("filled_base_amount") or "0"),
        transaction_time=whole(row, "transaction_time") if has_time else 0,
    )


def public_trade(row: TradeDict) -> Trade:
    """Return one trade of the tape.

    Raises:
        ProtocolError: the row cannot be read.
    """
    return Trade(
        trade_id=whole(row, "trade_id"),
        market_id=whole(row, "market_id"),
        price=decimal(row, "price"),
        size=decimal(row, "size"),
        side=Side.BUY if row.get("is_maker_ask") else Side.SELL,
        timestamp_ms=whole(row, "timestamp"),
    )


def position_of(row: Mapping[str, Any]) -> Position:
    """Return one position.

    Raises:
        ProtocolError: the row cannot be read.
    """
    sign = -1 if row.get("sign") == -1 else 1
    return Position(
        market_id=whole(row, "market_id"),
        symbol=str(row.get("symbol") or ""),
        # Not -1 * 0, which prints as -0.
        size=sign * decimal(row, "position") or Decimal(0),
        average_entry_price=decimal(row, "avg_entry_price"),
        realized_pnl=decimal(row, "realized_pnl"),
        unrealized_pnl=decimal(row, "unrealized_pnl"),
    )


def transaction_in(answer: Mapping[str, Any]) -> TransactionReport:
    """Return what an answer of `tx` tells of a transaction.

    `status` is 0 failed, 1 pending, 2 or 3 executed; `event_info` is JSON in a
    string, and its `ae` what the engine objected to (official API documentation).

    Raises:
        ProtocolError: the status cannot be read.
    """
    status = whole(answer, "status")
    if status not in TRANSACTION_FATES:
        raise ProtocolError(f"status: {status} is none of a transaction's")
    problem = _decoded(_decoded(answer.get("event_info")).get("ae"))
    words = problem.get("message") or answer.get("message") or ""
    queued_at = answer.get("queued_at")
    return TransactionReport(
        fate=TRANSACTION_FATES[status],
        reason=words if isinstance(words, str) else "",
        queued_at_ms=queued_at if isinstance(queued_at, int) else None,
    )


def _decoded(value: object) -> dict[str, Any]:
    """Return the object in a JSON text; a plain text counts as its message."""
    if isinstance(value, str) and value:
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = {"message": value}
    return value if isinstance(value, dict) else {}


def account_in(answer: Mapping[str, Any], account_index: int) -> dict[str, Any]:
    """Return one account out of an answer of `account`.

    Raises:
        ProtocolError: it is not in there.
    """
    accounts = answer.get("accounts")
    for account in accounts if isinstance(accounts, list) else ():
        if isinstance(account, dict) and account.get("index") == account_index:
            return account
    raise ProtocolError(f"account: the answer lacks account {account_index}")


def balance_in(account: Mapping[str, Any]) -> BalanceResult:
    """Return the money of an account."""
    return BalanceResult(
        collateral=decimal(account, "collateral"),
        available_balance=decimal(account, "available_balance"),
        total_asset_value=decimal(account, "total_asset_value"),
    )


def positions_in(rows: Iterable[Mapping[str, Any]]) -> list[Position]:
    """Return the positions of rows, flat ones left out."""
    positions = [position_of(row) for row in rows]
    return [position for position in positions if position.size]


def margin_in(row: Mapping[str, Any]) -> MarginSetting:
    """Return how a position is margined; its fraction is told in percent.

    Raises:
        ProtocolError: the row cannot be read.
    """
    percent = decimal(row, "initial_margin_fraction")
    return MarginSetting(
        initial_margin_fraction=int(percent * 100),
        margin_mode="isolated" if row.get("margin_mode") == 1 else "cross",
        allocated_margin=decimal(row, "allocated_margin"),
    )


def order_report(row: OrderDict) -> OrderReport:
    """Return the exchange's word on one order.

    Raises:
        ProtocolError: the row cannot be read.
    """
    filled = decimal(row, "filled_base_amount")
    status = str(row.get("status") or "")
    return OrderReport(
        client_order_index=whole(row, "client_order_index"),
        order_index=whole(row, "order_index"),
        market_index=whole(row, "market_index"),
        side=Side.SELL if row.get("is_ask") else Side.BUY,
        order_type=str(row.get("type") or ""),
        status=status,
        is_live=status in LIVE_STATUSES,
        price=decimal(row, "price"),
        size=decimal(row, "initial_base_amount"),
        filled=filled,
        average_price=decimal(row, "filled_quote_amount") / filled if filled else None,
        trigger_price=decimal(row, "trigger_price") or None,
        reduce_only=bool(row.get("reduce_only")),
        parent_order_index=_whole_or_zero(row, "parent_order_index") or None,
    )


def fill_in(row: TradeDict, account_index: int) -> Fill:
    """Return one trade as the account sees it.

    Raises:
        ProtocolError: the row cannot be read, or is somebody else's.
    """
    sells = row.get("ask_account_id") == account_index
    if not sells and row.get("bid_account_id") != account_index:
        raise ProtocolError(f"trade {row.get('trade_id')!r} is not this account's")
    side = "ask" if sells else "bid"
    is_maker = bool(row.get("is_maker_ask")) is sells
    price, size = decimal(row, "price"), decimal(row, "size")
    ticks = _whole_or_zero(row, "maker_fee" if is_maker else "taker_fee")
    return Fill(
        trade_id=whole(row, "trade_id"),
        market_index=whole(row, "market_id"),
        client_order_index=_whole_or_zero(row, f"{side}_client_id"),
        order_index=whole(row, f"{side}_id"),
        side=Side.SELL if sells else Side.BUY,
        price=price,
        size=size,
        is_maker=is_maker,
        # Fees are told in 1e-6 of the quote amount.
        fee=price * size * ticks / FEE_SCALE,
        timestamp_ms=whole(row, "timestamp"),
    )


def candles_in(answer: Mapping[str, Any]) -> list[Candle]:
    """Return the candles of an answer, oldest first, none of them closed.

    Fields that are zero are left out by the exchange (official API documentation).

    Raises:
        ProtocolError: one cannot be read.
    """
    rows = answer.get("c")
    if not isinstance(rows, list):
        raise ProtocolError(f"c: {type(rows).__name__} is no list of candles")
    candles = []
    for row in rows:
        if not isinstance(row, dict):
            raise ProtocolError(f"c: a {type(row).__name__} is no candle")
        candles.append(
            Candle(
                start_ms=whole(row, "t"),
                open=decimal(row, "o"),
                high=decimal(row, "h"),
                low=decimal(row, "l"),
                close=decimal(row, "c"),
                base_volume=decimal(row, "v"),
                quote_volume=decimal(row, "V"),
                last_trade_id=_whole_or_zero(row, "i"),
                closed=False,
            )
        )
    return sorted(candles, key=lambda candle: candle.start_ms)
