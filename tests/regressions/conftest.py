"""Fixtures of the regression tests: a counting door."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit

import pytest


class Tap:
    """A door before a venue that keeps what clients say, byte by byte.

    Attributes:
        connections: how many were opened.
        heard: everything that came in.
    """

    def __init__(self, venue) -> None:
        self.accounts, self.chain_id = venue.accounts, venue.chain_id
        self.connections = 0
        self.heard = bytearray()
        self.base_url = ""
        self._behind = urlsplit(venue.base_url)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader, writer) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        behind = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        try:
            await asyncio.gather(
                self._pass(reader, behind[1], self.heard),
                self._pass(behind[0], writer, None),
            )
        finally:
            for end in (writer, behind[1]):
                end.close()
            self._tasks.discard(task)

    async def _pass(self, source, target, kept) -> None:
        while data := await source.read(65536):
            if kept is not None:
                kept.extend(data)
            target.write(data)
        if target.can_write_eof():
            target.write_eof()

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def tap_on():
    """Return a function that puts a tap before a venue: `await tap_on(venue)`."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(venue) -> Tap:
            tap = Tap(venue)
            server = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
            host, port = server.sockets[0].getsockname()[:2]
            tap.base_url = f"http://{host}:{port}"
            stack.callback(server.close)
            stack.push_async_callback(tap.aclose)
            return tap

        yield opened
