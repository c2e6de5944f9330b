"""Questions to a running bot: asked over its socket, answered in lines of JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from wrappy.runner.cli.bot_files import BotFiles

logger = logging.getLogger("wrappy.control")

LONGEST_LINE: Final = 4096
_PATIENCE_S: Final = 5.0


class ControlServer:
    """Answers at the bot's socket, for its owner alone, while it is entered.

    Args:
        files: where the socket lies.
        status: returns what `status` answers.
        stop: is called when somebody asks to stop; takes whether to flatten.
        resume: ends a halt of the risk guard and returns what to answer.
    """

    def __init__(
        self,
        files: BotFiles,
        *,
        status: Callable[[], Mapping[str, Any]],
        stop: Callable[[bool], None],
        resume: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._files = files
        self._status = status
        self._stop = stop
        self._resume = resume
        self._ended: asyncio.Future[Mapping[str, Any]] | None = None
        self._server: asyncio.AbstractServer | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> None:
        self._ended = asyncio.get_running_loop().create_future()
        listening = self._files.listening_socket()
        self._server = await asyncio.start_unix_server(
            self._meet, sock=listening, limit=LONGEST_LINE
        )

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.tell_end({"ended": True})
        if self._server is not None:
            self._server.close()
        if self._talks:
            await asyncio.wait(self._talks, timeout=1.0)
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def tell_end(self, report: Mapping[str, Any]) -> None:
        """Tell whoever asked to stop how it went."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(report)

    async def _meet(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        talk = asyncio.current_task()
        if talk is not None:
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)
        try:
            await self._answer(reader, writer)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            logger.debug("a question was not answered: %s", error)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        raw = await asyncio.wait_for(reader.readline(), _PATIENCE_S)
        asked = json.loads(raw)
        act = asked.get("do") if isinstance(asked, dict) else None
        if act == "status":
            await _write(writer, self._status())
        elif act == "resume":
            await _write(writer, self._resume())
        elif act == "stop" and self._ended is not None:
            flatten = asked.get("flatten") is True
            self._stop(flatten)
            await _write(writer, {"stopping": True})
            await _write(writer, await asyncio.shield(self._ended))
        else:
            await _write(writer, {"error": "no such question"})


async def _write(writer: asyncio.StreamWriter, row: Mapping[str, Any]) -> None:
    writer.write(json.dumps(dict(row), default=str).encode() + b"\n")
    await asyncio.wait_for(writer.drain(), _PATIENCE_S)


def ask(
    files: BotFiles,
    question: Mapping[str, Any],
    *,
    timeout_s: float,
    then_s: float | None = None,
) -> Iterator[dict[str, Any]]:
    """Ask a bot and yield its answers, one line each.

    Args:
        files: whose socket.
        question: `{"do": "status"}`, `{"do": "resume"}` or `{"do": "stop",
            "flatten": ...}`.
        timeout_s: longest wait for the first answer.
        then_s: longest wait for each one after it; None takes the same.

    Raises:
        OSError: it does not answer; `TimeoutError` among them.
    """
    talking: socket.socket = files.connected_socket(timeout_s)
    with talking, talking.makefile("rb") as lines:
        talking.sendall(json.dumps(dict(question)).encode() + b"\n")
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ConnectionError("the bot answers nonsense") from error
            if isinstance(row, dict):
                yield row
            talking.settimeout(timeout_s if then_s is None else then_s)
