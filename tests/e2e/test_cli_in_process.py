"""A bot in this process, asked and stopped over its socket; `wrappy` as a function."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import signal
import time

import pytest

from tests.cli import resting, until, write_bot
from wrappy.lighter.persistence.state_files import HeldFile
from wrappy.runner.cli.app import main
from wrappy.runner.cli.bot import Bot, BotOptions
from wrappy.runner.cli.bot_files import BotFiles
from wrappy.runner.cli.choosing import chosen
from wrappy.runner.cli.stop_signals import StopSignals
from wrappy.runner.settings import read_settings
from wrappy.signing import derive_key_pair
from wrappy.venue.events import SetIndexPrice, SetLevel


@contextlib.asynccontextmanager
async def bot_of(file, **options):
    """Run a bot; give the lines it tells and the task that ends with its code."""
    settings = read_settings(file)
    lines = []
    bot = Bot(
        settings,
        chosen(settings, None, None),
        BotOptions(**options),
        tell=lines.append,
        clean=str,
    )
    signals = StopSignals()
    with signals:
        task = asyncio.ensure_future(bot.run(signals))
        try:
            yield lines, task
        finally:
            bot.ask_stop()
            await asyncio.gather(task, return_exceptions=True)


async def called(capsys, *arguments):
    """Run a command in a thread; return its exit code and what it told."""
    code = await asyncio.to_thread(main, [str(one) for one in arguments])
    told = capsys.readouterr()
    return code, told.out + told.err


async def test_a_bot_tells_its_status_and_is_stopped(quiet_venue, tmp_path, capsys):
    risk = "[risk]\nmax_open_orders = 9\n[monitor]\nenabled = true\nport = 0"
    file = write_bot(tmp_path, url=quiet_venue.base_url, extra=risk)
    async with bot_of(file) as (lines, task):
        await until(lambda: len(resting(quiet_venue)) == 3)
        code, told = await called(capsys, "status", file)
        assert code == 0
        assert "open_orders_count" in told
        code, told = await called(capsys, "status", file, "--bot", "bot", "--json")
        assert json.loads(told)["status"]["is_running"] is True
        code, told = await called(capsys, "stop", file)
        assert (code, await task) == (0, 0)
        assert "3 order(s) cancelled" in told
    assert resting(quiet_venue) == []
    assert any("look at it: http://127.0.0.1" in line for line in lines)


async def test_a_flatten_closes_the_position(quiet_venue, tmp_path, capsys):
    quiet_venue.exchange.apply_flow(
        [
            SetIndexPrice(0, 400_000),
            SetLevel(0, False, 399_990, 10_000_000),
            SetLevel(0, True, 400_010, 10_000_000),
        ],
        now_us=time.time_ns() // 1000,
    )
    file = write_bot(tmp_path, "Holding", url=quiet_venue.base_url)
    async with bot_of(file) as (_, task):
        await until(quiet_venue.ledger.trades)
        code, told = await called(capsys, "stop", file, "--flatten")
        assert (code, await task) == (0, 0)
        assert "no orders and no positions left" in told
    # And once more, with nobody there.
    code, told = await called(capsys, "stop", file, "--flatten")
    assert code == 0
    assert "looking after what it left" in told


async def test_the_first_signal_is_heard(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with bot_of(file) as (lines, task):
        await until(lambda: len(resting(quiet_venue)) == 3)
        signal.raise_signal(signal.SIGTERM)
        assert await task == 0
    assert "stopped by SIGTERM" in lines[-1]


async def test_a_signal_before_the_beginning_is_heard(tmp_path):
    file = write_bot(tmp_path)
    async with bot_of(file) as (lines, task):
        signal.raise_signal(signal.SIGINT)
        assert await task == 0
    assert lines == ["stopped by SIGINT before anything was sent"]


async def test_it_ends_by_itself_and_a_crash_is_a_failure(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with bot_of(file, duration_s=0.5) as (lines, task):
        assert await task == 0
    assert "the end of its time" in lines[-1]
    file = write_bot(tmp_path, "Crashing", url=quiet_venue.base_url)
    async with bot_of(file) as (lines, task):
        assert await task == 1
    assert "ValueError: a mistake" in lines[-1]


async def test_nonsense_at_the_socket_is_answered_or_dropped(quiet_venue, tmp_path):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    files = BotFiles.of(read_settings(file))
    async with bot_of(file) as (lines, _):
        await until(lambda: lines)
        for text, answered in (
            (b'{"do": "dance"}\n', b"no such question"),
            (b"[]\n", b"no such question"),
            (b"{\n", b""),
            (b"x" * 100_000 + b"\n", b""),
        ):
            reader, writer = await asyncio.open_unix_connection(str(files.address))
            with contextlib.suppress(OSError):
                writer.write(text)
                assert answered in await asyncio.wait_for(reader.read(), 10)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        assert files.holder() is not None


async def test_a_held_lock_without_a_socket_does_not_answer(tmp_path, capsys):
    file = write_bot(tmp_path)
    files = BotFiles.of(read_settings(file))
    files.folder.mkdir(parents=True, mode=0o700)
    held = HeldFile.take(files.folder / "bot.lock")
    code, told = await called(capsys, "status", file)
    held.release()
    assert code == 1
    assert "does not answer" in told


def test_a_run_from_its_arguments_to_its_end(tmp_path, capsys):
    log = tmp_path / "bot.log"
    code = main(["run", "--duration", "0.5", "--market", "BTC", "--log-file", str(log)])
    assert code == 0, capsys.readouterr().err
    assert "stopped by the end of its time" in log.read_text()


@pytest.mark.parametrize(("network", "typed"), [("1", 1), ("3", 3)])
def test_an_interview_writes_a_file(tmp_path, monkeypatch, capsys, network, typed):
    key = derive_key_pair(b"interview").private_key
    answers = [network, *(("x", "65", "5") if typed == 3 else ()), "1", "", "yes"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))
    monkeypatch.setattr("getpass.getpass", lambda _prompt: key)
    file = tmp_path / "wrappy.toml"
    assert main(["init", str(file)]) == 0
    assert key not in capsys.readouterr().out + file.read_text()
    assert read_settings(file).strategies[0].symbols == ("ETH",)
    assert main(["init", str(file)]) == 2


@pytest.mark.parametrize(
    ("answers", "code"), [("1\n1\n\nno\n", 1), ("1\n", 1), ("9\n" * 9, 2)]
)
def test_an_interview_that_breaks_off_writes_nothing(
    tmp_path, monkeypatch, answers, code
):
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    assert main(["init", str(tmp_path / "wrappy.toml")]) == code
    assert list(tmp_path.iterdir()) == []


async def test_a_halt_outlives_a_restart_until_somebody_resumes(
    quiet_venue, tmp_path, capsys
):
    limits = "[risk]\nmax_open_orders = 9\n"
    file = write_bot(tmp_path, url=quiet_venue.base_url, extra=limits)
    (tmp_path / "mine.py").write_text(
        "from wrappy.runner.strategy import NoParameters, Strategy\n\n\n"
        "class Resting(Strategy[NoParameters]):\n"
        "    async def run(self, ctx):\n"
        "        await ctx.sleep(10**6)\n"
    )
    code, told = await called(capsys, "resume", file)
    assert code == 1
    assert "does not run" in told
    async with bot_of(file) as (lines, _):
        await until(lambda: lines)
        code, told = await called(capsys, "resume", file)
    assert "is active now" in told or "reducing" in told
    (kept,) = (tmp_path / "state").rglob("risk-guard.json")
    state = json.loads(kept.read_text())
    kept.write_text(json.dumps({**state, "halts": {"person": ["enough", None]}}))
    async with bot_of(file) as (lines, _):
        await until(lambda: lines)
        code, told = await called(capsys, "status", file)
        assert "halted" in told.split("transitions")[0]
        code, told = await called(capsys, "resume", file)
        assert "was halted (enough)" in told
        code, told = await called(capsys, "status", file)
        assert "halted" not in told.split("transitions")[0]


async def test_a_bot_without_limits_has_nothing_to_resume(
    quiet_venue, tmp_path, capsys
):
    file = write_bot(tmp_path, url=quiet_venue.base_url)
    async with bot_of(file) as (lines, _):
        await until(lambda: lines)
        code, told = await called(capsys, "resume", file)
    assert code == 1
    assert "no [risk] limits" in told
