"""What streams tell of, in one place for those who use them."""

from __future__ import annotations

from wrappy._core.stream import StreamState
from wrappy.lighter.streaming.book_feed import BookGap
from wrappy.lighter.streaming.hook_calls import HookStats
from wrappy.model import Candle, MarketStats, Ticker
from wrappy.protocol.account_values import (
    AccountTransaction,
    Asset,
    Notification,
    UserStats,
)

__all__ = [
    "AccountTransaction",
    "Asset",
    "BookGap",
    "Candle",
    "HookStats",
    "MarketStats",
    "Notification",
    "StreamState",
    "Ticker",
    "UserStats",
]
