"""What a start takes over from the minute before it."""

from __future__ import annotations

import asyncio

import pytest

from wrappy.errors import LaneHeldError, RateLimitedError
from wrappy.lighter.pacing.limiter import RequestPace
from wrappy.lighter.persistence.journal import Journal, JournalEntry, SendStage
from wrappy.lighter.restart.seeding import patiently, seed, sent_lately
from wrappy.runner.virtual_time import run_virtual

PLACE = {"base_url": "http://127.0.0.1:8080", "account_index": 5}
NOW_MS = 1_800_000_000_000


def row(number, *, batch, ago_s):
    return JournalEntry(
        nonce=number,
        tx_type=14,
        tx_hash=f"{number:04x}",
        tx_info="{}",
        expired_at_ms=NOW_MS,
        market_index=0,
        client_order_index=number,
        group_indices=(),
        batch=batch,
        stage=SendStage.SIGNED,
        written_ms=NOW_MS - ago_s * 1000,
        intent="{}",
    )


def lately(folder):
    return sent_lately(folder, **PLACE, now_ms=NOW_MS)


def test_the_journals_tell_what_was_sent_within_the_last_minute(tmp_path):
    for key, rows in (
        (4, [row(1, batch=1, ago_s=90), row(2, batch=2, ago_s=50)]),
        (5, [row(7, batch=3, ago_s=20), row(8, batch=3, ago_s=20)]),
    ):
        journal = Journal.open(tmp_path, **PLACE, api_key_index=key)
        journal.write(rows)
        journal.close()
    assert lately(tmp_path) == [(50.0, 1), (20.0, 2)]


def test_a_journal_that_cannot_be_read_is_left_to_others(tmp_path):
    journal = Journal.open(tmp_path, **PLACE, api_key_index=4)
    journal.close()
    (path,) = tmp_path.glob("journal-*.sqlite3")
    path.write_bytes(b"no journal")
    assert lately(tmp_path) == []
    assert lately(tmp_path / "absent") == []


def pace():
    clock = asyncio.get_running_loop().time
    return RequestPace(standard=True, weight_per_minute=None, clock=clock)


def test_what_was_sent_before_counts_until_its_minute_is_over():
    async def scenario():
        mine = pace()
        seed(mine, [(30.0, 1)] * 20 + [(10.0, 2)])
        assert mine.state().used == 21
        await asyncio.sleep(32)
        assert mine.state().used == 1
        await mine.wait("/")
        seed(mine, [(1.0, 1)])  # what is counted here counts already
        assert mine.state().used == 2

    run_virtual(scenario)


@pytest.mark.parametrize("error", [RateLimitedError(429, "slow"), LaneHeldError("?")])
def test_a_throttled_start_asks_again_after_the_pause(error):
    async def scenario():
        mine, asked = pace(), []

        async def question():
            asked.append(asyncio.get_running_loop().time())
            if len(asked) == 1:
                mine.throttled(20.0)
                raise error
            return "yes"

        assert await patiently(question, mine, timeout_s=1.0) == "yes"
        assert asked[1] - asked[0] >= 20.0

    run_virtual(scenario)


def test_a_start_that_is_throttled_for_ever_ends():
    async def scenario():
        mine = pace()

        async def question():
            await asyncio.sleep(1.0)
            mine.throttled(20.0)
            raise RateLimitedError(429, "slow")

        with pytest.raises(RateLimitedError):
            await patiently(question, mine, timeout_s=3.0)
        assert asyncio.get_running_loop().time() < 120

    run_virtual(scenario)
