"""The monitor: a page to look at, JSON and metrics, served from a thread of its own.

The thread only ever sees looks that are over, so that nothing a browser does can hold
up the trading; and when the trading hangs, the page still answers and says so.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from wrappy.errors import ConfigError
from wrappy.runner.monitor.access import refusal
from wrappy.runner.monitor.answers import ANSWERS, answer
from wrappy.runner.side_thread import SideThread
from wrappy.venue.page import WATCHED_HEADERS, headers_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from wrappy.runner.monitor.settings import MonitorSettings
    from wrappy.runner.monitor.snapshot import MonitorSource

METRICS_PATH: Final = "/metrics"
MOST_AT_ONCE: Final = 16
"""Requests that are answered at the same time; others are turned away."""

WRITE_WITHIN_S: Final = 5.0
"""A client that takes longer to read its answer is cut off."""

MOST_UNREAD_BYTES: Final = 64 * 1024
_LOOK_AGAIN_S: Final = 0.02
_IDLE_S: Final = 30.0
_END_WITHIN_S: Final = 3.0
_READ_ONLY: Final = ("GET", "HEAD")
_NOT_ALLOWED: Final = 405
_BUSY: Final = 503


@cache
def monitor_page() -> bytes:
    """Return the page."""
    return files("wrappy.runner.monitor").joinpath("page.html").read_bytes()


class Monitor:
    """Serves what a source shows, to programs of this machine that know the token.

        async with EngineWatch(engine) as watch:
            async with Monitor(watch, MonitorSettings(), token=monitor_token()) as seen:
                print(seen.url)

    It changes nothing, whatever is asked of it: there is no address that could.

    Args:
        source: what is shown.
        settings: where to listen.
        token: what a client has to know.
        metrics: writes the metrics; None leaves `/metrics` out.

    Attributes:
        cut_off: clients so far that read too slowly.
    """

    def __init__(
        self,
        source: MonitorSource,
        settings: MonitorSettings,
        *,
        token: str,
        metrics: Callable[[], tuple[bytes, str]] | None = None,
    ) -> None:
        self.cut_off = 0
        self._source = source
        self._settings = settings
        self._token = token
        self._metrics = metrics
        self._address = ""
        self._busy = 0
        self._thread: SideThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._enough: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"Monitor({self._address or 'not running'})"

    @property
    def base_url(self) -> str:
        """Address without the token, fit for a log; empty while it is not running."""
        return self._address

    @property
    def url(self) -> str:
        """Address of the page, with the token: for the person who started the bot.

        The token stands behind `#`, which browsers keep to themselves: it is in no
        request line, no log and no `Referer`.
        """
        return f"{self._address}/#token={self._token}"

    # ------------------------------------------------------------------- lifetime

    async def __aenter__(self) -> Monitor:  # noqa: PYI034 - typing.Self needs 3.11
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Listen, in a thread of its own.

        Raises:
            ConfigError: the port is taken, or may not be listened on.
        """
        begun: Future[str] = Future()
        self._thread = SideThread(
            lambda: asyncio.run(self._serve(begun)), name="wrappy-monitor"
        )
        self._address = await asyncio.wrap_future(begun)

    async def aclose(self) -> None:
        """Answer nobody any more."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._loop is not None and self._enough is not None:
            self._loop.call_soon_threadsafe(self._enough.set)
        await thread.ended(_END_WITHIN_S)

    async def _serve(self, begun: Future[str]) -> None:
        self._loop, self._enough = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_IDLE_S,
            shutdown_timeout=0.2,
        )
        await runner.setup()
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            begun.set_exception(
                ConfigError(
                    f"port: {port} cannot be listened on "
                    f"({error.strerror or error}); choose another, or 0 for a free one"
                )
            )
        else:
            begun.set_result(_written(*runner.addresses[0][:2]))
            await self._enough.wait()
        finally:
            self._loop = None
            await runner.cleanup()

    # -------------------------------------------------------------------- answers

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=1024)
        application.router.add_get("/", self._show_page)
        for path in ANSWERS:
            application.router.add_get(path, self._tell)
        if self._metrics is not None:
            application.router.add_get(METRICS_PATH, self._tell_metrics)
        return application

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        refused = self._refusal(request)
        if refused is not None:
            status, words = refused
            return _refused(status, words)
        self._busy += 1
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _refused(error.status, error.reason)
        finally:
            self._busy -= 1

    def _refusal(self, request: web.Request) -> tuple[int, str] | None:
        if request.method not in _READ_ONLY:
            return _NOT_ALLOWED, "the monitor only shows; it changes nothing"
        if self._busy >= MOST_AT_ONCE:
            return _BUSY, "too many at once"
        is_open = request.path == METRICS_PATH and self._settings.open_metrics
        # The page itself says nothing of the bot; what it asks for does.
        is_open = is_open or request.path == "/"
        token = "" if is_open else self._token
        return refusal(request.headers, request.query, request.remote, token)

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        page = monitor_page()
        return await self._send(request, page, "text/html", headers_for(page))

    async def _tell(self, request: web.Request) -> web.StreamResponse:
        body = answer(request.path, self._source.latest, self._source.age_s())
        return await self._send(request, body, "application/json", WATCHED_HEADERS)

    async def _tell_metrics(self, request: web.Request) -> web.StreamResponse:
        assert self._metrics is not None  # noqa: S101 - else there is no route
        body, kind = self._metrics()
        headers = {**WATCHED_HEADERS, "Content-Type": kind}
        return await self._send(request, body, None, headers)

    async def _send(
        self,
        request: web.Request,
        body: bytes,
        kind: str | None,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        if kind is not None:
            response.content_type = kind
            response.charset = "utf-8"
        response.content_length = len(body)
        transport = request.transport
        try:
            await asyncio.wait_for(
                _written_out(request, response, body), WRITE_WITHIN_S
            )
        except asyncio.TimeoutError:
            self.cut_off += 1
            if transport is not None:
                transport.abort()
        except ConnectionError:
            pass  # it went away
        return response


async def _written_out(
    request: web.Request, response: web.StreamResponse, body: bytes
) -> None:
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(body)
    await response.write_eof()
    # Small answers are handed to the socket without waiting for it: a client that
    # asks again and again and never reads would fill the memory.
    while _unread(request) > MOST_UNREAD_BYTES:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(_LOOK_AGAIN_S)


def _unread(request: web.Request) -> int:
    transport = request.transport
    if transport is None or transport.is_closing():
        return 0
    # aiohttp serves TCP here, whose transports know what they still have to write.
    return cast("asyncio.WriteTransport", transport).get_write_buffer_size()


def _refused(status: int, words: str) -> web.Response:
    headers = {**WATCHED_HEADERS}
    if status == _NOT_ALLOWED:
        headers["Allow"] = ", ".join(_READ_ONLY)
    return web.json_response(
        {"code": status, "message": words}, status=status, headers=headers
    )


def _written(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
