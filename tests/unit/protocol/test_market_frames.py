"""Order book frames: what is read, and what is refused at which field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrappy.errors import ProtocolError
from wrappy.protocol.market_frames import COUNT_MAX, read_book_frame

UPDATE = {
    "channel": "order_book:0",
    "last_updated_at": 1_774_884_082_309_144,
    "offset": 1_558_300,
    "order_book": {
        "code": 0,
        "asks": [{"price": "2064.54", "size": "0.3285"}],
        "bids": [],
        "offset": 1_558_300,
        "nonce": 9_182_390_020,
        "last_updated_at": 1_774_884_082_309_144,
        "begin_nonce": 9_182_389_998,
    },
    "timestamp": 1_774_884_082_326,
    "type": "update/order_book",
}


def frame(**book):
    return json.dumps({"order_book": {"nonce": 7, **book}}).encode()


def test_an_update_is_read_and_what_is_not_needed_is_passed_over():
    read = read_book_frame(json.dumps(UPDATE).encode())
    book = read.order_book
    assert (book.begin_nonce, book.nonce) == (9_182_389_998, 9_182_390_020)
    assert [(one.price, one.size) for one in book.asks] == [("2064.54", "0.3285")]
    assert book.bids == []
    assert read.timestamp == 1_774_884_082_326


@pytest.mark.parametrize("sides", [{}, {"bids": None, "asks": None}])
def test_a_snapshot_may_lack_its_beginning_its_sides_and_its_time(sides):
    read = read_book_frame(frame(**sides))
    assert (read.order_book.nonce, read.order_book.begin_nonce) == (7, None)
    assert not read.order_book.bids
    assert not read.order_book.asks
    assert read.timestamp == 0


@pytest.mark.parametrize(
    ("book", "where"),
    [
        ({"nonce": -1}, r"\$\.order_book\.nonce"),
        ({"nonce": COUNT_MAX + 1}, r"\$\.order_book\.nonce"),
        ({"nonce": 1.5}, r"\$\.order_book\.nonce"),
        ({"nonce": True}, r"\$\.order_book\.nonce"),
        ({"nonce": "7"}, r"\$\.order_book\.nonce"),
        ({"begin_nonce": -1}, r"\$\.order_book\.begin_nonce"),
        ({"bids": {}}, r"\$\.order_book\.bids"),
        ({"bids": [None]}, r"\$\.order_book\.bids\[0\]"),
        ({"asks": [{"price": 1.5, "size": "1"}]}, r"\.asks\[0\]\.price"),
        ({"asks": [{"price": "1"}]}, r"missing required field `size`"),
    ],
)
def test_another_shape_is_refused_at_its_field(book, where):
    with pytest.raises(ProtocolError, match=f"^order_book frame: .*{where}"):
        read_book_frame(frame(**book))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"order_book":null}',
        b'{"order_book":{"nonce":NaN}}',
        b'{"order_book":{"nonce":1e999}}',
        b'{"order_book":{"nonce":1,"bids":[{"price":"\xff","size":"1"}]}}',
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_such_frame_is_refused(raw):
    with pytest.raises(ProtocolError, match="order_book frame"):
        read_book_frame(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw):
    try:
        read_book_frame(raw)
    except ProtocolError:
        return
