"""Every shape an answer can have, and what may be concluded from it."""

from __future__ import annotations

import asyncio
import json

import pytest

from wrappy._core.outcomes import NonceFate, SendOutcome, verdict_of
from wrappy.errors import (
    ConnectError,
    ProtocolError,
    RequestTimeoutError,
    StreamClosedError,
    TransportError,
    WrappyError,
)
from wrappy.lighter.wire.doors import raise_refusal, read_reply
from wrappy.lighter.wire.transport import read_body

ACCEPTED = (SendOutcome.ACCEPTED, NonceFate.USED)
REFUSED = (SendOutcome.REFUSED, NonceFate.FREE)
SUSPECT = (SendOutcome.REFUSED, NonceFate.SUSPECT)
THROTTLED = (SendOutcome.THROTTLED, NonceFate.FREE)
NOT_SENT = (SendOutcome.NOT_SENT, NonceFate.FREE)
UNKNOWN = (SendOutcome.UNKNOWN, NonceFate.IN_DOUBT)

YES = {"code": 200, "tx_hash": ["a", "b"]}
HTML = b"<html>bad gateway</html>"


def over_rest(status, body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        answer = read_body(raw, status=status, endpoint="/api/v1/sendTxBatch")
        read_reply(answer, count=2, endpoint="/api/v1/sendTxBatch")
    except WrappyError as error:
        return tuple(verdict_of(error))
    return tuple(verdict_of(None))


def over_the_socket(frame):
    try:
        raise_refusal(frame, endpoint="jsonapi/sendtxbatch")
        read_reply(frame, count=2, endpoint="jsonapi/sendtxbatch")
    except WrappyError as error:
        return tuple(verdict_of(error))
    return tuple(verdict_of(None))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, YES, ACCEPTED),
        (200, {"tx_hash": ["a", "b"]}, UNKNOWN),
        (200, {"code": "200", "tx_hash": ["a", "b"]}, UNKNOWN),
        (200, {"code": 200}, UNKNOWN),
        (200, {"code": 200, "tx_hash": ["a"]}, UNKNOWN),
        (200, {"code": 200, "tx_hash": "a"}, UNKNOWN),
        (200, {"code": 200, "tx_hash": ["a", ""]}, UNKNOWN),
        (200, {"code": 200, "tx_hash": ["a", None]}, UNKNOWN),
        (200, {"code": 200, "tx_hash": None}, UNKNOWN),
        (200, [], UNKNOWN),
        (200, b"", UNKNOWN),
        (200, b'{"code":200,"tx_ha', UNKNOWN),
        (200, {"code": 21702, "message": "invalid price"}, REFUSED),
        (200, {"code": 21104}, SUSPECT),
        (200, {"code": 23000}, THROTTLED),
        (200, {"code": 29500}, UNKNOWN),
        (200, {"code": 502}, UNKNOWN),
        (200, {"code": 0}, UNKNOWN),
        (400, {"code": 21702}, REFUSED),
        (400, {"code": 21104}, SUSPECT),
        (400, {"code": 21105}, SUSPECT),
        (400, {"code": 21600}, REFUSED),
        (400, {"code": 21120}, REFUSED),
        (400, {"code": 23000}, THROTTLED),
        (400, {"code": 29501}, UNKNOWN),
        (400, HTML, REFUSED),
        (401, b"", REFUSED),
        (403, HTML, REFUSED),
        (404, HTML, REFUSED),
        (405, HTML, THROTTLED),
        (429, b"", THROTTLED),
        (429, {"code": 23000}, THROTTLED),
        (408, b"", UNKNOWN),
        (499, b"", UNKNOWN),
        (302, b"", UNKNOWN),
        (307, b"", REFUSED),
        (204, b"", UNKNOWN),
        (500, {"code": 21702}, UNKNOWN),
        (502, HTML, UNKNOWN),
        (503, b"", UNKNOWN),
        (504, {"code": 29500}, UNKNOWN),
    ],
)
def test_a_rest_answer_means(status, body, expected):
    assert over_rest(status, body) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({**YES, "id": "1"}, ACCEPTED),
        ({"error": {"code": 21702, "message": "invalid price"}}, REFUSED),
        ({"error": {"code": 21104}}, SUSPECT),
        ({"code": 21104, "message": "invalid nonce"}, SUSPECT),
        ({"error": {"code": 23000}}, THROTTLED),
        ({"error": {"code": 30009}}, THROTTLED),
        ({"error": {"code": 29500}}, UNKNOWN),
        ({"error": {"code": 502}}, UNKNOWN),
        ({"error": {"code": 0}}, UNKNOWN),
        ({"error": {"code": 7}}, UNKNOWN),
        ({"error": {"code": 429}}, THROTTLED),
        ({"error": {"code": 400}}, REFUSED),
        ({"error": "text"}, UNKNOWN),
        ({"error": {"code": 200}, "tx_hash": ["a", "b"]}, UNKNOWN),
        ({"tx_hash": ["a", "b"]}, UNKNOWN),
        ({"code": 200, "tx_hash": []}, UNKNOWN),
    ],
)
def test_an_answer_on_the_socket_means(frame, expected):
    assert over_the_socket(frame) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectError("no route"), NOT_SENT),
        (RequestTimeoutError("no answer"), UNKNOWN),
        (StreamClosedError("1006"), UNKNOWN),
        (TransportError("reset"), UNKNOWN),
        (ProtocolError("cannot be read"), UNKNOWN),
        (asyncio.CancelledError(), UNKNOWN),
        (RuntimeError("nobody foresaw it"), UNKNOWN),
        (KeyboardInterrupt(), UNKNOWN),
    ],
)
def test_a_failure_means(error, expected):
    assert tuple(verdict_of(error)) == expected


@pytest.mark.parametrize("status", range(200, 600))
def test_no_status_with_a_body_that_cannot_be_read_counts_as_accepted(status):
    outcome, nonce = over_rest(status, HTML)
    assert outcome is not SendOutcome.ACCEPTED
    if status >= 500:
        assert nonce is NonceFate.IN_DOUBT
