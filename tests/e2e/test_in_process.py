"""One client, two ways to the exchange: the exchange cannot tell them apart."""

from __future__ import annotations

import asyncio

import pytest

from wrappy import DealerConfig, LighterDealer, SendOutcomeUnknownError, WsInfo
from wrappy.lighter.config import ApiKeyConfig
from wrappy.lighter.environment import NATIVE
from wrappy.runner.in_process import InProcessExchange, TravelTimes
from wrappy.runner.virtual_time import run_virtual
from wrappy.venue import FaultRule, Venue, VenueSettings
from wrappy.venue.events import (
    FaultFired,
    OrderChanged,
    TradeExecuted,
    TxAccepted,
    TxExecuted,
    TxRefused,
)

QUIET = VenueSettings(seed=7, flow="none")
UNLIKE = frozenset({"Sig", "L1Sig", "ExpiredAt", "OrderExpiry"})
NUMBERS = frozenset({"ClientOrderIndex", "Index"})
ANSWERED_WITHIN_S = 5.0


def settings_for(place, state, account=0, **changes):
    owner = place.accounts[account]
    return DealerConfig(
        base_url=place.base_url,
        account_index=owner.account_index,
        api_keys=tuple(
            ApiKeyConfig(key.api_key_index, key.api_key_private_key)
            for key in owner.api_keys
        ),
        chain_id=place.chain_id,
        symbol="ETH",
        standard_account=False,
        state_dir=str(state),
        **changes,
    )


async def overlay_on(place, environment, account=0):
    owner = place.accounts[account]
    return await WsInfo.run_overlay(
        owner.account_index,
        owner.api_keys[0].api_key_index,
        owner.api_keys[0].api_key_private_key,
        symbol="ETH",
        base_url=place.base_url,
        chain_id=place.chain_id,
        environment=environment,
    )


def told(ledger):
    """Return a ledger as facts, without times, signatures and drawn numbers."""
    names = {0: 0}

    def name(number):
        return names.setdefault(number, len(names))

    facts = []
    for event in ledger.events:
        if isinstance(event, TxAccepted):
            fields = {
                key: name(value) if key in NUMBERS else value
                for key, value in event.info.items()
                if key not in UNLIKE
            }
            who = (event.account, event.api_key_index, event.nonce)
            facts.append(("accepted", event.tx_type, *who, fields))
        elif isinstance(event, TxExecuted):
            facts.append(("executed", event.tx_type, event.succeeded, event.code))
        elif isinstance(event, TxRefused):
            facts.append(("refused", event.tx_type, event.code, event.nonce))
        elif isinstance(event, OrderChanged):
            order = event.order
            coi = name(order.client_order_index)
            filled = (order.filled_base, order.filled_quote)
            facts.append(("order", coi, order.status, order.price, *filled))
        elif isinstance(event, TradeExecuted):
            trade = event.trade
            facts.append(("trade", trade.price, trade.base, trade.is_maker_ask))
        elif isinstance(event, FaultFired):
            facts.append(("fault", event.act, event.phase, event.where))
    return facts


async def coi_of(waiting):
    return (await waiting)["client_order_index"]


async def play(place, environment, state, *, use_websocket, seen):
    """Trade a little on two accounts; every step waits for its effect."""
    maker = await LighterDealer.create(
        settings_for(place, state, 1, use_websocket=use_websocket),
        environment=environment,
    )
    dealer = await LighterDealer.create(
        settings_for(place, state, 0, use_websocket=use_websocket),
        environment=environment,
    )
    overlay = await overlay_on(place, environment)
    async with maker, dealer, overlay:

        async def until(coi, status):
            while True:
                order = await overlay.wait_order_by_coi(coi, timeout=ANSWERED_WITHIN_S)
                assert order is not None, status
                if order["status"] == status:
                    seen.append((status, order["price"], order["filled_base_amount"]))
                    return
                await asyncio.sleep(0.001)

        await maker.create_limit_order(3001, -0.5)
        await maker.flush()
        low, high = [
            await coi_of(dealer.create_limit_order(2900 + step, 0.1)) for step in (0, 1)
        ]
        result = await dealer.flush()
        seen.append((result["count"], result["batches"]))
        await until(low, "open")
        await until(high, "open")
        await dealer.update_order_by_coi(low, price=2905)
        await dealer.cancel_order_by_coi(high)
        await dealer.flush()
        await until(high, "canceled")
        bought = await coi_of(dealer.create_market_order(0.2, 3100))
        await until(bought, "filled")
        position = await dealer.fetch_my_position()
        seen.append(str(position))
        orders = await dealer.fetch_open_orders()
        seen.append([order["price"] for order in orders])


async def over_sockets(state, *, use_websocket, seen):
    async with Venue(settings=QUIET) as venue:
        await play(venue, NATIVE, state, use_websocket=use_websocket, seen=seen)
        return told(venue.ledger)


def in_process(state, *, use_websocket, seen, signer="python", settings=QUIET):
    async def main():
        async with InProcessExchange(settings, signer=signer) as exchange:
            await play(
                exchange,
                exchange.environment,
                state,
                use_websocket=use_websocket,
                seen=seen,
            )
            return told(exchange.ledger)

    return run_virtual(main)


@pytest.mark.parametrize("use_websocket", [False, True], ids=["rest", "websocket"])
def test_both_ways_leave_the_same_ledger_and_tell_the_client_the_same(
    tmp_path, use_websocket
):
    here, there = [], []
    ours = in_process(tmp_path / "a", use_websocket=use_websocket, seen=here)
    theirs = asyncio.run(
        over_sockets(tmp_path / "b", use_websocket=use_websocket, seen=there)
    )
    assert ours == theirs
    assert here == there
    assert any(fact[0] == "trade" for fact in ours)


def test_unsigned_transactions_make_the_same_ledger(tmp_path):
    ledgers = [
        in_process(
            tmp_path / signer,
            use_websocket=False,
            seen=[],
            signer=signer,
            settings=VenueSettings(seed=7, flow="none", verify=signer == "python"),
        )
        for signer in ("python", "null")
    ]
    assert ledgers[0] == ledgers[1]


LOSSES = [
    FaultRule(act="drop", path="/api/v1/sendTx*", times=1),
    FaultRule(act="drop", phase="reply", path="/api/v1/sendTx*", times=1),
    FaultRule(act="truncate", phase="reply", path="/api/v1/sendTx*", times=1),
    FaultRule(act="garbage", phase="reply", path="/api/v1/sendTx*", times=1),
    FaultRule(act="status", code=502, html=True, path="/api/v1/sendTx*", times=1),
    FaultRule(act="status", phase="reply", code=500, path="/api/v1/sendTx*", times=1),
]


@pytest.mark.parametrize("rule", LOSSES, ids=lambda rule: f"{rule.act}-{rule.phase}")
def test_a_loss_ends_alike_over_both_ways(tmp_path, rule):
    async def lossy(place, environment, state, faults):
        config = settings_for(place, state, request_timeout_s=2.0)
        async with await LighterDealer.create(
            config, environment=environment
        ) as dealer:
            faults.add(rule)
            await dealer.create_limit_order(2900, 0.1)
            outcome = "sent"
            try:
                await dealer.flush()
            except SendOutcomeUnknownError:
                outcome = "unknown"
            await dealer.create_limit_order(2901, 0.1)
            await dealer.flush()
            orders = await dealer.fetch_open_orders()
            return outcome, sorted(order["price"] for order in orders)

    async def virtual():
        async with InProcessExchange(QUIET, signer="python") as exchange:
            seen = await lossy(
                exchange, exchange.environment, tmp_path / "a", exchange.faults
            )
            return seen, told(exchange.ledger)

    async def real():
        async with Venue(settings=QUIET) as venue:
            seen = await lossy(venue, NATIVE, tmp_path / "b", venue.faults)
            return seen, told(venue.ledger)

    ours, theirs = run_virtual(virtual), asyncio.run(real())
    assert ours[0] == theirs[0]
    assert len(ours[0][1]) == 2
    assert ours[1] == theirs[1]
    assert any(fact[:3] == ("fault", rule.act, rule.phase) for fact in ours[1])


def test_travel_times_pass_in_virtual_time_only(tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        travel = TravelTimes(request_ms=(200, 200), reply_ms=(300, 300))
        settings = VenueSettings(verify=False, flow="none")
        async with InProcessExchange(settings, travel=travel) as exchange:
            dealer = await LighterDealer.create(
                settings_for(exchange, tmp_path), environment=exchange.environment
            )
            async with dealer:
                await dealer.create_limit_order(2900, 0.1)
                begun = loop.time()
                await dealer.flush()
                first = loop.time() - begun
                await dealer.create_limit_order(2901, 0.1)
                begun = loop.time()
                await dealer.flush()
                return first, loop.time() - begun

    first, second = run_virtual(main)
    assert second == pytest.approx(0.5)
    assert first >= second


def test_the_same_seed_gives_the_same_ledger_hash(tmp_path):
    def course(number):
        async def main():
            travel = TravelTimes(request_ms=(1, 80), reply_ms=(1, 80))
            settings = VenueSettings(seed=3, verify=False, symbols=("ETH",))
            async with InProcessExchange(settings, travel=travel) as exchange:
                exchange.faults.add(
                    FaultRule(act="drop", phase="reply", probability=300_000, times=3)
                )
                overlay = await WsInfo.run_public_trades_simple(
                    "ETH", base_url=exchange.base_url, environment=exchange.environment
                )
                async with overlay:
                    await asyncio.sleep(30)
                    trades = overlay.get_recent_trades(1_000, public=True)
                return exchange.ledger.hash(), exchange.ledger.flow_trades, trades

        return run_virtual(main, epoch_s=1_800_000_000)

    first = course(1)
    assert first == course(2)
    assert first[1] > 10
    assert first[2]
