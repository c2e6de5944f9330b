"""What an overlay can be asked to watch, and the channel behind each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from wrappy.errors import UsageError
from wrappy.lighter.streaming.account_feeds import (
    AssetsFeed,
    NotificationFeed,
    TransactionFeed,
    UserStatsFeed,
)
from wrappy.lighter.streaming.market_feeds import (
    CandleFeed,
    MarketStatsFeed,
    TickerFeed,
)
from wrappy.protocol.channels import CHANNELS, RESOLUTIONS, channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from wrappy.lighter.streaming.feed import Feed, Tell
    from wrappy.model import Market

FIRST_SPOT_MARKET: Final = 2048
"""Indices from here on are spot markets (official API documentation)."""

CANDLES: Final = "candles:"
OF_MARKETS: Final = ("ticker", "market_stats", *(CANDLES + r for r in RESOLUTIONS))
OF_ACCOUNTS: Final = ("assets", "user_stats", "transactions", "notifications")
WATCHABLE: Final = (*OF_MARKETS, *OF_ACCOUNTS)
"""What `WsInfo.watch` takes, besides what every overlay streams."""

_ACCOUNT_CHANNELS: Final[dict[str, str]] = {
    "assets": "account_all_assets",
    "user_stats": "user_stats",
    "transactions": "account_tx",
    "notifications": "notification",
}


@dataclass(frozen=True)
class Dish:
    """A channel to subscribe to.

    Attributes:
        channel: its request name.
        private: whether it needs a token.
        make: makes its state.
    """

    channel: str
    private: bool
    make: Callable[[Tell], Feed]


def of_market(what: str, market: Market) -> Dish:
    """Return the channel of something about a market.

    Args:
        what: one of `OF_MARKETS`.
        market: the market.

    Raises:
        UsageError: there is no such thing.
    """
    index = market.market_id
    if what == "ticker":
        return _dish("ticker", index, make=partial(TickerFeed, index))
    if what == "market_stats":
        # Indices of spot markets begin where those of perpetuals cannot be.
        name = "spot_market_stats" if index >= FIRST_SPOT_MARKET else what
        make = partial(MarketStatsFeed, index, channel=name)
        return _dish(name, index, make=make)
    _, _, resolution = what.partition(CANDLES)
    if what.startswith(CANDLES) and resolution in RESOLUTIONS:
        make_candles = partial(CandleFeed, index, resolution)
        return _dish("candle", index, resolution, make=make_candles)
    raise _no_such(what)


def of_account(what: str, account_index: int) -> Dish:
    """Return the channel of something about an account.

    Args:
        what: one of `OF_ACCOUNTS`.
        account_index: the account.

    Raises:
        UsageError: there is no such thing.
    """
    if what not in _ACCOUNT_CHANNELS:
        raise _no_such(what)
    makes: dict[str, Callable[[Tell], Feed]] = {
        "assets": partial(AssetsFeed, account_index),
        "user_stats": partial(UserStatsFeed, account_index),
        "transactions": TransactionFeed,
        "notifications": NotificationFeed,
    }
    return _dish(_ACCOUNT_CHANNELS[what], account_index, make=makes[what])


def _dish(name: str, *indices: int | str, make: Callable[[Tell], Feed]) -> Dish:
    private = CHANNELS[name].private or CHANNELS[name].account_at is not None
    return Dish(channel(name, *indices).request_name, private, make)


def _no_such(what: str) -> UsageError:
    return UsageError(f"watch: there is no {what!r}; there are {', '.join(WATCHABLE)}")
