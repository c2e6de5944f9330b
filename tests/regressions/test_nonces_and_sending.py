"""D9 to D25: one source of nonces, and a caller who always knows what was sent."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging

import pytest

from wrappy import (
    ConnectError,
    DealerConfig,
    InvalidOrderError,
    LighterDealer,
    OrderRejectedError,
    SendOutcomeUnknownError,
    SignerError,
    WrappyError,
)
from wrappy.lighter.environment import NATIVE
from wrappy.model import OrderStatus
from wrappy.protocol.tiers import BATCH_LIMIT
from wrappy.runner.in_process import TravelTimes
from wrappy.venue import FaultRule

SEND, BATCH = "/api/v1/sendTx", "/api/v1/sendTxBatch"
NONCE = "/api/v1/nextNonce"
CREATE, CANCEL = 14, 15


class Detours:
    """Opens REST connections whose orders can be led to where nobody listens."""

    def __init__(self):
        self.nowhere = False

    def __call__(self, base_url, **settings):
        return Detour(self, base_url, settings)


class Detour:
    def __init__(self, detours, base_url, settings):
        self._detours = detours
        self._usual = NATIVE.open_rest(base_url, **settings)
        self._other = NATIVE.open_rest("http://127.0.0.1:1", **settings)

    async def get(self, path, params=None, *, token=None):
        return await self._usual.get(path, params, token=token)

    async def post_form(self, path, form):
        way = self._other if self._detours.nowhere else self._usual
        return await way.post_form(path, form)

    async def aclose(self):
        await self._usual.aclose()
        await self._other.aclose()


@pytest.fixture
async def detoured(quiet_venue, config_for, relay_to):
    """A relay, a dealer behind it, and what leads its orders astray."""
    relay, detours = await relay_to(quiet_venue), Detours()
    environment = dataclasses.replace(NATIVE, open_rest=detours)
    async with await LighterDealer.create(
        config_for(relay), environment=environment
    ) as trader:
        yield relay, trader, detours


async def place(trader, price=1000, size=0.05):
    return (await trader.create_limit_order(price, size))["client_order_index"]


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


def nonces(venue):
    return [tx.nonce for tx in venue.ledger.accepted()]


def main_key(config):
    return {"api_keys": config.api_keys[:1]}


async def test_d09_limits_markets_and_dry_runs_share_one_source_of_nonces(
    quiet_venue, dealer, config_for
):
    one_key = main_key(config_for(quiet_venue))
    trader = await dealer(quiet_venue, **one_key)
    dry = await dealer(quiet_venue, prefer_high_level=True, **one_key)
    for step in range(4):
        await place(trader, 1000 + step)
        await trader.flush()
        await place(dry, 900)
        assert (await dry.flush())["dry_run"]
        await trader.create_market_order(0.05, 3100)
    assert nonces(quiet_venue) == list(range(1, 9))
    assert not quiet_venue.ledger.refused()


async def test_d10_a_market_order_leaves_behind_the_limits_that_wait(
    quiet_venue, dealer, config_for, eventually
):
    trader = await dealer(quiet_venue, **main_key(config_for(quiet_venue)))
    waiting = [await place(trader, 1000 + step) for step in range(3)]
    sent = await trader.create_market_order(0.05, 3100)
    assert nonces(quiet_venue) == [1, 2, 3, 4]
    expected = [*waiting, sent["client_order_index"]]
    await eventually(lambda: created(quiet_venue) == expected)
    assert (await trader.flush())["count"] == 0


FAILURES = {
    "declined": (OrderRejectedError, OrderStatus.REJECTED),
    "lost": (SendOutcomeUnknownError, OrderStatus.UNKNOWN),
    "unreachable": (ConnectError, OrderStatus.QUEUED),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_d11_a_failed_send_raises_and_says_what_is_known(detoured, failure):
    relay, trader, detours = detoured
    coi = await place(trader)
    if failure == "declined":
        relay.answer(SEND, {"code": 21733, "message": "accidental price"}, status=400)
    elif failure == "lost":
        relay.lose_answer(SEND)
    else:
        detours.nowhere = True
    kind, status = FAILURES[failure]
    with pytest.raises(kind):
        await trader.flush()
    assert trader.orders.get(coi).status is status


TROUBLE = [
    FaultRule(act="status", code=400, path=SEND, times=1),
    FaultRule(act="status", code=429, path=SEND, times=1),
    FaultRule(act="status", code=405, html=True, path=SEND, times=1),
    FaultRule(act="status", code=500, path=SEND, times=1),
    FaultRule(act="status", code=502, html=True, phase="reply", path=SEND, times=1),
    FaultRule(act="drop", path=SEND, times=1),
    FaultRule(act="drop", phase="reply", path=SEND, times=1),
    FaultRule(act="stall", phase="reply", path=SEND, times=1),
    FaultRule(act="garbage", phase="reply", path=SEND, times=1),
    FaultRule(act="bump_nonce", path=SEND, times=1),
]


@pytest.mark.parametrize(
    "rule", TROUBLE, ids=lambda rule: f"{rule.act}-{rule.phase}-{rule.code}"
)
def test_d12_after_any_failure_the_next_order_lands_without_a_restart(simulated, rule):
    async def scenario(exchange, opened):
        trader = await opened()
        await place(trader, 1000)
        await trader.flush()
        exchange.faults.add(rule)
        await place(trader, 1001)
        with pytest.raises(WrappyError):
            await trader.flush()
        later = await place(trader, 1002)
        await trader.flush()
        assert later in created(exchange)
        assert len(created(exchange)) == len(set(created(exchange)))
        # A nonce spent by a stranger costs the one refusal that told of it; the copies
        # that settle a doubt are refused when the first one got in.
        known = {tx.tx_hash for tx in exchange.ledger.accepted()}
        strange = [tx for tx in exchange.ledger.refused() if tx.tx_hash not in known]
        assert len(strange) == (rule.act == "bump_nonce")
        assert nonces(exchange) == ([1, 3, 4] if strange else [1, 2, 3][: len(known)])

    simulated(scenario)


class FailsOnce:
    """A signer that fails at its second piece of work."""

    def __init__(self, signer):
        self._signer = signer
        self.calls = 0

    def __getattr__(self, name):
        return getattr(self._signer, name)

    def sign_many(self, intents, *, first_nonce, skip_nonce=False):
        self.calls += 1
        if self.calls == 2:
            raise SignerError("the library says no")
        return self._signer.sign_many(
            intents, first_nonce=first_nonce, skip_nonce=skip_nonce
        )


async def test_d13_what_cannot_be_built_or_signed_spends_no_nonce(
    quiet_venue, config_for
):
    environment = dataclasses.replace(
        NATIVE,
        make_signer=lambda config, key: FailsOnce(NATIVE.make_signer(config, key)),
    )
    config = config_for(quiet_venue)
    async with await LighterDealer.create(config, environment=environment) as trader:
        await place(trader)
        await trader.flush()
        with pytest.raises(InvalidOrderError, match="size"):
            await place(trader, 1000, 0.000001)  # rounds to nothing
        waiting = [await place(trader, 1001), await place(trader, 1002)]
        with pytest.raises(SignerError):
            await trader.flush()
        assert nonces(quiet_venue) == [1]
        await trader.flush()
    assert created(quiet_venue)[1:] == waiting
    assert nonces(quiet_venue) == [1, 2, 3]
    assert not quiet_venue.ledger.refused()


@pytest.mark.parametrize("use_websocket", [False, True], ids=["rest", "websocket"])
def test_d14_a_random_pause_never_shuffles_sends(simulated, use_websocket):
    async def scenario(exchange, opened):
        trader = await opened(use_websocket=use_websocket, jitter_ms=(50, 150))

        async def one(step):
            await asyncio.sleep(step / 1000)
            await place(trader, 1000 + step)
            await trader.flush()

        await asyncio.gather(*map(one, range(20)))
        assert nonces(exchange) == list(range(1, 21))
        assert not exchange.ledger.refused()

    simulated(
        scenario, travel=TravelTimes(request_ms=(1, 300), reply_ms=(1, 300)), seed=5
    )


async def test_d15_the_largest_batch_by_default_is_one_the_exchange_takes(
    quiet_venue, dealer
):
    assert DealerConfig().max_ws_batch == BATCH_LIMIT == 15
    trader = await dealer(quiet_venue)
    cois = [await place(trader, 1000 + step) for step in range(31)]
    assert (await trader.flush())["batches"] == 3
    assert created(quiet_venue) == cois


async def test_d16_the_code_counts_and_each_order_has_its_hash(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    cois = [await place(trader, 1000 + step) for step in range(3)]
    result = await trader.flush()
    told = {row["client_order_index"]: row["tx_hash"] for row in result["orders"]}
    assert told == {
        tx.info["ClientOrderIndex"]: tx.tx_hash for tx in quiet_venue.ledger.accepted()
    }
    assert [trader.orders.get(coi).tx_hash for coi in cois] == result["tx_hash"]

    relay.answer(SEND, {"code": 21733, "message": "no"})  # with status 200
    refused = await place(trader)
    with pytest.raises(OrderRejectedError):
        await trader.flush()
    assert trader.orders.get(refused).status is OrderStatus.REJECTED

    relay.answer(BATCH, {"code": 200, "tx_hash": ["0x1"]})  # one of two
    short = [await place(trader), await place(trader)]
    with pytest.raises(SendOutcomeUnknownError):
        await trader.flush()
    await trader.flush()
    assert created(quiet_venue) == [*cois, *short]


async def test_d17_a_batch_whose_body_raises_sends_and_spends_nothing(
    quiet_venue, dealer
):
    trader = await dealer(quiet_venue)

    async def strategy():
        async with trader.batch():
            await place(trader)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await strategy()
    assert (await trader.flush())["count"] == 0
    assert not quiet_venue.ledger.accepted()
    await place(trader, 1001)
    await trader.flush()
    assert nonces(quiet_venue) == [1]


@pytest.mark.parametrize("failure", ["bad order", "declined", "unreachable"])
async def test_d18_half_of_a_cancel_and_create_never_goes_out_later(
    quiet_venue, detoured, failure
):
    relay, trader, detours = detoured
    resting = await place(trader)
    await trader.flush()
    orders = [(1001, 0.05), (1002, 0.05)]
    if failure == "bad order":
        orders[1] = (1002, 0)
    elif failure == "declined":
        relay.answer(BATCH, {"code": 21733}, status=400)
    else:
        detours.nowhere = True
    with pytest.raises(WrappyError):
        await trader.batch_cancel_and_create([resting], orders)
    detours.nowhere = False
    await place(trader, 999)
    assert (await trader.flush())["count"] == 1
    assert [tx.tx_type for tx in quiet_venue.ledger.accepted()] == [CREATE, CREATE]


async def test_d19_a_batch_is_its_own_tasks_and_nobody_elses(quiet_venue, dealer):
    trader = await dealer(quiet_venue)
    inside, other_is_done = asyncio.Event(), asyncio.Event()
    collected = []

    async def collects():
        async with trader.batch():
            collected.append(await place(trader, 1000))
            inside.set()
            await other_is_done.wait()
            collected.append(await place(trader, 1001))

    collecting = asyncio.create_task(collects())
    await inside.wait()
    apart = await place(trader, 1002)
    assert (await trader.flush())["client_order_indices"] == [apart], "not held"
    assert created(quiet_venue) == [apart], "and nothing swept along"
    other_is_done.set()
    await collecting
    assert created(quiet_venue) == [apart, *collected]


async def test_d20_closing_sends_nothing_and_names_what_it_drops(
    quiet_venue, dealer, caplog
):
    trader = await dealer(quiet_venue)
    dropped = [await place(trader, 1000 + step) for step in range(2)]
    with caplog.at_level(logging.WARNING):
        await trader.aclose()
    assert not quiet_venue.ledger.accepted()
    assert all(str(coi) in caplog.text for coi in dropped)


async def test_d21_a_second_key_carries_takers_past_a_slow_maker_key(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader = await dealer(relay)
    first, second = (key.api_key_index for key in quiet_venue.accounts[0].api_keys[:2])
    await place(trader)
    relay.hold_answer(SEND)
    making = asyncio.create_task(trader.flush())
    await relay.holding.wait()
    await asyncio.wait_for(trader.create_market_order(0.05, 3100), 2.0)
    relay.release.set()
    await making
    used = [(tx.api_key_index, tx.nonce) for tx in quiet_venue.ledger.accepted()]
    assert used == [(first, 1), (second, 1)]


def test_d22_three_dealers_on_one_key_share_its_nonces_and_the_pace(simulated):
    async def scenario(exchange, opened):
        traders = [
            await opened(symbol=symbol, standard_account=True)
            for symbol in ("ETH", "BTC", "ETH")
        ]

        async def trades(trader):
            tick = trader.market.tick_size
            coi = await place(trader, tick * 90_000, 1)
            await trader.flush()
            for step in range(1, 40):
                await trader.update_order_by_coi(coi, tick * (90_000 + step), 1)
                await trader.flush()

        await asyncio.gather(*map(trades, traders))
        assert nonces(exchange) == list(range(1, 121))
        assert not exchange.ledger.refused()
        assert len({trader.requests_used for trader in traders}) == 1
        # Counted as the exchange does: never more than sixty in any minute.
        at = [tx.at_us for tx in exchange.ledger.accepted()]
        assert all(b - a > 60e6 for a, b in zip(at, at[60:], strict=False))

    simulated(scenario, tier="standard", enforce_limits=True)


async def test_d23_asking_for_a_nonce_is_paced_and_holds_nobody_else_up(
    quiet_venue, dealer, relay_to
):
    relay = await relay_to(quiet_venue)
    trader, other = await dealer(relay), await dealer(relay, account=1)
    before, asked = trader.requests_used, len(relay.requests)
    relay.hold_answer(NONCE)
    await place(trader)
    flushing = asyncio.create_task(trader.flush())
    await relay.holding.wait()
    await place(other)
    await asyncio.wait_for(other.flush(), 2.0)
    relay.release.set()
    await flushing
    paths = relay.paths()[asked:]
    assert sorted(paths) == sorted([NONCE, SEND] * 2)
    assert trader.requests_used - before == len(paths), "every one was counted"


async def test_d25_the_panic_button_acts_by_itself(quiet_venue, dealer, eventually):
    trader = await dealer(quiet_venue)
    for step in range(3):
        await place(trader, 1000 + step)
    await trader.flush()
    await trader.cancel_all_orders()
    await eventually(
        lambda: {o.status for o in quiet_venue.ledger.orders()} == {"canceled"}
    )
    assert list(itertools.pairwise(nonces(quiet_venue))) == [(1, 2), (2, 3), (3, 4)]
