"""Pictures of what trades on and on: strategies, the hedge, the ladder."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import all_at_once
from hedge.full import hedge as hedge_pair
from hedge.settings import StrategySettings
from ladder_settings import LadderParameters
from ladder_strategy import TrendLadder
from strategies.arbitrage import Arbitrage, ArbitrageParameters
from strategies.grid import Grid
from strategies.market_maker import MarketMaker

from drawing.paper import Line, Marks, Panel, picture
from drawing.scene import HOUR, MINUTE, Points, fill_marks, per, scene, traded, world
from wrappy.protocol.transactions import TxType
from wrappy.runner.bus import MemoryBus
from wrappy.runner.network import venue_configs
from wrappy.venue import FaultRule
from wrappy.venue.flow_settings import FlowSettings

if TYPE_CHECKING:
    from wrappy.runner.strategy import Strategy

SENDS = "/api/v1/sendTx*"


async def arbitrage() -> str:
    """The difference of two prices, and the pair that lives off it."""
    flow = FlowSettings(
        process="ou", half_life_s=20.0, volatility=1.0, events_per_s=2.0
    )
    async with scene("ETH", "ETH/USDC", flow=flow) as seen:
        ends = await traded(seen, Arbitrage(), 600.0)
        tuned = ArbitrageParameters()
    wanted = 2 * (tuned.fees + 2 * tuned.slippage) + tuned.leave + tuned.gain
    level = float(wanted) * 10_000
    apart = [
        (at, (spot / perp - 1) * 10_000)
        for (at, perp), (_, spot) in zip(
            seen.prices["ETH"], seen.prices["ETH/USDC"], strict=True
        )
    ]
    return picture(
        "The spot price swings around that of the perpetual; whenever it is far enough "
        "away, both sides are taken, and given back when the prices have met.",
        [
            Panel(
                head="spot above perpetual, 0.01 %",
                lines=[Line(name="", points=per(MINUTE, apart))],
                rules=[(level, "what both ways cost", "warn"), (-level, "", "warn")],
            ),
            Panel(
                head="held, ETH",
                lines=[
                    Line(
                        name=name,
                        tone=tone,
                        is_step=True,
                        has_wash=True,
                        points=per(MINUTE, seen.position(symbol, ends)),
                    )
                    for name, tone, symbol in (
                        ("perpetual", "mark", "ETH"),
                        ("spot", "good", "ETH/USDC"),
                    )
                ],
                height=110,
            ),
        ],
    )


async def all_strategies() -> str:
    """Four strategies on one account; the fourth joins later."""
    flow = FlowSettings(
        process="ou", half_life_s=60.0, volatility=2.0, events_per_s=0.5
    )
    async with scene(*all_at_once.SYMBOLS, flow=flow) as seen:
        await all_at_once.trade(world(seen), seconds=HOUR, join=900, resolution="1m")
        ends = seen.now
    panels = [
        Panel(
            head=f"{name}: position, {symbol}",
            lines=[
                Line(
                    name="",
                    points=per(MINUTE, seen.position(symbol, ends)),
                    is_step=True,
                    has_wash=True,
                    tone=tone,
                )
            ],
            height=62,
        )
        for name, symbol, tone in (
            ("arbitrage", "ETH", "mark"),
            ("mean reversion", "BTC", "good"),
            ("momentum", "SOL", "warn"),
            ("UT Bot", "BNB", "bad"),
        )
    ]
    panels[-1].spans.append((0, 15, "not there yet", "soft"))
    return picture(
        "Positions of four strategies over an hour; the fourth joins after a quarter.",
        panels,
    )


class LosesSome(MemoryBus):
    """A bus that forgets one message in four."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    async def publish(self, channel: str, fields: Any) -> str:
        """Publish, or forget."""
        if channel.endswith("a_filled"):
            self.count += 1
            if self.count % 4 == 0:
                return "0"
        return await super().publish(channel, fields)


async def hedged() -> str:
    """Two positions that are opposite, and the moments they are not."""
    flow = FlowSettings()
    async with scene("ETH", flow=flow, seed=2) as seen:
        first, second = (
            dataclasses.replace(one, symbol="ETH")
            for one in venue_configs(seen.exchange)[:2]
        )
        told: list[tuple[float, str]] = []
        await hedge_pair(
            (first, second),
            StrategySettings(rounds=6),
            LosesSome(),
            environment=seen.exchange.environment,
            tell=lambda words: told.append((seen.now, words)),
        )
        ends = seen.now
    a, b = (seen.position("ETH", ends, place) for place in (0, 1))
    both: Points = []
    holds = {0: 0.0, 1: 0.0}
    moves = sorted([(at, 0, v) for at, v in a] + [(at, 1, v) for at, v in b])
    for at, place, value in moves:
        holds[place] = value
        both.append((at, round(sum(holds.values()), 8)))
    repairs = [(at, 0.0) for at, words in told if "B repairs" in words]
    return picture(
        "Leg B's position mirrors leg A's; what is open between a fill and its hedge "
        "is closed again within seconds, also when a message was lost.",
        [
            Panel(
                head="positions, ETH",
                lines=[
                    Line(name="leg A", points=a, is_step=True),
                    Line(name="leg B", points=b, is_step=True, tone="good"),
                ],
            ),
            Panel(
                head="both together, ETH",
                lines=[Line(name="", points=both, is_step=True, tone="bad")],
                marks=[
                    Marks(
                        name="a lost message is made up for",
                        points=repairs,
                        tone="warn",
                        shape="up",
                    )
                ],
                height=90,
            ),
        ],
        x_head="seconds",
    )


async def ladder() -> str:
    """Entries, take profits, and coverage among faults."""
    tuned = LadderParameters(seconds=420.0)
    flow = FlowSettings(process="ou", half_life_s=120.0, volatility=1.0)
    faults = (
        FaultRule(act="drop", phase="reply", path=SENDS, probability=50_000),
        FaultRule(
            act="status",
            path=SENDS,
            code=400,
            probability=100_000,
            tx_type=int(TxType.CREATE_ORDER),
        ),
    )
    async with scene("ETH", flow=flow, seed=6, travel_ms=(5, 20)) as seen:
        for rule in faults:
            seen.exchange.faults.add(rule)
        ends = await traded(seen, TrendLadder(tuned), tuned.seconds + 30.0)
    held, covered = seen.position("ETH", ends), seen.covered(ends)
    gap: Points = []
    now = {0: 0.0, 1: 0.0}
    moves = sorted([(at, 0, v) for at, v in held] + [(at, 1, v) for at, v in covered])
    for at, group in itertools.groupby(moves, key=lambda one: one[0]):
        now |= {place: value for _, place, value in group}
        gap.append((at, round(now[0] - now[1], 8)))
    return picture(
        "Entries are bought on the way down and sold higher; reduce-only orders follow "
        "the position, and a gap between both is closed within about a second.",
        [
            Panel(
                head="price, USDC",
                lines=[
                    Line(name="", tone="soft", points=per(MINUTE, seen.prices["ETH"]))
                ],
                marks=fill_marks(seen, MINUTE),
                height=170,
            ),
            Panel(
                head="ETH",
                lines=[
                    Line(
                        name="position",
                        points=per(MINUTE, held),
                        is_step=True,
                        tone="soft",
                        has_wash=True,
                    ),
                    Line(
                        name="covered",
                        points=per(MINUTE, covered),
                        is_step=True,
                        tone="good",
                    ),
                ],
                height=110,
            ),
            Panel(
                head="gap: position without a reduce-only order, ETH",
                lines=[
                    Line(name="", points=per(MINUTE, gap), is_step=True, tone="bad")
                ],
                height=60,
            ),
        ],
    )


async def _quoted(strategy: Strategy[Any], title: str, seconds: float) -> str:
    flow = FlowSettings(volatility=1.0)
    async with scene("ETH", flow=flow, travel_ms=(20, 60)) as seen:
        ends = await traded(seen, strategy, seconds)
    resting = seen.resting(ends)
    lines = [
        Line(name=name, tone=tone, points=per(MINUTE, points))
        for side, words, tone in ((False, "bids", "good"), (True, "asks", "bad"))
        for name, points in (
            ("" if place else words, points)
            for place, points in enumerate(p for is_ask, p in resting if is_ask is side)
        )
    ]
    price = Line(name="price", tone="soft", points=per(MINUTE, seen.prices["ETH"]))
    return picture(
        title,
        [
            Panel(
                head="USDC",
                lines=[price, *lines],
                marks=fill_marks(seen, MINUTE),
                height=230,
            ),
            Panel(
                head="position, ETH",
                lines=[
                    Line(
                        name="",
                        points=per(MINUTE, seen.position("ETH", ends)),
                        is_step=True,
                        has_wash=True,
                    )
                ],
                height=80,
            ),
        ],
    )


async def maker() -> str:
    """Two quotes around the middle, and the position that moves them."""
    title = "A bid and an ask follow the price; the position moves both."
    return await _quoted(MarketMaker(), title, 300.0)


async def grid() -> str:
    """Orders on lines, and the fills that move them."""
    title = "Orders wait on equally spaced lines; a falling price fills the bids."
    return await _quoted(Grid(), title, 600.0)
