"""The lane of a key: its lock, its journal, what it writes and when it lets go."""

from __future__ import annotations

import pytest

from wrappy._core.batch import Queued
from wrappy.errors import ConfigError, JournalError, KeyInUseError
from wrappy.lighter.config import DealerConfig
from wrappy.lighter.persistence.journal import Journal, SendStage
from wrappy.lighter.persistence.key_lock import KeyLock
from wrappy.lighter.sending import lane as lanes
from wrappy.lighter.sending.lane import KeyLane, Turn, state_folder
from wrappy.protocol.intents import CancelOrder, CreateGroupedOrders, CreateOrder
from wrappy.signing.null import NullSigner
from wrappy.signing.worker import signing_thread

KEY = {"base_url": "http://127.0.0.1:1", "account_index": 5, "api_key_index": 4}


def order(coi):
    return CreateOrder(0, coi, 500, 100_000, is_ask=False)


@pytest.fixture
def config(tmp_path):
    return DealerConfig(base_url=KEY["base_url"], state_dir=str(tmp_path))


@pytest.fixture
def lane():
    return KeyLane(5, 4)


def sign(lane, *entries, first_nonce=1):
    return lane.sign(
        NullSigner(account_index=5, api_key_index=4, chain_id=304),
        entries,
        first_nonce=first_nonce,
        skip_nonce=False,
        unix_ms=1_700_000_000_000,
    )


async def test_the_first_user_takes_lock_and_journal_and_the_last_gives_them_back(
    lane, config, tmp_path
):
    worker = signing_thread()
    await lane.open(config, worker)
    await lane.open(config, worker)
    with pytest.raises(KeyInUseError):
        KeyLock.acquire(tmp_path, **KEY)
    await lane.close(worker)
    assert lane.lock.is_held
    assert lane.journal is not None
    await lane.close(worker)
    assert (lane.lock, lane.journal, lane.users) == (None, None, 0)
    KeyLock.acquire(tmp_path, **KEY).release()


async def test_a_journal_that_cannot_be_opened_gives_the_lock_back(
    lane, config, tmp_path
):
    other = Journal.open(tmp_path, **KEY)
    with pytest.raises(JournalError):
        await lane.open(config, signing_thread())
    assert lane.users == 0
    KeyLock.acquire(tmp_path, **KEY).release()
    other.close()


async def test_who_joins_with_another_wish_about_the_journal_is_told(
    lane, config, tmp_path, caplog
):
    worker = signing_thread()
    await lane.open(config, worker)
    without = DealerConfig(state_dir=str(tmp_path), journal=False)
    await lane.open(without, worker)
    assert "journal=True of its first dealer holds" in caplog.text
    await lane.close(worker)
    await lane.close(worker)


async def test_a_new_user_starts_with_a_counter_that_is_asked_for(lane, config):
    worker = signing_thread()
    await lane.open(config, worker)
    lane.nonces.sync(9)
    await lane.close(worker)
    assert lane.nonces.needs_sync, "others may have sent meanwhile"


async def test_rows_name_the_orders_that_they_make_or_touch(lane, config):
    worker = signing_thread()
    await lane.open(config, worker)
    group = CreateGroupedOrders(2, (order(8), order(9)))
    signed = sign(
        lane,
        Queued(order(7), 7, is_cancel=False, also=(7,)),
        Queued(group, 8, is_cancel=False, also=(8, 9)),
        Queued(CancelOrder(0, 6), 6, is_cancel=True),
        Queued(CancelOrder(0, 1 << 50), 1 << 50, is_cancel=True),
    )
    rows = [lane.journal.entry(tx.tx_hash) for tx in signed]
    assert [row.client_order_index for row in rows] == [7, None, 6, None]
    assert [row.group_indices for row in rows] == [(), (8, 9), (), ()]
    assert {row.stage for row in rows} == {SendStage.SIGNED}
    assert len({row.batch for row in rows}) == 1
    assert [row.nonce for row in rows] == [1, 2, 3, 4]
    assert '"client_order_index":7' in rows[0].intent
    (later,) = sign(lane, Queued(order(10), 10, is_cancel=False), first_nonce=5)
    assert lane.journal.entry(later.tx_hash).batch > rows[0].batch
    await lane.close(worker)


async def test_finished_rows_are_dropped_now_and_then(
    lane, config, monkeypatch, caplog
):
    monkeypatch.setattr(lanes, "PRUNE_EVERY", 3)
    pruned = []

    class Pruning:
        path = "here"

        def write(self, rows):
            """Take them."""

        def prune(self):
            pruned.append(True)
            if len(pruned) == 2:
                raise JournalError(self.path, "failed", "make room")

    lane.journal = Pruning()
    for number in range(1, 8):
        sign(lane, Queued(CancelOrder(0, number), number, is_cancel=True))
    assert len(pruned) == 2
    assert "could not be shortened" in caplog.text


async def test_a_turn_is_given_up_once():
    lane = KeyLane()
    turn, following = Turn(lane.turn), Turn(lane.turn)
    await turn.take()
    turn.give_up()
    await following.take()
    turn.give_up()
    assert lane.turn.locked(), "it is somebody else's by now"
    following.give_up()


def test_the_folder_is_the_settings_or_the_usual_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder(DealerConfig()) == tmp_path / "wrappy"
    assert state_folder(DealerConfig(state_dir="/somewhere")).as_posix() == "/somewhere"


async def test_a_second_folder_for_an_open_key_is_refused_by_name(
    lane, config, tmp_path
):
    worker = signing_thread()
    await lane.open(config, worker)
    elsewhere = DealerConfig(base_url=KEY["base_url"], state_dir=str(tmp_path / "b"))
    with pytest.raises(ConfigError, match=f"state_dir: key 4 .* with {tmp_path};"):
        await lane.open(elsewhere, worker)
    assert lane.users == 1
    await lane.close(worker)
    await lane.open(elsewhere, worker)
    await lane.close(worker)
