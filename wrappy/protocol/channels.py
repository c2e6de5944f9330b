"""Names of the WebSocket channels and the rules that hold for each.

Requests spell a channel with slashes (`order_book/0`), answers with colons
(`order_book:0`); some answers were seen with slashes as well, so reading accepts
both. Source: the official WebSocket reference, recorded frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,14}")
"""The one spelling of an index: two names of one channel would be two channels."""

RESOLUTIONS: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d")
"""Lengths of a candle that can be subscribed to (official WebSocket reference)."""

RESOLUTIONS_MS: Final[dict[str, int]] = {
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "1w": 604_800_000,
}
"""Lengths of a candle that can be asked for, milliseconds (official API reference)."""


@dataclass(frozen=True, slots=True)
class ChannelKind:
    """What a channel is.

    Attributes:
        name: first part of the channel's name.
        parameters: how many indices follow, at most.
        private: whether subscribing needs a token.
        account_at: position of the account index among the parameters, or None.
        everything: whether `all` may stand for the market.
        resolution_at: position of a candle's length among the parameters, or None.
    """

    name: str
    parameters: int
    private: bool = False
    account_at: int | None = None
    everything: bool = False
    resolution_at: int | None = None


CHANNELS: Final[dict[str, ChannelKind]] = {
    kind.name: kind
    for kind in (
        ChannelKind("order_book", 1),
        ChannelKind("ticker", 1),
        ChannelKind("trade", 1),
        ChannelKind("market_stats", 1, everything=True),
        ChannelKind("spot_market_stats", 1, everything=True),
        ChannelKind("candle", 2, resolution_at=1),
        ChannelKind("mark_price_candle", 2, resolution_at=1),
        ChannelKind("height", 0),
        ChannelKind("account_all", 1, account_at=0),
        ChannelKind("account_all_positions", 1, account_at=0),
        ChannelKind("account_all_trades", 1, account_at=0),
        ChannelKind("user_stats", 1, account_at=0),
        ChannelKind("account_all_orders", 1, private=True, account_at=0),
        ChannelKind("account_all_assets", 1, private=True, account_at=0),
        ChannelKind("account_orders", 2, private=True, account_at=1),
        ChannelKind("account_market", 2, private=True, account_at=1),
        ChannelKind("account_tx", 1, private=True, account_at=0),
        ChannelKind("account_spot_avg_entry_prices", 1, private=True, account_at=0),
        ChannelKind("notification", 1, private=True, account_at=0),
    )
}


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel with its indices, such as `account_orders` of market 0, account 7.

    Attributes:
        kind: what it is.
        parameters: its indices.
        request_name: spelling in subscribe and unsubscribe requests.
        reply_name: spelling in the exchange's frames.
    """

    kind: ChannelKind
    parameters: tuple[str, ...]
    # Put together once: an exchange asks for them with every frame.
    request_name: str = field(init=False, repr=False, compare=False)
    reply_name: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (self.kind.name, *self.parameters)
        object.__setattr__(self, "request_name", "/".join(parts))
        object.__setattr__(self, "reply_name", ":".join(parts))

    @property
    def account_index(self) -> int | None:
        """The account the channel tells of, if any."""
        at = self.kind.account_at
        return None if at is None else int(self.parameters[at])

    @property
    def market_index(self) -> int | None:
        """The market the channel tells of, if it tells of one."""
        if self.kind.account_at == 0 or not self.parameters:
            return None
        return int(self.parameters[0]) if self.parameters[0].isdecimal() else None

    @property
    def resolution(self) -> str | None:
        """Length of the candles the channel tells of, if it tells of candles."""
        at = self.kind.resolution_at
        return None if at is None else self.parameters[at]


def parse_channel(text: str) -> Channel | None:
    """Return the channel that `text` names in either spelling, or None."""
    name, *parameters = text.replace(":", "/").split("/")
    kind = CHANNELS.get(name)
    if kind is None or len(parameters) != kind.parameters:
        return None
    for at, parameter in enumerate(parameters):
        if not _fits(kind, at, parameter):
            return None
    return Channel(kind, tuple(parameters))


def _fits(kind: ChannelKind, at: int, parameter: str) -> bool:
    """Whether a parameter may stand at that position."""
    if at == kind.resolution_at:
        return parameter in RESOLUTIONS
    if kind.everything and at == 0 and parameter == "all":
        return True
    return _INDEX.fullmatch(parameter) is not None


@lru_cache(maxsize=4_096)
def channel(name: str, *parameters: int | str) -> Channel:
    """Return a channel by its kind and indices.

    Raises:
        ValueError: no such channel, or the wrong number of indices.
    """
    found = parse_channel("/".join((name, *map(str, parameters))))
    if found is None:
        raise ValueError(f"channel: {name!r} with {parameters!r} does not exist")
    return found
