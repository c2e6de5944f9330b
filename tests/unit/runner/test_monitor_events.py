"""The bot's own log: bounded, in one line each, without secrets."""

from __future__ import annotations

import itertools
import threading

import pytest

from wrappy.errors import ConfigError
from wrappy.runner.events import MOST_CHARACTERS, EventKind, EventRing, Tone

SECRET = "ab" * 40


def ring(**settings):
    clock = itertools.count(100)
    return EventRing(lambda: float(next(clock)), **settings)


def test_the_oldest_events_go_and_numbers_show_the_gap():
    events = ring(capacity=3)
    for number in range(5):
        events.note(EventKind.NOTE, f"line {number}")
    assert [event.number for event in events.latest(10)] == [3, 4, 5]
    assert [event.text for event in events.latest(1)] == ["line 4"]
    assert [event.number for event in events.latest(10, after=4)] == [5]
    assert events.latest(0) == ()
    assert events.last_number == 5
    assert events.counts == {EventKind.NOTE: 5}


def test_an_event_has_its_time_and_the_tone_of_its_kind():
    events = ring()
    event = events.note(EventKind.STRATEGY_CRASHED, "x", strategy="a", symbol="ETH")
    assert (event.at_s, event.tone, event.strategy, event.symbol) == (
        100.0,
        Tone.BAD,
        "a",
        "ETH",
    )
    assert events.note(EventKind.ORDER_FILLED, "y").tone is Tone.PLAIN


def test_a_text_is_one_line_of_bounded_length_without_secrets():
    events = ring(secrets=[SECRET, "", "ab"])
    event = events.note(EventKind.NOTE, f"key\n{SECRET}\n\tis wrong")
    assert event.text == "key *** is wrong"
    cut = events.note(EventKind.NOTE, "word " * 1_000).text
    assert len(cut) == MOST_CHARACTERS
    assert cut.endswith("…")


def test_listeners_hear_until_they_leave():
    events, heard = ring(), []
    end = events.listen(heard.append)
    first = events.note(EventKind.NOTE, "one")
    end()
    end()
    events.note(EventKind.NOTE, "two")
    assert heard == [first]


def test_another_thread_may_read_while_events_come():
    events, seen = ring(capacity=50), []
    enough = threading.Event()

    def read():
        while not enough.is_set():
            seen.append([event.number for event in events.latest(50)])

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5_000):
        events.note(EventKind.NOTE, "x")
    enough.set()
    reader.join()
    assert all(row == list(range(row[0], row[0] + len(row))) for row in seen if row)


def test_a_ring_without_room_is_refused():
    with pytest.raises(ConfigError, match="capacity: 0"):
        ring(capacity=0)
