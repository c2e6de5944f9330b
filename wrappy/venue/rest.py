"""The REST door: every documented endpoint a dealer or market-data client uses."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from wrappy.protocol.codes import OK
from wrappy.venue.account_queries import NOBODY, AccountQueries
from wrappy.venue.exchange import Refused
from wrappy.venue.gate import INVALID_AUTH, INVALID_PARAMETER, claimed_account
from wrappy.venue.parameters import Parameters, wrong
from wrappy.venue.queries import PublicQueries, known_account
from wrappy.venue.render import error_body
from wrappy.venue.side_queries import SideQueries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from wrappy.protocol.tiers import Tier
    from wrappy.venue.accounts import Account
    from wrappy.venue.exchange import Receipt
    from wrappy.venue.floor import Floor

MOST_BODY_BYTES: Final = 256 * 1024
MOST_BRACKETS: Final = 500
"""Opening brackets in one message: far more than any batch has, and no depth at which
a parser would run out of stack."""
SEND_PATHS: Final = frozenset({"/api/v1/sendTx", "/api/v1/sendTxBatch"})

_UNREADABLE: Final = (ValueError, LookupError, RuntimeError, web.RequestPayloadError)
"""What reading a form raises for one that is malformed, of an unknown character set,
of an unknown transfer encoding, or badly compressed."""
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_TOO_LARGE: Final = 413
_THROTTLED: Final = 429
_NOT_FOUND: Final = 29404
_INTERNAL: Final = 29500
_TOO_MANY: Final = 23000


def answer(body: Any, status: int = 200) -> web.Response:
    """Return a JSON response."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )


def refusal(error: Refused) -> web.Response:
    """Return the response for something the exchange does not do."""
    status = {INVALID_AUTH: _UNAUTHORIZED, _TOO_MANY: _THROTTLED}.get(
        error.code, _BAD_REQUEST
    )
    return answer(error_body(error.code, error.message), status)


def receipt_fields(
    receipts: Sequence[Receipt], quota_left: int | None
) -> dict[str, Any]:
    """Return what an acceptance tells besides the hashes.

    `quota_left` is None for tiers that have no volume quota: they are told nothing.
    """
    told: dict[str, Any] = {
        "code": OK,
        "message": json.dumps({"ratelimit": "didn't use volume quota"}),
        "predicted_execution_time_ms": receipts[-1].execute_at_us // 1_000,
    }
    if quota_left is not None:
        told["volume_quota_remaining"] = quota_left
    return told


def too_nested(text: str) -> bool:
    """Return whether a JSON text may be nested deeper than is safe to parse."""
    return text.count("[") + text.count("{") > MOST_BRACKETS


def json_text(value: Any) -> str:
    """Return what a message carries either as JSON text or as it is, as text."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def json_list(text: str, name: str) -> list[Any]:
    """Return a JSON list that a form field or a message carries as text.

    Raises:
        Refused: 20001, it is no JSON list.
    """
    if too_nested(text):
        raise wrong(name, "has too many brackets")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong(name, "must be a JSON list") from None
    if not isinstance(value, list):
        raise wrong(name, "must be a JSON list")
    return value


def batch_lists(types_text: str, infos_text: str) -> tuple[list[int], list[str]]:
    """Return the types and infos of a batch from their JSON texts.

    Raises:
        Refused: 20001, they are no lists of integers and of strings.
    """
    types = json_list(types_text, "tx_types")
    infos = json_list(infos_text, "tx_infos")
    if any(type(number) is not int for number in types):
        raise wrong("tx_types", "must be a list of integers")
    if not all(isinstance(info, str) for info in infos):
        raise wrong("tx_infos", "must be a list of JSON strings")
    return types, infos


class RestDoor:
    """All REST endpoints on one exchange floor."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._private = AccountQueries(floor)

    def application(self) -> web.Application:
        """Return the web application with every route."""
        application = web.Application(
            middlewares=[self._guard], client_max_size=MOST_BODY_BYTES
        )
        side = SideQueries(self._floor)
        public = {**PublicQueries(self._floor).routes(), **side.public_routes()}
        for path, read in public.items():
            application.router.add_get(path, self._reading(read))
        private = {**self._private.routes(), **side.account_routes()}
        for path, read_own in private.items():
            application.router.add_get(path, self._own(path, read_own))
        application.router.add_get("/api/v1/trades", self._trades)
        application.router.add_post("/api/v1/sendTx", self._send_tx)
        application.router.add_post("/api/v1/sendTxBatch", self._send_tx_batch)
        return application

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        # Gathering a single call turns whatever it raises into a value: the door
        # answers every failure and forgets none.
        [outcome] = await asyncio.gather(
            self._limited(request, handler), return_exceptions=True
        )
        if isinstance(outcome, Refused):
            return refusal(outcome)
        if isinstance(outcome, web.HTTPRequestEntityTooLarge):
            return answer(
                error_body(INVALID_PARAMETER, "invalid param: body is too large"),
                _TOO_LARGE,
            )
        if isinstance(outcome, (web.HTTPNotFound, web.HTTPMethodNotAllowed)):
            # Not 405 for a wrong method: that status is the firewall's.
            return answer(error_body(_NOT_FOUND), 404)
        if isinstance(outcome, web.HTTPException):
            return answer(error_body(INVALID_PARAMETER, outcome.reason), outcome.status)
        if isinstance(outcome, web.StreamResponse):
            return outcome
        if not isinstance(outcome, Exception):
            raise outcome
        if not isinstance(outcome, ConnectionError):
            self._floor.record_failure(outcome)
        return answer(error_body(_INTERNAL), 500)

    async def _limited(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        floor = self._floor
        if floor.failure is not None:
            return answer(error_body(_INTERNAL), 500)
        limits = floor.limits
        if limits is not None and request.path not in {*SEND_PATHS, "/stream"}:
            token = _token(request)
            wait = limits.read(
                request.path,
                ip=request.remote or "",
                owner=self._owner(claimed_account(token) if token else None),
                now=floor.now_us() / 1_000_000,
            )
            if wait:
                raise Refused(_TOO_MANY)
        floor.catch_up()
        return await handler(request)

    def _owner(self, account_index: int | None) -> tuple[str, Tier] | None:
        account = self._floor.exchange.accounts.get(account_index or -1)
        return None if account is None else (account.l1_address, account.tier)

    # ------------------------------------------------------------------ sending

    async def _send_tx(self, request: web.Request) -> web.Response:
        form = Parameters(await _form(request))
        tx_type = form.integer("tx_type", low=0, high=255)
        tx_info = form.text("tx_info")
        form.flag("price_protection", default=True)
        receipt, quota_left = await self._floor.send(tx_type, tx_info)
        told = receipt_fields([receipt], quota_left)
        return answer({**told, "tx_hash": receipt.tx_hash})

    async def _send_tx_batch(self, request: web.Request) -> web.Response:
        form = Parameters(await _form(request))
        types, infos = batch_lists(form.text("tx_types"), form.text("tx_infos"))
        receipts, quota_left = await self._floor.send_batch(types, infos)
        told = receipt_fields(receipts, quota_left)
        return answer({**told, "tx_hash": [receipt.tx_hash for receipt in receipts]})

    # ------------------------------------------------------------------ reading

    def _reading(
        self, read: Callable[[Parameters], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            return answer(read(Parameters(request.query)))

        return respond

    def _own(
        self, path: str, read: Callable[[Account, Parameters], Any]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def respond(request: web.Request) -> web.StreamResponse:
            query = Parameters(request.query)
            if path.endswith("accountTxs"):
                query.choice("by", "account_index")
                value = Parameters({"value": query.text("value")})
                index = value.integer("value", low=0)
            else:
                index = query.integer("account_index", low=0)
            return answer(read(await self._authorised(request, index), query))

        return respond

    async def _trades(self, request: web.Request) -> web.Response:
        query = Parameters(request.query)
        index = query.integer("account_index", NOBODY, low=NOBODY)
        account = None if index == NOBODY else await self._authorised(request, index)
        return answer(self._private.trades(account, query))

    async def _authorised(self, request: web.Request, account_index: int) -> Account:
        account = known_account(self._floor, account_index)
        token = _token(request)
        if not token:
            raise Refused(INVALID_AUTH, "invalid auth: authorization is required")
        await self._floor.authenticate(token, account_index)
        self._floor.catch_up()
        return account


def _token(request: web.Request) -> str:
    return (
        request.headers.get("authorization")
        or request.query.get("auth")
        or request.query.get("authorization")
        or ""
    )


async def _form(request: web.Request) -> dict[str, str]:
    try:
        form = await request.post()
    except _UNREADABLE:
        raise wrong("body", "cannot be read") from None
    return {name: value for name, value in form.items() if isinstance(value, str)}
