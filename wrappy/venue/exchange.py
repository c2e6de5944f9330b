"""The local exchange without its doors: transactions and time in, events out.

Two stages, as at the real one. Stage one (`submit`) checks, refuses or queues and
consumes the nonce. Stage two (`advance`) executes what is due: in order of due time,
and per key in order of acceptance. No clock, no I/O: the caller brings the time.
"""

from __future__ import annotations

import contextlib
import heapq
from typing import TYPE_CHECKING, Any

from wrappy.protocol.codes import OK, code_message
from wrappy.venue.account_changes import change_tier, set_maker_only
from wrappy.venue.checks import Rules, check_batch, check_nonce, owner_indices
from wrappy.venue.events import (
    BlockMade,
    TxAccepted,
    TxExecuted,
    TxRefused,
)
from wrappy.venue.execution import Execution, next_wake_us
from wrappy.venue.flow_orders import FlowOrders
from wrappy.venue.ledger import EventLog
from wrappy.venue.nonce_readings import NonceReadings, takes_liquidity
from wrappy.venue.orders import created_orders
from wrappy.venue.records import EXECUTED, FAILED, Receipt, RecordTable, TxRecord
from wrappy.venue.refusal import GoneOrder, Refused
from wrappy.venue.trading import TradingFloor, find_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wrappy.model import Market
    from wrappy.venue.accounts import Account, ApiKey
    from wrappy.venue.events import Event, FlowAction
    from wrappy.venue.execution import Waiting
    from wrappy.venue.market_state import MarketState
    from wrappy.venue.orders import VenueOrder
    from wrappy.venue.settings import VenueSettings

__all__ = ["Exchange", "Receipt", "Refused", "TxRecord"]


class Exchange:
    """Markets, accounts and the queue between the two stages.

    Attributes:
        settings: how it was set up.
        accounts: by index, the flow's two among them.
        log: everything that happened to users.
        flow_orders: carries out market life.
    """

    def __init__(
        self,
        settings: VenueSettings,
        markets: Sequence[Market],
        accounts: dict[int, Account],
        *,
        now_us: int,
    ) -> None:
        self.settings = settings
        self.accounts = accounts
        self.log = EventLog()
        self._floor = TradingFloor(markets, accounts, self._emit)
        self.flow_orders = FlowOrders(self._floor, self._emit, settings.queue)
        self._rules = Rules(settings, self._floor)
        self._execution = Execution(settings, self._floor, self._emit, self._push)
        self._nonces = NonceReadings(settings, accounts, self._rules)
        self._pending: list[Event] = []
        self._queue: list[tuple[int, int, TxRecord | Waiting]] = []
        self._queued = 0
        self._executed = 0
        self._records = RecordTable()
        self._block_us = settings.block_ms * 1_000
        self._next_block_us = now_us + self._block_us
        self._execution.start(now_us)

    # Reading

    @property
    def markets(self) -> dict[int, MarketState]:
        """Markets by index."""
        return self._floor.markets

    @property
    def lot_values(self) -> Mapping[int, int]:
        """Value of one lot at the mark price by market index, 1e-6 USDC."""
        return self._floor.lot_values

    @property
    def height(self) -> int:
        """Number of the block in the making."""
        return self._floor.height

    @property
    def nonce(self) -> int:
        """Number of the engine's last change."""
        return self._floor.nonce

    @property
    def transactions(self) -> RecordTable:
        """Accepted transactions."""
        return self._records

    def transaction(self, tx_hash: str) -> TxRecord | None:
        """Return an accepted transaction by its hash, or None."""
        return self._records.get(tx_hash)

    def order(self, account: int, index: int) -> VenueOrder | None:
        """Return an order by COI or order index: resting, or the latest closed one."""
        owner = self.accounts.get(account)
        return None if owner is None else find_order(owner, index)

    # Stage one

    def check_owner(self, info: Mapping[str, Any], tx_type: int = 0) -> ApiKey:
        """Return the key slot that a transaction claims to be signed with.

        A change of key may name a slot that has none yet.

        Raises:
            Refused: 21102 or 21110 when an index is out of range, 21100 or 21109 when
                there is no such account or no such key on it.
        """
        return self._rules.owner(info, tx_type)[1]

    def submit(
        self,
        tx_type: int,
        info: Mapping[str, Any],
        tx_hash: str,
        *,
        now_us: int,
        protected: bool = True,
    ) -> Receipt:
        """Check one transaction and queue it; its nonce is consumed.

        Args:
            tx_type: number on the wire.
            info: the transaction, its shape and signature already verified.
            tx_hash: its hash.
            now_us: unix microseconds.
            protected: whether price bands are to be checked.

        Raises:
            Refused: stage one said no; nothing was consumed, the log has the refusal.
        """
        self._rules.bands.protected = protected
        item = (tx_type, info, tx_hash)
        held = self._nonces.hold(item, now_us)
        return held or self._accept([item], now_us)[0]

    def submit_batch(
        self, items: Sequence[tuple[int, Mapping[str, Any], str]], *, now_us: int
    ) -> list[Receipt]:
        """Check (type, info, hash) triples of one key, then queue all or none.

        Raises:
            Refused: one member was refused, or the batch as a whole: 21501 when it
                is empty, 21514 too long, 21121 of several keys, 21105 when the
                nonces do not follow each other. Nothing was consumed.
        """
        self._rules.bands.protected = True
        return self._accept(items, now_us, batch=True)

    def _let_go(self, record: TxRecord, now_us: int) -> None:
        # What was held for its turn comes now; a refusal of it is in the log.
        item = self._nonces.next_held(record)
        if item is not None:
            with contextlib.suppress(Refused):
                self._accept([item], now_us)

    def refuse(
        self,
        refusal: Refused,
        *,
        now_us: int,
        tx_type: int = 0,
        info: Mapping[str, Any] | None = None,
        tx_hash: str = "",
    ) -> None:
        """Write a refusal into the log, also one that was decided outside."""
        told = info or {}
        account, api_key_index = owner_indices(told)
        self._emit(
            TxRefused(
                now_us,
                refusal.code,
                refusal.message,
                tx_hash,
                tx_type,
                account,
                api_key_index,
                told.get("Nonce"),
            )
        )

    def _accept(
        self,
        items: Sequence[tuple[int, Mapping[str, Any], str]],
        now_us: int,
        *,
        batch: bool = False,
    ) -> list[Receipt]:
        self._run_due(now_us)
        item: tuple[int, Mapping[str, Any], str] = (0, {}, "")
        records: list[TxRecord] = []
        before: tuple[ApiKey, int, int, int] | None = None
        try:
            if batch:
                check_batch(items, limit=self.settings.batch_limit)
            for item in items:
                tx_type, info, tx_hash = item
                self._rules.check_type(tx_type)
                account, key = self._rules.owner(info, tx_type)
                if before is None:
                    times = key.transaction_time_us, key.busy_until_us
                    before = (key, key.nonce, *times)
                check_nonce(key, info)
                if self.settings.checks_at == "arrival":
                    self._rules.check(account, tx_type, info, now_ms=now_us // 1_000)
                records.append(self._take(account, key, item, now_us))
        except Refused as refusal:
            for record in records:
                self._unqueue(record)
            if before is not None:
                key, key.nonce, key.transaction_time_us, key.busy_until_us = before
                if isinstance(refusal, GoneOrder) and not batch:
                    key.nonce += self.settings.gone_order == "consume"
            tx_type, info, tx_hash = item
            self.refuse(
                refusal, now_us=now_us, tx_type=tx_type, info=info, tx_hash=tx_hash
            )
            raise
        for record in records:
            self._keep(record)
        self._let_go(records[-1], now_us)
        return [Receipt(record.tx_hash, record.execute_at_us) for record in records]

    def _take(
        self,
        account: Account,
        key: ApiKey,
        item: tuple[int, Mapping[str, Any], str],
        now_us: int,
    ) -> TxRecord:
        # Consumes the nonce and reserves the client order index.
        tx_type, info, tx_hash = item
        tier = account.tier
        orders = created_orders(tx_type, info)
        takes = takes_liquidity(self.settings, self._floor.markets, orders)
        delay_ms = tier.taker_delay_ms if takes else tier.maker_delay_ms
        # What is sent later on a key never overtakes what was sent earlier.
        execute_at_us = max(now_us + delay_ms * 1_000, key.busy_until_us)
        held_us = 0
        if takes:
            until_us = self.flow_orders.held_until(orders[0]["MarketIndex"])
            held_us = max(0, until_us - execute_at_us)
            execute_at_us += held_us
        if key.api_key_index not in account.api_keys:
            account.profile.coming_keys[key.api_key_index] = key
        key.nonce = info["Nonce"] + 1
        key.transaction_time_us = now_us
        key.busy_until_us = execute_at_us
        if orders:
            account.queued_creates[tx_hash] = orders
        for order in orders:
            if order["ClientOrderIndex"]:
                account.queued_cois[order["ClientOrderIndex"]] = order
        return TxRecord(
            tx_hash=tx_hash,
            tx_type=tx_type,
            account=account.index,
            api_key_index=key.api_key_index,
            nonce=info["Nonce"],
            info=info,
            queued_us=now_us,
            execute_at_us=execute_at_us,
            held_us=held_us,
        )

    def _unqueue(self, record: TxRecord) -> None:
        account = self.accounts[record.account]
        for order in account.queued_creates.pop(record.tx_hash, ()):
            account.queued_cois.pop(order["ClientOrderIndex"], None)

    def _keep(self, record: TxRecord) -> None:
        account = self.accounts[record.account]
        account.transactions.append(record.tx_hash)
        if self.settings.coi_scope == "history":
            orders = created_orders(record.tx_type, record.info)
            account.used_cois.update(order["ClientOrderIndex"] for order in orders)
        self._records.add(record)
        self._push(record.execute_at_us, record)
        self._emit(
            TxAccepted(
                record.queued_us,
                record.tx_hash,
                record.tx_type,
                record.account,
                record.api_key_index,
                record.nonce,
                record.execute_at_us,
                record.info,
            )
        )

    def _push(self, at_us: int, what: TxRecord | Waiting) -> None:
        self._queued += 1
        heapq.heappush(self._queue, (at_us, self._queued, what))

    def withhold(self, tx_hash: str) -> None:
        """Never execute an accepted transaction that waits; no event tells of it."""
        waiting = [
            entry
            for entry in self._queue
            if not isinstance(entry[2], TxRecord) or entry[2].tx_hash != tx_hash
        ]
        record = self._records.get(tx_hash)
        if record is not None and len(waiting) < len(self._queue):
            heapq.heapify(waiting)
            self._queue = waiting
            self._unqueue(record)

    def skip_nonces(self, account: int, api_key_index: int, count: int) -> None:
        """Consume nonces of a key as if somebody else had used it."""
        self.accounts[account].api_keys[api_key_index].nonce += count

    def change_tier(self, account: int, name: str, *, now_us: int) -> None:
        """Move all accounts of that account's owner to another tier, at once.

        Raises:
            Refused: 62002 to 62006, it may not be.
        """
        self._run_due(now_us)
        own = self.accounts[account]
        self._emit(change_tier(self.settings, self.accounts, own, name, now_us))

    def set_maker_only(
        self, account: int, api_key_indexes: Sequence[int], *, now_us: int
    ) -> None:
        """Say which keys of an account may only make; all others may do everything.

        Raises:
            Refused: it may not be.
        """
        self._run_due(now_us)
        self._emit(set_maker_only(self.accounts[account], api_key_indexes, now_us))

    def note(self, event: Event) -> None:
        """Write something into the log that happened outside; no stream is told."""
        self.log.append(event)

    # Stage two

    def next_due_us(self) -> int:
        """Return when something happens by itself next: an execution or a block."""
        if self._queue:
            return min(self._queue[0][0], self._next_block_us)
        return self._next_block_us

    def next_wake_us(self) -> int | None:
        """Return when something but a block or an idle minute is due next, or None."""
        return next_wake_us(self._queue, self.markets.values())

    def advance(self, now_us: int) -> list[Event]:
        """Execute what is due up to `now_us`; return all events since the last call.

        Idle blocks of one long step are told as one `BlockMade` of the last of them.
        """
        self._run_due(now_us)
        return self.drain()

    def apply_flow(self, actions: Iterable[FlowAction], *, now_us: int) -> None:
        """Carry out market life at `now_us`, after what was due before it."""
        self._run_due(now_us)
        touched: dict[int, MarketState] = {}
        floor, apply = self._floor, self.flow_orders.apply
        for action in actions:
            touched[action.market_index] = apply(action, now_us=now_us)
            # Hardly ever: asked here, many thousand calls a second are saved.
            if floor.ended or floor.turned:
                self._execution.follow_up(now_us)
        self._execution.carry_on(now_us, touched.values())

    def drain(self) -> list[Event]:
        """Return the events since the last call, oldest first."""
        events, self._pending = self._pending, []
        return events

    def _emit(self, event: Event) -> None:
        self._pending.append(event)
        self.log.append(event)

    def _run_due(self, now_us: int) -> None:
        while True:
            head_us = self._queue[0][0] if self._queue else now_us + 1
            if head_us <= min(now_us, self._next_block_us):
                at_us, _, what = heapq.heappop(self._queue)
                if isinstance(what, TxRecord):
                    self._execute(what, at_us)
                else:
                    quiet_us = self._queue[0][0] - 1 if self._queue else now_us
                    self._execution.wake(what, at_us, min(now_us, quiet_us))
            elif self._next_block_us <= now_us:
                # A transaction due exactly with a block still belongs to it.
                self._make_blocks(min(now_us, head_us - 1))
            else:
                return

    def _make_blocks(self, until_us: int) -> None:
        count = (until_us - self._next_block_us) // self._block_us + 1
        made_us = self._next_block_us + (count - 1) * self._block_us
        self._next_block_us = made_us + self._block_us
        self._floor.height += count
        self._emit(BlockMade(made_us, self._floor.height))

    def _execute(self, record: TxRecord, at_us: int) -> None:
        self._unqueue(record)
        refusal = self._nonces.failure(record, self._queue, at_us)
        if refusal is not None:
            record.status = FAILED
            record.code, record.message = refusal.code, refusal.message
        else:
            code = self._execution.carry_out(record, at_us)
            record.status = EXECUTED
            record.code = 0 if code == OK else code
            record.message = code_message(record.code)
            order = self.order(record.account, record.order_index)
            self._nonces.carried_out(record, order, self._queue)
        self._executed += 1
        record.sequence_index = self._executed
        self._records.executed(record)
        record.executed_us = at_us
        record.block_height = self.height
        self._execution.carry_on(at_us)
        self._emit(
            TxExecuted(
                at_us,
                record.tx_hash,
                record.tx_type,
                record.account,
                record.status == EXECUTED,
                record.code,
                record.message,
            )
        )
