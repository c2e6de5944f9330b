"""What waits to be sent, and what is known of each order because of it.

The outbox owns the queue, the order table and the booking of every outcome: which
entries go back to the queue, which orders are rejected, which are in doubt.
"""

from __future__ import annotations

import contextlib
import contextvars
from itertools import zip_longest
from typing import TYPE_CHECKING

from wrappy._core.batch import BatchQueue, chunks
from wrappy._core.orders import OrderEvent, OrderTable
from wrappy.errors import SendOutcomeUnknownError, UsageError, WrappyError
from wrappy.lighter.reading import report_order
from wrappy.lighter.results import FlushResult
from wrappy.model import OrderStatus
from wrappy.protocol.transactions import CreateOrder, ModifyOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wrappy._core.batch import Queued
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.sender import Sender, Sent
    from wrappy.protocol.transactions import Intent

_PERHAPS_WAITING = frozenset({OrderStatus.QUEUED, OrderStatus.UNKNOWN})

_scopes: contextvars.ContextVar[dict[int, object] | None] = contextvars.ContextVar(
    "wrappy_batch_scopes", default=None
)


class Outbox:
    """Queue, order table and the way from one to the exchange.

    Attributes:
        orders: what is known of every order.
    """

    def __init__(self, config: DealerConfig, sender: Sender, log: LogSink) -> None:
        self.orders = OrderTable()
        self._config = config
        self._sender = sender
        self._log = log
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
        if isinstance(intent, CreateOrder):
            self.orders.queue(
                intent.client_order_index,
                market_index=intent.market_index,
                is_ask=intent.is_ask,
                price_ticks=intent.price,
                base_amount=intent.base_amount,
            )
        self._queue.put(intent, touches=touches, is_cancel=is_cancel, scope=scope)

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
        gone = [entry for entry in waiting if entry.touches == coi]
        self._queue.put_back([entry for entry in waiting if entry.touches != coi])
        self._drop(gone, reason)

    async def aclose(self, reason: str) -> None:
        """Drop what waits; return when what is on its way has its answer."""
        self._closed = True
        self.discard(reason)
        await self._sender.aclose()

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
        batches = chunks(self._queue.take(scope), self._config.max_ws_batch)
        if not batches:
            await self._sender.settle()
        sent: list[Sent] = []
        for number, batch in enumerate(batches):
            rest = [entry for later in batches[number + 1 :] for entry in later]
            lost: list[Queued[Intent]] = []
            try:
                done = await self._sender.send(
                    batch,
                    on_lost=lost.extend,
                    on_settled=self._settled,
                    overtakes=all(map(self._may_overtake, batch)),
                )
            except BaseException as error:
                if lost:
                    self._book_loss(lost, rest, scope, error)
                else:
                    self._book_failure(batch, rest, scope, error)
                raise
            sent.append(done)
            self._book(done)
        return _flush_result(sent, dry_run=self._config.prefer_high_level)

    def _may_overtake(self, entry: Queued[Intent]) -> bool:
        """Whether this is the cancel of an order that is certainly out already.

        Any other must not come before what waits: its order may wait there too.
        """
        if not entry.is_cancel or entry.touches is None:
            return False
        record = self.orders.get(entry.touches)
        return record is not None and record.status not in _PERHAPS_WAITING

    def _book_loss(
        self,
        lost: Sequence[Queued[Intent]],
        rest: Sequence[Queued[Intent]],
        scope: object | None,
        error: BaseException,
    ) -> None:
        """Note that entries left and nobody knows what became of them."""
        hashes = error.tx_hashes if isinstance(error, SendOutcomeUnknownError) else ()
        for entry, tx_hash in zip_longest(lost, hashes[: len(lost)]):
            self._tell(entry, OrderEvent.LOST, tx_hash=tx_hash)
        self._return(rest, scope, error)

    def _book_failure(
        self,
        batch: Sequence[Queued[Intent]],
        rest: Sequence[Queued[Intent]],
        scope: object | None,
        error: BaseException,
    ) -> None:
        refused = isinstance(error, WrappyError) and error.outcome == "refused"
        if refused and not (isinstance(error, WrappyError) and error.retryable):
            for entry in batch:
                self._tell(entry, OrderEvent.REFUSED, reason=str(error))
            self._return(rest, scope, error)
        else:
            self._return([*batch, *rest], scope, error)

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

    def _book(self, sent: Sent) -> None:
        for entry, tx in zip(sent.entries, sent.transactions, strict=True):
            if sent.reply is None:
                self._log.info("dry run: type %d %r", tx.tx_type, entry.intent)
                self._tell(entry, OrderEvent.DISCARDED, reason="dry run")
            else:
                self._tell_sent(entry, tx_hash=tx.tx_hash)

    def _settled(self, entries: Sequence[Queued[Intent]], executed: bool) -> None:  # noqa: FBT001 - a callback's verdict
        for entry in entries:
            if executed:
                self._tell_sent(entry)
            else:
                self._tell(entry, OrderEvent.PROVEN_DEAD)

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
        """Apply an event to the order that an entry creates, if it creates one."""
        if isinstance(entry.intent, CreateOrder) and entry.touches is not None:
            self.orders.apply(entry.touches, event, reason=reason, tx_hash=tx_hash)
        elif isinstance(entry.intent, ModifyOrder) and entry.touches is not None:
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


def _flush_result(sent: Sequence[Sent], *, dry_run: bool) -> FlushResult:
    last = sent[-1].reply if sent else None
    return FlushResult(
        code=200,
        count=sum(len(batch.entries) for batch in sent),
        tx_hash=[tx.tx_hash for batch in sent for tx in batch.transactions],
        client_order_indices=[e.touches for batch in sent for e in batch.entries],
        predicted_execution_time_ms=last.predicted_execution_time_ms if last else None,
        volume_quota_remaining=last.volume_quota_remaining if last else None,
        batches=len(sent),
        dry_run=dry_run,
    )
