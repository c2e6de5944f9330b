"""Every code block of the documentation works: Python runs, commands exist.

A Python block runs on its own against a fresh local exchange. A block below the
comment `<!-- continues -->` goes on where the block before it on the page stopped. A
block that cannot run stands below `<!-- no-run: reason -->`, and there may be no more
of those than there are now.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import inspect
import json
import logging
import pathlib
import re
import shlex
import threading
import time
import warnings
from typing import NamedTuple

import pytest

from wrappy.lighter.config import ENVIRONMENT, load_config, read_file
from wrappy.runner.cli.app import build
from wrappy.runner.desk import desk_parser
from wrappy.venue import Venue
from wrappy.venue.__main__ import parser
from wrappy.venue.record import parser as record_parser
from wrappy.venue.replay import parser as replay_parser

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS_THAT_DO_NOT_RUN = 0
DEADLINE_S = 20.0

FENCE = re.compile(
    r"(?:^<!-- (?P<tag>[a-z:-][a-z: -]*) -->\n\n)?"
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """One fenced block of a page."""

    page: pathlib.Path
    line: int
    language: str
    tag: str
    code: str

    @property
    def place(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page, *languages):
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start("code")),
            match["language"],
            match["tag"] or "",
            match["code"],
        )
        for match in FENCE.finditer(text)
        if match["language"] in languages
    ]


def every(*languages):
    return [block for page in PAGES for block in blocks_of(page, *languages)]


def chains():
    """Return runs of Python blocks that share a namespace."""
    found = []
    for page in PAGES:
        before = len(found)
        for block in blocks_of(page, "python"):
            if block.tag.startswith("no-run"):
                continue
            if block.tag == "continues":
                assert len(found) > before, f"{block.place}: continues nothing"
                found[-1].append(block)
            else:
                assert not block.tag, f"{block.place}: unknown tag {block.tag!r}"
                found.append([block])
    return found


class ThreadedVenue:
    """A local exchange on a loop of its own, as it is for a reader."""

    def __init__(self):
        self.venue = Venue(seed=1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def call(self, coroutine):
        waiting = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return waiting.result(DEADLINE_S)

    async def everybody_left(self):
        deadline = time.monotonic() + DEADLINE_S
        while self.venue.connections:
            assert time.monotonic() < deadline, "a block leaves a connection open"
            await asyncio.sleep(0)

    def __enter__(self):
        self._thread.start()
        self.call(self.venue.start())
        return self

    def __exit__(self, *_):
        self.call(self.venue.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()


@contextlib.contextmanager
def levels_put_back():
    """Undo what a block tells a logger to show: the next test has its own wishes."""

    def loggers():
        known = logging.Logger.manager.loggerDict
        return [one for one in known.values() if isinstance(one, logging.Logger)]

    levels = {logger: logger.level for logger in loggers()}
    yield
    for logger in loggers():
        logger.setLevel(levels.get(logger, logging.NOTSET))


@pytest.fixture
def running(tmp_path, monkeypatch):
    with ThreadedVenue() as threaded:
        account = threaded.venue.accounts[0]
        key = account.api_keys[0]
        for name in ENVIRONMENT:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("LIGHTER_BASE_URL", threaded.venue.base_url)
        monkeypatch.setenv("LIGHTER_ACCOUNT_INDEX", str(account.account_index))
        monkeypatch.setenv("LIGHTER_API_KEY_INDEX", str(key.api_key_index))
        monkeypatch.setenv("LIGHTER_API_KEY", key.api_key_private_key)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.chdir(tmp_path)
        with levels_put_back():
            yield threaded
        threaded.call(threaded.everybody_left())


def run_block(block, namespace, loop):
    # The padding makes a traceback name the line of the page.
    source = "\n" * block.line + block.code
    code = compile(source, block.place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, namespace)  # noqa: S102 - our own documentation
        return
    waiting = eval(code, namespace)  # noqa: S307 - same
    loop.run_until_complete(asyncio.wait_for(waiting, DEADLINE_S))


def run_chain(chain):
    loop = asyncio.new_event_loop()
    complaints = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    namespace = {"__name__": "__main__"}
    try:
        for block in chain:
            run_block(block, namespace, loop)
        assert not asyncio.all_tasks(loop), "a block leaves a task running"
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    namespace.clear()
    gc.collect()
    assert complaints == []


def _parameter(chain):
    # The official SDK warns about its own dependencies and leaves its sessions to
    # the garbage collector; neither is ours to mend.
    foreign = any("import lighter" in block.code for block in chain)
    marks = [pytest.mark.filterwarnings("ignore")] if foreign else []
    return pytest.param(chain, id=chain[0].place, marks=marks)


@pytest.mark.parametrize("chain", [_parameter(chain) for chain in chains()])
def test_a_python_block_runs_and_leaves_nothing_behind(chain, running):
    if any("import lighter" in block.code for block in chain):
        pytest.importorskip("lighter", reason="lighter-sdk is not installed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run_chain(chain)
    else:
        run_chain(chain)


def test_blocks_that_do_not_run_become_fewer_never_more():
    idle = [block for block in every("python") if block.tag.startswith("no-run")]
    for block in idle:
        assert re.fullmatch(r"no-run: [a-z-]+", block.tag), block.place
    assert len(idle) == BLOCKS_THAT_DO_NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_block_hides_from_these_tests_or_from_the_site(page):
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"^[ \t]*`{3,}.*$", text, re.MULTILINE)
    # Words behind the language would keep the site from seeing the block at all.
    assert all(re.fullmatch(r"```[a-z]+", fence) for fence in fences[::2])
    assert all(fence == "```" for fence in fences[1::2])
    assert len(fences) == 2 * len(FENCE.findall(text))
    tagged = [match for match in FENCE.finditer(text) if match["tag"]]
    tags = re.findall("^<!-- (?:continues|no-run)", text, re.MULTILINE)
    assert len(tags) == len(tagged)


@pytest.mark.parametrize(
    "block", [pytest.param(block, id=block.place) for block in every("json")]
)
def test_a_config_file_of_the_documentation_is_accepted(block, tmp_path, monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config.json"
    path.write_text(block.code, encoding="utf-8")
    path.chmod(0o600)
    settings = read_file(path)
    key = {"api_key_index": 4, "api_key_private_key": "12" * 40}
    wanted = {"account_index": 1, **key, "symbol": "ETH"}
    assert load_config(path, wanted).base_url == settings["base_url"].rstrip("/")
    assert json.loads(block.code)


def commands():
    """Yield every command line of the shell blocks, comments taken off."""
    for block in every("bash"):
        joined = block.code.replace("\\\n", " ")
        for line in joined.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield pytest.param(words, id=f"{block.place}: {' '.join(words)}"[:70])


def make_targets():
    path = ROOT / "Makefile"
    if not path.exists():
        pytest.skip("there is no Makefile beside this README")
    text = path.read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


def check_own_command(words):
    """Have the command line read the words, without carrying anything out."""
    if words[:1] == ["venue"]:
        parser().parse_args(words[1:])
    elif words[:1] == ["record"]:
        record_parser().parse_args(words[1:])
    elif "--help" not in words:
        build().parse_args(words, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_of_the_documentation_exists(words):
    if words == ["python", "-m", "asyncio"]:
        return  # the standard library's prompt
    while "=" in words[0]:
        words = words[1:]  # a variable for this command only
    if words[0] == "make":
        assert {word for word in words[1:] if "=" not in word} <= make_targets()
    elif words[0] == "wrappy":
        check_own_command(words[1:])
    elif words[:3] == ["python", "-m", "wrappy.venue"]:
        words = words[: words.index(">")] if ">" in words else words
        if words[3:4] == ["replay"]:
            replay_parser().parse_args(words[4:])
        elif words[3:4] == ["record"]:
            record_parser().parse_args(words[4:])
        elif words[3:] != ["--help"]:
            parser().parse_args(words[3:])
    elif words[:3] == ["python", "-m", "pytest"]:
        for path in (word for word in words[3:] if word.startswith("tests/")):
            assert list(ROOT.glob(path)), f"there is nothing at {path}"
    elif words[:2] == ["python", "-m"]:
        assert (ROOT / f"{words[2].replace('.', '/')}.py").exists()
    elif words[0] == "python" and words[1].endswith(".py"):
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        if "desk_parser(" in script:
            script += inspect.getsource(desk_parser)  # what such scripts share
        for flag in (word for word in words[2:] if word.startswith("--")):
            assert f'"{flag}"' in script, f"{words[1]} knows no {flag}"
    elif words[0] == "export":
        assert words[1].partition("=")[0] in {*ENVIRONMENT, "XDG_STATE_HOME"}
    elif words[0] == "chmod":
        assert words[1] == "600"
    else:
        assert words[:2] in (["pip", "install"], ["mkdocs", "build"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_keys_shown_on_a_page_are_those_of_the_local_exchange(page):
    shown = re.findall(r"\b[0-9a-f]{80}\b", page.read_text(encoding="utf-8"))
    account = Venue(seed=1).accounts[0]
    assert set(shown) <= {key.api_key_private_key for key in account.api_keys}
