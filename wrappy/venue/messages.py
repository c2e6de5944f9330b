"""Questions and answers of the REST door as values, and the texts inside them.

Nothing here knows what is asked or who answers: both doors read and write with it.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from wrappy.protocol.codes import OK
from wrappy.venue.gate import INVALID_AUTH
from wrappy.venue.parameters import wrong
from wrappy.venue.render import error_body
from wrappy.venue.sabotage import subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wrappy.venue.faults import Subject
    from wrappy.venue.records import Receipt
    from wrappy.venue.refusal import Refused
    from wrappy.venue.settings import VenueSettings

MOST_BRACKETS: Final = 500
"""Opening brackets in one message: far more than any batch has, and no depth at which
a parser would run out of stack."""
TOO_MANY: Final = 23000
TOO_MANY_CONNECTIONS: Final = 23003
TOO_MANY_WITHDRAWALS: Final = 23004
INTERNAL: Final = 29500
BAD_REQUEST: Final = 400
FIREWALL: Final = 405

_STATUS_OF: Final = {
    INVALID_AUTH: 401,
    TOO_MANY: 429,
    TOO_MANY_CONNECTIONS: 429,
    TOO_MANY_WITHDRAWALS: 429,
    INTERNAL: 500,
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


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return parameters by name; those that come several times with commas between.

    That is how lists come in a query, and what makes two numbers none.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def answer(body: Any, status: int = OK) -> Answer:
    """Return a JSON response."""
    return Answer(msgspec.json.encode(body), status)


def refusal(error: Refused, settings: VenueSettings | None = None) -> Answer:
    """Return the response for something the exchange does not do.

    `settings` say with which status, and how those of the limits look; without them it
    is 400 and 429, with a JSON body.
    """
    status = _STATUS_OF.get(error.code, BAD_REQUEST)
    body = error_body(error.code, error.message)
    if settings is None:
        return answer(body, status)
    if status == BAD_REQUEST:
        return answer(body, settings.refusal_status)
    if error.code != TOO_MANY:
        return answer(body, status)
    return throttled(settings.throttle_status, settings.throttle_body, body)


def throttled(status: int, look: str, body: dict[str, Any]) -> Answer:
    """Return what a limiter answers: `look` is json, html or empty."""
    if look == "html":
        page = f"<html><head><title>{status}</title></head><body></body></html>"
        return Answer(page.encode(), status, "text/html")
    if look == "empty":
        return Answer(b"", status, "text/plain")
    return answer(body, status)


def retry_after(found: Answer) -> Answer:
    """Return the answer with the header that asks for patience."""
    return replace(found, retry_after=_RETRY_AFTER)


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
