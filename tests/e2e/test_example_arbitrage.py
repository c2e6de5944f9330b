"""Arbitrage: when it opens and closes, and that no leg stays alone, whatever fails."""

from __future__ import annotations

import asyncio
import pathlib
import sys
from decimal import Decimal

import pytest

from wrappy.errors import ConfigError
from wrappy.lighter.config import ApiKeyConfig, DealerConfig
from wrappy.model import PriceLevel
from wrappy.runner.engine import TradingEngine
from wrappy.runner.in_process import InProcessExchange
from wrappy.runner.virtual_time import run_virtual
from wrappy.runner.worlds.world import World
from wrappy.venue import FaultRule, VenueSettings
from wrappy.venue.events import TradeExecuted
from wrappy.venue.flow_settings import FlowSettings

pytestmark = pytest.mark.slow

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

from strategies.arbitrage import (  # noqa: E402
    Arbitrage,
    ArbitrageParameters,
    Quote,
    average,
    decide,
)

PAIR = ("ETH", "ETH/USDC")
MEETING = FlowSettings(process="ou", half_life_s=20.0, volatility=1.0, events_per_s=2.0)
"""Two prices that part by tens of basis points and meet again within a minute."""


def quote(bid, ask):
    return Quote(buy=Decimal(ask), sell=Decimal(bid))


TUNED = ArbitrageParameters(
    size=Decimal(1),
    fees=Decimal("0.001"),
    slippage=Decimal(0),
    gain=Decimal("0.001"),
    leave=Decimal(0),
)
EVEN = quote("99.99", "100.00")


@pytest.mark.parametrize(
    ("first", "second", "held", "owned", "target"),
    [
        (EVEN, EVEN, 0, True, 0),
        # 0.3 % is what both ways cost and the gain; a hair less is too little.
        (EVEN, quote("100.30", "100.31"), 0, True, 1),
        (EVEN, quote("100.29", "100.30"), 0, True, 0),
        (quote("100.30", "100.31"), EVEN, 0, True, -1),
        (quote("100.29", "100.30"), EVEN, 0, True, 0),
        # What is not owned cannot be sold; the other way round nothing is.
        (EVEN, quote("101.00", "101.01"), 0, False, 0),
        (quote("101.00", "101.01"), EVEN, 0, False, -1),
        # It is kept until the prices have met, and given back when they have crossed.
        (EVEN, quote("100.20", "100.21"), 1, True, 1),
        (EVEN, quote("99.98", "99.99"), 1, True, 0),
        (quote("100.20", "100.21"), EVEN, -1, True, -1),
        (quote("99.98", "99.99"), EVEN, -1, False, 0),
    ],
)
def test_a_pair_is_opened_beyond_its_costs_and_closed_when_prices_meet(
    first, second, held, owned, target
):
    assert decide(first, second, Decimal(held), TUNED, owned=owned) == target


def test_a_price_is_that_of_the_whole_size():
    levels = [
        PriceLevel(Decimal(100), Decimal(1)),
        PriceLevel(Decimal(102), Decimal(3)),
    ]
    assert average(levels, Decimal(1)) == 100
    assert average(levels, Decimal(2)) == 101
    assert average(levels, Decimal(5)) is None


def test_what_cannot_work_is_refused():
    with pytest.raises(ConfigError, match="above 0"):
        ArbitrageParameters(size=Decimal(0))
    with pytest.raises(ConfigError, match="negative"):
        ArbitrageParameters(fees=Decimal(-1))
    assert Arbitrage(symbols=["BTC"]).symbols == ("BTC", "BTC/USDC")


class Run:
    """What a run left at the exchange."""

    def __init__(self, exchange, report, worst_s):
        owner = exchange.accounts[0].account_index
        state = exchange.engine.exchange.accounts[owner]
        ledger = exchange.ledger
        self.trades = [
            event.trade
            for event in ledger.events
            if isinstance(event, TradeExecuted)
            and owner in (event.trade.ask_account, event.trade.bid_account)
        ]
        self.report, self.worst_s, self.hash = report, worst_s, ledger.hash()
        self.live = [o for o in ledger.orders(owner) if o.status == "open"]
        self.state, self.owner = state, owner

    def net(self, market=None):
        """Return what was bought less what was sold, in lots."""
        return sum(
            trade.base if trade.bid_account == self.owner else -trade.base
            for trade in self.trades
            if market is None or trade.market_index == market
        )

    def most(self):
        """Return the most that was held of a market at any time, in lots, unsigned."""
        found = 0
        for market in {trade.market_index for trade in self.trades}:
            held = 0
            for trade in self.trades:
                if trade.market_index == market:
                    bought = trade.bid_account == self.owner
                    held += trade.base if bought else -trade.base
                    found = max(found, abs(held))
        return found

    def cash(self):
        """Return what the trades brought, fees paid, in USDC."""
        micro = sum(
            (t.quote if t.ask_account == self.owner else -t.quote)
            - (t.taker_fee_amount)
            for t in self.trades
        )
        return Decimal(micro).scaleb(-6)


def run_pair(seconds, faults=(), stop_at_trade=None, strategy=None):
    async def main():
        settings = VenueSettings(
            seed=3, symbols=PAIR, synthetic=(MEETING,), verify=False
        )
        async with InProcessExchange(settings, repeats=True) as exchange:
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
            loop = asyncio.get_running_loop()
            enough = asyncio.Event()
            alone = {"net": 0, "since": None, "worst": 0.0, "count": 0}

            def hear(event):
                if not isinstance(event, TradeExecuted):
                    return
                trade = event.trade
                if owner.account_index not in (trade.ask_account, trade.bid_account):
                    return
                bought = trade.bid_account == owner.account_index
                alone["net"] += trade.base if bought else -trade.base
                alone["count"] += 1
                if alone["net"] and alone["since"] is None:
                    alone["since"] = loop.time()
                elif not alone["net"] and alone["since"] is not None:
                    took = loop.time() - alone["since"]
                    alone["worst"] = max(alone["worst"], took)
                    alone["since"] = None
                if alone["count"] == stop_at_trade:
                    enough.set()

            exchange.ledger.listen(hear)
            for fault in faults:
                exchange.faults.add(fault)
            engine = TradingEngine(
                World(name="venue", config=config, environment=exchange.environment)
            )
            engine.add_strategy(strategy or Arbitrage(symbols=PAIR))
            await engine.start()
            waiting = asyncio.ensure_future(enough.wait())
            await asyncio.wait([waiting], timeout=seconds)
            waiting.cancel()
            report = await engine.stop()
            exchange.engine.catch_up()
            return Run(exchange, report, alone["worst"])

    return run_virtual(main)


def test_it_earns_the_difference_and_holds_as_much_of_one_as_it_owes_in_the_other():
    run = run_pair(600)
    assert not run.report.crashed
    assert run.report.is_clean
    assert run.live == []
    assert len(run.trades) > 6
    assert run.net() == 0
    assert run.cash() > 0, "after fees"
    assert run.worst_s < 1.0
    assert run_pair(600).hash == run.hash


SEND = "/api/v1/sendTx*"


@pytest.mark.parametrize(
    "rule",
    [
        {"act": "drop", "phase": "reply"},
        {"act": "drop", "phase": "request"},
        {"act": "status", "code": 503},
    ],
    ids=lambda rule: f"{rule['act']}-{rule.get('phase', 'request')}",
)
def test_a_leg_that_fails_does_not_leave_the_other_alone(rule):
    run = run_pair(600, [FaultRule(path=SEND, every=4, times=2, **rule)])
    assert not run.report.crashed
    assert run.live == []
    assert len(run.trades) > 6
    assert run.net() == 0
    assert run.worst_s < 40.0


def test_nonces_spent_elsewhere_cost_a_look_and_no_leg():
    rule = FaultRule(act="bump_nonce", count=2, path=SEND, nth=4)
    run = run_pair(600, [rule])
    assert not run.report.crashed
    assert len(run.trades) > 4
    assert run.net() == 0


def test_a_leg_in_doubt_is_waited_for_and_then_the_other_is_given_back():
    """An order that was accepted and never came may come until its bytes expire.

    Those of this signer live five seconds when they trade at once.
    """
    rule = FaultRule(act="silent_drop", phase="after_accept", path=SEND, nth=2)
    run = run_pair(1_500, [rule])
    assert not run.report.crashed
    assert len(run.trades) >= 2
    assert run.net() == 0
    assert 5 < run.worst_s < 15


POSITIONS, ASSETS = "account_all_positions", "account_all_assets"
OWN = (POSITIONS, ASSETS, "account_all_orders", "account_all_trades")


def muted(channels, **rule):
    """Return what befalls the news of channels; their first word passes."""
    return [
        FaultRule(phase="push", path="update/*", channel=channel, **rule)
        for channel in channels
    ]


@pytest.mark.parametrize("delay_ms", [12_000, 30_000, 90_000])
@pytest.mark.parametrize("channels", [(POSITIONS,), (ASSETS,), OWN], ids=len)
def test_no_leg_is_doubled_while_the_stream_is_late(channels, delay_ms):
    run = run_pair(600, muted(channels, act="delay", delay_ms=delay_ms))
    assert not run.report.crashed
    assert len(run.trades) >= 4, "it goes on when the stream has caught up"
    assert run.most() == 1_000, "the size of one pair"
    assert run.net() == 0
    assert run.worst_s < 1.0


@pytest.mark.parametrize("channels", [(POSITIONS,), (ASSETS,), OWN], ids=len)
def test_no_leg_is_doubled_or_alone_when_news_never_come(channels):
    run = run_pair(900, muted(channels, act="drop"))
    assert not run.report.crashed
    assert len(run.trades) >= 2
    assert run.most() == 1_000
    assert run.net() == 0
    assert run.worst_s < 1.0


@pytest.mark.parametrize("count", [1, 2])
def test_whoever_stops_it_between_the_legs_gets_the_second_one(count):
    run = run_pair(300, stop_at_trade=count)
    assert not run.report.crashed
    assert len(run.trades) >= count
    assert run.net() == 0


def test_a_spot_market_cannot_come_first():
    run = run_pair(10, strategy=Arbitrage(symbols=PAIR[::-1]))
    (error,) = run.report.crashed.values()
    assert "name it second" in str(error)
