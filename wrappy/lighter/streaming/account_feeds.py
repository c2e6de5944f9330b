"""Money, transactions and notifications of an account, as their channels tell them.

Balances and margin figures that may be old are not readable. A transaction or a
notification is a fact: it stays known, and is told once however often it comes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from wrappy.errors import ProtocolError
from wrappy.lighter.streaming.market_feeds import Latest
from wrappy.protocol.account_values import (
    AccountTransaction,
    Asset,
    Notification,
    UserStats,
    read_assets,
    read_notifications,
    read_transactions,
    read_user_stats,
)

if TYPE_CHECKING:
    from wrappy.lighter.streaming.feed import Tell

T = TypeVar("T")

TRANSACTIONS_KEPT: Final = 2_000
"""Transactions that are known again when they are repeated."""

NOTIFICATIONS_KEPT: Final = 1_000
"""Notifications that are known again when they are repeated."""


class AssetsFeed(Latest[Mapping[str, Asset]]):
    """What an account has of each asset, by symbol.

    A snapshot tells all assets, an update those that changed. Amounts that may have
    changed unheard are not readable until the next snapshot.

    Args:
        account_index: whose assets.
        tell: told of `on_assets` with all assets by symbol, whenever one changed.
    """

    def __init__(self, account_index: int, tell: Tell) -> None:
        super().__init__(f"account_all_assets/{account_index}")
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:
        """Take the assets of a frame; see `Feed`."""
        try:
            told = read_assets(raw)
        except ProtocolError as error:
            self.lost(f"a frame could not be read: {error}")
            raise
        if self._value is None and not snapshot:
            return False
        # By index, as one that changed its name is still the same asset.
        before = () if snapshot else (self._value or {}).values()
        assets = {asset.asset_id: asset for asset in (*before, *told)}
        by_symbol = MappingProxyType({a.symbol: a for a in assets.values()})
        if self.put(by_symbol):
            self._tell("on_assets", by_symbol)
        return True


class UserStatsFeed(Latest[UserStats]):
    """The margin figures of an account; every frame is complete.

    Args:
        account_index: whose figures.
        tell: told of `on_user_stats` with `UserStats` whenever a figure changed.
    """

    def __init__(self, account_index: int, tell: Tell) -> None:
        super().__init__(f"user_stats/{account_index}")
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:  # noqa: ARG002 - the same
        """Take the figures of a frame; see `Feed`."""
        try:
            stats = read_user_stats(raw)
        except ProtocolError as error:
            self.lost(f"a frame could not be read: {error}")
            raise
        if self.put(stats):
            self._tell("on_user_stats", stats)
        return True


class _Facts(Generic[T]):
    """Facts by name, the newest of them, in the order in which they were told.

    Args:
        kept: most facts to keep; the oldest make room.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._rows: OrderedDict[str, T] = OrderedDict()
        self.is_live = False
        """Whether nothing is missed at the moment."""

    def get(self, name: str) -> T | None:
        """Return a fact, None if it is not known, or not any more."""
        return self._rows.get(name)

    def recent(self) -> list[T]:
        """Return the facts kept, oldest first."""
        return list(self._rows.values())

    def lost(self, reason: str) -> None:  # noqa: ARG002 - facts stay facts
        """Keep what is known; see `is_live`."""
        self.is_live = False

    def enter(self, name: str, fact: T) -> None:
        """Keep a fact in its place, or as the newest."""
        self._rows[name] = fact
        if len(self._rows) > self._kept:
            self._rows.popitem(last=False)


class TransactionFeed(_Facts[AccountTransaction]):
    """An account's transactions by hash.

    Each is told once when it appears, and once more if it appeared before it was
    decided. A snapshot may repeat old ones and may fill in what an interruption hid;
    whether it does is not documented, so who needs certainty asks by hash.

    Args:
        tell: told of `on_transactions` with a list of `AccountTransaction`.
        kept: transactions to keep.
    """

    def __init__(self, tell: Tell, *, kept: int = TRANSACTIONS_KEPT) -> None:
        super().__init__(kept)
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:  # noqa: ARG002 - the same
        """Take the transactions of a frame; see `Feed`."""
        news: dict[str, AccountTransaction] = {}
        for row in read_transactions(raw):
            known = self.get(row.tx_hash)
            if known is not None and known.is_final and not row.is_final:
                continue  # late: it is decided already
            self.enter(row.tx_hash, row)
            if known is None or (row.is_final and not known.is_final):
                news[row.tx_hash] = row
        self.is_live = True
        if news:
            self._tell("on_transactions", list(news.values()))
        return True


class NotificationFeed(_Facts[Notification]):
    """What the exchange has to tell an account: liquidations, announcements.

    Each is told once; that it was acknowledged since is no news. The first snapshot
    brings those from before, with the time of each.

    Args:
        tell: told of `on_notifications` with a list of `Notification`.
        kept: notifications to keep.
    """

    def __init__(self, tell: Tell, *, kept: int = NOTIFICATIONS_KEPT) -> None:
        super().__init__(kept)
        self._tell = tell

    def take(self, raw: bytes, *, snapshot: bool) -> bool:  # noqa: ARG002 - the same
        """Take the notifications of a frame; see `Feed`."""
        news: dict[str, Notification] = {}
        for row in read_notifications(raw):
            if self.get(row.notification_id) is None:
                news[row.notification_id] = row
            self.enter(row.notification_id, row)
        self.is_live = True
        if news:
            self._tell("on_notifications", list(news.values()))
        return True
