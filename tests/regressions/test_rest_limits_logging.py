"""D41 to D48: requests, limits, tokens, logs and the end of a session."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

import pytest

from wrappy import (
    LighterDealer,
    RequestTimeoutError,
    SendOutcomeUnknownError,
    VenueError,
)
from wrappy.lighter.config import DealerConfig
from wrappy.model import OrderStatus
from wrappy.venue import FaultRule

SEND = "/api/v1/sendTx"
ACTIVE = "/api/v1/accountActiveOrders"
ACCOUNT = "/api/v1/account"


async def place(trader, price=1000, size=0.05):
    return (await trader.create_limit_order(price, size))["client_order_index"]


def created(venue):
    return [o.client_order_index for o in venue.ledger.orders()]


def nonces(venue):
    return [tx.nonce for tx in venue.ledger.accepted()]


class Listening:
    """Opens REST connections that keep the tokens they are given."""

    def __init__(self, open_rest):
        self._open_rest = open_rest
        self.tokens = []

    def __call__(self, base_url, **settings):
        return Listener(self._open_rest(base_url, **settings), self.tokens)


class Listener:
    def __init__(self, connection, tokens):
        self._connection, self._tokens = connection, tokens

    async def get(self, path, params=None, *, token=None):
        if token is not None:
            self._tokens.append(token)
        return await self._connection.get(path, params, token=token)

    async def post_form(self, path, form):
        return await self._connection.post_form(path, form)

    async def aclose(self):
        await self._connection.aclose()


async def test_d41_calls_share_a_connection_and_none_waits_for_minutes(
    quiet_venue, dealer, tap_on, relay_to
):
    assert DealerConfig().request_timeout_s <= 10
    tap = await tap_on(quiet_venue)
    trader = await dealer(tap)
    for step in range(10):
        await place(trader, 1000 + step)
        await trader.flush()
        await trader.fetch_open_orders()
    assert tap.connections == 1

    relay = await relay_to(quiet_venue)
    hasty = await dealer(relay, account=1, request_timeout_s=0.1)
    relay.hold_answer(ACCOUNT, times=9)
    began = asyncio.get_running_loop().time()
    with pytest.raises(RequestTimeoutError):
        await hasty.fetch_my_balance()
    assert asyncio.get_running_loop().time() - began < 10
    relay.release.set()


async def test_d42_a_token_travels_in_a_header_and_never_in_an_address(
    quiet_venue, dealer, tap_on
):
    tap = await tap_on(quiet_venue)
    trader = await dealer(tap)
    await trader.fetch_open_orders()
    await trader.fetch_my_balance()
    await trader.fetch_my_trades()
    lines = bytes(tap.heard).decode().split("\r\n")
    (token,) = {
        line.split(": ", 1)[1]
        for line in lines
        if line.lower().startswith("authorization: ")
    }
    addresses = [line for line in lines if line.endswith(" HTTP/1.1")]
    assert len(addresses) > 3
    assert not [line for line in addresses if "auth" in line or token in line]
    assert not [line for line in addresses if token.split(":")[-1] in line]


@pytest.mark.parametrize("tier", ["standard", "premium"])
def test_d43_the_pace_is_the_accounts_own_and_weighs_each_question(simulated, tier):
    async def scenario(exchange, opened):
        # Nobody has said which tier it is: the exchange is asked.
        trader = await opened(standard_account=None)
        loop = asyncio.get_running_loop()

        async def reads():
            for _ in range(45):
                await trader.fetch_my_trades(1)

        async def sends():
            for step in range(45):
                await place(trader, 1000 + step % 20)
                if step % 20 == 19:
                    await trader.cancel_all_orders()
                await trader.flush()

        began = loop.time()
        await asyncio.gather(reads(), sends())
        assert not exchange.ledger.refused()
        return loop.time() - began

    # Any refusal for the rate would have been raised by one of the two.
    took_s = simulated(scenario, tier=tier, enforce_limits=True)
    # 45 trades of weight 600 need more than the 24000 of one minute.
    assert took_s > 60
    assert took_s < (240 if tier == "standard" else 130)


def test_d44_reads_are_tried_again_and_writes_are_settled(simulated):
    async def scenario(exchange, opened):
        trader = await opened()
        await place(trader)
        await trader.flush()
        passing = [
            FaultRule(act="drop", path=ACTIVE, times=1),
            FaultRule(act="status", code=503, html=True, path=ACTIVE, times=1),
            FaultRule(act="drop", phase="reply", path=ACTIVE, times=1),
        ]
        for rule in passing:
            exchange.faults.add(rule)
        assert len(await trader.fetch_open_orders()) == 1

        exchange.faults.add(FaultRule(act="status", code=400, path=ACTIVE, times=1))
        with pytest.raises(VenueError):  # a plain no is not asked for twice
            await trader.fetch_open_orders()
        assert len(await trader.fetch_open_orders()) == 1

        exchange.faults.add(FaultRule(act="drop", path=SEND, times=2))
        lost = await place(trader, 1001)
        with pytest.raises(SendOutcomeUnknownError):
            await trader.flush()
        await trader.flush()
        assert created(exchange)[1:] == [lost]
        assert nonces(exchange) == [1, 2]

    simulated(scenario)


async def test_d45_logging_is_the_hosts_business(quiet_venue, dealer, capsys):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    trader = await dealer(quiet_venue)
    await place(trader)
    await trader.flush()
    assert (root.level, root.handlers) == before
    ours = [
        found
        for name, found in logging.Logger.manager.loggerDict.items()
        if name.split(".")[0] in ("wrappy", "LighterDealer")
        and isinstance(found, logging.Logger)
    ]
    assert ours
    assert all(not logger.handlers and logger.propagate for logger in ours)
    assert {logger.level for logger in ours} == {logging.NOTSET}
    output = capsys.readouterr()
    assert not output.out + output.err


async def test_d46_signed_bytes_are_never_logged(quiet_venue, dealer, relay_to, caplog):
    relay = await relay_to(quiet_venue)
    with caplog.at_level(logging.DEBUG):
        trader = await dealer(relay)
        await place(trader)
        await trader.flush()
        relay.lose_answer(SEND)
        await place(trader, 1001)
        with pytest.raises(SendOutcomeUnknownError):
            await trader.flush()
        await trader.flush()
        relay.answer(SEND, {"code": 21733}, status=400)
        await place(trader, 1002)
        with pytest.raises(VenueError):
            await trader.flush()
    ours = "\n".join(
        record.getMessage() + str(record.exc_text or "")
        for record in caplog.records
        if record.name.split(".")[0] in ("wrappy", "LighterDealer")
    )
    assert "sending: txs=1" in ours
    sent = [form for path, form in relay.requests if path == SEND]
    assert len(sent) >= 4
    for form in sent:
        assert '"Sig"' in form["tx_info"]
    for tx in quiet_venue.ledger.accepted():
        assert tx.info["Sig"] not in ours
    assert '"Sig"' not in ours


def test_d47_a_token_lives_for_hours_by_a_clock_that_may_be_wrong(simulated):
    async def scenario(exchange, opened):
        loop = asyncio.get_running_loop()
        for skew_s in (0, 4_500, -4_500):
            listening = Listening(exchange.environment.open_rest)
            environment = dataclasses.replace(
                exchange.environment,
                open_rest=listening,
                unix_s=lambda skew_s=skew_s: exchange.environment.unix_s() + skew_s,
            )
            trader = await opened(environment=environment)
            ends = loop.time() + 4.5 * 3600
            while loop.time() < ends:
                await trader.fetch_open_orders()
                await asyncio.sleep(600)
            assert len(listening.tokens) >= 27
            assert len(set(listening.tokens)) == 1, "not one every ten minutes"
            await asyncio.sleep(1.5 * 3600)
            # By a clock that is slow the old one is still good; the exchange knows
            # better, and the question is asked again with a new one.
            await trader.fetch_open_orders()
            assert len(set(listening.tokens)) == 2
            deadline_s = int(listening.tokens[-1].split(":")[0])
            assert deadline_s - environment.unix_s() == pytest.approx(6 * 3600, abs=2)
            await trader.aclose()

    simulated(scenario, verify=False)


async def test_d48_a_close_loses_nothing_silently(
    quiet_venue, config_for, relay_to, caplog
):
    relay = await relay_to(quiet_venue)
    config = config_for(relay, request_timeout_s=0.3)
    with caplog.at_level(logging.WARNING):
        trader = await LighterDealer.create(config)
        lost = await place(trader)
        relay.lose_request(SEND, times=1_000)
        with pytest.raises(SendOutcomeUnknownError):
            await trader.flush()
        waiting = await place(trader, 1001)
        await trader.aclose()
    told = {
        number: [r.levelno for r in caplog.records if str(number) in r.getMessage()]
        for number in (lost, waiting)
    }
    assert logging.ERROR in told[lost]
    assert logging.WARNING in told[waiting]
    assert trader.orders.get(lost).status is OrderStatus.UNKNOWN
    # The next start knows of it: nothing else takes its number before it is settled.
    assert not quiet_venue.ledger.accepted()
    async with await LighterDealer.create(config_for(quiet_venue)) as successor:
        placed = await place(successor, 1002)
        await successor.flush()
    assert created(quiet_venue) == [placed]
