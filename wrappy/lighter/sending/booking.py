"""What each outcome makes of orders: their records, their aims, who is told of ends.

A dead cancel is queued again as long as its order may live: a cancel that is carried
out twice does no harm, an order that stays open unseen does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wrappy._core.coi import COI_MAX
from wrappy._core.orders import OrderEvent, OrderTable
from wrappy.errors import WrappyError
from wrappy.lighter.asking.reading import report_order
from wrappy.lighter.sending.aims import OrderAims
from wrappy.lighter.sending.endings import OrderEndings
from wrappy.model import OrderStatus
from wrappy.protocol.intents import ModifyOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from wrappy._core.batch import Queued
    from wrappy._core.orders import OrderRecord
    from wrappy.lighter.logs import LogSink
    from wrappy.lighter.results import OrderDict
    from wrappy.lighter.sending.sender import Sender, Sent
    from wrappy.protocol.intents import CreateOrder, Intent

_UNTOLD: Mapping[str, int] = {}

MOST_REPEATS = 3
"""How often the cancel of one order is queued again that was never carried out."""


class OrderBooking:
    """Enters into the order table what became of what was sent.

    Args:
        log: where to tell of what needs a look.
        changed: called with every new or changed record.
        again: queues an entry that is to be sent once more; returns whether it could.

    Attributes:
        orders: what is known of every order.
        aims: what each will be once everything queued is carried out.
        on_taken: called with an entry that the exchange took, the hash, and when the
            transaction's time is over, unix milliseconds; None for nobody.
    """

    def __init__(
        self,
        log: LogSink,
        *,
        changed: Callable[[OrderRecord], None],
        again: Callable[[Queued[Intent]], bool],
    ) -> None:
        self.orders = OrderTable()
        self.aims = OrderAims(self.orders)
        self.on_taken: Callable[[Queued[Intent], str, int], None] | None = None
        self._log = log
        self._told = changed
        self._again = again
        self._endings = OrderEndings()
        self._repeats: dict[int, int] = {}
        self.orders.tell(self._changed)

    def queue(self, order: CreateOrder) -> None:
        """Enter a new order.

        Raises:
            UsageError: its number was used before.
        """
        self.orders.queue(
            order.client_order_index,
            market_index=order.market_index,
            is_ask=order.is_ask,
            price_ticks=order.price,
            base_amount=order.base_amount,
        )

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
        if record is not None:
            self.aims.reported(record)

    def accepted(self, sender: Sender, sent: Sent) -> None:
        """Book a batch that the exchange accepted, or that a dry run kept back."""
        for entry, tx in zip(sent.entries, sent.transactions, strict=True):
            if sent.reply is None:
                self._log.info("dry run: type %d %r", tx.tx_type, entry.intent)
                self._tell(entry, OrderEvent.DISCARDED, reason="dry run")
            else:
                self._took(sender, entry, tx.tx_hash, tx.expired_at_ms)

    def lost(self, entries: Sequence[Queued[Intent]], hashes: Sequence[str]) -> None:
        """Book entries that left and whose answer did not come."""
        for entry, tx_hash in zip(entries, hashes, strict=True):
            self._tell(entry, OrderEvent.LOST, tx_hash=tx_hash)

    def settled(
        self,
        sender: Sender,
        entries: Sequence[Queued[Intent]],
        hashes: Sequence[str],
        executed: Sequence[bool],
        *,
        ends_ms: Mapping[str, int] = _UNTOLD,
    ) -> None:
        """Book what became of entries that had been lost.

        Args:
            sender: who sent them.
            entries: they.
            hashes: theirs, in the same order.
            executed: whether each was accepted after all.
            ends_ms: when their time is over, unix milliseconds by hash.
        """
        for entry, tx_hash, accepted in zip(entries, hashes, executed, strict=True):
            if accepted:
                self._took(sender, entry, tx_hash, ends_ms.get(tx_hash))
            else:
                self._tell(entry, OrderEvent.PROVEN_DEAD)
                self._mourn(entry)

    def lapsed(self, entry: Queued[Intent], coi: int, words: str) -> None:
        """Book what was accepted and never carried out, for one order that it is of."""
        if entry.also:
            self._log.warning("order %d was accepted, but %s", coi, words)
            self.orders.apply(coi, OrderEvent.PROVEN_DEAD, reason=words)
            return
        if entry.is_cancel:
            self.orders.apply(coi, OrderEvent.CANCEL_REFUSED)
        elif isinstance(entry.intent, ModifyOrder):
            self.aims.failed(coi, (entry.intent.price, entry.intent.base_amount))
        self._mourn(entry)

    def refused(
        self, entries: Sequence[Queued[Intent]], error: BaseException
    ) -> list[Queued[Intent]]:
        """Book entries that were refused together; return cancels that still matter.

        The exchange refuses a batch for one of its members and does not say which.
        """
        created = [coi for entry in entries for coi in entry.also]
        reason = str(error)
        if len(entries) > 1 and created:
            named = [coi for coi in created if str(coi) in reason]
            guilty = f"it names {named}" if named else "it does not say for which"
            reason = (
                f"its batch of {len(entries)} was refused as a whole, {guilty}: {error}"
            )
        for entry in entries:
            self._tell(entry, OrderEvent.REFUSED, reason=reason)
        if len(entries) == 1:
            return []
        return [entry for entry in entries if entry.is_cancel and self._matters(entry)]

    def dropped(self, entries: Iterable[Queued[Intent]], reason: str) -> None:
        """Book entries that are not sent any more."""
        for entry in entries:
            self._tell(entry, OrderEvent.DISCARDED, reason=f"not sent: {reason}")

    def follow(self, sender: Sender, tx_hash: str, cois: Iterable[int]) -> None:
        """Have the sender told when all orders of a transaction have ended."""
        self._endings.follow(sender, tx_hash, cois)

    def forget(self, coi: int) -> None:
        """Drop an order that is over and of which nothing more can be learned."""
        self.orders.forget(coi)
        self._forget_rest(coi)
        self.aims.forget(coi)

    def _forget_rest(self, coi: int) -> None:
        self._repeats.pop(coi, None)
        self._endings.ended(coi)

    def _changed(self, record: OrderRecord) -> None:
        self._told(record)
        if record.status.is_terminal:
            self._forget_rest(record.client_order_index)

    def _took(
        self,
        sender: Sender,
        entry: Queued[Intent],
        tx_hash: str,
        ends_ms: int | None,
    ) -> None:
        """Note that the exchange took a transaction."""
        self.follow(sender, tx_hash, entry.also)
        if not entry.is_cancel:
            self._tell(entry, OrderEvent.SENT, tx_hash=tx_hash)
        elif entry.touches is not None:
            self.orders.apply(entry.touches, OrderEvent.CANCEL_SENT)
        for coi in entry.also:
            record = self.orders.get(coi)
            if record is None or record.status.is_terminal:
                self._endings.ended(coi)  # its report was quicker
        if self.on_taken is not None and ends_ms is not None:
            self.on_taken(entry, tx_hash, ends_ms)

    def _mourn(self, entry: Queued[Intent]) -> None:
        """Tell of a change or cancel that was never carried out, or repeat it."""
        number = entry.touches
        if entry.also or (number is not None and not self._matters(entry)):
            return  # its receipt tells; the order of a cancel is over anyhow
        if entry.is_cancel and number is not None:
            repeats = self._repeats.get(number, 0)
            if repeats < MOST_REPEATS and self._again(entry):
                self._repeats[number] = repeats + 1
                self._log.warning(
                    "the cancel of order %d was never carried out; it is queued again",
                    number,
                )
                return
        self._log.error(
            "%s of order %s was never carried out and never will be: look at it",
            type(entry.intent).__name__,
            "(all)" if number is None else number,
        )

    def _matters(self, entry: Queued[Intent]) -> bool:
        """Whether what an entry acts on can be live."""
        number = entry.touches
        if number is None or number > COI_MAX:
            return True  # all of them, or one by the exchange's own number
        record = self.orders.get(number)
        return record is None or not record.status.is_terminal

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
            if event in (OrderEvent.SENT, OrderEvent.LOST):
                self.aims.left(entry.touches, entry.number)
            if event is OrderEvent.SENT:
                self.aims.accepted(entry.touches, target)
            elif event is OrderEvent.LOST:
                return  # it still may happen
            self.aims.decided(entry.touches, target)

    def waits(self, coi: int | None) -> bool:
        """Whether an order is known and still has to be sent."""
        record = None if coi is None else self.orders.get(coi)
        return record is not None and record.status is OrderStatus.QUEUED
