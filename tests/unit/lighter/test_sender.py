"""Nonces, journal and verdicts of the sender, with a door of the test's own."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from dataclasses import dataclass, field

import pytest

from wrappy import ConnectError, LaneHeldError, SignerError, UsageError, VenueError
from wrappy._core.batch import Queued
from wrappy._core.journal_rows import SendStage
from wrappy.errors import (
    ForeignNonceError,
    JournalError,
    NonceRejectedError,
    OrderNotFoundError,
    RateLimitedError,
    RequestTimeoutError,
    SendOutcomeUnknownError,
)
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.environment import NATIVE, Environment
from wrappy.lighter.link import ExchangeLink
from wrappy.lighter.sending.sender import Listeners, Sender
from wrappy.lighter.sending.way import TX_NOT_FOUND
from wrappy.lighter.wire.doors import SendReply
from wrappy.protocol.codes import error_for
from wrappy.protocol.intents import CancelOrder, CreateOrder
from wrappy.protocol.tiers import QUOTA_EXHAUSTED_WORDS
from wrappy.runner.virtual_time import run_virtual
from wrappy.signing.inline import InlineWorker
from wrappy.signing.null import NullSigner
from wrappy.signing.worker import signing_thread

GONE = (21600, "gone")


class Door:
    """Answers with what it is given, in order; holds answers while it is told to."""

    def __init__(self):
        self.answers = []
        self.sent = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def send(self, transactions, *, written=None):
        self.sent.append(tuple(transactions))
        answer = self.answers.pop(0) if self.answers else None
        self.entered.set()
        if written is not None:
            written()
        await self.gate.wait()
        if isinstance(answer, BaseException):
            raise answer
        hashes = tuple(tx.tx_hash for tx in transactions) if answer is None else answer
        return SendReply(hashes, None, None, "")

    @property
    def nonces(self):
        return [[tx.nonce for tx in batch] for batch in self.sent]


class Rest:
    def __init__(self):
        self.next_nonce = 10
        self.known = False
        self.asked = []

    async def get(self, path, _=None, **__):
        self.asked.append(path)
        if path.endswith("nextNonce"):
            return {"nonce": self.next_nonce}
        if path == "/":
            return {"timestamp": int(time.time())}
        if not self.known:
            raise VenueError(TX_NOT_FOUND, "no such transaction", path)
        return {"code": 200}


@dataclass
class Desk:
    """A sender between a signer, a door and an exchange of the test's own."""

    signer: object = None
    settings: dict = field(default_factory=dict)
    worker: object = None

    def __post_init__(self):
        self.config = DealerConfig(
            base_url="http://127.0.0.1:1",
            standard_account=False,
            request_timeout_s=5.0,
            **self.settings,
        )
        link = ExchangeLink(self.config)
        self.lane, self.pace = link.lane(5, 4), link.pace
        self.door, self.rest = Door(), Rest()
        self.lost, self.hashes, self.verdicts = [], [], []
        self._numbers = itertools.count(1)
        self.sender = Sender(
            self.config,
            link=link,
            lane=self.lane,
            signer=self.signer
            or NullSigner(account_index=5, api_key_index=4, chain_id=304),
            environment=Environment(worker=lambda: self.worker or signing_thread()),
            rest=self.rest,
            door=self.door,
        )

    def note_lost(self, entries, hashes):
        self.lost.extend(entries)
        self.hashes.extend(hashes)

    async def send(self, *, creates=False, count=1, overtakes=False):
        entries = []
        for _ in range(count):
            number = next(self._numbers)
            intent = CancelOrder(market_index=0, index=number)
            if creates:
                intent = CreateOrder(0, number, 500, 100_000, is_ask=False)
            entries.append(Queued(intent, number, is_cancel=not creates))
        return await self.sender.send(
            entries,
            Listeners(
                on_lost=self.note_lost,
                on_settled=lambda _, __, executed: self.verdicts.extend(executed),
            ),
            overtakes=overtakes,
        )

    async def lose(self):
        self.door.answers.append(RequestTimeoutError("nothing came"))
        with pytest.raises(SendOutcomeUnknownError):
            await self.send()


class BrokenSigner(NullSigner):
    def sign_many(self, *_, **__):
        raise SignerError("the library is gone")


@pytest.fixture
async def desk():
    made = Desk()
    yield made
    made.rest.known = True
    await made.sender.aclose()


@pytest.fixture
async def written(tmp_path):
    """A desk with a journal and the lock of its key."""
    made = Desk(settings={"state_dir": str(tmp_path)})
    await made.lane.open(made.config, signing_thread())
    yield made
    made.rest.known = True
    await made.sender.aclose()
    await made.lane.close(signing_thread())


async def test_a_signer_that_fails_costs_no_nonce():
    desk = Desk(BrokenSigner(account_index=5, api_key_index=4, chain_id=304))
    with pytest.raises(SignerError):
        await desk.send()
    assert desk.lane.nonces.next_nonce == 10
    assert desk.door.sent == []
    assert desk.lost == []


async def test_a_failure_nobody_foresaw_is_a_doubt_and_no_second_try(desk):
    desk.door.answers.append(RuntimeError("of the HTTP library"))
    with pytest.raises(RuntimeError):
        await desk.send()
    assert len(desk.lost) == 1, "it may have left: it must not wait to be sent anew"
    await desk.send()
    assert desk.door.nonces == [[10], [10], [11]]
    assert desk.door.sent[0] == desk.door.sent[1], "the very same bytes"
    assert desk.verdicts == [True]


async def test_a_failure_before_anything_left_frees_the_nonce(desk):
    desk.door.answers.append(ConnectError("closed"))
    with pytest.raises(ConnectError):
        await desk.send()
    assert desk.lane.nonces.next_nonce == 10
    assert desk.lost == []


async def test_closing_waits_for_the_answer_and_lets_nothing_else_out(desk):
    desk.door.gate.clear()
    under_way, waiting = (asyncio.create_task(desk.send()) for _ in range(2))
    await desk.door.entered.wait()
    closing = asyncio.create_task(desk.sender.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    desk.door.gate.set()
    await closing
    assert (await under_way).transactions[0].nonce == 10
    with pytest.raises(UsageError, match="closed meanwhile"):
        await waiting
    assert len(desk.door.sent) == 1
    assert desk.lane.nonces.next_nonce == 11


class SlowSigner(NullSigner):
    """Signs when it is told to."""

    def __init__(self):
        super().__init__(account_index=5, api_key_index=4, chain_id=304)
        self.signing, self.go_on = threading.Event(), threading.Event()

    def sign_many(self, *arguments, **keywords):
        self.signing.set()
        self.go_on.wait(5.0)
        return super().sign_many(*arguments, **keywords)


async def test_closing_while_signing_costs_no_nonce():
    desk = Desk(SlowSigner())
    sending = asyncio.create_task(desk.send())
    await asyncio.to_thread(desk.signer.signing.wait, 5.0)
    await desk.sender.aclose()
    desk.signer.go_on.set()
    with pytest.raises(UsageError):
        await sending
    assert desk.door.sent == []
    assert desk.lane.nonces.next_nonce == 10


async def test_foreign_hashes_in_an_acceptance_are_told(desk, caplog):
    desk.door.answers.append(("somebody else's",))
    await desk.send()
    assert "other hashes" in caplog.text
    assert desk.lane.nonces.next_nonce == 11


# ------------------------------------------------------------------- settlement


async def test_a_doubt_ends_as_executed_when_the_hash_is_known(desk):
    await desk.lose()
    assert len(desk.lost) == 1
    assert desk.hashes == [desk.door.sent[0][0].tx_hash]
    desk.door.answers.append(OrderNotFoundError(*GONE))
    desk.rest.known, desk.rest.next_nonce = True, 11
    await desk.send()
    assert desk.verdicts == [True]
    assert desk.door.nonces == [[10], [10], [11]]
    assert desk.door.sent[0] == desk.door.sent[1], "the very same bytes"


async def test_a_nonce_that_is_gone_frees_the_key_and_decides_nothing(desk, caplog):
    await desk.lose()
    desk.door.answers.append(NonceRejectedError(21104, "invalid nonce"))
    desk.rest.next_nonce = 11
    await desk.sender.settle()
    assert desk.verdicts == []
    assert len(desk.door.sent) == 2, "what cannot be taken is not sent again"
    await desk.send()
    assert desk.door.nonces[-1] == [11]
    assert "used by somebody else" not in caplog.text, "it may well be ours"
    desk.rest.known = True
    await desk.sender.aclose()
    assert desk.verdicts == [True]


async def test_what_is_missing_beyond_a_nonce_that_is_gone_was_a_strangers(
    desk, caplog
):
    await desk.lose()
    desk.door.answers.append(NonceRejectedError(21104, "invalid nonce"))
    desk.rest.next_nonce = 13
    await desk.send()
    assert desk.door.nonces[-1] == [13]
    assert "2 nonce(s) were used by somebody else" in caplog.text


async def test_a_held_lane_lets_nothing_out_and_says_why():
    desk = Desk()
    desk.door.answers = [RequestTimeoutError("nothing came")] * 50
    desk.config = DealerConfig(request_timeout_s=0.05)
    patient = desk.sender
    with pytest.raises(SendOutcomeUnknownError):
        await desk.send()
    hurried = Desk(settings={})
    hurried.sender = Sender(
        desk.config,
        link=ExchangeLink(desk.config),
        lane=desk.lane,
        signer=NullSigner(account_index=5, api_key_index=4, chain_id=304),
        environment=NATIVE,
        rest=desk.rest,
        door=desk.door,
    )
    with pytest.raises(LaneHeldError, match="still in doubt"):
        await hurried.send()
    assert {n for batch in desk.door.nonces for n in batch} == {10}
    await hurried.sender.aclose()
    desk.rest.known = True
    await patient.aclose()
    assert desk.verdicts == [True], "settled by the last try"


async def test_what_stays_in_doubt_is_told_by_its_orders(caplog):
    desk = Desk()
    desk.config = DealerConfig(request_timeout_s=0.05)
    desk.door.answers = [RequestTimeoutError("nothing came")] * 50
    desk.sender = Sender(
        desk.config,
        link=ExchangeLink(desk.config),
        lane=ExchangeLink(desk.config).lane(5, 4),
        signer=NullSigner(account_index=5, api_key_index=4, chain_id=304),
        environment=NATIVE,
        rest=desk.rest,
        door=desk.door,
    )
    with pytest.raises(SendOutcomeUnknownError):
        await desk.send()
    await desk.sender.aclose()
    assert "closed while in doubt" in caplog.text
    assert "look for them at the exchange" in caplog.text


async def test_closing_releases_who_waits_for_a_settlement(desk):
    desk.door.answers = [RequestTimeoutError("nothing came")] * 3
    with pytest.raises(SendOutcomeUnknownError):
        await desk.send()
    waiting = asyncio.create_task(desk.send())
    while len(desk.door.sent) < 2:
        await asyncio.sleep(0)
    desk.rest.known = True
    await desk.sender.aclose()
    with pytest.raises(UsageError):
        await waiting


async def test_a_settlement_that_breaks_is_told_and_taken_up_again(desk, caplog):
    await desk.lose()
    desk.door.answers.append(RuntimeError("of the HTTP library"))
    await desk.send()
    assert "settling failed" in caplog.text
    assert desk.verdicts == [True]


# ------------------------------------------------------------------ refused nonce


async def test_after_a_refused_nonce_the_next_send_is_right(desk):
    desk.door.answers.append(NonceRejectedError(21104, "invalid nonce"))
    with pytest.raises(NonceRejectedError):
        await _with_counter(desk, 13)
    asked = len(desk.rest.asked)
    await desk.send()
    assert desk.door.nonces == [[10], [13]]
    assert len(desk.rest.asked) == asked, "the counter was asked for at the refusal"
    assert asked <= 3, "the first counter, and two questions more"
    assert desk.lost == []


async def _with_counter(desk, moved):
    """Send while somebody else moves the counter under us."""
    answered = desk.door.send

    async def send(transactions, **keywords):
        desk.rest.next_nonce = moved
        return await answered(transactions, **keywords)

    desk.door.send = send
    try:
        return await desk.send(creates=True)
    finally:
        desk.door.send = answered


async def test_a_refusal_of_a_second_copy_is_no_refusal(desk):
    """The bytes came twice: the first copy was accepted, the second answered."""
    desk.door.answers.append(NonceRejectedError(21104, "invalid nonce"))
    desk.rest.known = True
    with pytest.raises(SendOutcomeUnknownError):
        await _with_counter(desk, 11)
    await desk.sender.settle()
    assert desk.verdicts == [True]
    await desk.send()
    assert desk.door.nonces[-1] == [11]


async def test_a_refusal_whose_questions_fail_is_a_doubt(desk):
    desk.door.answers.append(NonceRejectedError(21104, "invalid nonce"))
    asked = desk.rest.get

    async def get(path, *arguments, **keywords):
        if desk.door.sent:
            desk.rest.get = asked
            raise RequestTimeoutError("no answer")
        return await asked(path, *arguments, **keywords)

    desk.rest.get = get
    with pytest.raises(SendOutcomeUnknownError):
        await desk.send()
    await desk.sender.settle()
    assert desk.verdicts == [True], "the copy was accepted"


async def test_a_counter_that_lags_behind_a_refusal_is_asked_again(desk):
    desk.door.answers.append(NonceRejectedError(21104, "invalid nonce"))
    asked = desk.rest.get
    told = [10, 10, 11]

    async def get(path, *arguments, **keywords):
        if path.endswith("nextNonce"):
            return {"nonce": told.pop(0)}
        return await asked(path, *arguments, **keywords)

    desk.rest.get = get
    with pytest.raises(NonceRejectedError):
        await desk.send()
    await desk.send()
    assert desk.door.nonces == [[10], [11]]


async def test_a_second_stranger_within_a_minute_stops_new_orders(desk, caplog):
    heard = []
    desk.lane.on_foreign.append(heard.append)
    for moved in (11, 13):
        desk.door.answers.append(NonceRejectedError(21104, "invalid nonce"))
        with pytest.raises(NonceRejectedError):
            await _with_counter(desk, moved)
        if moved == 11:
            await desk.send(creates=True)
    assert "used by somebody else, again" in caplog.text
    with pytest.raises(ForeignNonceError, match="acknowledge"):
        await desk.send(creates=True)
    await desk.send()  # a cancel passes
    assert desk.door.nonces == [[10], [11], [12], [13]]
    desk.lane.foreign.acknowledge()
    await desk.send(creates=True)
    assert heard == [1, 1]


# ------------------------------------------------------------------------ journal


def stages(desk):
    journal = desk.lane.journal
    return [journal.entry(tx.tx_hash).stage for batch in desk.door.sent for tx in batch]


async def test_the_journal_has_it_before_the_bytes_leave(written):
    seen = []
    answered = written.door.send

    async def send(transactions, **keywords):
        entry = written.lane.journal.entry(transactions[0].tx_hash)
        seen.append((entry.stage, entry.tx_info == transactions[0].tx_info))
        return await answered(transactions, **keywords)

    written.door.send = send
    await written.send(creates=True)
    assert seen == [(SendStage.SIGNED, True)]
    assert stages(written) == [SendStage.ACCEPTED]


@pytest.mark.parametrize(
    "error",
    [
        ConnectError("closed"),
        OrderNotFoundError(*GONE),
        RateLimitedError(429, "slow down"),
    ],
)
async def test_the_journal_hears_of_a_refusal(written, error):
    if isinstance(error, RateLimitedError):
        error.retry_after_s = 0.01
    written.door.answers.append(error)
    with pytest.raises(type(error)):
        await written.send()
    assert stages(written) == [SendStage.REFUSED]
    assert written.lane.journal.unresolved() == []


async def test_the_journal_hears_how_a_doubt_ended(written):
    await written.lose()
    assert [e.stage for e in written.lane.journal.unresolved()] == [SendStage.SIGNED]
    await written.sender.settle()
    assert written.lane.journal.unresolved() == []
    written.door.answers += [
        RequestTimeoutError("nothing came"),
        NonceRejectedError(21104, "invalid nonce"),
    ]
    with pytest.raises(SendOutcomeUnknownError):
        await written.send()
    written.rest.next_nonce = 12
    await written.sender.settle()
    assert stages(written)[-1] is SendStage.SIGNED, "only its nonce is known"
    written.rest.known = True
    await written.sender.aclose()
    assert stages(written)[-1] is SendStage.ACCEPTED


async def test_what_was_written_and_never_left_is_struck_out(tmp_path):
    desk = Desk(SlowSigner(), settings={"state_dir": str(tmp_path)})
    await desk.lane.open(desk.config, signing_thread())
    sending = asyncio.create_task(desk.send(creates=True))
    await asyncio.to_thread(desk.signer.signing.wait, 5.0)
    sending.cancel()
    await asyncio.sleep(0)
    desk.signer.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert desk.lane.journal.unresolved() == []
    assert len(desk.lane.journal) == 1
    assert desk.lane.nonces.next_nonce == 10
    assert desk.door.sent == []
    await desk.sender.aclose()
    await desk.lane.close(signing_thread())


class FullJournal:
    """A journal whose disk is full."""

    def __init__(self, path):
        self.path = path

    def write(self, _):
        raise JournalError(self.path, "failed (disk full)", "make room")

    def mark(self, *_):
        """Nothing is there to be marked."""


async def test_a_full_disk_stops_new_orders_and_lets_cancels_out(
    desk, tmp_path, caplog
):
    desk.lane.journal = FullJournal(tmp_path)
    with pytest.raises(JournalError):
        await desk.send(creates=True)
    assert desk.door.sent == []
    assert desk.lane.nonces.next_nonce == 10
    await desk.send()
    assert desk.door.nonces == [[10]]
    assert "cancels go out without a journal" in caplog.text


# ------------------------------------------------------------------------ pipeline


@pytest.fixture
async def deep():
    """A desk that may have three sends without an answer."""
    made = Desk(settings={"use_websocket": True, "pipeline_depth": 3})
    yield made
    made.door.gate.set()
    made.rest.known = True
    await made.sender.aclose()


async def until(holds):
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen in time")


async def test_sends_go_out_in_nonce_order_without_waiting_for_answers(deep):
    deep.door.gate.clear()
    sends = [asyncio.create_task(deep.send()) for _ in range(5)]
    await until(lambda: len(deep.door.sent) == 3)
    await asyncio.sleep(0.01)
    assert deep.door.nonces == [[10], [11], [12]], "the window is full"
    deep.door.gate.set()
    await asyncio.gather(*sends)
    assert deep.door.nonces == [[10], [11], [12], [13], [14]]


async def test_what_falls_with_a_refusal_before_it_is_signed_anew_and_sent(deep):
    deep.door.gate.clear()
    fallen = NonceRejectedError(21104, "invalid nonce")
    deep.door.answers = [OrderNotFoundError(*GONE), fallen, fallen]
    sends = [asyncio.create_task(deep.send()) for _ in range(3)]
    await until(lambda: len(deep.door.sent) == 3)
    deep.door.gate.set()
    first, second, third = await asyncio.gather(*sends, return_exceptions=True)
    assert isinstance(first, OrderNotFoundError)
    assert [sent.transactions[0].nonce for sent in (second, third)] == [10, 11]
    assert deep.door.nonces == [[10], [11], [12], [10], [11]]
    assert not deep.lane.foreign.count, "that was nobody else"


async def test_a_doubt_in_the_pipeline_holds_what_comes_after_it(deep):
    deep.door.gate.clear()
    deep.door.answers = [RequestTimeoutError("nothing came")]
    sends = [asyncio.create_task(deep.send()) for _ in range(2)]
    await until(lambda: len(deep.door.sent) == 2)
    deep.door.gate.set()
    first, second = await asyncio.gather(*sends, return_exceptions=True)
    assert isinstance(first, SendOutcomeUnknownError)
    assert second.transactions[0].nonce == 11
    await deep.send()
    assert deep.door.nonces == [[10], [11], [10], [12]]
    assert deep.verdicts == [True]


# -------------------------------------------------------------------------- pauses


def test_after_a_pause_everybody_is_counted_anew():
    async def scenario():
        desk = Desk(worker=InlineWorker())
        clock = asyncio.get_running_loop().time
        desk.door.gate.clear()
        desk.door.answers.append(RateLimitedError(429, "slow down"))
        first = asyncio.create_task(desk.send())
        await desk.door.entered.wait()
        # Both have been let through and wait for their turn.
        second, third = (
            asyncio.create_task(desk.send(overtakes=True)) for _ in range(2)
        )
        await asyncio.sleep(0.01)
        counted = desk.pace.requests
        desk.door.gate.set()
        with pytest.raises(RateLimitedError):
            await first
        began = clock()
        await asyncio.sleep(1.0)
        second.cancel()  # in the middle of the pause, with the turn
        await third
        assert clock() - began >= 60.0
        assert desk.pace.requests == counted + 1, "its first count is long gone"
        assert desk.door.nonces == [[10], [10]]
        await desk.sender.aclose()

    run_virtual(scenario)


async def test_an_empty_volume_quota_pauses_nothing_and_frees_the_nonce(desk):
    empty = error_for(23000, QUOTA_EXHAUSTED_WORDS, endpoint="x", http_status=429)
    desk.door.answers.append(empty)
    with pytest.raises(RateLimitedError):
        await desk.send(creates=True)
    state = desk.pace.state()
    assert (state.paused_for_s, state.throttled) == (0.0, 0)
    await desk.send(creates=True)
    assert desk.door.nonces == [[10], [10]]
