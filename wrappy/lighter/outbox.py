"""What waits to be sent, and what is known of each order because of it.

The outbox owns the queue, the order table and the booking of every outcome: which
entries go back to the queue, which orders are rejected, which are in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import TYPE_CHECKING

from wrappy._core.batch import BatchQueue, chunks
from wrappy._core.orders import OrderEvent, OrderTable
from wrappy.errors import (
    ForeignNonceError,
    JournalError,
    UsageError,
    WrappyError,
)
from wrappy.lighter.flushing import Attempt, flush_result, try_all
from wrappy.lighter.reading import report_order
from wrappy.lighter.routing import KeyRoutes, created_by
from wrappy.lighter.sender import Listeners
from wrappy.model import OrderStatus
from wrappy.protocol.intents import ModifyOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wrappy._core.batch import Queued
    from wrappy._core.orders import OrderRecord
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.results import FlushResult, OrderDict
    from wrappy.lighter.sender import Sender, Sent
    from wrappy.protocol.intents import Intent

_PERHAPS_WAITING = frozenset({OrderStatus.QUEUED, OrderStatus.UNKNOWN})

_scopes: contextvars.ContextVar[dict[int, object] | None] = contextvars.ContextVar(
    "wrappy_batch_scopes", default=None
)


class Outbox:
    """Queue, order table and the way from one to the exchange.

    Attributes:
        orders: what is known of every order.
    """

    def __init__(
        self, config: DealerConfig, senders: Sequence[Sender], log: LogSink
    ) -> None:
        self.orders = OrderTable()
        self.orders.tell(self._changed)
        self._config = config
        self._routes = KeyRoutes(senders)
        self._log = log
        self._on_wire: set[int] = set()
        self._creation: dict[int, str] = {}
        self._living: dict[str, tuple[Sender, set[int]]] = {}
        self._queue: BatchQueue[Intent] = BatchQueue()
        self._targets: dict[int, tuple[int, int]] = {}
        self._accepted: dict[int, tuple[int, int]] = {}
        self._open_scopes: set[object] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def scope(self) -> object | None:
        """Token of the batch that this task has open, None outside of one.

        A task that was started inside a batch and outlives it is outside again.
        """
        scope = (_scopes.get() or {}).get(id(self))
        return scope if scope in self._open_scopes else None

    def put(self, intent: Intent, *, touches: int | None, is_cancel: bool) -> None:
        """Queue an intent in this task's batch, or in the common queue."""
        self.put_in(self.scope, intent, touches=touches, is_cancel=is_cancel)

    def put_in(
        self,
        scope: object | None,
        intent: Intent,
        *,
        touches: int | None,
        is_cancel: bool,
    ) -> None:
        """Queue an intent in a given batch; a new order enters the table."""
        created = created_by(intent)
        for order in created:
            self.orders.queue(
                order.client_order_index,
                market_index=order.market_index,
                is_ask=order.is_ask,
                price_ticks=order.price,
                base_amount=order.base_amount,
            )
        self._queue.put(
            intent,
            touches=touches,
            is_cancel=is_cancel,
            scope=scope,
            also=tuple(order.client_order_index for order in created),
        )

    def aim(self, coi: int, *, ticks: int, lots: int) -> None:
        """Note what an order will be once everything queued is carried out."""
        self._targets[coi] = (ticks, lots)

    def aimed(self, coi: int) -> tuple[int, int] | None:
        """Return ticks and lots an order has or will have; None if not known."""
        for known in (self._targets, self._accepted):
            if coi in known:
                return known[coi]
        record = self.orders.get(coi)
        if record is None or record.status.is_terminal or not record.price_ticks:
            return None
        return record.price_ticks, record.base_amount

    def report(self, row: OrderDict) -> None:
        """Enter the exchange's word on an order; an unreadable row is logged."""
        try:
            record = report_order(self.orders, row)
        except WrappyError as error:
            self._log.error("unreadable order report: %s", error)
            return
        if record is not None and record.contradicted:
            self._log.error(
                "order %d counts as ended (%s), yet the exchange shows it: look at it",
                record.client_order_index,
                record.reason,
            )
        if record is None:
            return
        coi = record.client_order_index
        if record.status.is_terminal:
            self._targets.pop(coi, None)
            self._accepted.pop(coi, None)
        elif self._accepted.get(coi) == (record.price_ticks, record.base_amount):
            # From here on the exchange's word counts: others may change it too.
            del self._accepted[coi]

    @contextlib.contextmanager
    def open_scope(self) -> Iterator[object]:
        """Make what this task queues a batch of its own; a raise drops it."""
        scope = object()
        token = _scopes.set({**(_scopes.get() or {}), id(self): scope})
        self._open_scopes.add(scope)
        try:
            yield scope
        except BaseException:
            self._drop(self._queue.discard(scope), "its batch raised")
            raise
        finally:
            self._open_scopes.discard(scope)
            _scopes.reset(token)

    def withdraw(self, coi: int, reason: str) -> None:
        """Take a new order out of the common queue, if it still waits there."""
        waiting = self._queue.discard(None)
        stays: list[Queued[Intent]] = []
        gone: list[Queued[Intent]] = []
        for entry in waiting:
            (gone if coi in (entry.touches, *entry.also) else stays).append(entry)
        self._queue.put_back(stays)
        self._drop(gone, reason)

    async def aclose(self, reason: str) -> None:
        """Drop what waits; return when what is on its way has its answer."""
        self._closed = True
        self.discard(reason)
        # Every doubt has its last try, also when one of them fails.
        closing = [sender.aclose() for sender in self._routes.keys]
        for result in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def discard(self, reason: str) -> None:
        """Drop the common queue."""
        dropped = self._queue.discard(None)
        self._drop(dropped, reason)
        if dropped:
            numbers = [entry.touches for entry in dropped]
            self._log.warning("%s: %d unsent: %s", reason, len(dropped), numbers)

    async def flush(self, scope: object | None = None) -> FlushResult:
        """Send what a scope holds; with nothing to send, settle what is in doubt.

        What could not be sent goes back to the common queue; what belonged to a
        batch is dropped instead.
        """
        attempts = [
            Attempt(sender, batch, back=batch)
            for sender, entries in self._routes.split(self._queue.take(scope))
            for batch in chunks(entries, self._config.max_ws_batch)
        ]
        if not attempts:
            for sender in self._routes.keys:
                await sender.settle()
        try:
            await try_all(attempts, self._try)
        except BaseException as error:
            left = [entry for attempt in attempts for entry in attempt.back]
            self._return(left, scope, error)
            raise
        sent = [attempt.sent for attempt in attempts if attempt.sent is not None]
        return flush_result(sent, dry_run=self._config.prefer_high_level)

    async def _try(self, attempt: Attempt) -> None:
        """Send one batch and book what became of it."""
        try:
            await self._send(attempt, attempt.batch)
        except (JournalError, ForeignNonceError):
            cancels = [entry for entry in attempt.batch if entry.is_cancel]
            if cancels and len(cancels) < len(attempt.batch):
                # New orders have to stop; that must not keep old ones alive.
                await self._send(attempt, cancels)
                attempt.back = [e for e in attempt.batch if not e.is_cancel]
            raise

    async def _send(self, attempt: Attempt, batch: Sequence[Queued[Intent]]) -> None:
        lost: list[Queued[Intent]] = []
        admitted: set[int] = set()

        def on_lost(entries: Sequence[Queued[Intent]], hashes: Sequence[str]) -> None:
            lost.extend(entries)
            for entry, tx_hash in zip(entries, hashes, strict=True):
                self._tell(entry, OrderEvent.LOST, tx_hash=tx_hash)

        def admit(entries: Sequence[Queued[Intent]]) -> Sequence[Queued[Intent]]:
            going = self._admit(entries)
            admitted.update(number for entry in going for number in entry.also)
            self._on_wire |= admitted
            return going

        def on_settled(
            entries: Sequence[Queued[Intent]],
            hashes: Sequence[str],
            executed: Sequence[bool],
        ) -> None:
            self._settled(attempt.sender, entries, hashes, executed)

        try:
            done = await attempt.sender.send(
                batch,
                Listeners(on_lost, on_settled, admit),
                overtakes=all(map(self._may_overtake, batch)),
            )
        except BaseException as error:
            if lost:
                attempt.back = ()
            else:
                attempt.back = self._book_failure(batch, error)
            raise
        finally:
            self._on_wire -= admitted
        attempt.back = ()
        attempt.sent = done
        self._book(attempt.sender, done)

    def _admit(self, entries: Sequence[Queued[Intent]]) -> Sequence[Queued[Intent]]:
        """Return what may go now: nothing goes before the order that it acts on.

        An order may have been on its way when this was put together and be back in
        the queue by now; what acts on it goes behind it there.
        """
        coming = set(self._on_wire)
        going = []
        for entry in entries:
            record = None if entry.touches is None else self.orders.get(entry.touches)
            coming.update(entry.also)
            waits = record is not None and record.status is OrderStatus.QUEUED
            if waits and entry.touches not in coming:
                self._log.warning(
                    "order %s still waits to be sent; what acts on it waits behind it",
                    entry.touches,
                )
                self._queue.put(
                    entry.intent,
                    touches=entry.touches,
                    is_cancel=entry.is_cancel,
                    also=entry.also,
                )
            else:
                going.append(entry)
        return going

    def _may_overtake(self, entry: Queued[Intent]) -> bool:
        """Whether this is the cancel of an order that is certainly out already.

        Any other must not come before what waits: its order may wait there too.
        """
        if not entry.is_cancel or entry.touches is None:
            return False
        record = self.orders.get(entry.touches)
        return record is not None and record.status not in _PERHAPS_WAITING

    def _book_failure(
        self, batch: Sequence[Queued[Intent]], error: BaseException
    ) -> Sequence[Queued[Intent]]:
        """Book what did not leave or was refused; return what goes back."""
        refused = isinstance(error, WrappyError) and error.outcome == "refused"
        if not refused or (isinstance(error, WrappyError) and error.retryable):
            return batch
        for entry in batch:
            self._tell(entry, OrderEvent.REFUSED, reason=str(error))
        return ()

    def _return(
        self,
        entries: Sequence[Queued[Intent]],
        scope: object | None,
        error: BaseException,
    ) -> None:
        if scope is None and not self._closed:
            self._queue.put_back(entries)
        else:
            self._drop(entries, f"its batch failed: {error}")

    def _book(self, sender: Sender, sent: Sent) -> None:
        for entry, tx in zip(sent.entries, sent.transactions, strict=True):
            if sent.reply is None:
                self._log.info("dry run: type %d %r", tx.tx_type, entry.intent)
                self._tell(entry, OrderEvent.DISCARDED, reason="dry run")
            else:
                self._took(sender, entry, tx.tx_hash)

    def _settled(
        self,
        sender: Sender,
        entries: Sequence[Queued[Intent]],
        hashes: Sequence[str],
        executed: Sequence[bool],
    ) -> None:
        for entry, tx_hash, accepted in zip(entries, hashes, executed, strict=True):
            if accepted:
                self._took(sender, entry, tx_hash)
            else:
                self._tell(entry, OrderEvent.PROVEN_DEAD)

    def _took(self, sender: Sender, entry: Queued[Intent], tx_hash: str) -> None:
        """Note that the exchange took a transaction."""
        self.follow(sender, tx_hash, entry.also)
        self._tell_sent(entry, tx_hash=tx_hash)
        for coi in entry.also:
            record = self.orders.get(coi)
            if record is None or record.status.is_terminal:
                self._has_ended(coi)  # its report was quicker

    def follow(self, sender: Sender, tx_hash: str, cois: Iterable[int]) -> None:
        """Have the sender told when all orders of a transaction have ended."""
        for coi in cois:
            self._creation[coi] = tx_hash
            self._living.setdefault(tx_hash, (sender, set()))[1].add(coi)

    def _changed(self, record: OrderRecord) -> None:
        """Let go of what an order needs only before it is shown, or while it lives."""
        coi = record.client_order_index
        if record.reported is not None or record.status.is_terminal:
            self._routes.shown(coi)
        if record.status.is_terminal:
            self._has_ended(coi)

    def forget(self, coi: int) -> None:
        """Drop an order that is over and of which nothing more can be learned."""
        self.orders.forget(coi)
        self._targets.pop(coi, None)
        self._accepted.pop(coi, None)
        self._routes.shown(coi)
        self._has_ended(coi)

    def _has_ended(self, coi: int) -> None:
        tx_hash = self._creation.pop(coi, None)
        if tx_hash is None:
            return
        sender, living = self._living[tx_hash]
        living.discard(coi)
        if not living:
            del self._living[tx_hash]
            sender.ended(tx_hash)

    def _tell_sent(self, entry: Queued[Intent], *, tx_hash: str | None = None) -> None:
        if not entry.is_cancel:
            self._tell(entry, OrderEvent.SENT, tx_hash=tx_hash)
        elif entry.touches is not None:
            self.orders.apply(entry.touches, OrderEvent.CANCEL_SENT)

    def _tell(
        self,
        entry: Queued[Intent],
        event: OrderEvent,
        *,
        reason: str | None = None,
        tx_hash: str | None = None,
    ) -> None:
        """Apply an event to the orders that an entry creates, if it creates any."""
        for coi in entry.also:
            self.orders.apply(coi, event, reason=reason, tx_hash=tx_hash)
        if isinstance(entry.intent, ModifyOrder) and entry.touches is not None:
            target = (entry.intent.price, entry.intent.base_amount)
            if event is OrderEvent.SENT:
                self._note_accepted(entry.touches, target)
            elif event is OrderEvent.LOST:
                return  # it still may happen
            # A later change that waits behind this one keeps its own target.
            if self._targets.get(entry.touches) == target:
                del self._targets[entry.touches]

    def _note_accepted(self, coi: int, target: tuple[int, int]) -> None:
        """Remember an accepted change until the exchange reports it."""
        record = self.orders.get(coi)
        if record is not None and (record.price_ticks, record.base_amount) == target:
            self._accepted.pop(coi, None)  # the report was quicker than the answer
        else:
            self._accepted[coi] = target

    def _drop(self, entries: Iterable[Queued[Intent]], reason: str) -> None:
        for entry in entries:
            self._tell(entry, OrderEvent.DISCARDED, reason=f"not sent: {reason}")


def require_no_batch(outbox: Outbox, call: str) -> None:
    """Raise if this task has a batch open.

    Raises:
        UsageError: it has.
    """
    if outbox.scope is not None:
        raise UsageError(f"{call} inside batch(): the batch sends at its end")
