"""Backtests: minutes through a simple strategy, and frames in virtual time.

The minutes are measured beside their floor: the same rows read, converted, passed on
and followed by the same strategy's sums, without client, exchange or event loop; and
beside the exchange alone, which adds to that its rules, orders, funding and margin.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Row, interleaved, main, row
from wrappy.lighter.ws import WsInfo
from wrappy.model import Candle
from wrappy.runner.backtest import CandleData, run_backtest
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.indicators import SMA
from wrappy.runner.performance import PerformanceRecorder
from wrappy.runner.performance.baselines import BuyAndHold
from wrappy.runner.strategy import Context, Strategy, go_to_position
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue.accounts import make_accounts, open_accounts
from wrappy.venue.bundled import market_named
from wrappy.venue.candle_flow import CandleFlow, corners_in_order
from wrappy.venue.clocks import SteppedClock
from wrappy.venue.events import SetLevel
from wrappy.venue.exchange import Exchange
from wrappy.venue.floor import Floor
from wrappy.venue.settings import VenueSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wrappy.venue.candle_flow import CalmRun, ReachOf
    from wrappy.venue.events import FlowAction

# A quarter of a year: a year takes four times as long.
MINUTES, QUICK_MINUTES = 131_400, 3_000
FRAMES, QUICK_FRAMES = 20_000, 800
ROUNDS, QUICK_ROUNDS = 3, 1
START_MS = 1_700_000_040_000
MINUTE_MS = 60_000
SIZE: Final = Decimal("0.5")
SIX: Final = ("ETH", "BTC", "SOL", "BNB", "AAVE", "1000PEPE")
EXCHANGE: Final = "the exchange alone"
ONE: Final = "book frames of one level, exchange to hook"
TEN: Final = "the same, ten levels"
CROWD: Final = "the same, one level, six markets at a time"


def minutes(count: int) -> list[Candle]:
    """Return candles of a random walk in whole cents."""
    chance = random.Random("minutes")
    rows, price = [], 300_000
    for number in range(count):
        points = [price]
        for _ in range(4):
            points.append(max(10_000, points[-1] + chance.randint(-200, 200)))
        price = points[-1]
        told = (points[0], max(points), min(points), price)
        rows.append(
            Candle(
                START_MS + number * MINUTE_MS,
                *(Decimal(one) / 100 for one in told),
                Decimal(10),
                Decimal(30_000),
                number,
                True,
            )
        )
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Long above the average, short below it."""

    period: int = 2_000
    distance: float = 0.05


class Follower(Strategy[Parameters]):
    """Changes sides some dozens of times a year."""

    async def run(self, ctx: Context) -> None:
        """Decide at each close."""
        average = SMA(self.parameters.period)
        async for candle in ctx.candles("1m"):
            side = side_of(average, float(candle.close), self.parameters.distance)
            if side and side * ctx.position() <= 0:
                await go_to_position(ctx, side * SIZE)


def side_of(average: SMA, close: float, distance: float) -> int:
    """Return 1 far above the average, -1 far below it, else 0."""
    mean = average.update(close)
    if mean is None or abs(close / mean - 1) < distance:
        return 0
    return 1 if close > mean else -1


def backtest(rows: Sequence[Candle]) -> float:
    """Return seconds of a backtest."""
    data = CandleData("ETH", "1m", rows)
    began_s = time.process_time()
    done = run_backtest(Follower, data)
    took_s = time.process_time() - began_s
    assert done.crashed is None
    return took_s


def floor(rows: Sequence[Candle]) -> float:
    """Return seconds of what cannot be left out of it."""
    market, average, tuned = market_named("ETH"), SMA(2_000), Parameters()
    began_s = time.process_time()
    flow = CandleFlow(rows, market, resolution_ms=MINUTE_MS, index=True)
    recorder = PerformanceRecorder(start_ms=START_MS, capital=10**10)
    hold = BuyAndHold(market, start_ms=START_MS, capital=10**10, taker_fee=280)
    flow.step(0)
    hour_us, at_us = 3_600_000_000, 0
    while flow.next_at_us() is not None:
        at_us += hour_us
        for run in flow.pass_calm(at_us, lambda _: (1, 10**9)) or ():
            for start_us, *corners, _ in run.bars:
                at_ms = START_MS + start_us // 1_000
                for late, price in enumerate(corners_in_order(*corners)):
                    recorder.sample(at_ms + late, 10**10 + price, price)
        if flow.next_at_us() is not None:
            flow.step(at_us)
    for one in rows:
        side_of(average, float(one.close), tuned.distance)
        hold.price(one.start_ms + MINUTE_MS, one.close)
    return time.process_time() - began_s


class Passed:
    """Candles for an exchange, with its user's equity sampled where none stops it.

    Args:
        flow: the candles.
        seen: called with each stretch of them that reaches nobody.
    """

    def __init__(
        self, flow: CandleFlow, seen: Callable[[Sequence[CalmRun]], None]
    ) -> None:
        self._flow, self._seen = flow, seen
        self.has_candles = flow.has_candles
        self.next_at_us, self.step = flow.next_at_us, flow.step
        self.next_close_us = flow.next_close_us
        self.calm_until_us = flow.calm_until_us

    def pass_calm(self, until_us: int, reach_of: ReachOf) -> list[CalmRun]:
        """Leave out the candles that come next and reach nobody."""
        runs = self._flow.pass_calm(until_us, reach_of)
        if runs:
            self._seen(runs)
        return runs


def exchange_alone(rows: Sequence[Candle]) -> float:
    """Return seconds of the exchange's own work on it, without client or loop."""
    market, average, tuned = market_named("ETH"), SMA(2_000), Parameters()
    settings = VenueSettings(symbols=("ETH",), verify=False, enforce_limits=False)
    accounts = open_accounts(settings, make_accounts(settings))
    user = next(one for one in accounts.values() if not one.is_flow)
    slot = next(iter(user.api_keys.values()))
    began_s = time.process_time()
    clock = SteppedClock(START_MS / 1_000)
    exchange = Exchange(settings, (market,), accounts, now_us=clock.now_us())
    recorder = PerformanceRecorder(start_ms=START_MS, capital=10**10)
    hold = BuyAndHold(market, start_ms=START_MS, capital=10**10, taker_fee=280)

    def sample(runs: Sequence[CalmRun]) -> None:
        size, mark = user.ledger.size(market.market_id), exchange.markets[0].mark_price
        if not size:
            return
        equity = user.ledger.equity(exchange.lot_values)
        worth = size * market.quote_multiplier
        for run in runs:
            for start_us, *corners, _ in run.bars:
                at_ms = START_MS + start_us // 1_000
                for late, price in enumerate(corners_in_order(*corners)):
                    told = equity + worth * (price - mark)
                    recorder.sample(at_ms + late, told, abs(worth) * price)

    flow = CandleFlow(rows, market, resolution_ms=MINUTE_MS, index=True)
    floor = Floor(exchange, settings, clock=clock, flow=Passed(flow, sample), wake=bool)
    floor.run_until(clock.now_us())
    lots = int(SIZE * 10**market.size_decimals)
    for one in rows:
        side = side_of(average, float(one.close), tuned.distance)
        held = user.ledger.size(market.market_id)
        if side and side * held <= 0:
            clock.move_to((one.start_ms + MINUTE_MS) * 1_000)
            floor.run_until(clock.now_us())
            price = round(one.close * 10**market.price_decimals)
            order = {
                "AccountIndex": user.index,
                "ApiKeyIndex": slot.api_key_index,
                "ExpiredAt": one.start_ms + 10 * MINUTE_MS,
                "Nonce": slot.nonce,
                "Sig": "",
                "L2TxAttributes": None,
                "MarketIndex": market.market_id,
                "ClientOrderIndex": 0,
                "BaseAmount": lots + abs(held),
                "Price": price + side * price // 50,
                "IsAsk": int(side < 0),
                "Type": 1,
                "TimeInForce": 0,
                "ReduceOnly": 0,
                "TriggerPrice": 0,
                "OrderExpiry": 0,
            }
            exchange.submit(14, order, f"{slot.nonce:080x}", now_us=clock.now_us())
        hold.price(one.start_ms + MINUTE_MS, one.close)
    clock.move_to((rows[-1].start_ms + MINUTE_MS) * 1_000)
    floor.run_until(clock.now_us())
    took_s = time.process_time() - began_s
    assert flow.next_at_us() is None, "candles are left"
    return took_s


class Steps:
    """Books that change in every batch that the stream sends.

    Args:
        count: batches.
        levels: of a book that change each time.
        indices: the markets.
    """

    def __init__(self, count: int, levels: int, indices: Sequence[int]) -> None:
        self._left = count
        self._at_us = 0
        self._levels = levels
        self._indices = indices

    def next_at_us(self) -> int | None:
        """Return when the next changes are due."""
        return self._at_us if self._left else None

    def step(self, now_us: int) -> list[FlowAction]:
        """Return the changes due."""
        actions: list[FlowAction] = []
        while self._left and self._at_us <= now_us:
            self._left -= 1
            self._at_us += 50_000
            size = 100 + self._left % 7
            actions += [
                SetLevel(index, False, 300_000 - below, size)
                for index in self._indices
                for below in range(self._levels)
            ]
        return actions


def frames_a_second(
    count: int, *, levels: int = 1, symbols: Sequence[str] = ("ETH",)
) -> float:
    """Return book frames a second, from the exchange's books to the client's hook.

    Args:
        count: frames.
        levels: that each one changes.
        symbols: markets that have one in every batch, at the same moment.
    """
    batches = count // len(symbols)

    async def listen() -> float:
        heard = 0

        def count_one(_: object) -> None:
            nonlocal heard
            heard += 1

        settings = VenueSettings(symbols=tuple(symbols), flow="none", verify=False)
        indices = [market_named(symbol).market_id for symbol in symbols]
        flow = Steps(batches, levels, indices)
        async with InProcessExchange(settings, flow=flow) as exchange:
            owner = exchange.accounts[0]
            ws = await WsInfo.run_overlay(
                owner.account_index,
                owner.api_keys[0].api_key_index,
                owner.api_keys[0].api_key_private_key,
                symbols=symbols,
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                environment=exchange.environment,
            )
            ws.add_hook("on_book", count_one)
            began_s = time.process_time()
            await asyncio.sleep(batches / 20 + 1)
            took_s = time.process_time() - began_s
            await ws.aclose()
        # The first batches may have come before the hook.
        assert heard > 0.9 * count - 10 * len(symbols), heard
        return heard / took_s

    return run_virtual(listen)


def measure(quick: bool) -> list[Row]:  # noqa: FBT001 - the runner's one switch
    """Return the rows of the table."""
    count = QUICK_MINUTES if quick else MINUTES
    frames = QUICK_FRAMES if quick else FRAMES
    rounds = QUICK_ROUNDS if quick else ROUNDS
    rows = minutes(count)
    whole, least = f"{count} candles of a minute: CPU", "the same, floor: CPU"
    took = interleaved(
        {
            whole: lambda: backtest(rows),
            EXCHANGE: lambda: exchange_alone(rows),
            least: lambda: floor(rows),
        },
        rounds=rounds,
        warm_up=0,
    )
    heard = interleaved(
        {
            ONE: lambda: frames_a_second(frames),
            TEN: lambda: frames_a_second(frames, levels=10),
            CROWD: lambda: frames_a_second(frames, symbols=SIX),
        },
        rounds=rounds,
        warm_up=0,
    )
    return [
        row("backtest", whole, took, "s", against=EXCHANGE, target="2.5 s; x0.77"),
        row("backtest", EXCHANGE, took, "s", against=least),
        row("backtest", least, took, "s"),
        row("backtest", ONE, heard, "frames/s", target="50,000 frames/s"),
        row("backtest", TEN, heard, "frames/s"),
        row("backtest", CROWD, heard, "frames/s"),
    ]


if __name__ == "__main__":
    main(measure)
