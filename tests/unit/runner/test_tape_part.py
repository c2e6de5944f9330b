"""Stretches of a tape: the book they begin with, where they end, how they differ."""

from __future__ import annotations

import pickle

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.backtest import TapeData
from wrappy.venue.bundled import market_named
from wrappy.venue.events import PrintTrade, SetIndexPrice, SetLevel
from wrappy.venue.recording import (
    RecordedBook,
    RecordedDelta,
    RecordedEnd,
    RecordedTrade,
    RecordingWriter,
)

BEGIN_MS = 1_800_000_000_000
SECONDS = 9


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A tape whose best bid has another size and whose bids rise each second."""
    made = tmp_path_factory.mktemp("part") / "eth.jsonl"
    writer = RecordingWriter(made, [market_named("ETH")])
    for second in range(SECONDS + 1):
        at_us = (BEGIN_MS + second * 1_000) * 1_000
        bids = [(f"{3000 + second}.00", f"{1 + second}.0")]
        if second == 0:
            asks = [("3100.00", "5.0")]
            writer.write([RecordedBook(at_us, 0, 1, bids, asks)])
            continue
        bids.append((f"{2999 + second}.00", "0"))
        writer.write(
            [
                RecordedDelta(at_us, 0, second, second + 1, bids, []),
                RecordedTrade(at_us + 1, 0, second, "3100.00", "0.5", is_ask=False),
            ]
        )
    writer.write([RecordedEnd((BEGIN_MS + SECONDS * 1_000) * 1_000 + 5)])
    writer.close()
    return made


def played(data):
    """Return all actions of a tape with their times in milliseconds."""
    tape, found = data.open(), []
    try:
        while (due := tape.next_at_us()) is not None:
            at_ms = (tape.begin_us + due) // 1_000 - BEGIN_MS
            found += [(at_ms, action) for action in tape.step(due)]
    finally:
        tape.close()
    return found


def levels(found, *, until_ms):
    """Return the book that stands at a time."""
    book = {}
    for at_ms, action in found:
        if at_ms <= until_ms and isinstance(action, SetLevel):
            book[action.is_ask, action.price] = action.base
    return {place: base for place, base in book.items() if base}


@pytest.mark.parametrize("begin", [1, 2_500, 4_000, 8_999])
def test_a_stretch_begins_with_the_book_that_stands_by_then(path, begin):
    whole = TapeData(path)
    part = whole.between(BEGIN_MS + begin, BEGIN_MS + 20_000)
    assert part.begin_ms == BEGIN_MS + begin
    assert part.end_ms == whole.end_ms
    found = played(part)
    assert {at_ms for at_ms, _ in found if at_ms < begin} == set()
    for until_ms in range(begin, SECONDS * 1_000 + 1, 250):
        assert levels(found, until_ms=until_ms) == levels(
            played(whole), until_ms=until_ms
        )
    assert any(isinstance(action, SetIndexPrice) for _, action in found)
    trades = [at_ms for at_ms, one in found if isinstance(one, PrintTrade)]
    assert trades == [at for at in range(1_000, 9_001, 1_000) if at >= begin]
    assert part.read.mid_at(part.begin_us) == whole.read.mid_at(part.begin_us)


@pytest.mark.parametrize("end", [1, 3_000, 3_001])
def test_a_stretch_ends_before_what_is_due_at_its_end(path, end):
    whole = TapeData(path)
    part = whole.between(BEGIN_MS, BEGIN_MS + end)
    assert part.end_ms == BEGIN_MS + end
    wanted = [(at_ms, one) for at_ms, one in played(whole) if at_ms < end]
    assert played(part) == wanted
    # It leaves the whole as it was.
    assert whole.end_ms == BEGIN_MS + SECONDS * 1_000 + 1


def test_a_step_over_the_end_gives_nothing_behind_it(path):
    tape = TapeData(path).between(BEGIN_MS, BEGIN_MS + 2_000).open()
    trades = [one for one in tape.step(10**9) if isinstance(one, PrintTrade)]
    assert len(trades) == 1
    assert tape.next_at_us() is None
    assert tape.goes_on
    tape.close()


def test_a_stretch_of_a_stretch_goes_no_farther_than_that(path):
    part = TapeData(path).between(BEGIN_MS + 2_000, BEGIN_MS + 5_000)
    inner = part.between(BEGIN_MS, BEGIN_MS + 9_000)
    assert (inner.begin_ms, inner.end_ms) == (part.begin_ms, part.end_ms)
    assert played(inner) == played(part)


@pytest.mark.parametrize(
    ("begin", "end"), [(-5_000, 0), (20_000, 30_000), (4_000, 4_000), (4_000, 3_000)]
)
def test_a_stretch_of_nothing_is_refused(path, begin, end):
    with pytest.raises(ConfigError, match=r"^window: .* has nothing of ETH"):
        TapeData(path).between(BEGIN_MS + begin, BEGIN_MS + end)


def test_what_is_played_is_in_the_stamp(path):
    whole = TapeData(path)
    part = whole.between(BEGIN_MS, BEGIN_MS + 4_000)
    stamps = {one.stamp() for one in (whole, part, whole.queued("front"))}
    assert len(stamps) == 3
    assert TapeData(path).stamp() == whole.stamp()


def test_a_stretch_travels_to_other_processes(path):
    part = TapeData(path).between(BEGIN_MS + 1_000, BEGIN_MS + 4_000)
    there = pickle.loads(pickle.dumps(part))  # noqa: S301 - our own
    assert played(there) == played(part)
    assert there.stamp() == part.stamp()
