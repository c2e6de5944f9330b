"""Loggers: our own names, or what the caller brought along."""

from __future__ import annotations

import logging

import pytest

from wrappy.lighter.logs import (
    QUIET_S,
    SAID_IN_FULL,
    Complaints,
    NamedMethodSink,
    as_sink,
)

LEVELS = ("debug", "info", "warning", "error")


class Recorder:
    """The caller's own kind of logger."""

    def __init__(self):
        self.lines = []

    def log_debug(self, line):
        self.lines.append(("debug", line))

    def log_info(self, line):
        self.lines.append(("info", line))

    def log_warning(self, line):
        self.lines.append(("warning", line))

    def log_error(self, line):
        self.lines.append(("error", line))


def test_without_a_logger_the_named_one_is_used():
    assert as_sink(None, "wrappy.test") is logging.getLogger("wrappy.test")


def test_a_standard_logger_is_used_as_it_is():
    logger = logging.getLogger("mine")
    adapter = logging.LoggerAdapter(logger, {})
    assert as_sink(logger, "wrappy.test") is logger
    assert as_sink(adapter, "wrappy.test") is adapter


@pytest.mark.parametrize("level", LEVELS)
def test_other_objects_get_finished_lines(level):
    target = Recorder()
    sink = as_sink(target, "wrappy.test")
    assert isinstance(sink, NamedMethodSink)
    log = {
        "debug": sink.debug,
        "info": sink.info,
        "warning": sink.warning,
        "error": sink.error,
    }[level]
    log("%d orders of %s", 3, "ETH")
    log("100 % sure")
    assert target.lines == [(level, "3 orders of ETH"), (level, "100 % sure")]


def test_a_level_the_object_lacks_is_left_out():
    class OnlyErrors:
        log_info = "not callable"

        def __init__(self):
            self.lines = []

        def log_error(self, line):
            self.lines.append(line)

    target = OnlyErrors()
    sink = as_sink(target, "wrappy.test")
    sink.debug("a")
    sink.info("b")
    sink.error("c")
    assert target.lines == ["c"]


def test_complaints_without_end_are_told_a_few_times_and_then_once_a_second(caplog):
    now = 0.0
    complaints = Complaints(as_sink(None, "wrappy.ws"), lambda: now)
    for number in range(1_000):
        complaints.error("bad frame %d", number)
    assert len(caplog.messages) == SAID_IN_FULL
    now = QUIET_S
    complaints.error("bad frame %d", 1_000)
    told = 1_000 - SAID_IN_FULL
    last = f"bad frame 1000 ({told} more like this were not logged)"
    assert caplog.messages[SAID_IN_FULL:] == [last]
