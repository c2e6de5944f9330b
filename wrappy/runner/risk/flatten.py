"""Taking an account out of the market: all orders away, all positions closed."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError, WrappyError
from wrappy.lighter.dealer import LighterDealer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from wrappy.model import Position
    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.risk")

ATTEMPTS: Final = 5
PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenReport:
    """What closing everything came to.

    Attributes:
        before: positions at the beginning, signed size by symbol.
        left: positions that are still open; None when the exchange could not be
            asked.
        orders_left: live orders of the account in the end; None when the exchange
            could not be asked.
        attempts: rounds it took.
        errors: what went wrong on the way, in words.
    """

    before: Mapping[str, Decimal]
    left: Mapping[str, Decimal] | None
    orders_left: int | None
    attempts: int
    errors: tuple[str, ...]

    @property
    def is_flat(self) -> bool:
        """Whether the exchange said that nothing is left."""
        return self.left == {} and self.orders_left == 0


async def flatten(
    world: World,
    symbol: str,
    *,
    slippage_bps: int | None = None,
    attempts: int = ATTEMPTS,
) -> FlattenReport:
    """Cancel every order of the account and close its positions at market.

    What closes is reduce-only and immediate or cancel. What is left, because the
    book was thin or an answer was lost, is tried again after a second.

    Args:
        world: the account.
        symbol: any of its markets, to ask questions in.
        slippage_bps: worst price of a close, 1e-4 of the best opposite price; None
            takes the settings'.
        attempts: rounds at most.

    Raises:
        ConfigError: `attempts` is not above 0.
        WrappyError: no dealer could be made; nothing was done.
    """
    if attempts < 1:
        raise ConfigError(f"attempts: {attempts!r} is not above 0")
    closing = _Closing(world, slippage_bps)
    try:
        await closing.dealer(symbol)
        return await closing.run(symbol, attempts)
    finally:
        await closing.aclose()


class _Closing:
    def __init__(self, world: World, slippage_bps: int | None) -> None:
        self._world = world
        self._slippage_bps = slippage_bps
        self._dealers: dict[str, LighterDealer] = {}
        self._errors: list[str] = []

    async def dealer(self, symbol: str) -> LighterDealer:
        """Return a dealer that no guard stands before."""
        if symbol not in self._dealers:
            config = dataclasses.replace(
                self._world.config, symbol=symbol, market_index=None
            )
            self._dealers[symbol] = await LighterDealer.create(
                config, environment=self._world.environment
            )
        return self._dealers[symbol]

    async def run(self, symbol: str, attempts: int) -> FlattenReport:
        asker = self._dealers[symbol]
        before: Mapping[str, Decimal] | None = None
        positions: list[Position] | None = None
        orders: int | None = None
        rounds = 0
        while rounds < attempts:
            if rounds:
                await asyncio.sleep(PAUSE_S)
            rounds += 1
            await self._cancel(asker)
            positions = await self._positions(asker)
            if positions is not None:
                before = _sizes(positions) if before is None else before
                await self._close(positions)
                positions = await self._positions(asker)
            orders = await self._orders(asker)
            if positions == [] and orders == 0:
                break
        left = None if positions is None else _sizes(positions)
        return FlattenReport(
            before=before or {},
            left=left,
            orders_left=orders,
            attempts=rounds,
            errors=tuple(self._errors),
        )

    async def _cancel(self, asker: LighterDealer) -> None:
        try:
            await asker.cancel_all_orders(everywhere=True)
        except WrappyError as error:
            self._note("cancel all", error)

    async def _positions(self, asker: LighterDealer) -> list[Position] | None:
        try:
            return await asker.fetch_positions()
        except WrappyError as error:
            self._note("positions", error)
            return None

    async def _orders(self, asker: LighterDealer) -> int | None:
        try:
            return len(await asker.fetch_open_orders(everywhere=True))
        except WrappyError as error:
            self._note("orders", error)
            return None

    async def _close(self, positions: list[Position]) -> None:
        for position in positions:
            try:
                dealer = await self.dealer(position.symbol)
                await dealer.close_position(slippage_bps=self._slippage_bps)
            except WrappyError as error:  # noqa: PERF203 - one must not stop the others
                self._note(position.symbol, error)

    def _note(self, what: str, error: WrappyError) -> None:
        logger.error("flatten: %s: %s", what, error)
        self._errors.append(f"{what}: {error}")

    async def aclose(self) -> None:
        for dealer in self._dealers.values():
            await dealer.aclose()


def _sizes(positions: list[Position]) -> dict[str, Decimal]:
    return {position.symbol: position.size for position in positions}
