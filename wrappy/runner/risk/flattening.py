"""Taking an account out of its markets: orders away, positions closed."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wrappy.errors import ConfigError, KeyInUseError, WrappyError
from wrappy.lighter.dealer import LighterDealer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from wrappy.runner.worlds.world import World

logger = logging.getLogger("wrappy.risk")

ATTEMPTS: Final = 5
PAUSE_S: Final = 1.0
ACCOUNT: Final = "account"
"""Stands for all markets where one could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenReport:
    """What clearing an account, or some of its markets, came to.

    Attributes:
        before: positions at the beginning, signed size by symbol.
        left: positions that are still open.
        orders_left: live orders, their number by symbol.
        unasked: markets that the exchange could not be asked about in the end;
            `account` for all of them. What is left there is not known.
        attempts: rounds it took.
        errors: what went wrong on the way, in words, each once.
        closes: whether positions were to be closed, and not only orders taken away.
    """

    before: Mapping[str, Decimal]
    left: Mapping[str, Decimal]
    orders_left: Mapping[str, int]
    unasked: tuple[str, ...]
    attempts: int
    errors: tuple[str, ...]
    closes: bool = True

    @property
    def is_flat(self) -> bool:
        """Whether the exchange said that neither order nor position is left."""
        return not (self.left or self.orders_left or self.unasked)

    @property
    def is_clean(self) -> bool:
        """Whether the exchange said that nothing is left that was to go."""
        return not (self.orders_left or self.unasked or (self.left and self.closes))

    def __str__(self) -> str:
        """Return what is left, in words."""
        if self.is_flat:
            return "no orders and no positions left"
        left = [
            f"{count} order(s) in {symbol}"
            for symbol, count in self.orders_left.items()
        ]
        held = [f"a position of {size} {symbol}" for symbol, size in self.left.items()]
        words = []
        if left or held:
            words.append(f"left: {', '.join([*left, *held])}")
        if not left and not self.unasked:
            words.insert(0, "no orders left")
        if self.unasked:
            words.append(f"not known of {', '.join(self.unasked)}")
        if not self.is_clean:
            words += self.errors
        return "; ".join(words)


async def flatten(
    world: World,
    symbols: Sequence[str],
    *,
    everywhere: bool = False,
    close: bool = True,
    slippage_bps: int | None = None,
    attempts: int = ATTEMPTS,
) -> FlattenReport:
    """Cancel every order of the account in some markets, and close their positions.

    Orders placed elsewhere go as well. What closes is reduce-only and immediate or
    cancel: it cannot turn a position over. What is left, because the book was thin or
    an answer was lost, is tried again after a second, and a market that fails does
    not keep the others.

    Args:
        world: where, and whose account.
        symbols: which markets; with `everywhere` any one, to ask questions in.
        everywhere: all markets of the account.
        close: whether positions are closed, or only orders taken away.
        slippage_bps: worst price of a close, 1e-4 of the best opposite price; None
            takes the settings'.
        attempts: rounds at most.

    Raises:
        ConfigError: no market is named, or `attempts` is not above 0.
        KeyInUseError: another process sends with this key; nothing was done.
    """
    if attempts < 1:
        raise ConfigError(f"attempts: {attempts!r} is not above 0")
    if not symbols:
        raise ConfigError("symbols: no market is named; give at least one")
    clearing = _Clearing(world, close=close, slippage_bps=slippage_bps)
    seen = _Seen()
    before: dict[str, Decimal] = {}
    rounds = 0
    try:
        while rounds < attempts:
            if rounds:
                await asyncio.sleep(PAUSE_S)
            rounds += 1
            if everywhere:
                seen = await clearing.account(symbols[0])
            else:
                seen = await clearing.markets(symbols)
            before = {**seen.before, **before}
            if not (seen.unasked or seen.orders or (close and seen.positions)):
                break
    finally:
        await clearing.aclose()
    return FlattenReport(
        before=before,
        left=seen.positions,
        orders_left=seen.orders,
        unasked=tuple(seen.unasked),
        attempts=rounds,
        errors=tuple(dict.fromkeys(clearing.errors)),
        closes=close,
    )


@dataclass(slots=True)
class _Seen:
    """What a round found at its beginning and at its end."""

    before: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    unasked: list[str] = field(default_factory=list)


class _Clearing:
    def __init__(self, world: World, *, close: bool, slippage_bps: int | None) -> None:
        self.errors: list[str] = []
        self._close = close
        self._slippage_bps = slippage_bps
        self._environment = world.environment
        # Whoever comes to clear up must not be stopped by what there is to clear.
        self._config = dataclasses.replace(
            world.config, market_index=None, unknown_orders="cancel", dead_man_s=None
        )
        self._dealers: dict[str, LighterDealer] = {}

    async def _dealer(self, symbol: str) -> LighterDealer:
        """Return a dealer that no guard stands before."""
        if symbol not in self._dealers:
            self._dealers[symbol] = await LighterDealer.create(
                dataclasses.replace(self._config, symbol=symbol),
                environment=self._environment,
            )
        return self._dealers[symbol]

    async def markets(self, symbols: Sequence[str]) -> _Seen:
        """Clear some markets, one after another."""
        seen = _Seen()
        for symbol in symbols:
            try:
                await self._market(symbol, seen)
            except KeyInUseError:  # noqa: PERF203 - one must not stop the others
                # There may be another key.
                raise
            except WrappyError as error:
                self._note(symbol, error)
                seen.unasked.append(symbol)
        return seen

    async def _market(self, symbol: str, seen: _Seen) -> None:
        dealer = await self._dealer(symbol)
        try:
            await dealer.cancel_all_orders()
        except WrappyError as error:
            self._note(symbol, error)
        held = await dealer.fetch_my_position()
        if held:
            seen.before[symbol] = held
        if held and self._close:
            await self._closed(symbol)
            held = await dealer.fetch_my_position()
        count = len(await dealer.fetch_open_orders())
        if held:
            seen.positions[symbol] = held
        if count:
            seen.orders[symbol] = count

    async def account(self, symbol: str) -> _Seen:
        """Clear all markets of the account."""
        seen = _Seen()
        try:
            asker = await self._dealer(symbol)
            try:
                await asker.cancel_all_orders(everywhere=True)
            except WrappyError as error:
                self._note("cancel all", error)
            positions = await asker.fetch_positions()
            seen.before = {one.symbol: one.size for one in positions}
            if positions and self._close:
                for one in positions:
                    await self._closed(one.symbol)
                positions = await asker.fetch_positions()
            seen.positions = {one.symbol: one.size for one in positions}
            rows = await asker.fetch_open_orders(everywhere=True)
            names = {one.market_id: one.symbol for one in positions}
            names[asker.market.market_id] = asker.market.symbol
            markets = [row["market_index"] for row in rows]
            seen.orders = dict(
                Counter(names.get(index, f"market {index}") for index in markets)
            )
        except KeyInUseError:
            raise
        except WrappyError as error:
            self._note(ACCOUNT, error)
            seen.unasked.append(ACCOUNT)
        return seen

    async def _closed(self, symbol: str) -> None:
        try:
            dealer = await self._dealer(symbol)
            await dealer.close_position(slippage_bps=self._slippage_bps)
        except WrappyError as error:
            # One market must not stop the others; the next question tells.
            self._note(symbol, error)

    def _note(self, what: str, error: WrappyError) -> None:
        logger.warning("flatten: %s: %s", what, error)
        self.errors.append(f"{what}: {error}")

    async def aclose(self) -> None:
        for dealer in self._dealers.values():
            await dealer.aclose()
