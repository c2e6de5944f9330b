"""Payloads of the account channels as typed values: money, transactions, notices.

Source of the fields: official WebSocket reference, recorded frames. Orders, trades
and positions are read where their state is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from wrappy.protocol.channel_values import (
    NOT_TOLD,
    Index,
    Unread,
    amount,
    read_frame,
    required,
)
from wrappy.protocol.market_frames import COUNT_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Whole = Annotated[int, msgspec.Meta(ge=-COUNT_MAX, le=COUNT_MAX)]
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LEAST_MS: Final = 10**11
"""Smaller numbers are no time in milliseconds but one in seconds."""

_FAILED: Final = 0
_PENDING: Final = 1


@dataclass(frozen=True, slots=True)
class Asset:
    """What an account has of one asset, in units of that asset.

    Attributes:
        asset_id: index of the asset.
        symbol: its name, such as `USDC`.
        balance: held outside the margin account.
        locked: the part of `balance` that spot orders hold.
        margin_balance: held as margin; None if not told.
        margin_mode: `enabled` or `disabled`; empty if not told.
    """

    asset_id: int
    symbol: str
    balance: Decimal
    locked: Decimal
    margin_balance: Decimal | None
    margin_mode: str


@dataclass(frozen=True, slots=True)
class MarginStats:
    """Margin figures of an account, in USDC unless said otherwise.

    Attributes:
        collateral: paid in, with realized profit and loss.
        portfolio_value: with unrealized profit and loss.
        available_balance: free for new orders.
        leverage: value of the positions over `portfolio_value`; None if not told.
        margin_usage: margin in use, in percent of `portfolio_value`; None if not
            told.
        buying_power: as the exchange tells it; None if not told.
    """

    collateral: Decimal
    portfolio_value: Decimal
    available_balance: Decimal
    leverage: Decimal | None
    margin_usage: Decimal | None
    buying_power: Decimal | None


@dataclass(frozen=True, slots=True)
class UserStats(MarginStats):
    """Margin figures of an account, its cross margin and all of it.

    Attributes:
        cross: of the positions with cross margin; None if not told.
        total: of the whole account; None if not told.
        account_trading_mode: 0 with spot and perpetual collateral apart, 1 unified;
            None if not told.
    """

    cross: MarginStats | None
    total: MarginStats | None
    account_trading_mode: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTransaction:
    """One transaction of the account, as the exchange carried it out.

    Attributes:
        tx_hash: names the transaction.
        status: 0 failed, 1 pending, 2 executed, 3 executed and proven; others are
            not documented.
        tx_type: number of its type; None if not told, like all below.
        account_index: who signed it.
        api_key_index: with which key.
        nonce: in the key's order.
        code: what the engine objected with; None when with nothing.
        reason: the objection in words; empty when there is none.
        queued_at_ms: when it was accepted, unix milliseconds of the exchange.
        executed_at_ms: when it was carried out.
    """

    tx_hash: str
    status: int
    tx_type: int | None
    account_index: int | None
    api_key_index: int | None
    nonce: int | None
    code: int | None
    reason: str
    queued_at_ms: int | None
    executed_at_ms: int | None

    @property
    def has_failed(self) -> bool:
        """Whether the engine refused it."""
        return self.status == _FAILED

    @property
    def is_final(self) -> bool:
        """Whether it is decided: refused or carried out."""
        return self.status != _PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message of the exchange to the account.

    Attributes:
        notification_id: names the notification.
        kind: `liquidation`, `deleverage` or `announcement`; new kinds may come.
        account_index: whom it is for; None if not told.
        created_at_ms: unix milliseconds of the exchange's clock; None if it cannot
            be read: a liquidation is told even without its time.
        content: the fields of its kind as the exchange wrote them, amounts being
            decimal texts; empty if there are none.
        acked: whether it was acknowledged.
    """

    notification_id: str
    kind: str
    account_index: int | None
    created_at_ms: int | None
    content: Mapping[str, Any]
    acked: bool


class _Asset(msgspec.Struct):
    asset_id: Index
    symbol: str = ""
    balance: Unread = NOT_TOLD
    locked_balance: Unread = NOT_TOLD
    margin_balance: Unread = NOT_TOLD
    margin_mode: str | None = None


class _AssetsFrame(msgspec.Struct):
    assets: dict[str, _Asset | None] | None = None


class _Margin(msgspec.Struct):
    collateral: Unread = NOT_TOLD
    portfolio_value: Unread = NOT_TOLD
    available_balance: Unread = NOT_TOLD
    leverage: Unread = NOT_TOLD
    margin_usage: Unread = NOT_TOLD
    buying_power: Unread = NOT_TOLD


class _Stats(_Margin):
    cross_stats: _Margin | None = None
    total_stats: _Margin | None = None
    account_trading_mode: Index | None = None


class _StatsFrame(msgspec.Struct):
    stats: _Stats


class _Transaction(msgspec.Struct):
    hash: _Name
    status: _Whole
    type: _Whole | None = None
    account_index: _Whole | None = None
    api_key_index: _Whole | None = None
    nonce: _Whole | None = None
    event_info: str | None = None
    queued_at: _Whole | None = None
    executed_at: _Whole | None = None


class _TransactionsFrame(msgspec.Struct):
    txs: list[_Transaction | None] | None = None


class _Notification(msgspec.Struct):
    id: _Name | Index
    kind: str = ""
    account_index: _Whole | None = None
    created_at: str | _Whole | None = None
    content: dict[str, Any] | None = None
    ack: bool | None = None


class _NotificationsFrame(msgspec.Struct):
    notifs: list[_Notification | None] | None = None


_ASSETS: Final = msgspec.json.Decoder(_AssetsFrame)
_STATS: Final = msgspec.json.Decoder(_StatsFrame)
_TRANSACTIONS: Final = msgspec.json.Decoder(_TransactionsFrame)
_NOTIFICATIONS: Final = msgspec.json.Decoder(_NotificationsFrame)


def read_assets(raw: bytes) -> list[Asset]:
    """Return the assets that a frame of `account_all_assets` names.

    Raises:
        ProtocolError: the frame cannot be read.
    """
    rows = read_frame(_ASSETS, raw, "account_all_assets").assets or {}
    return [
        Asset(
            asset_id=row.asset_id,
            symbol=row.symbol or str(row.asset_id),
            balance=required(row.balance, "assets.balance", signed=True),
            locked=required(row.locked_balance, "assets.locked_balance", signed=True),
            margin_balance=amount(
                row.margin_balance, "assets.margin_balance", signed=True
            ),
            margin_mode=row.margin_mode or "",
        )
        for row in rows.values()
        if row is not None
    ]


def read_user_stats(raw: bytes) -> UserStats:
    """Return the figures that a frame of `user_stats` tells.

    Raises:
        ProtocolError: the frame cannot be read.
    """
    told = read_frame(_STATS, raw, "user_stats").stats
    return UserStats(
        *_figures(told, "stats"),
        cross=_margin(told.cross_stats, "stats.cross_stats"),
        total=_margin(told.total_stats, "stats.total_stats"),
        account_trading_mode=told.account_trading_mode,
    )


def _margin(told: _Margin | None, name: str) -> MarginStats | None:
    return None if told is None else MarginStats(*_figures(told, name))


def _figures(
    told: _Margin, name: str
) -> tuple[Decimal, Decimal, Decimal, Decimal | None, Decimal | None, Decimal | None]:
    # Losses can make every one of them negative.
    return (
        required(told.collateral, f"{name}.collateral", signed=True),
        required(told.portfolio_value, f"{name}.portfolio_value", signed=True),
        required(told.available_balance, f"{name}.available_balance", signed=True),
        amount(told.leverage, f"{name}.leverage", signed=True),
        amount(told.margin_usage, f"{name}.margin_usage", signed=True),
        amount(told.buying_power, f"{name}.buying_power", signed=True),
    )


def read_transactions(raw: bytes) -> list[AccountTransaction]:
    """Return the transactions of a frame of `account_tx`, in its order.

    Raises:
        ProtocolError: the frame cannot be read.
    """
    rows = read_frame(_TRANSACTIONS, raw, "account_tx").txs or []
    return [_transaction(row) for row in rows if row is not None]


def _transaction(row: _Transaction) -> AccountTransaction:
    # `event_info` is JSON in a text, its `ae` what the engine objected to: JSON in
    # a text again, or plain words.
    problem = _object(_object(row.event_info).get("ae"))
    code, words = problem.get("code"), problem.get("message")
    return AccountTransaction(
        tx_hash=row.hash,
        status=row.status,
        tx_type=row.type,
        account_index=row.account_index,
        api_key_index=row.api_key_index,
        nonce=row.nonce,
        code=code if isinstance(code, int) and not isinstance(code, bool) else None,
        reason=words if isinstance(words, str) else "",
        queued_at_ms=row.queued_at,
        executed_at_ms=row.executed_at,
    )


def _object(value: object) -> dict[str, Any]:
    """Return the object in a JSON text; other text counts as its message."""
    if isinstance(value, str) and value:
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = {"message": value}
    return value if isinstance(value, dict) else {}


def read_notifications(raw: bytes) -> list[Notification]:
    """Return the notifications of a frame of `notification`, in its order.

    Raises:
        ProtocolError: the frame cannot be read.
    """
    rows = read_frame(_NOTIFICATIONS, raw, "notification").notifs or []
    return [
        Notification(
            notification_id=str(row.id),
            kind=row.kind,
            account_index=row.account_index,
            created_at_ms=_unix_ms(row.created_at),
            content=MappingProxyType(row.content or {}),
            acked=bool(row.ack),
        )
        for row in rows
        if row is not None
    ]


def _unix_ms(told: str | int | None) -> int | None:
    """Return a time in unix milliseconds, None if it cannot be understood.

    The exchange writes it as RFC 3339 text; numbers are seconds or milliseconds.
    """
    if isinstance(told, str):
        try:
            instant = msgspec.convert(told, _Instant)
        except msgspec.ValidationError:
            return None
        told = (instant - _EPOCH) // _MILLISECOND
    elif told is not None and told < _LEAST_MS:
        told *= 1_000
    # What has no time is printed as the first moment of year 1, or as 0.
    return told if told is not None and told > 0 else None
