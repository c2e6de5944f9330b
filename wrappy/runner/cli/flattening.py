"""Takes an account's orders away and closes its positions, from outside of any bot."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from wrappy.errors import KeyInUseError, WrappyError
from wrappy.lighter.dealer import LighterDealer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.flatten")

TRIES: Final = 5
PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class FlattenReport:
    """What is left of an account's markets.

    Attributes:
        orders: open orders by symbol; empty when all are gone.
        positions: signed size by symbol; empty when all are closed.
        problems: what the exchange could not be asked or told.
    """

    orders: Mapping[str, int]
    positions: Mapping[str, Decimal]
    problems: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left, and that is known."""
        return not (self.orders or self.positions or self.problems)

    def __str__(self) -> str:
        """Return what is left, in words."""
        left = [f"{count} order(s) in {name}" for name, count in self.orders.items()]
        left += [
            f"a position of {size} {name}" for name, size in self.positions.items()
        ]
        words = f"left: {', '.join(left)}" if left else "no orders left"
        if not left and not self.problems:
            words = "no orders and no positions left"
        return "; ".join([words, *self.problems])


async def flatten(
    world: World, symbols: Sequence[str], *, close: bool = True
) -> FlattenReport:
    """Cancel every order of the account in some markets, and close their positions.

    What closes is reduce-only: it cannot turn a position over. Each market is tried
    several times, and one that fails does not keep the others.

    Args:
        world: where, and whose account.
        symbols: which markets.
        close: whether positions are closed, or only orders taken away.

    Raises:
        KeyInUseError: another process sends with this key.
    """
    config = dataclasses.replace(
        # Whoever comes to clear up must not be stopped by what there is to clear.
        world.config,
        unknown_orders="cancel",
        dead_man_s=None,
    )
    orders: dict[str, int] = {}
    positions: dict[str, Decimal] = {}
    problems: list[str] = []
    for symbol in symbols:
        try:
            dealer = await LighterDealer.create(
                dataclasses.replace(config, symbol=symbol),
                environment=world.environment,
            )
        except KeyInUseError:
            raise  # there may be another key
        except WrappyError as error:
            problems.append(f"{symbol}: {error}")
            continue
        try:
            count, size = await _market(dealer, close=close)
        except WrappyError as error:
            problems.append(f"{symbol}: {error}")
        else:
            if count:
                orders[symbol] = count
            if size and close:
                positions[symbol] = size
        finally:
            await dealer.aclose()
    return FlattenReport(orders, positions, tuple(problems))


async def _market(dealer: LighterDealer, *, close: bool) -> tuple[int, Decimal]:
    """Clear one market; return how many orders and what position are left."""
    symbol = dealer.market.symbol
    for attempt in range(TRIES):
        last = attempt == TRIES - 1
        if attempt:
            await asyncio.sleep(PAUSE_S)
        try:
            await dealer.cancel_all_orders()
            if close:
                await dealer.close_position()
            count = len(await dealer.fetch_open_orders())
            size = await dealer.fetch_my_position()
        except WrappyError as error:
            if last:
                raise
            logger.warning("%s: %s; trying again", symbol, error)
            continue
        if last or not (count or (close and size)):
            break
    return count, size
