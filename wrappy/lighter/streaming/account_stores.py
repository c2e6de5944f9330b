"""Stores of what belongs to an account: live orders, open positions, its trades."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wrappy._core.own_trades import OwnTrades
from wrappy.errors import ProtocolError
from wrappy.lighter.asking.reading import position_of
from wrappy.lighter.streaming.store_base import DataStore
from wrappy.lighter.streaming.store_rows import (
    NO_LIMIT,
    has_ended,
    index_in,
    order_rank,
    order_row,
    sound_row,
    trades_by_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wrappy.lighter.streaming.store_rows import OrderKey, Row

logger = logging.getLogger("wrappy.datastore")

ENDED_ORDERS_KEPT = 10_000
FILLS_KEPT = 10_000


class AccountRows(DataStore):
    """Rows that belong to accounts; `account_index` is added to each."""

    def _init(self) -> None:
        self._accounts: set[int] = set()

    def get(self, item: Row) -> Row | None:
        """Return the row with these keys, None if there is none.

        `account_index` may be left out while the store has heard of one account only.
        """
        if "account_index" not in item and len(self._accounts) == 1:
            item = {**item, "account_index": next(iter(self._accounts))}
        return super().get(item)

    def _of(self, account_index: int) -> list[Row]:
        return self.find({"account_index": account_index})


class OrderStore(AccountRows):
    """Orders that have not ended.

    Keys: `account_index` (added), `market_index`, `order_index`. An order that ends
    is deleted; the deletion that `watch` tells carries its last row with the final
    status. The end of an order that was never seen open is told as well.

    Attributes:
        unreadable: rows that could not be read so far.
    """

    _KEYS = ["account_index", "market_index", "order_index"]  # noqa: RUF012 - as the base has it
    _MAXLEN = NO_LIMIT

    def _init(self) -> None:
        super()._init()
        self.unreadable = 0
        self._ended: dict[tuple[int, int, int], None] = {}

    def take(
        self, values: Iterable[object], account_index: int
    ) -> set[OrderKey] | None:
        """Take words on orders of an account, in any order and any number of times.

        A row that cannot be read is counted and logged.

        Returns:
            Market and number of each order that was named; None if a row, that of
            any order, could not be read.
        """
        named: set[OrderKey] | None = set()
        self._accounts.add(account_index)
        for value in values:
            try:
                row = order_row(value, account_index)
            except ProtocolError as error:
                logger.warning("unreadable order: %s", error)
                self.unreadable += 1
                named = None
                continue
            if named is not None:
                named.add((row["market_index"], row["order_index"]))
            self._enter(row)
        return named

    def replace(
        self, values: Iterable[object], account_index: int, market_index: int | None
    ) -> None:
        """Take all live orders of an account, in one market or, if None, in all.

        What is missing among them has ended; it is deleted as it was last known.
        """
        named = self.take(values, account_index)
        if named is None:
            return
        self._delete(
            [
                row
                for row in self._of(account_index)
                if market_index in (None, row["market_index"])
                and (row["market_index"], row["order_index"]) not in named
            ]
        )

    def _enter(self, row: Row) -> None:
        key = (row["account_index"], row["market_index"], row["order_index"])
        if key in self._ended:
            return
        known = self.get(row)
        if has_ended(row):
            self._ended[key] = None
            if len(self._ended) > ENDED_ORDERS_KEPT:
                del self._ended[next(iter(self._ended))]
            if known is None:
                self._put("delete", row, row)
                self._set()
            else:
                known.update(row)
                self._delete([row])
        elif known is None:
            self._insert([row])
        elif order_rank(row) > order_rank(known):
            self._update([row])


class PositionStore(AccountRows):
    """Positions that are not flat.

    Keys: `account_index` (added), `market_id`. `position` is the size without a
    sign, `sign` is 1 or -1. A position that becomes flat is deleted.
    """

    _KEYS = ["account_index", "market_id"]  # noqa: RUF012 - as the base has it
    _MAXLEN = NO_LIMIT

    def take(
        self, values: Iterable[object], account_index: int, *, complete: bool
    ) -> None:
        """Take positions of an account.

        Args:
            values: the exchange's rows.
            account_index: whose they are.
            complete: whether a position that is missing among them is flat.

        Raises:
            ProtocolError: a row cannot be read; nothing has changed.
        """
        rows: dict[int, Row] = {}
        flat: dict[int, Row] = {}
        for value in values:
            row = {**sound_row(value), "account_index": account_index}
            kind = rows if position_of(row).size else flat
            kind[index_in(row, "market_id")] = row
        self._accounts.add(account_index)
        if complete:
            for row in self._of(account_index):
                if row["market_id"] not in rows:
                    flat.setdefault(row["market_id"], row)
        for row in flat.values():
            known = self.get(row)
            if known is not None:
                known.update(row)
        self._delete(list(flat.values()))
        for row in rows.values():
            known = self.get(row)
            if known is None:
                self._insert([row])
            elif known != row:
                self._update([row])


class FillStore(AccountRows):
    """The account's own trades, each once, up to the latest 10,000.

    Keys: `account_index` (added), `trade_id`.
    """

    _KEYS = ["account_index", "trade_id"]  # noqa: RUF012 - as the base has it
    _MAXLEN = FILLS_KEPT

    def _init(self) -> None:
        super()._init()
        self._told: dict[int, OwnTrades] = {}

    def take(self, values: Iterable[object], account_index: int) -> None:
        """Take trades of an account, in any order and any number of times.

        Raises:
            ProtocolError: a row cannot be read; nothing has changed.
        """
        rows = trades_by_id(values, account_index=account_index)
        self._accounts.add(account_index)
        told = self._told.setdefault(account_index, OwnTrades(FILLS_KEPT))
        self._insert([rows[trade_id] for trade_id in told.add(rows)])
