"""The trend ladder, judged by the exchange's ledger: covered, never beyond, no phantom.

An hour of a living market in virtual time, with answers lost and take profits refused.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import pathlib
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from wrappy import LighterDealer
from wrappy.errors import ConfigError
from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.protocol.intents import TxType
from wrappy.runner.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import FaultRule, VenueSettings
from wrappy.venue.bundled import market_named
from wrappy.venue.events import FaultFired, OrderChanged, TradeExecuted
from wrappy.venue.flow_settings import FlowSettings

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "trend_ladder"
sys.path.insert(0, str(FOLDER))

from ladder_settings import LadderParameters, from_environment, rules_of  # noqa: E402
from ladder_strategy import BREATH_S, DOUBTFUL_AFTER_S, TrendLadder  # noqa: E402
from ladder_telemetry import card_text  # noqa: E402

HOUR_S = 3_600.0
SEED = 6
SMALLEST = 50
"""Lots of the smallest order in ETH at the local exchange."""
ROUND_TRIP_S = 0.1
"""More than a request and its answer take here."""
SENDS = "/api/v1/sendTx*"
LOST = FaultRule(act="drop", phase="reply", path=SENDS, probability=50_000)
REFUSED = FaultRule(
    act="status",
    phase="request",
    path=SENDS,
    code=400,
    tx_type=int(TxType.CREATE_ORDER),
    probability=50_000,
)
NEVER_THERE = FaultRule(
    act="silent_drop",
    phase="after_accept",
    path=SENDS,
    tx_type=int(TxType.CREATE_ORDER),
    probability=200_000,
)
LIFE_S = 10.0
"""Of a resting order's transaction, with the signer of these tests."""

LOOKS_S = 12.0
"""For two looks at the lists: one order in five is dropped, and questions are paced."""

SWINGS = FlowSettings(process="ou", half_life_s=120.0, volatility=1.0)


@dataclass
class Judgement:
    """What the ledger says of one account's coverage.

    Attributes:
        gaps: of each gap, seconds from its beginning, or the last fault in it, to
            its end.
        excess: most lots that reduce-only orders had beyond the position.
        position: signed lots in the end.
        covers: reduce-only orders that traded.
        fills: trades.
        resting: orders left in the end.
        faults: what went wrong, by act.
    """

    gaps: list[float] = field(default_factory=list)
    excess: int = 0
    longest_excess_s: float = 0.0
    position: int = 0
    covers: int = 0
    fills: int = 0
    resting: int = 0
    faults: Counter = field(default_factory=Counter)


def judged(ledger, account, until_us):
    """Replay the ledger: coverage against position after every moment."""
    found = Judgement()
    live, position, opened_us, beyond_us, moment_us = {}, 0, None, None, 0

    def look():
        nonlocal opened_us, beyond_us
        covered = sum(live.values())
        found.excess = max(found.excess, covered - abs(position))
        if covered <= abs(position):
            beyond_us = None
        elif beyond_us is None:
            beyond_us = moment_us
        if beyond_us is not None:
            lasts = (moment_us - beyond_us) / 1e6
            found.longest_excess_s = max(found.longest_excess_s, lasts)
        gap = abs(position) - covered >= SMALLEST
        if gap and opened_us is None:
            opened_us = moment_us
        elif not gap and opened_us is not None:
            found.gaps.append((moment_us - opened_us) / 1e6)
            opened_us = None

    for event in ledger.events:
        if event.at_us > until_us:
            break
        if event.at_us != moment_us:
            look()
            moment_us = event.at_us
        if isinstance(event, FaultFired):
            found.faults[event.act] += 1
            if opened_us is not None:
                opened_us = event.at_us
        elif isinstance(event, OrderChanged) and event.order.owner == account:
            order = event.order
            if order.reduce_only:
                rests = order.status == "open"
                live[order.order_index] = order.remaining if rests else 0
        elif isinstance(event, TradeExecuted):
            trade = event.trade
            position += trade.base * (trade.bid_account == account)
            position -= trade.base * (trade.ask_account == account)
    look()
    assert opened_us is None, "a gap is open in the end"
    found.position = sum(
        trade.base * ((trade.bid_account == account) - (trade.ask_account == account))
        for trade in ledger.trades(account)
    )
    orders = ledger.orders(account)
    found.covers = sum(o.reduce_only and o.filled_base > 0 for o in orders)
    found.fills = len(ledger.trades(account))
    found.resting = sum(order.status == "open" for order in orders)
    return found


@dataclass
class Phantoms:
    """Take profits that the ladder counts and the exchange does not have.

    Attributes:
        there: numbers of orders that rest at the exchange.
        since: when each phantom was seen first.
        longest_s: longest that one was counted, by whether it was called certain.
    """

    since: dict = field(default_factory=dict)
    there: set = field(default_factory=set)
    longest_s: dict = field(default_factory=lambda: {True: 0.0, False: 0.0})

    def hear(self, event):
        if isinstance(event, OrderChanged):
            rests = event.order.status == "open"
            act = self.there.add if rests else self.there.discard
            act(event.order.client_order_index)

    async def watch(self, strategy):
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.25)
            counted = {
                (number, order.is_told)
                for number, order in strategy.ladder.profits.items()
                if number not in self.there
            }
            for one in set(self.since) - counted:
                del self.since[one]
            for one in counted:
                lasts = loop.time() - self.since.setdefault(one, loop.time())
                self.longest_s[one[1]] = max(self.longest_s[one[1]], lasts)


def played(parameters, *rules, seed=3, until=None, meddle=None, calm_s=0.0):
    """Run the ladder among faults; return the ledger's judgement and the phantoms."""
    strategy = TrendLadder(parameters, symbols=["ETH"])
    phantoms = Phantoms()

    async def main():
        travel = TravelTimes(request_ms=(5, 20), reply_ms=(5, 20))
        settings = VenueSettings(
            verify=False, symbols=("ETH",), seed=seed, synthetic=(SWINGS,)
        )
        async with InProcessExchange(settings, repeats=True, travel=travel) as exchange:
            owner = exchange.accounts[0]
            config = DealerConfig(
                base_url=exchange.base_url,
                chain_id=exchange.chain_id,
                account_index=owner.account_index,
                api_keys=tuple(
                    ApiKeyConfig(key.api_key_index, key.api_key_private_key)
                    for key in owner.api_keys
                ),
                standard_account=False,
            )
            exchange.ledger.listen(phantoms.hear)
            armed = [exchange.faults.add(rule) for rule in rules]
            world = World(name="venue", config=config, environment=exchange.environment)
            engine = TradingEngine(world)
            engine.add_strategy(strategy)
            await engine.start()
            await asyncio.sleep(1.0)
            watching = asyncio.ensure_future(phantoms.watch(strategy))
            if meddle is not None:
                await meddle(exchange, config)
            await asyncio.sleep(parameters.seconds - 10.0 - calm_s)
            for handle in armed:
                exchange.faults.remove(handle)
            await asyncio.sleep(calm_s)
            ends_us = exchange.ledger.events[-1].at_us
            watching.cancel()
            await engine.wait()
            report = await engine.stop()
            left = {number for numbers in report.left.values() for number in numbers}
            assert not left & phantoms.there
            assert not report.crashed
            return judged(exchange.ledger, owner.account_index, ends_us)

    logging.disable(logging.ERROR)
    try:
        return run_virtual(main), phantoms, strategy
    finally:
        logging.disable(logging.NOTSET)


def test_an_hour_of_lost_answers_and_refused_take_profits_leaves_no_gap():
    tuned = LadderParameters(seconds=HOUR_S, max_position=Decimal("0.4"))
    found, phantoms, _ = played(tuned, LOST, REFUSED, seed=SEED)
    assert found.fills > 300
    assert found.covers > 80
    assert found.faults["drop"] > 15
    assert found.faults["status"] > 15
    assert found.excess == 0
    assert max(found.gaps) < tuned.cycle_s + BREATH_S + ROUND_TRIP_S
    assert phantoms.longest_s[True] < tuned.cycle_s
    assert phantoms.longest_s[False] < tuned.cycle_s
    assert (found.position, found.resting) == (0, 0)


def test_a_short_ladder_is_covered_as_well():
    tuned = LadderParameters(side="sell", seconds=600.0)
    found, phantoms, _ = played(tuned, LOST, REFUSED)
    assert found.covers > 10
    assert found.excess == 0
    assert max(found.gaps) < tuned.cycle_s + BREATH_S + ROUND_TRIP_S
    assert phantoms.longest_s[True] < tuned.cycle_s
    assert (found.position, found.resting) == (0, 0)


def test_a_take_profit_that_was_accepted_and_is_not_there_does_not_count_for_long():
    tuned = LadderParameters(seconds=600.0)
    found, phantoms, _ = played(tuned, NEVER_THERE, calm_s=LIFE_S + LOOKS_S)
    assert found.faults["silent_drop"] > 3
    assert found.excess == 0
    assert phantoms.longest_s[True] < tuned.verify_s + tuned.cycle_s
    assert phantoms.longest_s[False] < LIFE_S + LOOKS_S
    assert (found.position, found.resting) == (0, 0)


def test_a_position_that_somebody_else_shrinks_loses_its_excess():
    async def meddle(exchange, config):
        await asyncio.sleep(60.0)
        async with await LighterDealer.create(
            dataclasses.replace(config, symbol="ETH", unknown_orders="adopt"),
            environment=exchange.environment,
        ) as other:
            held = await other.fetch_my_position()
            assert held > 0
            await other.close_position(size=held / 2)

    tuned = LadderParameters(seconds=300.0)
    found, *_ = played(tuned, meddle=meddle)
    assert found.excess > 0, "nobody shrank it"
    assert found.longest_excess_s < tuned.cycle_s + DOUBTFUL_AFTER_S
    assert (found.position, found.resting) == (0, 0)


def test_parameters_come_from_the_environment():
    tuned, symbol = from_environment(
        {
            "TREND_LADDER_SYMBOL": "BTC",
            "TREND_LADDER_SIDE": "sell",
            "TREND_LADDER_SIZE": "0.01",
            "TREND_LADDER_RUNGS": "2",
            "TREND_LADDER_CYCLE_S": "0.5",
            "PATH": "/bin",
        }
    )
    assert symbol == "BTC"
    assert (tuned.side, tuned.size, tuned.rungs) == ("sell", Decimal("0.01"), 2)
    assert tuned.cycle_s == 0.5
    assert from_environment({}) == (LadderParameters(), "ETH")


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("TREND_LADDER_SIDE", "up", "TREND_LADDER_SIDE: 'up'"),
        ("TREND_LADDER_SIZE", "much", "TREND_LADDER_SIZE: 'much'"),
        ("TREND_LADDER_SIZE", "0", "size: 0 is not above 0"),
        ("TREND_LADDER_SIZE", "5", "size: 5 is above max_position"),
        ("TREND_LADDER_STEP", "nan", "step: NaN is not above 0"),
        ("TREND_LADDER_RUNGS", "0", "rungs: 0 is not within"),
        ("TREND_LADDER_REQUOTE", "-1", "requote: -1 is not 0"),
        ("TREND_LADDER_REQUOTE", "0.3", "requote: 0.3 is not below half the step"),
        ("TREND_LADDER_SIZ", "1", "there is TREND_LADDER_SIZE"),
    ],
)
def test_what_cannot_work_is_named_with_its_variable(variable, text, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        from_environment({variable: text})


def test_a_size_below_a_lot_is_refused():
    tuned = LadderParameters(size=Decimal("0.00001"))
    with pytest.raises(ConfigError, match=r"size: 0\.00001 is below the"):
        rules_of(tuned, market_named("ETH"))


def test_the_card_says_whether_all_is_covered_and_escapes_what_it_shows():
    page = card_text("ETH", {"gap": "<b>"}, is_covered=False, unix_s=0)
    assert "ETH: not covered" in page
    assert "&lt;b&gt;" in page
    assert "1970-01-01 00:00:00 UTC" in page
    assert "ETH: covered" in card_text("ETH", {}, is_covered=True, unix_s=0)


async def script(name, *arguments, folder, **environment):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(FOLDER / f"{name}.py"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(folder),
            **environment,
        },
        cwd=folder,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60.0)
    return process.returncode, out.decode(), err.decode()


async def test_the_script_runs_ends_flat_and_writes_its_card(tmp_path):
    code, out, err = await script(
        "run_trend_ladder",
        *("--seconds", "6"),
        folder=tmp_path,
        TREND_LADDER_CARD="card.html",
        TREND_LADDER_TELEMETRY_S="1",
    )
    assert code == 0, err
    assert "market ETH" in out
    assert re.search(r"tp verify \d+: executed", err)
    assert "telemetry: position 0.0000, covered 0.0000" in err.splitlines()[-1]
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "ETH: covered" in page
    assert not list(tmp_path.glob(".card*"))


async def test_a_wrong_variable_ends_the_script_in_one_line(tmp_path):
    code, _, err = await script(
        "run_trend_ladder", folder=tmp_path, TREND_LADDER_SIDE="up"
    )
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "TREND_LADDER_SIDE" in err


async def test_the_first_diagnosis_finds_the_gap_by_both_ways(tmp_path):
    code, out, err = await script("open_orders_vs_coverage", folder=tmp_path)
    assert (code, err) == (1, "")
    assert "stream: a gap of 0.0200" in out
    assert "REST: a gap of 0.0200" in out


async def test_the_second_diagnosis_names_the_order_that_covers_nothing(tmp_path):
    code, out, err = await script("side_vs_reduce_only", folder=tmp_path)
    assert (code, err) == (1, "")
    assert "on the closing side 0.0500" in out
    assert "reduce-only of that 0.0300" in out
    assert re.search(r"not reduce-only: client order index \d+", out)
