"""Nonces and verdicts of the sender, with a signer and a door of the test's own."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import threading
import time

import pytest

from wrappy import ConnectError, LaneHeldError, SignerError, UsageError, VenueError
from wrappy._core.batch import Queued
from wrappy.errors import OrderNotFoundError, RequestTimeoutError
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.doors import SendReply
from wrappy.lighter.link import ExchangeLink
from wrappy.lighter.sender import EXPIRY_SLACK_MS, TX_NOT_FOUND, Sender
from wrappy.protocol.transactions import CancelOrder
from wrappy.signing.null import NullSigner
from wrappy.signing.worker import signing_thread


class Door:
    """Answers with what it is given, in order."""

    def __init__(self):
        self.answers = []
        self.sent = []

    async def send(self, transactions):
        self.sent.append(tuple(transactions))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException):
            raise answer
        hashes = tuple(tx.tx_hash for tx in transactions) if answer is None else answer
        return SendReply(hashes, None, None, "")


class Rest:
    def __init__(self):
        self.next_nonce = 10
        self.known = False

    async def get(self, path, _=None, **__):
        if path.endswith("nextNonce"):
            return {"nonce": self.next_nonce}
        if not self.known:
            raise VenueError(TX_NOT_FOUND, "no such transaction", path)
        return {"code": 200}


class Desk:
    def __init__(self, signer=None):
        config = DealerConfig(base_url="http://127.0.0.1:1", standard_account=False)
        link = ExchangeLink(config)
        self.lane = link.lane(5, 4)
        self.door, self.rest = Door(), Rest()
        self.lost, self.verdicts = [], []
        self._numbers = itertools.count(1)
        self.sender = Sender(
            config,
            link=link,
            lane=self.lane,
            signer=signer or NullSigner(account_index=5, api_key_index=4, chain_id=304),
            worker=signing_thread(),
            rest=self.rest,
            door=self.door,
        )

    async def send(self):
        intent = CancelOrder(market_index=0, index=next(self._numbers))
        entry = Queued(intent, intent.index, is_cancel=True)
        return await self.sender.send(
            [entry],
            on_lost=self.lost.extend,
            on_settled=lambda _, executed: self.verdicts.append(executed),
        )

    async def lose(self):
        self.door.answers.append(RequestTimeoutError("nothing came"))
        results = await asyncio.gather(self.send(), return_exceptions=True)
        return results[0]


class BrokenSigner(NullSigner):
    def sign_many(self, *_, **__):
        raise SignerError("the library is gone")


async def test_a_signer_that_fails_costs_no_nonce():
    desk = Desk(BrokenSigner(account_index=5, api_key_index=4, chain_id=304))
    with pytest.raises(SignerError):
        await desk.send()
    assert desk.lane.nonces.next_nonce == 10
    assert desk.door.sent == []
    assert desk.lost == []


async def test_a_failure_nobody_foresaw_is_a_doubt_and_no_second_try():
    desk = Desk()
    desk.door.answers.append(RuntimeError("of the HTTP library"))
    with pytest.raises(RuntimeError):
        await desk.send()
    assert len(desk.lost) == 1, "it may have left: it must not wait to be sent anew"
    await desk.send()
    assert [batch[0].nonce for batch in desk.door.sent] == [10, 10, 11]
    assert desk.door.sent[0] == desk.door.sent[1], "the very same bytes"
    assert desk.verdicts == [True]


async def test_a_failure_before_anything_left_frees_the_nonce():
    desk = Desk()
    desk.door.answers.append(ConnectError("closed"))
    with pytest.raises(ConnectError):
        await desk.send()
    assert desk.lane.nonces.next_nonce == 10
    assert desk.lost == []


async def test_closing_waits_for_the_answer_and_lets_nothing_else_out():
    desk = Desk()
    gate, entered = asyncio.Event(), asyncio.Event()
    answered = desk.door.send

    async def slow(transactions):
        entered.set()
        await gate.wait()
        return await answered(transactions)

    desk.door.send = slow
    under_way, waiting = (asyncio.create_task(desk.send()) for _ in range(2))
    await entered.wait()
    closing = asyncio.create_task(desk.sender.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    gate.set()
    await closing
    assert (await under_way).transactions[0].nonce == 10
    with pytest.raises(UsageError, match="closed meanwhile"):
        await waiting
    assert len(desk.door.sent) == 1
    assert desk.lane.nonces.next_nonce == 11


async def test_closing_while_signing_costs_no_nonce():
    class SlowSigner(NullSigner):
        def sign_many(self, *arguments, **keywords):
            signing.set()
            go_on.wait(5.0)
            return super().sign_many(*arguments, **keywords)

    signing, go_on = threading.Event(), threading.Event()
    desk = Desk(SlowSigner(account_index=5, api_key_index=4, chain_id=304))
    sending = asyncio.create_task(desk.send())
    await asyncio.to_thread(signing.wait, 5.0)
    await desk.sender.aclose()
    go_on.set()
    with pytest.raises(UsageError):
        await sending
    assert desk.door.sent == []
    assert desk.lane.nonces.next_nonce == 10


async def test_foreign_hashes_in_an_acceptance_are_told(caplog):
    desk = Desk()
    desk.door.answers.append(("somebody else's",))
    await desk.send()
    assert "other hashes" in caplog.text
    assert desk.lane.nonces.next_nonce == 11


async def test_a_doubt_ends_as_executed_when_the_hash_is_known():
    desk = Desk()
    await desk.lose()
    assert len(desk.lost) == 1
    desk.door.answers.append(OrderNotFoundError(21600, "gone"))
    desk.rest.known, desk.rest.next_nonce = True, 11
    await desk.send()
    assert desk.verdicts == [True]
    assert [batch[0].nonce for batch in desk.door.sent] == [10, 10, 11]
    assert desk.door.sent[0] == desk.door.sent[1], "the very same bytes"


async def test_a_doubt_ends_as_dead_only_with_proof():
    desk = Desk()
    await desk.lose()
    desk.door.answers.append(OrderNotFoundError(21600, "gone"))
    with pytest.raises(LaneHeldError):
        await desk.send()
    assert desk.verdicts == []
    desk.door.answers.append(OrderNotFoundError(21600, "gone"))
    desk.rest.next_nonce = 11
    await desk.send()
    assert desk.verdicts == [False]
    assert [batch[0].nonce for batch in desk.door.sent] == [10, 10, 10, 11]


async def test_bytes_that_expired_unseen_are_dead_and_their_nonce_is_free():
    desk = Desk()
    await desk.lose()
    (batch,) = desk.lane.doubtful
    long_ago = int(time.time() * 1000) - EXPIRY_SLACK_MS - 1
    batch.transactions = (
        dataclasses.replace(batch.transactions[0], expired_at_ms=long_ago),
    )
    desk.door.answers.append(OrderNotFoundError(21600, "expired"))
    await desk.send()
    assert desk.verdicts == [False]
    assert desk.door.sent[-1][0].nonce == 10


async def test_a_copy_that_lands_while_we_ask_is_seen():
    desk = Desk()
    await desk.lose()
    desk.door.answers.append(OrderNotFoundError(21600, "repeat"))
    asked = desk.rest.get

    async def get(path, params=None):
        answer = await asked(path, params)
        if path.endswith("nextNonce"):
            desk.rest.known, desk.rest.next_nonce = True, 11
        return answer

    desk.rest.get = get
    await desk.send()
    assert desk.verdicts == [True]
