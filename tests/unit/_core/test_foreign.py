"""One foreign nonce is a warning, two within a minute are a second writer."""

from __future__ import annotations

from wrappy._core.foreign import WINDOW_S, ForeignAlarm, ForeignWriters


def test_one_sighting_warns_and_trading_goes_on():
    writers = ForeignWriters()
    assert writers.seen(3, now=10.0) is ForeignAlarm.WARNING
    assert not writers.stopped
    assert writers.count == 3


def test_a_second_sighting_within_a_minute_stops_until_somebody_looked():
    writers = ForeignWriters()
    writers.seen(1, now=10.0)
    assert writers.seen(1, now=10.0 + WINDOW_S) is ForeignAlarm.STOP
    assert writers.seen(1, now=1000.0) is ForeignAlarm.STOP, "nobody has looked yet"
    writers.acknowledge()
    assert not writers.stopped
    assert writers.seen(1, now=1000.5) is ForeignAlarm.WARNING
    assert writers.count == 4


def test_sightings_far_apart_are_two_warnings():
    writers = ForeignWriters()
    writers.seen(1, now=0.0)
    assert writers.seen(1, now=WINDOW_S + 0.1) is ForeignAlarm.WARNING


def test_what_is_told_later_of_the_same_moment_is_the_same_sighting():
    writers = ForeignWriters()
    writers.seen(2, now=10.0)
    assert writers.seen(1, now=10.0) is ForeignAlarm.WARNING
    assert writers.count == 3


def test_an_earlier_sighting_that_is_told_late_counts_from_when_it_was():
    writers = ForeignWriters()
    writers.seen(1, now=100.0)
    assert writers.seen(1, now=10.0) is ForeignAlarm.WARNING
    assert writers.seen(1, now=101.0) is ForeignAlarm.STOP
