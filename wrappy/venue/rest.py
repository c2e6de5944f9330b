"""The REST door on a socket: bytes and connections around `venue.answers`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from wrappy.errors import ConfigError
from wrappy.venue.exchange import Refused
from wrappy.venue.fault_rules import rule_from
from wrappy.venue.gate import INVALID_PARAMETER
from wrappy.venue.ledger import canonical_text
from wrappy.venue.messages import (
    Answer,
    Lost,
    Question,
    answer,
    joined,
    refusal,
)
from wrappy.venue.page import (
    PAGE_PATH,
    STATE_PATH,
    WATCHED_HEADERS,
    is_local,
    names_this_machine,
    page,
    page_headers,
)
from wrappy.venue.parameters import Parameters, wrong
from wrappy.venue.render import error_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from wrappy.venue.answers import Answers
    from wrappy.venue.faults import Faults
    from wrappy.venue.ledger import EventLog
    from wrappy.venue.visits import Visits

MOST_BODY_BYTES: Final = 256 * 1024
ADMIN_PATH: Final = "/admin/faults"
FAULTS_PATH: Final = "/venue/faults"
"""The same beside the page."""
LEDGER_PATH: Final = "/venue/ledger"
ANNOUNCE_PATH: Final = "/admin/announce"

_UNREADABLE: Final = (
    ValueError,
    LookupError,
    RuntimeError,
    RuntimeWarning,
    HttpProcessingError,
    web.RequestPayloadError,
)
"""What reading a form raises for one that is malformed, of an unknown character set,
of an unknown transfer encoding, with a part's header that is broken (some only warn,
but warnings may be errors), or badly compressed."""
_TOO_LARGE: Final = 413
_FORBIDDEN: Final = 403
_BAD_REQUEST: Final = 400


class Announce(Protocol):
    """Sends an account a notification."""

    def __call__(self, account: int, kind: str, content: Mapping[str, Any]) -> str:
        """Return the notification's id."""


class RestDoor:
    """All REST endpoints, served over HTTP.

    Args:
        answers: what is asked.
        stream: serves a WebSocket request to `/stream`.
        now_us: venue time, unix microseconds.
        visits: where requests are kept for the page.
        state: what the page shows, of a market by its index.
        admin: rules that `/admin/faults` may change, from this machine only; None
            leaves that path out.
        announce: sends an account a notification, for `/admin/announce`.
        ledger: what `/venue/ledger` tells of.
    """

    def __init__(
        self,
        answers: Answers,
        stream: Callable[[web.Request], Awaitable[web.StreamResponse]],
        *,
        now_us: Callable[[], int],
        visits: Visits,
        state: Callable[[int | None], dict[str, Any]],
        admin: Faults | None = None,
        announce: Announce | None = None,
        ledger: EventLog | None = None,
    ) -> None:
        self._answers = answers
        self._stream = stream
        self._now_us = now_us
        self._visits = visits
        self._state = state
        self._admin = admin
        self._announce = announce
        self._ledger = ledger
        self._closing = asyncio.Event()

    def application(self) -> web.Application:
        """Return the web application with every route."""
        application = web.Application(
            middlewares=[self._guard], client_max_size=MOST_BODY_BYTES
        )
        application.router.add_get("/stream", self._streamed)
        for path in (PAGE_PATH, PAGE_PATH.rstrip("/"), STATE_PATH):
            application.router.add_get(path, self._show)
        if self._admin is not None:
            for path in (ADMIN_PATH, FAULTS_PATH, LEDGER_PATH, ANNOUNCE_PATH):
                application.router.add_route("*", path, self._administer)
        application.router.add_route("*", "/{path:.*}", self._serve)
        return application

    def close(self) -> None:
        """Let go of the requests that are never answered."""
        self._closing.set()

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        # Gathering a single call turns whatever it raises into a value: the door
        # answers every failure and forgets none.
        [outcome] = await asyncio.gather(handler(request), return_exceptions=True)
        if isinstance(outcome, web.HTTPRequestEntityTooLarge):
            body = error_body(INVALID_PARAMETER, "invalid param: body is too large")
            return _response(answer(body, _TOO_LARGE))
        if isinstance(outcome, web.HTTPException):
            body = error_body(INVALID_PARAMETER, outcome.reason)
            return _response(answer(body, outcome.status))
        if isinstance(outcome, web.StreamResponse):
            return outcome
        ending = self._answers.concluded(outcome)
        return _response(ending) if isinstance(ending, Answer) else _hang_up(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        form: dict[str, str] = {}
        if request.method == "POST":
            form = await _form(request)
        began = perf_counter()
        ending = await self._answers.handle(_question(request, form))
        given = ending if isinstance(ending, Answer) else None
        self._visits.request(
            request.method,
            request.path,
            at_us=self._now_us(),
            took_us=round((perf_counter() - began) * 1_000_000),
            status=None if given is None else given.status,
            body=b"" if given is None else given.body,
        )
        if ending is Lost.STALLED:
            await self._closing.wait()
        if not isinstance(ending, Answer):
            return _hang_up(request)
        if ending.cut:
            return await _half(request, ending)
        return _response(ending)

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        self._answers.admit(_question(request, {}))
        return await self._stream(request)

    async def _show(self, request: web.Request) -> web.StreamResponse:
        if not is_local(request.remote) or not names_this_machine(request.host):
            body = error_body(INVALID_PARAMETER, "only for browsers on this machine")
            return _response(answer(body, _FORBIDDEN))
        if request.path != STATE_PATH:
            return web.Response(
                body=page(), content_type="text/html", headers=page_headers()
            )
        try:
            market = Parameters(request.query).integer("market", -1, low=-1)
        except Refused as error:
            return _response(refusal(error))
        told = msgspec.json.encode(self._state(None if market < 0 else market))
        return web.Response(
            body=told, content_type="application/json", headers=WATCHED_HEADERS
        )

    # -------------------------------------------------------------- administration

    async def _administer(self, request: web.Request) -> web.StreamResponse:
        # A page of some web site in a browser on this machine is no administrator.
        if not is_local(request.remote) or "Origin" in request.headers:
            body = error_body(INVALID_PARAMETER, "only for programs on this machine")
            return _response(answer(body, _FORBIDDEN))
        try:
            return _response(answer(await self._administered(request)))
        except ConfigError as error:
            body = error_body(INVALID_PARAMETER, f"invalid param: {error}")
            return _response(answer(body, _BAD_REQUEST))
        except Refused as error:
            return _response(refusal(error))

    async def _administered(self, request: web.Request) -> dict[str, Any]:
        if request.path == ANNOUNCE_PATH:
            return await self._announced(request)
        if request.path == LEDGER_PATH:
            return self._told_ledger(request)
        faults = self._admin
        if faults is None or request.method not in ("GET", "POST", "DELETE"):
            raise wrong("method", "must be GET, POST or DELETE")
        if request.method == "POST":
            values = await _object(request)
            return {"code": 200, "handle": faults.add(rule_from(values))}
        if request.method == "DELETE":
            if "handle" in request.query:
                faults.remove(Parameters(request.query).integer("handle", low=0))
            else:
                faults.clear()
        return {"code": 200, "faults": [asdict(count) for count in faults.counts()]}

    def _told_ledger(self, request: web.Request) -> dict[str, Any]:
        if self._ledger is None or request.method != "GET":
            raise wrong("method", "must be GET")
        limit = Parameters(request.query).integer("limit", 100, low=1, high=1_000)
        latest = islice(self._ledger.latest(), limit)
        return {
            "code": 200,
            "hash": self._ledger.hash(),
            "events": len(self._ledger),
            "flow_trades": self._ledger.flow_trades,
            "latest": [canonical_text(event) for event in latest],
        }

    async def _announced(self, request: web.Request) -> dict[str, Any]:
        if self._announce is None or request.method != "POST":
            raise wrong("method", "must be POST")
        values = await _object(request)
        if set(values) != {"account", "kind", "content"}:
            raise wrong("body", "must have account, kind and content")
        return {"code": 200, "id": self._announce(**values)}


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        values = msgspec.json.decode(await request.read())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise wrong("body", "must be a JSON object")
    return values


def _question(request: web.Request, form: dict[str, str]) -> Question:
    return Question(
        request.method,
        request.path,
        joined(request.query.items()),
        form,
        token=request.headers.get("authorization", ""),
        ip=request.remote or "",
    )


def _response(ending: Answer) -> web.Response:
    headers = {}
    if ending.retry_after is not None:
        headers["Retry-After"] = ending.retry_after
    return web.Response(
        body=ending.body,
        status=ending.status,
        content_type=ending.kind,
        headers=headers,
    )


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _half(request: web.Request, ending: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=ending.status)
    response.content_type = ending.kind
    response.content_length = len(ending.body)
    await response.prepare(request)
    await response.write(ending.body[: len(ending.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _form(request: web.Request) -> dict[str, str]:
    try:
        form = await request.post()
    except _UNREADABLE:
        raise wrong("body", "cannot be read") from None
    texts = ((name, value) for name, value in form.items() if isinstance(value, str))
    return joined(texts)
