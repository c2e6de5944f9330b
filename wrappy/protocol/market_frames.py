"""Market data frames with their content: the order book, read straight into types.

A typed reader costs half of a general one, keeps nothing it is not asked for, and
refuses what is not of the documented shape at the field that is wrong. Numbers in
text stay text here: what they count depends on the market.

Source: official WebSocket reference, recorded frames.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from wrappy.errors import ProtocolError

COUNT_MAX: Final = 2**53 - 1
"""Largest whole number a frame may have; beyond it JSON readers disagree."""

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]


class BookLevel(msgspec.Struct, gc=False):
    """One price of a book, as the exchange prints it.

    Attributes:
        price: in USDC, such as `2064.54`.
        size: all that rests there, in the base asset; a zero takes the price away.
    """

    price: str
    size: str


class BookChange(msgspec.Struct, gc=False):
    """The book, or what has changed in it.

    Attributes:
        nonce: the matching engine's count at the end of the change.
        begin_nonce: the count that the change builds on; a snapshot may lack it.
        bids: prices to buy at; `None` as well as an empty list is none.
        asks: prices to sell at, likewise.
    """

    nonce: Count
    begin_nonce: Count | None = None
    bids: list[BookLevel] | None = None
    asks: list[BookLevel] | None = None


class BookFrame(msgspec.Struct, gc=False):
    """A frame of `order_book`.

    Attributes:
        order_book: the book or its change.
        timestamp: when it was sent, ms since 1970; 0 if the frame does not say.
    """

    order_book: BookChange
    timestamp: Count = 0


_BOOK: Final = msgspec.json.Decoder(BookFrame)


def read_book_frame(raw: bytes | str) -> BookFrame:
    """Return the content of an `order_book` frame.

    Raises:
        ProtocolError: it has another shape; the message names the field.
    """
    try:
        return _BOOK.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ProtocolError(f"order_book frame: {error}") from error
