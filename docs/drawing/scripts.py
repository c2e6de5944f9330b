"""Pictures of what runs once: scripts, scans, reports."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import io
import itertools
import os
import re
import subprocess
import sys
import tempfile
from decimal import Decimal
from functools import partial

import bounded_requoting
import daily_report
import parameter_scan
import watch_and_alert
from strategies.mean_reversion import MeanReversion, MeanReversionParameters

from drawing import ROOT
from drawing.paper import Line, Marks, Panel, heat, picture
from drawing.scene import HOUR, MINUTE, Points, scene, traded, world
from wrappy import LighterDealer, WsInfo
from wrappy.runner.backtest import BacktestSettings, run_backtest
from wrappy.runner.engine import TradingEngine
from wrappy.runner.network import venue_configs
from wrappy.runner.risk.guard import AccountGuard
from wrappy.runner.risk.limits import RiskLimits
from wrappy.runner.settings import load_strategies, read_settings
from wrappy.runner.sweep import StrategyBacktest
from wrappy.venue.flow_settings import FlowSettings


def parameters() -> str:
    """Nine trials of a strategy."""
    data = parameter_scan.made_up("ETH", 1_000, seed=1)
    run = StrategyBacktest(
        strategy=MeanReversion,
        data=(data,),
        settings=BacktestSettings(warm_up=parameter_scan.WARM_UP),
    )
    border_ms = data.rows[700].start_ms
    swept = parameter_scan.scan(
        run.between(data.begin_ms, border_ms), data.resolution, workers=1
    )
    found = {
        (t.parameters["lookback"], t.parameters["threshold"]): t.results.returns.total
        for t in swept.trials
        if t.results is not None
    }
    lookbacks, thresholds = parameter_scan.LOOKBACKS, parameter_scan.THRESHOLDS
    return heat(
        "Nine trials: the return is highest with a low threshold or a long lookback.",
        head="return over the earlier 700 candles",
        across=[str(one) for one in lookbacks],
        down=[str(one) for one in thresholds],
        cells=[[found[wide, high] for wide in lookbacks] for high in thresholds],
        words="{:.2%}",
        axes=("lookback, candles", "threshold, standard deviations"),
    )


async def watching() -> str:
    """A strategy's worth, and the moments the watcher speaks."""
    limits = watch_and_alert.Thresholds(drawdown=Decimal("0.0003"))
    flow = FlowSettings(
        process="ou", half_life_s=300.0, volatility=2.0, events_per_s=0.5
    )
    tuned = MeanReversionParameters(size=Decimal(5))
    async with scene("ETH", flow=flow, seed=2, every_s=10.0) as seen:
        guard = AccountGuard(RiskLimits(max_open_orders=10))
        engine = TradingEngine(world(seen), guard=guard)
        engine.add_strategy(MeanReversion(tuned))
        await engine.start()
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            look = watch_and_alert.watch(engine, guard, limits, every=10.0)
            task = asyncio.ensure_future(look)
            await asyncio.wait([task], timeout=2 * HOUR)
            task.cancel()
        await engine.stop()
    worth: Points = []
    alerts: list[tuple[str, float]] = []
    at = 10.0
    for line in said.getvalue().splitlines():
        if match := re.match(r" *(\d+) s .*worth (\S+), day", line):
            at = float(match[1])
            worth.append((at / MINUTE, float(match[2])))
            at += 10.0
        else:
            alerts.append((line, at / MINUTE))
    spans, began = [], 0.0
    for line, moment in alerts:
        if line.startswith("ALERT  drawdown"):
            began = moment
        elif line.startswith("over   drawdown"):
            spans.append((began, moment, "", "bad"))
            began = 0.0
    if began:
        spans.append((began, worth[-1][0], "", "bad"))
    longest = max(spans, key=lambda one: one[1] - one[0])
    best = [
        (moment, high)
        for (moment, _), high in zip(
            worth, itertools.accumulate((y for _, y in worth), max), strict=True
        )
    ]
    return picture(
        "The account's worth falls below its best; while it is too far below, the "
        "watcher's alert stands.",
        [
            Panel(
                head="worth, USDC",
                lines=[
                    Line(name="best so far", points=best, tone="soft", is_dashed=True),
                    Line(name="worth", points=worth),
                ],
                spans=[
                    (*one[:2], "alert" if one is longest else "", one[3])
                    for one in spans
                ],
                height=190,
            )
        ],
    )


def stages() -> str:
    """The same candles at the stakes of each stage."""
    # What is between two prices is for each stage the same.
    candles = {
        "ETH": parameter_scan.made_up("ETH", 330, seed=2),
        "BTC": parameter_scan.made_up("BTC", 330, seed=5),
    }
    panels = []
    for path in sorted((ROOT / "examples" / "staged_rollout").glob("*.toml"))[1:]:
        settings = read_settings(path)
        courses: list[dict[int, int]] = []
        for _, strategy in load_strategies(settings):
            tuned = dataclasses.replace(strategy.parameters, resolution="5m")
            (symbol,) = strategy.symbols
            run = run_backtest(
                partial(type(strategy), tuned, symbols=[symbol]),
                candles[symbol],
                BacktestSettings(warm_up=40),
            )
            first = run.results.curve[0].equity
            courses.append({one.at_ms: one.equity - first for one in run.results.curve})
        moments = sorted({at for course in courses for at in course})
        points, gains = [], [0] * len(courses)
        for at in moments:
            gains = [
                course.get(at, gain)
                for course, gain in zip(courses, gains, strict=True)
            ]
            points.append(((at - moments[0]) / 3.6e6, sum(gains) / 1e6))
        limit = -float(settings.limits.max_daily_loss)
        panels.append(
            Panel(
                head=f"{path.name}: gain, USDC",
                lines=[Line(name="", points=points, has_wash=True)],
                rules=[(limit, f"ends the day at {limit:g}", "bad")],
                height=90,
            )
        )
    return picture(
        "The gain of a day at the stakes of each stage, and the loss that ends it.",
        panels,
        x_head="hours",
    )


async def day() -> str:
    """A day's round trips, as the report counts them."""
    flow = FlowSettings(
        process="ou", half_life_s=600.0, volatility=1.0, events_per_s=0.05
    )
    tuned = MeanReversionParameters(resolution="5m")
    async with scene("ETH", flow=flow, every_s=60.0) as seen:
        await traded(seen, MeanReversion(tuned), 24 * HOUR)
        config = dataclasses.replace(world(seen).config, symbol="ETH")
        environment = seen.exchange.environment
        async with await LighterDealer.create(
            config, environment=environment
        ) as dealer:
            now_s = dealer.now_ms() / 1_000
            market = dealer.market
            fills = await dealer.fetch_my_trades(
                daily_report.MOST_FILLS, since_s=now_s - 24 * HOUR
            )
    fills = sorted(fills, key=lambda one: one.timestamp_ms)
    course: Points = [(0.0, 0.0)]
    paid: Points = [(0.0, 0.0)]
    for count, one in enumerate(fills, start=1):
        told = daily_report.day_of(market, fills[:count])
        at = (one.timestamp_ms / 1_000 - now_s) / HOUR + 24
        course.append((at, float(told.result)))
        paid.append((at, -float(told.fees)))
    told = daily_report.day_of(market, fills)
    return picture(
        f"{told.won} round trips won and {told.lost} lost in a day.",
        [
            Panel(
                head=f"result of {told.won + told.lost} round trips, USDC",
                lines=[
                    Line(
                        name="fees alone",
                        points=[*paid, (24.0, paid[-1][1])],
                        tone="bad",
                        is_step=True,
                        is_dashed=True,
                    ),
                    Line(
                        name="after fees",
                        points=[*course, (24.0, course[-1][1])],
                        is_step=True,
                    ),
                ],
                height=190,
            )
        ],
        x_head="hours",
    )


def recovered() -> str:
    """Three opinions on a position after each blow."""
    # As a person runs it: its exchange is one with sockets, its table what it prints.
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.run(  # noqa: S603 - our own example
            [sys.executable, str(ROOT / "examples" / "recovery.py")],
            capture_output=True,
            check=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": folder},
            text=True,
        )
    number = r" +(-?[0-9.]+)"
    row = re.compile(rf"^([a-z ,]+?){number}{number}{number}$", re.MULTILINE)
    rows = row.findall(process.stdout)
    return picture(
        "A bot that counts good answers is wrong after a lost one and stays wrong; the "
        "dealer agrees with the exchange each time.",
        [
            Panel(
                head="position, ETH",
                marks=[
                    Marks(
                        name=name,
                        tone=tone,
                        shape=shape,
                        points=[
                            (at + aside, float(row[column]))
                            for at, row in enumerate(rows)
                        ],
                    )
                    for name, tone, shape, column, aside in (
                        ("exchange", "soft", "bar", 3, -0.08),
                        ("dealer", "good", "dot", 2, 0.0),
                        ("counted", "bad", "down", 1, 0.08),
                    )
                ],
                names=[
                    "invalid nonces",
                    "lost answer, restart",
                    "lost answer",
                    "failed close",
                ],
                height=170,
            )
        ],
        x_head="after",
    )


async def requoting() -> str:
    """Six orders that follow the market, two at a time."""
    flow = FlowSettings(volatility=2.0)
    async with scene("ETH", flow=flow, travel_ms=(20, 60), every_s=0.05) as seen:
        config = dataclasses.replace(venue_configs(seen.exchange)[0], symbol="ETH")
        environment = seen.exchange.environment
        options = argparse.Namespace(orders=6, rounds=40, at_a_time=2, usdc=Decimal(50))
        key = config.api_keys[0]
        async with (
            await LighterDealer.create(config, environment=environment) as dealer,
            await WsInfo.run_overlay(
                config.account_index,
                key.api_key_index,
                key.api_key_private_key,
                symbol="ETH",
                base_url=config.base_url,
                chain_id=config.chain_id,
                environment=environment,
            ) as ws,
        ):
            detach = ws.attach(dealer)
            await asyncio.sleep(1.0)
            turns = await bounded_requoting.trade(dealer, ws, options)
            ends = seen.now
            await dealer.cancel_all_orders()
            await dealer.flush()
            detach()
    begins = min(one.at for one in seen.orders)
    courses: dict[int, Points] = {}
    for one in seen.orders:
        if one.at <= ends:
            courses.setdefault(one.index, []).append((one.at - begins, one.price))
    middle = [
        (at - begins, value * 0.98)
        for at, value in seen.prices["ETH"]
        if begins <= at <= ends
    ]
    lines = [
        Line(
            name="" if place else "orders",
            points=[*points, (ends - begins, points[-1][1])],
            is_step=True,
        )
        for place, points in enumerate(courses.values())
    ]
    return picture(
        f"Six orders follow the market {turns.moves} times, at most {turns.most} on "
        "their way at once.",
        [
            Panel(
                head="price, USDC",
                lines=[
                    Line(
                        name="2 % below the market",
                        points=middle,
                        tone="soft",
                        is_dashed=True,
                    ),
                    *lines,
                ],
                height=210,
            )
        ],
        x_head="seconds",
    )
