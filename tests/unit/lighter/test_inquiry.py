"""A question that is asked until it is answered."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from wrappy.errors import VenueUnavailableError
from wrappy.lighter.streaming.inquiry import Inquiry
from wrappy.runner.virtual_time import run_virtual

LOG = logging.getLogger("wrappy.ws")


class Desk:
    """Answers questions when it is told to.

    Attributes:
        asked: subjects, with the time of each.
        failures: how many questions fail from here on.
        door: closed while answers are held back.
    """

    def __init__(self):
        self.asked = []
        self.failures = 0
        self.door = asyncio.Event()
        self.door.set()
        self.inquiry = Inquiry("answers", self._answer, lambda a, b: a + b, LOG)

    async def _answer(self, subject):
        self.asked.append((asyncio.get_running_loop().time(), subject))
        await self.door.wait()
        if self.failures:
            self.failures -= 1
            raise VenueUnavailableError(503, "closed")

    @property
    def subjects(self):
        return [subject for _, subject in self.asked]


@pytest.fixture
async def desk():
    made = Desk()
    yield made
    await made.inquiry.aclose()


async def test_a_question_is_asked_once(desk):
    assert not desk.inquiry.is_asking
    desk.inquiry.ask(["a"])
    assert desk.inquiry.is_asking
    await desk.inquiry.settled()
    assert desk.subjects == [["a"]]
    assert not desk.inquiry.is_asking


async def test_what_is_asked_meanwhile_is_asked_together_afterwards(desk, eventually):
    desk.door.clear()
    desk.inquiry.ask(["a"])
    await eventually(lambda: desk.asked)
    desk.inquiry.ask(["b"])
    desk.inquiry.ask(["c"])
    desk.door.set()
    await desk.inquiry.settled()
    assert desk.subjects == [["a"], ["b", "c"]]


async def test_a_new_question_takes_up_what_failed_at_once(desk, eventually):
    desk.failures = 1
    desk.inquiry.ask(["a"])
    await eventually(lambda: not desk.failures)
    desk.inquiry.ask(["b"])
    await asyncio.wait_for(desk.inquiry.settled(), 0.9)
    assert desk.subjects == [["a"], ["a", "b"]]


async def test_what_failed_comes_before_what_was_asked_meanwhile(desk, eventually):
    desk.failures = 1
    desk.door.clear()
    desk.inquiry.ask(["a"])
    await eventually(lambda: desk.asked)
    desk.inquiry.ask(["b"])
    desk.door.set()
    await eventually(lambda: not desk.failures)
    desk.inquiry.ask(["c"])
    await desk.inquiry.settled()
    assert desk.subjects == [["a"], ["a", "b", "c"]]


def test_pauses_grow_while_nobody_answers_and_start_over_after_an_answer(caplog):
    async def main():
        desk = Desk()
        for _ in range(2):
            desk.failures = 3
            desk.inquiry.ask(["a"])
            await desk.inquiry.settled()
        return desk

    desk = run_virtual(main)
    times = [at for at, _ in desk.asked]
    pauses = [later - at for at, later in itertools.pairwise(times)]
    assert pauses == pytest.approx([1.0, 2.0, 4.0, 0.0, 1.0, 2.0, 4.0], abs=0.01)
    assert "answers could not be fetched yet: 503" in caplog.text


@pytest.mark.parametrize("moment", ["unbegun", "asking", "pausing"])
async def test_closing_ends_it_wherever_it_is(desk, eventually, moment):
    if moment == "asking":
        desk.door.clear()
    desk.failures = moment == "pausing"
    desk.inquiry.ask(["a"])
    if moment != "unbegun":
        await eventually(lambda: desk.asked and not desk.failures)
    await desk.inquiry.aclose()
    assert not desk.inquiry.is_asking
    await desk.inquiry.settled()
    await desk.inquiry.aclose()
    assert len(desk.asked) == (moment != "unbegun")
