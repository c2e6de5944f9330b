"""Async SDK for the Lighter exchange: orders, streams, a local exchange.

The names below load on first use, so that `import wrappy` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wrappy.errors import (
        AuthRejectedError,
        BookGapError,
        ConfigError,
        ConnectError,
        CredentialsError,
        ForeignNonceError,
        InvalidOrderError,
        JournalError,
        KeyInUseError,
        LaneHeldError,
        NonceRejectedError,
        OrderDeniedError,
        OrderNotFoundError,
        OrderRejectedError,
        ProtocolError,
        RateLimitedError,
        RequestTimeoutError,
        RiskDeniedError,
        RiskRule,
        SendOutcomeUnknownError,
        SignerError,
        StaleBookError,
        StreamClosedError,
        TransportError,
        UnknownMarketError,
        UnknownOrdersError,
        UsageError,
        VenueError,
        VenueUnavailableError,
        WrappyError,
    )
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.dealer import LighterDealer
    from wrappy.lighter.streaming.datastore import (
        LighterDataStore as LighterDataStore,
    )
    from wrappy.lighter.streaming.values import (
        AccountTransaction,
        Asset,
        BookGap,
        Candle,
        HookStats,
        MarketStats,
        Notification,
        StreamState,
        Ticker,
        UserStats,
    )
    from wrappy.lighter.ws import WsInfo

    __version__: str

__all__ = [
    "AccountTransaction",
    "Asset",
    "AuthRejectedError",
    "BookGap",
    "BookGapError",
    "Candle",
    "ConfigError",
    "ConnectError",
    "CredentialsError",
    "DealerConfig",
    "ForeignNonceError",
    "HookStats",
    "InvalidOrderError",
    "JournalError",
    "KeyInUseError",
    "LaneHeldError",
    "LighterDealer",
    "MarketStats",
    "NonceRejectedError",
    "Notification",
    "OrderDeniedError",
    "OrderNotFoundError",
    "OrderRejectedError",
    "ProtocolError",
    "RateLimitedError",
    "RequestTimeoutError",
    "RiskDeniedError",
    "RiskRule",
    "SendOutcomeUnknownError",
    "SignerError",
    "StaleBookError",
    "StreamClosedError",
    "StreamState",
    "Ticker",
    "TransportError",
    "UnknownMarketError",
    "UnknownOrdersError",
    "UsageError",
    "UserStats",
    "VenueError",
    "VenueUnavailableError",
    "WrappyError",
    "WsInfo",
    "__version__",
]

_HOMES = {
    "AccountTransaction": "wrappy.lighter.streaming.values",
    "Asset": "wrappy.lighter.streaming.values",
    "BookGap": "wrappy.lighter.streaming.values",
    "Candle": "wrappy.lighter.streaming.values",
    "DealerConfig": "wrappy.lighter.config",
    "HookStats": "wrappy.lighter.streaming.values",
    "LighterDealer": "wrappy.lighter.dealer",
    "MarketStats": "wrappy.lighter.streaming.values",
    "Notification": "wrappy.lighter.streaming.values",
    "StreamState": "wrappy.lighter.streaming.values",
    "Ticker": "wrappy.lighter.streaming.values",
    "UserStats": "wrappy.lighter.streaming.values",
    "WsInfo": "wrappy.lighter.ws",
}


# Needs an extra, so that `from wrappy import *` must not ask for it.
_EXTRAS = {"LighterDataStore": "wrappy.lighter.streaming.datastore"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - slow, rarely asked

        return version("wrappy-lighter")
    if name not in __all__ and name not in _EXTRAS:
        raise AttributeError(f"module 'wrappy' has no attribute {name!r}")
    home = {**_HOMES, **_EXTRAS}.get(name, "wrappy.errors")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
