"""The shells of the restart, with an exchange that answers by script."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging

import pytest

from wrappy import (
    AuthRejectedError,
    ConnectError,
    DealerConfig,
    JournalError,
    LaneHeldError,
    NonceRejectedError,
    OrderRejectedError,
    RateLimitedError,
    RequestTimeoutError,
    UnknownOrdersError,
    VenueError,
)
from wrappy.lighter.asking import order_search
from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
from wrappy.lighter.restart import left_orders
from wrappy.lighter.restart.recovery import check_open_orders, recover
from wrappy.lighter.sending.lane import KeyLane
from wrappy.protocol.intents import SignedTx, TxType
from wrappy.protocol.markets import BUNDLED_MARKETS

NOW_MS = 1_700_000_000_000
LATER_MS = NOW_MS + 599_000
NONCE, TX, STATUS = "/api/v1/nextNonce", "/api/v1/tx", "/"
ACTIVE, INACTIVE = "/api/v1/accountActiveOrders", "/api/v1/accountInactiveOrders"
SETTINGS = {
    "base_url": "http://127.0.0.1:1",
    "account_index": 1,
    "symbol": "ETH",
    "reconcile_timeout_s": 5.0,
}
UNKNOWN = VenueError(21500, "transaction not found")
FAILED = RequestTimeoutError("no answer in time")


class Script:
    """An exchange that answers what it was told to; the last answer repeats."""

    def __init__(self):
        self.answers = {
            STATUS: [{"timestamp": NOW_MS // 1000}],
            NONCE: [{"nonce": 5}],
            TX: [UNKNOWN],
            ACTIVE: [{"orders": []}],
            INACTIVE: [{"orders": []}],
        }
        self.asked = []
        self.sent = []
        self.replies = []
        self.tokens = itertools.count(1)
        self.used_tokens = []
        self.throttled = []

    def tell(self, path, *answers):
        self.answers[path] = list(answers)

    async def get(self, path, params=None, *, token=None):  # noqa: ARG002 - shapes of the real ones
        self.asked.append(path)
        if token:
            self.used_tokens.append(token)
        answers = self.answers[path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send(self, transactions, *, written=None):  # noqa: ARG002 - shapes of the real ones
        self.sent.append(tuple(transactions))
        reply = self.replies.pop(0) if self.replies else None
        if isinstance(reply, Exception):
            raise reply

    # It is paced by nobody, signs at once and works on no thread.
    account_index, api_key_index, chain_id, public_key = 1, 4, 304, ""

    async def wait(self, path, *, urgent=False):
        pass

    def throttle(self, pause_s=None):
        self.throttled.append(pause_s)

    def sign_many(self, intents, *, first_nonce, skip_nonce=False):  # noqa: ARG002 - shapes of the real ones
        return [
            SignedTx(
                intent.tx_type,
                "{}",
                f"fence-{first_nonce + number}-{len(self.sent)}",
                first_nonce + number,
                LATER_MS,
                1,
                4,
            )
            for number, intent in enumerate(intents)
        ]

    async def run(self, work):
        return work()

    async def auth_token(self, signer, *, deadline_s):  # noqa: ARG002 - shapes of the real ones
        return f"{deadline_s}:1:4:{next(self.tokens):0160x}"


class Pace:
    def __init__(self, script):
        self.wait = script.wait
        self.throttled = script.throttle


def row(nonce, coi=77, *, stage=SendStage.SIGNED, expired_at_ms=LATER_MS, **fields):
    entry = JournalEntry(
        nonce=nonce,
        tx_type=int(TxType.CREATE_ORDER),
        tx_hash=f"old-{nonce}",
        tx_info="{}",
        expired_at_ms=expired_at_ms,
        market_index=0,
        client_order_index=coi,
        group_indices=(),
        batch=1,
        stage=stage,
        written_ms=NOW_MS,
        intent="{}",
    )
    return dataclasses.replace(entry, **fields)


@pytest.fixture
def script():
    return Script()


@pytest.fixture
def lane(tmp_path):
    made = KeyLane(1, 4)
    made.journal = Journal.open(
        tmp_path / "state",
        base_url=SETTINGS["base_url"],
        account_index=1,
        api_key_index=4,
    )
    yield made
    made.journal.close()


@pytest.fixture
def restart(script, lane, tmp_path):
    async def started(*rows, **changes):
        if rows:
            lane.journal.write(rows)
        config = DealerConfig(
            **{**SETTINGS, "state_dir": str(tmp_path / "state"), **changes}
        )
        return await recover(
            lane,
            signer=script,
            rest=script,
            pace=Pace(script),
            door=script,
            worker=script,
            unix_s=lambda: NOW_MS / 1000,
            config=config,
        )

    return started


def stage(lane, name):
    return lane.journal.entry(name).stage


async def test_without_a_journal_there_is_nothing_to_do(script, restart, lane):
    journal, lane.journal = lane.journal, None
    found = await restart()
    lane.journal = journal
    assert found.complete
    assert script.asked == []


async def test_an_empty_journal_asks_nothing(script, restart, lane):
    found = await restart()
    assert (found.settled, found.live, found.unseen) == ((), (), ())
    assert script.asked == []
    assert lane.nonces.needs_sync  # the lane asks when it sends


async def test_what_was_found_out_is_told(script, restart, lane):
    script.tell(TX, UNKNOWN)
    found = await restart(row(5))
    assert found.settled == ((SendStage.DEAD, 1),)
    assert found.fences == 1
    assert [tx.nonce for tx in script.sent[0]] == [5]
    assert lane.nonces.next_nonce == 6  # although the exchange's counter says 5


async def test_the_fence_is_in_the_journal_before_it_leaves(script, restart, lane):
    seen = []

    async def send(transactions, *, written=None):
        seen.extend(stage(lane, tx.tx_hash) for tx in transactions)

    script.send = send
    await restart(row(5))
    assert seen == [SendStage.SIGNED]


async def test_a_dry_run_settles_nothing(script, restart, caplog):
    with caplog.at_level(logging.WARNING):
        found = await restart(row(5), prefer_high_level=True)
    assert not found.complete
    assert script.asked == []
    assert "in doubt" in caplog.text


async def test_a_fence_that_could_not_leave_leaves_later_with_the_same_bytes(
    script, restart
):
    script.replies = [ConnectError("no connection")]
    found = await restart(row(5))
    first, second = script.sent
    assert first == second
    assert found.fences == 1


async def test_a_fence_without_an_answer_is_asked_for_by_its_hash(
    script, restart, lane
):
    script.replies = [FAILED]
    script.tell(TX, UNKNOWN, UNKNOWN, {"status": 1})
    script.tell(NONCE, {"nonce": 5})
    found = await restart(row(5))
    assert len(script.sent) == 1
    assert {stage for stage, _ in found.settled} <= {SendStage.DEAD, SendStage.ACCEPTED}


async def test_a_fence_refused_for_its_number_is_followed_by_questions(
    script, restart, lane
):
    script.replies = [NonceRejectedError(21104, "invalid nonce")]
    script.tell(NONCE, {"nonce": 5}, {"nonce": 6})
    script.tell(TX, UNKNOWN, {"status": 2})
    found = await restart(row(5))
    assert found.settled == ((SendStage.EXECUTED, 1),)
    assert stage(lane, "fence-5-0") is SendStage.REFUSED
    assert stage(lane, "old-5") is SendStage.EXECUTED


async def test_a_throttled_fence_pauses_everything(script, restart):
    refusal = RateLimitedError(23000, "Too Many Requests!")
    refusal.retry_after_s = 7.0
    script.replies = [refusal]
    await restart(row(5))
    assert script.throttled == [7.0]
    assert len(script.sent) == 2


async def test_failed_questions_are_asked_again(script, restart):
    script.tell(STATUS, FAILED, {"timestamp": NOW_MS // 1000})
    script.tell(NONCE, FAILED, {"nonce": 5})
    script.tell(TX, VenueError(20001, "invalid param"), UNKNOWN)
    found = await restart(row(5))
    assert found.settled == ((SendStage.DEAD, 1),)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, SendStage.ENDED),
        (1, SendStage.ACCEPTED),
        (2, SendStage.EXECUTED),
        (3, SendStage.EXECUTED),
    ],
)
async def test_the_exchanges_word_on_a_transaction_counts(
    script, restart, lane, status, expected
):
    script.tell(TX, {"status": status})
    script.tell(NONCE, {"nonce": 6})
    live = {"client_order_index": 77, "market_index": 0}
    script.tell(ACTIVE, {"orders": [live] if status else []})
    found = await restart(row(5))
    assert found.settled == ((expected, 1),)
    assert len(found.live) == bool(status)
    assert script.sent == []


async def test_a_full_disk_lets_no_fence_out(script, restart, lane, monkeypatch):
    def full(entries):
        raise JournalError(lane.journal.path, "is full", "make room")

    lane.journal.write([row(5)])
    monkeypatch.setattr(lane.journal, "write", full)
    with pytest.raises(JournalError):
        await restart()
    assert script.sent == []


async def test_marks_that_cannot_be_written_do_not_stop_the_start(
    script, restart, lane, monkeypatch, caplog
):
    def full():
        raise JournalError(lane.journal.path, "is full", "make room")

    monkeypatch.setattr(lane.journal, "tidy", full)
    assert (await restart(row(5))).complete
    assert "is full" in caplog.text


async def test_a_journal_of_another_history_does_not_bend_the_counter(
    script, restart, lane
):
    script.tell(NONCE, {"nonce": 5})
    await restart(row(9_000, stage=SendStage.ENDED))
    assert lane.nonces.next_nonce == 5


async def test_many_orders_in_doubt_are_listed_in_short(script, restart):
    script.tell(TX, FAILED)
    rows = [row(5 + number, 70 + number) for number in range(7)]
    with pytest.raises(LaneHeldError) as caught:
        await restart(*rows, reconcile_timeout_s=0.2)
    words = str(caught.value)
    assert "order 70 " in words
    assert "order 76" not in words
    assert "and 2 more" in words
    assert caught.value.__cause__ is FAILED


async def test_an_exchange_that_takes_no_fence_tells_when_to_come_back(script, restart):
    script.replies = [OrderRejectedError(21600, "not an active limit order")]
    with pytest.raises(LaneHeldError, match=r"start again in 60\d s"):
        await restart(row(5), reconcile_timeout_s=0.3)
    assert len(script.sent) == 1


async def test_a_fence_names_an_order_that_never_was_when_nothing_else_fits(
    script, restart, lane
):
    signed = []
    made = script.sign_many

    def sign_many(intents, *, first_nonce):
        signed.extend(intents)
        return made(intents, first_nonce=first_nonce)

    script.sign_many = sign_many
    await restart(
        row(5, tx_type=int(TxType.MODIFY_ORDER)),
        row(
            7,
            None,
            tx_type=int(TxType.CREATE_GROUPED_ORDERS),
            group_indices=(91, 92),
            market_index=3,
        ),
        market_index=2,
        symbol=None,
    )
    assert [intent.market_index for intent in signed] == [0, 2, 3]
    assert signed[0].index not in (77, signed[1].index)
    assert signed[2].index not in (91, 92), "a live order may have that number"


# ------------------------------------------------------------------ orders left


def accepted(nonce=5, coi=77, **fields):
    return row(nonce, coi, stage=SendStage.ACCEPTED, **fields)


async def test_an_order_on_the_second_page_of_ended_orders_is_ended(
    script, restart, lane
):
    script.tell(
        INACTIVE,
        {"orders": [{"client_order_index": 1}], "next_cursor": "more"},
        {"orders": [{"client_order_index": 77}], "next_cursor": "more"},
    )
    await restart(accepted())
    assert script.asked.count(INACTIVE) == 2
    assert stage(lane, "old-5") is SendStage.ENDED


async def test_an_order_that_shows_at_the_second_look_is_live(
    script, restart, lane, quick
):
    script.tell(ACTIVE, {"orders": []}, {"orders": [{"client_order_index": 77}]})
    found = await restart(accepted())
    assert [order["client_order_index"] for order in found.live] == [77]
    assert stage(lane, "old-5") is SendStage.EXECUTED


async def test_an_order_that_may_still_come_is_not_concluded_upon(
    script, restart, lane, quick
):
    long_ago = {"client_order_index": 1, "updated_at": NOW_MS - 3_600_000}
    script.tell(INACTIVE, {"orders": [long_ago], "next_cursor": "more"})
    found = await restart(accepted())
    assert found.unseen == (77,)
    assert script.asked.count(INACTIVE) == 1
    assert stage(lane, "old-5") is SendStage.ACCEPTED


async def test_an_order_of_long_ago_that_is_not_live_has_ended(
    script, restart, lane, quick
):
    await restart(accepted(expired_at_ms=NOW_MS - 3_600_000))
    assert INACTIVE not in script.asked
    assert script.asked.count(ACTIVE) == 2
    assert stage(lane, "old-5") is SendStage.ENDED


async def test_the_ended_orders_are_read_to_a_limit(script, restart, quick):
    script.tell(INACTIVE, {"orders": [{"client_order_index": 1}], "next_cursor": "x"})
    await restart(accepted())
    assert script.asked.count(INACTIVE) == order_search.MOST_PAGES


async def test_it_starts_though_the_ended_orders_do_not_reach_back(
    script, restart, lane
):
    # Another of the account's bots has gone on trading.
    rows = [{"client_order_index": n, "updated_at": NOW_MS} for n in range(1, 101)]
    script.tell(INACTIVE, {"orders": rows, "next_cursor": "more"})
    script.tell(NONCE, {"nonce": 6})
    found = await restart(row(5, 777, expired_at_ms=NOW_MS - 3_600_000))
    assert found.lingering == 0
    assert stage(lane, "old-5") is SendStage.DEAD
    assert script.asked.count(INACTIVE) == order_search.MOST_PAGES


async def test_a_refused_token_is_made_anew(script, restart):
    script.tell(
        ACTIVE,
        AuthRejectedError(20013, "invalid auth"),
        {"orders": [{"client_order_index": 77}]},
    )
    found = await restart(accepted())
    assert len(found.live) == 1
    assert [token[-1] for token in script.used_tokens] == ["1", "2"]


@pytest.fixture
def quick(monkeypatch):
    """Looks need not be a second apart where nothing moves."""
    monkeypatch.setattr(left_orders, "READS_APART_S", 0.0)


# ------------------------------------------------------------- orders nobody knows


class Account:
    def __init__(self, *answers):
        self.answers = list(answers)

    async def open_orders(self, market_index):  # noqa: ARG002 - shapes of the real ones
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


LIVE = {
    "client_order_index": 0,
    "order_index": 2**48 + 1,
    "is_ask": True,
    "remaining_base_amount": "0.05",
    "price": "1000.00",
}


def check(tmp_path, account, *, cancel=None, **changes):
    async def nothing(order_indices):
        await asyncio.sleep(0)

    settings = {**SETTINGS, "state_dir": str(tmp_path), **changes}
    return check_open_orders(
        account=account,
        known={5}.__contains__,
        config=DealerConfig(**settings),
        market=BUNDLED_MARKETS[0],
        cancel=cancel or nothing,
    )


async def test_orders_without_a_number_of_ours_are_unknown_too(tmp_path):
    with pytest.raises(UnknownOrdersError, match=r"sell 0.05 at 1000.00"):
        await check(tmp_path, Account([LIVE]))


async def test_a_long_list_is_shortened_in_words_only(tmp_path):
    with pytest.raises(UnknownOrdersError, match=r"and 2 more") as caught:
        await check(tmp_path, Account([LIVE] * 12))
    assert len(caught.value.orders) == 12


async def test_known_orders_are_no_reason_to_refuse(tmp_path):
    assert await check(tmp_path, Account([{**LIVE, "client_order_index": 5}])) == []


async def test_cancels_are_confirmed_by_reading(tmp_path):
    cancelled = []

    async def cancel(order_indices):
        cancelled.extend(order_indices)

    account = Account([LIVE], [LIVE], [])
    adopted = await check(tmp_path, account, cancel=cancel, unknown_orders="cancel")
    assert adopted == []
    assert cancelled == [LIVE["order_index"]]


async def test_cancels_that_do_not_help_refuse_the_start(tmp_path):
    with pytest.raises(UnknownOrdersError):
        await check(
            tmp_path,
            Account([LIVE]),
            unknown_orders="cancel",
            reconcile_timeout_s=0.3,
        )


async def test_a_dry_run_cancels_nothing(tmp_path):
    with pytest.raises(UnknownOrdersError):
        await check(
            tmp_path, Account([LIVE]), unknown_orders="cancel", prefer_high_level=True
        )


async def test_without_a_journal_only_an_explicit_word_counts(tmp_path):
    account = Account([LIVE])
    assert await check(tmp_path, account, journal=False) == []
    adopted = await check(tmp_path, account, journal=False, unknown_orders="adopt")
    assert adopted == [LIVE]
