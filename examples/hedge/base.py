"""What both legs share: dealer, streams, bus, and a look at both positions."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.hedge.book import Patience, Reading
from wrappy import (
    LighterDealer,
    OrderDeniedError,
    ProtocolError,
    SendOutcomeUnknownError,
    SignerError,
    TransportError,
    VenueError,
    WrappyError,
    WsInfo,
)
from wrappy.lighter.environment import NATIVE
from wrappy.model import ReceiptStage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from decimal import Decimal

    from examples.hedge.settings import StrategySettings
    from wrappy import DealerConfig
    from wrappy.lighter.environment import Environment
    from wrappy.runner.bus import MessageBus

READ_S = 4.0
LOOK_AGAIN_S = 0.05
QUARTERS = 4
STEPS = 5
NEVER_EXECUTED = (ReceiptStage.REJECTED, ReceiptStage.NOT_SENT)


class HedgeHaltedError(WrappyError):
    """The pair is out of balance and stays so: a person has to look."""


def say(words: str) -> None:
    """Tell a person what happens."""
    print(words, flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """What a leg works with.

    Attributes:
        dealer: of this leg's account.
        ws: streams of this leg's account.
        bus: to the other leg.
        accounts: indices of the accounts A and B.
        strategy: how the pair trades.
        tell: where a leg tells what it does.
    """

    dealer: LighterDealer
    ws: WsInfo
    bus: MessageBus
    accounts: tuple[int, int]
    strategy: StrategySettings
    tell: Callable[[str], None] = say

    def lots(self, size: Decimal) -> int:
        """Return a size in lots."""
        return int(size * self.dealer.market.size_scale)

    def held(self) -> int:
        """Return this leg's position in lots, by the stream's word."""
        held = self.ws.positions.get(self.dealer.market.symbol)
        return self.lots(held.size) if held is not None else 0

    async def patience(self) -> Patience:
        """Return the limits in lots, the exchange's minimum at today's price."""
        market, strategy = self.dealer.market, self.strategy
        mid = self.ws.book().mid_price
        least = market.min_base_amount
        if mid is not None:
            # A twentieth more, so that it still holds when the price has moved.
            worth = int(mid * 1_000_000) // market.size_scale
            least = max(least, market.min_quote_amount * 21 // 20 // max(worth, 1) + 1)
        return Patience(
            least_lots=least,
            limit_lots=max(self.lots(strategy.limit), 1),
            hedge_for_s=strategy.hedge_for_s,
            flatten_after_s=strategy.flatten_after_s,
            halt_after_s=strategy.halt_after_s,
        )

    async def positions(
        self, *, fresh: bool = False, urgent: bool = False
    ) -> tuple[int, Reading]:
        """Return leg A's position and the net exposure, asked for just now.

        Args:
            fresh: ask for this leg's own as well, instead of the stream's word.
            urgent: the pair is open; ask before whatever else is asked.

        Raises:
            VenueError, TransportError, ProtocolError: they could not be read.
        """
        began_ms = self.dealer.now_ms()
        read = self._ask_position if fresh else self._position
        a, b = await asyncio.gather(
            *(read(account, urgent=urgent) for account in self.accounts)
        )
        return a, Reading(a + b, began_ms)

    async def rest(self, *, calm: bool, own: bool = False, due_s: float = 0.0) -> None:
        """Return when both positions are to be looked at again.

        An open pair is looked at more often. Each look counts against the limit of
        requests, so a calm one has to do with less.

        Args:
            calm: whether the latest look showed the pair in balance.
            own: look sooner when this leg has traded meanwhile, otherwise later.
            due_s: an open pair is to be looked at then at the latest, if above 0.

        Returns:
            Since when the pair may be open, monotone seconds.
        """
        loop, held, since = asyncio.get_running_loop(), self.held(), None
        pause_s = self.strategy.reconcile_s / QUARTERS
        if own and not calm:
            # Leg B's looks matter more by now: it can hedge, this leg only gives up.
            await asyncio.sleep(min(2 * pause_s, due_s or math.inf))
            return loop.time()
        ends = loop.time() + pause_s * (
            1 if not calm else 2 * QUARTERS if own else QUARTERS
        )
        while loop.time() < ends:
            await asyncio.sleep(pause_s / STEPS)
            if own and since is None and self.held() != held:
                since = loop.time()
                ends = min(ends, since + pause_s)  # leg B is quicker as a rule
        return loop.time() if since is None else since

    async def traded(self, coi: int, within_s: float = math.inf) -> int:
        """Return the lots that a market order traded, once that is certain.

        Raises:
            HedgeHaltedError: it is not, `within_s` seconds later.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + within_s
        while True:
            if loop.time() >= ends:
                self.tell(f"halts: order {coi} stays in doubt")
                raise HedgeHaltedError(f"order {coi} stays in doubt")
            receipt = await self.dealer.wait_settled(coi, 1.0)
            if receipt.stage in NEVER_EXECUTED or (
                receipt.stage.is_settled and receipt.status.is_terminal
            ):
                return self.lots(receipt.filled)
            await asyncio.sleep(LOOK_AGAIN_S)

    async def trade(self, lots: int) -> int | None:
        """Send a market order; return its number, which may be in doubt.

        Returns:
            None when it was refused or could not be sent.
        """
        size, bps = self.dealer.market.size(lots), self.strategy.slippage_bps
        try:
            sent = await self.dealer.create_market_order(size, slippage_bps=bps)
            return sent["client_order_index"]
        except SendOutcomeUnknownError as error:
            self.tell(f"an order of {lots} lots is in doubt: {error}")
            return error.client_order_indices[-1]
        except (VenueError, TransportError, OrderDeniedError, SignerError) as error:
            self.tell(f"an order of {lots} lots is refused: {error}")
            return None

    async def _position(self, account: int, *, urgent: bool) -> int:
        if account == self.dealer.config.account_index and self.ws.is_ready:
            return self.held()
        return await self._ask_position(account, urgent=urgent)

    async def _ask_position(self, account: int, *, urgent: bool) -> int:
        held = await self.dealer.fetch_position_of(
            account, timeout_s=READ_S, urgent=urgent
        )
        return self.lots(held)


@contextlib.asynccontextmanager
async def open_post(
    config: DealerConfig,
    accounts: tuple[int, int],
    strategy: StrategySettings,
    bus: MessageBus,
    *,
    environment: Environment = NATIVE,
    tell: Callable[[str], None] = say,
) -> AsyncIterator[Post]:
    """Open what a leg works with and close it in the end."""
    key = config.api_keys[0]
    async with (
        await LighterDealer.create(config, environment=environment) as dealer,
        await WsInfo.run_overlay(
            config.account_index,
            key.api_key_index,
            key.api_key_private_key,
            symbol=dealer.market.symbol,
            base_url=config.base_url,
            chain_id=config.chain_id,
            environment=environment,
        ) as ws,
    ):
        ws.attach(dealer)
        yield Post(
            dealer=dealer,
            ws=ws,
            bus=bus,
            accounts=accounts,
            strategy=strategy,
            tell=tell,
        )


async def first_positions(post: Post) -> tuple[int, Reading]:
    """Return the positions at the start, asked for until somebody answers."""
    while True:
        try:
            # Of all that is asked at a start this comes first: the pair may be open.
            return await post.positions(urgent=True)
        except (VenueError, TransportError, ProtocolError) as error:  # noqa: PERF203 - that is the point
            post.tell(f"positions cannot be read yet: {error}")
            await asyncio.sleep(post.strategy.reconcile_s)
