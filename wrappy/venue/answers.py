"""Every REST endpoint, with no server around it: questions in, answers out.

The server on a socket and the door inside the process both ask here, so that they
answer the same bytes and go wrong in the same ways.
"""

from __future__ import annotations

import asyncio
import enum
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wrappy.protocol.codes import OK
from wrappy.venue.account_queries import NOBODY, AccountQueries
from wrappy.venue.account_requests import AccountRequests
from wrappy.venue.exchange import Refused
from wrappy.venue.faults import Occasion, garbled
from wrappy.venue.formalities import Formalities
from wrappy.venue.gate import INVALID_AUTH, claimed_account
from wrappy.venue.money_queries import MoneyQueries
from wrappy.venue.parameters import Parameters, wrong
from wrappy.venue.queries import PublicQueries, known_account
from wrappy.venue.read_only_tokens import parse_read_only_token
from wrappy.venue.render import error_body
from wrappy.venue.sabotage import Overtaking, subject_of, subject_of_token
from wrappy.venue.side_queries import SideQueries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from wrappy.protocol.tiers import Tier
    from wrappy.venue.accounts import Account
    from wrappy.venue.exchange import Receipt
    from wrappy.venue.fault_rules import Phase
    from wrappy.venue.faults import Firing, Subject
    from wrappy.venue.floor import Floor
    from wrappy.venue.sabotage import Sabotage

MOST_BRACKETS: Final = 500
"""Opening brackets in one message: far more than any batch has, and no depth at which
a parser would run out of stack."""
SEND_PATH: Final = "/api/v1/sendTx"
BATCH_PATH: Final = "/api/v1/sendTxBatch"
SEND_PATHS: Final = frozenset({SEND_PATH, BATCH_PATH})

_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_MISSING: Final = 404
_THROTTLED: Final = 429
_NOT_FOUND: Final = 29404
_INTERNAL: Final = 29500
_TOO_MANY: Final = 23000
TOO_MANY_CONNECTIONS: Final = 23003
_STATUS_OF: Final = {
    INVALID_AUTH: _UNAUTHORIZED,
    _TOO_MANY: _THROTTLED,
    TOO_MANY_CONNECTIONS: _THROTTLED,
    _INTERNAL: 500,
}
_RETRY_AFTER: Final = "60"


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Attributes:
        method: GET, HEAD or POST.
        path: without the query.
        query: parameters after the question mark.
        form: fields of a POST.
        token: the authorization header, or empty.
        ip: where it comes from.
    """

    method: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    token: str = ""
    ip: str = ""

    @property
    def bearer(self) -> str:
        """The token in the header, in the query or in the form, or empty."""
        places = ({"auth": self.token}, self.query, self.form)
        found = (at.get(name) for at in places for name in ("auth", "authorization"))
        return next(filter(None, found), "")


@dataclass(frozen=True, slots=True)
class Answer:
    """One response.

    Attributes:
        body: as it goes over the wire.
        status: HTTP status.
        kind: content type.
        retry_after: the header of that name, or None.
        cut: only the first half arrives before the connection ends.
    """

    body: bytes
    status: int = OK
    kind: str = "application/json"
    retry_after: str | None = None
    cut: bool = False


class Lost(enum.Enum):
    """A request that is never answered."""

    HUNG_UP = "the connection is closed"
    STALLED = "the connection stays open"


def answer(body: Any, status: int = OK) -> Answer:
    """Return a JSON response."""
    return Answer(msgspec.json.encode(body), status)


def refusal(error: Refused) -> Answer:
    """Return the response for something the exchange does not do."""
    status = _STATUS_OF.get(error.code, _BAD_REQUEST)
    return answer(error_body(error.code, error.message), status)


def receipt_fields(
    receipts: Sequence[Receipt], quota_left: int | None
) -> dict[str, Any]:
    """Return what an acceptance tells besides the hashes.

    `quota_left` is None for tiers that have no volume quota: they are told nothing.
    """
    told: dict[str, Any] = {
        "code": OK,
        "message": '{"ratelimit": "didn\'t use volume quota"}',
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


def subject_of_texts(types_text: str, infos_text: str) -> Subject:
    """Return whom the transactions in a request are about; unreadable ones nobody."""
    if too_nested(types_text) or too_nested(infos_text):
        return subject_of((), ())
    try:
        types, infos = msgspec.json.decode(types_text), msgspec.json.decode(infos_text)
        if isinstance(infos, list):
            infos = [msgspec.json.decode(info) for info in infos[:1]]
    except (ValueError, TypeError, RecursionError):
        return subject_of((), ())
    types = types if isinstance(types, list) else [types]
    infos = infos if isinstance(infos, list) else [infos]
    return subject_of(types, [info for info in infos if isinstance(info, dict)])


class Answers:
    """All REST endpoints on one exchange floor.

    Args:
        floor: what is asked.
        sabotage: what goes wrong.
    """

    def __init__(self, floor: Floor, sabotage: Sabotage) -> None:
        self._floor = floor
        self._sabotage = sabotage
        self._overtaking = Overtaking()
        self._private = AccountQueries(floor)
        self._reads: dict[str, Callable[[Question], Awaitable[Answer]]] = {
            "/api/v1/trades": self._trades
        }
        public, own = PublicQueries(floor).routes(), self._private.routes()
        for more in (SideQueries(floor), MoneyQueries(floor), Formalities(floor)):
            public |= more.public_routes()
            own |= more.account_routes()
        self._reads |= {path: self._reading(read) for path, read in public.items()}
        self._reads |= {path: self._own(path, read) for path, read in own.items()}
        self._sends: dict[str, Callable[[Question], Awaitable[Answer]]] = {
            SEND_PATH: self._send_tx,
            BATCH_PATH: self._send_tx_batch,
        }
        for path, change in AccountRequests(floor).routes().items():
            self._sends[path] = self._changing(change)

    async def handle(self, question: Question) -> Answer | Lost:
        """Answer a request, or lose it as the rules of `Faults` say.

        Whatever it raises is for `concluded` to judge.
        """
        faults, twice = self._sabotage.faults, False
        if faults.watches("request"):
            ending, twice = await self._before(question)
            if ending is not None:
                return ending
        found = await self._answered(question)
        if twice:
            await self._answered(question)
        self._overtaking.passed()
        if faults.watches("reply"):
            return await self._after(question, found)
        return found

    def concluded(self, outcome: Answer | Lost | BaseException) -> Answer | Lost:
        """Return the ending for what `handle` returned or raised.

        Raises:
            BaseException: it was no failure but the end of the program.
        """
        if not isinstance(outcome, BaseException):
            return outcome
        if isinstance(outcome, Refused):
            return refusal(outcome)
        if not isinstance(outcome, Exception):
            raise outcome
        if not isinstance(outcome, ConnectionError):
            self._floor.record_failure(outcome)
        return answer(error_body(_INTERNAL), 500)

    async def _answered(self, question: Question) -> Answer:
        try:
            return await self._respond(question)
        except Refused as error:
            return refusal(error)

    async def _respond(self, question: Question) -> Answer:
        self.admit(question)
        post = question.method == "POST"
        if not post and question.method not in ("GET", "HEAD"):
            return answer(error_body(_NOT_FOUND), _MISSING)
        handler = (self._sends if post else self._reads).get(question.path)
        if handler is None:
            # Not 405 for a wrong method: that status is the firewall's.
            return answer(error_body(_NOT_FOUND), _MISSING)
        return await handler(question)

    def admit(self, question: Question) -> None:
        """Let a request in: bring the exchange up to date, count it.

        Raises:
            Refused: 23000 when there were too many, 29500 when the venue is broken.
        """
        floor = self._floor
        if floor.failure is not None:
            raise Refused(_INTERNAL)
        limits = floor.limits
        if limits is not None and question.path not in {*SEND_PATHS, "/stream"}:
            token = question.bearer
            wait = limits.read(
                question.path,
                ip=question.ip,
                owner=self._owner(claimed_account(token) if token else None),
                now=floor.now_us() / 1_000_000,
            )
            if wait:
                raise Refused(_TOO_MANY)
        floor.catch_up()

    def _owner(self, account_index: int | None) -> tuple[str, Tier] | None:
        account = self._floor.exchange.accounts.get(account_index or -1)
        return None if account is None else (account.l1_address, account.tier)

    # ------------------------------------------------------------------- faults

    def _firings(self, question: Question, phase: Phase) -> list[Firing]:
        def look() -> Subject:
            return _subject(question)

        firings = self._sabotage.faults.decide(
            Occasion("rest", phase, question.path, look=look)
        )
        for firing in firings:
            self._sabotage.perform(firing, look, question.bearer)
        return firings

    async def _before(self, question: Question) -> tuple[Answer | Lost | None, bool]:
        twice = False
        for firing in self._firings(question, "request"):
            if firing.act == "delay":
                await asyncio.sleep(firing.delay_s)
            elif firing.act == "reorder":
                await self._overtaking.wait(firing.delay_s)
            elif firing.act == "dup":
                twice = True
            elif (ending := _ending(firing)) is not None:
                return ending, False
        return None, twice

    async def _after(self, question: Question, found: Answer) -> Answer | Lost:
        for firing in self._firings(question, "reply"):
            if firing.act == "delay":
                await asyncio.sleep(firing.delay_s)
            elif firing.act == "reorder":
                await self._overtaking.wait(firing.delay_s)
            elif firing.act == "truncate":
                return replace(found, cut=True)
            elif firing.act == "garbage":
                return replace(found, body=garbled(found.body, firing.seed))
            elif (ending := _ending(firing)) is not None:
                return ending
        return found

    # ------------------------------------------------------------------ sending

    async def _send_tx(self, question: Question) -> Answer:
        form = Parameters(question.form)
        tx_type = form.integer("tx_type", low=0, high=255)
        tx_info = form.text("tx_info")
        form.flag("price_protection", default=True)
        receipt, quota_left = await self._floor.send(tx_type, tx_info)
        self._sabotage.accepted("rest", question.path, [receipt.tx_hash])
        told = receipt_fields([receipt], quota_left)
        return answer({**told, "tx_hash": receipt.tx_hash})

    async def _send_tx_batch(self, question: Question) -> Answer:
        form = Parameters(question.form)
        types, infos = batch_lists(form.text("tx_types"), form.text("tx_infos"))
        receipts, quota_left = await self._floor.send_batch(types, infos)
        hashes = [receipt.tx_hash for receipt in receipts]
        self._sabotage.accepted("rest", question.path, hashes)
        return answer({**receipt_fields(receipts, quota_left), "tx_hash": hashes})

    # ------------------------------------------------------------------ reading

    def _reading(
        self, read: Callable[[Parameters], Any]
    ) -> Callable[[Question], Awaitable[Answer]]:
        async def respond(question: Question) -> Answer:
            return answer(read(Parameters(question.query)))

        return respond

    def _own(
        self, path: str, read: Callable[[Account, Parameters], Any]
    ) -> Callable[[Question], Awaitable[Answer]]:
        async def respond(question: Question) -> Answer:
            query = Parameters(question.query)
            if path.endswith("accountTxs"):
                query.choice("by", "account_index")
                value = Parameters({"value": query.text("value")})
                index = value.integer("value", low=0)
            else:
                index = query.integer("account_index", low=0)
            return answer(read(await self._authorised(question, index), query))

        return respond

    def _changing(
        self, change: Callable[[Account, Parameters], Any]
    ) -> Callable[[Question], Awaitable[Answer]]:
        async def respond(question: Question) -> Answer:
            form = Parameters(question.form)
            index = form.integer("account_index", low=0)
            if parse_read_only_token(question.bearer) is not None:
                raise Refused(INVALID_AUTH, "invalid auth: this token only reads")
            return answer(change(await self._authorised(question, index), form))

        return respond

    async def _trades(self, question: Question) -> Answer:
        query = Parameters(question.query)
        index = query.integer("account_index", NOBODY, low=NOBODY)
        account = None if index == NOBODY else await self._authorised(question, index)
        return answer(self._private.trades(account, query))

    async def _authorised(self, question: Question, account_index: int) -> Account:
        account = known_account(self._floor, account_index)
        token = question.bearer
        if not token:
            raise Refused(INVALID_AUTH, "invalid auth: authorization is required")
        await self._floor.authenticate(token, account_index)
        self._floor.catch_up()
        return account


def _subject(question: Question) -> Subject:
    form = question.form
    if question.path == SEND_PATH:
        return subject_of_texts(form.get("tx_type", ""), form.get("tx_info", ""))
    if question.path == BATCH_PATH:
        return subject_of_texts(form.get("tx_types", ""), form.get("tx_infos", ""))
    return subject_of_token(question.bearer, question.query.get("account_index"))


def _ending(firing: Firing) -> Answer | Lost | None:
    if firing.act == "drop":
        return Lost.HUNG_UP
    if firing.act == "stall":
        return Lost.STALLED
    if firing.act != "status":
        return None
    code = firing.rule.code
    retry_after = _RETRY_AFTER if code == _THROTTLED else None
    if firing.rule.html:
        page = f"<html><head><title>{code}</title></head><body></body></html>"
        return Answer(page.encode(), code, "text/html", retry_after)
    number = _TOO_MANY if code == _THROTTLED else code
    return replace(answer(error_body(number), code), retry_after=retry_after)
