"""Limits of an account, and which of its three states they lead to.

What single orders may do in each state is judged in `judging`.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a field's type
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from wrappy._core.exposure import ExposureBook
from wrappy._core.risk_states import DAILY_LOSS, DAY_S, EquityWatch, Freshness, StateLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrappy._core.exposure import LiveOrder, Reach

LOOP: Final = "loop"
ACCOUNT: Final = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRules:
    """Limits in integers; None is no limit.

    Attributes:
        market_value: worth of a market's worst position, 1e-6 USDC.
        total_value: the same over all markets.
        order_value: worth of one order.
        open_orders: orders that may trade at a time.
        market_orders: the same in each market.
        per_second: orders and changes within a second.
        per_minute: the same within a minute.
        band: how far a price may be from the mark price, in 1e-6 of it.
        daily_loss: most to lose since 00:00 UTC, 1e-6 USDC.
        drawdown: most to lose since the best, in 1e-6 of it.
        unknown_orders: orders of unknown fate at a time.
        equity_age_s: age from which on the equity counts as not known.
        blocked_s: how long the event loop may stand still.
        fresh_for_s: how long data has to be good again after it was not.
        needs_exits: whether reduce-only orders have to cover each position.
        exits_within_s: how long a position may be without.
    """

    market_value: int | None = None
    total_value: int | None = None
    order_value: int | None = None
    open_orders: int | None = None
    market_orders: int | None = None
    per_second: int | None = None
    per_minute: int | None = None
    band: int | None = None
    daily_loss: int | None = None
    drawdown: int | None = None
    unknown_orders: int | None = None
    equity_age_s: float = 60.0
    blocked_s: float = 2.0
    fresh_for_s: float = 1.0
    needs_exits: bool = False
    exits_within_s: float = 5.0

    @property
    def needs_prices(self) -> bool:
        """Whether a limit depends on the price of the moment."""
        limits = (self.market_value, self.total_value, self.order_value, self.band)
        return any(limit is not None for limit in limits)

    @property
    def needs_equity(self) -> bool:
        """Whether a limit depends on what the account is worth."""
        return self.daily_loss is not None or self.drawdown is not None


@dataclass(slots=True, kw_only=True)
class RiskMarket:
    """A market in which orders are judged.

    Attributes:
        index: on the wire.
        symbol: its name, for words.
        lot_value: 1e-6 USDC of one lot at one tick.
        most_lots: largest position, unsigned; None for no limit.
        is_spot: whether a sale can only give away what is there.
        mark: price of the moment in ticks, None while it is not known.
    """

    index: int
    symbol: str
    lot_value: int
    most_lots: int | None = None
    is_spot: bool = False
    mark: int | None = None


@dataclass(slots=True)
class _Halt:
    words: str
    day: int | None = None


@dataclass(slots=True)
class AccountRisk:
    """How an account stands against its limits. Performs no I/O.

    Attributes:
        rules: the limits.
        book: positions and orders; who uses this keeps it up to date.
        equity: what the account is worth.
        log: the state and its changes.
    """

    rules: RiskRules
    book: ExposureBook = field(default_factory=ExposureBook)
    equity: EquityWatch = field(init=False)
    log: StateLog = field(default_factory=StateLog)
    _fresh: Freshness = field(init=False)
    _halts: dict[str, _Halt] = field(default_factory=dict)
    _markets: dict[int, RiskMarket] = field(default_factory=dict)
    _bare_since: dict[int, float] = field(default_factory=dict)
    _beat_at: float | None = None

    def __post_init__(self) -> None:
        rules = self.rules
        self.equity = EquityWatch(
            daily_loss=rules.daily_loss,
            drawdown=rules.drawdown,
            oldest_s=rules.equity_age_s,
        )
        self._fresh = Freshness(rules.fresh_for_s)

    @property
    def markets(self) -> Mapping[int, RiskMarket]:
        """The markets in which orders are judged, by index."""
        return self._markets

    def add_market(self, market: RiskMarket) -> None:
        """Judge orders of a market from now on."""
        self._markets.setdefault(market.index, market)

    def reach(self, index: int, extra: Sequence[LiveOrder] = ()) -> Reach:
        """Return how far a market's position can get, with orders that are to come."""
        market = self._markets[index]
        mark = market.mark or 0
        return self.book.market(index).reach(mark, market.lot_value, extra)

    # ------------------------------------------------------------- the state

    def see(self, source: str, problem: str | None, now: float) -> None:
        """Note whether a source of data is good; a market's is named by its symbol."""
        self._fresh.see(source, problem, now)

    def problem(self, source: str) -> str | None:
        """Return what is wrong with a source of data, None if nothing is."""
        return self._fresh.problem(source)

    def stale(self) -> dict[str, str]:
        """Return what is too old, by source."""
        return self._fresh.problems()

    def beat(self, now: float) -> None:
        """Note that the event loop turns; call it at intervals, or never."""
        self._listen_for_blocks(now)
        self._beat_at = now
        self._fresh.see(LOOP, None, now)

    def _listen_for_blocks(self, now: float) -> None:
        if self._beat_at is None:
            return
        silent_s = now - self._beat_at
        if silent_s > self.rules.blocked_s:
            self._fresh.see(LOOP, f"the loop stood still for {silent_s:.1f} s", now)

    def halt(self, cause: str, words: str, *, day: int | None = None) -> None:
        """Let nothing but cancels pass.

        Args:
            cause: name of the halt.
            words: why.
            day: number of the UTC day at whose end it is over; None for until `lift`.
        """
        self._halts.setdefault(cause, _Halt(words, day))

    def halts(self) -> dict[str, tuple[str, int | None]]:
        """Return what halts at the moment: words and last day, by cause."""
        return {cause: (halt.words, halt.day) for cause, halt in self._halts.items()}

    def calm_equity(self) -> tuple[int, int]:
        """Return the bounds between which the equity changes nothing today."""
        return self.equity.calm(self._halts)

    def lift(self) -> None:
        """End all halts, and judge losses from here on anew."""
        self._halts.clear()
        self.equity.forgive()

    def look(self, now: float, unix_s: float) -> bool:
        """Work the state out; return whether it is another one.

        Args:
            now: seconds, monotone.
            unix_s: unix seconds, for the end of the day.
        """
        day = int(unix_s // DAY_S)
        self._halts = {
            cause: halt
            for cause, halt in self._halts.items()
            if halt.day is None or halt.day >= day
        }
        for name, words in self.equity.losses(day).items():
            self.halt(name, words, day=day if name == DAILY_LOSS else None)
        self._listen_for_blocks(now)
        halts = [halt.words for halt in self._halts.values()]
        return self.log.enter(unix_s, halts, self._cautions(now))

    def _cautions(self, now: float) -> list[str]:
        found = []
        if not self.book.has_begun:
            found.append("the account's positions are not known yet")
        doubt = self.equity.doubt(now)
        if doubt is not None:
            found.append(doubt)
        unknown, most = self.book.unknown(), self.rules.unknown_orders
        if most is not None and unknown > most:
            found.append(f"{unknown} orders of unknown fate, {most} are allowed")
        for source in (ACCOUNT, LOOP):
            problem = self._fresh.problem(source)
            if problem is not None:
                found.append(problem)
        return [*found, *self._bare(now)]

    def _bare(self, now: float) -> list[str]:
        """Return which positions are without exits for too long."""
        if not self.rules.needs_exits:
            return []
        found = []
        for index, market in self._markets.items():
            gap = self.uncovered(index)
            if not gap:
                self._bare_since.pop(index, None)
                continue
            since = self._bare_since.setdefault(index, now)
            if now - since >= self.rules.exits_within_s:
                found.append(f"{market.symbol}: {gap} lots without a reduce-only exit")
        return found

    def uncovered(self, index: int) -> int:
        """Return the lots of a position that no reduce-only order would close."""
        exposure = self.book.market(index)
        low, high = exposure.bounds
        return max(0, max(high, -low) - exposure.exits())
