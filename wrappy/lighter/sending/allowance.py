"""What one account may still do: its volume quota, and its orders against the caps.

There is one allowance for each account, whichever of its dealers in this process
sends. `_core` counts; here it is waited, and refused, by what is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING, Final

from wrappy._core.order_caps import OrderCapsCount
from wrappy._core.volume_quota import VolumeQuota
from wrappy.errors import RateLimitedError, UsageError
from wrappy.lighter.sending.lane import Turn
from wrappy.lighter.sending.routing import created_by, is_urgent
from wrappy.lighter.wire.within import within
from wrappy.model import OrderStatus, OrderType, TimeInForce
from wrappy.protocol.tiers import FREE_SEND_EVERY_S, GENERAL_CAPS, quota_spent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from wrappy._core.batch import Queued
    from wrappy._core.orders import OrderRecord
    from wrappy.lighter.wire.doors import SendReply
    from wrappy.protocol.intents import CreateOrder, Intent
    from wrappy.protocol.tiers import Tier

    Entries: TypeAlias = Sequence[Queued[Intent]]

logger = logging.getLogger("LighterDealer.tx")

_TRIGGERED: Final = frozenset(
    {
        OrderType.STOP_LOSS,
        OrderType.STOP_LOSS_LIMIT,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_LIMIT,
    }
)
_TRADED: Final = frozenset({OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED})
_RESTING: Final = "open"
_WAITING: Final = "pending"


class AccountAllowance:
    """Volume quota and order caps of one account.

    Attributes:
        quota: what may still be sent.
        orders: counts the orders that rest or wait for a trigger.
        tier: the account's tier, None while nobody has told it; the caps are not
            enforced then.
    """

    def __init__(self) -> None:
        self.quota = VolumeQuota(free_every_s=FREE_SEND_EVERY_S)
        self.orders = OrderCapsCount(GENERAL_CAPS)
        self.tier: Tier | None = None
        self._owners: dict[int, set[object]] = {}
        self._line = asyncio.Lock()
        self._news = asyncio.Event()
        self._urgent = 0

    def adopt(self, tier: Tier) -> None:
        """Take what the exchange, or a setting, tells of the account's tier."""
        self.tier = tier
        self.orders.caps = tier.caps

    # ------------------------------------------------------------ volume quota

    async def turn(self, entries: Entries) -> Turn:
        """Return the turn of those that spend; what is urgent needs none."""
        turn = Turn(self._line)
        if _spends(entries) and not _urgent(entries):
            await turn.take()
        return turn

    async def book(self, entries: Entries, *, closed: Callable[[], bool]) -> bool:
        """Wait until entries may be sent together, and count them as on their way.

        What spends and is urgent goes before orders that wait: a mass cancel, a close.
        What was booked must be followed by `done`, `lost` or `not_spent`.

        Args:
            entries: what is to be sent.
            closed: asked before each wait whether nothing is sent any more.

        Returns:
            False when waiting cannot help: they can only go one by one.

        Raises:
            UsageError: closed; nothing is booked.
        """
        spends, urgent = _spends(entries), _urgent(entries)
        first = urgent and spends > 0
        told = False
        self._urgent += first
        try:
            while not closed():
                wait_s = None
                if not spends or first or not self._urgent:
                    wait_s = self.quota.offer(
                        spends,
                        asyncio.get_running_loop().time(),
                        alone=len(entries) == 1,
                    )
                    if wait_s <= 0.0:
                        return True
                    if math.isinf(wait_s):
                        return False
                if not told:
                    told = True
                    logger.warning("no volume quota is left: one send every 15 s goes")
                self._news.clear()
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(wait_s, self._news.wait())
        finally:
            self._urgent -= first
            if first:
                self.wake()
        raise UsageError("the dealer was closed meanwhile; nothing was sent")

    def done(self, entries: Entries, reply: SendReply | None) -> None:
        """Book an acceptance; without a reply nothing was sent."""
        if reply is None:
            self.quota.given_back(_spends(entries))
            return
        self.quota.answered(_spends(entries), reply.volume_quota_remaining)
        if self.quota.left:
            self.wake()

    def lost(self, entries: Entries) -> None:
        """Book that no answer came: it counts as spent until a number is told."""
        self.quota.answered(_spends(entries), None)

    def not_spent(self, entries: Entries, error: BaseException) -> None:
        """Book that entries were refused or never left."""
        self.quota.given_back(_spends(entries))
        if isinstance(error, RateLimitedError) and error.volume_quota:
            self.quota.exhausted(asyncio.get_running_loop().time())

    def wake(self) -> None:
        """Have those who wait look again: there is quota, or somebody closes."""
        self._news.set()

    # -------------------------------------------------------------- order caps

    def refusal(self, orders: Iterable[CreateOrder]) -> str | None:
        """Return why new orders of one market do not fit, or None when they do.

        Nothing is refused while the tier is not known.
        """
        if self.tier is None or not self.tier.recognised:
            return None
        taking = [order for order in orders if _takes_place(order)]
        for pending in (False, True):
            group = [order for order in taking if _waits(order) is pending]
            if not group:
                continue
            why = self.orders.refuse(
                group[0].market_index, wanted=len(group), pending=pending
            )
            if why is not None:
                return f"{why} (account tier {self.tier.name})"
        return None

    def hold(self, owner: object, orders: Iterable[CreateOrder]) -> None:
        """Count orders that were queued, if they can rest or wait."""
        for order in filter(_takes_place, orders):
            self._hold(
                owner,
                order.client_order_index,
                order.market_index,
                pending=_waits(order),
            )

    def follow(self, owner: object, record: OrderRecord) -> None:
        """Count an order as it is reported; it leaves when it has certainly ended."""
        if record.status in _TRADED:
            self.quota.traded()
        coi = record.client_order_index
        status = (record.report or {}).get("status")
        if record.status.is_terminal:
            self.release(coi)
        elif status in {_RESTING, _WAITING}:
            self._hold(owner, coi, record.market_index, pending=status == _WAITING)

    def release(self, client_order_index: int) -> None:
        """Stop counting an order that is over."""
        self._owners.pop(client_order_index, None)
        self.orders.release(client_order_index)

    def leave(self, owner: object) -> None:
        """Stop counting orders that nobody but a closing dealer hears of."""
        for coi, owners in list(self._owners.items()):
            owners.discard(owner)
            if not owners:
                self.release(coi)

    def _hold(
        self, owner: object, coi: int, market_index: int, *, pending: bool
    ) -> None:
        self._owners.setdefault(coi, set()).add(owner)
        self.orders.hold(coi, market_index, pending=pending)


def one_by_one(entries: Entries) -> list[Entries]:
    """Return entries apart: what spends alone, the others together between them."""
    portions: list[list[Queued[Intent]]] = []
    together = False
    for entry in entries:
        free = not _spends([entry])
        if free and together:
            portions[-1].append(entry)
        else:
            portions.append([entry])
        together = free
    return list(portions)


def _spends(entries: Entries) -> int:
    return quota_spent(entry.intent.tx_type for entry in entries)


def _urgent(entries: Entries) -> bool:
    return all(map(is_urgent, entries))


def _waits(order: CreateOrder) -> bool:
    return order.order_type in _TRIGGERED


def _takes_place(order: CreateOrder) -> bool:
    """Whether an order may rest or wait: one that trades at once or goes does not."""
    return _waits(order) or order.time_in_force != TimeInForce.IMMEDIATE_OR_CANCEL


def orders_in(intents: Iterable[Intent]) -> list[CreateOrder]:
    """Return the orders that intents create, groups taken apart."""
    return [order for intent in intents for order in created_by(intent)]
