"""Fences of doubts while the process lives: what is signed, sent and booked."""

from __future__ import annotations

import asyncio
import itertools
import time
from functools import partial

import pytest

from wrappy._core.batch import Queued
from wrappy._core.journal_rows import SendStage
from wrappy._core.settlement import SettledAs
from wrappy.errors import (
    OrderRejectedError,
    RequestTimeoutError,
    SendOutcomeUnknownError,
    SignerError,
    VenueError,
)
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.environment import NATIVE
from wrappy.lighter.link import ExchangeLink
from wrappy.lighter.sending.doubts import DoubtfulBatch
from wrappy.lighter.sending.fences import SignedInDoubt
from wrappy.lighter.sending.sender import Listeners, Sender
from wrappy.lighter.sending.settling import is_carried_out, stage_of_verdict
from wrappy.lighter.sending.way import TX_NOT_FOUND, Way
from wrappy.lighter.wire.doors import SendReply
from wrappy.protocol.intents import (
    CancelAllOrders,
    CancelOrder,
    CreateGroupedOrders,
    CreateOrder,
    ModifyOrder,
    TxType,
)
from wrappy.signing.null import NullSigner
from wrappy.signing.worker import signing_thread

FIRST = 10
LOST = RequestTimeoutError("nothing came")
BAND = OrderRejectedError(21733, "price too far from the mark price", "/sendTx")
GONE = OrderRejectedError(21600, "not an active order", "/sendTx")


class Exchange:
    """Door and reads: refuses the first transaction's copies, takes its fences.

    Attributes:
        sent: everything that came, a tuple for each request.
        fences: answers to fences, in order; then they are accepted.
        lets: after so many requests copies are accepted too.
    """

    def __init__(self):
        self.next_nonce = FIRST
        self.known = set()
        self.sent = []
        self.fences = []
        self.lets = 1_000

    async def send(self, transactions, *, written=None):
        del written
        first = not self.sent
        is_copy = self.sent and transactions == self.sent[0]
        self.sent.append(tuple(transactions))
        if first:
            raise LOST
        if is_copy and len(self.sent) < self.lets:
            raise BAND
        answer = self.fences.pop(0) if self.fences and not is_copy else None
        if answer is not None:
            raise answer
        self.next_nonce = transactions[-1].nonce + 1
        hashes = tuple(tx.tx_hash for tx in transactions)
        self.known.update(hashes)
        return SendReply(hashes, None, None, "")

    async def get(self, path, params=None, **_):
        if path.endswith("nextNonce"):
            return {"nonce": self.next_nonce}
        if path == "/":
            return {"timestamp": int(time.time())}
        if params["value"] not in self.known:
            raise VenueError(TX_NOT_FOUND, "no such transaction", path)
        return {"code": 200}

    @property
    def last(self):
        return self.sent[-1]


class MovingSigner(NullSigner):
    """Fails at the signatures that it is told to."""

    def __init__(self, *, fails=()):
        super().__init__(account_index=5, api_key_index=4, chain_id=304)
        self.calls = itertools.count(1)
        self.fails = set(fails)

    def sign_many(self, *args, **kwargs):
        if next(self.calls) in self.fails:
            raise SignerError("the library is gone")
        return super().sign_many(*args, **kwargs)


class Desk:
    def __init__(self, tmp_path, *, signer=None, **settings):
        self.config = DealerConfig(
            base_url="http://127.0.0.1:1",
            standard_account=False,
            request_timeout_s=5.0,
            ip_weight_per_minute=10_000_000,
            state_dir=str(tmp_path),
            **settings,
        )
        link = ExchangeLink(self.config)
        self.lane = link.lane(5, 4)
        self.exchange = Exchange()
        self.verdicts = []
        self.sender = Sender(
            self.config,
            link=link,
            lane=self.lane,
            signer=signer or MovingSigner(),
            environment=NATIVE,
            rest=self.exchange,
            door=self.exchange,
        )

    async def lose(self, *intents):
        entries = [
            Queued(intent, None, is_cancel=isinstance(intent, CancelOrder))
            for intent in intents
        ]
        with pytest.raises(SendOutcomeUnknownError):
            await self.sender.send(
                entries,
                Listeners(
                    on_lost=lambda _, __: None,
                    on_settled=lambda _, __, done: self.verdicts.extend(done),
                ),
            )

    async def settled(self):
        """Wait until it is; return the fence that went last."""
        await asyncio.wait_for(self.sender.settle(), 5.0)
        return [SignedInDoubt.of(tx) for tx in self.exchange.last if tx.nonce >= FIRST]


@pytest.fixture
async def opened(tmp_path):
    """Return a function that makes desks with an open lane, and without a journal."""
    desks = []

    async def made(**settings):
        desk = Desk(tmp_path, **settings)
        await desk.lane.open(desk.config, signing_thread())
        desks.append(desk)
        return desk

    yield made
    for desk in desks:
        await desk.sender.aclose()
        await desk.lane.close(signing_thread())


def order(number=7, market=2):
    return CreateOrder(market, number, 500, 100_000, is_ask=False)


async def test_the_fence_of_a_new_order_names_an_order_that_never_was(opened):
    desk = await opened()
    await desk.lose(order(7))
    (fence,) = await desk.settled()
    assert fence.tx_type == TxType.CANCEL_ORDER
    assert fence.market_index == 2
    assert fence.client_order_index != 7, "a live order may have that number"
    assert desk.verdicts == [False]
    assert desk.lane.nonces.next_nonce == FIRST + 1


async def test_a_batch_is_fenced_as_one_and_a_cancel_by_itself(opened):
    desk = await opened()
    group = CreateGroupedOrders(2, (order(1, market=3), order(2, market=3)))
    change = ModifyOrder(2, 9, 500, 100_000)
    far = 2**48 + 5
    await desk.lose(
        CancelOrder(2, 8), CancelOrder(2, far), change, group, CancelAllOrders()
    )
    fences = await desk.settled()
    assert [fence.nonce for fence in fences] == list(range(FIRST, FIRST + 5))
    assert {fence.tx_type for fence in fences} == {TxType.CANCEL_ORDER}
    numbers = [fence.client_order_index for fence in fences]
    assert numbers[:2] == [8, far]
    assert not {1, 2, 9} & set(numbers[2:])
    assert desk.verdicts == [True, True, False, False, False]


async def test_a_fence_is_on_disk_before_it_leaves_and_its_end_as_well(opened):
    desk = await opened()
    stages = []
    send = desk.exchange.send

    async def watched(transactions, *, written=None):
        rows = [desk.lane.journal.entry(tx.tx_hash) for tx in transactions]
        stages.append([row and row.stage for row in rows])
        return await send(transactions, written=written)

    desk.exchange.send = watched
    desk.exchange.fences = [LOST]
    await desk.lose(order())
    await desk.settled()
    assert stages == [[SendStage.SIGNED]] * 4
    rows = [desk.lane.journal.entry(tx[0].tx_hash) for tx in desk.exchange.sent]
    assert [row.stage for row in rows] == [
        SendStage.DEAD,
        SendStage.DEAD,
        SendStage.ACCEPTED,
        SendStage.ACCEPTED,
    ]


async def test_a_fence_without_an_answer_goes_again_with_the_same_bytes(opened):
    desk = await opened(journal=False)
    desk.exchange.fences = [LOST, LOST]
    await desk.lose(order())
    await desk.settled()
    assert len(desk.exchange.sent) == 5
    assert len(set(desk.exchange.sent[2:])) == 1
    assert desk.verdicts == [False]


async def test_a_refused_fence_is_over_and_the_copies_go_on(opened):
    desk = await opened()
    desk.exchange.fences = [GONE]
    desk.exchange.lets = 5
    await desk.lose(order())
    await desk.settled()
    copy, fence = desk.exchange.sent[0], desk.exchange.sent[2]
    assert desk.exchange.sent == [copy, copy, fence, copy, copy]
    assert desk.verdicts == [True]
    assert desk.lane.journal.entry(fence[0].tx_hash).stage is SendStage.REFUSED


async def test_a_fence_that_cannot_be_signed_is_tried_again(opened):
    desk = await opened(signer=MovingSigner(fails=[2]))
    await desk.lose(order())
    await desk.settled()
    assert [len(sent) for sent in desk.exchange.sent] == [1] * 4
    assert desk.verdicts == [False]


async def test_where_nothing_new_is_signed_nothing_is_fenced(opened):
    desk = await opened(prefer_high_level=True)
    exchange, lane = desk.exchange, desk.lane
    pace = ExchangeLink(desk.config).pace
    way = Way(5, 4, exchange, exchange, pace, time.time)
    lane.nonces.sync(FIRST)
    nonces = lane.nonces.take(1)
    (tx,) = MovingSigner().sign_many([order()], first_nonce=FIRST)
    ended = []
    exchange.sent, exchange.lets = [(tx,)], 4
    lane.settler.attach(way)
    lane.doubt(doubtful(nonces, tx, partial(ended.append, True)))
    deadline = asyncio.get_running_loop().time() + 5.0
    assert await lane.settler.wait(deadline, unless=asyncio.Event())
    await lane.settler.detach(way, last_try_s=0.0)
    assert exchange.sent == [(tx,)] * 4
    assert ended == [True]


async def test_the_lowest_nonces_in_doubt_are_settled_first(opened):
    desk = await opened()
    exchange, lane = desk.exchange, desk.lane
    lane.nonces.sync(FIRST)
    signer = MovingSigner()
    low, high = lane.nonces.take(1), lane.nonces.take(1)
    ended = []
    for nonces in (high, low):
        (tx,) = signer.sign_many([order(nonces[0])], first_nonce=nonces[0])
        lane.doubt(doubtful(nonces, tx, partial(ended.append, nonces[0])))
    exchange.sent.append(())  # copies are accepted, if their nonce is next
    real = exchange.send

    async def in_order(transactions, *, written=None):
        assert transactions[0].nonce == exchange.next_nonce
        return await real(transactions, written=written)

    exchange.send = in_order
    await desk.sender.settle()
    assert ended == [low[0], high[0]]


def doubtful(nonces, tx, told):
    return DoubtfulBatch(
        nonces,
        (tx,),
        (),
        urgent=False,
        on_lost=lambda: None,
        on_settled=lambda _: told(),
    )


@pytest.mark.parametrize("verdict", list(SettledAs))
def test_only_what_the_exchange_has_is_noted_as_accepted(verdict):
    accepted = verdict is SettledAs.ACCEPTED
    wanted = SendStage.ACCEPTED if accepted else SendStage.DEAD
    assert stage_of_verdict(verdict) is wanted


@pytest.mark.parametrize(
    ("intent", "verdict", "done"),
    [
        (CancelOrder(0, 7), SettledAs.FENCED, True),
        (CancelOrder(0, 7), SettledAs.PASSED, False),
        (order(), SettledAs.FENCED, False),
        (order(), SettledAs.ACCEPTED, True),
    ],
)
def test_a_fenced_cancel_comes_about_and_a_fenced_order_does_not(intent, verdict, done):
    (tx,) = MovingSigner().sign_many([intent], first_nonce=1)
    assert is_carried_out(tx, verdict) is done
