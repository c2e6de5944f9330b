"""What waits to be sent, and the way from there to the exchange.

The outbox owns the queue: what goes together, what may go now, what goes back. What
an outcome means for the orders is booked in `booking`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
from functools import partial
from typing import TYPE_CHECKING

from wrappy._core.batch import BatchQueue, chunks
from wrappy.errors import (
    ForeignNonceError,
    JournalError,
    VenueError,
)
from wrappy.lighter.sending.allowance import AccountAllowance, orders_in
from wrappy.lighter.sending.booking import OrderBooking
from wrappy.lighter.sending.flushing import (
    Attempt,
    QuotaGate,
    flush_result,
    is_final,
    try_all,
    with_cancels_named,
    without,
)
from wrappy.lighter.sending.routing import (
    KeyRoutes,
    created_by,
    is_sweep,
    is_urgent,
    markets_at_risk,
)
from wrappy.lighter.sending.sender import Listeners
from wrappy.model import OrderStatus
from wrappy.protocol.intents import CancelAllOrders, ModifyOrder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wrappy._core.batch import Queued
    from wrappy._core.orders import OrderRecord, OrderTable
    from wrappy.lighter.config import DealerConfig
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.results import FlushResult, OrderDict
    from wrappy.lighter.sending.guarding import OrderGuard
    from wrappy.lighter.sending.sender import Sender
    from wrappy.protocol.intents import Intent, SignedTx

_PERHAPS_WAITING = frozenset({OrderStatus.QUEUED, OrderStatus.UNKNOWN})

_scopes: contextvars.ContextVar[dict[int, object] | None] = contextvars.ContextVar(
    "wrappy_batch_scopes", default=None
)


class Outbox:
    """Queue, order table and the way from one to the exchange.

    Args:
        config: complete settings.
        senders: one for each key, the main one first.
        log: where to tell of what needs a look.
        allowance: the account's quota and caps, shared with its other dealers.

    Attributes:
        guard: judges orders and changes before they are queued, and once more before
            they leave; None for none.
        booking: enters what became of what was sent.
    """

    def __init__(
        self,
        config: DealerConfig,
        senders: Sequence[Sender],
        log: LogSink,
        allowance: AccountAllowance | None = None,
    ) -> None:
        self._allowance = allowance or AccountAllowance()
        self.guard: OrderGuard | None = None
        self.booking = OrderBooking(log, changed=self._changed, again=self._again)
        self._config = config
        self._routes = KeyRoutes(senders)
        self._log = log
        self._on_wire: set[int] = set()
        self._queue: BatchQueue[Intent] = BatchQueue()
        self._swept: dict[int | None, int] = {}
        self._open_scopes: set[object] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def orders(self) -> OrderTable:
        """What is known of every order."""
        return self.booking.orders

    @property
    def scope(self) -> object | None:
        """Token of the batch that this task has open, None outside of one.

        A task that was started inside a batch and outlives it is outside again.
        """
        scope = (_scopes.get() or {}).get(id(self))
        return scope if scope in self._open_scopes else None

    def refusal(self, intents: Sequence[Intent]) -> str | None:
        """Return why the exchange's caps leave no place for intents, None if they do.

        Args:
            intents: of one market.
        """
        return self._allowance.refusal(orders_in(intents))

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
        """Queue an intent in a given batch; a new order enters the table.

        Raises:
            RiskDeniedError: the guard denies it; nothing is queued.
        """
        if self.guard is not None:
            self.guard.admit(intent)
        created = created_by(intent)
        for order in created:
            self.booking.queue(order)
        self._allowance.hold(self, created)
        entry = self._queue.put(
            intent,
            touches=touches,
            is_cancel=is_cancel,
            scope=scope,
            also=tuple(order.client_order_index for order in created),
        )
        if is_sweep(entry):
            assert isinstance(intent, CancelAllOrders)  # noqa: S101 - that is a sweep
            self._swept[intent.market_index] = entry.number
            self._sweep()

    def aim(self, coi: int, *, ticks: int, lots: int) -> None:
        """Note what an order will be once everything queued is carried out."""
        self.booking.aims.aim(coi, ticks=ticks, lots=lots)

    def aimed(self, coi: int) -> tuple[int, int] | None:
        """Return ticks and lots an order has or will have; None if not known."""
        return self.booking.aims.aimed(coi)

    def report(self, row: OrderDict) -> None:
        """Enter the exchange's word on an order; an unreadable row is logged."""
        self.booking.report(row)

    @contextlib.contextmanager
    def open_scope(self) -> Iterator[object]:
        """Make what this task queues a batch of its own; a raise drops it."""
        scope = object()
        token = _scopes.set({**(_scopes.get() or {}), id(self): scope})
        self._open_scopes.add(scope)
        try:
            yield scope
        except BaseException:
            self.booking.dropped(self._queue.discard(scope), "its batch raised")
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
        self.booking.dropped(gone, reason)

    async def aclose(self, reason: str) -> None:
        """Drop what waits; return when what is on its way has its answer."""
        self._closed = True
        self.discard(reason)
        self._allowance.wake()
        # Every doubt has its last try, also when one of them fails.
        closing = [sender.aclose() for sender in self._routes.keys]
        results = await asyncio.gather(*closing, return_exceptions=True)
        self._allowance.leave(self)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def discard(self, reason: str) -> None:
        """Drop the common queue."""
        dropped = self._queue.discard(None)
        self.booking.dropped(dropped, reason)
        if dropped:
            numbers = [entry.touches for entry in dropped]
            self._log.warning("%s: %d unsent: %s", reason, len(dropped), numbers)

    async def flush(self, scope: object | None = None) -> FlushResult:
        """Send what a scope holds; with nothing to send, settle what is in doubt.

        What could not be sent goes back to the common queue; what belonged to a
        batch is dropped instead.
        """
        attempts = [
            Attempt(sender, batch, back=batch, whole=scope is not None)
            for sender, entries in self._routes.split(self._queue.take(scope))
            for part in self._parts(sender, entries, scope)
            for batch in chunks(part, self._config.max_ws_batch)
        ]
        if not attempts:
            for sender in self._routes.keys:
                await sender.settle()
        try:
            await try_all(attempts, self._try)
        except BaseException as error:
            left = [entry for attempt in attempts for entry in attempt.back]
            self._return(left, scope, error)
            if scope is not None and isinstance(error, VenueError):
                raise with_cancels_named(error, attempts) from error
            raise
        sent = [done for attempt in attempts for done in attempt.sent]
        return flush_result(sent, dry_run=self._config.prefer_high_level)

    def _parts(
        self, sender: Sender, entries: Sequence[Queued[Intent]], scope: object | None
    ) -> Sequence[Sequence[Queued[Intent]]]:
        """Return apart what need not wait behind flushes that wait for the pace."""
        first = [e for e in entries if e.is_cancel and self._may_overtake(e)]
        if scope is not None or not sender.crowded or len(first) == len(entries):
            return [entries]
        return [first, without(entries, first)]

    async def _try(self, attempt: Attempt) -> None:
        """Send one batch and book what became of it."""
        quota = QuotaGate(
            self._allowance, closed=lambda: self._closed, free=self._may_overtake
        )
        try:
            await quota.send(attempt, self._send)
        except (JournalError, ForeignNonceError, VenueError) as error:
            if not isinstance(error, VenueError) or (
                is_final(error) and not attempt.whole
            ):
                await self._cancel_anyway(attempt, quota)
            raise

    async def _cancel_anyway(self, attempt: Attempt, quota: QuotaGate) -> None:
        """Send the cancels of a batch that could not go as it was.

        New orders have to stop; that must not keep old ones alive. Cancels that are
        refused together go one by one.
        """
        cancels = [entry for entry in attempt.back if entry.is_cancel]
        others = [entry for entry in attempt.back if not entry.is_cancel]
        if not cancels or (attempt.back == attempt.batch and not others):
            return
        together = len(cancels) < len(attempt.batch)
        portions = [cancels] if together else [[entry] for entry in cancels]
        while portions:
            portion = portions.pop(0)
            behind = [*(entry for later in portions for entry in later), *others]
            attempt.back = [*portion, *behind]
            if not await quota.book(portion):
                return
            try:
                await self._send(attempt, portion, behind)
            except VenueError as error:
                if not is_final(error):
                    raise
                if len(portion) > 1:
                    portions = [[entry] for entry in portion]
                    continue
                self._log.error("cancel of %s refused: %s", portion[0].touches, error)

    async def _send(
        self,
        attempt: Attempt,
        batch: Sequence[Queued[Intent]],
        behind: Sequence[Queued[Intent]],
    ) -> None:
        lost = False
        going = batch
        on_wire: set[int] = set()
        ends_ms: dict[str, int] = {}

        def on_lost(entries: Sequence[Queued[Intent]], hashes: Sequence[str]) -> None:
            nonlocal lost
            lost = True
            self.booking.lost(entries, hashes)

        def admit(entries: Sequence[Queued[Intent]]) -> Sequence[Queued[Intent]]:
            nonlocal going
            # Asked again, it is not about what was withheld: that is queued by now.
            going = self._admit(without(entries, without(entries, going)))
            on_wire.update(number for entry in going for number in entry.also)
            self._on_wire |= on_wire
            return going

        def on_signed(signed: Sequence[SignedTx]) -> None:
            ends_ms.update((tx.tx_hash, tx.expired_at_ms) for tx in signed)

        on_settled = partial(self.booking.settled, attempt.sender, ends_ms=ends_ms)
        try:
            done = await attempt.sender.send(
                batch,
                Listeners(on_lost, on_settled, admit, on_signed),
                overtakes=all(map(self._may_overtake, batch)),
            )
        except BaseException as error:
            self._allowance.done(without(batch, going), None)
            if lost:
                self._allowance.lost(going)
                attempt.back = behind
            else:
                self._allowance.not_spent(going, error)
                back = going
                if isinstance(error, VenueError) and is_final(error):
                    back = self.booking.refused(going, error)
                attempt.back = [*back, *behind]
            raise
        finally:
            self._on_wire -= on_wire
        self._allowance.done(without(batch, going), None)
        self._allowance.done(going, done.reply)
        attempt.back = behind
        attempt.sent.append(done)
        self.booking.accepted(attempt.sender, done)

    def _admit(self, entries: Sequence[Queued[Intent]]) -> Sequence[Queued[Intent]]:
        """Return what may go now: nothing goes before the order that it acts on.

        An order may have been on its way when this was put together and be back in
        the queue by now; what acts on it goes behind it there. What a cancel-all has
        passed meanwhile is dropped, and so is a change that a later one has passed.
        """
        coming = set(self._on_wire)
        going = []
        for entry in entries:
            coming.update(entry.also)
            if self._is_swept(entry):
                self.booking.dropped([entry], "cancel_all_orders came first")
                coming.difference_update(entry.also)
            elif self.guard is not None and (why := self.guard.stops(entry.intent)):
                self.booking.dropped([entry], why)
                coming.difference_update(entry.also)
            elif self._is_stale(entry):
                self._log.warning("a later change of order %s is out", entry.touches)
                self.booking.dropped([entry], "a later change is out already")
            elif self.booking.waits(entry.touches) and entry.touches not in coming:
                self._log.warning(
                    "order %s still waits to be sent; what acts on it waits behind it",
                    entry.touches,
                )
                self._queue.put_back([dataclasses.replace(entry, scope=None)])
            else:
                going.append(entry)
        return going

    def _sweep(self) -> None:
        """Drop what a cancel-all has passed, in the common queue."""
        waiting = self._queue.discard(None)
        swept = [entry for entry in waiting if self._is_swept(entry)]
        self._queue.put_back(entry for entry in waiting if not self._is_swept(entry))
        self.booking.dropped(swept, "cancel_all_orders came first")
        if swept:
            numbers = [entry.touches for entry in swept]
            self._log.warning("cancel-all: %d unsent dropped: %s", len(swept), numbers)

    def _is_swept(self, entry: Queued[Intent]) -> bool:
        """Whether an order or change was queued before a cancel-all of its market."""
        return any(
            entry.number < max(self._swept.get(market, 0), self._swept.get(None, 0))
            for market in markets_at_risk(entry.intent)
        )

    def _is_stale(self, entry: Queued[Intent]) -> bool:
        return (
            isinstance(entry.intent, ModifyOrder)
            and entry.touches is not None
            and self.booking.aims.is_stale(entry.touches, entry.number)
        )

    def _again(self, entry: Queued[Intent]) -> bool:
        """Queue once more what was never carried out; False when nothing is sent."""
        if self._closed:
            return False
        self._queue.put(entry.intent, touches=entry.touches, is_cancel=entry.is_cancel)
        return True

    def _may_overtake(self, entry: Queued[Intent]) -> bool:
        """Whether this is the cancel of an order that is certainly out, or a close.

        Any other must not come before what waits: its order may wait there too. A
        cancel-all may: what it passes is dropped.
        """
        if is_sweep(entry):
            return True
        if not entry.is_cancel:
            return is_urgent(entry)
        if entry.touches is None:
            return False
        record = self.orders.get(entry.touches)
        return record is not None and record.status not in _PERHAPS_WAITING

    def _return(
        self,
        entries: Sequence[Queued[Intent]],
        scope: object | None,
        error: BaseException,
    ) -> None:
        if scope is None and not self._closed:
            self._queue.put_back(entries)
        else:
            self.booking.dropped(entries, f"its batch failed: {error}")

    def follow(self, sender: Sender, tx_hash: str, cois: Iterable[int]) -> None:
        """Have the sender told when all orders of a transaction have ended."""
        self.booking.follow(sender, tx_hash, cois)

    def forget(self, coi: int) -> None:
        """Drop an order that is over and of which nothing more can be learned."""
        self.booking.forget(coi)
        self._routes.shown(coi)
        self._allowance.release(coi)

    def _changed(self, record: OrderRecord) -> None:
        """Let go of what an order needs only before it is shown, or while it lives."""
        if record.reported is not None or record.status.is_terminal:
            self._routes.shown(record.client_order_index)
        self._allowance.follow(self, record)
