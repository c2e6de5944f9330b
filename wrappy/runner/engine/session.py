"""What one strategy has open at an exchange: dealers, an overlay, orders to take away.

Every strategy has dealers of its own, so that its orders can be told from those of
others on the same account. They share connections, nonces and the request budget.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING, Final, Protocol

from wrappy.errors import UsageError, WrappyError
from wrappy.lighter.asking.reading import LIVE_STATUSES
from wrappy.lighter.dealer import LighterDealer
from wrappy.lighter.sending.guarding import CancelsOnly
from wrappy.lighter.streaming.auditing import AUDIT_S, Auditor
from wrappy.lighter.ws import WsInfo
from wrappy.model import TERMINAL_STATUSES, OrderStatus

if TYPE_CHECKING:
    from wrappy.lighter.ws import MarketData
    from wrappy.runner.risk.guard import AccountGuard
    from wrappy.runner.strategy.strategy import Strategy
    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.engine")

LOOK_EVERY_S: Final = 0.25
"""Pause between two looks whether canceled orders are gone."""

LOOKS_PER_QUESTION: Final = 4
"""Looks after which the account is asked what became of them."""

ENDED_KEPT: Final = 1_000
"""Orders that are over and still known as a strategy's own: the exchange may take its
word back."""

ENDED: Final = CancelsOnly("the strategy has ended")
"""Stands before its dealers then: what it started beside itself may go on."""


class OwnOrder(Protocol):
    """What is read of an order's record."""

    @property
    def client_order_index(self) -> int:
        """Its number."""

    @property
    def is_ask(self) -> bool:
        """Whether it sells."""

    @property
    def price_ticks(self) -> int:
        """Its price."""

    @property
    def base_amount(self) -> int:
        """Its size in lots."""

    @property
    def filled_base(self) -> int:
        """Lots filled."""

    @property
    def status(self) -> OrderStatus:
        """Where it stands."""

    @property
    def tx_hash(self) -> str | None:
        """What created it, if that is known."""


class StrategySession:
    """Dealers and streams of one strategy, opened together and closed together.

    Args:
        world: where.
        strategy: for whose markets.
        guard: stands before every order; None for none.
        claimed: orders of earlier runs that a session has taken already; shared by
            those of one engine, so that each has one owner.
        audit_s: seconds from one comparison of stream and account to the next; 0 for
            none.
    """

    def __init__(
        self,
        world: World,
        strategy: Strategy[object],
        guard: AccountGuard | None,
        claimed: set[int] | None = None,
        audit_s: float = AUDIT_S,
    ) -> None:
        self.dealers: dict[str, LighterDealer] = {}
        self._world = world
        self._strategy = strategy
        self._guard = guard
        self._audit_s = audit_s
        self._own: set[int] = set()
        # In the order of their ends.
        self._ended: dict[int, None] = {}
        self._claimed = set() if claimed is None else claimed
        self._ws: WsInfo | None = None
        self._open = contextlib.AsyncExitStack()

    @property
    def ws(self) -> WsInfo:
        """The overlay.

        Raises:
            UsageError: the session is not open.
        """
        if self._ws is None:
            raise UsageError("the session is not open")
        return self._ws

    async def open(self) -> None:
        """Open everything or nothing.

        Raises:
            WrappyError: as `LighterDealer.create` and `WsInfo.run_overlay` do.
        """
        async with contextlib.AsyncExitStack() as undo:
            await self._connect(undo)
            self._open = undo.pop_all()

    def _market_data(self) -> MarketData:
        """Return what is streamed of each market, for the strategy and its guard."""
        guard, wanted = self._guard, self._strategy.market_data
        if guard is None or guard.limits.max_trades_age_s is None:
            return wanted
        return "trades" if wanted == "none" else wanted

    async def _connect(self, undo: contextlib.AsyncExitStack) -> None:
        world, strategy = self._world, self._strategy
        for symbol in strategy.symbols:
            config = dataclasses.replace(world.config, symbol=symbol)
            dealer = await LighterDealer.create(config, environment=world.environment)
            undo.push_async_callback(self._close, dealer)
            self.dealers[symbol] = dealer
            self._keep_own(dealer)
            if world.shown is not None:
                world.shown.learn(dealer.market)
        settings = next(iter(self.dealers.values())).config
        key = settings.api_keys[0]
        self._ws = await WsInfo.run_overlay(
            settings.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbols=strategy.symbols,
            watch=strategy.watch,
            market_data=self._market_data(),
            base_url=settings.base_url,
            chain_id=settings.chain_id,
            environment=world.environment,
        )
        undo.push_async_callback(self._ws.aclose)
        for dealer in self.dealers.values():
            undo.callback(self._ws.attach(dealer))
        # A simulation cannot fall silent, and a dry run has nothing to compare.
        if self._audit_s and world.simulation is None and not world.is_dry:
            auditor = Auditor(self._ws, self.dealers, every_s=self._audit_s)
            undo.push_async_callback(auditor.aclose)
        if self._guard is not None:
            for dealer in self.dealers.values():
                undo.callback(dealer.attach_guard, ENDED)
                undo.callback(await self._guard.watch(dealer, self._ws))

    async def _close(self, dealer: LighterDealer) -> None:
        # Whatever may still rest is left to the dead man's switch, if there is one.
        await dealer.aclose(disarm=not self.live_orders())

    def live_orders(self) -> tuple[int, ...]:
        """Return numbers of the strategy's orders that are not known to be over."""
        return tuple(
            order.client_order_index
            for dealer in self.dealers.values()
            for order in [*self.own_orders(dealer), *self.contradicted(dealer)]
        )

    def own_orders(self, dealer: LighterDealer) -> list[OwnOrder]:
        """Return one dealer's live orders, without those of others on the account.

        A dealer hears of every order of its account and market.
        """
        own = self._own
        return [o for o in dealer.orders.live() if o.client_order_index in own]

    def contradicted(self, dealer: LighterDealer) -> list[OwnOrder]:
        """Return one dealer's orders of which nobody can tell whether they are over.

        They counted as ended by what was proven, and the exchange shows them alive.
        """
        return [
            order
            for order in dealer.orders.contradicted()
            if order.client_order_index in self._ended
            and order.told_status in LIVE_STATUSES
        ]

    def _note(self, order: OwnOrder) -> None:
        number = order.client_order_index
        if order.status is OrderStatus.QUEUED:
            self._own.add(number)
        elif order.status in TERMINAL_STATUSES and number in self._own:
            self._own.discard(number)
            self._ended[number] = None
            if len(self._ended) > ENDED_KEPT:
                del self._ended[next(iter(self._ended))]

    def _keep_own(self, dealer: LighterDealer) -> None:
        dealer.orders.tell(self._note)
        # What an earlier run left has the hash that its journal knows.
        left = {
            order.client_order_index
            for order in dealer.orders.live()
            if order.tx_hash is not None
        }
        self._own |= left - self._claimed
        self._claimed |= left

    async def take_away(self, timeout_s: float) -> tuple[int, ...]:
        """Cancel the strategy's orders and see that they are gone.

        Args:
            timeout_s: longest wait.

        Returns:
            Client order indices of those not known to be over when the time is.
        """
        working = asyncio.ensure_future(self._until_gone())
        try:
            await asyncio.wait([working], timeout=timeout_s)
        finally:
            working.cancel()
            await asyncio.wait([working])
        if not working.cancelled() and (error := working.exception()) is not None:
            logger.error("taking orders away failed", exc_info=error)
        return self.live_orders()

    async def _until_gone(self) -> None:
        for dealer in self.dealers.values():
            dealer.attach_guard(ENDED)
            # Sent now, it would come after the strategy that wanted it. A dealer that
            # the strategy has closed itself has nothing queued.
            with contextlib.suppress(UsageError):
                dealer.drop_queued()
        asked: set[int] = set()
        looks = 0
        while live := self.live_orders():
            news = set(live) - asked
            if news:
                asked |= news - await self._cancel(news)
            elif looks % LOOKS_PER_QUESTION == 0:
                # The stream may be down: the account is asked.
                await self._ask()
            looks += 1
            await asyncio.sleep(LOOK_EVERY_S)

    async def _cancel(self, numbers: set[int]) -> set[int]:
        """Cancel orders and return those of which that failed."""
        failed: set[int] = set()
        for symbol, dealer in self.dealers.items():
            shown = [*dealer.orders.live(), *self.contradicted(dealer)]
            mine = sorted({order.client_order_index for order in shown} & numbers)
            try:
                for number in mine:
                    await dealer.cancel_order_by_coi(number)
                await dealer.flush()
            except WrappyError as error:
                # One market must not keep the others.
                logger.warning("%s: cancelling: %s", symbol, error)
                failed.update(mine)
        return failed

    async def _ask(self) -> None:
        for symbol, dealer in self.dealers.items():
            try:
                await dealer.reconcile()
            except WrappyError as error:  # noqa: PERF203 - as above
                logger.warning("%s: looking for orders: %s", symbol, error)

    async def aclose(self) -> None:
        """Close everything; orders that rest stay."""
        await self._open.aclose()
