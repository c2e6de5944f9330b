"""A command fails in one line, and cleans up when it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from decimal import Decimal

import pytest

from wrappy import ConfigError, UsageError
from wrappy.runner.command import ECHO_S, OneLineParser, count, positive, run


async def failing(error):
    raise error


async def quiet():
    return None


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("size: no"), 2), (UsageError("not now"), 1)]
)
def test_a_failure_is_one_line_and_an_exit_code(error, code, capsys):
    assert run(failing(error), name="bot.py") == code
    assert capsys.readouterr().err == f"bot.py: {error}\n"


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError()), name="bot.py")


def test_success_says_nothing(capsys):
    assert run(quiet(), name="bot.py") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_cleans_up_with_other_tasks_alive(number, capsys):
    cleaned = []

    async def main():
        question = asyncio.Event()
        answer = asyncio.Event()

        async def other_side():
            await question.wait()
            answer.set()

        other = asyncio.create_task(other_side())
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            question.set()
            await answer.wait()
            cleaned.append("asked and answered")
            await other

    assert run(main(), name="bot.py") == 130
    assert cleaned == ["asked and answered"]
    assert capsys.readouterr().err == "bot.py: interrupted\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_twice_does_not_cancel_the_cleaning_up(number):
    cleaned = []

    async def main():
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(5):
                await asyncio.sleep(0)
            cleaned.append("all of it")

    assert run(main(), name="bot.py") == 130
    assert cleaned == ["all of it"]


def test_who_asks_again_later_is_heard():
    cleaned = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_later(ECHO_S + 0.1, os.kill, os.getpid(), signal.SIGTERM)
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            try:
                await asyncio.Event().wait()
            finally:
                cleaned.append("the rest")

    assert run(main(), name="bot.py") == 130
    assert cleaned == ["the rest"]


def test_an_argument_that_cannot_work_is_one_line(capsys):
    parser = OneLineParser(prog="bot.py")
    parser.add_argument("--size", type=positive)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--size", "0"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told == "bot.py: argument --size: '0' is not a number above 0\n"


@pytest.mark.parametrize("text", ["", "abc", "0", "-1", "nan", "inf", "1,5"])
def test_what_is_no_positive_number_is_refused(text):
    parser = OneLineParser(prog="bot.py")
    parser.add_argument("--size", type=positive)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--size={text}"])


def test_a_positive_number_is_exact():
    assert positive("0.10") == Decimal("0.10")


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "many", "inf"])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="number above 0"):
        count(text)


def test_a_count_is_a_whole_number():
    assert [count("3"), count("1e2")] == [3, 100]
